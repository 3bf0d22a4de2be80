package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/resonance/resonance/pkg/fault"
)

// Health collects what a process needs to be ready. The zero value is ready.
type Health struct {
	mu     sync.Mutex
	checks map[string]func(context.Context) error
}

// Expect makes the process unready until each of the named checks has been added.
func (h *Health) Expect(names ...string) {
	for _, name := range names {
		h.Check(name, func(context.Context) error { return errors.New("starting") })
	}
}

// Check adds a named check, in place of an earlier one of that name. It must be quick and honour its context.
func (h *Health) Check(name string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func(context.Context) error{}
	}
	h.checks[name] = check
}

// DegradedError is the error of a check when the process can answer but not do all of its work.
type DegradedError struct{ Reason fault.Text }

// Error is the reason.
func (d *DegradedError) Error() string { return d.Reason.EN }

// The states of a check.
const (
	stateOK          = "ok"
	stateDegraded    = "degraded"
	stateUnavailable = "unavailable"
)

// Ready runs all checks at once, for up to a second, and gives "ok", "degraded" or "unavailable" for each.
// What is degraded is ready.
func (h *Health) Ready(ctx context.Context) (states map[string]string, ready bool) {
	states, _, ready = h.look(ctx)
	return states, ready
}

// Troubles gives the reasons of what is degraded, by check.
func (h *Health) Troubles(ctx context.Context) map[string]fault.Text {
	_, troubles, _ := h.look(ctx)
	return troubles
}

func (h *Health) look(ctx context.Context) (states map[string]string, troubles map[string]fault.Text, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	h.mu.Lock()
	checks := maps.Clone(h.checks)
	h.mu.Unlock()
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(checks))
	states, troubles = map[string]string{}, map[string]fault.Text{}
	for name, check := range checks {
		states[name] = stateUnavailable
		go func() { results <- result{name, check(ctx)} }()
	}
	ready = true
	for range checks {
		select {
		case r := <-results:
			if d, ok := errors.AsType[*DegradedError](r.err); ok {
				states[r.name], troubles[r.name] = stateDegraded, d.Reason
			} else if r.err != nil {
				ready = false
			} else {
				states[r.name] = stateOK
			}
		case <-ctx.Done(): // somebody's check does not honour it
			return states, troubles, false
		}
	}
	return states, troubles, ready
}

// ServeHTTP answers /readyz: 200 or 503 with the state of each check. The reasons are in the log
// of whoever lost the dependency, not here (invariant 9).
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	states, troubles, ready := h.look(r.Context())
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	body := map[string]any{"ready": ready, "checks": states}
	if len(troubles) > 0 {
		body["degraded"] = true
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // the client has gone
}

// Alive answers /healthz: the process runs.
func Alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}`)) // the client has gone
}

// serveMetrics serves /healthz, /readyz and /metrics on MetricsAddr until ctx ends; without an
// address it returns nil at once.
func (b *Base) serveMetrics(ctx context.Context) error {
	if b.MetricsAddr == "" {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", b.MetricsAddr)
	if err != nil {
		return fmt.Errorf("METRICS_ADDR: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", Alive)
	mux.Handle("GET /readyz", b.Health)
	mux.Handle("GET /metrics", promhttp.Handler())
	return Serve(ctx, ln, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second})
}

// Serve answers on ln until ctx ends, then lets requests finish for a few seconds.
func Serve(ctx context.Context, ln net.Listener, srv *http.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), DrainTime-4*time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("drain %s: %w", ln.Addr(), err), srv.Close())
	}
	return nil
}
