package orders

import (
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Edit is ordersapi.Edit with its reason in the caller's language.
type Edit struct {
	ordersapi.Edit
	Reason string `json:"reason,omitempty" doc:"why it was rejected"`
}

// HistoryEntry is ordersapi.HistoryEntry with its reason in the caller's language.
type HistoryEntry struct {
	ordersapi.HistoryEntry
	Reason string `json:"reason,omitempty" doc:"why an edit was rejected"`
}

// OrderPage is a page of orders. Total counts all that match.
type OrderPage struct {
	Data     []Order `json:"data"`
	Total    int     `json:"total" minimum:"0"`
	Page     int     `json:"page" minimum:"1"`
	PageSize int     `json:"page_size" minimum:"1" maximum:"100"`
	Pages    int     `json:"pages" minimum:"0"`
}

// HistoryPage is a page of an order's history.
type HistoryPage struct {
	Data     []HistoryEntry `json:"data"`
	Total    int            `json:"total" minimum:"0"`
	Page     int            `json:"page" minimum:"1"`
	PageSize int            `json:"page_size" minimum:"1" maximum:"100"`
	Pages    int            `json:"pages" minimum:"0"`
}

var exampleOrder = Order{
	RecordID: "recA1b2C3d4E5f6G7", Name: new("Pedido 1042"), Customer: new("Ferretería Núñez"),
	Status: new("Pending"), Priority: new("High"), Amount: new(1250.5), OrderDate: new("2026-11-03"),
	CreatedAt: route.ExampleTime, UpdatedAt: route.ExampleTime.Add(time.Hour), Fields: map[string]any{"Cliente": "Ferretería Núñez", "Estado": "Pending"},
}

// exampleEdited is exampleOrder after an edit that Airtable has not taken yet.
var exampleEdited = func() Order {
	o := exampleOrder
	o.Status = new("Sent")
	o.Edit = &Edit{Edit: ordersapi.Edit{
		ID: "b6dXq0Zt4h", State: event.Pending, Values: event.EditValues{"status": "Sent"}, Actor: event.Actor{ID: "ana"}, At: route.ExampleTime.Add(2 * time.Hour),
	}}
	return o
}()

var exampleHistory = HistoryEntry{HistoryEntry: ordersapi.HistoryEntry{
	ID: "3s8mYd1", Change: "updated", At: route.ExampleTime.Add(time.Hour), Source: "airtable",
	Values: map[string]any{"status": "Pending"}, Previous: map[string]any{"status": "Processing"},
	Actor: &ordersapi.HistoryActor{ID: "usrA1b2C3d4E5f6G7", Email: "ana@example.com"},
}}

var exampleRejected = HistoryEntry{Reason: "Airtable no admite ese valor", HistoryEntry: ordersapi.HistoryEntry{
	ID: "b6dXq0Zt4h", Change: "rejected", At: route.ExampleTime.Add(time.Minute), Source: "api",
	Values: map[string]any{"status": "Sent"}, Actor: &ordersapi.HistoryActor{ID: "ana"}, EditIDs: []string{"b6dXq0Zt4h"},
}}

var exampleSummary = ordersapi.Summary{
	Total: 2, Amount: 1300.5,
	ByStatus:   []ordersapi.StatusTotal{{Status: new("Pending"), Count: 2, Amount: 1300.5}},
	ByPriority: []ordersapi.PriorityTotal{{Priority: new("High"), Count: 1, Amount: 1250.5}, {Count: 1, Amount: 50}},
	ByDay:      []ordersapi.DayTotal{{Day: new("2026-11-03"), Count: 2, Amount: 1300.5}},
}

var recordParam = &huma.Param{
	Name: "record_id", In: "path", Required: true, Example: "recA1b2C3d4E5f6G7",
	Schema: &huma.Schema{Type: huma.TypeString, Pattern: "^[A-Za-z0-9_-]{1,64}$"},
}

var pageParams = []*huma.Param{
	route.Param("page", "default 1", route.Whole(1, 0), 1),
	route.Param("page_size", fmt.Sprintf("default %d", listquery.DefaultSize), route.Whole(1, listquery.MaxPageSize), 10),
}
