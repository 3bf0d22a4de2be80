// Package resource turns Odoo's models into the resources that package erp describes. What a given Odoo has of them is
// probed, never derived from its version.
package resource

import (
	"slices"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/rpc"
)

// resource is an erp.Resource as a given Odoo has it.
type resource struct {
	*erp.Resource

	has      map[string]info   // Odoo's fields, by its names
	from     map[string]string // its name for each field that it has
	was      erp.Was           // the flag that a value of a selection stood for; none if empty
	flag     string            // the field of that flag
	lines    *resource         // nil if it has none
	of       *erp.Lines        // what its lines are
	lowStock float64
}

// fitted gives a resource as an Odoo with those fields, of the models by their names, has it.
func fitted(d *erp.Resource, models map[string]map[string]info, lowStock float64) *resource {
	r := &resource{Resource: d, has: models[d.Model], from: map[string]string{}, lowStock: lowStock}
	for _, f := range d.Fields {
		for _, name := range odooNames(f) {
			if _, ok := r.has[name]; ok {
				r.from[f.Name] = name
				break
			}
		}
		if f.Was != nil {
			r.was, r.flag = *f.Was, f.Name
		}
	}
	if field, lines := d.Lines(); lines != nil {
		r.of, r.lines = lines, fitted(&erp.Resource{Name: field.Name, Model: lines.Model, Fields: lines.Fields}, models, lowStock)
	}
	return r
}

func odooNames(f erp.Field) []string {
	if len(f.Odoo) == 0 {
		return []string{f.Name}
	}
	return f.Odoo
}

// option gives a list of options, whose fields every Odoo has that has its model; nil when there is none of that name.
func option(name string) *resource {
	d := erp.Named(name)
	if d == nil || !d.IsOption() {
		return nil
	}
	kinds := map[rpc.Kind]string{rpc.Number: "integer", rpc.Text: "char", rpc.Link: "many2one"}
	has := map[string]info{}
	for _, f := range d.Fields {
		has[odooNames(f)[0]] = info{kind: kinds[f.Kind], sortable: true}
	}
	return fitted(d, map[string]map[string]info{d.Model: has}, 0)
}

// Model gives the model of Odoo's that a resource's records are of: suppliers and customers are of the same.
func Model(name string) string { return erp.Named(name).Model }

// where is the domain in which a flag that may not be a field of this Odoo has a value; apart tells whether there is
// such a domain for a field at all, which is nil when this Odoo cannot tell.
func (r *resource) where(f erp.Field) (where func(value bool) []any, apart bool) {
	switch {
	case f.Derived == erp.LowStock, f.Derived == erp.LowStockThreshold:
		return r.lowStockDomain, true
	case f.Was != nil:
		return r.flagged, true
	}
	return nil, false
}

// lowStockDomain is that of products whose stock is tracked and low, or is not low.
func (r *resource) lowStockDomain(value bool) []any {
	storable, qty := r.flagged(true), r.field("qty_available")
	if storable == nil || qty == "" {
		return nil
	}
	op := "<="
	if !value {
		op = ">"
	}
	return append(storable, leaf(qty, op, r.lowStock))
}

// flagged is the domain of records whose flag, or the value that stood for it, is set or not.
func (r *resource) flagged(value bool) []any {
	switch {
	case r.field(r.flag) != "":
		return []any{leaf(r.field(r.flag), "=", value)}
	case !r.merges():
		return nil
	case value:
		return []any{leaf(r.field(r.was.Field), "=", r.was.Value)}
	default:
		return []any{leaf(r.field(r.was.Field), "!=", r.was.Value)}
	}
}

// merges reports that this Odoo still has the value that is a flag since.
func (r *resource) merges() bool {
	from := r.field(r.was.Field)
	return from != "" && slices.Contains(r.has[from].selection, r.was.Value)
}

// value is what a record has in a field, as the public JSON has it.
func (r *resource) value(f erp.Field, row map[string]any) any {
	switch {
	case f.Derived == erp.HasImage:
		if r.field(f.Name) == "" {
			return nil
		}
		size, isText := row[r.field(f.Name)].(string) // read with bin_size: "2.61 Kb"
		return isText && size != ""
	case f.Derived == erp.LowStockThreshold:
		if r.tracked(row) {
			return r.lowStock
		}
		return nil
	case f.Derived == erp.LowStock:
		if qty, ok := number(row[r.field("qty_available")]); ok && r.tracked(row) {
			return qty <= r.lowStock
		}
		return nil
	case f.Was != nil:
		return r.flagOf(row)
	case r.field(f.Name) == "":
		return nil
	}
	value := convert(row[r.field(f.Name)], r.has[r.field(f.Name)].kind)
	if f.Name == r.was.Field && value == r.was.Value {
		return r.was.Now
	}
	return value
}

// flagOf is the flag beside a selection; nil when this Odoo has neither.
func (r *resource) flagOf(row map[string]any) any {
	switch {
	case r.field(r.flag) != "":
		return row[r.field(r.flag)] == true
	case r.merges():
		return row[r.field(r.was.Field)] == r.was.Value
	}
	return nil
}

// tracked reports that Odoo keeps the stock of a product.
func (r *resource) tracked(row map[string]any) bool {
	return r.field("qty_available") != "" && r.flagOf(row) == true
}

// field gives Odoo's name for a field, "" when it has no such field.
func (r *resource) field(name string) string { return r.from[name] }

// reads lists Odoo's fields to read.
func (r *resource) reads() []any {
	var names []any
	for _, f := range r.Fields {
		if from := r.from[f.Name]; from != "" && from != "id" && f.Lines == nil {
			names = append(names, from)
		}
	}
	return names
}

// links are the fields that hold lists of links.
func (r *resource) links() (fields []erp.Field) {
	for _, f := range r.Fields {
		if f.Kind == rpc.Links && r.field(f.Name) != "" {
			fields = append(fields, f)
		}
	}
	return fields
}
