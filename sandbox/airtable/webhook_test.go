package airtabletest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

type object = map[string]any

// hooks is the path of the base's webhooks.
func (c *api) hooks() string { return "/v0/bases/" + c.s.Config().BaseID + "/webhooks" }

// spec is a whole request body around filters and includes.
func spec(url string, filters, includes object) object {
	options := object{"filters": filters}
	if includes != nil {
		options["includes"] = includes
	}
	body := object{"specification": object{"options": options}}
	if url != "" {
		body["notificationUrl"] = url
	}
	return body
}

// tableData watches the cells of everything.
func tableData() object { return object{"dataTypes": []string{"tableData"}} }

// watch creates a webhook and returns the path of it.
func (c *api) watch(body object) string {
	c.t.Helper()
	a := c.do(http.MethodPost, c.hooks(), body)
	if a.status != http.StatusOK {
		c.t.Fatalf("create a webhook: %d %s", a.status, a.text)
	}
	return c.hooks() + "/" + fmt.Sprint(a.json["id"])
}

// payloads lists what came since cursor, and returns the next one.
func (c *api) payloads(hook string, cursor int) (list []object, next int) {
	c.t.Helper()
	a := c.do(http.MethodGet, fmt.Sprintf("%s/payloads?cursor=%d", hook, cursor), nil)
	if a.status != http.StatusOK || a.json["payloadFormat"] != "v0" {
		c.t.Fatalf("list payloads: %d %s", a.status, a.text)
	}
	for _, p := range a.json["payloads"].([]any) {
		list = append(list, p.(object))
	}
	return list, int(a.json["cursor"].(float64))
}

// shown is the one webhook that the base lists.
func (c *api) shown() object {
	c.t.Helper()
	a := c.do(http.MethodGet, c.hooks(), nil)
	list, _ := a.json["webhooks"].([]any)
	if a.status != http.StatusOK || len(list) != 1 {
		c.t.Fatalf("list webhooks: %d %s", a.status, a.text)
	}
	return list[0].(object)
}

// at digs into nested objects.
func at(v any, path ...string) any {
	for _, key := range path {
		o, _ := v.(object)
		v = o[key]
	}
	return v
}

func (c *api) fieldID(name string) string {
	c.t.Helper()
	for _, f := range c.s.TableFields() {
		if f.Name == name {
			return f.ID
		}
	}
	c.t.Fatalf("no field %q", name)
	return ""
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, plain) {
		have, _ := json.Marshal(got)
		t.Errorf("%s: %s, want %s", what, have, raw)
	}
}

func TestWebhookLife(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := start(t, airtabletest.Config{Orders: 2, Now: clk.now})
	began := clk.now()
	a := c.do(http.MethodPost, c.hooks(), spec("", tableData(), nil))
	id, _ := a.json["id"].(string)
	secret, err := base64.StdEncoding.DecodeString(fmt.Sprint(a.json["macSecretBase64"]))
	if a.status != http.StatusOK || !regexp.MustCompile(`^ach[0-9A-Za-z]{14}$`).MatchString(id) || err != nil || len(secret) < 16 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	iso := func(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
	week := 7 * 24 * time.Hour
	if a.json["expirationTime"] != iso(began.Add(week)) {
		t.Errorf("expires at %v, created at %v", a.json["expirationTime"], began)
	}
	equal(t, "listed", c.shown(), object{
		"id": id, "areNotificationsEnabled": false, "cursorForNextPayload": 1, "isHookEnabled": true,
		"lastSuccessfulNotificationTime": nil, "lastNotificationResult": nil, "notificationUrl": nil,
		"expirationTime": iso(began.Add(week)),
		"specification":  object{"options": object{"filters": tableData()}},
	})
	hook := c.hooks() + "/" + id

	clk.advance(6 * 24 * time.Hour)
	if a := c.do(http.MethodPost, hook+"/refresh", nil); a.json["expirationTime"] != iso(clk.now().Add(week)) {
		t.Errorf("refreshed: %s", a.text)
	}
	clk.advance(6 * 24 * time.Hour)
	c.payloads(hook, 1)
	if got := c.shown()["expirationTime"]; got != iso(clk.now().Add(week)) {
		t.Errorf("listing payloads leaves the end at %v", got)
	}
	ids := c.s.RecordIDs()
	rename := func(name string) {
		if err := c.s.UpdateRecord(ids[0], airtabletest.Fields{"Customer": name}); err != nil {
			t.Fatal(err)
		}
	}
	rename("before the end")
	clk.advance(week)
	rename("after the end")
	if c.shown()["isHookEnabled"] != false {
		t.Error("enabled after seven days")
	}
	refused(t, c.do(http.MethodPost, hook+"/refresh", nil), 422, "INVALID_HOOK")
	if list, next := c.payloads(hook, 1); len(list) != 0 || next != 1 {
		t.Errorf("%d payloads a week later, next %d", len(list), next)
	}
	if got := c.shown()["cursorForNextPayload"]; got != 2.0 {
		t.Errorf("an expired webhook went on to %v", got)
	}
	clk.advance(week)
	refused(t, c.do(http.MethodGet, hook+"/payloads", nil), 404, "NOT_FOUND")

	hook = c.watch(spec("", tableData(), nil))
	if a := c.do(http.MethodDelete, hook, nil); a.status != http.StatusOK {
		t.Errorf("delete: %d %s", a.status, a.text)
	}
	refused(t, c.do(http.MethodDelete, hook, nil), 404, "NOT_FOUND")
	refused(t, c.do(http.MethodPost, hook+"/refresh", nil), 404, "NOT_FOUND")
	refused(t, c.do(http.MethodPost, hook+"/enableNotifications", object{"enable": true}), 404, "NOT_FOUND")
}

func TestWebhookRefusals(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{})
	for name, body := range map[string]any{
		"no JSON":          "{",
		"no specification": object{"notificationUrl": "https://example.com"},
		"no filters":       object{"specification": object{"options": object{}}},
		"no data types":    spec("", object{}, nil),
		"data type":        spec("", object{"dataTypes": []string{"cells"}}, nil),
		"change type":      spec("", object{"dataTypes": []string{"tableData"}, "changeTypes": []string{"rename"}}, nil),
		"source":           spec("", object{"dataTypes": []string{"tableData"}, "fromSources": []string{"me"}}, nil),
		"scope":            spec("", object{"dataTypes": []string{"tableData"}, "recordChangeScope": "tblOfSomebodyElse"}, nil),
		"field by name":    spec("", object{"dataTypes": []string{"tableData"}, "watchDataInFieldIds": []string{"Status"}}, nil),
		"schema's field":   spec("", object{"dataTypes": []string{"tableFields"}, "watchSchemasOfFieldIds": []string{"fldNone"}}, nil),
		"form":             spec("", object{"dataTypes": []string{"tableData"}, "sourceOptions": object{"formSubmission": object{"viewId": 3}}}, nil),
		"unknown filter":   spec("", object{"dataTypes": []string{"tableData"}, "people": true}, nil),
		"included field":   spec("", tableData(), object{"includeCellValuesInFieldIds": []string{"fldNone"}}),
		"includes":         spec("", tableData(), object{"includeCellValuesInFieldIds": "some"}),
		"URL":              spec("ftp://example.com", tableData(), nil),
		"relative URL":     spec("/here", tableData(), nil),
	} {
		if a := c.do(http.MethodPost, c.hooks(), body); a.status != http.StatusUnprocessableEntity || a.errorType() == "" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	hook := c.watch(spec("", tableData(), nil))
	for _, query := range []string{"cursor=0", "cursor=x", "cursor=-1", "limit=0", "limit=51", "limit=x"} {
		if a := c.do(http.MethodGet, hook+"/payloads?"+query, nil); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", query, a.status, a.text)
		}
	}
	for _, body := range []any{nil, object{"enable": "yes"}, object{"enable": true}} {
		if a := c.do(http.MethodPost, hook+"/enableNotifications", body); a.status != http.StatusUnprocessableEntity {
			t.Errorf("enable %v without a URL: %d %s", body, a.status, a.text)
		}
	}
	refused(t, c.do(http.MethodGet, "/v0/bases/appOther/webhooks", nil), 404, "NOT_FOUND")
	refused(t, c.do(http.MethodGet, hook, nil), 404, "NOT_FOUND")
	refused(t, c.do(http.MethodPatch, hook, object{}), 404, "NOT_FOUND")

	for range 9 {
		c.watch(spec("", tableData(), nil))
	}
	refused(t, c.do(http.MethodPost, c.hooks(), spec("", tableData(), nil)), 422, "TOO_MANY_WEBHOOKS_IN_BASE")

	c.s.Revoke(airtabletest.WebhooksManage)
	for _, call := range []struct{ method, path string }{
		{"GET", c.hooks()}, {"POST", c.hooks()}, {"DELETE", hook}, {"POST", hook + "/refresh"}, {"GET", hook + "/payloads"},
	} {
		refused(t, c.do(call.method, call.path, nil), 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
	}
	c.s.Grant(airtabletest.WebhooksManage)
	c.s.Revoke(airtabletest.RecordsRead)
	refused(t, c.do("GET", hook+"/payloads", nil), 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
}

func TestWebhookPayloads(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 20})
	cfg := c.s.Config()
	hook := c.watch(spec("", tableData(), object{"includeCellValuesInFieldIds": "all", "includePreviousCellValues": true}))
	status, tags, customer, order := c.fieldID("Status"), c.fieldID("Tags"), c.fieldID("Customer"), c.fieldID("Order")
	choice := func(field, name string) object {
		schema := c.do(http.MethodGet, "/v0/meta/bases/"+cfg.BaseID+"/tables", nil)
		for _, f := range schema.json["tables"].([]any)[0].(object)["fields"].([]any) {
			if at(f, "id") == field {
				for _, ch := range at(f, "options", "choices").([]any) {
					if at(ch, "name") == name {
						return ch.(object)
					}
				}
			}
		}
		t.Fatalf("no choice %q", name)
		return nil
	}

	ana := airtabletest.User{ID: "usrAna00000000000", Email: "ana@example.com", PermissionLevel: "edit", Name: "Ana"}
	id, err := c.s.As(ana).CreateRecord(airtabletest.Fields{"Order": "A", "Status": "Pending", "Tags": []string{"Web"}})
	if err != nil {
		t.Fatal(err)
	}
	a := c.do(http.MethodPatch, c.table(), object{"records": []object{{"id": id, "fields": object{"Status": "Sent", "Tags": nil}}}})
	if a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	if a := c.do(http.MethodPatch, c.table()+"/"+id, object{"fields": object{"Status": "Sent"}}); a.status != http.StatusOK { // no change
		t.Fatal(a.text)
	}
	c.do(http.MethodDelete, c.table()+"/"+id, nil)

	list, next := c.payloads(hook, 1)
	if len(list) != 3 || next != 4 {
		t.Fatalf("%d payloads, next %d: %v", len(list), next, list)
	}
	created, changed, destroyed := list[0], list[1], list[2]
	table := "changedTablesById"
	equal(t, "who created", created["actionMetadata"], object{"source": "client", "sourceMetadata": object{"user": ana}})
	cells := at(created, table, cfg.TableID, "createdRecordsById", id, "cellValuesByFieldId")
	equal(t, "select", at(cells, status), choice(status, "Pending"))
	equal(t, "selects", at(cells, tags), []object{choice(tags, "Web")})
	if _, there := cells.(object)[customer]; there || at(cells, order) != "A" {
		t.Errorf("created with %v", cells)
	}

	equal(t, "who changed", changed["actionMetadata"], object{"source": "publicApi", "sourceMetadata": object{"user": c.s.APIUser()}})
	what := at(changed, table, cfg.TableID, "changedRecordsById", id)
	equal(t, "current", at(what, "current", "cellValuesByFieldId", status), choice(status, "Sent"))
	equal(t, "previous", at(what, "previous", "cellValuesByFieldId", status), choice(status, "Pending"))
	if v, there := at(what, "current", "cellValuesByFieldId").(object)[tags]; !there || v != nil {
		t.Errorf("a cleared cell: %v %v", there, v)
	}
	if at(what, "unchanged", "cellValuesByFieldId", order) != "A" || at(what, "unchanged", "cellValuesByFieldId", status) != nil {
		t.Errorf("unchanged: %v", at(what, "unchanged"))
	}
	equal(t, "destroyed", at(destroyed, table, cfg.TableID), object{"destroyedRecordIds": []string{id}})
	if created["baseTransactionNumber"] == destroyed["baseTransactionNumber"] {
		t.Error("two transactions have one number")
	}
}

// TestWebhookFilters shows each filter what it lets through and what it does not.
func TestWebhookFilters(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 3})
	cfg := c.s.Config()
	ids := c.s.RecordIDs()
	view := at(c.do(http.MethodGet, "/v0/meta/bases/"+cfg.BaseID+"/tables", nil).json["tables"].([]any)[0].(object)["views"].([]any)[0], "id").(string)
	filter := func(more object) object {
		f := tableData()
		maps.Copy(f, more)
		return f
	}
	customer := c.fieldID("Customer")
	hooks := map[string]string{}
	for name, body := range map[string]object{
		"all":     spec("", filter(nil), nil),
		"scoped":  spec("", filter(object{"recordChangeScope": cfg.TableID}), nil),
		"view":    spec("", filter(object{"recordChangeScope": view}), nil),
		"adds":    spec("", filter(object{"changeTypes": []string{"add"}}), nil),
		"removes": spec("", filter(object{"changeTypes": []string{"remove"}}), nil),
		"api":     spec("", filter(object{"fromSources": []string{"publicApi"}}), nil),
		"watched": spec("", filter(object{"watchDataInFieldIds": []string{customer}, "changeTypes": []string{"update"}}), nil),
		"fields":  spec("", object{"dataTypes": []string{"tableFields"}}, object{"includePreviousFieldDefinitions": true}),
		"meta":    spec("", object{"dataTypes": []string{"tableMetadata"}}, nil),
	} {
		hooks[name] = c.watch(body)
	}
	if err := c.s.UpdateRecord(ids[0], airtabletest.Fields{"Notes": "x"}); err != nil {
		t.Fatal(err)
	}
	if err := c.s.UpdateRecord(ids[0], airtabletest.Fields{"Customer": "x", "Notes": "y"}); err != nil {
		t.Fatal(err)
	}
	c.do(http.MethodPost, c.table(), object{"fields": object{"Order": "new"}})
	c.s.DeleteRecords(ids[1], ids[2])
	if err := c.s.RenameField("Notes", "Remarks"); err != nil {
		t.Fatal(err)
	}
	due, err := c.s.AddField(airtabletest.Field{Name: "Due", Type: airtabletest.DateField})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.s.DeleteField("Due"); err != nil {
		t.Fatal(err)
	}
	c.s.RenameTable("Requests")
	got := map[string]int{}
	lists := map[string][]object{}
	for name, hook := range hooks {
		lists[name], _ = c.payloads(hook, 1)
		got[name] = len(lists[name])
	}
	want := map[string]int{"all": 4, "scoped": 4, "view": 4, "adds": 1, "removes": 1, "api": 1, "watched": 1, "fields": 3, "meta": 1}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("payloads %v, want %v", got, want)
	}
	cells := at(lists["watched"][0], "changedTablesById", cfg.TableID, "changedRecordsById", ids[0], "current", "cellValuesByFieldId")
	equal(t, "only what is watched", cells, object{customer: "x"})
	gone := at(lists["view"][3], "changedTablesById", cfg.TableID, "changedViewsById", view)
	equal(t, "below the view", gone, object{"destroyedRecordIds": ids[1:]})
	table := func(i int) any { return at(lists["fields"][i], "changedTablesById", cfg.TableID) }
	equal(t, "renamed", table(0), object{"changedFieldsById": object{c.fieldID("Remarks"): object{"current": object{"name": "Remarks"}, "previous": object{"name": "Notes"}}}})
	equal(t, "added", table(1), object{"createdFieldsById": object{due: object{"name": "Due", "type": "date"}}})
	equal(t, "removed", table(2), object{"destroyedFieldIds": []string{due}})
	equal(t, "table", at(lists["meta"][0], "changedTablesById", cfg.TableID, "changedMetadata"),
		object{"current": object{"name": "Requests"}, "previous": object{"name": "Orders"}})
}

func TestWebhookPages(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := start(t, airtabletest.Config{Orders: 250, Now: clk.now})
	hook := c.watch(spec("", tableData(), nil))
	ids := c.s.RecordIDs()
	ana := c.s.As(airtabletest.User{ID: "usrAna"})
	if err := ana.UpdateRecords(ids, airtabletest.Fields{"Notes": "all at once"}); err != nil {
		t.Fatal(err)
	}
	list, _ := c.payloads(hook, 1)
	seen := 0
	for _, p := range list {
		changed := at(p, "changedTablesById", c.s.Config().TableID, "changedRecordsById").(object)
		seen += len(changed)
		if p["baseTransactionNumber"] != list[0]["baseTransactionNumber"] || p["timestamp"] != list[0]["timestamp"] {
			t.Error("a split transaction has two numbers or times")
		}
	}
	if seen != 250 || len(list) < 2 {
		t.Errorf("%d records in %d payloads", seen, len(list))
	}
	first := len(list)
	for i := range 60 {
		if err := ana.UpdateRecord(ids[i], airtabletest.Fields{"Notes": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	a := c.do(http.MethodGet, hook+"/payloads", nil)
	if n := len(a.json["payloads"].([]any)); n != 50 || a.json["mightHaveMore"] != true || a.json["cursor"] != 51.0 {
		t.Errorf("%d payloads, %v", n, a.json["cursor"])
	}
	a = c.do(http.MethodGet, hook+"/payloads?limit=13&cursor=51", nil)
	if n := len(a.json["payloads"].([]any)); n != 10+first || a.json["mightHaveMore"] != false || a.json["cursor"] != float64(61+first) {
		t.Errorf("%d payloads, then %v, more %v", n, a.json["cursor"], a.json["mightHaveMore"])
	}
	if list, next := c.payloads(hook, 500); len(list) != 0 || next != 500 {
		t.Errorf("beyond the end: %d payloads, next %d", len(list), next)
	}
	clk.advance(6 * 24 * time.Hour)
	if err := ana.UpdateRecord(ids[0], airtabletest.Fields{"Notes": "late"}); err != nil {
		t.Fatal(err)
	}
	c.payloads(hook, 1) // keeps the webhook alive
	clk.advance(2 * 24 * time.Hour)
	if list, next := c.payloads(hook, 1); len(list) != 1 || next != 62+first {
		t.Errorf("after a week: %d payloads, next %d", len(list), next)
	}
}

func TestWebhookStreamEnds(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 3})
	notes := c.fieldID("Notes")
	hook := c.watch(spec("", object{"dataTypes": []string{"tableData"}, "watchDataInFieldIds": []string{notes}}, nil))
	ids := c.s.RecordIDs()
	if err := c.s.DeleteField("Notes"); err != nil {
		t.Fatal(err)
	}
	if err := c.s.UpdateRecord(ids[0], airtabletest.Fields{"Customer": "x"}); err != nil {
		t.Fatal(err)
	}
	list, next := c.payloads(hook, 1)
	if len(list) != 1 || next != 2 || list[0]["error"] != true || list[0]["code"] != "INVALID_HOOK" || list[0]["actionMetadata"] != nil {
		t.Errorf("%v", list)
	}
	if c.shown()["isHookEnabled"] != false {
		t.Error("still enabled")
	}
	if c.do(http.MethodDelete, hook, nil).status != http.StatusOK {
		t.Error("cannot be deleted")
	}
}
