package column

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

func fields(namesAndTypes ...string) []airtable.Field {
	var fs []airtable.Field
	for i := 0; i < len(namesAndTypes); i += 2 {
		fs = append(fs, airtable.Field{ID: "fld" + namesAndTypes[i], Name: namesAndTypes[i], Type: namesAndTypes[i+1]})
	}
	return fs
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields  []airtable.Field
		named   map[Column]string
		want    map[Column]string
		missing []Column
	}{
		"English": {
			fields: fields("Name", "singleLineText", "Customer", "singleLineText", "Status", "singleSelect", "Priority", "singleSelect",
				"Amount", "currency", "Order Date", "date", "Delivery date", "date", "Created", "createdTime"),
			want: map[Column]string{Name: "Name", Customer: "Customer", Status: "Status", Priority: "Priority", Amount: "Amount", OrderDate: "Order Date"},
		},
		"Spanish, accents, case and punctuation": {
			fields: fields("NÚMERO DE PEDIDO", "autoNumber", "Nombre_del_cliente", "singleLineText", "Estado del pedido", "singleSelect",
				"prioridad", "singleSelect", "Importe total", "currency", "Fecha-de-pedido", "date", "Última modificación", "lastModifiedTime"),
			want: map[Column]string{Name: "NÚMERO DE PEDIDO", Customer: "Nombre_del_cliente", Status: "Estado del pedido", Priority: "prioridad",
				Amount: "Importe total", OrderDate: "Fecha-de-pedido", UpdatedAt: "Última modificación"},
		},
		"camel case": {
			fields: fields("orderNumber", "autoNumber", "customerName", "singleLineText", "orderStatus", "singleSelect", "priority", "singleSelect",
				"totalAmount", "currency", "orderDate", "date", "shipDate", "date"),
			want: map[Column]string{Name: "orderNumber", Customer: "customerName", Status: "orderStatus", Priority: "priority",
				Amount: "totalAmount", OrderDate: "orderDate"},
		},
		"by type where names say nothing": {
			fields: fields("Ref", "singleLineText", "Client", "singleLineText", "Status", "singleSelect", "Priority", "singleSelect", "EUR", "currency", "When", "date"),
			want:   map[Column]string{Name: "Ref", Customer: "Client", Status: "Status", Priority: "Priority", Amount: "EUR", OrderDate: "When"},
		},
		"two that could be it are none": {
			fields:  fields("Ref", "singleLineText", "Client", "singleLineText", "Status", "singleSelect", "Priority", "singleSelect", "Net", "currency", "Gross", "currency", "When", "date"),
			want:    map[Column]string{Name: "Ref", Customer: "Client", Status: "Status", Priority: "Priority", OrderDate: "When"},
			missing: []Column{Amount},
		},
		"named, by name or by id, and none": {
			fields: fields("A", "singleLineText", "B", "singleLineText", "Status", "singleSelect", "C", "currency", "D", "date"),
			named:  map[Column]string{Name: "A", Customer: "fldB", Priority: None},
			want:   map[Column]string{Name: "A", Customer: "B", Status: "Status", Amount: "C", OrderDate: "D"},
		},
		"named, but not there": {
			fields:  fields("Name", "singleLineText", "Customer", "singleLineText", "Status", "singleSelect", "Priority", "singleSelect", "Amount", "currency", "Date", "date"),
			named:   map[Column]string{Status: "Estado"},
			want:    map[Column]string{Name: "Name", Customer: "Customer", Priority: "Priority", Amount: "Amount", OrderDate: "Date"},
			missing: []Column{Status},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := resolve(airtable.Table{ID: "tbl1", Fields: c.fields, PrimaryFieldID: c.fields[0].ID}, nil, c.named, nil)
			got := map[Column]string{}
			for col, i := range g.found {
				got[col] = c.fields[i].Name
			}
			var missing []Column
			for _, col := range Mapped {
				if _, ok := g.found[col]; !ok && len(g.notes[col]) > 0 && col.core().Since == 1 { // the tables have no fields for others
					missing = append(missing, col)
				}
			}
			if !maps.Equal(got, c.want) || !slices.Equal(missing, c.missing) {
				t.Fatalf("found %v, missing %v", got, missing)
			}
		})
	}
}

func mapper(testing.TB) *Mapper {
	return WithSchema(airtable.Table{PrimaryFieldID: "fldName", Fields: fields("Name", "singleLineText", "Customer", "multipleLookupValues",
		"Status", "singleLineText", "Priority", "singleLineText", "Amount", "currency", "Date", "dateTime",
		"Files", "multipleAttachments", "Notes", "multilineText", "Days open", "formula")}, Config{}, nil, nil)
}

func record(t testing.TB, cells string) airtable.Record {
	r := airtable.Record{ID: "rec00000000000001", CreatedTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var err error
	if r.Fields, err = fieldsOf(cells); err != nil {
		t.Fatal(err)
	}
	return r
}

func fieldsOf(object string) (fields airtable.Fields, err error) {
	var cells map[string]json.RawMessage
	err = json.Unmarshal([]byte(object), &cells)
	for key, value := range cells {
		fields = append(fields, airtable.Cell{Key: key, Value: value})
	}
	return fields, err
}

func cell(r airtable.Record, key string) *json.RawMessage {
	for i := range r.Fields {
		if r.Fields[i].Key == key {
			return &r.Fields[i].Value
		}
	}
	return new(json.RawMessage)
}

func TestOrder(t *testing.T) {
	t.Parallel()
	m := mapper(t)
	o, _ := m.Order(record(t, `{"fldName":"A-1","fldCustomer":["Núñez","Sons"],"fldStatus":{"id":"sel1","name":"Sent","color":"red"},
		"fldAmount":1250.10,"fldDate":"2026-11-03T23:30:00.000Z","fldNotes":"x"}`), time.Now())
	if *o.Name != "A-1" || *o.Customer != "Núñez, Sons" || *o.Status != "Sent" || o.Priority != nil ||
		o.Amount.String() != "1250.10" || *o.OrderDate != "2026-11-03" || !strings.Contains(string(o.Fields), `"Notes":"x"`) {
		t.Fatalf("%+v", o)
	}
	for _, cells := range []string{
		`{"fldAmount":"1.250 €","fldDate":"tomorrow","fldName":""}`, `{"fldAmount":{"specialValue":"NaN"},"fldDate":20260101}`,
		`{"fldAmount":1e300,"fldDate":"2026-02-31","fldName":null}`, `{"fldAmount":true,"fldDate":"0000-01-01"}`, `{"fldAmount":[],"fldDate":[],"fldName":[]}`,
	} {
		if o, _ := m.Order(record(t, cells), time.Now()); o.Amount != nil || o.OrderDate != nil || o.Name != nil {
			t.Errorf("%s gives %+v", cells, o)
		}
	}
}

// What was written is undone, and what Airtable may have computed from it; what others wrote stays.
func TestUndo(t *testing.T) {
	t.Parallel()
	m := WithSchema(airtable.Table{Fields: []airtable.Field{
		{ID: "fldName", Name: "Name", Type: "formula"}, {ID: "fldCustomer", Name: "Customer"}, {ID: "fldStatus", Name: "Status"},
		{ID: "fldPriority", Name: "Priority"}, {ID: "fldAmount", Name: "Amount"}, {ID: "fldDate", Name: "Order date"},
	}}, Config{}, nil, nil)
	last, before := m.Order(record(t, `{"fldName":"A (Sent)","fldStatus":"Sent","fldAmount":1}`), time.Now())
	written := record(t, `{"fldName":"A (Delivered)","fldStatus":"Delivered","fldPriority":"Low","fldAmount":1}`)
	was, undone := m.Undo(written, []Column{Status, Priority}, &last)
	if _, d := m.Order(was, time.Now()); d != before || !slices.Equal(undone, []Column{Status, Priority, Name}) {
		t.Errorf("undone: %v, %s", undone, was.Fields)
	}
	*cell(written, "fldAmount") = json.RawMessage("2")
	was, _ = m.Undo(written, []Column{Status, Priority}, &last)
	if o, _ := m.Order(was, time.Now()); o.Amount.String() != "2" || *o.Name != "A (Sent)" || *o.Status != "Sent" || o.Priority != nil {
		t.Errorf("undone: %s", was.Fields)
	}
	if string(*cell(written, "fldStatus")) != `"Delivered"` {
		t.Error("the record itself is another")
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	m := mapper(t)
	digest := func(cells string) Digest { _, d := m.Order(record(t, cells), time.Now()); return d }
	base := digest(`{"fldName":"A","fldStatus":"Sent","fldFiles":[{"id":"att1","url":"u1"}],"fldDays open":3}`)
	for name, same := range map[string]string{
		"the URL of a file is renewed": `{"fldName":"A","fldStatus":"Sent","fldFiles":[{"url":"u2","id":"att1"}],"fldDays open":3}`,
		"a formula ticks":              `{"fldName":"A","fldStatus":"Sent","fldFiles":[{"id":"att1","url":"u1"}],"fldDays open":4}`,
		"escapes and keys by name":     `{"Name":"\u0041","Status":"Sent","Files":[{"id":"att1"}]}`,
	} {
		if digest(same) != base {
			t.Errorf("%s: is news", name)
		}
	}
	for name, other := range map[string]string{
		"a mapped cell":    `{"fldName":"A","fldStatus":"Pending","fldFiles":[{"id":"att1"}]}`,
		"a cleared cell":   `{"fldName":"A","fldFiles":[{"id":"att1"}]}`,
		"another file":     `{"fldName":"A","fldStatus":"Sent","fldFiles":[{"id":"att2"}]}`,
		"an unmapped cell": `{"fldName":"A","fldStatus":"Sent","fldFiles":[{"id":"att1"}],"fldNotes":"n"}`,
		"values swapped":   `{"fldName":"Sent","fldStatus":"A","fldFiles":[{"id":"att1"}]}`,
	} {
		if digest(other) == base {
			t.Errorf("%s: is no news", name)
		}
	}
	for one, same := range map[string]string{
		`"a & <b>"`:      `"a \u0026 \u003cb\u003e"`,
		`"a\n& b"`:       `"a\u000a\u0026 b"`,
		`"una línea"`:    `"una l\u00ednea"`,
		`"a/b\u2028c"`:   `"a\/b` + "\u2028" + `c"`,
		`["a & b"]`:      `["a \u0026 b"]`,
		`{"name":"a&b"}`: `{"name": "a\u0026b"}`,
	} {
		if digest(`{"fldNotes":`+one+`}`) != digest(`{"fldNotes":`+same+`}`) {
			t.Errorf("%s and %s have two digests", one, same)
		}
	}
	for cells, want := range map[string]string{ // those of orders that are published already must stay
		`{"fldNotes":"plain & <simple>"}`:        "195cb892cd6721b5791f192d0a185f92",
		`{"fldNotes":"two\nlines & \"quotes\""}`: "5db916e62e1ae74956cdd63bd19a4b3f",
	} {
		if got := digest(cells).String(); got != want {
			t.Errorf("the digest of %s is %s, was %s", cells, got, want)
		}
	}
	if ParseDigest(base.String()) != base || ParseDigest("nonsense") != (Digest{}) {
		t.Error("digests do not survive their header")
	}
}

// A text field may be mapped to a column that Postgres groups by: its values are bounded, and the rest still counts.
func TestLongChoicesAreCut(t *testing.T) {
	t.Parallel()
	m := mapper(t)
	long := strings.Repeat("ñ€", 2000)
	o, digest := m.Order(record(t, `{"fldStatus":"`+long+`a","fldName":"`+long+`"}`), time.Now())
	start, cut := strings.CutSuffix(*o.Status, "…")
	if len(*o.Status) > 1000 || len(start) < 990 || !cut || !strings.HasPrefix(long, start) || !slices.Equal(o.Truncated, []string{"Status"}) {
		t.Errorf("%d bytes of status, truncated %q", len(*o.Status), o.Truncated)
	}
	if *o.Name != long || !strings.Contains(string(o.Fields), long+"a") {
		t.Error("what is not grouped by was cut")
	}
	if _, other := m.Order(record(t, `{"fldStatus":"`+long+`b","fldName":"`+long+`"}`), time.Now()); other == digest {
		t.Error("a change of the rest is no news")
	}
}

func learn(t *testing.T, pages ...string) *Mapper {
	t.Helper()
	m, u := WithoutSchema(Config{}), newUsage()
	for _, p := range pages {
		page := []airtable.Record{record(t, p)}
		m = m.learn(page, u)
		u.add(page)
	}
	return m
}

func TestWithoutSchemaColumnsAreLearnt(t *testing.T) {
	t.Parallel()
	m := learn(t, `{"Cliente":"A","Estado":"Sent"}`)
	o, _ := m.Order(record(t, `{"Cliente":"A","Estado":"Sent"}`), time.Now())
	if *o.Customer != "A" || *o.Status != "Sent" || len(m.columns) != 2 {
		t.Fatalf("%+v, columns %v", o, m.columns)
	}
	m = learn(t, `{"Cliente":"A","Estado":"Sent"}`, `{"Importe":5}`)
	if o, _ := m.Order(record(t, `{"Importe":5}`), time.Now()); o.Amount.String() != "5" {
		t.Fatalf("%+v", o)
	}
	if m := learn(t, `{"X":1,"Y":2}`); len(m.columns) != 0 || len(m.notes[Amount]) != 1 {
		t.Fatalf("%v %v", m.columns, m.notes)
	}
}

// Without metadata every cell counts, but for the URLs of attachments.
func TestWithoutSchemaDigest(t *testing.T) {
	t.Parallel()
	const files = `"Files":[{"id":"attA1b2C3d4E5f6G7","url":"https://x/1"}]`
	base := record(t, `{"Estado":"Sent","Notas":"a",`+files+`}`)
	m := WithoutSchema(Config{}).learn([]airtable.Record{base}, newUsage())
	_, want := m.Order(base, time.Now())
	for cells, same := range map[string]bool{
		`{"Notas":"a",` + strings.Replace(files, "x/1", "x/2", 1) + `,"Estado":"Sent"}`: true,
		`{"Estado":"Sent","Notas":"b",` + files + `}`:                                   false,
		`{"Estado":"Sent",` + files + `}`:                                               false,
		`{"Estado":"Sent","Notas":"a"}`:                                                 false,
		`{"Estado":"Sent","Notas":"a","Etiquetas":["x"],` + files + `}`:                 false,
	} {
		if _, got := m.Order(record(t, cells), time.Now()); (got == want) != same {
			t.Errorf("%s: the same: %v", cells, got == want)
		}
	}
}

func TestWithoutSchemaRenamesAreNoticed(t *testing.T) {
	t.Parallel()
	m := learn(t, `{"Customer":"A","Status":"Sent"}`)
	for _, c := range []struct{ page, status string }{
		{`{"Customer":"A","Status note":"x"}`, ""}, // an empty cell, and a field that only sounds alike
		{`{"Customer":"A","Estado":"Sent","Status note":"x"}`, "Sent"},
		{`{"Customer":"A","Status":"Draft","Estado":"Sent"}`, "Draft"}, // it was a field of its own
	} {
		r := record(t, c.page)
		m = m.learn([]airtable.Record{r}, newUsage())
		if o, _ := m.Order(r, time.Now()); c.status == "" && o.Status != nil || c.status != "" && (o.Status == nil || *o.Status != c.status) {
			t.Errorf("%s: %+v", c.page, o.Status)
		}
	}
}

// Whatever Airtable answers becomes an order that can be published, or no order at all.
func FuzzOrder(f *testing.F) {
	f.Add(`{"fldName":"A","fldAmount":[1.5],"fldDate":"2026-11-03","fldCustomer":[{"name":"x"},null,[["y"]]]}`)
	f.Add(`{"fldStatus":{"name":null},"fldFiles":[{"id":7}],"fldNotes":"\ud800"}`)
	m := mapper(f)
	f.Fuzz(func(t *testing.T, cells string) {
		var r airtable.Record
		var err error
		if r.Fields, err = fieldsOf(cells); err != nil {
			t.Skip()
		}
		r.ID, r.CreatedTime = "rec1", time.Unix(1, 0)
		o, d := m.Order(r, time.Unix(2, 0))
		again, d2 := m.Order(r, time.Unix(3, 0))
		if d != d2 || !bytes.Equal(again.Fields, o.Fields) {
			t.Fatal("two readings differ")
		}
		if _, err := event.NewOrderChanged(event.Envelope{ID: "x", Time: time.Unix(2, 0)},
			&event.OrderChanged{RecordID: r.ID, Change: event.Created, Order: o}); err != nil {
			t.Fatal(err)
		}
	})
}

func recordsOf(t testing.TB, cells ...string) (page []airtable.Record) {
	for _, c := range cells {
		page = append(page, record(t, c))
	}
	return page
}

func choiceList(names []string) (list []airtable.Choice) {
	for _, n := range names {
		list = append(list, airtable.Choice{Name: n})
	}
	return list
}
