// Package schema describes orders and their events: the table of an order's core columns, and the JSON Schemas
// of the events' bodies.
//
// The table is the one place that says which core columns there are. What reads and writes JSON, the environment
// variables and lists for other languages are generated from it (go generate, or make generate, after a change);
// filters, sorts, edits, digests, SQL and the API's documentation interpret it.
package schema

import (
	"slices"

	"github.com/resonance/resonance/pkg/event/i18n"
)

//go:generate go run ./generate

// Kind is what the values of a column are.
type Kind string

// The kinds. In JSON a number is a number and all others are strings.
const (
	Text    Kind = "text"
	Number  Kind = "number"
	Date    Kind = "date"    // YYYY-MM-DD
	Time    Kind = "time"    // RFC 3339, in UTC
	Choice  Kind = "choice"  // one of what the column offers
	Choices Kind = "choices" // any of what it offers, with commas between
)

// IsText reports whether the values are any texts, that can be searched.
func (k Kind) IsText() bool { return k == Text || k == Choice || k == Choices }

// Value is a canonical value of a column of choices: what every base's choice of that meaning appears as.
type Value struct {
	Name  string
	Title i18n.Text
}

// Column describes a core column.
type Column struct {
	// Name is its member in an order's JSON, its column in Postgres and its parameter in the API, in snake_case.
	Name  string
	Title i18n.Text
	Doc   string // for programmers; may be empty
	Kind  Kind
	// Cell: the values come from a cell in Airtable, by default of a field with the column's name or title, and may be
	// missing. The others are of the record itself, and always there.
	Cell bool
	// Values are the canonical ones, of a Choice.
	Values []Value
	// Since is the version of the event that first had it. Members after version 1 are optional for ever.
	Since int

	Filter, Sort, Edit, Export bool
}

// Columns are the core columns, in the order in which people are shown them.
var Columns = []Column{
	{
		Name: "record_id", Title: i18n.T("Id. de registro", "Record id"), Kind: Text,
		Since: 1, Filter: true, Sort: true, Export: true,
	},
	{
		Name: "name", Title: i18n.T("Pedido", "Order"), Kind: Text, Cell: true,
		Since: 1, Filter: true, Sort: true, Export: true,
	},
	{
		Name: "customer", Title: i18n.T("Cliente", "Customer"), Kind: Text, Cell: true,
		Since: 1, Filter: true, Sort: true, Export: true,
	},
	{
		Name: "status", Title: i18n.T("Estado", "Status"), Kind: Choice, Cell: true,
		Values: []Value{
			{"Pending", i18n.T("Pendiente", "Pending")},
			{"Processing", i18n.T("En proceso", "Processing")},
			{"Sent", i18n.T("Enviado", "Sent")},
			{"Delivered", i18n.T("Entregado", "Delivered")},
			{"Cancelled", i18n.T("Cancelado", "Cancelled")},
		},
		Since: 1, Filter: true, Sort: true, Edit: true, Export: true,
	},
	{
		Name: "priority", Title: i18n.T("Prioridad", "Priority"), Kind: Choice, Cell: true,
		Values: []Value{
			{"Low", i18n.T("Baja", "Low")},
			{"Medium", i18n.T("Media", "Medium")},
			{"High", i18n.T("Alta", "High")},
		},
		Since: 1, Filter: true, Sort: true, Edit: true, Export: true,
	},
	{
		Name: "amount", Title: i18n.T("Importe", "Amount"), Kind: Number, Cell: true,
		Doc:   "in the table's currency, with the decimals that Airtable gives",
		Since: 1, Filter: true, Sort: true, Export: true,
	},
	{
		Name: "order_date", Title: i18n.T("Fecha", "Date"), Kind: Date, Cell: true,
		Since: 1, Filter: true, Sort: true, Export: true,
	},
	{
		Name: "created_at", Title: i18n.T("Creado", "Created"), Kind: Time,
		Since: 1, Filter: true, Sort: true, Export: true,
	},
	{
		Name: "updated_at", Title: i18n.T("Modificado", "Modified"), Kind: Time,
		Doc:   "when the record was modified, where the table tells; else when the change was found",
		Since: 1, Filter: true, Sort: true, Export: true,
	},
}

// Find gives the core column of a name.
func Find(name string) (Column, bool) {
	i := slices.IndexFunc(Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return Columns[i], true
}

// Names gives the names of the columns that which keeps.
func Names(which func(Column) bool) (names []string) {
	for _, c := range Columns {
		if which(c) {
			names = append(names, c.Name)
		}
	}
	return names
}

// Names gives the canonical values of a column; none of one that has no canonical values.
func (c Column) Names() (names []string) {
	for _, v := range c.Values {
		names = append(names, v.Name)
	}
	return names
}
