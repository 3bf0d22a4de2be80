package column

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/columns"
)

var day = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

func TestNumber(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		`12.50`: "12.50", `-3`: "-3", `1e3`: "1e3", `[1250.5]`: "1250.5", `2000000000000000.5`: "2000000000000000.5", `9e20`: "9e20", `1e300`: "", `true`: "",
		`"1002,10 €"`: "1002.10", `"1.250,00 €"`: "1250.00", `"€ 1,250.00"`: "1250.00", `"$1,234,567"`: "1234567", `"1.234.567"`: "1234567",
		`"1 234,50"`: "1234.50", "\"1\u00a0234,50\u00a0€\"": "1234.50", `"1'234.50 CHF"`: "1234.50", `"-5,5"`: "-5.5", `"−5"`: "-5", `"EUR 12"`: "12", `"- 7 €"`: "-7",
		`"0,125"`: "0.125", `"1250.125"`: "1250.125", `"12"`: "12", `"007"`: "7", `"1e3"`: "1e3",
		`"1.250"`: "", `"1,250 €"`: "", `"12.34.56"`: "", `"1,23,456"`: "", `"12 o 13"`: "", `"5 %"`: "", `"0x10"`: "", `"1_000"`: "", `"Infinity"`: "", `"-"`: "", `""`: "",
		`{"specialValue":"NaN"}`: "", `{"error":"#ERROR!"}`: "", `{"state":"generated","value":"12,5"}`: "12.5", `[1,2]`: "", `[]`: "", `null`: "",
	} {
		got := number(json.RawMessage(cell))
		if got != want || got != "" && !json.Valid([]byte(got)) {
			t.Errorf("%s: %q, want %q", cell, got, want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		`"a\u0041"`: "aA", `{"state":"generated","isStale":false,"value":"Pedido 7"}`: "Pedido 7", `{"state":"error","value":null}`: "",
		`["Ferretería Sol",null]`: "Ferretería Sol", `["recA1b2C3d4E5f6G7"]`: "", `["recA1b2C3d4E5f6G7","Ana"]`: "recA1b2C3d4E5f6G7, Ana", `["rectangle"]`: "rectangle",
		`[{"id":"recA1b2C3d4E5f6G7","name":"Ana"}]`: "Ana", `7`: "7",
	} {
		if got := text(json.RawMessage(cell)); got != want {
			t.Errorf("%s: %q, want %q", cell, got, want)
		}
	}
}

// The date of an order is the day that people see in Airtable.
func TestDate(t *testing.T) {
	t.Parallel()
	mexico, err := time.LoadLocation("America/Mexico_City")
	if err != nil {
		t.Fatal(err)
	}
	dateTime := func(zone string) string { return `Fecha|dateTime|{"timeZone":"` + zone + `"}` }
	for _, c := range []struct {
		field string
		zone  *time.Location
		cell  string
		want  string
	}{
		{dateTime("Europe/Madrid"), nil, `"2026-06-30T22:30:00.000Z"`, "2026-07-01"},
		{dateTime("America/Mexico_City"), nil, `"2026-07-01T01:00:00.000Z"`, "2026-06-30"},
		{dateTime("utc"), mexico, `"2026-07-01T01:00:00.000Z"`, "2026-07-01"},
		{dateTime("client"), mexico, `"2026-07-01T01:00:00.000Z"`, "2026-06-30"},
		{dateTime("client"), nil, `"2026-07-01T01:00:00.000Z"`, "2026-07-01"},
		{dateTime("Atlantis/Center"), mexico, `"2026-07-01T01:00:00.000Z"`, "2026-06-30"},
		{`Fecha|formula|{"result":{"type":"dateTime","options":{"timeZone":"Europe/Madrid"}}}`, nil, `"2026-06-30T22:30:00.000Z"`, "2026-07-01"},
		{`Fecha|multipleLookupValues|{"result":{"type":"dateTime","options":{"timeZone":"Europe/Madrid"}}}`, nil, `["2026-06-30T22:30:00.000Z"]`, "2026-07-01"},
		{`Creado|createdTime|{"result":{"type":"dateTime","options":{"timeZone":"Europe/Madrid"}}}`, nil, `"2026-06-30T22:30:00.000Z"`, "2026-07-01"},
		{`Fecha|date`, mexico, `"2026-07-01"`, "2026-07-01"},
		{`Fecha|date`, nil, `"2026-02-31"`, ""},
		{`Fecha|singleLineText`, mexico, `"03/06/2026 10:30"`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `"3-6-2026"`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `" 2026-06-03 10:30 "`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `"12/25/2026"`, ""},
		{`Fecha|singleLineText`, nil, `"2026/06/03"`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `"2026.6.3 10:30"`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `"31/12/26"`, "2026-12-31"},
		{`Fecha|singleLineText`, nil, `"03/06/26"`, ""}, // which is which is not known
		{`Fecha|singleLineText`, nil, `"3 de junio de 2026"`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `"1º de Setiembre del 2026"`, "2026-09-01"},
		{`Fecha|singleLineText`, nil, `"June 3, 2026"`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `"June 3rd, 2026 10:30"`, "2026-06-03"},
		{`Fecha|singleLineText`, nil, `"3-Dic-2026"`, "2026-12-03"},
		{`Fecha|singleLineText`, nil, `"31 de junio de 2026"`, ""},
		{`Fecha|singleLineText`, nil, `"3 de junio de 2026 o 4 de julio"`, ""},
		{`Fecha|singleLineText`, nil, `"3 de brumario de 2026"`, ""},
		{`Fecha|singleLineText`, nil, `"el 3 de junio"`, ""},
	} {
		m := WithSchema(table(t, "Ref|singleLineText", c.field), Config{Zone: c.zone}, nil, nil)
		f, _ := m.Field(OrderDate)
		data, _ := json.Marshal(map[string]json.RawMessage{f.ID: json.RawMessage(c.cell)})
		o, _ := m.Order(record(t, string(data)), day)
		switch {
		case c.want == "" && o.OrderDate != nil:
			t.Errorf("%s %s: %s", c.field, c.cell, *o.OrderDate)
		case c.want != "" && (o.OrderDate == nil || *o.OrderDate != c.want):
			t.Errorf("%s %s: %v, want %s", c.field, c.cell, o.OrderDate, c.want)
		}
		if _, noted := m.misread.example(OrderDate); noted != (c.want == "") {
			t.Errorf("%s %s: said to be unreadable: %t", c.field, c.cell, noted)
		}
	}
	// What else is in the column tells which comes first, the day or the month.
	u := newUsage()
	u.add(recordsOf(t, `{"fldFecha":"06/03/2026"}`, `{"fldFecha":"06/25/2026 10:30"}`))
	m := WithSchema(table(t, "Ref|singleLineText", "Fecha|singleLineText"), Config{}, nil, u)
	if o, _ := m.Order(record(t, `{"fldFecha":"06/03/2026"}`), day); o.OrderDate == nil || *o.OrderDate != "2026-06-03" || !said(m, OrderDate, "month first") {
		t.Errorf("%+v %v", o, m.notes)
	}
	u = newUsage()
	u.add(recordsOf(t, `{"fldFecha":"12/31/26"}`))
	m = WithSchema(table(t, "Ref|singleLineText", "Fecha|singleLineText"), Config{}, nil, u)
	if o, _ := m.Order(record(t, `{"fldFecha":"12/31/26"}`), day); o.OrderDate == nil || *o.OrderDate != "2026-12-31" {
		t.Errorf("the month first, with two digits of the year: %+v", o)
	}
	if m := WithSchema(table(t, "Ref|singleLineText", dateTime("client")), Config{}, nil, nil); !said(m, OrderDate, "TIME_ZONE") {
		t.Errorf("the zone that is assumed is not told: %v", m.notes)
	}
}

func TestVocabulary(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		column Column
		words  []string
		values []string
	}{
		"English":    {Status, []string{"Pending", "Processing", "Sent", "Delivered", "Cancelled"}, []string{"Pending", "Processing", "Sent", "Delivered", "Cancelled"}},
		"Spanish":    {Status, []string{"Pendiente", "En proceso", "Enviado", "Entregado", "Cancelado"}, []string{"Pending", "Processing", "Sent", "Delivered", "Cancelled"}},
		"Portuguese": {Status, []string{"Pendente", "Em processamento", "Enviado", "Entregue", "Cancelado"}, []string{"Pending", "Processing", "Sent", "Delivered", "Cancelled"}},
		"priorities": {Priority, []string{"Baja", "Media", "Alta", "Urgente"}, []string{"Low", "Medium", "High", "Urgente"}},
		"sloppy":     {Status, []string{"Sent ", "pending", "EN PROCESO", "🟢 Entregado", " Devuelto a me\u0301xico "}, []string{"Sent", "Pending", "Processing", "Delivered", "Devuelto a méxico"}},
		"both words": {Status, []string{"Pendiente", "Pending", "Enviado", "Despachado"}, []string{"Pendiente", "Pending", "Sent", "Despachado"}},
		"both cases": {Status, []string{"pending", "Pending", "Pending "}, []string{"pending", "Pending", "Pending "}},
		"only space": {Status, []string{"A", "A ", " A"}, []string{"A", "A ", " A"}},
	} {
		var choices []columns.Offer
		of := newVocabulary(c.column, choiceList(c.words))
		for i, w := range c.words {
			choices = append(choices, columns.Offer{Value: c.values[i], Title: w})
			if of.value(w) != c.values[i] || of.word(c.values[i]) != w {
				t.Errorf("%s: %q is %q, which is written as %q", name, w, of.value(w), of.word(c.values[i]))
			}
		}
		if !reflect.DeepEqual(of.offers, choices) {
			t.Errorf("%s: offers %v", name, of.offers)
		}
	}
}

// Choices appear as values and are written as the base has them.
func TestChoices(t *testing.T) {
	t.Parallel()
	of := table(t, "Ref|singleLineText", "Estado|multipleSelects|"+choices("Enviado", "Urgente"), "Prioridad|singleSelect|"+choices("Alta ", "Baja"))
	m := WithSchema(of, Config{}, nil, nil)
	o, _ := m.Order(record(t, `{"fldEstado":["Enviado","Urgente"],"fldPrioridad":"Alta "}`), day)
	if *o.Status != "Sent, Urgente" || *o.Priority != "High" {
		t.Errorf("%s, %s", *o.Status, *o.Priority)
	}
	if got := m.Cell(Status, "Sent"); !reflect.DeepEqual(got, []string{"Enviado"}) {
		t.Errorf("%v", got)
	}
	if got := m.Cell(Priority, "High"); got != "Alta " {
		t.Errorf("%q", got)
	}
	for cells, unknown := range map[string]bool{
		`{"fldEstado":["Enviado"],"fldPrioridad":"Baja"}`: false, `{"fldPrioridad":"Media"}`: true, `{"fldEstado":["Enviado","Nuevo"]}`: true, `{"fldNuevo":1}`: true,
	} {
		if got := m.unknown(recordsOf(t, cells)); got != unknown {
			t.Errorf("%s: news to the schema: %t", cells, got)
		}
	}
}

// Of a record that is too large to read whole, the order names what may be incomplete.
func TestOrderOfACutRecord(t *testing.T) {
	t.Parallel()
	m := WithSchema(table(t, "Ref|singleLineText", "Notas|multilineText", "Estado|singleLineText"), Config{}, nil, nil)
	r := record(t, `{"fldRef":"A-1","fldNotas":"abcdefgh…","fldEstado":"Enviado"}`)
	r.Cut = 9
	o, _ := m.Order(r, day)
	if len(o.Truncated) != 1 || o.Truncated[0] != "Notas" || *o.Name != "A-1" {
		t.Errorf("%+v", o)
	}
}

// What Airtable shows as empty is not said to be unreadable.
func TestEmptyCellsAreNotMisread(t *testing.T) {
	t.Parallel()
	for cell, unreadable := range map[string]bool{
		`null`: false, `""`: false, `" "`: false, `[]`: false, `[null]`: false, `[null,""]`: false, `[[null]]`: false,
		`{"state":"empty","isStale":false,"value":null}`: false, `{"state":"empty","value":""}`: false, `{"state":"loading","value":null}`: false,
		`[{"state":"empty","value":null}]`:                             false,
		`{"state":"error","errorType":"emptyDependency","value":null}`: true, `{"error":"#ERROR!"}`: true, `{}`: true, `[null,{"specialValue":"NaN"}]`: true,
	} {
		m := WithSchema(table(t, "Ref|singleLineText", "Importe|multipleLookupValues"), Config{}, nil, nil)
		o, _ := m.Order(record(t, `{"fldImporte":`+cell+`}`), day)
		if _, noted := m.misread.example(Amount); noted != unreadable || o.Amount != nil {
			t.Errorf("%s: said to be unreadable: %t", cell, noted)
		}
	}
}

// In a text that was a select, words that people write by hand count as its choices; choices of a select stay apart.
func TestWordsOfASelectThatBecameText(t *testing.T) {
	t.Parallel()
	words := choices("Pendiente", "Enviado", "Devuelto a méxico", "Urgente", "URGENTE")
	was := WithSchema(table(t, "Ref|singleLineText", "Estado|singleSelect|"+words), Config{}, nil, nil)
	text := WithSchema(table(t, "Ref|singleLineText", "Estado|singleLineText"), Config{}, was.kept(nil), nil)
	if was.Fingerprint() == text.Fingerprint() {
		t.Error("no full scan reads the words anew")
	}
	for word, want := range map[string]string{
		"Pendiente": "Pending", "enviado ": "Sent", "ENVIADO": "Sent", "pending": "Pending", "devuelto a méxico": "Devuelto a méxico",
		"Urgente": "Urgente", "URGENTE": "URGENTE", "urgente ": "urgente", "Otro ": "Otro",
	} {
		cells, _ := json.Marshal(map[string]string{"fldEstado": word})
		if o, _ := text.Order(record(t, string(cells)), day); o.Status == nil || *o.Status != want {
			t.Errorf("%q: %v, want %q", word, o.Status, want)
		}
	}
	if o, _ := was.Order(record(t, `{"fldEstado":"enviado"}`), day); *o.Status != "enviado" { // a choice made since
		t.Errorf("choices are merged: %s", *o.Status)
	}
}
