package store

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
)

// column is a column that orders can be filtered and sorted by. Its SQL name is its own.
type column struct {
	schema.Column
	folded string // the expression to compare with when case is ignored; "" where fold() makes it
	rollup bool   // a column of the rollup table too
}

// columnOf finds a column by its name.
func columnOf(name string) (column, bool) {
	c, known := columns[name]
	return c, known
}

var columns = func() map[string]column {
	all := make(map[string]column, len(schema.Columns))
	for _, c := range schema.Columns {
		folded := ""
		if folds[c.Name] != nil {
			folded = c.Name + "_fold"
		}
		all[c.Name] = column{Column: c, folded: folded, rollup: slices.Contains(rollups, c.Name)}
	}
	id := all["record_id"]
	id.folded = "lower(record_id)"
	all["record_id"] = id
	return all
}()

// cast is the Postgres type of the column.
func (c column) cast() string {
	switch c.Kind {
	case schema.Number:
		return "numeric"
	case schema.Date:
		return "date"
	case schema.Time:
		return "timestamptz"
	default:
		return "text"
	}
}

// rollups are the columns that the totals are kept by.
var rollups = []string{"status", "priority", "order_date"}

// folds are the columns that are stored case-folded too, as <name>_fold: those that everybody searches.
var folds = map[string]func(string) string{"name": fold, "customer": foldCustomer}

// stored is a column of the table orders that comes from a cell.
type stored struct {
	name, cast string
	value      func(*event.Order) *string
}

var storedColumns = func() (all []stored) {
	for i := range event.Columns {
		c := &event.Columns[i]
		all = append(all, stored{c.Name, columns[c.Name].cast(), c.Value})
		if fold := folds[c.Name]; fold != nil {
			all = append(all, stored{c.Name + "_fold", "text", func(o *event.Order) *string {
				v := c.Value(o)
				if v == nil {
					return nil
				}
				folded := fold(*v)
				return &folded
			}})
		}
	}
	return all
}()

// of gives the column's values in rows.
func (c *stored) of(rows []*Change) []*string {
	values := make([]*string, len(rows))
	for i, r := range rows {
		values[i] = c.value(r.Row.Order)
	}
	return values
}

// valueNames are the columns of cells, and valuePairs the arguments that make a JSON object of them.
var valueNames, valuePairs = func() (string, string) {
	names := schema.Names(func(c schema.Column) bool { return c.Cell })
	pairs := make([]string, len(names))
	for i, name := range names {
		pairs[i] = "'" + name + "', " + name
	}
	return strings.Join(names, ", "), strings.Join(pairs, ", ")
}()

//go:embed apply.sql
var applyTemplate string

// applySQL writes a batch, and applyParameters are the names of its parameters in their order.
var applySQL, applyParameters = bind(withColumns(applyTemplate))

// freshSQL writes events that have no history yet, as all but those of a replay: without looking
// for it each costs Postgres a tenth less.
var freshSQL = strings.Replace(applySQL, "on conflict do nothing", "", 1)

// withColumns puts the columns of cells in their places in a statement.
func withColumns(sql string) string {
	var names, parameters, read, set []string
	for _, c := range storedColumns {
		names = append(names, c.name)
		parameters = append(parameters, "@"+c.name+"::text[]")
		set = append(set, c.name+" = i."+c.name)
		if c.cast == "text" {
			read = append(read, "i."+c.name)
		} else {
			read = append(read, "i."+c.name+"::"+c.cast+" as "+c.name)
		}
	}
	var b strings.Builder
	list := func(parts []string) string { return strings.Join(parts, ", ") }
	if err := template.Must(template.New("").Parse(sql)).Execute(&b, map[string]string{
		"Names": list(names), "Parameters": list(parameters), "Read": list(read), "Set": list(set),
	}); err != nil {
		panic(err) // a statement of this package
	}
	return b.String()
}

// bind numbers the parameters that a statement has by name, as @name.
func bind(sql string) (numbered string, names []string) {
	var a args
	numbered = regexp.MustCompile(`@[a-z_]+`).ReplaceAllStringFunc(sql, func(name string) string {
		names = append(names, name[1:])
		return a.add(nil)
	})
	return numbered, names
}
