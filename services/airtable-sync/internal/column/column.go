// Package column finds which Airtable fields hold an order's columns, and reads records through them.
//
// Three things settle the field of a column, the first that has an answer: what the operator named; the
// field that held the column before, by its id, while it is there and suits; the best guess (resolve.go).
// A column without a field is empty. What people should know about that is in the column's notes.
package column

import (
	"slices"
	"strings"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Column is one of the columns an order has.
type Column string

// The columns that are recognised by more than their names.
const (
	Name      Column = "name"
	Customer  Column = "customer"
	Status    Column = "status"
	Priority  Column = "priority"
	Amount    Column = "amount"
	OrderDate Column = "order_date"
	UpdatedAt Column = "updated_at" // a last modified time
)

// Mapped are the columns that orders show the cells of, in the order they are looked for: a field belongs
// to the first that claims it. Those that nothing is known of but their names come last.
var Mapped = func() []Column {
	order := []Column{Status, Priority, Amount, OrderDate, Customer, Name}
	for _, c := range event.Columns {
		if !slices.Contains(order, Column(c.Name)) {
			order = append(order, Column(c.Name))
		}
	}
	return order
}()

var all = append(slices.Clone(Mapped), UpdatedAt)

// core is what the table of columns says of a column.
func (c Column) core() schema.Column {
	column, _ := schema.Find(string(c))
	return column
}

// kind is what the values of a column are.
func (c Column) kind() schema.Kind { return c.core().Kind }

// chosen reports whether the choices of the column's field, where it is a select, are those of the column.
func (c Column) chosen() bool {
	core := c.core()
	return core.Kind == schema.Choice || core.Edit
}

// None as a configured name says that the table has no such column.
const None = "-"

// Variable is the environment variable that names the field of a column.
func Variable(c Column) string { return "AIRTABLE_FIELD_" + strings.ToUpper(string(c)) }

// computed are the field types whose cells Airtable works out: they change without anybody
// changing the record (NOW() in a formula would make every scan news of every order).
var computed = map[string]bool{
	"formula": true, "rollup": true, "count": true, "lookup": true, "multipleLookupValues": true,
	"createdTime": true, "lastModifiedTime": true, "createdBy": true, "lastModifiedBy": true,
	"autoNumber": true, "button": true, "aiText": true,
}

// IsComputed reports whether Airtable works out the cells of a field: nobody can write to them.
func IsComputed(f airtable.Field) bool { return computed[f.Type] }

func isSelect(typ string) bool { return typ == "singleSelect" || typ == "multipleSelects" }

// isText reports whether anything may stand in the cells of a field.
func isText(typ string) bool {
	return slices.Contains([]string{"singleLineText", "multilineText", "richText", "aiText"}, typ)
}

// suits keeps a column from a field whose type cannot hold it; without metadata all types suit.
func suits(c Column, f *airtable.Field) bool {
	typ, _ := f.Value()
	switch c.kind() {
	case schema.Date:
		return typ == "" || isText(typ) || slices.Contains([]string{"date", "dateTime"}, typ) && f.Type != "lastModifiedTime" || f.Type == "createdTime" ||
			computed[f.Type] && f.Options.Result == nil && slices.Contains([]string{"formula", "rollup", "lookup", "multipleLookupValues"}, f.Type)
	case schema.Time:
		return typ == "" || f.Type == "lastModifiedTime" || f.Type == "dateTime" || f.Type == "formula"
	case schema.Number:
		return !slices.Contains([]string{
			"singleSelect", "multipleSelects", "date", "dateTime", "checkbox", "createdTime", "lastModifiedTime", "multipleAttachments",
			"multipleRecordLinks", "percent", "autoNumber", "duration", "rating", "button", "barcode", "email", "url", "phoneNumber",
			"singleCollaborator", "multipleCollaborators", "createdBy", "lastModifiedBy",
		}, typ)
	default: // texts and choices: what can be shown as a text, but for what has another column
		return !slices.Contains([]string{
			"date", "dateTime", "checkbox", "createdTime", "lastModifiedTime", "currency", "multipleAttachments", "button", "multipleRecordLinks",
		}, typ)
	}
}
