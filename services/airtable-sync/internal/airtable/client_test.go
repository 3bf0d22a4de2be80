package airtable_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

func client(endpoint string, rate float64) *airtable.Client {
	return airtable.New(airtable.Config{
		Endpoint: endpoint, Key: "patX", Base: "appX", Table: "tblX", RatePerSecond: rate, Log: slog.New(slog.DiscardHandler),
		After: func(time.Duration) <-chan time.Time { return time.After(time.Millisecond) },
	})
}

func TestErrorShapes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		is     func(error) bool
		says   string
	}{
		"object":  {403, `{"error":{"type":"INVALID_PERMISSIONS","message":"no"}}`, airtable.IsForbidden, "INVALID_PERMISSIONS: no"},
		"bare":    {404, `{"error":"NOT_FOUND"}`, airtable.IsForbidden, "NOT_FOUND"},
		"list":    {422, `{"errors":[{"error":"INVALID_OFFSET_VALUE"}]}`, airtable.IsIteratorExpired, "INVALID_OFFSET_VALUE"},
		"HTML":    {404, `<html>`, airtable.IsForbidden, "404 Not Found"},
		"billing": {429, `{"errors":[{"error":"PUBLIC_API_BILLING_LIMIT_EXCEEDED","message":"m"}]}`, airtable.IsBillingLimit, "BILLING"},
		"formula": {422, `{"error":{"type":"INVALID_FILTER_BY_FORMULA","message":"m"}}`, airtable.IsBadFormula, "FORMULA"},
		"huge":    {403, `{"error":{"type":"X","message":"` + strings.Repeat("é", 9999) + `"}}`, airtable.IsForbidden, "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer srv.Close()
			_, err := client(srv.URL, 0).Page(t.Context(), airtable.Query{}, "")
			if !c.is(err) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 2000 {
				t.Fatalf("err %v", err)
			}
			if calls != 1 {
				t.Fatalf("%d calls for what no repetition mends", calls)
			}
		})
	}
}

func TestLongFormulaGoesByPost(t *testing.T) {
	t.Parallel()
	sandbox, endpoint := airtabletest.Start(t, airtabletest.Config{Orders: 150, RatePerSecond: -1})
	sc := sandbox.Config()
	c := airtable.New(airtable.Config{Endpoint: endpoint, Key: sc.APIKey, Base: sc.BaseID, Table: sc.TableID, Log: slog.New(slog.DiscardHandler)})
	formula := "OR(" + strings.Repeat("{Status}='none',", 1500) + "TRUE())"
	page, err := c.Page(t.Context(), airtable.Query{Formula: formula, ByFieldID: true}, "")
	if err != nil || len(page.Records) != airtable.PageSize || page.Offset == "" {
		t.Fatalf("%d records, %v", len(page.Records), err)
	}
	next, err := c.Page(t.Context(), airtable.Query{Formula: formula, ByFieldID: true}, page.Offset)
	if err != nil || len(next.Records) != 50 || next.Offset != "" {
		t.Fatalf("%d records, %v", len(next.Records), err)
	}
}

func TestPaceIsShared(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"records":[]}`)
	}))
	defer srv.Close()
	c := client(srv.URL, 5)
	began := time.Now()
	done := make(chan error)
	for range 11 {
		go func() { _, err := c.Page(t.Context(), airtable.Query{}, ""); done <- err }()
	}
	for range 11 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 2*time.Second { // five, five, and one
		t.Fatalf("11 calls at 5 a second took %s", took)
	}
}

// Who goes on where another process ended is not too fast either.
func TestPaceOutlastsTheProcess(t *testing.T) {
	t.Parallel()
	sandbox, endpoint := airtabletest.Start(t, airtabletest.Config{Orders: 10})
	sc := sandbox.Config()
	for range 2 {
		c := airtable.New(airtable.Config{
			Endpoint: endpoint, Key: sc.APIKey, Base: sc.BaseID, Table: sc.TableID, RatePerSecond: 5, Log: slog.New(slog.DiscardHandler),
		})
		for range 5 {
			if _, err := c.Page(t.Context(), airtable.Query{}, ""); err != nil {
				t.Fatal(err)
			}
		}
		c.Rest(t.Context())
	}
	if calls := sandbox.Calls(); calls.Throttled != 0 {
		t.Fatalf("%+v", calls)
	}
}

func TestNonsense(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{}`, `{"records":null}`, `{"records":[{}]}`, `{"records":[{"id":"rec1"}]}`, `{"records":[{"id":"rec1","createdTime":"yesterday"}]}`,
		`{"records":[],"offset":"same"}`, `[]`, `null`,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		_, err := client(srv.URL, 0).Page(ctx, airtable.Query{}, "same")
		if !errors.Is(err, airtable.ErrNonsense) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", body, err)
		}
		srv.Close()
		cancel()
	}
}

// No answer makes the client panic or believe in records without an id.
func FuzzPage(f *testing.F) {
	f.Add(200, `{"records":[{"id":"rec1","createdTime":"2026-01-01T00:00:00.000Z","fields":{"A":1}}],"offset":"itr/rec"}`)
	f.Add(422, `{"error":{"type":"X","message":"y"}}`)
	f.Add(404, `{"error":"NOT_FOUND"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 499 || status == 408 || status == 429 {
			t.Skip() // those are repeated, which takes time
		}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		defer srv.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		page, err := client(srv.URL, 0).Page(ctx, airtable.Query{}, "")
		if err == nil {
			for _, r := range page.Records {
				if r.ID == "" || r.CreatedTime.IsZero() {
					t.Fatalf("%+v", r)
				}
			}
		}
	})
}

// Several callers at once, each call delayed as chance has it on its way, never go too fast.
func TestPaceIsKeptWhateverTheDelays(t *testing.T) {
	t.Parallel()
	const perSecond = 20
	sandbox, endpoint := airtabletest.Start(t, airtabletest.Config{Orders: 10, RatePerSecond: perSecond, Penalty: time.Second})
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(rand.N(200 * time.Millisecond)) // the way to Airtable
		proxy.ServeHTTP(w, r)
	}))
	defer slow.Close()
	sc := sandbox.Config()
	c := airtable.New(airtable.Config{
		Endpoint: slow.URL, Key: sc.APIKey, Base: sc.BaseID, Table: sc.TableID, RatePerSecond: perSecond, Log: slog.New(slog.DiscardHandler),
	})
	began := time.Now()
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() {
			for range 6 {
				if _, err := c.Page(t.Context(), airtable.Query{}, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if calls := sandbox.Calls(); calls.Throttled != 0 || calls.List != 60 {
		t.Fatalf("%+v", calls)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Fatalf("60 calls took %s", took)
	}
}

// While Airtable is away a call is one attempt, and what never reached it is no call.
func TestWaitingSpendsLittle(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	away.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"records":[]}`)
	}))
	c := client(srv.URL, 0)
	ask := func() (calls int, err error) {
		before, _ := c.Calls()
		_, err = c.Page(t.Context(), airtable.Query{}, "")
		after, _ := c.Calls()
		return after - before, err
	}
	if calls, err := ask(); err == nil || calls < 3 {
		t.Fatalf("given up after %d calls: %v", calls, err)
	}
	if calls, err := ask(); err == nil || calls != 1 {
		t.Fatalf("%d calls of one that is away: %v", calls, err)
	}
	away.Store(false)
	if calls, err := ask(); err != nil || calls != 1 {
		t.Fatalf("%d calls: %v", calls, err)
	}
	srv.Close()
	c = client(srv.URL, 0) // without a connection that it may learn late of that it is closed
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	before, _ := c.Calls()
	_, err := c.Page(soon, airtable.Query{}, "")
	if after, _ := c.Calls(); err == nil || after != before {
		t.Fatalf("%d calls that nobody can have counted: %v", after-before, err)
	}
}
