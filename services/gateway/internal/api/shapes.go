package api

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
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

var exampleTime = time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)

var exampleOrder = Order{
	RecordID: "recA1b2C3d4E5f6G7", Name: new("Pedido 1042"), Customer: new("Ferretería Núñez"),
	Status: new("Pending"), Priority: new("High"), Amount: new(1250.5), OrderDate: new("2026-11-03"),
	CreatedAt: exampleTime, UpdatedAt: exampleTime.Add(time.Hour), Fields: map[string]any{"Cliente": "Ferretería Núñez", "Estado": "Pending"},
}

// exampleEdited is exampleOrder after an edit that Airtable has not taken yet.
var exampleEdited = func() Order {
	o := exampleOrder
	o.Status = new("Sent")
	o.Edit = &Edit{Edit: ordersapi.Edit{
		ID: "b6dXq0Zt4h", State: event.Pending, Values: event.EditValues{"status": "Sent"}, Actor: event.Actor{ID: "ana"}, At: exampleTime.Add(2 * time.Hour),
	}}
	return o
}()

var exampleHistory = HistoryEntry{HistoryEntry: ordersapi.HistoryEntry{
	ID: "3s8mYd1", Change: "updated", At: exampleTime.Add(time.Hour), Source: "airtable",
	Values: map[string]any{"status": "Pending"}, Previous: map[string]any{"status": "Processing"},
	Actor: &ordersapi.HistoryActor{ID: "usrA1b2C3d4E5f6G7", Email: "ana@example.com"},
}}

var exampleRejected = HistoryEntry{Reason: "Airtable no admite ese valor", HistoryEntry: ordersapi.HistoryEntry{
	ID: "b6dXq0Zt4h", Change: "rejected", At: exampleTime.Add(time.Minute), Source: "api",
	Values: map[string]any{"status": "Sent"}, Actor: &ordersapi.HistoryActor{ID: "ana"}, EditIDs: []string{"b6dXq0Zt4h"},
}}

var exampleSummary = ordersapi.Summary{
	Total: 2, Amount: 1300.5,
	ByStatus:   []ordersapi.StatusTotal{{Status: new("Pending"), Count: 2, Amount: 1300.5}},
	ByPriority: []ordersapi.PriorityTotal{{Priority: new("High"), Count: 1, Amount: 1250.5}, {Count: 1, Amount: 50}},
	ByDay:      []ordersapi.DayTotal{{Day: new("2026-11-03"), Count: 2, Amount: 1300.5}},
}

var exampleRun = syncapi.Run{
	ID: "r7Q2", Mode: syncapi.Incremental, Trigger: "request", State: syncapi.Succeeded, StartedAt: exampleTime, FinishedAt: new(exampleTime.Add(2 * time.Second)),
	Progress: syncapi.Progress{Records: 3, Expected: 2000, Percent: 100}, Updated: 3, APICalls: 1,
}

var exampleSync = syncapi.Status{
	Mode: syncapi.Incremental, ModeReason: fault.T("el token no puede gestionar webhooks", "the token may not manage webhooks"), State: "idle", Instance: "sync-1", IntervalSeconds: 300,
	NextRunAt: new(exampleTime.Add(5 * time.Minute)), LagSeconds: new(2.5), Last: &exampleRun, Orders: 2000,
	APICalls: syncapi.APICalls{Total: 42, ByKind: map[string]int{"list": 41, "meta": 1}},
	Budget: &syncapi.Budget{
		Month: "2026-11", Since: exampleTime, Calls: 910, ByKind: map[string]int{"list": 900, "meta": 10}, Limit: 1000,
		PacePerDay: 280, Projected: 8500, SuggestedIntervalSeconds: 26000,
		Warning: fault.T("a este ritmo las llamadas del mes se acaban en unas horas", "at this pace the month's calls are used up within hours"),
	},
}

func param(name, description string, schema *huma.Schema, example any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema, Example: example}
}

func text() *huma.Schema { return &huma.Schema{Type: huma.TypeString, MaxLength: new(maxValue)} }

func whole(low, high float64) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeInteger, Minimum: &low}
	if high > 0 {
		s.Maximum = &high
	}
	return s
}

func texts() *huma.Schema { return &huma.Schema{Type: huma.TypeArray, Items: text()} }

var recordParam = &huma.Param{
	Name: "record_id", In: "path", Required: true, Example: "recA1b2C3d4E5f6G7",
	Schema: &huma.Schema{Type: huma.TypeString, Pattern: "^[A-Za-z0-9_-]{1,64}$"},
}

var pageParams = []*huma.Param{
	param("page", "default 1", whole(1, 0), 1),
	param("page_size", fmt.Sprintf("default %d", defaultSize), whole(1, maxPageSize), 10),
}

// listParams documents the query of a list of orders.
func listParams(allow allowed) []*huma.Param {
	date := func() *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: "date"} }
	var own []*huma.Param
	for _, c := range schema.Columns {
		if c.Kind == schema.Choice {
			own = append(own, param(c.Name, "any of these choices of the column, by value or by title (GET /api/orders/columns); repeat it or put commas between",
				texts(), []any{c.Values[0].Name}))
		}
	}
	return ordersTable(nil).params(allow, "-order_date", append(own, []*huma.Param{
		param("customer", "is part of the customer's name, in any case", text(), "ferre"),
		param("start_date", "the first order date", date(), "2026-11-01"),
		param("end_date", "the last order date", date(), "2026-11-30"),
		param("q", "is part of the name, the customer or the record id", text(), "1042"),
		param("id", fmt.Sprintf("these records, up to %d; the answer is a bare array", maxValues),
			&huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, MaxItems: new(maxValues)}, []any{"recA1b2C3d4E5f6G7"}),
	}...))
}

// params documents what parse reads. own describes the parameters of t.own; standard is the default sort.
func (t *table) params(allow allowed, standard string, own []*huma.Param) []*huma.Param {
	var params []*huma.Param
	if allow == everything {
		params = append(params, param("page", "default 1", whole(1, 0), 1),
			param(t.size, fmt.Sprintf("default %d", defaultSize), whole(1, maxPageSize), 10))
	}
	params = append(params, own...)
	if allow >= filtersAndSort {
		sorted := t.names(rpc.Sorted)
		some := strings.Join(sorted[1:min(3, len(sorted))], ",")
		params = append(params,
			param("sort", "columns with commas between; - before one for descending. Default: "+standard, text(), "-"+some),
			param("_sort", "columns with commas between, as Refine sends them", text(), some),
			param("_order", "asc or desc for each column of _sort", text(), "desc,asc"))
	}
	if allow == everything {
		params = append(params,
			param("_start", "the first row, counted from 0; the answer is a bare array", whole(0, maxOffset), 0),
			param("_end", fmt.Sprintf("the row after the last, at most %d after _start", maxPageSize), whole(1, 0), 10))
	}
	for _, c := range t.columns {
		if c.Has(rpc.Filtered) && t.own[c.Name] == nil {
			params = append(params, param(c.Name, "equals; repeat it for any of several", t.schema(c), nil))
		}
	}
	for _, c := range t.columns {
		if !c.Has(rpc.Filtered) {
			continue
		}
		suffixes := []string{"ne", "gte", "lte"}
		switch c.Kind {
		case schema.Text, schema.Choice:
			suffixes = append(suffixes, "like")
		case rpc.Link:
			suffixes = []string{"ne", "like"}
		case rpc.Bool:
			suffixes = suffixes[:1]
		default:
		}
		for _, suffix := range suffixes {
			schema := text()
			if suffix != "like" {
				schema = t.schema(c)
			}
			params = append(params, param(c.Name+"_"+suffix, suffixNotes[suffix], schema, nil))
		}
	}
	return params
}

var suffixNotes = map[string]string{
	"ne": "differs from", "gte": "is at least", "lte": "is at most", "like": "contains, in any case",
}

// schema is that of a value to compare a column with.
func (t *table) schema(c column) *huma.Schema {
	switch c.Kind {
	case rpc.Number:
		return &huma.Schema{Type: huma.TypeNumber}
	case rpc.Date:
		return &huma.Schema{Type: huma.TypeString, Format: "date"}
	case rpc.Time:
		return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
	case rpc.Bool:
		return &huma.Schema{Type: huma.TypeBoolean}
	case rpc.Link:
		return whole(1, math.MaxInt32)
	default:
		return text()
	}
}
