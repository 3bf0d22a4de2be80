// Package odooapi is the contract between the gateway and odoo-bridge: its subjects, requests and replies, and what
// the resources are.
package odooapi

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Resources are the resources odoo-bridge serves, by their names in URLs and subjects.
// Suppliers and customers are filters of partners.
var Resources = []string{"products", "partners", "suppliers", "customers", "sales"}

// IsPartners reports whether the records of a resource are res.partner's.
func IsPartners(resource string) bool {
	return resource == "partners" || resource == "suppliers" || resource == "customers"
}

// Options are what the links of records can be set to, by their names in URLs and subjects: the
// fields of each. They are only listed; Field.Options says which a link takes.
var Options = map[string][]Field{
	"categories":       optionFields,
	"companies":        optionFields,
	"countries":        optionFields,
	"fiscal_positions": optionFields,
	"payment_terms":    optionFields,
	"pricelists":       optionFields,
	"states":           append(slices.Clone(optionFields), Field{"country", rpc.Link, Filtered | Sorted}),
	"taxes":            optionFields,
	"units":            optionFields,
	"users":            optionFields,
	"warehouses":       optionFields,
}

var optionFields = []Field{
	{"id", rpc.Number, Filtered | Sorted},
	{"name", rpc.Text, Filtered | Sorted | Searched},
}

// Verbs of a resource. Sales have no image; confirm, cancel and summary are for sales only. Odoo
// cannot archive a sale: archiving one cancels it.
const (
	List       = "list"    // Query → JSON array; HeaderTotal
	Get        = "get"     // RecordRef → the record; HeaderETag; NotFound. Archived records are there too
	Create     = "create"  // Write → the record as get gives it; HeaderETag
	Update     = "update"  // Write → the record as get gives it; HeaderETag; NotFound, Stale
	Archive    = "archive" // RecordRef → the record as get gives it; nothing is ever deleted
	Image      = "image"   // ImageRef → the bytes; HeaderETag, HeaderContentType; NotFound without one
	Confirm    = "confirm" // RecordRef → the sale; Conflict when it is cancelled
	Cancel     = "cancel"  // RecordRef → the sale; Conflict when it is locked
	Summary    = "summary" // Query (filters and search only) → SalesSummary
	ListFields = "fields"  // Scope → JSON array of FieldInfo: the fields that this Odoo has
)

// Subject is where verb of resource is served: odoo.<resource>.<verb>.
func Subject(resource, verb string) string { return "odoo." + resource + "." + verb }

// SubjectLogin is where Odoo's own users are checked: Credentials → User. Unauthenticated when
// Odoo does not know them, Forbidden for portal users. odoo-bridge logs and keeps nothing of it.
const SubjectLogin = "odoo.session.login"

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

// Can is what may be done with a field of Odoo's, besides reading it.
type Can uint8

// What may be done with a field.
const (
	Filtered Can = 1 << iota
	Sorted
	Written
	Required // to create a record
	Searched // by Query.Search
)

// Field describes a field of a resource.
type Field struct {
	Name string
	Kind rpc.Kind
	Can  Can
}

// Has reports whether the field can be used in all those ways.
func (f Field) Has(can Can) bool { return f.Can&can == can }

// Bounds gives the least and the most that a number may be written as; ok only where there are some.
func (f Field) Bounds() (least, most float64, ok bool) {
	if f.Name == "discount" {
		return 0, 100, true
	}
	return 0, 0, false
}

// Options gives where what a link can be set to is listed, beneath /api/v1/; "" for what is no link.
func (f Field) Options() string {
	if f.Kind != rpc.Link && f.Kind != rpc.List {
		return ""
	}
	return map[string]string{
		"category": "options/categories", "company": "options/companies", "country": "options/countries", "state": "options/states",
		"taxes": "options/taxes", "uom": "options/units", "user": "options/users",
		"fiscal_position": "options/fiscal_positions", "payment_term": "options/payment_terms", "pricelist": "options/pricelists",
		"warehouse": "options/warehouses", "partner_shipping": "partners",
		"parent": "partners", "partner": "partners", "product": "products",
	}[f.Name]
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

// Fields are the fields of each resource, in the order they are shown in. A field whose module
// is not installed in Odoo is null; to filter, sort or write it is Invalid, naming it.
var Fields = map[string][]Field{
	"products": {
		{"id", rpc.Number, Filtered | Sorted},
		{"name", rpc.Text, Filtered | Sorted | Written | Required | Searched},
		{"default_code", rpc.Text, Filtered | Sorted | Written | Searched},
		{"barcode", rpc.Text, Filtered | Sorted | Written | Searched},
		{"type", rpc.Text, Filtered | Sorted | Written},
		{"is_storable", rpc.Bool, Filtered | Written},
		{"list_price", rpc.Number, Filtered | Sorted | Written},
		{"lst_price", rpc.Number, 0},
		{"standard_price", rpc.Number, Filtered | Written},
		{"currency", rpc.Link, 0},
		{"category", rpc.Link, Filtered | Sorted | Written},
		{"uom", rpc.Link, Filtered | Sorted | Written},
		{"template", rpc.Link, Filtered | Sorted},
		{"company", rpc.Link, Filtered | Written},
		{"description_sale", rpc.Text, Filtered | Written},
		{"sale_ok", rpc.Bool, Filtered | Sorted | Written},
		{"purchase_ok", rpc.Bool, Filtered | Sorted | Written},
		{"weight", rpc.Number, Filtered | Sorted | Written},
		{"volume", rpc.Number, Filtered | Sorted | Written},
		{"qty_available", rpc.Number, Filtered},
		{"virtual_available", rpc.Number, Filtered},
		{"low_stock_threshold", rpc.Number, 0},
		{"low_stock", rpc.Bool, Filtered},
		{"has_image", rpc.Bool, 0},
		{"active", rpc.Bool, Filtered | Sorted | Written},
		{"created_at", rpc.Time, Filtered | Sorted},
		{"updated_at", rpc.Time, Filtered | Sorted},
	},
	"partners":  partnerFields,
	"suppliers": partnerFields,
	"customers": partnerFields,
	"sales": {
		{"id", rpc.Number, Filtered | Sorted},
		{"name", rpc.Text, Filtered | Sorted | Searched},
		{"state", rpc.Text, Filtered | Sorted},
		{"locked", rpc.Bool, Filtered},
		{"partner", rpc.Link, Filtered | Sorted | Written | Required | Searched},
		{"partner_shipping", rpc.Link, Filtered | Sorted | Written},
		{"date_order", rpc.Time, Filtered | Sorted | Written},
		{"validity_date", rpc.Date, Filtered | Sorted | Written},
		{"commitment_date", rpc.Time, Filtered | Sorted | Written},
		{"client_order_ref", rpc.Text, Filtered | Sorted | Written | Searched},
		{"pricelist", rpc.Link, Filtered | Sorted | Written},
		{"payment_term", rpc.Link, Filtered | Sorted | Written},
		{"fiscal_position", rpc.Link, Filtered | Sorted | Written},
		{"amount_untaxed", rpc.Number, Filtered | Sorted},
		{"amount_tax", rpc.Number, Filtered | Sorted},
		{"amount_total", rpc.Number, Filtered | Sorted},
		{"currency", rpc.Link, Filtered},
		{"user", rpc.Link, Filtered | Sorted | Written},
		{"company", rpc.Link, Filtered | Sorted | Written},
		{"warehouse", rpc.Link, Filtered | Sorted | Written},
		{"invoice_status", rpc.Text, Filtered | Sorted},
		{"note", rpc.Text, Written},
		{"created_at", rpc.Time, Filtered | Sorted},
		{"updated_at", rpc.Time, Filtered | Sorted},
		{"lines", rpc.List, Written},
	},
}

var partnerFields = []Field{
	{"id", rpc.Number, Filtered | Sorted},
	{"name", rpc.Text, Filtered | Sorted | Written | Required | Searched},
	{"email", rpc.Text, Filtered | Sorted | Written | Searched},
	{"phone", rpc.Text, Filtered | Sorted | Written | Searched},
	{"mobile", rpc.Text, Filtered | Sorted | Written},
	{"website", rpc.Text, Filtered | Sorted | Written},
	{"vat", rpc.Text, Filtered | Sorted | Written | Searched},
	{"ref", rpc.Text, Filtered | Sorted | Written | Searched},
	{"is_company", rpc.Bool, Filtered | Sorted | Written},
	{"parent", rpc.Link, Filtered | Sorted | Written},
	{"street", rpc.Text, Filtered | Sorted | Written},
	{"street2", rpc.Text, Filtered | Sorted | Written},
	{"zip", rpc.Text, Filtered | Sorted | Written},
	{"city", rpc.Text, Filtered | Sorted | Written},
	{"state", rpc.Link, Filtered | Sorted | Written},
	{"country", rpc.Link, Filtered | Sorted | Written},
	{"company", rpc.Link, Filtered | Written},
	{"customer_rank", rpc.Number, Filtered | Sorted},
	{"supplier_rank", rpc.Number, Filtered | Sorted},
	{"has_image", rpc.Bool, 0},
	{"active", rpc.Bool, Filtered | Sorted | Written},
	{"created_at", rpc.Time, Filtered | Sorted},
	{"updated_at", rpc.Time, Filtered | Sorted},
}

// LineFields are the fields of a sale's line.
var LineFields = []Field{
	{"id", rpc.Number, Written},
	{"product", rpc.Link, Written | Required},
	{"name", rpc.Text, Written},
	{"qty", rpc.Number, Written},
	{"uom", rpc.Link, Written},
	{"price_unit", rpc.Number, Written},
	{"discount", rpc.Number, Written},
	{"taxes", rpc.List, Written},
	{"display_type", rpc.Text, Written},
	{"subtotal", rpc.Number, 0},
	{"total", rpc.Number, 0},
}

// LinkOption is what a link can be set to.
type LinkOption struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Country *Ref   `json:"country,omitempty" doc:"of a state"`
}

// Ref is a linked record.
type Ref struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// Product is one that can be sold: Odoo's product.product, whose id a sale's line takes. Odoo's
// numbers are doubles, and their shortest decimal is what Odoo itself shows.
type Product struct {
	ID                int64     `json:"id"`
	Name              string    `json:"name"`
	DefaultCode       *string   `json:"default_code" doc:"internal reference, SKU"`
	Barcode           *string   `json:"barcode"`
	Type              string    `json:"type" doc:"consu (goods), service, combo"`
	IsStorable        *bool     `json:"is_storable" doc:"its stock is tracked; null without the stock module"`
	ListPrice         float64   `json:"list_price" doc:"of the template"`
	LstPrice          *float64  `json:"lst_price" doc:"list_price with what the variant costs more"`
	StandardPrice     *float64  `json:"standard_price" doc:"cost; null for who may not see it"`
	Currency          *Ref      `json:"currency"`
	Category          *Ref      `json:"category"`
	UoM               *Ref      `json:"uom"`
	Template          *Ref      `json:"template" doc:"the product.template it is a variant of"`
	Company           *Ref      `json:"company" doc:"null: of every company"`
	DescriptionSale   *string   `json:"description_sale"`
	SaleOK            *bool     `json:"sale_ok"`
	PurchaseOK        *bool     `json:"purchase_ok"`
	Weight            *float64  `json:"weight"`
	Volume            *float64  `json:"volume"`
	QtyAvailable      *float64  `json:"qty_available" doc:"on hand; null without the stock module"`
	VirtualAvailable  *float64  `json:"virtual_available" doc:"forecast: on hand, with what is to come and to go"`
	LowStockThreshold *float64  `json:"low_stock_threshold" doc:"null where stock is not tracked"`
	LowStock          *bool     `json:"low_stock" doc:"qty_available is at the threshold or below; null where stock is not tracked"`
	HasImage          *bool     `json:"has_image" doc:"null where Odoo cannot tell"`
	Active            bool      `json:"active" doc:"false: archived"`
	CreatedAt         time.Time `json:"created_at"`
	UpdatedAt         time.Time `json:"updated_at"`
}

// Partner is any contact, such as a customer or a supplier: Odoo's res.partner. Without the accounting
// module Odoo does not tell customers from suppliers: both lists hold every company and every contact
// of no company.
type Partner struct {
	ID           int64     `json:"id"`
	Name         *string   `json:"name"`
	Email        *string   `json:"email"`
	Phone        *string   `json:"phone"`
	Mobile       *string   `json:"mobile" doc:"null from Odoo 19 on, which has none"`
	Website      *string   `json:"website"`
	VAT          *string   `json:"vat" doc:"tax id"`
	Ref          *string   `json:"ref"`
	IsCompany    bool      `json:"is_company"`
	Parent       *Ref      `json:"parent"`
	Street       *string   `json:"street"`
	Street2      *string   `json:"street2"`
	Zip          *string   `json:"zip"`
	City         *string   `json:"city"`
	State        *Ref      `json:"state"`
	Country      *Ref      `json:"country"`
	Company      *Ref      `json:"company" doc:"null: of every company"`
	CustomerRank *int64    `json:"customer_rank" doc:"above 0 for customers; null without the accounting module"`
	SupplierRank *int64    `json:"supplier_rank" doc:"above 0 for suppliers; null without the accounting module"`
	HasImage     *bool     `json:"has_image" doc:"null where Odoo cannot tell"`
	Active       bool      `json:"active" doc:"false: archived"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// Sale is a quotation or an order: Odoo's sale.order. Amounts are in Currency.
type Sale struct {
	ID              int64      `json:"id"`
	Name            string     `json:"name"`
	State           string     `json:"state" enum:"draft,sent,sale,cancel"`
	Locked          *bool      `json:"locked"`
	Partner         *Ref       `json:"partner"`
	PartnerShipping *Ref       `json:"partner_shipping" doc:"the delivery address"`
	DateOrder       *time.Time `json:"date_order"`
	ValidityDate    *string    `json:"validity_date" format:"date"`
	CommitmentDate  *time.Time `json:"commitment_date" doc:"the delivery date that was promised"`
	ClientOrderRef  *string    `json:"client_order_ref"`
	Pricelist       *Ref       `json:"pricelist"`
	PaymentTerm     *Ref       `json:"payment_term" doc:"null without the accounting module too"`
	FiscalPosition  *Ref       `json:"fiscal_position" doc:"null without the accounting module too"`
	AmountUntaxed   float64    `json:"amount_untaxed"`
	AmountTax       float64    `json:"amount_tax"`
	AmountTotal     float64    `json:"amount_total"`
	Currency        *Ref       `json:"currency"`
	User            *Ref       `json:"user" doc:"the salesperson"`
	Company         *Ref       `json:"company"`
	Warehouse       *Ref       `json:"warehouse" doc:"null without the stock module"`
	InvoiceStatus   *string    `json:"invoice_status" doc:"upselling, invoiced, to invoice, no"`
	Note            *string    `json:"note" doc:"terms and conditions: HTML, in Odoo 14 a text"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
	Lines           []SaleLine `json:"lines,omitempty" doc:"not in lists"`
}

// SaleLine is a line of a Sale. Amounts are in the sale's currency.
type SaleLine struct {
	ID          int64   `json:"id"`
	Product     *Ref    `json:"product"`
	Name        string  `json:"name"`
	Qty         float64 `json:"qty"`
	UoM         *Ref    `json:"uom"`
	PriceUnit   float64 `json:"price_unit"`
	Discount    float64 `json:"discount" doc:"percent"`
	Taxes       []Ref   `json:"taxes"`
	DisplayType *string `json:"display_type" doc:"line_section, line_note and from Odoo 19 on line_subsection are texts between lines; null: a product"`
	Subtotal    float64 `json:"subtotal" doc:"without taxes"`
	Total       float64 `json:"total"`
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
