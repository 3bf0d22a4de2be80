package airtabletest_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// The requests of these tests are those of pyairtable: Table.create_field, FieldSchema.save, TableSchema.save,
// Table.add_comment, Comment.save, Comment.delete and Table.comments.

func TestStructure(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "base")
	c := start(t, airtabletest.Config{Orders: 1, File: file})
	cfg := c.s.Config()
	tables := "/v0/meta/bases/" + cfg.BaseID + "/tables"
	fields := tables + "/" + cfg.TableID + "/fields"
	made := c.do(http.MethodPost, fields, map[string]any{"name": "Bultos", "type": "number", "description": "Cajas", "options": map[string]any{"precision": 0}})
	id, _ := made.json["id"].(string)
	if made.status != http.StatusOK || made.json["type"] != "number" || made.json["description"] != "Cajas" || fmt.Sprint(made.json["options"]) != "map[precision:0]" {
		t.Fatalf("%d %s", made.status, made.text)
	}
	c.do(http.MethodPost, fields, map[string]any{"name": "Zona", "type": "singleSelect", "options": map[string]any{"choices": []any{map[string]any{"name": "Norte"}, map[string]any{"name": "Sur"}}}})
	if a := c.do(http.MethodPatch, c.table()+"/"+c.s.RecordIDs()[0], map[string]any{"fields": map[string]any{"Bultos": 3, "Zona": "Sur"}}); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	if a := c.do(http.MethodPatch, fields+"/"+id, map[string]any{"name": "Cajas", "description": "Bultos"}); a.status != http.StatusOK || a.json["name"] != "Cajas" || a.json["id"] != id {
		t.Fatal(a.text)
	}
	if a := c.do(http.MethodPatch, tables+"/"+cfg.TableID, map[string]any{"name": "Ventas", "description": "Pedidos de venta"}); a.status != http.StatusOK || a.json["name"] != "Ventas" {
		t.Fatal(a.text)
	}
	for _, wrong := range []struct {
		method, path string
		body         map[string]any
		status       int
		kind         string
	}{
		{http.MethodPost, fields, map[string]any{"name": "Cajas", "type": "singleLineText"}, 422, "DUPLICATE_OR_EMPTY_FIELD_NAME"},
		{http.MethodPost, fields, map[string]any{"name": "N", "type": "number"}, 422, "INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE"},
		{http.MethodPost, fields, map[string]any{"name": "F", "type": "formula"}, 422, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE"},
		{http.MethodPatch, fields + "/" + id, map[string]any{"name": "Order"}, 422, "DUPLICATE_OR_EMPTY_FIELD_NAME"},
		{http.MethodPatch, fields + "/" + id, map[string]any{}, 422, "INVALID_REQUEST_UNKNOWN"},
		{http.MethodPatch, fields + "/fldNone", map[string]any{"name": "X"}, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"},
		{http.MethodPatch, tables + "/tblNone", map[string]any{"name": "X"}, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"},
	} {
		refused(t, c.do(wrong.method, wrong.path, wrong.body), wrong.status, wrong.kind)
	}
	c.s.Revoke(airtabletest.SchemaWrite)
	refused(t, c.do(http.MethodPatch, fields+"/"+id, map[string]any{"name": "X"}), http.StatusForbidden, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")

	again := airtabletest.New(cfg) // what SIGKILL would leave
	record, _ := again.Record(c.s.RecordIDs()[0])
	if again.TableName() != "Ventas" || record.Fields["Cajas"] != 3.0 || record.Fields["Zona"] != "Sur" ||
		!slices.ContainsFunc(again.TableFields(), func(f airtabletest.Field) bool { return f.ID == id && f.Description == "Bultos" }) {
		t.Errorf("kept: %s, %v", again.TableName(), record.Fields)
	}
}

func TestComments(t *testing.T) {
	t.Parallel()
	clock, file := newClock(), filepath.Join(t.TempDir(), "base")
	c := start(t, airtabletest.Config{Orders: 2, Now: clock.now, File: file})
	ana := airtabletest.User{ID: "usrAna00000000000", Email: "ana@example.com", Name: "Ana"}
	c.s.AddCollaborator(ana)
	id := c.s.RecordIDs()[0]
	path := c.table() + "/" + id + "/comments"
	first := c.do(http.MethodPost, path, map[string]any{"text": "¿Sale hoy, @[usrAna00000000000]?"})
	mentioned, _ := first.json["mentioned"].(map[string]any)
	author, _ := first.json["author"].(map[string]any)
	if first.status != http.StatusOK || author["id"] != c.s.APIUser().ID || mentioned[ana.ID] == nil || first.json["createdTime"] != "2026-11-21T12:00:00.000Z" || first.json["lastUpdatedTime"] != nil {
		t.Fatalf("%d %s", first.status, first.text)
	}
	comment := fmt.Sprint(first.json["id"])
	clock.advance(time.Minute)
	second := c.do(http.MethodPost, path, map[string]any{"text": "Sí", "parentCommentId": comment})
	if second.json["parentCommentId"] != comment {
		t.Fatal(second.text)
	}
	if a := c.do(http.MethodPatch, path+"/"+comment, map[string]any{"text": "¿Sale mañana?"}); a.json["text"] != "¿Sale mañana?" || a.json["lastUpdatedTime"] != "2026-11-21T12:01:00.000Z" {
		t.Fatal(a.text)
	}
	page := c.do(http.MethodGet, path+"?pageSize=1", nil)
	list, _ := page.json["comments"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["id"] != second.json["id"] || page.json["offset"] == nil {
		t.Fatalf("the newest first: %s", page.text)
	}
	rest := c.do(http.MethodGet, fmt.Sprint(path, "?pageSize=1&offset=", page.json["offset"]), nil)
	if list, _ := rest.json["comments"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != comment || rest.json["offset"] != nil {
		t.Fatal(rest.text)
	}
	counted := c.do(http.MethodGet, c.table()+"?recordMetadata[]=commentCount", nil).records()
	if counted[0]["commentCount"] != 2.0 || counted[1]["commentCount"] != 0.0 {
		t.Errorf("counted %v", counted)
	}
	again := start(t, airtabletest.Config{Orders: 2, Now: clock.now, File: file}) // what SIGKILL would leave
	if list, _ := again.do(http.MethodGet, path, nil).json["comments"].([]any); len(list) != 2 {
		t.Errorf("kept: %v", list)
	}

	if a := c.do(http.MethodDelete, path+"/"+comment, nil); a.json["deleted"] != true {
		t.Error(a.text)
	}
	refused(t, c.do(http.MethodPatch, path+"/"+comment, map[string]any{"text": "x"}), http.StatusNotFound, "NOT_FOUND")
	refused(t, c.do(http.MethodPost, path, map[string]any{"text": " "}), http.StatusUnprocessableEntity, "INVALID_REQUEST_UNKNOWN")
	refused(t, c.do(http.MethodGet, path+"?pageSize=101", nil), http.StatusUnprocessableEntity, "INVALID_REQUEST_UNKNOWN")
	refused(t, c.do(http.MethodGet, c.table()+"/recNone0000000000/comments", nil), http.StatusNotFound, "NOT_FOUND")
	c.s.Revoke(airtabletest.CommentsWrite)
	refused(t, c.do(http.MethodPost, path, map[string]any{"text": "x"}), http.StatusForbidden, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
	if a := c.do(http.MethodGet, path, nil); a.status != http.StatusOK {
		t.Error(a.text)
	}
}

func TestCollaborators(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "base")
	c := start(t, airtabletest.Config{Orders: 1, File: file})
	ana := airtabletest.User{ID: "usrAna00000000000", Email: "ana@example.com", Name: "Ana"}
	c.s.AddCollaborator(ana)
	for name, kind := range map[string]string{"Owner": airtabletest.SingleCollaborator, "Team": airtabletest.MultipleCollaborators} {
		must(c.s.AddField(airtabletest.Field{Name: name, Type: kind}))(t)
	}
	id := c.s.RecordIDs()[0]
	path := c.table() + "/" + id
	write := func(fields map[string]any) answer {
		return c.do(http.MethodPatch, path, map[string]any{"fields": fields})
	}
	a := write(map[string]any{"Owner": map[string]any{"email": ana.Email}, "Team": []any{map[string]any{"id": c.s.APIUser().ID}, map[string]any{"id": ana.ID}}})
	fields, _ := a.json["fields"].(map[string]any)
	want := "map[email:ana@example.com id:usrAna00000000000 name:Ana]"
	if team, _ := fields["Team"].([]any); fmt.Sprint(fields["Owner"]) != want || len(team) != 2 || fmt.Sprint(team[1]) != want {
		t.Fatalf("%d %s", a.status, a.text)
	}
	for _, wrong := range []map[string]any{
		{"Owner": map[string]any{"email": "nobody@example.com"}}, {"Owner": []any{map[string]any{"id": ana.ID}}}, {"Team": map[string]any{"id": ana.ID}}, {"Owner": "Ana"}, {"Team": []any{"Ana"}},
	} {
		refused(t, write(wrong), http.StatusUnprocessableEntity, "INVALID_VALUE_FOR_COLUMN")
	}
	if found := c.list(map[string][]string{"filterByFormula": {`AND({Owner} = "Ana", FIND("Ana", ARRAYJOIN({Team})))`}}).records(); len(found) != 1 {
		t.Errorf("found %v", found)
	}
	again := airtabletest.New(c.s.Config()) // what SIGKILL would leave
	if record, _ := again.Record(id); fmt.Sprint(record.Fields["Owner"]) != want {
		t.Errorf("kept: %v", record.Fields)
	}
	if cleared := write(map[string]any{"Owner": nil, "Team": []any{}}); cleared.status != http.StatusOK {
		t.Error(cleared.text)
	}
}
