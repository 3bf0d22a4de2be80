// Code generated from schema/columns.go by schema/generate; DO NOT EDIT.

package event

import (
	"encoding/json"
	"time"
)

// Order is the whole state of one order as Airtable holds it. A nil pointer is an empty cell.
type Order struct {
	RecordID  string       `json:"record_id"`
	Name      *string      `json:"name"`
	Customer  *string      `json:"customer"`
	Status    *string      `json:"status"`
	Priority  *string      `json:"priority"`
	Amount    *json.Number `json:"amount"`     // in the table's currency, with the decimals that Airtable gives
	OrderDate *string      `json:"order_date"` // YYYY-MM-DD
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"` // when the record was modified, where the table tells; else when the change was found

	// Fields is every non-empty Airtable cell by its field's name, kept as raw JSON: most readers ignore it.
	Fields json.RawMessage `json:"fields"`

	// Truncated names the fields whose cells are cut in Fields, and in the columns read from them, because the whole
	// order is larger than a message may be. Nearly always there are none.
	Truncated []string `json:"truncated,omitempty"`

	// Raw is the JSON this was read from, for who passes it on as it is; nil if it was not read.
	Raw json.RawMessage `json:"-"`
}

// optionalTexts is how many columns hold a text that may be missing.
const optionalTexts = 5

// columns appends the columns of cells, as members of an object.
func (w *writer) columns(o *Order) {
	w.raw(`"name":`).optional(o.Name)
	w.raw(`,"customer":`).optional(o.Customer)
	w.raw(`,"status":`).optional(o.Status)
	w.raw(`,"priority":`).optional(o.Priority)
	w.raw(`,"amount":`).number("amount", o.Amount)
	w.raw(`,"order_date":`).optional(o.OrderDate)
}

// column reads the value of a column of cells; known is false where it is none.
func (r *reader) column(name []byte, o *Order) (known bool, err error) {
	switch string(name) {
	case "name":
		o.Name, err = r.optional()
	case "customer":
		o.Customer, err = r.optional()
	case "status":
		o.Status, err = r.optional()
	case "priority":
		o.Priority, err = r.optional()
	case "amount":
		o.Amount, err = r.number()
	case "order_date":
		o.OrderDate, err = r.optional()
	default:
		return false, nil
	}
	return true, err
}

// cell gives the value of a column, by its place in Columns.
func (o *Order) cell(column int) *string {
	switch column {
	case 0:
		return o.Name
	case 1:
		return o.Customer
	case 2:
		return o.Status
	case 3:
		return o.Priority
	case 4:
		return (*string)(o.Amount)
	case 5:
		return o.OrderDate
	}
	return nil
}

// setCell gives a column another value.
func (o *Order) setCell(column int, value *string) {
	switch column {
	case 0:
		o.Name = value
	case 1:
		o.Customer = value
	case 2:
		o.Status = value
	case 3:
		o.Priority = value
	case 4:
		o.Amount = (*json.Number)(value)
	case 5:
		o.OrderDate = value
	}
}
