// Code generated from pkg/event/schema/columns.go by its generate; DO NOT EDIT.

package orders

import "time"

// Order is event.Order, with its newest edit, as the document shows it. Orders pass through as the service wrote them;
// a test holds the two against each other.
type Order struct {
	RecordID  string         `json:"record_id"`
	Name      *string        `json:"name"`
	Customer  *string        `json:"customer"`
	Status    *string        `json:"status" doc:"Pending, Processing, Sent, Delivered or Cancelled where the choice means that, in Spanish, English or Portuguese; any other choice as it is"`
	Priority  *string        `json:"priority" doc:"Low, Medium or High where the choice means that, in Spanish, English or Portuguese; any other choice as it is"`
	Amount    *float64       `json:"amount" doc:"in the table's currency, with the decimals that Airtable gives"`
	OrderDate *string        `json:"order_date" format:"date"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at" doc:"when the record was modified, where the table tells; else when the change was found"`
	Fields    map[string]any `json:"fields" doc:"every Airtable field by its name"`
	Truncated []string       `json:"truncated,omitempty" doc:"fields whose cells are cut, as the whole order is larger than a NATS message may be"`
	Edit      *Edit          `json:"edit,omitempty" doc:"the newest edit, whatever became of it; absent if there was none"`
	_         struct{}       `additionalProperties:"true"`
}

// OrderValues are the columns of an order that can be edited.
type OrderValues struct {
	Status   Wanted `json:"status,omitzero" doc:"a choice of the column, by value or by title (GET /api/orders/columns)"`
	Priority Wanted `json:"priority,omitzero" doc:"a choice of the column, by value or by title (GET /api/orders/columns)"`
}

// byColumn gives the values by the names of their columns.
func (v *OrderValues) byColumn() map[string]Wanted {
	return map[string]Wanted{
		"status":   v.Status,
		"priority": v.Priority,
	}
}
