package event

import (
	"encoding/json"
	"slices"

	"github.com/resonance/resonance/pkg/event/schema"
)

// Column is a column of an order whose values come from a cell in Airtable.
type Column struct {
	schema.Column
	place int // in Columns
}

// Columns are the columns there are, in the order of Order's JSON. What has to treat each of them
// (digests, differences, edits) goes through this table, so that none is forgotten.
var Columns = func() (all []Column) {
	for _, c := range schema.Columns {
		if c.Cell {
			all = append(all, Column{c, len(all)})
		}
	}
	return all
}()

// EditableColumns are the names of those that edits may change.
var EditableColumns = schema.Names(func(c schema.Column) bool { return c.Edit })

// ColumnByName finds a column.
func ColumnByName(name string) (*Column, bool) {
	i := slices.IndexFunc(Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return &Columns[i], true
}

// Value is the text of the column's cell, of a number its decimals; nil where the cell is empty.
func (c *Column) Value(o *Order) *string { return o.cell(c.place) }

// Set gives the column's cell in o another value, as Value gives them.
func (c *Column) Set(o *Order, value *string) { o.setCell(c.place, value) }

// JSON is a value as Order's JSON has it.
func (c *Column) JSON(value *string) json.RawMessage {
	switch {
	case value == nil:
		return json.RawMessage("null")
	case c.Kind == schema.Number:
		return json.RawMessage(*value)
	}
	quoted, err := json.Marshal(*value)
	if err != nil { // unreachable: a string always encodes
		return json.RawMessage("null")
	}
	return quoted
}

// accepts reports whether the column's cell can have a value.
func (c *Column) accepts(value *string) bool {
	if value == nil {
		return true
	}
	switch c.Kind {
	case schema.Number:
		return validAmount(json.Number(*value))
	case schema.Date:
		return ValidDate(*value)
	default:
		return true
	}
}

// holds reports whether v, if JSON at all, can be a value of the column.
func (c *Column) holds(v json.RawMessage) bool {
	if string(v) == "null" {
		return true
	}
	text := len(v) >= 2 && v[0] == '"'
	switch c.Kind {
	case schema.Number:
		return validAmount(json.Number(v))
	case schema.Date:
		return text && ValidDate(string(v[1:len(v)-1]))
	default:
		return text
	}
}
