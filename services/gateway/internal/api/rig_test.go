package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/pkg/servicetest"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/live"
	"github.com/resonance/resonance/services/gateway/internal/problem"
)

// orderColumns are the columns there are.
var orderColumns = schema.Names(func(schema.Column) bool { return true })

// seedColumns are those of a base in English.
var seedColumns = columns.Source{Name: columns.Main, Columns: []columns.Column{
	{Name: "status", Field: "fld1", Title: "Status", Kind: schema.Choice, Editable: true, Offers: offers(event.Statuses)},
	{Name: "priority", Field: "fld2", Title: "Priority", Kind: schema.Choice, Editable: true, Offers: offers(event.Priorities)},
}}

func offers(values []string) (list []columns.Offer) {
	for _, v := range values {
		list = append(list, columns.Offer{Value: v, Title: v})
	}
	return list
}

// natsAsker asks over a real connection.
type natsAsker struct{ nc *nats.Conn }

func (a natsAsker) Ask(ctx context.Context, subject string, req any) (bus.Reply, error) {
	return bus.Ask(ctx, a.nc, subject, req)
}

// rig is the API over HTTP, with a real NATS and in place of the services what a test puts there.
type rig struct {
	testing.TB
	url      string
	api      *API
	nats     *natstest.Server
	nc       *nats.Conn
	draining chan struct{}
	hub      *live.Hub
	catalog  columns.Catalog
	log      *logs
	tokens   map[auth.Role]string
}

// logs collects what is logged.
type logs struct {
	mu    sync.Mutex
	text  []byte
	bench bool // forget it all
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.bench {
		l.text = append(l.text, p...)
	}
	return len(p), nil
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Hashing takes its time, with the race detector above all: all tests share one hash.
var passwordHash = sync.OnceValue(func() string { return auth.HashPassword("correct horse") })

var testSecret = []byte("a secret of tests, 32 bytes or more")

func sign(t testing.TB, name string, role auth.Role) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": name, "role": role, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newRig(t testing.TB, change ...func(*auth.Config)) *rig {
	t.Helper()
	r := &rig{TB: t, nats: natstest.Start(t), draining: make(chan struct{}), log: &logs{}, tokens: map[auth.Role]string{}}
	var js jetstream.JetStream
	r.nc, js = r.nats.Connect()
	if err := bus.Ensure(t.Context(), js, 1, bus.BucketSessions); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), bus.BucketSessions)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users")
	lines := ""
	for _, role := range auth.Roles {
		lines += fmt.Sprintf("%s:%s:%s\n", role, role, passwordHash())
		r.tokens[role] = sign(t, string(role), role)
	}
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	users := auth.NewUsers(path, "", "")
	log := slog.New(slog.NewTextHandler(r.log, nil))
	r.hub = live.New(log, time.Minute, live.Feed{
		Stream: "S", Subjects: []string{"s.*"}, Resources: []string{"orders"},
		Read: func(subject string, _ nats.Header) (live.Change, bool) {
			return live.Change{Resource: "orders", ID: subject[2:], Kind: "updated"}, true
		},
	})
	of := auth.Config{
		Secret: testSecret, Users: users, Log: log, Now: time.Now,
		Sessions: func() (jetstream.KeyValue, error) {
			if !r.nc.IsConnected() {
				return nil, fault.Away("NATS", nats.ErrDisconnected)
			}
			return kv, nil
		},
	}
	for _, c := range change {
		c(&of)
	}
	r.catalog.Set(seedColumns)
	a, err := New(Config{
		Live: r.hub, Catalog: &r.catalog,
		Log: log, Services: natsAsker{r.nc}, Health: &service.Health{}, Draining: r.draining, CORSOrigins: []string{"https://admin.example.com"},
		Auth: auth.New(of),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.api = a
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

// serve puts a service on NATS until the test ends.
func (r *rig) serve(name string, endpoints map[string]bus.Handler) *bus.Server {
	r.Helper()
	srv, err := bus.Serve(r.nc, slog.New(slog.DiscardHandler), bus.Service{
		Name: name, Version: "1.0.0", Endpoints: endpoints, Workers: 8, Timeout: 30 * time.Second,
	})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = srv.Stop(r.Context()) }) // that context has ended: nobody is waited for
	return srv
}

// answer makes a handler that always says the same.
func answer(body string, headers ...string) bus.Handler {
	h := nats.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return func(context.Context, []byte) (bus.Reply, error) { return bus.Reply{Header: h, Data: []byte(body)}, nil }
}

func refuse(err error) bus.Handler {
	return func(context.Context, []byte) (bus.Reply, error) { return bus.Reply{}, err }
}

// orderJSON is an order as the orders service sends it.
func orderJSON(id string) string {
	return fmt.Sprintf(`{"record_id":%q,"name":"Pedido","customer":"Núñez","status":"Pending","priority":null,"amount":12.50,`+
		`"order_date":"2026-11-03","created_at":"2026-11-03T09:00:00Z","updated_at":"2026-11-03T09:00:00Z","fields":{"Cliente":"Núñez"}}`, id)
}

// withFile gives an order a picture: the address stands before the id, and the thumbnails after it.
func withFile(order string) string {
	return strings.Replace(order, `"fields":{`, `"fields":{"Nota":"\"att","Fotos":[{"url":"https://v5.airtableusercontent.com/a","id":"attPhoto","filename":"foto \"1\" ñ.png","size":7,`+
		`"thumbnails":{"small":{"url":"https://v5.airtableusercontent.com/b","width":3},"large":{"url":"https://v5.airtableusercontent.com/c"}}},{"id":"attPage","url":"https://x/y","filename":"page.html"}],"Otros":["attPhoto"],`, 1)
}

const (
	summaryJSON = `{"total":1,"amount":12.5,"by_status":[{"status":"Pending","count":1,"amount":12.5}],` +
		`"by_priority":[{"priority":null,"count":1,"amount":12.5}],"by_day":[{"day":"2026-11-03","count":1,"amount":12.5}]}`
	historyJSON = `[{"id":"e2","change":"rejected","at":"2026-11-03T10:00:00Z","source":"api","values":{"status":"Sent"},"actor":{"id":"ana"},"edit_ids":["e2"],` +
		`"reason":{"es":"no","en":"no"}},{"id":"e1","change":"created","at":"2026-11-03T09:00:00Z","source":"airtable","values":{"status":"Pending"}}]`
)

// only answers for rec1, as h does; there are no other orders.
func only(h bus.Handler) bus.Handler {
	return func(ctx context.Context, data []byte) (bus.Reply, error) {
		var ref ordersapi.Ref
		if err := json.Unmarshal(data, &ref); err != nil || ref.RecordID != "rec1" {
			return bus.Reply{}, fault.New(fault.NotFound, fault.T("No existe ese pedido", "There is no such order"))
		}
		return h(ctx, data)
	}
}

// serveOrders stands in for the orders service: 23 orders, and rec1 is the only one to be had alone.
func (r *rig) serveOrders(change ...map[string]bus.Handler) {
	r.Helper()
	endpoints := map[string]bus.Handler{
		ordersapi.SubjectList:    answer("["+orderJSON("rec1")+"]", rpc.HeaderTotal, "23"),
		ordersapi.SubjectGet:     only(answer(orderJSON("rec1"), rpc.HeaderETag, `"strong"`)),
		ordersapi.SubjectSummary: answer(summaryJSON),
		ordersapi.SubjectHistory: only(answer(historyJSON, rpc.HeaderTotal, "2")),
	}
	for _, c := range change {
		maps.Copy(endpoints, c)
	}
	r.serve("orders", endpoints)
}

// option changes a request.
type option func(*http.Request)

func header(name, value string) option {
	return func(q *http.Request) { q.Header.Set(name, value) }
}

func body(contentType, text string) option {
	return func(q *http.Request) {
		q.Header.Set("Content-Type", contentType)
		q.Body = io.NopCloser(strings.NewReader(text))
		q.ContentLength = int64(len(text))
	}
}

func form(text string) option { return body("application/x-www-form-urlencoded", text) }

func jsonBody(text string) option { return body("application/json", text) }

func bearer(token string) option { return header("Authorization", "Bearer "+token) }

// as sends the token of a user with that role.
func (r *rig) as(role auth.Role) option { return bearer(r.tokens[role]) }

// response is one that has been read.
type response struct {
	*http.Response
	rig  *rig
	body []byte
}

func (r *rig) do(method, path string, options ...option) response {
	r.Helper()
	resp, err := r.send(method, path, options...)
	if err != nil {
		r.Fatal(err)
	}
	return resp
}

func (r *rig) send(method, path string, options ...option) (response, error) {
	req, err := http.NewRequestWithContext(r.Context(), method, r.url+path, http.NoBody)
	if err != nil {
		return response{}, err
	}
	for _, o := range options {
		o(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return response{resp, r, data}, err
}

// get asks as a viewer.
func (r *rig) get(path string, options ...option) response {
	r.Helper()
	return r.do(http.MethodGet, path, append([]option{r.as(auth.Viewer)}, options...)...)
}

// decode checks the status and reads the body into v.
func (p response) decode(status int, v any) {
	p.rig.Helper()
	p.want(status)
	if err := json.Unmarshal(p.body, v); err != nil {
		p.rig.Fatalf("%s: %v", p.body, err)
	}
}

func (p response) want(status int) response {
	p.rig.Helper()
	if p.StatusCode != status {
		p.rig.Fatalf("%s %s: %d, want %d: %s", p.Request.Method, p.Request.URL, p.StatusCode, status, p.body)
	}
	return p
}

// problem checks that the answer is a whole problem, whose errors name exactly fields.
func (p response) problem(status int, fields ...string) problem.Problem {
	p.rig.Helper()
	var got problem.Problem
	p.decode(status, &got)
	if p.Header.Get("Content-Type") != "application/problem+json" || got.Status != status || got.Title != http.StatusText(status) ||
		got.Detail == "" || got.Type != "about:blank" || got.Instance != "urn:request:"+p.Header.Get("X-Request-ID") {
		p.rig.Errorf("%s: not a whole problem: %s", p.Request.URL, p.body)
	}
	for _, f := range fields {
		if got.Errors[f] == "" {
			p.rig.Errorf("%s: %q is not named: %s", p.Request.URL, f, p.body)
		}
	}
	if len(got.Errors) != len(fields) {
		p.rig.Errorf("%s: errors %v, want of %v", p.Request.URL, got.Errors, fields)
	}
	return got
}

func poll(t testing.TB, ok func() bool) {
	t.Helper()
	servicetest.Eventually(t, "what the test waits for", ok)
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func filter(field string, op rpc.Op, values ...string) rpc.Filter {
	return rpc.Filter{Field: field, Op: op, Values: values}
}
