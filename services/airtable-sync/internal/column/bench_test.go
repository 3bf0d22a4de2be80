package column

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Each order passes here on each full scan.
func BenchmarkOrder(b *testing.B) {
	field := func(id, name, typ string) airtable.Field { return airtable.Field{ID: id, Name: name, Type: typ} }
	status := field("fld3", "Status", "singleSelect")
	status.Options.Choices = []airtable.Choice{{Name: "Pending"}, {Name: "Sent"}}
	m := WithSchema(airtable.Table{ID: "tbl1", Fields: []airtable.Field{
		field("fld1", "Order", "singleLineText"), field("fld2", "Customer", "singleLineText"), status, field("fld4", "Priority", "singleLineText"),
		field("fld5", "Amount", "currency"), field("fld6", "Order date", "date"), field("fld7", "Notes", "multilineText"),
	}}, Config{}, nil, nil)
	cell := func(id, value string) airtable.Cell { return airtable.Cell{Key: id, Value: json.RawMessage(value)} }
	r := airtable.Record{ID: "recA1b2C3d4E5f6G7", CreatedTime: time.Unix(0, 0), Fields: airtable.Fields{
		cell("fld1", `"ORD-00042"`), cell("fld2", `"Café Ñandú & Hijos"`), cell("fld3", `"Sent"`), cell("fld4", `"High"`),
		cell("fld5", `1250.5`), cell("fld6", `"2026-11-03"`), cell("fld7", `"Call before delivery"`),
	}}
	b.ReportAllocs()
	for b.Loop() {
		if o, _ := m.Order(r, time.Unix(1, 0)); o.Amount == nil {
			b.Fatal(o)
		}
	}
}
