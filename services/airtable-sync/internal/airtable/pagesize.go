package airtable

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	smallestPage = 10
	// quickPages is how many pages in a row must take less than a fifth of their time before pages grow again.
	quickPages = 10
)

// pageSizer finds the page size that Airtable answers in time: tables with long texts or many formulas take
// longer than others. A page that is too slow halves the size. Smaller pages get twice the time, as it may not
// be the size that makes Airtable slow.
type pageSizer struct {
	mu     sync.Mutex
	halved int // how often PageSize is halved
	quick  int // pages in a row
}

// next returns the size and the time limit of the next page. base is the limit of a full one.
func (p *pageSizer) next(base time.Duration) (size int, timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return pageSize(p.halved), base * time.Duration(min(1+p.halved, 2))
}

func pageSize(halved int) int { return max(smallestPage, PageSize>>halved) }

// observe learns from a page. It returns the new size if that is smaller, else 0.
func (p *pageSizer) observe(size int, took, timeout time.Duration, slow bool) (smaller int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := pageSize(p.halved)
	switch {
	case size != now: // of a page that was asked for before the last change
	case slow && now > smallestPage:
		p.halved++
		p.quick = 0
		return pageSize(p.halved)
	case slow || took > timeout/5:
		p.quick = 0
	case p.halved > 0:
		if p.quick++; p.quick == quickPages {
			p.halved--
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
