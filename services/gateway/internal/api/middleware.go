package api

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
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
	"github.com/resonance/resonance/services/gateway/internal/auth"
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

// exchange is what is known about a request while it is answered: for the log, the metrics and
// the problems. It is the ResponseWriter too.
type exchange struct {
	http.ResponseWriter
	id     string
	who    auth.Identity
	cause  error // of a problem; for the log only
	status int
	bytes  int64
	cut    bool // the answer was cut off on purpose
}

type exchangeKey struct{}

// exchangeOf returns the exchange of a request that observe let in, else an empty one.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Hijack is for WebSockets.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	x.status = http.StatusSwitchingProtocols
	return http.NewResponseController(x.ResponseWriter).Hijack()
}

// behind makes r.RemoteAddr the client's own address: the last in X-Forwarded-For that no trusted
// proxy has. What comes before it, and what others say there, anybody can say.
func behind(proxies []netip.Prefix) func(http.Handler) http.Handler {
	trusted := func(ip netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(ip) })
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ip, err := netip.ParseAddr(clientIP(r))
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
		x := &exchange{ResponseWriter: w, id: r.Header.Get("X-Request-ID")}
		if !requestID.MatchString(x.id) {
			x.id = nuid.Next()
		}
		w.Header().Set("X-Request-ID", x.id)
		ctx, end := telemetry.StartSpan(r.Context(), "http "+r.Method, propagation.HeaderCarrier(r.Header))
		r = r.WithContext(context.WithValue(ctx, exchangeKey{}, x))
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares so too
				err := fault.Wrap(fault.Internal, errInternal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
				if x.status == 0 {
					fail(x, r, err)
				} else { // too late for a problem: it must not look complete
					x.cause, p = err, http.ErrAbortHandler
				}
			}
			x.cut = p != nil && x.status != 0 && p == http.ErrAbortHandler //nolint:errorlint // as above
			end(x.cause)
			a.record(r, x, time.Since(began))
			if p == http.ErrAbortHandler { //nolint:errorlint // as above
				panic(p)
			}
		}()
		next.ServeHTTP(x, r)
	})
}

// record logs and counts one answered request. The query is left out: people search for names.
func (a *API) record(r *http.Request, x *exchange, took time.Duration) {
	route := chi.RouteContext(r.Context()).RoutePattern()
	if route == "" {
		route = "unmatched"
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	requests.WithLabelValues(route, methodLabel(r.Method), strconv.Itoa(x.status)).Inc()
	durations.WithLabelValues(route).Observe(took.Seconds())

	level := slog.LevelInfo
	switch {
	case x.status == http.StatusInternalServerError:
		level = slog.LevelError
	case x.status > http.StatusInternalServerError, x.cut:
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
		slog.String("method", methodLabel(r.Method)), slog.String("path", path), slog.Int("status", x.status),
		slog.Int64("bytes", x.bytes), slog.Duration("took", took), slog.String("request_id", x.id), slog.String("remote", r.RemoteAddr))
	if x.who.Username != "" {
		attrs = append(attrs, slog.String("user", x.who.Username))
	}
	if x.cause != nil && level > slog.LevelInfo {
		attrs = append(attrs, slog.Any("error", x.cause))
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
			fail(w, r, errTooLarge)
			return
		}
		if r.ContentLength != 0 {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		next.ServeHTTP(w, r)
	})
}
