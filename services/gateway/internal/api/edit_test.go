package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/orders"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// editor stands in for the orders service where edits are concerned: it keeps the rules of
// ordersapi.EditRequest over the orders rec0 to rec1999, and settles edits when a test says so.
type editor struct {
	testing.TB
	mu    sync.Mutex
	edits map[string]*ordersapi.Edit // by id
	last  map[string]string          // the newest edit's id by record
	asked []ordersapi.EditRequest
	looks chan struct{} // one for each look at how edits stand
	fail  func(ordersapi.EditRequest) error
	gone  map[string]bool
	lags  bool // no read shows edits
}

func newEditor(t testing.TB) *editor {
	return &editor{TB: t, edits: map[string]*ordersapi.Edit{}, last: map[string]string{}, looks: make(chan struct{}, 1000), gone: map[string]bool{}}
}

func (e *editor) endpoints() map[string]bus.Handler {
	return map[string]bus.Handler{ordersapi.SubjectEdit: e.edit, ordersapi.SubjectEdits: e.look, ordersapi.SubjectGet: e.get}
}

func (e *editor) exists(id string) bool {
	var n int
	_, err := fmt.Sscanf(id, "rec%d", &n)
	return err == nil && n < 2000 && !e.gone[id]
}

// order gives an order and its tag; the tag changes with every edit and every outcome.
func (e *editor) order(id string) (json.RawMessage, string) {
	edit := e.edits[e.last[id]]
	if edit == nil {
		return json.RawMessage(orderJSON(id)), `"` + id + `-0"`
	}
	data, _ := json.Marshal(edit)
	return json.RawMessage(strings.TrimSuffix(orderJSON(id), "}") + `,"edit":` + string(data) + "}"), `"` + edit.ID + "-" + string(edit.State) + `"`
}

func (e *editor) edit(_ context.Context, data []byte) (bus.Reply, error) {
	var req ordersapi.EditRequest
	decodeJSON(e, data, &req)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, req)
	if e.fail != nil {
		if err := e.fail(req); err != nil {
			return bus.Reply{}, err
		}
	}
	var results []ordersapi.EditResult
	for i, edit := range req.Edits {
		result := ordersapi.EditResult{RecordID: edit.RecordID}
		id := fmt.Sprintf("edit%d-%d", len(e.asked), i)
		if req.IdempotencyKey != "" {
			id = strings.Map(func(r rune) rune {
				if r == '@' {
					return '_'
				}
				return r
			}, req.Actor.ID) + "-" + req.IdempotencyKey + "-" + edit.RecordID
		}
		known := e.edits[id]
		order, tag := e.order(edit.RecordID)
		switch {
		case known != nil && !sameValues(known.Values, edit.Values):
			return bus.Reply{}, fault.New(fault.Conflict, fault.T("Esa clave ya se usó", "That key was used"))
		case known != nil:
		case !e.exists(edit.RecordID):
			result.Fault = &ordersapi.EditFault{Code: fault.NotFound, Detail: fault.T("No existe el pedido "+edit.RecordID, "There is no order "+edit.RecordID)}
		case edit.IfMatch != "" && edit.IfMatch != "*" && !slices.Contains(strings.Split(edit.IfMatch, ", "), tag):
			result.Fault = &ordersapi.EditFault{Code: fault.Stale, Detail: fault.T("El pedido ha cambiado", "The order has changed")}
		default:
			e.edits[id] = &ordersapi.Edit{ID: id, State: event.Pending, Values: edit.Values, Actor: req.Actor, At: route.ExampleTime}
			e.last[edit.RecordID] = id
			order, tag = e.order(edit.RecordID)
		}
		if result.Fault == nil {
			result.Order, result.ETag, result.EditID, result.Lagging = order, tag, id, e.lags
		}
		results = append(results, result)
	}
	reply, err := json.Marshal(results)
	return bus.Reply{Data: reply}, err
}

func sameValues(a, b event.EditValues) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func (e *editor) look(_ context.Context, data []byte) (bus.Reply, error) {
	var req ordersapi.EditsQuery
	decodeJSON(e, data, &req)
	e.mu.Lock()
	defer e.mu.Unlock()
	edits := []ordersapi.Edit{}
	for _, id := range req.IDs {
		if edit := e.edits[id]; edit != nil && !e.lags {
			edits = append(edits, *edit)
		}
	}
	reply, err := json.Marshal(edits)
	select {
	case e.looks <- struct{}{}:
	default:
	}
	return bus.Reply{Data: reply}, err
}

func (e *editor) get(_ context.Context, data []byte) (bus.Reply, error) {
	var ref ordersapi.Ref
	decodeJSON(e, data, &ref)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.exists(ref.RecordID) {
		return bus.Reply{}, fault.New(fault.NotFound, fault.T("No existe el pedido", "There is no such order"))
	}
	order, tag := e.order(ref.RecordID)
	return bus.Reply{Data: order, Header: nats.Header{rpc.HeaderETag: {tag}}}, nil
}

// lag makes edits show in no read, or shows them.
func (e *editor) lag(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lags = on
}

// settle ends the newest edit of each order; a nil reason applies it.
func (e *editor) settle(reason *fault.Text, records ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, record := range records {
		edit := e.edits[e.last[record]]
		edit.State, edit.Reason, edit.SettledAt = event.Applied, reason, new(route.ExampleTime.Add(time.Second))
		if reason != nil {
			edit.State = event.Rejected
		}
	}
}

func (e *editor) requests() []ordersapi.EditRequest {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.asked)
}

func (r *rig) patch(path, text string, options ...option) response {
	r.Helper()
	return r.do(http.MethodPatch, path, append([]option{r.as(auth.Operator), jsonBody(text)}, options...)...)
}

func editable(t *testing.T) (*rig, *editor) {
	t.Helper()
	r, e := newRig(t), newEditor(t)
	r.serveOrders(e.endpoints())
	return r, e
}

// An edit that is safe but in no read yet is answered with 202; one that is shown while its outcome is
// waited for, with 200.
func TestEditNotShownYet(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	e.lag(true)
	var order orders.Order
	resp := r.patch("/api/orders/rec1", `{"status":"Sent"}`)
	resp.decode(http.StatusAccepted, &order)
	if order.Edit == nil || order.Edit.State != event.Pending || resp.Header.Get("ETag") == "" {
		t.Errorf("%s %v", resp.body, resp.Header)
	}
	var many orders.EditResults
	r.patch("/api/orders", `{"ids":["rec2","rec9999"],"values":{"status":"Sent"}}`).decode(http.StatusOK, &many)
	if many.Accepted != 1 || many.Failed != 1 || many.Results[0].Status != http.StatusAccepted || many.Results[0].Order == nil || many.Results[1].Status != http.StatusNotFound {
		t.Errorf("%+v", many)
	}
	answered := make(chan response)
	for len(e.looks) > 0 {
		<-e.looks
	}
	go func() { answered <- r.patch("/api/orders/rec4", `{"status":"Sent"}`, header("Prefer", "wait=20")) }()
	<-e.looks
	e.settle(nil, "rec4")
	e.lag(false)
	(<-answered).decode(http.StatusOK, &order)
	if order.Edit.State != event.Applied {
		t.Errorf("%+v", order.Edit)
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	for i, path := range []string{"/api/orders/rec1", "/api/orders/id/rec1"} {
		resp := r.patch(path, `{"status":"Sent"}`, header("Accept-Encoding", "gzip"))
		var order orders.Order
		resp.decode(http.StatusOK, &order)
		want, tag := e.order("rec1")
		if string(resp.body) != string(want) || resp.Header.Get("ETag") != tag || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Preference-Applied") != "" {
			t.Errorf("%s %v", resp.body, resp.Header)
		}
		if order.Edit == nil || order.Edit.State != event.Pending || order.Edit.Values["status"] != "Sent" || order.Edit.Actor.ID != "operator" {
			t.Errorf("%+v", order.Edit)
		}
		if got := r.get(path).Header.Get("ETag"); got != tag {
			t.Errorf("read with tag %s, edited with %s", got, tag)
		}
		asked := e.requests()[i]
		if len(asked.Edits) != 1 || asked.Edits[0].RecordID != "rec1" || asked.Edits[0].Values["priority"] != "" || asked.Edits[0].IfMatch != "" || asked.IdempotencyKey != "" {
			t.Errorf("%+v", asked)
		}
	}
	r.patch("/api/orders/rec1", `{"priority":"High","status":"Delivered"}`, bearer(sign(t, "ana@example.com", auth.Admin)),
		body("application/merge-patch+json", `{"priority":"High","status":"Delivered"}`)).want(http.StatusOK)
	if asked := e.requests()[2]; asked.Actor != (event.Actor{ID: "ana@example.com", Email: "ana@example.com"}) || asked.Edits[0].Values["priority"] != "High" {
		t.Errorf("%+v", asked)
	}
}

// What is wrong is a 400 that names it, in both languages, and the service is not even asked.
func TestEditInvalid(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	const one, many = "/api/orders/rec1", "/api/orders"
	longKey := header("Idempotency-Key", strings.Repeat("k", 256))
	edits := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"record_id":"rec%d","status":"Sent"}`, i))
		}
		return `{"edits":[` + strings.Join(all, ",") + `]}`
	}
	for _, c := range []struct {
		path, text, says string
		fields           []string
		options          []option
	}{
		{one, `{"status":"Sent","colour":"red"}`, "is not a known field", []string{"colour"}, nil},
		{one, `{"Status":"Sent"}`, "is not a known field", []string{"Status"}, nil},
		{one, `{"status":"Lost"}`, "must be one of: “Pending”, “Processing”, “Sent”, “Delivered”, “Cancelled”", []string{"status"}, nil},
		{one, `{"status":"Lost","priority":"sent"}`, "must be one of: “Low”, “Medium”, “High”", []string{"priority", "status"}, nil},
		{one, `{"status":null}`, "status: must be one of", []string{"status"}, nil},
		{one, `{"status":null,"priority":"Low"}`, "status: must be one of", []string{"status"}, nil},
		{one, `{"status":1}`, "status: must be a text", []string{"status"}, nil},
		{one, `{}`, orders.NoValues.EN, nil, nil},
		{one, ``, "The body of the request is missing", nil, nil},
		{one, `{"status":`, "The body is not valid JSON", nil, nil},
		{one, `{"status":"Sent"} {}`, "The body is not valid JSON", nil, nil},
		{one, `[{"status":"Sent"}]`, "must be an object", nil, nil},
		{one, `null`, "must be an object", nil, nil},
		{"/api/orders/a%20b", `{"status":"Sent"}`, "record_id", []string{"record_id"}, nil},
		{"/api/orders/id/" + strings.Repeat("x", 65), `{"status":"Sent"}`, "record_id", []string{"record_id"}, nil},
		{one + "?force=1", `{"status":"Sent"}`, "is not a known parameter", []string{"force"}, nil},
		{one, `{"status":"Sent"}`, "If-Match: must be", []string{"If-Match"}, []option{header("If-Match", "5f2c")}},
		{one, `{"status":"Sent"}`, "If-Match: must be", []string{"If-Match"}, []option{header("If-Match", "")}},
		{one, `{"status":"Sent"}`, "If-Match: must be", []string{"If-Match"}, []option{header("If-Match", `*, "a"`)}},
		{one, `{"status":"Sent"}`, "If-Match: must be", []string{"If-Match"}, []option{header("If-Match", `"a" "b"`)}},
		{one, `{"status":"Sent"}`, "If-Match: must be", []string{"If-Match"}, []option{header("If-Match", `"`+strings.Repeat("a", 2000)+`"`)}},
		{one, `{"status":"Sent"}`, "Idempotency-Key: must be", []string{"Idempotency-Key"}, []option{longKey}},
		{one, `{"status":"Sent"}`, "Idempotency-Key: must be", []string{"Idempotency-Key"}, []option{header("Idempotency-Key", "")}},
		{one, `{"status":"Sent"}`, "Idempotency-Key: must be", []string{"Idempotency-Key"}, []option{header("Idempotency-Key", "a b")}},
		{one, `{"status":"Sent"}`, "Idempotency-Key: must be", []string{"Idempotency-Key"}, []option{header("Idempotency-Key", "ñ")}},
		{one, `{"status":"Sent"}`, "Idempotency-Key: is repeated", []string{"Idempotency-Key"}, []option{func(q *http.Request) { q.Header["Idempotency-Key"] = []string{"a", "b"} }}},

		{many, `{}`, "Edits, or ids with values, are missing", nil, nil},
		{many, `{"edits":[]}`, "are missing", nil, nil},
		{many, `{"ids":[],"values":{"status":"Sent"}}`, "are missing", nil, nil},
		{many, `{"ids":["rec1"]}`, "values: " + orders.NoValues.EN, []string{"values"}, nil},
		{many, `{"ids":["rec1"],"values":{"priority":null}}`, "values.priority: must be one of", []string{"values.priority"}, nil},
		{many, `{"ids":["rec1"],"values":null}`, "values: " + orders.NoValues.EN, []string{"values"}, nil},
		{many, `{"ids":["rec1",null],"values":{"status":"Sent"}}`, "", []string{"ids[1]"}, nil},
		{many, `{"edits":[{"record_id":null,"status":"Sent"}]}`, "", []string{"edits[0].record_id"}, nil},
		{many, `{"edits":[{"record_id":"rec1","status":"Sent","if_match":null}]}`, "edits[0].if_match: must be", []string{"edits[0].if_match"}, nil},
		{many, `{"edits":[null]}`, "", []string{"edits[0]"}, nil},
		{many, `{"ids":["rec1"],"values":{}}`, "values: " + orders.NoValues.EN, []string{"values"}, nil},
		{many, `{"ids":["rec1"],"values":{"status":"Lost"}}`, "must be one of", []string{"values.status"}, nil},
		{many, `{"ids":["rec1"],"values":{"name":"x"}}`, "is not a known field", []string{"values.name"}, nil},
		{many, `{"edits":[{"record_id":"rec1","status":"Sent"}],"ids":["rec2"],"values":{"status":"Sent"}}`, "does not go with ids", []string{"edits"}, nil},
		{many, `{"edits":[{"record_id":"rec1","status":"Sent"},{"record_id":"rec2","status":"Lost"},{"record_id":"r/3","status":"Sent"}]}`, "must be one of", []string{"edits[1].status", "edits[2].record_id"}, nil},
		{many, `{"edits":[{"record_id":"rec1","status":"Sent"},{"record_id":"rec2"},{"record_id":"rec1","priority":"Low"}]}`, "rec1 is repeated", []string{"edits[1]", "edits[2].record_id"}, nil},
		{many, `{"ids":["rec1","rec2","rec1"],"values":{"status":"Sent"}}`, "ids[2]: rec1 is repeated", []string{"ids[2]"}, nil},
		{many, `{"ids":["rec1","a.b"],"values":{"status":"Sent"}}`, "is not a record id", []string{"ids[1]"}, nil},
		{many, `{"edits":[{"record_id":"rec1","status":"Sent","if_match":"x"}]}`, "edits[0].if_match: must be", []string{"edits[0].if_match"}, nil},
		{many, `{"edits":[{"record_id":"rec1","status":"Sent","colour":"red"}]}`, "is not a known field", []string{"edits[0].colour"}, nil},
		{many, edits(ordersapi.MaxEdits + 1), "edits: must have at most 1000 items", []string{"edits"}, nil},
		{many, `[{"record_id":"rec1","status":"Sent"}]`, "must be an object", nil, nil},
		{many, edits(1), "If-Match: does not go here", []string{"If-Match"}, []option{header("If-Match", `"a"`)}},
		{many + "?id=rec1", edits(1), "is not a known parameter", []string{"id"}, nil},
	} {
		p := r.patch(c.path, c.text, append(c.options, header("Accept-Language", "en"))...).problem(http.StatusBadRequest, c.fields...)
		if !strings.Contains(p.Detail, c.says) {
			t.Errorf("%.200s: %q", c.text, p.Detail)
		}
		es := r.patch(c.path, c.text, c.options...).problem(http.StatusBadRequest, c.fields...)
		if es.Detail == p.Detail {
			t.Errorf("%.200s: %q in Spanish", c.text, es.Detail)
		}
	}
	// However much is wrong, the answer stays small.
	if p := r.patch(many, strings.ReplaceAll(edits(ordersapi.MaxEdits), "Sent", "Lost")); p.StatusCode != http.StatusBadRequest || len(p.body) > 10_000 {
		t.Errorf("%d, %d bytes", p.StatusCode, len(p.body))
	}
	if p := r.patch(one, `{"`+strings.Repeat("x", 100_000)+`":1}`); p.StatusCode != http.StatusBadRequest || len(p.body) > 10_000 {
		t.Errorf("%d, %d bytes", p.StatusCode, len(p.body))
	}
	if asked := e.requests(); len(asked) > 0 {
		t.Errorf("the service was asked %d times, first %+v", len(asked), asked[0])
	}
}

func TestEditRefused(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	const sent = `{"status":"Sent"}`
	for _, path := range []string{"/api/orders/rec1", "/api/orders/id/rec1", "/api/orders"} {
		r.patch(path, sent, r.as(auth.Viewer)).problem(http.StatusForbidden)
		r.do(http.MethodPatch, path, jsonBody(sent)).problem(http.StatusUnauthorized)
		r.patch(path, sent, body("text/plain", sent)).problem(http.StatusUnsupportedMediaType)
		r.patch(path, sent, form("status=Sent")).problem(http.StatusUnsupportedMediaType)
		r.patch(path, strings.Repeat(" ", maxBody+1)).problem(http.StatusRequestEntityTooLarge)
	}
	if len(e.requests()) > 0 {
		t.Error("the service was asked")
	}
	if p := r.patch("/api/orders/rec9999", sent).problem(http.StatusNotFound); p.Detail != "No existe el pedido rec9999" {
		t.Errorf("%+v", p)
	}

	// Tags, as they were read, in any form that a proxy or a client makes of them.
	path := "/api/orders/rec1"
	stale := r.get(path).Header.Get("ETag")
	tag := r.patch(path, sent, header("If-Match", stale)).want(http.StatusOK).Header.Get("ETag")
	if p := r.patch(path, sent, header("If-Match", stale), header("Accept-Language", "en")).problem(http.StatusPreconditionFailed); p.Detail != "The order has changed" {
		t.Errorf("%+v", p)
	}
	for _, form := range []string{"%s", "W/%s", `"x", %s`, `"x",, W/"y" ,%s`, "*"} {
		if strings.Contains(form, "%s") {
			form = fmt.Sprintf(form, tag)
		}
		tag = r.patch(path, sent, header("If-Match", form)).want(http.StatusOK).Header.Get("ETag")
	}
	r.patch(path, sent, func(q *http.Request) { q.Header["If-Match"] = []string{`"x"`, tag} }).want(http.StatusOK)

	// The same key: the same edit, for the same content.
	key := header("Idempotency-Key", "key-1")
	var first, again, quoted orders.Order
	r.patch(path, `{"priority":"Low"}`, key).decode(http.StatusOK, &first)
	r.patch(path, `{"priority":"Low"}`, key).decode(http.StatusOK, &again)
	r.patch(path, `{"priority":"Low"}`, header("Idempotency-Key", `"key-1"`)).decode(http.StatusOK, &quoted)
	if first.Edit.ID != again.Edit.ID || first.Edit.ID != quoted.Edit.ID {
		t.Errorf("%s, %s, %s", first.Edit.ID, again.Edit.ID, quoted.Edit.ID)
	}
	r.patch(path, `{"priority":"High"}`, key).problem(http.StatusConflict)

	// Not known whether it was stored.
	e.fail = func(ordersapi.EditRequest) error { return fault.Away("Postgres", errors.New("secret")) }
	resp := r.patch(path, sent)
	if resp.problem(http.StatusServiceUnavailable); resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.nc.Close()
	r.patch(path, sent).problem(http.StatusServiceUnavailable)
}

func TestEditNonsense(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		`[]`, `{}`, `x`, `[{"record_id":"rec2","order":{},"etag":"\"a\""}]`, `[{"record_id":"rec1"}]`,
		`[{"record_id":"rec1","order":{"edit":{"reason":{"es":1}}},"etag":"\"a\"","edit_id":"e"}]`,
	} {
		r := newRig(t)
		r.serveOrders(map[string]bus.Handler{ordersapi.SubjectEdit: answer(reply)})
		r.patch("/api/orders/rec1", `{"status":"Sent"}`).problem(http.StatusInternalServerError)
	}
}

// Prefer: wait answers with the order as it is when Airtable has decided.
func TestEditWaits(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	refusal := fault.T("Airtable no admite ese valor", "Airtable does not take that value")
	for _, c := range []struct {
		lang, says string
		reason     *fault.Text
	}{{"es", "", nil}, {"es", refusal.ES, &refusal}, {"en", refusal.EN, &refusal}} {
		done := make(chan response)
		go func() {
			done <- r.patch("/api/orders/rec1", `{"status":"Sent"}`, header("Prefer", `respond-async, wait="20"`), header("Accept-Language", c.lang))
		}()
		<-e.looks
		e.settle(c.reason, "rec1")
		resp := <-done
		var order orders.Order
		resp.decode(http.StatusOK, &order)
		if order.Edit.State == event.Pending || order.Edit.Reason != c.says || resp.Header.Get("Preference-Applied") != "wait=20" {
			t.Errorf("%s %v", resp.body, resp.Header)
		}
		if weak := strings.HasPrefix(resp.Header.Get("ETag"), "W/"); weak != (c.reason != nil) || weak != slices.Contains(resp.Header.Values("Vary"), "Accept-Language") {
			t.Errorf("reason %v, %v", c.reason, resp.Header)
		}
		// The tag of a text in one language serves as well.
		r.patch("/api/orders/rec1", `{"status":"Sent"}`, header("If-Match", resp.Header.Get("ETag"))).want(http.StatusOK)
		for len(e.looks) > 0 {
			<-e.looks
		}
	}
	// In vain, and a preference that is none.
	for prefer, applied := range map[string]string{"wait=1": "wait=1", "wait=0": "", "wait=-1": "", "wait=soon": "", "wait": ""} {
		resp := r.patch("/api/orders/rec2", `{"status":"Sent"}`, header("Prefer", prefer))
		var order orders.Order
		resp.decode(http.StatusOK, &order)
		if order.Edit.State != event.Pending || resp.Header.Get("Preference-Applied") != applied {
			t.Errorf("%s: %s %v", prefer, resp.body, resp.Header)
		}
	}
	// The record has gone, and the order with it.
	done := make(chan response)
	go func() { done <- r.patch("/api/orders/rec3", `{"status":"Sent"}`, header("Prefer", "wait=20")) }()
	poll(t, func() bool {
		return len(e.requests()) > 0 && e.requests()[len(e.requests())-1].Edits[0].RecordID == "rec3"
	})
	e.settle(&refusal, "rec3")
	e.mu.Lock()
	e.gone["rec3"] = true
	e.mu.Unlock()
	(<-done).problem(http.StatusNotFound)
}

// A process that drains, and a client that goes, keep nobody waiting; the edit is accepted.
func TestEditWaitEnds(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := r.send(http.MethodPatch, "/api/orders/rec1", r.as(auth.Operator), jsonBody(`{"status":"Sent"}`), header("Prefer", "wait=30"),
			func(q *http.Request) { *q = *q.WithContext(ctx) })
		gone <- err
	}()
	<-e.looks
	cancel()
	if err := <-gone; err == nil {
		t.Error("answered")
	}
	poll(t, func() bool { return strings.Contains(r.log.String(), "path=/api/orders/rec1") })

	began := time.Now()
	done := make(chan response)
	for _, path := range []string{"/api/orders/rec2", "/api/orders"} {
		text := map[bool]string{true: `{"ids":["rec3","rec4"],"values":{"status":"Sent"}}`, false: `{"status":"Sent"}`}[path == "/api/orders"]
		go func() { done <- r.patch(path, text, header("Prefer", "wait=30")) }()
	}
	poll(t, func() bool { return len(e.requests()) == 3 })
	close(r.draining)
	for range 2 {
		if resp := (<-done).want(http.StatusOK); !strings.Contains(string(resp.body), `"state":"pending"`) {
			t.Errorf("%s", resp.body)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("drained after %s", took)
	}
}

// Waiting outlives the deadlines that the server sets for a request.
func TestEditWaitsBeyondDeadlines(t *testing.T) {
	t.Parallel()
	r, _ := editable(t)
	srv := httptest.NewUnstartedServer(r.api)
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	r.url = srv.URL
	for path, text := range map[string]string{"/api/orders/rec1": `{"status":"Sent"}`, "/api/orders": `{"ids":["rec2"],"values":{"status":"Sent"}}`} {
		if resp := r.patch(path, text, header("Prefer", "wait=2")).want(http.StatusOK); !strings.Contains(string(resp.body), `"state":"pending"`) {
			t.Errorf("%s", resp.body)
		}
	}
}

func TestEditMany(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	// A thousand: each by itself, in their order, the questions no larger than a page.
	var edits []string
	for i := range ordersapi.MaxEdits {
		id, tail := fmt.Sprintf("rec%d", i), ""
		switch i % 100 {
		case 7:
			id = fmt.Sprintf("nope%d", i)
		case 8:
			tail = `,"if_match":"W/\"old\""`
		case 9:
			tail = fmt.Sprintf(`,"if_match":"\"rec%d-0\", \"x\""`, i)
		}
		edits = append(edits, fmt.Sprintf(`{"record_id":%q,"status":"Sent","priority":"Low"%s}`, id, tail))
	}
	resp := r.patch("/api/orders", `{"edits":[`+strings.Join(edits, ",")+`]}`, header("Accept-Language", "en"), header("Idempotency-Key", "many"))
	var got orders.EditResults
	resp.decode(http.StatusOK, &got)
	if len(got.Results) != ordersapi.MaxEdits || got.Accepted != 980 || got.Failed != 20 {
		t.Fatalf("%d results, %d accepted, %d failed", len(got.Results), got.Accepted, got.Failed)
	}
	for i, result := range got.Results {
		switch i % 100 {
		case 7:
			if result.Status != http.StatusNotFound || result.Problem == nil || result.Problem.Detail != "There is no order "+result.RecordID || result.Order != nil {
				t.Errorf("%d: %+v", i, result)
			}
		case 8:
			if result.Status != http.StatusPreconditionFailed || result.Problem == nil || result.Problem.Title != "Precondition Failed" {
				t.Errorf("%d: %+v", i, result)
			}
		default:
			if result.RecordID != fmt.Sprintf("rec%d", i) || result.Status != http.StatusOK || result.Problem != nil || result.ETag == "" ||
				result.Order.RecordID != result.RecordID || result.Order.Edit.ID != result.EditID {
				t.Errorf("%d: %+v", i, result)
			}
		}
	}
	for _, asked := range e.requests() {
		if len(asked.Edits) > 100 || asked.IdempotencyKey != "many" || asked.Actor.ID != "operator" {
			t.Errorf("%d edits, %+v", len(asked.Edits), asked.Actor)
		}
	}

	// Refine's form, with their outcome.
	refusal := fault.T("no", "no way")
	done := make(chan response)
	go func() {
		done <- r.patch("/api/orders", `{"ids":["rec1001","rec1002","rec9999","rec1003"],"values":{"priority":"High"}}`, header("Prefer", "wait=20"), header("Accept-Language", "en"))
	}()
	<-e.looks
	e.settle(nil, "rec1001", "rec1003")
	e.settle(&refusal, "rec1002")
	resp = <-done
	var waited orders.EditResults
	resp.decode(http.StatusOK, &waited)
	if s := waited.Results; len(s) != 4 || s[0].Order.Edit.State != event.Applied || s[1].Order.Edit.State != event.Rejected || s[1].Order.Edit.Reason != "no way" ||
		s[2].Status != http.StatusNotFound || s[3].Order.Edit.State != event.Applied || s[3].ETag == s[0].ETag || resp.Header.Get("Preference-Applied") != "wait=20" {
		t.Errorf("%s", resp.body)
	}
}

// A part of many that fails is told of each of its edits; all that fail are one problem.
func TestEditManyInPart(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	var ids []string
	for i := range 250 {
		ids = append(ids, fmt.Sprintf(`"rec%d"`, i))
	}
	text := `{"ids":[` + strings.Join(ids, ",") + `],"values":{"status":"Sent"}}`
	e.fail = func(req ordersapi.EditRequest) error {
		if req.Edits[0].RecordID == "rec100" {
			return fault.Away("Postgres", nil)
		}
		return nil
	}
	var got orders.EditResults
	r.patch("/api/orders", text).decode(http.StatusOK, &got)
	for i, result := range got.Results {
		if want := map[bool]int{true: 503, false: 200}[i >= 100 && i < 200]; result.Status != want || result.RecordID != fmt.Sprintf("rec%d", i) {
			t.Errorf("%d: %+v", i, result)
		}
	}
	if got.Accepted != 150 || got.Failed != 100 {
		t.Errorf("%d and %d", got.Accepted, got.Failed)
	}
	e.mu.Lock()
	e.fail = func(ordersapi.EditRequest) error {
		return fault.New(fault.Conflict, fault.T("Esa clave ya se usó", "That key was used"))
	}
	e.mu.Unlock()
	r.patch("/api/orders", text, header("Idempotency-Key", "k")).problem(http.StatusConflict)
}

// Reasons come in the caller's language wherever an edit shows, and nothing else changes by a byte.
func TestReasons(t *testing.T) {
	t.Parallel()
	const (
		both    = `{"es":"no se \"admite\"", "en" : "not <taken>"}`
		entries = `[{"id":"e2","change":"rejected","at":"2026-11-03T09:00:00Z","source":"api","values":{"status":"Sent","reason":{"es":"a","en":"b"}},"edit_ids":["e2"],"reason":` + both + `},` +
			`{"id":"e1","change":"pending","at":"2026-11-03T09:00:00Z","source":"api","values":{"status":"Sent"},"actor":{"id":"ana"},"edit_ids":["e1"]}]`
	)
	order := strings.Replace(orderJSON("rec1"), `"fields":{`, `"edit":{"id":"e2","state":"rejected","values":{"status":"Sent"},"reason":`+both+`},"fields":{"reason": {"es":"x","en":"y"},"edit":{"reason":{"es":"x","en":"y"}},"n":1e5,`, 1)
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{
		ordersapi.SubjectGet: answer(order, rpc.HeaderETag, `"strong"`), ordersapi.SubjectHistory: answer(entries, rpc.HeaderTotal, "2"),
		ordersapi.SubjectList: answer("["+order+","+orderJSON("rec2")+","+order+"]", rpc.HeaderTotal, "3"),
	})
	for lang, text := range map[string]string{"es": `"no se \"admite\""`, "en": `"not \u003ctaken\u003e"`} {
		in := func(s string) string { return strings.ReplaceAll(s, both, text) }
		one := r.get("/api/orders/rec1", header("Accept-Language", lang))
		if string(one.body) != in(order) || one.Header.Get("ETag") != `W/"strong"` || !slices.Contains(one.Header.Values("Vary"), "Accept-Language") {
			t.Errorf("%s %v", one.body, one.Header)
		}
		if list := r.get("/api/orders?_start=0&_end=3", header("Accept-Language", lang)); string(list.body) != in("["+order+","+orderJSON("rec2")+","+order+"]") {
			t.Errorf("%s", list.body)
		}
		if page := r.get("/api/orders/rec1/history", header("Accept-Language", lang)); !strings.HasPrefix(string(page.body), `{"data":`+in(entries)) {
			t.Errorf("%s", page.body)
		}
	}
	if r.get("/api/orders", header("Accept-Language", "es")).Header.Get("ETag") == r.get("/api/orders", header("Accept-Language", "en")).Header.Get("ETag") {
		t.Error("two texts have one tag")
	}
}
