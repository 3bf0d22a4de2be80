package column

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// table makes a table of fields as the metadata API describes them, each `Name|type|options`; its id is fldName.
func table(t testing.TB, lines ...string) airtable.Table {
	t.Helper()
	out := airtable.Table{ID: "tbl1", Primaries: map[string]string{"tbl1": "", "tblCustomers": "fldCustomerName"}}
	for _, line := range lines {
		parts := strings.SplitN(line, "|", 3)
		f := airtable.Field{ID: "fld" + parts[0], Name: parts[0], Type: parts[1]}
		if len(parts) == 3 {
			if err := json.Unmarshal([]byte(parts[2]), &f.Options); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		out.Fields = append(out.Fields, f)
	}
	out.PrimaryFieldID = out.Fields[0].ID
	return out
}

func choices(names ...string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = fmt.Sprintf(`{"name":%q}`, n)
	}
	return `{"choices":[` + strings.Join(list, ",") + `]}`
}

// chosen gives the names of the columns' fields.
func (m *Mapper) chosen() map[Column]string {
	got := map[Column]string{}
	for c, i := range m.columns {
		got[c] = m.table.Fields[i].Name
	}
	return got
}

func said(m *Mapper, c Column, part string) bool {
	for _, n := range m.notes[c] {
		if strings.Contains(n.EN, part) && n.ES != "" && n.ES != n.EN {
			return true
		}
	}
	return false
}

// What a field holds decides before what it is called.
func TestGuess(t *testing.T) {
	t.Parallel()
	link := `Cliente|multipleRecordLinks|{"linkedTableId":"tblCustomers"}`
	lookup := func(name, of string) string {
		return name + `|multipleLookupValues|{"recordLinkFieldId":"fldCliente","fieldIdInLinkedTable":"` + of + `","result":{"type":"singleLineText"}}`
	}
	states := choices("Pendiente", "En proceso", "Enviado", "Entregado", "Cancelado")
	for name, c := range map[string]struct {
		column Column
		fields []string
		sample string // cells by the field's name, of every record
		want   string
		note   string
	}{
		"units are no amount":               {Amount, []string{"Cantidad|number", "Total con IVA|currency"}, ``, "Total con IVA", ""},
		"units are none, whatever the type": {Amount, []string{"Cantidad|number", "Total|number"}, ``, "Total", ""},
		"a formula of a currency":           {Amount, []string{"Cantidad|number", `Total con IVA|formula|{"result":{"type":"currency"}}`}, ``, "Total con IVA", ""},
		"a price is less than an amount":    {Amount, []string{"Precio|currency", "Importe del pedido|currency"}, ``, "Importe del pedido", "could also be “Precio”"},
		"a count is no currency":            {Amount, []string{`Total|count|{"recordLinkFieldId":"fldLines"}`, "Amount due|currency"}, ``, "Amount due", "could also be “Total”"},
		"tax is a part":                     {Amount, []string{"IVA|currency", "Descuento|currency", "Gastos de envío|currency", "Importe|currency"}, ``, "Importe", ""},
		"with tax before without":           {Amount, []string{"Total sin IVA|currency", "Total con IVA|currency"}, ``, "Total con IVA", "could also be “Total sin IVA”"},
		"two that differ by nothing":        {Amount, []string{"Importe A|currency", "Importe B|currency"}, ``, "Importe A", "could also be “Importe B”"},
		"empty cells are no amount":         {Amount, []string{"Total|currency", "Importe neto|number"}, `{"Importe neto":5}`, "Importe neto", "could also be “Total”"},
		"nothing like it":                   {Amount, []string{"Coste de envío|currency"}, ``, "", "stays empty"},

		"a text is no select of states":   {Status, []string{"Estado|singleLineText", "Situación del pedido|singleSelect|" + states}, ``, "Situación del pedido", "could also be “Estado”"},
		"found by its choices":            {Status, []string{"Estado|multilineText", "Luz|singleSelect|" + states}, ``, "Luz", "could also be “Estado”"},
		"a state of payment":              {Status, []string{"Estado del pago|singleSelect|" + choices("Pendiente", "Pagado", "Cancelado"), "Estado|singleSelect|" + choices("Nuevo", "Listo")}, ``, "Estado", ""},
		"only a state of payment":         {Status, []string{"Payment status|singleSelect|" + choices("Pending", "Cancelled")}, ``, "", "AIRTABLE_FIELD_STATUS"},
		"choices with emoji":              {Status, []string{"Luz|singleSelect|" + choices("🟡 Pendiente", "🟢 Enviado")}, ``, "Luz", ""},
		"several at once":                 {Status, []string{"Estado|multipleSelects|" + states}, ``, "Estado", "several choices at once"},
		"priority by its choices":         {Priority, []string{"Semáforo|singleSelect|" + choices("Baja", "Media", "Alta")}, ``, "Semáforo", ""},
		"the lookup of a link":            {Customer, []string{link, lookup("Email (from Cliente)", "fldX"), lookup("Nombre (from Cliente)", "fldCustomerName")}, ``, "Nombre (from Cliente)", ""},
		"the lookup, whatever its name":   {Customer, []string{link, lookup("Ciudad", "fldY"), lookup("Quién", "fldCustomerName")}, ``, "Quién", ""},
		"a link that nobody can read":     {Customer, []string{link, lookup("Email (from Cliente)", "fldX")}, ``, "", "add a lookup"},
		"a text before a link":            {Customer, []string{link, "Nombre del cliente|singleLineText"}, ``, "Nombre del cliente", ""},
		"an address is nobody":            {Customer, []string{"Customer email|email", "Customer phone|phoneNumber", "Company|singleLineText"}, ``, "Company", ""},
		"a delivery is no order":          {OrderDate, []string{"Fecha de entrega|date", "Fecha|date"}, ``, "Fecha", ""},
		"the time of creation at last":    {OrderDate, []string{"Fecha de entrega|date", "Creado|createdTime"}, ``, "Creado", "was created"},
		"a date before that of creation":  {OrderDate, []string{"Día|date", "Creado|createdTime"}, ``, "Día", ""},
		"a type of its own before a text": {OrderDate, []string{"Fecha|singleLineText", "Fecha pedido|date"}, ``, "Fecha pedido", "could also be “Fecha”"},
		"the primary field is the name":   {Name, []string{"Código|formula", "Pedido relacionado|singleLineText"}, ``, "Código", ""},
		"a link is no name":               {Name, []string{"Código|autoNumber", "Pedido|multipleRecordLinks"}, ``, "Código", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := table(t, c.fields...)
			if c.column != Name {
				of.PrimaryFieldID = ""
			}
			var u *usage
			if c.sample != "" {
				u = newUsage()
				var cells map[string]json.RawMessage
				if err := json.Unmarshal([]byte(c.sample), &cells); err != nil {
					t.Fatal(err)
				}
				byID := map[string]json.RawMessage{}
				for name, v := range cells {
					byID["fld"+name] = v
				}
				data, _ := json.Marshal(byID)
				u.add([]airtable.Record{record(t, string(data)), record(t, string(data))})
			}
			m := WithSchema(of, Config{}, nil, u)
			if got := m.chosen()[c.column]; got != c.want {
				t.Errorf("%q, want %q; notes %v", got, c.want, m.notes[c.column])
			}
			if c.note == "" && len(m.notes[c.column]) > 0 || !said(m, c.column, c.note) && c.note != "" {
				t.Errorf("notes %v, want %q", m.notes[c.column], c.note)
			}
		})
	}
}

// Names of the operator's are found whatever their outer spaces, case and Unicode form.
func TestNamed(t *testing.T) {
	t.Parallel()
	of := table(t, " Ref |singleLineText", "Situacio\u0301n |singleLineText", "situación|singleLineText", "Cliente|multipleRecordLinks",
		`Quién|multipleLookupValues|{"recordLinkFieldId":"fldCliente","result":{"type":"singleLineText"}}`)
	m := WithSchema(of, Config{Named: map[Column]string{
		Name: "ref", Status: "Situación", Priority: "Prioridad", Customer: "Cliente", Amount: None,
	}}, nil, nil)
	want := map[Column]string{Name: " Ref ", Status: "Situacio\u0301n ", Customer: "Quién"}
	if got := m.chosen(); !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !said(m, Priority, "AIRTABLE_FIELD_PRIORITY names “Prioridad”, which the table lacks") || len(m.notes[Amount]) > 0 {
		t.Errorf("notes %v", m.notes)
	}
}

// A column stays with its field, by the field's id, while that is there and suits.
func TestKept(t *testing.T) {
	t.Parallel()
	link := "CustomerLink|multipleRecordLinks"
	before := table(t, "Ref|singleLineText", `Importe|rollup|{"result":{"type":"currency"}}`, link,
		`Customer|multipleLookupValues|{"recordLinkFieldId":"fldCustomerLink","result":{"type":"singleLineText"}}`, "Luz|singleSelect|"+choices("Pendiente", "Enviado"),
		`Fecha|date|{"dateFormat":{"name":"us"}}`, "Estimación|date")
	m := WithSchema(before, Config{}, nil, nil)
	kept := m.kept(nil)
	change := func(name string, to func(*airtable.Field)) {
		for i := range before.Fields {
			if before.Fields[i].Name == name {
				to(&before.Fields[i])
			}
		}
	}
	rename := func(name string) func(*airtable.Field) { return func(f *airtable.Field) { f.Name = name } }
	change("Importe", rename("Base imponible"))
	change("Customer", rename("Quién"))
	change("Fecha", rename("Cuándo"))
	before.Fields = append(before.Fields, table(t, "Total|currency", "Status|singleSelect|"+choices("Pending", "Sent", "Delivered")).Fields...)
	m = WithSchema(before, Config{}, kept, nil)
	want := map[Column]string{Name: "Ref", Amount: "Base imponible", Customer: "Quién", Status: "Luz", OrderDate: "Cuándo"}
	if got := m.chosen(); !maps.Equal(got, want) {
		t.Fatalf("renamed: %q", got)
	}

	// A type that still holds the values is kept, with a word; the words of a select are remembered.
	kept = m.kept(kept)
	toText := func(f *airtable.Field) { *f = airtable.Field{ID: f.ID, Name: f.Name, Type: "singleLineText"} }
	for _, name := range []string{"Luz", "Cuándo", "Base imponible"} {
		change(name, toText)
	}
	for range 2 { // the second time it is a text that was one before
		m = WithSchema(before, Config{}, kept, nil)
		kept = m.kept(kept)
	}
	if got := m.chosen(); !maps.Equal(got, want) {
		t.Fatalf("changed to texts: %q", got)
	}
	o, _ := m.Order(record(t, `{"fldLuz":"Enviado","fldFecha":"6/25/2026 10:30","fldImporte":"1002,10 €"}`), day)
	if *o.Status != "Sent" || *o.OrderDate != "2026-06-25" || o.Amount.String() != "1002.10" || m.Cell(Status, "Sent") != "Enviado" || m.Offers(Status) != nil {
		t.Errorf("%+v", o)
	}
	if !said(m, Status, "singleSelect and is a text now") || !said(m, OrderDate, "month first") {
		t.Errorf("notes %v", m.notes)
	}

	// What cannot hold them any more, or is gone, is left.
	change("Base imponible", func(f *airtable.Field) { f.Type = "checkbox" })
	change("Luz", func(f *airtable.Field) { *f = airtable.Field{ID: "fldNew", Name: "Luz verde", Type: "checkbox"} })
	m = WithSchema(before, Config{}, kept, nil)
	want[Amount], want[Status] = "Total", "Status"
	if got := m.chosen(); !maps.Equal(got, want) {
		t.Errorf("left: %q", got)
	}
	// Whoever names another field, or none any more, is heard.
	m = WithSchema(before, Config{Named: map[Column]string{OrderDate: "Estimación", Customer: None}}, kept, nil)
	if got := m.chosen(); got[OrderDate] != "Estimación" || got[Customer] != "" {
		t.Errorf("named: %q", got)
	}
}

// A close call is said for as long as nobody has decided it, and both fields are there.
func TestCloseCallStaysNoted(t *testing.T) {
	t.Parallel()
	both := table(t, "Importe A|currency", "Importe B|currency")
	var kept map[Column]Kept
	for range 3 {
		m := WithSchema(both, Config{}, kept, nil)
		if kept = m.kept(kept); !said(m, Amount, "it could also be “Importe B”") {
			t.Fatalf("notes %v", m.notes)
		}
	}
	decided := Config{Named: map[Column]string{Amount: "Importe A"}}
	if m := WithSchema(both, decided, kept, nil); len(m.notes[Amount]) > 0 {
		t.Errorf("notes %v", m.notes[Amount])
	}
	if m := WithSchema(table(t, "Importe A|currency"), Config{}, kept, nil); len(m.notes[Amount]) > 0 {
		t.Errorf("notes %v", m.notes[Amount])
	}
}
