package gateway

import (
	"cmp"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/gateway/internal/live"
)

// feeds are the streams that clients are told of.
func feeds() []live.Feed {
	return []live.Feed{
		{
			Stream: bus.StreamOrders, Subjects: []string{event.OrdersChanged, event.OrdersEdited},
			Resources: []string{"orders"}, Read: readOrders, Shown: true,
		},
		{
			Stream: bus.StreamOdoo, Subjects: []string{event.OdooChanges},
			Resources: erp.Names(), Read: readOdoo,
		},
	}
}

func readOrders(subject string, h nats.Header) (live.Change, bool) {
	change := live.Change{Resource: "orders", ID: h.Get(event.HeaderSubject), Kind: h.Get(event.HeaderChange)}
	if strings.HasPrefix(subject, event.TypeOrderEdited+".") {
		change.State = h.Get(event.HeaderState)
		change.EditID = strings.TrimSuffix(h.Get(event.HeaderID), "-"+change.State) // as event.NewOrderEdited makes it
		return change, change.ID != "" && change.EditID != "" && change.State != ""
	}
	return change, change.ID != "" && change.Kind != ""
}

func readOdoo(subject string, h nats.Header) (live.Change, bool) {
	parts := strings.Split(subject, ".") // odoo.changed.<resource>.<id>
	if len(parts) != 4 {
		return live.Change{}, false
	}
	return live.Change{Resource: parts[2], ID: parts[3], Kind: cmp.Or(h.Get(event.HeaderChange), string(event.Updated))}, true
}
