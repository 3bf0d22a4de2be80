package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// BenchmarkList is what the gateway costs on its hot path: a page of ten with its total, token
// checked, against a bare chi → NATS → constant answer. Over 16 connections to a server in this
// process; and by the handler alone, where only the difference means something.
func BenchmarkList(b *testing.B) {
	r := newRig(b)
	r.log.bench = true
	page := "[" + strings.Repeat(orderJSON("rec1")+",", 9) + orderJSON("rec1") + "]"
	replier, _ := r.nats.Connect()
	if _, err := replier.Subscribe(ordersapi.SubjectList, func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Data: []byte(page), Header: nats.Header{rpc.HeaderTotal: {"100000"}}})
	}); err != nil {
		b.Fatal(err)
	}
	if err := replier.Flush(); err != nil {
		b.Fatal(err)
	}
	floor := chi.NewRouter()
	floor.Get("/api/orders", func(w http.ResponseWriter, q *http.Request) {
		ctx, cancel := context.WithTimeout(q.Context(), route.Timeout)
		defer cancel()
		m, err := r.nc.RequestWithContext(ctx, ordersapi.SubjectList, []byte(q.URL.RawQuery))
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(m.Data)
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"floor", floor}, {"gateway", r.api}} {
		b.Run("http/"+c.name, func(b *testing.B) { overHTTP(b, c.handler, r.tokens[auth.Viewer]) })
	}
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"floor", floor}, {"gateway", r.api}} {
		b.Run("handler/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q := httptest.NewRequest(http.MethodGet, "/api/orders?page=1&page_size=10", http.NoBody)
				q.Header.Set("Authorization", "Bearer "+r.tokens[auth.Viewer])
				w := httptest.NewRecorder()
				c.handler.ServeHTTP(w, q)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

func overHTTP(b *testing.B, handler http.Handler, token string) {
	b.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, MaxConnsPerHost: 16, DisableCompression: true}}
	defer client.CloseIdleConnections()
	b.SetParallelism((16 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	before := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			q, err := http.NewRequestWithContext(b.Context(), http.MethodGet, srv.URL+"/api/orders?page=1&page_size=10", http.NoBody)
			if err != nil {
				b.Error(err)
				return
			}
			q.Header.Set("Authorization", "Bearer "+token)
			resp, err := client.Do(q)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpuTime is what this process, clients and NATS included, has used: unlike elapsed time, it says
// something on a busy machine too.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
