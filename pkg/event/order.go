// Package event holds what travels on NATS JetStream: the types, the subjects and the CloudEvents
// headers of Resonance's events. The JSON Schemas in schema/ and the golden messages in
// testdata/golden pin the shapes; changes within a type are additive only.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/resonance/resonance/pkg/event/schema"
)

// Change says what happened to an order, or to one of Odoo's records.
type Change string

// The three changes there are.
const (
	Created Change = "created"
	Updated Change = "updated"
	Deleted Change = "deleted"
)

// Statuses and Priorities are the canonical values. A choice of the table with the same meaning appears as
// one of them, whatever its language; any other choice appears as it is.
var (
	Statuses   = canonical("status")
	Priorities = canonical("priority")
)

func canonical(column string) []string {
	c, _ := schema.Find(column)
	return c.Names()
}

// Actor is who made a change, where Airtable says so.
type Actor struct {
	ID    string `json:"id"`
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

// OrderChanged is the body of an order.changed event. Order is the whole state after the change;
// for a deletion it is the last known state. Previous holds the mapped columns that changed, by
// their names in Order, with the values they had.
type OrderChanged struct {
	RecordID string                     `json:"record_id"`
	Change   Change                     `json:"change"`
	Order    Order                      `json:"order"`
	Previous map[string]json.RawMessage `json:"previous,omitempty"`
	Actor    *Actor                     `json:"actor,omitempty"`
	EditIDs  []string                   `json:"edit_ids,omitempty"`
}

// ErrMalformed is wrapped by every error about a message that no retry can make readable.
var ErrMalformed = errors.New("malformed event")

// ValidRecordID reports whether id can be a subject token: 1 to 64 letters, digits, "_" or "-".
func ValidRecordID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 64
}

// ValidDate reports whether s is a calendar date, YYYY-MM-DD, of our era.
func ValidDate(s string) bool {
	t, err := time.Parse(time.DateOnly, s)
	return err == nil && t.Year() > 0
}

// validAmount reports whether n is a JSON number that a float64 can hold.
func validAmount(n json.Number) bool {
	f, err := n.Float64()
	return err == nil && !math.IsInf(f, 0) && n[0] != '+' && json.Valid([]byte(n))
}

// Validate checks what the schema promises. The error wraps ErrMalformed and names the field.
func (c *OrderChanged) Validate() error {
	bad := func(field, why string) error { return fmt.Errorf("%w: %s %s", ErrMalformed, field, why) }
	switch {
	case !ValidRecordID(c.RecordID):
		return bad("record_id", "is not a record id")
	case c.Order.RecordID != c.RecordID:
		return bad("order.record_id", "differs from record_id")
	case c.Change != Created && c.Change != Updated && c.Change != Deleted:
		return bad("change", "is not created, updated or deleted")
	case c.Order.CreatedAt.IsZero():
		return bad("order.created_at", "is missing")
	}
	for i := range Columns {
		if column := &Columns[i]; !column.accepts(column.Value(&c.Order)) {
			return bad("order."+column.Name, "is not a "+string(column.Kind))
		}
	}
	for name, was := range c.Previous {
		if column, known := ColumnByName(name); known && !column.holds(was) {
			return bad("previous."+name, "is not what the column holds")
		}
	}
	return nil
}
