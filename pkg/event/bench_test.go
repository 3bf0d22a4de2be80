package event_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/event"
)

// typical is an order as Airtable's own template for orders has it: nine cells.
func typical() (event.Envelope, *event.OrderChanged) {
	amount := json.Number("1250.5")
	at := time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)
	return event.Envelope{
			ID: "Xb3kQ9vT0pLw7sRyAe2NuC", Source: "/airtable/appA1b2C3d4E5f6G7/tblA1b2C3d4E5f6G7", Time: at,
			Digest: "0123456789abcdef0123456789abcdef",
		}, &event.OrderChanged{
			RecordID: "recA1b2C3d4E5f6G7", Change: event.Updated,
			Order: event.Order{
				RecordID: "recA1b2C3d4E5f6G7", Name: new("ORD-00042"), Customer: new("Café Ñandú & Hijos"),
				Status: new("Processing"), Priority: new("High"), Amount: &amount, OrderDate: new("2026-11-03"),
				CreatedAt: at, UpdatedAt: at,
				Fields: json.RawMessage(`{"Order":"ORD-00042","Customer":"Café Ñandú & Hijos","Status":"Processing","Priority":"High",` +
					`"Amount":1250.5,"Order date":"2026-11-03","Notes":"Call before delivery","Tags":["web","gift"],"Changed":"2026-11-03T09:30:00.000Z"}`),
			},
			Previous: map[string]json.RawMessage{"status": json.RawMessage(`"Pending"`)},
		}
}

func BenchmarkNewOrderChanged(b *testing.B) {
	env, change := typical()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.NewOrderChanged(env, change); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseOrderChanged(b *testing.B) {
	msg, err := event.NewOrderChanged(typical())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(msg.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data); err != nil {
			b.Fatal(err)
		}
	}
}
