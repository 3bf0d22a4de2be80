// Package route adds operations to the API: who may call them, how they are documented, how services are asked and
// bodies written. What an operation does is a room of its own: orders, odoo, airtable, push, session.
package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/problem"
)

// Routes adds operations: who may call each, how it is documented, and what every operation needs.
type Routes struct {
	Services Asker
	Auth     *auth.Authenticator
	Draining <-chan struct{} // closed when the process is to stop
	Router   chi.Router
	Huma     huma.API
}

const (
	// PeerTimeout is how long Odoo has to answer. odoo-bridge gives up earlier, and says why.
	PeerTimeout = 15 * time.Second
	// drainTimeout is how much of it is left once this process drains.
	drainTimeout = 3 * time.Second
)

// Timeout is how long a service has to answer: a client learns within two seconds that
// something is away, on a busy machine too.
const Timeout = 1500 * time.Millisecond

// Asker asks the services. Every error is a fault.Error.
type Asker interface {
	Ask(ctx context.Context, subject string, req any) (bus.Reply, error)
}

// Ask asks a service, within the time that a request may take.
func (a *Routes) Ask(ctx context.Context, subject string, req any) (bus.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return a.Services.Ask(ctx, subject, req)
}

// Add adds an operation whose handler reads and writes HTTP itself: what the services answer is
// JSON already and is not decoded on its way. Errors are answered as problems. An empty role lets
// anybody in.
func (a *Routes) Add(op huma.Operation, role auth.Role, handle func(http.ResponseWriter, *http.Request) error) {
	a.document(&op, role)
	a.Huma.OpenAPI().AddOperation(&op)
	a.Router.MethodFunc(op.Method, op.Path, func(w http.ResponseWriter, r *http.Request) {
		if err := a.admit(w, r, role); err != nil {
			problem.Write(w, r, err)
			return
		}
		if err := handle(w, r); err != nil {
			problem.Write(w, r, err)
		}
	})
}

// Register adds an operation whose input huma reads and checks.
func Register[I, O any](a *Routes, op huma.Operation, role auth.Role, handle func(context.Context, *I) (*O, error)) {
	a.document(&op, role)
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		r, w := humachi.Unwrap(ctx)
		if err := a.admit(w, r, role); err != nil {
			problem.Write(w, r, err)
			return
		}
		next(ctx)
	})
	huma.Register(a.Huma, op, handle)
}

// admit checks who asks. What is answered then is the caller's own business, for no shared cache.
func (a *Routes) admit(w http.ResponseWriter, r *http.Request, role auth.Role) error {
	if role == "" {
		w.Header()["Cache-Control"] = NoStore
		return nil
	}
	id, err := a.Auth.Identify(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	access.Of(r.Context()).Who = id
	if !id.Role.Includes(role) {
		return errForbidden
	}
	w.Header()["Cache-Control"] = private
	return nil
}

// document completes an operation: who may call it, and the answers that all operations have.
func (a *Routes) document(op *huma.Operation, role auth.Role) {
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
			op.Responses[key] = a.ProblemResponse(ExampleFault(code))
		}
	}
}

// ProblemResponse documents a problem.
func (a *Routes) ProblemResponse(f *fault.Error) *huma.Response {
	example := problem.Of(f, "es", "tQ3kZJ0pXb7nEXAMPLE0001")
	response := &huma.Response{
		Description: http.StatusText(int(f.Code)),
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: SchemaOf[problem.Problem](a), Example: AsJSON(example)},
		},
	}
	example.SetHeaders(func(name, _ string) {
		if name == "Retry-After" || name == "WWW-Authenticate" {
			response.Headers = map[string]*huma.Param{name: {Schema: &huma.Schema{Type: huma.TypeString}}}
		}
	}, func(string, string) {})
	return response
}

// ExampleFault gives an example of what is answered with a status.
func ExampleFault(code int) *fault.Error {
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
		return problem.ErrTooLarge
	case fault.TooMany:
		return fault.New(fault.TooMany, fault.T("Demasiados intentos; espere un momento", "Too many attempts; wait a moment"))
	case fault.Unavailable:
		return fault.Away("orders", nil)
	case problem.UnsupportedMedia:
		return problem.ErrMediaType
	case problem.UpgradeRequired:
		return problem.ErrWebSocket
	default:
		return fault.New(fault.Internal, problem.ErrInternal)
	}
}

// SchemaOf registers T and refers to it.
func SchemaOf[T any](a *Routes) *huma.Schema {
	return a.Huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// AsJSON gives v as the plain maps and slices that its JSON has.
func AsJSON(v any) any {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		panic(err) // an example in this package that is no JSON
	}
	return v
}

// ClientIP is the address that behind found, or that of the connection.
func ClientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

var errForbidden = fault.New(fault.Forbidden, fault.T("No tiene permiso para esto", "You are not allowed to do this"))

// Header values that requests share: to set one must not cost an allocation each time.
var (
	NoStore  = []string{"no-store"}
	private  = []string{"private, no-cache"}
	JSONType = []string{"application/json"}
)

// OK documents a 200.
func OK[T any](a *Routes, description string, example T) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: description,
		Content:     map[string]*huma.MediaType{"application/json": {Schema: SchemaOf[T](a), Example: AsJSON(example)}},
	}}
}

// AskSlow asks a service that may have to wait for Odoo or Airtable, and so gives it longer than Ask.
func (a *Routes) AskSlow(ctx context.Context, subject string, req any) (bus.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, PeerTimeout)
	defer cancel()
	go func() {
		select {
		case <-a.Draining:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(drainTimeout):
			cancel()
		case <-ctx.Done():
		}
	}()
	return a.Services.Ask(ctx, subject, req)
}

// ImageTypes are what browsers show and cannot run. SVG is not among them.
var ImageTypes = []string{"image/bmp", "image/gif", "image/jpeg", "image/png", "image/webp", "image/x-icon"}

// TagOf gives the entity tag of a reply, or makes one.
func TagOf(reply bus.Reply) string {
	if tag := reply.Header.Get(rpc.HeaderETag); tag != "" {
		return tag
	}
	return WeakETag(reply.Data, "")
}

// UntilDraining gives a context that ends, with the cause errDraining, when this process drains.
func (a *Routes) UntilDraining(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		select {
		case <-a.Draining:
			cancel(ErrDraining)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// ErrDraining is the cause of contexts that end because this process drains.
var ErrDraining = errors.New("draining")

// AskErrors lists the errors of an operation that asks a service.
func AskErrors(more ...int) []int {
	return append(more, http.StatusBadRequest, http.StatusServiceUnavailable)
}

// Cached documents an operation that answers If-None-Match, and the headers of its answer.
func Cached(op huma.Operation, headers ...string) huma.Operation {
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "If-None-Match", In: "header", Description: "an ETag: 304 if nothing has changed since", Schema: &huma.Schema{Type: huma.TypeString},
	})
	r := op.Responses["200"]
	r.Headers = map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}}
	for _, h := range headers {
		r.Headers[h] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeInteger}}
	}
	op.Responses["304"] = &huma.Response{
		Description: http.StatusText(http.StatusNotModified),
		Headers:     map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	return op
}

// WriteJSON answers with the parts of a body, or with 304 if the client has it already.
func WriteJSON(w http.ResponseWriter, r *http.Request, tag string, parts ...[]byte) {
	WriteBody(w, r, JSONType, tag, parts...)
}

// WriteBody is WriteJSON for bodies of any type.
func WriteBody(w http.ResponseWriter, r *http.Request, kind []string, tag string, parts ...[]byte) {
	h := w.Header()
	h["Etag"] = []string{tag}
	if HasTag(r.Header["If-None-Match"], tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	h["Content-Type"] = kind
	h["Content-Length"] = []string{strconv.Itoa(size)}
	for _, p := range parts {
		if len(p) == 0 {
			continue // gzhttp takes an empty first part for a body too small to compress, and names gzip all the same
		}
		if _, err := w.Write(p); err != nil {
			return // the client has gone
		}
	}
}

// WeakETag tags a body and what is said beside it. It is weak: the body may travel compressed.
func WeakETag(body []byte, beside string) string {
	sum := xxhash.Sum64(body)
	if beside != "" {
		sum = sum*31 + xxhash.Sum64String(beside)
	}
	return `W/"` + strconv.FormatUint(sum, 36) + `"`
}

// HasTag reports whether If-None-Match names tag, by the weak comparison of RFC 9110, section 13.1.2.
func HasTag(ifNoneMatch []string, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for _, line := range ifNoneMatch {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// Param documents a query parameter.
func Param(name, description string, schema *huma.Schema, example any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema, Example: example}
}

// Whole is the schema of whole numbers from low to high; 0 is no limit.
func Whole(low, high float64) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeInteger, Minimum: &low}
	if high > 0 {
		s.Maximum = &high
	}
	return s
}

// MaxValue is how long a text among parameters may be, in characters.
const MaxValue = 200

// Text is the schema of a text.
func Text() *huma.Schema { return &huma.Schema{Type: huma.TypeString, MaxLength: new(MaxValue)} }

// Texts is the schema of several.
func Texts() *huma.Schema { return &huma.Schema{Type: huma.TypeArray, Items: Text()} }

// ExampleTime is when the examples in the document happen.
var ExampleTime = time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)

// Unreadable is the error of a reply that cannot be used.
func Unreadable(err error) error {
	return fault.Wrap(fault.Internal, problem.ErrInternal, fmt.Errorf("a service's answer: %w", err))
}
