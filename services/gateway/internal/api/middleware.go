package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel/propagation"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/telemetry"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// maxBody is the largest request body, in bytes.
const maxBody = 1 << 20

var (
	requests = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered, by route pattern.",
	}, []string{"route", "method", "code"})
	durations = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time to answer, by route pattern.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 30},
	}, []string{"route"})
)

// behind makes r.RemoteAddr the client's own address: the last in X-Forwarded-For that no trusted
// proxy has. What comes before it, and what others say there, anybody can say.
func behind(proxies []netip.Prefix) func(http.Handler) http.Handler {
	trusted := func(ip netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ip, err := netip.ParseAddr(route.ClientIP(r))
			hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
			for _, hop := range slices.Backward(hops) {
				if ip = ip.Unmap(); err != nil || !trusted(ip) {
					break
				}
				if ip, err = netip.ParseAddr(strings.TrimSpace(hop)); err == nil {
					r.RemoteAddr = ip.String()
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// observe gives each request an id and a trace, logs and counts it, and turns a panic into a 500.
func (a *API) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		x := &access.Record{ResponseWriter: w, ID: r.Header.Get("X-Request-ID")}
		if !requestID.MatchString(x.ID) {
			x.ID = nuid.Next()
		}
		w.Header().Set("X-Request-ID", x.ID)
		ctx, end := telemetry.StartSpan(r.Context(), "http "+r.Method, propagation.HeaderCarrier(r.Header))
		r = r.WithContext(access.With(ctx, x))
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
				err := fault.Wrap(fault.Internal, problem.ErrInternal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
				if x.Status == 0 {
					problem.Write(x, r, err)
				} else { // too late for a problem: it must not look complete
					x.Cause, p = err, http.ErrAbortHandler
				}
			}
			x.Cut = p != nil && x.Status != 0 && p == http.ErrAbortHandler //nolint:errorlint // as above
			end(x.Cause)
			a.record(r, x, time.Since(began))
			if p == http.ErrAbortHandler { //nolint:errorlint // as above
				panic(p)
			}
		}()
		next.ServeHTTP(x, r)
	})
}

// record logs and counts one answered request. The query is left out: people search for names.
func (a *API) record(r *http.Request, x *access.Record, took time.Duration) {
	route := chi.RouteContext(r.Context()).RoutePattern()
	if route == "" {
		route = "unmatched"
	}
	if x.Status == 0 {
		x.Status = http.StatusOK
	}
	requests.WithLabelValues(route, methodLabel(r.Method), strconv.Itoa(x.Status)).Inc()
	durations.WithLabelValues(route).Observe(took.Seconds())

	level := slog.LevelInfo
	switch {
	case x.Status == http.StatusInternalServerError:
		level = slog.LevelError
	case x.Status > http.StatusInternalServerError, x.Cut:
		level = slog.LevelWarn
	case route == "/healthz" || route == "/readyz" || route == "/metrics":
		level = slog.LevelDebug
	}
	if !a.log.Enabled(r.Context(), level) {
		return
	}
	path := r.URL.Path
	if len(path) > 200 {
		path = path[:200]
	}
	attrs := make([]slog.Attr, 0, 9)
	attrs = append(attrs,
		slog.String("method", methodLabel(r.Method)), slog.String("path", path), slog.Int("status", x.Status),
		slog.Int64("bytes", x.Bytes), slog.Duration("took", took), slog.String("request_id", x.ID), slog.String("remote", r.RemoteAddr))
	if x.Who.Username != "" {
		attrs = append(attrs, slog.String("user", x.Who.Username))
	}
	if x.Cause != nil && level > slog.LevelInfo {
		attrs = append(attrs, slog.Any("error", x.Cause))
	}
	a.log.LogAttrs(r.Context(), level, "request", attrs...)
}

// methodLabel bounds what a client can put into a label.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// protect keeps browsers from guessing what an answer is. Pages add what else browsers should know.
func protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Content-Type-Options"] = nosniff
		next.ServeHTTP(w, r)
	})
}

// Shared between requests: setting a header must not cost an allocation each time.
var nosniff = []string{"nosniff"}

// limitBody refuses what announces more than maxBody, and cuts off what turns out to be more.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBody {
			w.Header().Set("Connection", "close") // rather than read it all
			problem.Write(w, r, problem.ErrTooLarge)
			return
		}
		if r.ContentLength != 0 {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r)
	})
}
