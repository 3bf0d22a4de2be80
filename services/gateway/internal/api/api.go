// Package api is Resonance over HTTP: the routes, their documentation, and the translation of
// requests into questions to the services on NATS.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/cors"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/live"
)

// patience is how long a service has to answer: a client learns within two seconds that
// something is away, on a busy machine too.
const patience = 1500 * time.Millisecond

// minCompressed is the size from which a body is compressed: a page of ten is below it.
const minCompressed = 16 << 10

// Asker asks the services. Every error is a fault.Error.
type Asker interface {
	Ask(ctx context.Context, subject string, req any) (bus.Reply, error)
}

// Config is what the API needs.
type Config struct {
	Log         *slog.Logger
	Services    Asker
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
	log      *slog.Logger
	services Asker
	auth     *auth.Authenticator
	forged   *auth.Brake // on pings that are not Airtable's
	live     *live.Hub
	catalog  *columns.Catalog
	orders   *table
	origins  []string // hosts whose pages may open a WebSocket, besides our own
	draining <-chan struct{}

	router chi.Router
	huma   huma.API
}

// New builds the routes and the document that describes them.
func New(c Config) (*API, error) {
	setUpHuma()
	a := &API{log: c.Log, services: c.Services, auth: c.Auth, forged: auth.NewBrake(time.Now, 60, 100*time.Millisecond), draining: c.Draining, router: chi.NewRouter()}
	a.catalog, a.orders = c.Catalog, ordersTable(c.Catalog)
	a.live, a.origins = c.Live, wsOrigins(c.CORSOrigins)
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(minCompressed))
	if err != nil {
		return nil, fmt.Errorf("compression: %w", err)
	}
	if len(c.TrustedProxies) > 0 {
		a.router.Use(behind(c.TrustedProxies))
	}
	a.router.Use(a.observe, protect)
	if len(c.CORSOrigins) > 0 {
		a.router.Use(allowOrigins(c.CORSOrigins))
	}
	a.router.Use(middleware.GetHead, limitBody, func(next http.Handler) http.Handler { return compress(next) })
	a.router.MethodNotAllowed(a.methodNotAllowed)

	a.huma = humachi.New(a.router, humaConfig())
	a.loginRoutes()
	a.orderRoutes()
	a.columnRoutes()
	a.editRoutes()
	a.syncRoutes()
	a.webhookRoutes()
	a.odooRoutes()
	a.liveRoutes()

	a.router.Get("/healthz", service.Alive)
	a.router.Method(http.MethodGet, "/readyz", c.Health)
	a.router.Method(http.MethodGet, "/metrics", promhttp.Handler())
	return a, errors.Join(a.docRoutes(), a.adminRoutes())
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

func allowOrigins(origins []string) func(http.Handler) http.Handler {
	return cors.Handler(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{
			"Accept", "Accept-Language", "Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "Prefer", companyName, "X-Request-ID",
		},
		ExposedHeaders: []string{"Age", "ETag", "Idempotency-Key", "Location", "Preference-Applied", "Retry-After", "X-Request-ID", staleName, "X-Total-Count"},
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
		if a.router.Match(chi.NewRouteContext(), lookup, r.URL.Path) {
			methods = append(methods, m)
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	fail(w, r, fault.New(methodNotAllowed,
		fault.T("Esta dirección no admite el método "+methodLabel(r.Method), "This address does not take the method "+methodLabel(r.Method))))
}

// ask asks a service, within patience.
func (a *API) ask(ctx context.Context, subject string, req any) (bus.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return a.services.Ask(ctx, subject, req)
}

// route adds an operation whose handler reads and writes HTTP itself: what the services answer is
// JSON already and is not decoded on its way. Errors are answered as problems. An empty role lets
// anybody in.
func (a *API) route(op huma.Operation, role auth.Role, handle func(http.ResponseWriter, *http.Request) error) {
	a.document(&op, role)
	a.huma.OpenAPI().AddOperation(&op)
	a.router.MethodFunc(op.Method, op.Path, func(w http.ResponseWriter, r *http.Request) {
		if err := a.admit(w, r, role); err != nil {
			fail(w, r, err)
			return
		}
		if err := handle(w, r); err != nil {
			fail(w, r, err)
		}
	})
}

// register adds an operation whose input huma reads and checks.
func register[I, O any](a *API, op huma.Operation, role auth.Role, handle func(context.Context, *I) (*O, error)) {
	a.document(&op, role)
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		r, w := humachi.Unwrap(ctx)
		if err := a.admit(w, r, role); err != nil {
			fail(w, r, err)
			return
		}
		next(ctx)
	})
	huma.Register(a.huma, op, handle)
}

var errForbidden = fault.New(fault.Forbidden, fault.T("No tiene permiso para esto", "You are not allowed to do this"))

// admit checks who asks. What is answered then is the caller's own business, for no shared cache.
func (a *API) admit(w http.ResponseWriter, r *http.Request, role auth.Role) error {
	if role == "" {
		w.Header()["Cache-Control"] = noStore
		return nil
	}
	id, err := a.auth.Identify(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	exchangeOf(r.Context()).who = id
	if !id.Role.Includes(role) {
		return errForbidden
	}
	w.Header()["Cache-Control"] = private
	return nil
}

var (
	noStore  = []string{"no-store"}
	private  = []string{"private, no-cache"}
	jsonType = []string{"application/json"}
)

// document completes an operation: who may call it, and the answers that all operations have.
func (a *API) document(op *huma.Operation, role auth.Role) {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	codes := append([]int{http.StatusRequestEntityTooLarge, http.StatusInternalServerError}, op.Errors...)
	op.Errors = nil // huma would add a 422
	if role != auth.Viewer && role != "" {
		codes = append(codes, http.StatusForbidden)
	}
	if role != "" {
		codes = append(codes, http.StatusUnauthorized)
		op.Security = []map[string][]string{{"password": {}}, {"bearer": {}}}
		op.Description += "\n\nRole: " + string(role) + " or more."
	} else {
		op.Security = []map[string][]string{}
	}
	for _, code := range codes {
		if key := strconv.Itoa(code); op.Responses[key] == nil {
			op.Responses[key] = a.problemResponse(exampleFault(code))
		}
	}
}

func (a *API) problemResponse(f *fault.Error) *huma.Response {
	example := problemOf(f, "es", "tQ3kZJ0pXb7nEXAMPLE0001")
	response := &huma.Response{
		Description: http.StatusText(int(f.Code)),
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schemaOf[Problem](a), Example: asJSON(example)},
		},
	}
	example.setHeaders(func(name, _ string) {
		if name == "Retry-After" || name == "WWW-Authenticate" {
			response.Headers = map[string]*huma.Param{name: {Schema: &huma.Schema{Type: huma.TypeString}}}
		}
	}, func(string, string) {})
	return response
}

func exampleFault(code int) *fault.Error {
	switch fault.Code(code) {
	case fault.Invalid:
		return fault.Field("page", fault.T("debe ser al menos 1", "must be at least 1"))
	case fault.Unauthenticated:
		return auth.ErrToken
	case fault.Forbidden:
		return errForbidden
	case fault.NotFound:
		return fault.New(fault.NotFound, fault.T("No existe el pedido recA1b2C3d4E5f6G7", "There is no order recA1b2C3d4E5f6G7"))
	case fault.Conflict:
		return fault.New(fault.Conflict, fault.T("Esa Idempotency-Key ya se usó para otra petición", "That Idempotency-Key was used for another request"))
	case fault.Stale:
		return fault.New(fault.Stale, fault.T("El pedido ha cambiado entretanto", "The order has changed meanwhile"))
	case fault.TooLarge:
		return errTooLarge
	case fault.TooMany:
		return fault.New(fault.TooMany, fault.T("Demasiados intentos; espere un momento", "Too many attempts; wait a moment"))
	case fault.Unavailable:
		return fault.Away("orders", nil)
	case unsupportedMedia:
		return errMediaType
	case upgradeRequired:
		return errWebSocket
	default:
		return fault.New(fault.Internal, errInternal)
	}
}

// schemaOf registers T and refers to it.
func schemaOf[T any](a *API) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// asJSON gives v as the plain maps and slices that its JSON has.
func asJSON(v any) any {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		panic(err) // an example in this package that is no JSON
	}
	return v
}

// clientIP is the address that behind found, or that of the connection.
func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
