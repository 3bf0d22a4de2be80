package airtabletest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"
)

var offsetPattern = regexp.MustCompile(`"offset":"([^"]+)"}$`)

// scan lists everything through the handler and returns the number of pages.
func scan(tb testing.TB, s *Server, query url.Values) int {
	tb.Helper()
	pages := 0
	for {
		r := httptest.NewRequest(http.MethodGet, "/v0/"+s.cfg.BaseID+"/"+s.cfg.TableID+"?"+query.Encode(), nil)
		r.Header.Set("Authorization", "Bearer "+s.cfg.APIKey)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			tb.Fatalf("page %d: %d %s", pages, w.Code, w.Body)
		}
		pages++
		m := offsetPattern.FindSubmatch(w.Body.Bytes())
		if m == nil {
			return pages
		}
		query.Set("offset", string(m[1]))
	}
}

func BenchmarkScan100k(b *testing.B) {
	s := New(Config{Orders: 100_000, RatePerSecond: -1})
	for b.Loop() {
		if n := scan(b, s, url.Values{}); n != 1000 {
			b.Fatalf("%d pages", n)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkIdleFilter100k(b *testing.B) {
	s := New(Config{Orders: 100_000, RatePerSecond: -1})
	since := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for b.Loop() {
		if n := scan(b, s, url.Values{"filterByFormula": {"IS_AFTER(LAST_MODIFIED_TIME(), '" + since + "')"}}); n != 1 {
			b.Fatalf("%d pages", n)
		}
	}
}

func BenchmarkTextFilter100k(b *testing.B) {
	s := New(Config{Orders: 100_000, RatePerSecond: -1})
	for b.Loop() {
		scan(b, s, url.Values{"filterByFormula": {"AND({Status}='Pending', FIND('muñoz', LOWER({Customer})), {Amount}>100)"}})
	}
}

// TestMemory keeps 100,000 orders well under 60 MB, and loaded ones as small as those made up.
func TestMemory(t *testing.T) { //nolint:paralleltest // measures the whole heap
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	file := filepath.Join(t.TempDir(), "airtable.json")
	for _, c := range []struct {
		from string
		cfg  Config
	}{
		{"made up", Config{Orders: 100_000}},
		{"made up", Config{Orders: 20_000, File: file}},
		{"loaded", Config{Orders: 20_000, File: file}},
	} {
		before := heap()
		s := New(c.cfg)
		each := int(heap()-before) / s.Len()
		t.Logf("%d orders, %s, take %d bytes each", s.Len(), c.from, each)
		if each > 500 {
			t.Error("which is too much")
		}
		if c.cfg.File != "" {
			if err := s.save(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func BenchmarkSave100k(b *testing.B) {
	s := New(Config{Orders: 100_000, File: filepath.Join(b.TempDir(), "airtable.json")})
	for b.Loop() {
		if err := s.save(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad100k(b *testing.B) {
	s := New(Config{Orders: 100_000, File: filepath.Join(b.TempDir(), "airtable.json")})
	if err := s.save(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := load(&s.cfg); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite changes ten records a request, kept in a journal or not.
func BenchmarkWrite(b *testing.B) {
	for name, file := range map[string]string{"memory": "", "journal": filepath.Join(b.TempDir(), "airtable.json")} {
		b.Run(name, func(b *testing.B) {
			s := New(Config{Orders: 1000, RatePerSecond: -1, File: file})
			if file != "" {
				s.keepFile()
			}
			ids := s.RecordIDs()[:10]
			n := 0
			for b.Loop() {
				n++
				records := make([]object, len(ids))
				for i, id := range ids {
					records[i] = object{"id": id, "fields": object{"Notes": n}}
				}
				r := httptest.NewRequest(http.MethodPatch, "/v0/"+s.cfg.BaseID+"/"+s.cfg.TableID, bytes.NewReader(mustJSON(object{"records": records, "typecast": true})))
				r.Header.Set("Authorization", "Bearer "+s.cfg.APIKey)
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
