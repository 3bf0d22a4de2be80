// Package erp describes the resources that odoo-bridge makes of Odoo's models. One Resource says what a resource is made
// of, what each version of Odoo calls that, what is watched for changes, what may be written, and what can be done.
// odoo-bridge interprets it against the Odoo that it is connected to, the gateway makes routes and documentation of it.
//
// docs/how-to/add-an-odoo-resource.md adds one.
package erp

import (
	"slices"
	"strings"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Resources are served by odoo-bridge under /api/v1, in the order that they are documented in. One that has only some of
// the records of another's model, as customers do of partners, comes after that.
var Resources = []*Resource{
	Products,
	Partners,
	Suppliers,
	Customers,
	Sales,
}

// Resource describes records of one of Odoo's models.
type Resource struct {
	Name  string // in URLs, subjects and events: products
	One   string // one of its records: product
	Type  string // the schema of its records in the documentation: Product
	Doc   string // what is listed
	Model string // Odoo's
	Sort  string // the default, as the API takes it: name, -date_order

	Only []Condition // which records of the model belong to it at all
	Rank string      // Odoo's field that is above 0 for these partners; without it, companies and contacts of none belong

	Fields []Field // in the order that they are shown in

	Image        bool   // records have a picture
	HideInternal bool   // viewers do not see those that are internal users of Odoo
	Page         string // of the admin, where there is one: the path below /

	Archive   string     // what DELETE does: Archives, or the name of an action; "" if it is not possible
	Protected *Protected // which records cannot be archived
	Actions   []Action
	Form      *Form // what Odoo's form fills in
	Summary   *Summary
	Creating  string // documentation of creating one

	CreateExample, UpdateExample map[string]any

	Via      *Path     // how records of another resource lead to these: saves a call of Odoo in each look for changes
	Watches  []Watch   // models besides its own, and that of its lines, whose changes show in its records
	Siblings bool      // records share fields: a change of one may show in others
	Touches  []Touches // records of other resources that a write of one of these changes
}

// Archives is the Archive of a model with Odoo's own archiving.
const Archives = "archive"

// Field is a member of a resource's records. One whose module is not installed in Odoo is null; to filter, sort or write
// it is Invalid, naming it.
type Field struct {
	Name    string
	Kind    rpc.Kind
	Can     rpc.Can
	Odoo    []string // Odoo's name, and those of other versions; Name if empty
	Doc     string
	Example any
	Values  []string // all there are; nil: any
	Always  bool     // never null
	Whole   bool     // a number without decimals
	Range   *Range   // of a number that is written
	Options string   // where what a link can be set to is listed, beneath /api/v1/
	Unique  *Unique
	Was     *Was
	Derived Derived
	Model   string // of Links: that of the linked records
	Lines   *Lines // of Lines
}

// Has reports whether the field can be used in all those ways.
func (f Field) Has(can rpc.Can) bool { return f.Can&can == can }

// Range is what a number must be within.
type Range struct{ Min, Max float64 }

// Unique says that another record has a value already: in the Detail of the Conflict, and of the field.
type Unique struct{ Detail, Field fault.Text }

// Was is how Odoo expressed a flag before it had a field for it: as Value of another field, which is Now since.
type Was struct{ Field, Value, Now string }

// Derived names a field that odoo-bridge works out of others.
type Derived string

// Derived fields.
const (
	HasImage          Derived = "has_image"           // there is a picture
	LowStock          Derived = "low_stock"           // qty_available is at the threshold or below, of products that is_storable
	LowStockThreshold Derived = "low_stock_threshold" // ODOO_LOW_STOCK, of products that is_storable
)

// Lines are records of another model that belong to one of a resource. They are written as a whole.
type Lines struct {
	Type   string // their schema in the documentation
	Model  string
	Parent string // Odoo's field that leads to the record they belong to
	Order  string // Odoo's field that they are ordered by
	Text   string // the field that makes a line a text, with nothing of what is Required of others but its Name
	Name   string // the field of such a text
	Doc    string
	Fields []Field
}

// Condition is a term of a domain of Odoo's.
type Condition struct {
	Field, Op string
	Value     any
}

// Action is a button of Odoo's.
type Action struct {
	Name, Summary, Doc string
	Method             string
	Context            []string // set to true
	Field, To          string   // the value of a field that tells that it is done
	Refusals           []Refusal
}

// Refusal is a value of a field with which an action is a Conflict.
type Refusal struct {
	Field string
	Value any
	Text  fault.Text
}

// Protected records are those that records of a model link to.
type Protected struct {
	By, Field string
	Text      fault.Text
}

// Form is what Odoo's form fills in by its onchange where versions before 16 do not compute it: fields of the model.
type Form struct {
	By       string   // the field that brings the others
	With     []string // other fields that they depend on
	Fields   []string
	Computed string // a field of which versions that compute them say that it depends on others
}

// Summary is what /summary counts and adds up, by names of fields.
type Summary struct{ State, Date, Currency, Untaxed, Total string }

// Path leads from records of a model to those of another: Odoo's names of links, each with a dot.
type Path struct{ Model, Path string }

// Watch is a model whose records, when written, change how records of a resource look.
type Watch struct {
	Model string
	Link  string // its field that leads to the records; "": any record of the resource may look different
	Needs string // watched only where the resource has this field
	// Path leads from a record of the resource to those of the model. {name} stands for Odoo's name of a field of lines.
	// It is empty where records of another resource are.
	Path   string
	Parent string // the records are a tree, by this link, of which each shows in those below
}

// Touches are the records of another resource that a record links to.
type Touches struct{ Resource, Lines, Link string }

// Named gives a resource, nil if there is none of that name.
func Named(name string) *Resource {
	for _, r := range slices.Concat(Resources, Options) {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Names lists the resources.
func Names() (names []string) {
	for _, r := range Resources {
		names = append(names, r.Name)
	}
	return names
}

// Filter reports whether a record can leave the resource without being deleted.
func (r *Resource) Filter() bool { return r.Rank != "" || len(r.Only) > 0 }

// Writable reports whether records can be created and changed.
func (r *Resource) Writable() bool {
	return slices.ContainsFunc(r.Fields, func(f Field) bool { return f.Has(rpc.Written) })
}

// Action gives an action, nil if there is none of that name.
func (r *Resource) Action(name string) *Action {
	for i := range r.Actions {
		if r.Actions[i].Name == name {
			return &r.Actions[i]
		}
	}
	return nil
}

// Field gives a field by its name.
func (r *Resource) Field(name string) (Field, bool) { return find(r.Fields, name) }

// Lines gives the field of a resource's lines, and what they are; nil if it has none.
func (r *Resource) Lines() (Field, *Lines) {
	for _, f := range r.Fields {
		if f.Lines != nil {
			return f, f.Lines
		}
	}
	return Field{}, nil
}

// Example is a record, in a list or by itself.
func (r *Resource) Example(alone bool) map[string]any {
	record := map[string]any{}
	for _, f := range r.Fields {
		switch {
		case f.Lines == nil:
			record[f.Name] = f.Example
		case alone:
			line := map[string]any{}
			for _, f := range f.Lines.Fields {
				line[f.Name] = f.Example
			}
			record[f.Name] = []any{line}
		}
	}
	return record
}

// Written finds a field by a name that it can be written by: a link also goes by <link>_id.
func Written(fields []Field, name string) (Field, bool) {
	if f, ok := find(fields, name); ok {
		return f, true
	}
	link, isID := strings.CutSuffix(name, "_id")
	f, ok := find(fields, link)
	return f, ok && isID && f.Kind == rpc.Link
}

func find(fields []Field, name string) (Field, bool) {
	i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return fields[i], true
}

// What may be done with fields, for short.
const (
	filter = rpc.Filtered
	sorts  = rpc.Filtered | rpc.Sorted
	edits  = sorts | rpc.Written
)

// ref is the example of a link.
func ref(id int, name string) map[string]any { return map[string]any{"id": id, "name": name} }

// at is the example of a time.
const at = "2026-11-03T09:30:00Z"
