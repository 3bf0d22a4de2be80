package airtabletest

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Kind groups requests, for counting them and for faults.
type Kind string

// The kinds of request. Write is create, update, upsert and delete.
const (
	List  Kind = "list"
	Get   Kind = "get"
	Write Kind = "write"
	Meta  Kind = "meta"
	// Payloads lists a webhook's payloads; Webhooks is all else about webhooks.
	Payloads Kind = "payloads"
	Webhooks Kind = "webhooks"
	// Comments are those on records.
	Comments Kind = "comments"
	// Download fetches the bytes of an attachment, which costs no call of the API.
	Download Kind = "download"

	throttled Kind = "throttled"
)

// Effect is what a fault does to a request.
type Effect string

// The effects. Those of the first group leave the request undone, unless the
// fault is Applied; those of the second need the true answer, so what was
// asked is always done.
const (
	// RateLimited answers 429 RATE_LIMIT_REACHED in the plural form.
	RateLimited Effect = "rate-limited"
	// RateLimitedSingular answers the same in the form of other errors.
	RateLimitedSingular Effect = "rate-limited-singular"
	// BillingLimit answers 429 PUBLIC_API_BILLING_LIMIT_EXCEEDED.
	BillingLimit Effect = "billing-limit"
	// Unavailable answers 503 RETRIABLE_ERROR.
	Unavailable Effect = "unavailable"
	// InternalError answers 500 SERVER_ERROR.
	InternalError Effect = "internal-error"
	// BadGateway answers 502 with an HTML page.
	BadGateway Effect = "bad-gateway"
	// HTML answers 200 with an HTML page.
	HTML Effect = "html"
	// EmptyPage answers a list with no record and no offset.
	EmptyPage Effect = "empty-page"
	// ExpiredIterator refuses a list with an offset; first pages are passed over.
	ExpiredIterator Effect = "expired-iterator"
	// Forbidden answers a lone 403.
	Forbidden Effect = "forbidden"
	// Unauthorized answers 401, as after a token was revoked.
	Unauthorized Effect = "unauthorized"
	// NotFound answers 404.
	NotFound Effect = "not-found"
	// Hang answers nothing until the client gives up.
	Hang Effect = "hang"
	// Drop closes the connection without an answer. Go's transport quietly
	// repeats a GET that met this on a connection used before.
	Drop Effect = "drop"

	// CutConnection closes the connection in the middle of the answer.
	CutConnection Effect = "cut-connection"
	// Slow answers truly, but only after Fault.Delay.
	Slow Effect = "slow"
	// TruncatedJSON answers the first half of the JSON as if it were all.
	TruncatedJSON Effect = "truncated-json"
	// RepeatedOffset answers a list with the offset that came in; first pages are passed over.
	RepeatedOffset Effect = "repeated-offset"
	// LostOffset answers a list as if the page were the last.
	LostOffset Effect = "lost-offset"
	// ShortPage answers a list with a third of the records that are left, and the offset of the others.
	ShortPage Effect = "short-page"
)

var effects = []Effect{
	RateLimited, RateLimitedSingular, BillingLimit, Unavailable, InternalError, BadGateway, HTML, EmptyPage,
	ExpiredIterator, Forbidden, Unauthorized, NotFound, Hang, Drop, Slow, CutConnection, TruncatedJSON, RepeatedOffset,
	LostOffset, ShortPage,
}

// Fault is a misbehaviour on demand.
type Fault struct {
	// On is the kind of request it concerns; any if empty.
	On Kind `json:"on"`
	// Table is the id of the table it concerns; any request's if empty.
	Table string `json:"table"`
	// Method is the HTTP method it concerns, as PATCH; any if empty.
	Method string `json:"method"`
	// Do is what happens.
	Do Effect `json:"do"`
	// Times is how often: once if 0, until cancelled if negative.
	Times int `json:"times"`
	// After is how many requests of the kind pass unharmed first.
	After int `json:"after"`
	// Probability of striking each time, drawn from Seed; always if 0.
	Probability float64 `json:"probability"`
	// Seed makes the chances repeatable whatever other faults there are; Config.Seed's are drawn if 0.
	Seed uint64 `json:"seed"`
	// Delay is waited before the fault strikes.
	Delay time.Duration `json:"-"`
	// RetryAfter is sent with a 429 or 503, in whole seconds; not if 0.
	RetryAfter time.Duration `json:"-"`
	// Applied lets the request take effect before the fault hides its answer.
	Applied bool `json:"applied"`
}

// Injection is a fault at work.
type Injection struct {
	fault Fault
	s     *Server
	rand  *rand.Rand
	hits  int // guarded by s.faultMu, as is what follows
	spent bool
	done  chan struct{}

	cancelled chan struct{}
	cancel    sync.Once
}

// Fail makes requests go wrong. Of several faults that match, the one that was
// asked for first strikes. It panics if f.Do is no Effect.
func (s *Server) Fail(f Fault) *Injection {
	if !slices.Contains(effects, f.Do) {
		panic("airtabletest: no such effect: " + string(f.Do))
	}
	if f.Times == 0 {
		f.Times = 1
	}
	inj := &Injection{fault: f, s: s, rand: s.faultRand, done: make(chan struct{}), cancelled: make(chan struct{})}
	if f.Seed != 0 {
		inj.rand = rand.New(rand.NewPCG(f.Seed, 2))
	}
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	s.faults = append(s.faults, inj)
	return inj
}

// Hits returns how often the fault has struck.
func (i *Injection) Hits() int {
	i.s.faultMu.Lock()
	defer i.s.faultMu.Unlock()
	return i.hits
}

// Done is closed once the fault has struck as often as it should, or is cancelled.
func (i *Injection) Done() <-chan struct{} { return i.done }

// Cancel ends the fault, and the delay of those it has struck.
func (i *Injection) Cancel() {
	i.cancel.Do(func() { close(i.cancelled) })
	i.s.faultMu.Lock()
	defer i.s.faultMu.Unlock()
	i.retire()
}

func (i *Injection) retire() {
	if i.spent {
		return
	}
	i.spent = true
	i.s.faults = slices.DeleteFunc(i.s.faults, func(other *Injection) bool { return other == i })
	close(i.done)
}

// Heal cancels all faults.
func (s *Server) Heal() {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	for len(s.faults) > 0 {
		s.faults[0].retire()
	}
}

// inject returns the fault that strikes this request, if any.
func (s *Server) inject(r *request) *Injection {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	for _, i := range s.faults {
		f := &i.fault
		if f.On != "" && f.On != r.kind || f.Method != "" && f.Method != r.http.Method || f.Table != "" && (r.table == nil || f.Table != r.table.id) {
			continue
		}
		if f.Do == ExpiredIterator || f.Do == RepeatedOffset {
			if r.kind != List || r.offset() == "" {
				continue
			}
		}
		if (f.Do == EmptyPage || f.Do == LostOffset || f.Do == ShortPage) && r.kind != List {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		if f.Probability > 0 && i.rand.Float64() >= f.Probability {
			continue
		}
		i.hits++
		if i.hits == f.Times {
			i.retire()
		}
		return i
	}
	return nil
}

// offset returns the offset a list request came with.
func (r *request) offset() string {
	if r.http.Method == http.MethodPost {
		var p struct{ Offset string }
		_ = json.Unmarshal(r.body, &p) // an unreadable body has no offset
		return p.Offset
	}
	return r.http.URL.Query().Get("offset")
}

// processes reports whether the request is carried out before the fault strikes.
func (i *Injection) processes() bool {
	switch i.fault.Do {
	case Slow, CutConnection, TruncatedJSON, RepeatedOffset, LostOffset, ShortPage:
		return true
	default:
		return i.fault.Applied
	}
}

const htmlPage = `<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>`

// strike answers instead of rep, which is the true answer if the request was processed.
func (i *Injection) strike(w http.ResponseWriter, r *request, rep reply) {
	if !i.wait(r, i.fault.Delay) {
		panic(http.ErrAbortHandler)
	}
	var retryAfter string
	if i.fault.RetryAfter > 0 {
		retryAfter = strconv.Itoa(int((i.fault.RetryAfter + time.Second - 1) / time.Second))
	}
	switch i.fault.Do {
	case RateLimited:
		rep = rateLimitReply()
		rep.retryAfter = retryAfter
	case RateLimitedSingular:
		rep = errorReply(&apiError{http.StatusTooManyRequests, "RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later", false})
		rep.retryAfter = retryAfter
	case BillingLimit:
		rep = billingLimitReply()
	case Unavailable:
		rep = errorReply(&apiError{http.StatusServiceUnavailable, "RETRIABLE_ERROR", "The service is temporarily unavailable. Please retry shortly.", false})
		rep.retryAfter = retryAfter
	case InternalError:
		rep = errorReply(&apiError{http.StatusInternalServerError, "SERVER_ERROR", "Internal server error", false})
	case BadGateway:
		rep = reply{status: http.StatusBadGateway, contentType: "text/html", body: []byte(htmlPage)}
	case HTML:
		rep = reply{status: http.StatusOK, contentType: "text/html; charset=utf-8", body: []byte(htmlPage)}
	case EmptyPage:
		rep = jsonReply(http.StatusOK, []byte(`{"records":[]}`))
	case ExpiredIterator:
		rep = errorReply(errIteratorOld)
	case Forbidden:
		rep = errorReply(errModel)
	case Unauthorized:
		rep = errorReply(errAuthentication)
	case NotFound:
		rep = errorReply(errNotFound)
	case TruncatedJSON:
		rep.body = rep.body[:len(rep.body)/2]
	case RepeatedOffset:
		rep.body = replaceOffset(rep.body, mustJSON(r.offset()))
	case LostOffset:
		rep.body = replaceOffset(rep.body, nil)
	case Slow, ShortPage:
	case Hang:
		i.wait(r, 24*time.Hour)
		panic(http.ErrAbortHandler)
	case Drop:
		panic(http.ErrAbortHandler)
	case CutConnection:
		w.Header().Set("Content-Type", rep.contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
		w.WriteHeader(rep.status)
		_, _ = w.Write(rep.body[:len(rep.body)/2]) // about to be cut anyway
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	rep.write(w)
}

// wait reports whether the client and the sandbox were still there after d, or when the fault was cancelled.
func (i *Injection) wait(r *request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-i.cancelled:
		return true
	case <-r.http.Context().Done():
	case <-i.s.closing:
	}
	return false
}

// hides returns the fault that will keep the true answer from the client, if any.
func (r *request) hides() Effect {
	if r.fault == nil || r.fault.fault.Do == Slow || r.fault.fault.Do == ShortPage {
		return ""
	}
	return r.fault.fault.Do
}

// replaceOffset sets the offset of a page, nil for none.
func replaceOffset(body []byte, offset json.RawMessage) []byte {
	var page map[string]json.RawMessage
	if json.Unmarshal(body, &page) != nil || page["records"] == nil {
		return body
	}
	if delete(page, "offset"); offset != nil {
		page["offset"] = offset
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // cells stay as they are
	if err := enc.Encode(page); err != nil {
		return body
	}
	return out.Bytes()
}
