package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/airtable"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/odoo"
	"github.com/resonance/resonance/services/gateway/internal/orders"
	"github.com/resonance/resonance/services/gateway/internal/session"
)

// document is /openapi.json, and checks of values against its schemas.
type document struct {
	testing.TB
	root     map[string]any
	compiler *jsonschema.Compiler
}

func readDocument(r *rig) *document {
	r.Helper()
	raw := r.do(http.MethodGet, "/openapi.json").want(http.StatusOK).body
	d := &document{TB: r.TB, compiler: jsonschema.NewCompiler()}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		r.Fatal(err)
	}
	d.root = root.(map[string]any)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource("doc:openapi", root); err != nil {
		r.Fatal(err)
	}
	return d
}

// check validates value against the schema at pointer.
func (d *document) check(pointer string, value any) {
	d.Helper()
	schema, err := d.compiler.Compile("doc:openapi#" + pointer)
	if err != nil {
		d.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		d.Errorf("%s: %v", pointer, err)
	}
}

func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(token)
}

// examples calls f with every example in the document and where its schema is.
func (d *document) examples(f func(pointer string, value any)) (n int) {
	var walk func(pointer string, node any)
	walk = func(pointer string, node any) {
		switch node := node.(type) {
		case map[string]any:
			if _, ok := node["schema"]; ok {
				if example, ok := node["example"]; ok {
					n++
					f(pointer+"/schema", example)
				}
				named, _ := node["examples"].(map[string]any)
				for _, example := range named {
					n++
					f(pointer+"/schema", example.(map[string]any)["value"])
				}
			}
			for key, child := range node {
				if key != "example" && key != "examples" {
					walk(pointer+"/"+escape(key), child)
				}
			}
		case []any:
			for i, child := range node {
				walk(fmt.Sprintf("%s/%d", pointer, i), child)
			}
		}
	}
	walk("", d.root)
	return n
}

// operations calls f with every operation of the document.
func (d *document) operations(f func(method, path string, op map[string]any)) {
	for path, item := range d.root["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			f(strings.ToUpper(method), path, op.(map[string]any))
		}
	}
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	raw := r.do(http.MethodGet, "/openapi.json").want(http.StatusOK).body
	doc, err := libopenapi.NewDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	if doc.GetVersion() != "3.1.0" {
		t.Errorf("version %s", doc.GetVersion())
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("%s: %s %v", p.Message, p.Reason, p.SchemaValidationErrors)
		}
	}
	d := readDocument(r)
	if n := d.examples(d.check); n < 100 {
		t.Errorf("only %d examples", n)
	}
	ids := map[string]bool{}
	d.operations(func(method, path string, op map[string]any) {
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] || op["summary"] == nil {
			t.Errorf("%s %s: id %q, summary %v", method, path, id, op["summary"])
		}
		ids[id] = true
		for code, response := range op["responses"].(map[string]any) {
			content, _ := response.(map[string]any)["content"].(map[string]any)
			if len(content) == 0 && code != "204" && code != "304" {
				t.Errorf("%s %s: %s has no body", method, path, code)
			}
			for kind, media := range content {
				m := media.(map[string]any)
				if m["example"] == nil && m["examples"] == nil {
					t.Errorf("%s %s: %s %s has no example", method, path, code, kind)
				}
			}
		}
	})
}

// Orders go through as the service wrote them: the document must name what event.Order has, and the edit.
func TestOrderShapes(t *testing.T) {
	t.Parallel()
	names := func(typ reflect.Type) (all []string) {
		for f := range typ.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
				all = append(all, name)
			}
		}
		return all
	}
	if got, want := names(reflect.TypeFor[orders.Order]()), append(names(reflect.TypeFor[event.Order]()), "edit"); !slices.Equal(got, want) {
		t.Errorf("documented %v, served %v", got, want)
	}
}

// Every operation is called so that it answers with each status that it lists, as far as a client
// or a dependency can bring that about; what comes must be listed, and be as the document says.
func TestResponsesAreAsDocumented(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := readDocument(r)
	const order, plain = "/api/orders/id/rec1", "/api/orders/rec1"
	run := `{"id":"run1","mode":"full","trigger":"request","state":"failed","reason":{"es":"se cortó","en":"cut"},"started_at":"2026-11-03T09:00:00Z",` +
		`"finished_at":"2026-11-03T09:00:02Z","progress":{"records":1,"expected":2,"percent":50},"created":0,"updated":0,"deleted":0,"unchanged":0,"api_calls":1}`
	state := `{"mode":"incremental","mode_reason":{"es":"porque sí","en":"because"},"state":"idle","instance":"i","interval_seconds":300,"lag_seconds":1.5,` +
		`"last":` + run + `,"recent":[` + run + `],"held_deletions":{"count":30,"known":100},"orders":2,"order_problems":[{"record_id":"rec1","reason":{"es":"grande","en":"large"}}],"api_calls":{"total":1,"by_kind":{"list":1}},` +
		`"interval_reason":{"es":"lento","en":"slow"},"webhook":{"id":"ach1","cursor":3,"expires_at":"2026-11-10T09:00:00Z"},` +
		`"budget":{"month":"2026-11","since":"2026-11-01T00:00:00Z","calls":7,"by_kind":{"list":7},"pace_per_day":1.5,"projected":40,"warning":{"es":"poco","en":"little"}}}`

	seen := map[string]bool{}
	call := func(status int, method, pattern, path string, options ...option) {
		t.Helper()
		resp := r.do(method, path, options...).want(status)
		pointer := fmt.Sprintf("/paths/%s/%s/responses/%d", escape(pattern), strings.ToLower(method), status)
		seen[method+" "+pattern+" "+resp.Status[:3]] = true
		listed := d.lookup(pattern, strings.ToLower(method), resp.Status[:3])
		if listed == nil {
			t.Errorf("%s %s: %d is not listed", method, pattern, status)
			return
		}
		headers, _ := listed["headers"].(map[string]any)
		for name := range headers {
			if resp.Header.Get(name) == "" && name != "Preference-Applied" && name != odoo.HeaderStale {
				t.Errorf("%s %s: %d without the listed %s", method, path, status, name)
			}
		}
		content, _ := listed["content"].(map[string]any)
		if len(content) == 0 {
			if len(resp.body) > 0 {
				t.Errorf("%s %s: %d has a body: %s", method, path, status, resp.body)
			}
			return
		}
		kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		if content[kind] == nil {
			t.Errorf("%s %s: %d came as %s", method, path, status, kind)
			return
		}
		var value any = string(resp.body)
		if strings.Contains(kind, "json") {
			var err error
			if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(resp.body)); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
		}
		d.check(pointer+"/content/"+escape(kind)+"/schema", value)
	}
	const get, post, patch = http.MethodGet, http.MethodPost, http.MethodPatch
	const big = maxBody + 1
	viewer, operator := r.as(auth.Viewer), r.as(auth.Operator)
	tooBig := jsonBody(strings.Repeat(" ", big))

	// While no service is there.
	reads := map[string]string{
		"/api/orders": "/api/orders", "/api/orders/summary": "/api/orders/summary", "/api/orders/export.csv": "/api/orders/export.csv",
		"/api/orders/id/{record_id}": order, "/api/orders/id/{record_id}/history": order + "/history",
		"/api/orders/{record_id}": plain, "/api/orders/{record_id}/history": plain + "/history", "/api/orders/sync": "/api/orders/sync",
		"/api/orders/id/{record_id}/files/{attachment}": order + "/files/attPhoto", "/api/orders/{record_id}/files/{attachment}": plain + "/files/attPhoto",
	}
	for pattern, path := range reads {
		call(http.StatusServiceUnavailable, get, pattern, path, viewer)
		call(http.StatusUnauthorized, get, pattern, path)
		call(http.StatusRequestEntityTooLarge, get, pattern, path, viewer, tooBig)
		call(http.StatusBadRequest, get, pattern, path+"?colour=red", viewer)
	}
	call(http.StatusServiceUnavailable, post, "/api/orders/sync", "/api/orders/sync", operator)
	const described = "/api/orders/columns" // asks no service
	call(http.StatusOK, get, described, described, viewer)
	call(http.StatusBadRequest, get, described, described+"?colour=red", viewer)
	call(http.StatusUnauthorized, get, described, described)
	call(http.StatusRequestEntityTooLarge, get, described, described, viewer, tooBig)
	edits := map[string]string{"/api/orders/id/{record_id}": order, "/api/orders/{record_id}": plain}
	const sent, many = `{"status":"Sent"}`, `{"ids":["rec1","rec2"],"values":{"status":"Sent"}}`
	for pattern, path := range edits {
		call(http.StatusServiceUnavailable, patch, pattern, path, operator, jsonBody(sent))
	}
	call(http.StatusServiceUnavailable, patch, "/api/orders", "/api/orders", operator, jsonBody(many))
	const hook = "/webhooks/airtable"
	mac := header(airtable.HeaderMAC, goodMAC)
	call(http.StatusServiceUnavailable, post, hook, hook, jsonBody(pingBody), mac)
	upgrade := []option{header("Connection", "Upgrade"), header("Upgrade", "websocket"), header("Sec-WebSocket-Version", "13"), header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")}
	call(http.StatusServiceUnavailable, get, "/api/events", "/api/events", viewer)
	call(http.StatusUnauthorized, get, "/api/events", "/api/events")
	call(http.StatusRequestEntityTooLarge, get, "/api/events", "/api/events", viewer, tooBig)
	call(http.StatusBadRequest, get, "/api/events", "/api/events?since="+strings.Repeat("x", 200+1), viewer)
	call(http.StatusServiceUnavailable, get, "/ws", "/ws", upgrade...)
	call(http.StatusUnauthorized, get, "/ws", "/ws", append(upgrade, header("Authorization", "Bearer x"))...)
	call(http.StatusUpgradeRequired, get, "/ws", "/ws")
	call(http.StatusRequestEntityTooLarge, get, "/ws", "/ws", tooBig)
	seen["GET /api/events 200"], seen["GET /ws 101"] = true, true // they have no end: live_test.go reads them
	r.callOdoo(call)

	// With all there.
	e := newEditor(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectEdit: e.edit, ordersapi.SubjectEdits: e.look, ordersapi.SubjectGet: only(answer(withFile(orderJSON("rec1"))))})
	r.serve("airtable-sync", map[string]bus.Handler{
		syncapi.SubjectFile: func(_ context.Context, data []byte) (bus.Reply, error) {
			if strings.Contains(string(data), "attPage") {
				return bus.Reply{}, fault.New(fault.TooLarge, fault.T("grande", "large"))
			}
			return answer("picture", syncapi.HeaderSize, "7", rpc.HeaderContentType, "image/png")(t.Context(), data)
		},
		syncapi.SubjectRun: answer(`{"run_id":"run1"}`), syncapi.SubjectStatus: answer(state), syncapi.SubjectPing: func(_ context.Context, data []byte) (bus.Reply, error) {
			if strings.Contains(string(data), forgedMAC) {
				return bus.Reply{}, fault.New(fault.Forbidden, fault.T("no", "no"))
			}
			return bus.Reply{}, nil
		},
	})
	for pattern, path := range reads {
		call(http.StatusOK, get, pattern, path, viewer)
	}
	for _, pattern := range []string{"/api/orders", "/api/orders/summary", "/api/orders/id/{record_id}", "/api/orders/{record_id}", "/api/orders/id/{record_id}/history", "/api/orders/{record_id}/history"} {
		call(http.StatusNotModified, get, pattern, reads[pattern], viewer, header("If-None-Match", "*"))
	}
	call(http.StatusOK, get, "/api/orders", "/api/orders?_start=0&_end=10", viewer)
	for _, prefix := range []string{"/api/orders/id/", "/api/orders/"} {
		call(http.StatusNotFound, get, prefix+"{record_id}", prefix+"rec2", viewer)
		call(http.StatusNotFound, get, prefix+"{record_id}/history", prefix+"rec2/history", viewer)
		call(http.StatusBadRequest, get, prefix+"{record_id}", prefix+"a.b", viewer)
		call(http.StatusNotFound, get, prefix+"{record_id}/files/{attachment}", prefix+"rec1/files/attOther", viewer)
		call(http.StatusRequestEntityTooLarge, get, prefix+"{record_id}/files/{attachment}", prefix+"rec1/files/attPage", viewer)
		call(http.StatusNotModified, get, prefix+"{record_id}/files/{attachment}", prefix+"rec1/files/attPhoto", viewer, header("If-None-Match", `"attPhoto"`))
	}
	call(http.StatusOK, post, "/api/orders/sync", "/api/orders/sync", operator, jsonBody(`{"mode":"full","confirm_deletions":true}`))
	call(http.StatusAccepted, post, "/api/orders/sync", "/api/orders/sync", operator, header("Prefer", "wait=1, respond-async"))
	call(http.StatusForbidden, post, "/api/orders/sync", "/api/orders/sync", viewer)
	call(http.StatusUnauthorized, post, "/api/orders/sync", "/api/orders/sync")
	call(http.StatusBadRequest, post, "/api/orders/sync", "/api/orders/sync", operator, jsonBody(`{"mode":"fast"}`))
	call(http.StatusUnsupportedMediaType, post, "/api/orders/sync", "/api/orders/sync", operator, body("text/plain", "full"))
	call(http.StatusRequestEntityTooLarge, post, "/api/orders/sync", "/api/orders/sync", operator, tooBig)

	// Edits.
	for pattern, path := range edits {
		call(http.StatusOK, patch, pattern, path, operator, jsonBody(sent), header("Idempotency-Key", "k"))
		call(http.StatusConflict, patch, pattern, path, operator, jsonBody(`{"status":"Pending"}`), header("Idempotency-Key", "k"))
		call(http.StatusPreconditionFailed, patch, pattern, path, operator, jsonBody(sent), header("If-Match", `"old"`))
		call(http.StatusNotFound, patch, pattern, strings.Replace(path, "rec1", "nope", 1), operator, jsonBody(sent))
		e.lag(true)
		call(http.StatusAccepted, patch, pattern, path, operator, jsonBody(sent))
		e.lag(false)
	}
	edits["/api/orders"] = "/api/orders"
	for pattern, path := range edits {
		call(http.StatusBadRequest, patch, pattern, path, operator, jsonBody(`{"name":"x"}`))
		call(http.StatusUnauthorized, patch, pattern, path, jsonBody(sent))
		call(http.StatusForbidden, patch, pattern, path, viewer, jsonBody(sent))
		call(http.StatusUnsupportedMediaType, patch, pattern, path, operator, form("status=Sent"))
		call(http.StatusRequestEntityTooLarge, patch, pattern, path, operator, tooBig)
	}
	call(http.StatusOK, patch, "/api/orders", "/api/orders", operator, jsonBody(strings.Replace(many, "rec2", "nope", 1)), header("Prefer", "wait=1"), header("Idempotency-Key", "m"))
	call(http.StatusConflict, patch, "/api/orders", "/api/orders", operator, jsonBody(strings.Replace(many, "Sent", "Pending", 1)), header("Idempotency-Key", "m"))
	e.settle(new(fault.T("no", "no")), "rec1")
	call(http.StatusOK, patch, "/api/orders", "/api/orders", operator, jsonBody(strings.Replace(many, "rec2", "nope", 1)), header("Idempotency-Key", "m"))

	// Pings.
	call(http.StatusNoContent, post, hook, hook, jsonBody(pingBody), mac)
	call(http.StatusBadRequest, post, hook, hook, jsonBody(pingBody))
	call(http.StatusRequestEntityTooLarge, post, hook, hook, tooBig, mac)
	call(http.StatusForbidden, post, hook, hook, jsonBody(pingBody), header(airtable.HeaderMAC, forgedMAC))
	for range 1000 {
		if r.do(post, hook, jsonBody(pingBody)).StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	call(http.StatusTooManyRequests, post, hook, hook, jsonBody(pingBody))

	// Sessions.
	var tokens session.Tokens
	r.do(post, "/token", form("grant_type=password&username=viewer&password=correct+horse")).decode(http.StatusOK, &tokens)
	call(http.StatusOK, get, "/api/me", "/api/me", viewer)
	call(http.StatusUnauthorized, get, "/api/me", "/api/me")
	call(http.StatusRequestEntityTooLarge, get, "/api/me", "/api/me", viewer, tooBig)
	call(http.StatusOK, post, "/token", "/token", jsonBody(`{"username":"viewer","password":"correct horse"}`))
	call(http.StatusOK, post, "/token/refresh", "/token/refresh", form("refresh_token="+tokens.RefreshToken))
	call(http.StatusNoContent, post, "/token/revoke", "/token/revoke", jsonBody(`{"refresh_token":"`+tokens.RefreshToken+`"}`))
	call(http.StatusUnauthorized, post, "/token/refresh", "/token/refresh", form("refresh_token="+tokens.RefreshToken))
	for _, path := range []string{"/token", "/token/refresh", "/token/revoke"} {
		call(http.StatusBadRequest, post, path, path, form(""))
		call(http.StatusUnsupportedMediaType, post, path, path, body("text/plain", "x"))
		call(http.StatusRequestEntityTooLarge, post, path, path, tooBig)
	}
	for range 5 {
		call(http.StatusUnauthorized, post, "/token", "/token", form("username=viewer&password=wrong"))
	}
	call(http.StatusTooManyRequests, post, "/token", "/token", form("username=viewer&password=wrong"))

	// With NATS away.
	r.do(post, "/token", form("username=operator&password=correct+horse")).decode(http.StatusOK, &tokens)
	r.nats.Stop()
	poll(t, func() bool { return !r.nc.IsConnected() })
	call(http.StatusServiceUnavailable, post, "/token", "/token", form("username=operator&password=correct+horse"))
	call(http.StatusServiceUnavailable, post, "/token/refresh", "/token/refresh", form("refresh_token="+tokens.RefreshToken))
	call(http.StatusServiceUnavailable, post, "/token/revoke", "/token/revoke", form("refresh_token="+tokens.RefreshToken))

	d.operations(func(method, path string, op map[string]any) {
		for _, code := range slices.Sorted(maps.Keys(op["responses"].(map[string]any))) {
			if key := method + " " + path + " " + code; !seen[key] && code != "500" {
				t.Errorf("%s is listed and was never answered", key)
			}
		}
	})
}

func (d *document) lookup(path, method, code string) map[string]any {
	var node any = d.root
	for _, key := range []string{"paths", path, method, "responses", code} {
		m, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = m[key]
	}
	m, _ := node.(map[string]any)
	return m
}

func decodeJSON(t testing.TB, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}
