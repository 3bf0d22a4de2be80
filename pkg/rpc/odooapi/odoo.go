// Package odooapi is the contract between the gateway and odoo-bridge: its subjects, requests and replies. Package erp
// says what the resources are.
package odooapi

import (
	"encoding/json"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Verbs of a resource, as far as package erp says that it has them. The names of its actions are verbs, too:
// RecordRef → the record as get gives it; Conflict when its state does not allow it.
const (
	List       = "list"    // Query → JSON array; HeaderTotal
	Get        = "get"     // RecordRef → the record; HeaderETag; NotFound. Archived records are there too
	Create     = "create"  // Write → the record as get gives it; HeaderETag
	Update     = "update"  // Write → the record as get gives it; HeaderETag; NotFound, Stale
	Archive    = "archive" // RecordRef → the record as get gives it; nothing is ever deleted
	Image      = "image"   // ImageRef → the bytes; HeaderETag, HeaderContentType; NotFound without one
	Summary    = "summary" // Query (filters and search only) → SalesSummary
	ListFields = "fields"  // Scope → JSON array of FieldInfo: the fields that this Odoo has
)

// Subject is where verb of resource is served: odoo.<resource>.<verb>.
func Subject(resource, verb string) string { return "odoo." + resource + "." + verb }

// Reply headers of odoo-bridge, besides HeaderTotal and HeaderETag.
const (
	HeaderAge   = "Age"   // whole seconds since Odoo said this; absent when it was asked just now
	HeaderStale = "Stale" // "true": Odoo does not answer, and this may be out of date
)

// Bounds of requests to odoo-bridge. What is beyond them is Invalid.
const (
	MaxLimit  = 1000 // rows of a list, and ids
	MaxLines  = 500  // lines of a sale
	MaxString = 64 << 10
)

// ImageSizes are the sizes, in pixels, that Odoo keeps images in.
var ImageSizes = []int{128, 256, 512, 1024, 1920}

// Scope is on whose terms a request is answered; every request carries it.
type Scope struct {
	Lang    string `json:"lang,omitempty"`    // an Accept-Language value; what Odoo has not installed falls back to the bridge's user's language
	Company int64  `json:"company,omitempty"` // 0: the bridge's user's own; Forbidden when not among that user's companies
	// HideInternal leaves out partners that are internal users of Odoo: a viewer of Resonance has no
	// business with the contact details of employees.
	HideInternal bool `json:"hide_internal,omitempty"`
}

// Query asks for a page. Filters are joined by AND and archived records left out, unless a
// filter names active or IDs is set. The default sort is name, for sales date_order descending; id
// breaks ties.
type Query struct {
	Scope

	Offset  int          `json:"offset,omitempty"`
	Limit   int          `json:"limit,omitempty"` // 1 to MaxLimit
	Sort    []rpc.Sort   `json:"sort,omitempty"`
	Filters []rpc.Filter `json:"filters,omitempty"`
	Search  string       `json:"search,omitempty"` // part of any of the fields that are Searched, in any case
	IDs     []int64      `json:"ids,omitempty"`
}

// RecordRef names one record.
type RecordRef struct {
	Scope

	ID  int64  `json:"id"`
	Key string `json:"key,omitempty"` // of an action: as in Write
}

// ImageRef names one record's image.
type ImageRef struct {
	Scope

	ID   int64 `json:"id"`
	Size int   `json:"size,omitempty"` // one of ImageSizes; 0 is 128
}

// Write creates a record (ID 0) or changes the fields of one that Values names. Values are in
// the shapes the record is read in; a link may also be a bare id, and be named <link>_id. Null
// empties a field. Lines are the whole new set of lines: one with an id stays, others are added. Lines of a new sale
// have no ids.
type Write struct {
	Scope

	ID      int64                      `json:"id,omitempty"`
	Values  map[string]json.RawMessage `json:"values"`
	IfMatch string                     `json:"if_match,omitempty"` // an ETag of get; Stale when the record has another
	// Key makes repetitions of a request one: an Idempotency-Key, made one with who sent it, of the characters of a
	// NATS token. A repetition is answered with the record as it is now; another request with the key is Conflict.
	Key string `json:"key,omitempty"`
}

// OutcomeUnknown is the error of a write that may have been made. Repeating it with its key is safe.
func OutcomeUnknown(err error) *fault.Error {
	return &fault.Error{
		Code: fault.Unavailable, RetryAfter: 5 * time.Second, Err: err,
		Detail: fault.T(
			"No se sabe si Odoo hizo el cambio. Para saberlo, repita la petición con la Idempotency-Key de esta respuesta: el cambio se hará una sola vez",
			"It is not known whether Odoo made the change. To find out, repeat the request with the Idempotency-Key of this answer: the change will be made only once"),
	}
}

// Credentials are those of a user of Odoo's. The password may be an API key.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// User is who Credentials belong to.
type User struct {
	UID  int64  `json:"uid"`
	Name string `json:"name"`
	Role string `json:"role"` // admin: settings; operator: sales, purchase or inventory; viewer: any other internal user
}

// FieldInfo is a field that this Odoo has, and what can be done with it in this Odoo.
type FieldInfo struct {
	Name     string      `json:"name"`
	Type     string      `json:"type" enum:"text,number,date,time,bool,link,list"`
	Filter   bool        `json:"filter"`
	Sort     bool        `json:"sort"`
	Write    bool        `json:"write"`
	Required bool        `json:"required" doc:"to create a record"`
	Values   []string    `json:"values,omitempty" nullable:"false" doc:"all it can have; absent: any"`
	Options  string      `json:"options,omitempty" doc:"where what it can be set to is listed, beneath /api/v1/"`
	Fields   []FieldInfo `json:"fields,omitempty" nullable:"false" doc:"of each item of a list"`
}

// Ref is a linked record.
type Ref struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// SalesSummary counts the sales that match. Amounts of different currencies are never added.
type SalesSummary struct {
	Total   int64        `json:"total"`
	ByState []SalesTotal `json:"by_state" doc:"by state and currency; month is null"`
	ByMonth []SalesTotal `json:"by_month" doc:"by month of date_order (UTC), state and currency, oldest first"`
}

// SalesTotal counts the sales of one group.
type SalesTotal struct {
	Month         *string `json:"month" doc:"YYYY-MM"`
	State         string  `json:"state" enum:"draft,sent,sale,cancel"`
	Currency      *Ref    `json:"currency"`
	Count         int64   `json:"count"`
	AmountUntaxed float64 `json:"amount_untaxed"`
	AmountTotal   float64 `json:"amount_total"`
}
