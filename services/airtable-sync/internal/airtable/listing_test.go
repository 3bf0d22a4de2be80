package airtable_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
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

// A page whose answer is too large is asked for as smaller ones, down to a single record, of which texts are cut.
func TestLargePagesAreMadeSmaller(t *testing.T) {
	t.Parallel()
	const n, large, bound = 60, 17, 64 << 10
	var mu sync.Mutex
	asked := map[int]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("pageSize"))
		at, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		mu.Lock()
		asked[size]++
		mu.Unlock()
		records := make([]string, 0, size)
		for i := at; i < min(at+size, n); i++ {
			notes := strings.Repeat("ñ", 600)
			if i == large {
				notes = strings.Repeat(`\u00f1 \" ñ`, bound)
			}
			records = append(records, fmt.Sprintf(`{"id":"rec%014d","createdTime":"2026-01-01T00:00:00.000Z","fields":{"Notes":"%s","Name":"%d"}}`, i, notes, i))
		}
		next := ""
		if at+size < n {
			next = fmt.Sprintf(`,"offset":"%d"`, at+size)
		}
		_, _ = fmt.Fprintf(w, `{"records":[%s]%s}`, strings.Join(records, ","), next)
	}))
	defer srv.Close()
	c := airtable.New(airtable.Config{
		Endpoint: srv.URL, Key: "patX", Base: "appX", Table: "tblX", MaxBody: bound, Log: slog.New(slog.DiscardHandler),
		After: func(time.Duration) <-chan time.Time {
			t.Error("waited as if Airtable had failed")
			return time.After(0)
		},
	})
	all, err := c.All(t.Context(), airtable.Query{})
	if err != nil || len(all.Records) != n {
		t.Fatalf("%d of %d records, %v", len(all.Records), n, err)
	}
	for i, r := range all.Records {
		name, notes := string(r.Fields[1].Value), r.Fields[0].Value
		if cut := i == large; cut != (r.Cut > 0) || name != fmt.Sprintf(`"%d"`, i) || cut && (!strings.HasSuffix(string(notes), `…"`) || len(notes) > 2*r.Cut) {
			t.Errorf("record %d, cut to %d: name %s, notes of %d bytes", i, r.Cut, name, len(notes))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if total := asked[100] + asked[50] + asked[25] + asked[12] + asked[10] + asked[5] + asked[2] + asked[1]; asked[1] > 5 || total > 25 {
		t.Errorf("calls by page size: %v", asked)
	}
}
