package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/service"
)

func TestReady(t *testing.T) {
	t.Parallel()
	var h service.Health
	answer := func() (int, http.Header, map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		return w.Code, w.Header(), body
	}
	if code, _, body := answer(); code != http.StatusOK || body["ready"] != true {
		t.Errorf("nothing to check: %d %v", code, body)
	}
	h.Check("nats", func(context.Context) error { return nil })
	h.Check("postgres", func(context.Context) error { return errors.New("dial tcp 10.0.0.7: refused") })
	code, header, body := answer()
	want := map[string]any{"ready": false, "checks": map[string]any{"nats": "ok", "postgres": "unavailable"}}
	if diff := cmp.Diff(want, body); code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || diff != "" {
		t.Errorf("%d %v (-want +got):\n%s", code, header, diff)
	}
	h.Check("postgres", func(context.Context) error { return nil })
	if code, _, body := answer(); code != http.StatusOK {
		t.Errorf("it is back: %d %v", code, body)
	}
	// What is degraded still answers; why is for those who may know.
	why := fault.T("La clave no vale", "The key is wrong")
	h.Check("sync", func(context.Context) error { return fmt.Errorf("sync: %w", &service.DegradedError{Reason: why}) })
	code, _, body = answer()
	want = map[string]any{"ready": true, "degraded": true, "checks": map[string]any{"nats": "ok", "postgres": "ok", "sync": "degraded"}}
	if diff := cmp.Diff(want, body); code != http.StatusOK || diff != "" {
		t.Errorf("%d (-want +got):\n%s", code, diff)
	}
	if diff := cmp.Diff(map[string]fault.Text{"sync": why}, h.Troubles(t.Context())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A check that hangs makes the process unready, and keeps nobody waiting for longer than a second
// or so: not the asker, not others.
func TestReadyWithAHangingCheck(t *testing.T) {
	t.Parallel()
	var h service.Health
	release, entered := make(chan struct{}), make(chan struct{}, 8)
	defer close(release)
	h.Check("deaf", func(context.Context) error { entered <- struct{}{}; <-release; return nil })
	h.Check("quick", func(context.Context) error { return nil })
	answers := make(chan map[string]string, 3)
	began := time.Now()
	for range 3 {
		go func() { states, _ := h.Ready(context.Background()); answers <- states }()
	}
	for range 3 {
		<-entered
	}
	h.Check("late", func(context.Context) error { return nil })
	for range 3 {
		if diff := cmp.Diff(map[string]string{"deaf": "unavailable", "quick": "ok"}, <-answers); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if d := time.Since(began); d > 2500*time.Millisecond {
		t.Errorf("three at once took %s", d)
	}
}

func TestServeMetrics(t *testing.T) {
	t.Parallel()
	if err := (&service.Base{}).ServeMetrics(t.Context()); err != nil {
		t.Errorf("without an address: %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &service.Base{MetricsAddr: taken.Addr().String(), Health: &service.Health{}}
	if err := b.ServeMetrics(t.Context()); err == nil || !strings.Contains(err.Error(), b.MetricsAddr) {
		t.Errorf("a port in use: %v", err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}

	// Stopped while a request is under way, it finishes that one first.
	ctx, cancel := context.WithCancel(t.Context())
	checking, release := make(chan struct{}), make(chan struct{})
	b.Health.Check("slow", func(context.Context) error { close(checking); <-release; return nil })
	ended := make(chan error, 1)
	go func() { ended <- b.ServeMetrics(ctx) }()
	get := func(path string) (int, string) {
		t.Helper()
		over := time.Now().Add(patience)
		for {
			resp, err := http.Get("http://" + b.MetricsAddr + path)
			if err != nil {
				if time.Now().After(over) {
					t.Fatal(err)
				}
				continue // not listening yet
			}
			body, err := io.ReadAll(resp.Body)
			if err := errors.Join(err, resp.Body.Close()); err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}
	}
	if code, body := get("/healthz"); code != http.StatusOK || body != `{"status":"ok"}` {
		t.Errorf("%d %s", code, body)
	}
	if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("%d %s", code, body)
	}
	ready := make(chan int, 1)
	go func() { code, _ := get("/readyz"); ready <- code }()
	<-checking
	cancel()
	close(release)
	if code := <-ready; code != http.StatusOK {
		t.Errorf("the request under way got %d", code)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
