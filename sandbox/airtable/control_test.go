package airtabletest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	clk := newClock() // in November
	c := start(t, airtabletest.Config{Orders: 1, MonthlyLimit: 3, Now: clk.now})
	base := c.s.Config().BaseID
	c.list(nil)
	c.do(http.MethodGet, c.hooks(), nil)
	c.do(http.MethodGet, "/v0/meta/bases/"+base+"/tables", nil)
	for _, path := range []string{c.table(), c.hooks()} {
		a := c.do(http.MethodGet, path, nil)
		refused(t, a, 429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED")
		if a.header.Get("Retry-After") != "" {
			t.Error("a used-up month has a Retry-After")
		}
	}
	if a := c.do(http.MethodGet, "/v0/meta/bases/"+base+"/tables", nil); a.status != http.StatusOK {
		t.Errorf("metadata beyond the limit: %d", a.status)
	}
	if q := c.s.Quota(); q != (airtabletest.Quota{Limit: 3, Used: 4, Month: "2026-11"}) {
		t.Errorf("%+v", q)
	}
	clk.advance(20 * 24 * time.Hour)
	c.list(nil)
	if a := c.do(http.MethodGet, "/_sandbox/quota", nil); a.text != `{"limit":3,"used":1,"month":"2026-12"}` {
		t.Errorf("next month: %s", a.text)
	}
	c.do(http.MethodPost, "/_sandbox/quota", object{"limit": 10, "used": 10})
	refused(t, c.do(http.MethodGet, c.table(), nil), 429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED")
	c.do(http.MethodPost, "/_sandbox/quota", object{})
	c.list(nil)
}

func TestRateChanges(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := start(t, airtabletest.Config{Orders: 1, Now: clk.now})
	c.do(http.MethodPost, "/_sandbox/rate", object{"per_second": 2, "penalty_ms": 500})
	hook := c.watch(spec("", tableData(), nil)) // webhooks share the base's limit
	c.list(nil)
	refused(t, c.do(http.MethodGet, hook+"/payloads", nil), 429, "RATE_LIMIT_REACHED")
	clk.advance(499 * time.Millisecond)
	refused(t, c.do(http.MethodGet, c.table(), nil), 429, "RATE_LIMIT_REACHED")
	clk.advance(time.Millisecond)
	c.list(nil)
	if n := c.s.Calls(); n.Throttled != 2 || n.Payloads != 1 || n.Webhooks != 1 {
		t.Errorf("%+v", n)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1})
	id := c.s.RecordIDs()[0]
	c.do(http.MethodPost, "/_sandbox/scopes", object{"revoke": []string{"data.records:write"}})
	c.list(nil)
	edit := func() answer {
		return c.do(http.MethodPatch, c.table()+"/"+id, object{"fields": object{"Status": "Sent"}})
	}
	refused(t, edit(), 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
	refused(t, c.do(http.MethodDelete, c.table()+"/"+id, nil), 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
	c.do(http.MethodPost, "/_sandbox/scopes", object{"grant": []string{"data.records:write"}})
	c.do(http.MethodPost, "/_sandbox/fields", object{"field": "Status", "locked": true})
	refused(t, edit(), 403, "INVALID_PERMISSIONS")
	c.do(http.MethodPost, "/_sandbox/fields", object{"field": "Status", "locked": false})
	if a := edit(); a.status != http.StatusOK {
		t.Error(a.text)
	}
	refused(t, c.do(http.MethodPost, "/_sandbox/scopes", object{"revoke": []string{"everything"}}), 422, "INVALID_REQUEST_UNKNOWN")
}

// TestFieldsChange shows writes refused after a person changed the schema.
func TestFieldsChange(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 20})
	hook := c.watch(spec("", object{"dataTypes": []string{"tableData", "tableFields"}}, nil))
	id, err := c.s.CreateRecord(airtabletest.Fields{"Status": "Sent", "Tags": []string{"Web", "Export"}})
	if err != nil {
		t.Fatal(err)
	}
	had := len(c.list(map[string][]string{"filterByFormula": {"{Status}='Sent'"}}).records())
	for _, gone := range []object{{"field": "Status", "remove_choice": "Sent"}, {"field": "Tags", "remove_choice": "Web"}} {
		if a := c.do(http.MethodPost, "/_sandbox/fields", gone); a.status != http.StatusOK {
			t.Fatal(a.text)
		}
	}
	r, _ := c.s.Record(id)
	if r.Fields["Status"] != nil || fmt.Sprint(r.Fields["Tags"]) != "[Export]" {
		t.Errorf("%v", r.Fields)
	}
	refused(t, c.do(http.MethodPatch, c.table()+"/"+id, object{"fields": object{"Status": "Sent"}}), 422, "INVALID_MULTIPLE_CHOICE_OPTIONS")
	list, _ := c.payloads(hook, 2)
	if n := len(at(list[0], "changedTablesById", c.s.Config().TableID, "changedRecordsById").(object)); n != had {
		t.Errorf("%d of %d records are said to have changed", n, had)
	}

	if a := c.do(http.MethodPost, "/_sandbox/fields", object{"field": "Priority", "formula": "{Order}&'!'"}); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	refused(t, c.do(http.MethodPatch, c.table()+"/"+id, object{"fields": object{"Priority": "High"}}), 422, "INVALID_VALUE_FOR_COLUMN")
	if r := c.s.Records()[0]; r.Fields["Priority"] != fmt.Sprint(r.Fields["Order"], "!") {
		t.Errorf("%v", r.Fields)
	}
	list, _ = c.payloads(hook, 4)
	change := at(list[0], "changedTablesById", c.s.Config().TableID, "changedFieldsById", c.fieldID("Priority"))
	equal(t, "converted", change, object{"current": object{"type": "formula"}})
	for _, bad := range []object{
		{"field": "Priority", "formula": "{Number}"}, {"field": "Priority", "formula": "{Priority}"}, {"field": "Nothing", "delete": true},
		{"field": "Status", "remove_choice": "Lost"}, {"field": "Customer", "add_choice": "x"}, {"field": "Status"}, {"fold": "Status"},
		{"add": object{"name": "x", "type": "magic"}}, {"field": "Status", "rename": "Customer"},
	} {
		refused(t, c.do(http.MethodPost, "/_sandbox/fields", bad), 422, "INVALID_REQUEST_UNKNOWN")
	}
	for _, good := range []object{
		{"add": object{"name": "x", "type": "number"}}, {"field": "x", "rename": "y"}, {"field": "y", "delete": true}, {"field": "Status", "add_choice": "Lost"},
	} {
		if a := c.do(http.MethodPost, "/_sandbox/fields", good); a.status != http.StatusOK {
			t.Errorf("%v: %s", good, a.text)
		}
	}
}

func TestRecordsOverControl(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 3})
	hook := c.watch(spec("", tableData(), nil))
	ids := c.s.RecordIDs()
	ana := airtabletest.User{ID: "usrAna", Email: "ana@example.com", PermissionLevel: "edit"}
	a := c.do(http.MethodPost, "/_sandbox/records", object{
		"as":     ana,
		"create": []object{{"Order": "one"}, {"Order": "two"}},
		"update": []object{{"ids": ids[:2], "fields": object{"Status": "Sent"}}},
		"delete": ids[2:],
	})
	created, _ := a.json["created"].([]any)
	if a.status != http.StatusOK || len(created) != 2 || a.json["deleted"] != 1.0 {
		t.Fatal(a.text)
	}
	list, _ := c.payloads(hook, 1)
	if len(list) != 3 {
		t.Fatalf("%d payloads", len(list))
	}
	for _, p := range list {
		equal(t, "author", p["actionMetadata"], object{"source": "client", "sourceMetadata": object{"user": ana}})
	}
	one := c.do(http.MethodGet, "/_sandbox/records/"+ids[0], nil)
	all := c.do(http.MethodGet, "/_sandbox/records", nil)
	var records []airtabletest.Record
	if err := json.Unmarshal([]byte(all.text), &records); err != nil || len(records) != 4 || at(one.json, "fields", "Status") != "Sent" {
		t.Errorf("%s\n%s", all.text, one.text)
	}
	refused(t, c.do(http.MethodGet, "/_sandbox/records/"+ids[2], nil), 404, "NOT_FOUND")
	for _, bad := range []any{"[]", object{"created": 1}, object{"update": []object{{"ids": []string{"rec"}}}}} {
		refused(t, c.do(http.MethodPost, "/_sandbox/records", bad), 422, "INVALID_REQUEST_UNKNOWN")
	}
}

func TestWebhooksOverControl(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1, PingRetry: time.Millisecond})
	url, pings, _ := receiver(t)
	hook := c.watch(spec(url, tableData(), nil))
	id := hook[len(c.hooks())+1:]
	tell := func(body object) {
		t.Helper()
		if a := c.do(http.MethodPost, "/_sandbox/webhooks/"+id, body); a.status != http.StatusOK {
			t.Fatal(a.text)
		}
	}
	edit := func(text string) {
		if err := c.s.UpdateRecord(c.s.RecordIDs()[0], airtabletest.Fields{"Notes": text}); err != nil {
			t.Fatal(err)
		}
	}
	tell(object{"do": "ping"})
	next(t, pings)
	edit("one")
	tell(object{"do": "skip", "n": 5})
	edit("two")
	if list, next := c.payloads(hook, 1); len(list) != 2 || next != 8 {
		t.Errorf("after a gap of 5: %d payloads, next %d", len(list), next)
	}
	tell(object{"do": "forget"})
	if list, next := c.payloads(hook, 1); len(list) != 0 || next != 1 || c.shown()["cursorForNextPayload"] != 8.0 {
		t.Errorf("forgotten: %d payloads, next %d", len(list), next)
	}
	tell(object{"do": "error", "code": "INTERNAL_ERROR"})
	edit("three")
	tell(object{"do": "error", "code": "INVALID_FILTERS"})
	edit("four")
	list, _ := c.payloads(hook, 8)
	if len(list) != 3 || list[0]["code"] != "INTERNAL_ERROR" || list[1]["error"] != nil || list[2]["code"] != "INVALID_FILTERS" {
		t.Errorf("%v", list)
	}
	if w := c.s.Webhooks()[0]; w.Enabled || w.Pings == 0 || w.NextCursor != 11 {
		t.Errorf("%+v", w)
	}
	tell(object{"do": "expire"})
	refused(t, c.do(http.MethodPost, "/_sandbox/webhooks/"+id, object{"do": "explode"}), 422, "INVALID_REQUEST_UNKNOWN")
	tell(object{"do": "remove"})
	refused(t, c.do(http.MethodGet, hook+"/payloads", nil), 404, "NOT_FOUND")
	if a := c.do(http.MethodGet, "/_sandbox/webhooks", nil); a.text != "[]" {
		t.Error(a.text)
	}
}

// TestWrites: the audit has what took effect, and only that, in its order.
func TestWrites(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 3})
	ids := c.s.RecordIDs()
	created := c.do(http.MethodPost, c.table(), object{"fields": object{"Order": "new"}})
	patch := object{"records": []object{{"id": ids[0], "fields": object{"Status": "Sent"}}, {"id": ids[1], "fields": object{"Notes": nil}}}}
	c.do(http.MethodPatch, c.table(), patch)
	c.do(http.MethodPatch, c.table(), object{"records": []object{{"id": ids[0], "fields": object{"Status": "Lost"}}}}) // refused
	c.s.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Drop})
	_, _ = c.try(http.MethodPatch, c.table(), patch) // cut before it takes effect
	c.s.Fail(airtabletest.Fault{Method: http.MethodPut, Do: airtabletest.Drop, Applied: true})
	_, err := c.try(http.MethodPut, c.table()+"/"+ids[2], object{"fields": object{"Order": "cut"}})
	if err == nil {
		t.Error("the connection was not cut")
	}
	c.do(http.MethodPatch, c.table(), object{"performUpsert": object{"fieldsToMergeOn": []string{"Order"}}, "records": []object{{"fields": object{"Order": "upserted"}}}})
	c.do(http.MethodDelete, c.table()+"?records[]="+ids[0]+"&records[]="+ids[1], nil)
	c.do(http.MethodDelete, c.table()+"/"+ids[2], nil)
	_ = c.s.UpdateRecord(ids[2], airtabletest.Fields{"Notes": "by hand"}) // no request

	var writes []airtabletest.WriteRequest
	if err := json.Unmarshal([]byte(c.do(http.MethodGet, "/_sandbox/writes", nil).text), &writes); err != nil {
		t.Fatal(err)
	}
	got := make([]string, len(writes))
	for i, w := range writes {
		if w.Number != i+1 || w.Time.IsZero() {
			t.Errorf("%d: %+v", i, w)
		}
		got[i] = fmt.Sprint(w.Kind, w.Hidden)
		for _, r := range w.Records {
			got[i] += fmt.Sprint(" ", slices.Index(ids, r.ID), r.Fields, r.Created)
		}
	}
	want := []string{
		"create -1 map[Order:new] true",
		"update 0 map[Status:Sent] false 1 map[Notes:<nil>] false",
		"replacedrop 2 map[Order:cut] false",
		"upsert -1 map[Order:upserted] true",
		"delete 0 map[] false 1 map[] false",
		"delete 2 map[] false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if writes[0].Records[0].ID != created.json["id"] {
		t.Errorf("created %v", writes[0])
	}
	if rest := c.s.Writes(4); len(rest) != 2 || rest[0].Number != 5 || len(c.s.Writes(99)) != 0 {
		t.Errorf("after the fourth: %v", rest)
	}
	if n := c.s.Calls().Write; n != 8 {
		t.Errorf("%d write requests came", n)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1})
	c.do(http.MethodPost, "/_sandbox/faults", object{"on": "list", "do": "slow", "delay_ms": 50})
	began := time.Now()
	c.list(nil)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	c.do(http.MethodPost, "/_sandbox/faults", object{"on": "payloads", "do": "unavailable", "times": 2, "seed": 7})
	if a := c.do(http.MethodGet, "/_sandbox/faults", nil); a.status != http.StatusOK || len(a.text) < 20 {
		t.Errorf("at work: %s", a.text)
	}
	hook := c.watch(spec("", tableData(), nil))
	refused(t, c.do(http.MethodGet, hook+"/payloads", nil), 503, "RETRIABLE_ERROR")
}
