package airtable_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// pages answers listings of n records, so many a page as limit allows.
func pages(n int, limit func(w http.ResponseWriter, r *http.Request, size int) (int, bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		size, _ := strconv.Atoi(q.Get("pageSize"))
		at, _ := strconv.Atoi(q.Get("offset"))
		size, ok := limit(w, r, size)
		if !ok {
			return
		}
		_, _ = io.WriteString(w, `{"records":[`)
		for i := at; i < min(at+size, n); i++ {
			if i > at {
				_, _ = io.WriteString(w, ",")
			}
			_, _ = fmt.Fprintf(w, `{"id":"rec%014d","createdTime":"2026-01-01T00:00:00.000Z","fields":{}}`, i)
		}
		if at+size < n {
			_, _ = fmt.Fprintf(w, `],"offset":"%d"}`, at+size)
			return
		}
		_, _ = io.WriteString(w, `]}`)
	})
}

// Airtable may end a page of records that were asked for by id early.
func TestShortPagesOfAShortListing(t *testing.T) {
	t.Parallel()
	for _, perPage := range []int{100, 99, 34, 1} {
		srv := httptest.NewServer(pages(100, func(_ http.ResponseWriter, _ *http.Request, size int) (int, bool) { return min(size, perPage), true }))
		all, err := client(srv.URL, 0).All(t.Context(), airtable.Query{Formula: "TRUE()"})
		srv.Close()
		if err != nil || len(all.Records) != 100 || all.Offset != "" || all.At.IsZero() {
			t.Errorf("%d a page: %d records, offset %q, %v", perPage, len(all.Records), all.Offset, err)
		}
	}
}

// Where a full page takes longer than a call may, smaller ones are asked for, of later listings too.
func TestSlowPagesAreMadeSmaller(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(w http.ResponseWriter, r *http.Request){
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"504":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var asked []int
			srv := httptest.NewServer(pages(60, func(w http.ResponseWriter, r *http.Request, size int) (int, bool) {
				_, _ = io.Copy(io.Discard, r.Body) // so that the server notices that the client has gone
				mu.Lock()
				asked = append(asked, size)
				mu.Unlock()
				if size > 30 {
					slow(w, r)
					return 0, false
				}
				return size, true
			}))
			defer srv.Close()
			c := airtable.New(airtable.Config{
				Endpoint: srv.URL, Key: "patX", Base: "appX", Table: "tblX", Timeout: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
				After: func(time.Duration) <-chan time.Time { return time.After(time.Millisecond) },
			})
			for range 2 {
				all, err := c.All(t.Context(), airtable.Query{})
				if err != nil || len(all.Records) != 60 {
					t.Fatalf("%d records, %v", len(all.Records), err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(asked[:2], []int{100, 50}) || slices.Max(asked[2:]) > 30 {
				t.Errorf("page sizes %v", asked)
			}
		})
	}
}
