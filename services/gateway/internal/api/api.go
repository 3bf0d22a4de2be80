// Package api is Resonance over HTTP: the routes, their documentation, and the translation of
// requests into questions to the services on NATS.
package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/cors"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/gateway/internal/airtable"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/live"
	"github.com/resonance/resonance/services/gateway/internal/odoo"
	"github.com/resonance/resonance/services/gateway/internal/orders"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/push"
	"github.com/resonance/resonance/services/gateway/internal/route"
	"github.com/resonance/resonance/services/gateway/internal/session"
)

// minCompressed is the size from which a body is compressed: a page of ten is below it.
const minCompressed = 16 << 10

// Config is what the API needs.
type Config struct {
	Log         *slog.Logger
	Services    route.Asker
	Auth        *auth.Authenticator
	Health      *service.Health
	CORSOrigins []string
	Live        *live.Hub
	Catalog     *columns.Catalog // what the columns of orders offer
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Draining is closed when the process is to stop: whoever waits for a sync or an edit is answered then.
	Draining <-chan struct{}
}

// API is an http.Handler.
type API struct {
	*route.Routes
	log *slog.Logger
}

// New builds the routes and the document that describes them.
func New(c Config) (*API, error) {
	problem.SetUpHuma()
	a := &API{&route.Routes{Services: c.Services, Auth: c.Auth, Draining: c.Draining, Router: chi.NewRouter()}, c.Log}
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(minCompressed))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	if len(c.TrustedProxies) > 0 {
		a.Router.Use(behind(c.TrustedProxies))
	}
	a.Router.Use(a.observe, protect)
	if len(c.CORSOrigins) > 0 {
		a.Router.Use(allowOrigins(c.CORSOrigins))
	}
	a.Router.Use(middleware.GetHead, limitBody, func(next http.Handler) http.Handler { return compress(next) })
	a.Router.MethodNotAllowed(a.methodNotAllowed)

	a.Huma = humachi.New(a.Router, humaConfig())
	session.Register(a.Routes)
	orders.Register(a.Routes, c.Catalog)
	airtable.Register(a.Routes)
	odoo.Register(a.Routes)
	push.Register(a.Routes, c.Live, push.Hosts(c.CORSOrigins))

	a.Router.Get("/healthz", service.Alive)
	a.Router.Method(http.MethodGet, "/readyz", c.Health)
	a.Router.Method(http.MethodGet, "/metrics", promhttp.Handler())
	return a, errors.Join(a.docRoutes(), a.adminRoutes())
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.Router.ServeHTTP(w, r) }

func allowOrigins(origins []string) func(http.Handler) http.Handler {
	return cors.Handler(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{
			"Accept", "Accept-Language", "Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "Prefer", odoo.HeaderCompany, "X-Request-ID",
		},
		ExposedHeaders: []string{"Age", "ETag", "Idempotency-Key", "Location", "Preference-Applied", "Retry-After", "X-Request-ID", odoo.HeaderStale, "X-Total-Count"},
		MaxAge:         600,
	})
}

// methodNotAllowed answers 405 with the methods that there are.
func (a *API) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		lookup := m
		if m == http.MethodHead { // served by the GET routes
			lookup = http.MethodGet
		}
		if a.Router.Match(chi.NewRouteContext(), lookup, r.URL.Path) {
			methods = append(methods, m)
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	problem.Write(w, r, fault.New(problem.MethodNotAllowed,
		fault.T("Esta dirección no admite el método "+methodLabel(r.Method), "This address does not take the method "+methodLabel(r.Method))))
}
