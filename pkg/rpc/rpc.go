// Package rpc holds what the request and reply contracts between the gateway and the services share. Each
// service's contract is a package of its own: ordersapi, syncapi and odooapi. Bodies are JSON unless said otherwise,
// on the subjects that the services' NATS micro endpoints listen to.
package rpc

import "github.com/resonance/resonance/pkg/event/schema"

// Reply headers.
const (
	HeaderTotal       = "Total"        // exact number of rows that match, a decimal
	HeaderETag        = "ETag"         // strong entity tag of the body, quoted
	HeaderContentType = "Content-Type" // of a file or an image
)

// Op is how a Filter compares. The names are Refine's CRUD operators.
type Op string

// Operators. The plain text operators ignore case, those that end in "s" do not.
const (
	Eq           Op = "eq"
	Ne           Op = "ne"
	Lt           Op = "lt"
	Lte          Op = "lte"
	Gt           Op = "gt"
	Gte          Op = "gte"
	In           Op = "in"
	Nin          Op = "nin"
	Between      Op = "between"
	Nbetween     Op = "nbetween"
	Null         Op = "null"
	Nnull        Op = "nnull"
	Contains     Op = "contains"
	Ncontains    Op = "ncontains"
	Containss    Op = "containss"
	Ncontainss   Op = "ncontainss"
	StartsWith   Op = "startswith"
	NstartsWith  Op = "nstartswith"
	StartsWiths  Op = "startswiths"
	NstartsWiths Op = "nstartswiths"
	EndsWith     Op = "endswith"
	NendsWith    Op = "nendswith"
	EndsWiths    Op = "endswiths"
	NendsWiths   Op = "nendswiths"
)

// Filter keeps the orders whose Field compares to Values by Op. In, Nin take any number of values,
// Between and Nbetween two, Null and Nnull none, the others one. Filters are joined by AND.
type Filter struct {
	Field  string   `json:"field"`
	Op     Op       `json:"op"`
	Values []string `json:"values,omitempty"`
}

// Sort is one sort key.
type Sort struct {
	Field string `json:"field"`
	Desc  bool   `json:"desc,omitempty"`
}

// Kind is what the values of a column are, which decides the operators and the syntax of its values.
type Kind = schema.Kind

// The kinds that columns of orders and fields of Odoo share, and those of Odoo's fields alone.
const (
	Text   = schema.Text
	Number = schema.Number
	Date   = schema.Date
	Time   = schema.Time

	Bool  Kind = "bool" // true or false
	Link  Kind = "link" // {id, name}: Eq, Ne, In and Nin take ids, the text operators look in the name
	Links Kind = "links"
	Lines Kind = "lines" // records that belong to one
)

// Can is what may be done with a column, besides reading it.
type Can uint8

// What may be done with a column.
const (
	Filtered Can = 1 << iota
	Sorted
	Written
	Required // to create a record
	Searched
)
