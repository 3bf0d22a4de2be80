package airtable

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// pageSizes are the sizes that listings fall back to. A page that takes too long is reduced to slowest at most: it
// may not be its size that makes Airtable slow. One that is too large is reduced to a single record.
var pageSizes = [...]int{PageSize, 50, 25, 12, 10, 5, 2, 1}

const (
	slowest = 4 // the place of 10
	// quickPages is how many pages in a row must take less than a fifth of their time before slow pages grow again.
	quickPages = 10
	// smallShare of the bound on answers is what a page may take up if one of twice its size is to fit.
	smallShare = 0.4
)

// pageSizer finds the page size that Airtable answers in time and whose answer fits in memory: tables with long texts
// or many formulas take longer than others. Smaller pages get twice the time.
type pageSizer struct {
	mu      sync.Mutex
	reduced int  // index into pageSizes
	large   bool // the last reduction was for an answer that was too large
	quick   int  // pages in a row
}

// listing is how asking for a page ended.
type listing struct {
	size          int
	took, timeout time.Duration
	slow          bool    // see isSlow
	share         float64 // of the bound on answers; above 1 it was too large
}

// next returns the size and the time limit of the next page. base is the limit of a full one.
func (p *pageSizer) next(base time.Duration) (size int, timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return pageSizes[p.reduced], base * time.Duration(min(1+p.reduced, 2))
}

// observe learns from a page. It returns the new size if that is smaller, else 0.
func (p *pageSizer) observe(l listing) (smaller int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	large := l.share > 1
	switch {
	case l.size != pageSizes[p.reduced]: // of a page that was asked for before the last change
	case l.slow && p.reduced < slowest, large && p.reduced < len(pageSizes)-1:
		p.reduced++
		p.quick, p.large = 0, large
		return pageSizes[p.reduced]
	case l.slow || l.took > l.timeout/5 || l.share > smallShare:
		p.quick = 0
	case p.reduced > 0:
		// Where a few large records lie in a table the next page is as good as any, while a slow Airtable stays slow.
		if p.quick++; p.quick >= quickPages || p.large {
			p.reduced--
			p.quick = 0
		}
	}
	return 0
}

// isSlow reports that a smaller page may be answered where this one was not: our time ran out, or Airtable's.
func isSlow(err error) bool {
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused.Status == http.StatusRequestTimeout || refused.Status == http.StatusGatewayTimeout
	}
	return errors.Is(err, context.DeadlineExceeded)
}
