// Package odoo calls methods of Odoo's models, over XML-RPC or JSON-2, and tells apart the ways in
// which that fails. It protects Odoo: few calls at once, and none while it does not answer.
package odoo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"

	"github.com/resonance/resonance/pkg/fault"
)

// Protocol is how Odoo is spoken to.
type Protocol string

// Protocols. Auto takes JSON-2 where Odoo has it (from 19) and the password is an API key, which is
// all that JSON-2 takes.
const (
	Auto   Protocol = "auto"
	XMLRPC Protocol = "xmlrpc"
	JSON2  Protocol = "json2"
)

// Bounds of the talk with Odoo.
const (
	maxBody    = 64 << 20 // of an answer, decompressed: a page of 1,000 records is about 3 MB
	failures   = 5        // in a row open the circuit
	openFor    = 2 * time.Second
	idleFor    = 30 * time.Second
	firstRetry = 100 * time.Millisecond
)

// Config says which Odoo, and how hard it may be asked.
type Config struct {
	URL      string // https://erp.example.com, with a path where Odoo has one
	DB       string
	Username string
	Password string // or an API key
	Protocol Protocol
	// Concurrency is the number of calls under way at once, those that nobody waits for any more included.
	Concurrency int
	Timeout     time.Duration // of one call, however long its caller would wait
	Log         *slog.Logger
}

// Client calls Odoo as one user. It is safe for concurrent use.
type Client struct {
	cfg     Config
	http    *http.Client
	ahead   atomic.Int64 // nanoseconds of Odoo's clock before ours
	slots   *semaphore.Weighted
	breaker *gobreaker.CircuitBreaker[any]
	xml     *xmlrpc
	chosen  atomic.Pointer[transport] // by Auto
	lastErr atomic.Pointer[fault.Error]

	attempt     chan struct{} // held by who tries a user's password
	lockedUntil atomic.Int64  // until when Odoo takes no password from us, as UnixNano
	guesses     guesses
}

// transport speaks one protocol. What Odoo refuses is a *RefusalError.
type transport interface {
	name() Protocol
	call(ctx context.Context, c Call) (any, error)
}

// New makes a client. It calls nobody yet.
func New(cfg Config) *Client {
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	c := &Client{cfg: cfg, slots: semaphore.NewWeighted(int64(cfg.Concurrency)), attempt: make(chan struct{}, 1)}
	c.http = &http.Client{
		Transport: &clock{ahead: &c.ahead, next: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: cfg.Concurrency, IdleConnTimeout: idleFor,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		}},
		// A redirect would carry the password elsewhere, and turn a POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.xml = &xmlrpc{http: c.http, url: cfg.URL, db: cfg.DB, username: cfg.Username, password: cfg.Password}
	c.breaker = gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Name: "odoo", Timeout: openFor,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
		IsSuccessful: func(err error) bool { return !isAway(err) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			breakerState.Set(float64(to))
			switch { // tries in between tell nothing new
			case from == gobreaker.StateClosed:
				cfg.Log.Warn("Odoo is away", "error", c.lastErr.Load())
			case to == gobreaker.StateClosed:
				cfg.Log.Info("Odoo answers again")
			}
		},
	})
	return c
}

// Call is one call of a model's method.
type Call struct {
	Model, Method string
	IDs           []int64        // the records it is called on; nil for a method of the model itself
	Args          []Arg          // sent by position over XML-RPC, since names differ between versions
	Context       map[string]any // lang, allowed_company_ids, active_test, …
	Read          bool           // changes nothing: it may be repeated
	Repeatable    bool           // changes no more when it is made twice
}

// Arg is an argument by its name in Odoo 19. Its value is nil, a bool, a number, a string, or a
// []any or map[string]any of such.
type Arg struct {
	Name  string
	Value any
}

// Call answers with nil, bool, int64, float64, string, []any or map[string]any; Odoo's False is
// false. What Odoo refuses is a *RefusalError, anything else a *fault.Error, which wraps ErrOutcomeUnknown where
// Odoo may have changed something all the same. The call itself does not end with ctx, only the waiting for it:
// Odoo works on, so its place stays taken.
func (c *Client) Call(ctx context.Context, call Call) (any, error) {
	answer, err := c.try(ctx, call)
	if f, ok := errors.AsType[*fault.Error](err); ok && !call.Read && mayHaveHappened(err) {
		unsure := *f
		unsure.Err = fmt.Errorf("%w: %w", ErrOutcomeUnknown, f.Err)
		return nil, &unsure
	}
	return answer, err
}

func (c *Client) try(ctx context.Context, call Call) (any, error) {
	for attempt := 1; ; attempt++ {
		answer, err := c.guarded(ctx, call, func(ctx context.Context) (any, error) {
			t, err := c.transport(ctx)
			if err != nil {
				return nil, notSent(err)
			}
			return t.call(ctx, call)
		})
		if !again(err, call, attempt) {
			return answer, err
		}
		wait := firstRetry + rand.N(firstRetry)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
		}
	}
}

// again tells whether a failed call is worth another try: Odoo may be restarting. What may have
// changed something is only repeated when it never left.
func again(err error, call Call, attempt int) bool {
	if attempt > 2 || !errors.Is(err, errAway) || isOpen(err) {
		return false
	}
	return call.Read || call.Repeatable || errors.Is(err, errContended) || isDial(err)
}

func isDial(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// mayHaveHappened reports that a call that failed may have been made: it left, and Odoo did not take it back.
func mayHaveHappened(err error) bool {
	left := !isOpen(err) && !errors.Is(err, errNotSent) && !errors.Is(err, errContended) && !isDial(err)
	return left && (errors.Is(err, errAway) || errors.Is(err, errTooSlow))
}

// notSent marks the error of what comes before a call: the choice of a protocol, and the login.
func notSent(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	marked := *f
	marked.Err = fmt.Errorf("%w: %w", errNotSent, f.Err)
	return &marked
}

var errNotSent = errors.New("the call was not made")

// guarded makes a call within the limits that protect Odoo.
func (c *Client) guarded(ctx context.Context, call Call, talk func(context.Context) (any, error)) (any, error) {
	if err := c.slots.Acquire(ctx, 1); err != nil {
		return nil, away(fmt.Errorf("%w: all calls to Odoo are taken: %w", errNotSent, err), time.Second)
	}
	type result struct {
		answer any
		err    error
	}
	done := make(chan result, 1)
	go func() {
		defer c.slots.Release(1)
		began := time.Now()
		answer, err := c.breaker.Execute(func() (any, error) { return c.send(ctx, talk) })
		if isOpen(err) {
			err = c.stillAway(err)
		} else {
			observe(call, began, err)
		}
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return nil, tooSlow(call, ctx.Err())
	}
}

// send talks to Odoo, on a time of its own, and remembers why that failed.
func (c *Client) send(ctx context.Context, talk func(context.Context) (any, error)) (any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
	defer cancel()
	answer, err := talk(ctx)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		c.lastErr.Store(f)
	}
	return answer, err
}

// transport gives the protocol in use; with Auto the first call finds out which.
func (c *Client) transport(ctx context.Context) (transport, error) {
	if t := c.chosen.Load(); t != nil {
		return *t, nil
	}
	var chosen transport = c.xml
	if c.cfg.Protocol != XMLRPC {
		j := &json2{http: c.http, url: c.cfg.URL, db: c.cfg.DB, key: c.cfg.Password}
		usable := c.cfg.Protocol == JSON2
		if !usable {
			var err error
			if usable, err = j.usable(ctx); err != nil {
				return nil, err
			}
		}
		if usable {
			chosen = j
		}
	}
	if c.chosen.CompareAndSwap(nil, &chosen) {
		c.cfg.Log.Info("Odoo answers", "protocol", chosen.name())
	}
	return chosen, nil
}

// isOpen reports that a call was not made, since the ones before it failed.
func isOpen(err error) bool {
	return errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
}

// stillAway repeats what opened the circuit.
func (c *Client) stillAway(err error) *fault.Error {
	last := c.lastErr.Load()
	if last == nil {
		return away(err, openFor)
	}
	return &fault.Error{Code: last.Code, Detail: last.Detail, RetryAfter: max(openFor, last.RetryAfter), Err: errors.Join(err, last.Err)}
}

// Now is the time by Odoo's clock, to the second, as its last answer told it; ours before that.
func (c *Client) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// clock learns Odoo's time from its answers.
type clock struct {
	ahead *atomic.Int64
	next  *http.Transport
}

func (c *clock) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(req)
	if err == nil {
		if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
			c.ahead.Store(int64(time.Until(at)))
		}
	}
	return res, err
}

// CloseIdleConnections lets http.Client close those of the transport.
func (c *clock) CloseIdleConnections() { c.next.CloseIdleConnections() }
