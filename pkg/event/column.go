package event

import (
	"encoding/json"
	"slices"
)

// ColumnKind is what the values of a column are, in JSON.
type ColumnKind int

// The kinds of columns.
const (
	Text   ColumnKind = iota // a string
	Number                   // a number with any decimals
	Date                     // a string, YYYY-MM-DD
)

// Column describes a column of an order whose values come from a cell in Airtable.
type Column struct {
	Name     string // of the member in Order's JSON
	Kind     ColumnKind
	Editable bool // EditValues may hold it

	value func(*Order) *string
}

// Columns are the columns there are, in the order of Order's JSON. What has to treat each of them
// (digests, differences, edits) goes through this table, so that none is forgotten.
var Columns = []Column{
	{Name: "name", Kind: Text, value: func(o *Order) *string { return o.Name }},
	{Name: "customer", Kind: Text, value: func(o *Order) *string { return o.Customer }},
	{Name: "status", Kind: Text, Editable: true, value: func(o *Order) *string { return o.Status }},
	{Name: "priority", Kind: Text, Editable: true, value: func(o *Order) *string { return o.Priority }},
	{Name: "amount", Kind: Number, value: func(o *Order) *string { return (*string)(o.Amount) }},
	{Name: "order_date", Kind: Date, value: func(o *Order) *string { return o.OrderDate }},
}

// EditableColumns are the names of those that edits may change.
var EditableColumns = func() (names []string) {
	for _, c := range Columns {
		if c.Editable {
			names = append(names, c.Name)
		}
	}
	return names
}()

// ColumnByName finds a column.
func ColumnByName(name string) (Column, bool) {
	i := slices.IndexFunc(Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return Columns[i], true
}

// Value is the text of the column's cell, of a number its decimals; nil where the cell is empty.
func (c Column) Value(o *Order) *string { return c.value(o) }

// JSON is a value as Order's JSON has it.
func (c Column) JSON(value *string) json.RawMessage {
	switch {
	case value == nil:
		return json.RawMessage("null")
	case c.Kind == Number:
		return json.RawMessage(*value)
	}
	quoted, err := json.Marshal(*value)
	if err != nil { // unreachable: a string always encodes
		return json.RawMessage("null")
	}
	return quoted
}

// holds reports whether v, if JSON at all, can be a value of the column.
func (c Column) holds(v json.RawMessage) bool {
	if string(v) == "null" {
		return true
	}
	text := len(v) >= 2 && v[0] == '"'
	switch c.Kind {
	case Number:
		return validAmount(json.Number(v))
	case Date:
		return text && ValidDate(string(v[1:len(v)-1]))
	default:
		return text
	}
}
