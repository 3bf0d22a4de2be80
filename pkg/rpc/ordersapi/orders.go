// Package ordersapi is the contract between the gateway and the orders service: its subjects, requests and replies.
package ordersapi

import (
	"encoding/json"
	"time"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Subjects of the orders service.
const (
	SubjectList    = "orders.list"    // Query → JSON array of orders; HeaderTotal
	SubjectGet     = "orders.get"     // Ref → order; HeaderETag; NotFound
	SubjectSummary = "orders.summary" // Query (filters only) → Summary
	SubjectHistory = "orders.history" // HistoryQuery → JSON array of HistoryEntry; HeaderTotal; NotFound
	SubjectEdit    = "orders.edit"    // EditRequest → JSON array of EditResult, one for each edit, in their order
	SubjectEdits   = "orders.edits"   // EditsQuery → JSON array of Edit, those that are known
)

// SubjectProjected is where orders tells, with a plain message after each commit and once a second,
// up to which sequence of the stream ORDERS every read shows what happened: a decimal. Nobody answers.
const SubjectProjected = "orders.projected"

// Reply headers of lists.
const (
	HeaderNext = "Next" // the cursor after the last row of the page; absent at the end
	HeaderRest = "Rest" // rows of the page that the reply, as large as a NATS message may be, has no room for, a decimal; absent if none
)

// Query asks for a page of orders. The default sort is order_date descending. Orders that are equal
// in what is sorted by come newest first, by created_at and then record_id, so that the order is total.
// Search looks in name, customer and record_id.
type Query struct {
	Offset  int          `json:"offset,omitempty"`
	Limit   int          `json:"limit,omitempty"` // 1 to 1000
	Sort    []rpc.Sort   `json:"sort,omitempty"`
	Filters []rpc.Filter `json:"filters,omitempty"`
	Search  string       `json:"search,omitempty"`
	After   string       `json:"after,omitempty"`    // a cursor from HeaderNext instead of Offset
	NoTotal bool         `json:"no_total,omitempty"` // leave HeaderTotal out
}

// Ref names one order.
type Ref struct {
	RecordID string `json:"record_id"`
}

// HistoryQuery asks for a page of one order's history, newest first.
type HistoryQuery struct {
	RecordID string `json:"record_id"`
	Offset   int    `json:"offset,omitempty"`
	Limit    int    `json:"limit,omitempty"` // 1 to 100
}

// HistoryEntry is one change of one order, or an edit of it that is pending or was rejected. Of an
// edit that was applied there is the change that came of it, with EditIDs.
type HistoryEntry struct {
	ID       string         `json:"id"`
	Change   string         `json:"change"` // created, updated, deleted; of an edit: pending, rejected
	At       time.Time      `json:"at"`
	Source   string         `json:"source"`             // "airtable" or "api"
	Values   map[string]any `json:"values"`             // the mapped columns after the change; of an edit, those it wanted to change
	Previous map[string]any `json:"previous,omitempty"` // the changed ones before it
	Actor    *HistoryActor  `json:"actor,omitempty"`
	EditIDs  []string       `json:"edit_ids,omitempty"`
	Reason   *fault.Text    `json:"reason,omitempty"` // why an edit was rejected
}

// HistoryActor is who made a change.
type HistoryActor struct {
	ID    string `json:"id"`
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

// Summary is the totals of the orders that match.
type Summary struct {
	Total      int64           `json:"total"`
	Amount     float64         `json:"amount"`
	ByStatus   []StatusTotal   `json:"by_status"`
	ByPriority []PriorityTotal `json:"by_priority"`
	ByDay      []DayTotal      `json:"by_day" doc:"by order date, oldest first; null for orders without one"`
}

// StatusTotal counts the orders of one status; null stands for an empty cell.
type StatusTotal struct {
	Status *string `json:"status"`
	Count  int64   `json:"count"`
	Amount float64 `json:"amount"`
}

// PriorityTotal counts the orders of one priority; null stands for an empty cell.
type PriorityTotal struct {
	Priority *string `json:"priority"`
	Count    int64   `json:"count"`
	Amount   float64 `json:"amount"`
}

// DayTotal counts the orders of one day.
type DayTotal struct {
	Day    *string `json:"day" format:"date"`
	Count  int64   `json:"count"`
	Amount float64 `json:"amount"`
}

// MaxEdits is how many edits one request may hold.
const MaxEdits = 1000

// EditRequest makes edits, at most one of each order. Those that are accepted are on disk
// (invariant 1), and unless their result says Lagging in every read, when the reply comes; the others say
// why not in their results.
type EditRequest struct {
	Edits []EditOrder `json:"edits"` // 1 to MaxEdits
	Actor event.Actor `json:"actor"`
	// IdempotencyKey, with the actor, names the request: made again it makes no new edits, and with
	// other edits it is a Conflict.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
}

// EditOrder is one edit of an EditRequest.
type EditOrder struct {
	RecordID string           `json:"record_id"`
	Values   event.EditValues `json:"values"`
	IfMatch  string           `json:"if_match,omitempty"` // entity tags as in HeaderETag, with commas between, or *
}

// EditResult is what became of one edit: the order as it is served now, with the edit, or a fault:
// NotFound, Stale, or Unavailable when it is not known whether the edit was stored.
type EditResult struct {
	RecordID string          `json:"record_id"`
	Order    json.RawMessage `json:"order,omitempty"` // with ETag; neither if the reply has no room for them
	ETag     string          `json:"etag,omitempty"`
	EditID   string          `json:"edit_id,omitempty"`
	Lagging  bool            `json:"lagging,omitempty"` // the edit is accepted, but reads do not show it yet
	Fault    *EditFault      `json:"fault,omitempty"`
}

// EditFault is what of a fault.Error concerns one edit.
type EditFault struct {
	Code   fault.Code            `json:"code"`
	Detail fault.Text            `json:"detail"`
	Fields map[string]fault.Text `json:"errors,omitempty"`
}

// EditsQuery asks how edits stand.
type EditsQuery struct {
	IDs []string `json:"ids"` // 1 to MaxEdits
}

// Edit is the newest edit of an order, as the order shows it in its member edit.
type Edit struct {
	ID        string           `json:"id"`
	State     event.EditState  `json:"state" enum:"pending,applied,rejected"`
	Values    event.EditValues `json:"values"`
	Actor     event.Actor      `json:"actor"`
	At        time.Time        `json:"at" doc:"when it was accepted"`
	SettledAt *time.Time       `json:"settled_at,omitempty"`
	Reason    *fault.Text      `json:"reason,omitempty" doc:"why it was rejected"`
}
