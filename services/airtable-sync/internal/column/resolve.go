// Package column finds which Airtable fields hold an order's columns, and reads records through
// them.
package column

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Column is one of the columns an order has.
type Column string

// The columns of an order that come from cells.
const (
	Name      Column = "name"
	Customer  Column = "customer"
	Status    Column = "status"
	Priority  Column = "priority"
	Amount    Column = "amount"
	OrderDate Column = "order_date"
	UpdatedAt Column = "updated_at" // optional: a last modified time
)

// Mapped are the columns every order has, in the order they are looked for.
var Mapped = []Column{Status, Priority, Customer, Amount, OrderDate, Name}

// None as a configured name says that the table has no such column.
const None = "-"

// rule says how a column is recognised when nobody named it: by its whole name, else by the only
// name with one of the words, else by the only field of one of the types.
type rule struct {
	names []string // best first
	words []string
	types []string
}

var rules = map[Column]rule{
	Name: {
		names: []string{"name", "order name", "order", "order number", "order no", "order id", "title", "nombre", "nombre del pedido", "pedido", "numero de pedido", "no pedido", "orden", "numero", "titulo", "referencia", "reference"},
		words: []string{"order", "pedido", "orden"},
	},
	Customer: {
		names: []string{"customer", "customer name", "client", "client name", "company", "cliente", "nombre del cliente", "nombre cliente", "empresa", "razon social", "comprador"},
		words: []string{"customer", "client", "cliente"},
	},
	Status: {
		names: []string{"status", "order status", "state", "stage", "estado", "estado del pedido", "estatus", "situacion", "etapa", "fase"},
		words: []string{"status", "estado", "estatus"},
	},
	Priority: {
		names: []string{"priority", "order priority", "prioridad", "prioridad del pedido", "urgency", "urgencia"},
		words: []string{"priority", "prioridad", "urgency", "urgencia"},
	},
	Amount: {
		names: []string{"amount", "total amount", "order amount", "total", "order total", "grand total", "price", "value", "importe", "importe total", "monto", "monto total", "valor", "precio", "cantidad"},
		words: []string{"amount", "importe", "monto", "total"},
		types: []string{"currency"},
	},
	OrderDate: {
		names: []string{"order date", "date", "ordered on", "date ordered", "date placed", "fecha", "fecha de pedido", "fecha del pedido", "fecha pedido", "fecha de orden", "fecha de la orden"},
		words: []string{"date", "fecha"},
		types: []string{"date"},
	},
	UpdatedAt: {
		names: []string{"updated at", "last modified", "last modified time", "modified", "updated", "ultima modificacion", "modificado", "actualizado"},
		types: []string{"lastModifiedTime"},
	},
}

// MissingError says which columns were not found, and what fields there are.
type MissingError struct {
	Columns []Column
	Fields  []string
}

// Variables lists the environment variables that would help, with commas between.
func (e *MissingError) Variables() string {
	vars := make([]string, len(e.Columns))
	for i, c := range e.Columns {
		vars[i] = Variable(c)
	}
	return strings.Join(vars, ", ")
}

// Error names the variables that would help.
func (e *MissingError) Error() string {
	return fmt.Sprintf("no column found for %s; the table has: %s. Set the column's name, or %q for none",
		e.Variables(), strings.Join(e.Fields, ", "), None)
}

// Variable is the environment variable that names the field of a column.
func Variable(c Column) string { return "AIRTABLE_FIELD_" + strings.ToUpper(string(c)) }

// Resolve chooses a field for each column out of fields, honouring the names (or ids) in named.
// Columns it finds nothing for are returned as missing, sorted; UpdatedAt never is. Fields without a type (no
// metadata) are told by name only. found maps a column to the index of its field.
func Resolve(fields []airtable.Field, primary string, named map[Column]string) (found map[Column]int, missing []Column) {
	found = map[Column]int{}
	taken := map[int]bool{}
	take := func(c Column, i int) bool {
		if i < 0 {
			return false
		}
		found[c], taken[i] = i, true
		return true
	}
	var guess []Column
	for _, c := range append(slices.Clone(Mapped), UpdatedAt) {
		switch want := named[c]; want {
		case None:
		case "":
			guess = append(guess, c)
		default:
			if !take(c, slices.IndexFunc(fields, func(f airtable.Field) bool { return f.ID == want || f.Name == want })) {
				missing = append(missing, c)
			}
		}
	}
	// Whole names first for all columns, so that a weaker guess never takes another's field.
	for _, pass := range []func(Column, []airtable.Field, map[int]bool) int{byName, byWord, byChoices, byType} {
		guess = slices.DeleteFunc(guess, func(c Column) bool { return take(c, pass(c, fields, taken)) })
	}
	for _, c := range guess {
		if c == Name && take(c, slices.IndexFunc(fields, func(f airtable.Field) bool { return f.ID != "" && f.ID == primary })) {
			continue
		}
		if c != UpdatedAt {
			missing = append(missing, c)
		}
	}
	slices.Sort(missing)
	return found, missing
}

func byName(c Column, fields []airtable.Field, taken map[int]bool) int {
	for _, name := range rules[c].names {
		for i, f := range fields {
			if !taken[i] && fold(f.Name) == name && suits(c, f) {
				return i
			}
		}
	}
	return -1
}

func byWord(c Column, fields []airtable.Field, taken map[int]bool) int {
	return only(fields, taken, func(f airtable.Field) bool {
		return suits(c, f) && slices.ContainsFunc(strings.Fields(fold(f.Name)), func(w string) bool {
			return slices.Contains(rules[c].words, w)
		})
	})
}

// byChoices recognises a single select by the values it offers.
func byChoices(c Column, fields []airtable.Field, taken map[int]bool) int {
	known := map[Column][]string{
		Status:   {"pending", "processing", "sent", "delivered", "cancelled", "pendiente", "enviado", "entregado", "cancelado"},
		Priority: {"low", "medium", "high", "baja", "media", "alta"},
	}[c]
	return only(fields, taken, func(f airtable.Field) bool {
		matches := 0
		for _, choice := range f.Options.Choices {
			if slices.Contains(known, fold(choice.Name)) {
				matches++
			}
		}
		return matches >= 2
	})
}

func byType(c Column, fields []airtable.Field, taken map[int]bool) int {
	return only(fields, taken, func(f airtable.Field) bool { return slices.Contains(rules[c].types, f.Type) })
}

// only returns the index of the one free field that fits, -1 when there is none or more than one.
func only(fields []airtable.Field, taken map[int]bool, fits func(airtable.Field) bool) int {
	at := -1
	for i, f := range fields {
		if taken[i] || !fits(f) {
			continue
		}
		if at >= 0 {
			return -1
		}
		at = i
	}
	return at
}

// suits keeps a column from a field whose type cannot hold it; without metadata all types suit.
func suits(c Column, f airtable.Field) bool {
	if f.Type == "" {
		return true
	}
	switch c {
	case OrderDate:
		return !slices.Contains([]string{"createdTime", "lastModifiedTime", "checkbox", "multipleAttachments", "number", "currency"}, f.Type)
	case UpdatedAt:
		return f.Type == "lastModifiedTime" || f.Type == "dateTime" || f.Type == "formula"
	case Amount:
		return !slices.Contains([]string{"singleSelect", "multipleSelects", "date", "dateTime", "checkbox", "createdTime", "lastModifiedTime", "multipleAttachments"}, f.Type)
	case Name, Customer, Status, Priority:
		return !slices.Contains([]string{"date", "dateTime", "checkbox", "createdTime", "lastModifiedTime", "currency", "multipleAttachments", "button"}, f.Type)
	}
	return true
}

// fold reduces a name to lower-case words without accents or punctuation; orderDate is two words.
func fold(s string) string {
	var b strings.Builder
	lower := false
	for _, r := range norm.NFD.String(s) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r):
			if lower && unicode.IsUpper(r) {
				b.WriteByte(' ')
			}
			b.WriteRune(unicode.ToLower(r))
			lower = unicode.IsLower(r)
		case unicode.Is(unicode.Mn, r):
		default:
			b.WriteByte(' ')
			lower = false
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// Names lists the names of fields, sorted.
func Names(fields []airtable.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	sort.Strings(names)
	return names
}
