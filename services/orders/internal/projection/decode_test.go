package projection

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// What is cut out of the order's own JSON is a history entry as the contract has it.
func TestHistoryEntry(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 9, 0, 0, 120, time.UTC)
	amount := json.Number("12.50")
	for name, order := range map[string]event.Order{
		"full": {
			Name: new(`a,"created_at":"b`), Customer: new("Núñez, \"Sons\""), Status: new("Sent"), Priority: new("High"),
			Amount: &amount, OrderDate: new("2026-11-03"), Fields: json.RawMessage(`{"created_at":",\"created_at\":"}`),
		},
		"empty": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order.RecordID, order.CreatedAt, order.UpdatedAt = "rec1", at, at
			msg, err := event.NewOrderChanged(event.Envelope{ID: `id"1`, Source: "/x", Time: at, Digest: "0123456789abcdef0123456789abcdef"},
				&event.OrderChanged{
					RecordID: "rec1", Change: event.Updated, Order: order, EditIDs: []string{"e1"},
					Previous: map[string]json.RawMessage{"status": json.RawMessage(`"Draft"`)}, Actor: &event.Actor{ID: "usr1", Email: "a@b.example"},
				})
			if err != nil {
				t.Fatal(err)
			}
			change, err := decode(msg.Subject, msg.Header, msg.Data)
			if err != nil {
				t.Fatal(err)
			}
			var got ordersapi.HistoryEntry
			if err := json.Unmarshal(change.History.Entry, &got); err != nil {
				t.Fatalf("%s: %v", change.History.Entry, err)
			}
			values := map[string]any{}
			for _, c := range event.Columns {
				values[c.Name] = nil
			}
			if name == "full" {
				maps.Copy(values, map[string]any{
					"name": *order.Name, "customer": *order.Customer, "status": "Sent", "priority": "High", "amount": 12.5, "order_date": "2026-11-03",
				})
			}
			want := ordersapi.HistoryEntry{
				ID: `id"1`, Change: "updated", At: at, Source: "api", Values: values, Previous: map[string]any{"status": "Draft"},
				Actor: &ordersapi.HistoryActor{ID: "usr1", Email: "a@b.example"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
