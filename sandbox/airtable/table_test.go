package airtabletest_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// in is the path of a table's records.
func (c *api) in(table string) string { return "/v0/" + c.s.Config().BaseID + "/" + table }

// customers adds a table of customers that the orders link to, with a lookup, a rollup and a count along the links.
func (c *api) customers() (table *airtabletest.Table, sol, luna string) {
	c.t.Helper()
	table = must(c.s.AddTable("Customers",
		airtabletest.Field{Name: "Name", Type: airtabletest.SingleLineText},
		airtabletest.Field{Name: "City", Type: airtabletest.SingleLineText},
		airtabletest.Field{Name: "Credit", Type: airtabletest.Number},
	))(c.t)
	sol = must(table.CreateRecord(airtabletest.Fields{"Name": "Ferretería Sol", "City": "Lugo", "Credit": 100}))(c.t)
	luna = must(table.CreateRecord(airtabletest.Fields{"Name": "Bazar Luna", "Credit": 20.5}))(c.t)
	for _, f := range []airtabletest.Field{
		{Name: "Client", Type: airtabletest.MultipleRecordLinks, LinkedTable: "Customers"},
		{Name: "City (from Client)", Type: airtabletest.Lookup, Link: "Client", Target: "City"},
		{Name: "Credit in all", Type: airtabletest.Rollup, Link: "Client", Target: "Credit", Formula: "SUM(values)"},
		{Name: "Title", Type: airtabletest.Formula, Formula: "{Order} & ': ' & {Client}"},
	} {
		must(c.s.AddField(f))(c.t)
	}
	must(table.AddField(airtabletest.Field{Name: "How many", Type: airtabletest.Count, Link: "Orders"}))(c.t)
	return table, sol, luna
}

func TestLinks(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 2})
	customers, sol, luna := c.customers()
	order := c.s.RecordIDs()[0]
	cells := func(table, id string) object {
		t.Helper()
		fields, _ := c.do(http.MethodGet, c.in(table)+"/"+id, nil).json["fields"].(object)
		return fields
	}
	write := func(client any, typecast bool) answer {
		t.Helper()
		return c.do(http.MethodPatch, c.table()+"/"+order, object{"fields": object{"Order": "P-1", "Client": client}, "typecast": typecast})
	}

	if a := write([]string{sol, luna}, false); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	got := cells("Orders", order)
	equal(t, "links", got["Client"], []string{sol, luna})
	equal(t, "lookup", got["City (from Client)"], []any{"Lugo", nil})
	equal(t, "rollup", got["Credit in all"], 120.5)
	equal(t, "formula", got["Title"], "P-1: Ferretería Sol, Bazar Luna")
	equal(t, "inverse", cells("Customers", luna)["Orders"], []string{order})
	equal(t, "count", cells("Customers", luna)["How many"], 1)
	text, _ := c.do(http.MethodGet, c.table()+"/"+order+"?cellFormat=string&timeZone=UTC&userLocale=es", nil).json["fields"].(object)
	equal(t, "links as texts", text["Client"], "Ferretería Sol, Bazar Luna")
	if a := c.list(map[string][]string{"filterByFormula": {"FIND('Luna', {Client})"}}); !slices.Equal(ids(a.records()), []string{order}) {
		t.Errorf("filtered: %s", a.text)
	}

	refused(t, write("Bazar Luna", false), http.StatusUnprocessableEntity, "INVALID_VALUE_FOR_COLUMN")
	refused(t, write([]string{"Bazar Luna"}, false), http.StatusUnprocessableEntity, "INVALID_RECORD_ID")
	refused(t, write([]string{"recAAAAAAAAAAAAAA"}, false), http.StatusUnprocessableEntity, "ROW_DOES_NOT_EXIST")
	refused(t, write([]string{order}, false), http.StatusUnprocessableEntity, "ROW_TABLE_DOES_NOT_MATCH_LINKED_TABLE")
	refused(t, c.do(http.MethodPatch, c.table(), object{
		"records": []object{{"fields": object{"Client": []string{sol}}}}, "performUpsert": object{"fieldsToMergeOn": []string{"Client"}},
	}), http.StatusUnprocessableEntity, "INVALID_REQUEST_UNKNOWN")

	write([]string{"Bazar Luna", "Nueva"}, true)
	added := customers.Records()[2]
	equal(t, "by name", cells("Orders", order)["Client"], []string{luna, added.ID})
	equal(t, "the new one", added.Fields["Name"], "Nueva")
	equal(t, "the one left", cells("Customers", sol)["Orders"], nil)

	if err := customers.UpdateRecord(sol, airtabletest.Fields{"Orders": []string{order}}); err != nil {
		t.Fatal(err)
	}
	equal(t, "from the other side", cells("Orders", order)["Client"], []string{luna, added.ID, sol})
	customers.DeleteRecords(luna, added.ID)
	equal(t, "after a deletion", cells("Orders", order)["Client"], []string{sol})
	c.do(http.MethodDelete, c.table()+"/"+order, nil)
	equal(t, "after the order's deletion", cells("Customers", sol)["Orders"], nil)

	// A link to the own table has no inverse.
	must(customers.AddField(airtabletest.Field{Name: "Group", Type: airtabletest.MultipleRecordLinks, LinkedTable: "Customers"}))(t)
	branch := must(customers.CreateRecord(airtabletest.Fields{"Name": "Sol Lugo", "Group": []string{sol}}))(t)
	customers.DeleteRecords(sol)
	equal(t, "within the table", cells("Customers", branch)["Group"], nil)
}

// TestLinkFieldsChange: what a link field leaves when it is made a text or deleted.
func TestLinkFieldsChange(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1})
	customers, sol, _ := c.customers()
	order := c.s.RecordIDs()[0]
	if err := c.s.UpdateRecord(order, airtabletest.Fields{"Client": []string{sol}}); err != nil {
		t.Fatal(err)
	}
	name, _ := c.s.Record(order)
	if err := c.s.ConvertToText("Client"); err != nil {
		t.Fatal(err)
	}
	converted, _ := c.s.Record(order)
	equal(t, "text", converted.Fields["Client"], "Ferretería Sol")
	equal(t, "lookup", converted.Fields["City (from Client)"], nil)
	inverse, _ := customers.Record(sol)
	equal(t, "inverse", inverse.Fields["Orders"], name.Fields["Order"])
	must(c.s.AddField(airtabletest.Field{Name: "Other", Type: airtabletest.MultipleRecordLinks, LinkedTable: "Customers"}))(t)
	if err := c.s.UpdateRecord(order, airtabletest.Fields{"Other": []string{sol}}); err != nil {
		t.Fatal(err)
	}
	if err := c.s.ConvertToFormula("Other", "1"); err != nil {
		t.Fatal(err)
	}
	if f := customers.TableFields()[5]; f.Name != "Orders 2" || f.Type != airtabletest.SingleLineText {
		t.Errorf("inverse of a formula: %+v", f)
	}
	if err := customers.DeleteField("Name"); err == nil {
		t.Error("the primary field was deleted")
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1})
	cfg := c.s.Config()
	path := "/v0/meta/bases/" + cfg.BaseID + "/tables"
	field := func(name, kind string, options object) object {
		return object{"name": name, "type": kind, "options": options}
	}
	made := c.do(http.MethodPost, path, object{"name": "Clientes", "description": "Quien compra", "fields": []object{
		field("Nombre", "singleLineText", nil), field("Pedidos", "multipleRecordLinks", object{"linkedTableId": cfg.TableID}),
	}})
	table := fmt.Sprint(made.json["id"])
	fields, _ := made.json["fields"].([]any)
	if made.status != http.StatusOK || len(fields) != 2 || made.json["primaryFieldId"] != at(fields[0], "id") || made.json["description"] != "Quien compra" {
		t.Fatal(made.text)
	}
	equal(t, "link", at(fields[1], "options"), object{
		"linkedTableId": cfg.TableID, "isReversed": false, "prefersSingleRecordLink": false, "inverseLinkFieldId": c.fieldID("Clientes"),
	})
	list, _ := c.do(http.MethodGet, path, nil).json["tables"].([]any)
	if len(list) != 2 || at(list[0], "id") != cfg.TableID || at(list[1], "id") != table {
		t.Errorf("%d tables", len(list))
	}
	if a := c.do(http.MethodPatch, path+"/"+table, object{"name": "Compradores"}); a.status != http.StatusOK || a.json["name"] != "Compradores" {
		t.Error(a.text)
	}
	record := fmt.Sprint(c.do(http.MethodPost, c.in("Compradores"), object{"fields": object{"Nombre": "Sol"}}).json["id"])
	if a := c.do(http.MethodPost, c.in(table)+"/"+record+"/comments", object{"text": "Paga tarde"}); a.status != http.StatusOK {
		t.Error(a.text)
	}
	refused(t, c.do(http.MethodGet, c.table()+"/"+record, nil), http.StatusNotFound, "NOT_FOUND")
	must(c.s.CreateRecord(airtabletest.Fields{"Order": "another"}))(t)
	offset := c.list(map[string][]string{"pageSize": {"1"}}).json["offset"]
	refused(t, c.do(http.MethodGet, c.in(table)+"?offset="+fmt.Sprint(offset), nil), http.StatusUnprocessableEntity, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")

	for name, wrong := range map[string]struct {
		body object
		kind string
	}{
		"name taken":    {object{"name": "compradores", "fields": []object{field("A", "singleLineText", nil)}}, "DUPLICATE_TABLE_NAME"},
		"no name":       {object{"fields": []object{field("A", "singleLineText", nil)}}, "INVALID_REQUEST_UNKNOWN"},
		"no field":      {object{"name": "T"}, "INVALID_REQUEST_UNKNOWN"},
		"primary field": {object{"name": "T", "fields": []object{field("A", "checkbox", object{"icon": "check", "color": "greenBright"})}}, "UNSUPPORTED_PRIMARY_FIELD_TYPE_FOR_CREATE"},
		"field twice":   {object{"name": "T", "fields": []object{field("A", "email", nil), field("a", "url", nil)}}, "DUPLICATE_OR_EMPTY_FIELD_NAME"},
		"no such type":  {object{"name": "T", "fields": []object{field("A", "email", nil), field("B", "rollup", nil)}}, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE"},
		"no options":    {object{"name": "T", "fields": []object{field("A", "email", nil), field("B", "multipleRecordLinks", nil)}}, "INVALID_FIELD_TYPE_OPTIONS_FOR_CREATE"},
		"link to none": {object{"name": "T", "fields": []object{
			field("A", "email", nil), field("B", "multipleRecordLinks", object{"linkedTableId": table}), field("C", "multipleRecordLinks", object{"linkedTableId": "tblNone"}),
		}}, "INVALID_REQUEST_UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, c.do(http.MethodPost, path, wrong.body), http.StatusUnprocessableEntity, wrong.kind)
		})
	}
	if fields := c.s.InTable(table).TableFields(); len(fields) != 2 || c.s.InTable("T") != nil {
		t.Errorf("a refused table left %v", fields)
	}

	// A fault may concern one table alone.
	c.s.Fail(airtabletest.Fault{Table: table, Do: airtabletest.Forbidden, Times: -1})
	refused(t, c.do(http.MethodGet, c.in(table), nil), http.StatusForbidden, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
	if a := c.list(nil); a.status != http.StatusOK {
		t.Error(a.text)
	}
}

func TestWebhooksOfTables(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 2})
	customers, sol, luna := c.customers()
	orders, order := c.s.Config().TableID, c.s.RecordIDs()[0]
	scoped := tableData()
	scoped["recordChangeScope"] = customers.TableID()
	watched := tableData()
	watched["watchDataInFieldIds"] = []string{c.fieldID("Client")}
	all, one, cell := c.watch(spec("", tableData(), nil)), c.watch(spec("", scoped, nil)), c.watch(spec("", watched, nil))
	structure := c.watch(spec("", object{"dataTypes": []string{"tableFields", "tableMetadata"}}, nil))
	newest := func(hook string, want int) object {
		t.Helper()
		list, _ := c.payloads(hook, 1)
		if len(list) != want {
			t.Fatalf("%d payloads, not %d: %v", len(list), want, list)
		}
		return list[len(list)-1]["changedTablesById"].(object)
	}
	if err := c.s.UpdateRecord(order, airtabletest.Fields{"Client": []string{sol}}); err != nil {
		t.Fatal(err)
	}
	both := newest(all, 1)
	current := at(both, orders, "changedRecordsById", order, "current", "cellValuesByFieldId")
	equal(t, "link", at(current, c.fieldID("Client")), []object{{"id": sol, "name": "Ferretería Sol"}})
	equal(t, "lookup", at(current, c.fieldID("City (from Client)")),
		object{"linkedRecordIds": []string{sol}, "valuesByLinkedRecordId": object{sol: []string{"Lugo"}}})
	equal(t, "rollup", at(current, c.fieldID("Credit in all")), 100)
	if inverse := at(both, customers.TableID(), "changedRecordsById", sol, "current", "cellValuesByFieldId"); inverse == nil {
		t.Errorf("the other side is missing: %v", both)
	}
	if only := newest(one, 1); len(only) != 1 || only[customers.TableID()] == nil {
		t.Errorf("scoped: %v", only)
	}
	newest(cell, 1)

	// What another table shows of a record changes with it; a link's cell is the id alone.
	if err := customers.UpdateRecord(sol, airtabletest.Fields{"Name": "Sol", "City": "Vigo"}); err != nil {
		t.Fatal(err)
	}
	looked, _ := at(newest(all, 2), orders, "changedRecordsById", order, "current", "cellValuesByFieldId").(object)
	if len(looked) != 2 || looked[c.fieldID("City (from Client)")] == nil || looked[c.fieldID("Title")] == nil {
		t.Errorf("looked up: %v", looked)
	}
	newest(one, 2)

	customers.DeleteRecords(sol, luna)
	gone := newest(all, 3)
	equal(t, "destroyed", at(gone, customers.TableID(), "destroyedRecordIds"), []string{sol, luna})
	equal(t, "unlinked", at(gone, orders, "changedRecordsById", order, "current", "cellValuesByFieldId", c.fieldID("Client")), nil)
	newest(cell, 2) // the changes of customers alone are not among them

	if _, err := c.s.AddTable("Notes", airtabletest.Field{Name: "Text", Type: airtabletest.SingleLineText},
		airtabletest.Field{Name: "Order", Type: airtabletest.MultipleRecordLinks, LinkedTable: "Orders"}); err != nil {
		t.Fatal(err)
	}
	list, _ := c.payloads(structure, 1)
	notes := c.s.InTable("Notes")
	equal(t, "metadata", at(list[0], "createdTablesById", notes.TableID(), "metadata", "name"), "Notes")
	if fields, _ := at(list[0], "createdTablesById", notes.TableID(), "fieldsById").(object); len(list) != 1 || len(fields) != 2 {
		t.Errorf("created: %v", list)
	}
	if at(list[0], "changedTablesById", orders, "createdFieldsById") == nil {
		t.Errorf("the inverse field is missing: %v", list[0])
	}
	scoped["recordChangeScope"] = "tblNone"
	refused(t, c.do(http.MethodPost, c.hooks(), spec("", scoped, nil)), http.StatusUnprocessableEntity, "INVALID_FILTERS")
}
