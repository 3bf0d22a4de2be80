// Package resource turns Odoo's models into the resources of pkg/rpc/odooapi. What each resource is
// made of is a table; what a given Odoo has of it is probed, never derived from its version.
package resource

import (
	"slices"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

// table describes a resource: its model, and where its fields come from.
type table struct {
	name    string
	model   string
	order   string // the default, before id
	columns []column
	merged  merge
	base    []any  // the domain of what belongs to it at all
	rank    string // a partner is among these when this field is above 0
	archive bool   // has action_archive
	fields  []odooapi.Field
}

// column is a field of a resource.
type column struct {
	name string
	from []string // Odoo's name for it, and the names it has in other versions
	// value derives the field from the record, where it is not simply Odoo's own.
	value func(view) any
	// where is the domain in which a derived Bool has a value; nil when this Odoo cannot tell.
	where func(r *resource, value bool) []any
}

// merge is a value of a selection that later versions of Odoo express by a flag beside it.
type merge struct{ column, value, as, flag string }

func plain(name string, from ...string) column {
	if len(from) == 0 {
		from = []string{name}
	}
	return column{name: name, from: from}
}

var image = column{name: "has_image", from: []string{"image_128"}, value: func(v view) any {
	if v.r.field("has_image") == "" {
		return nil
	}
	size, isText := v.of("has_image").(string) // read with bin_size: "2.61 Kb"
	return isText && size != ""
}}

var partnerColumns = []column{
	plain("id"), plain("name"), plain("email"), plain("phone"), plain("mobile"), plain("website"), plain("vat"), plain("ref"),
	plain("is_company"), plain("parent", "parent_id"), plain("street"), plain("street2"), plain("zip"), plain("city"),
	plain("state", "state_id"), plain("country", "country_id"), plain("company", "company_id"),
	plain("customer_rank"), plain("supplier_rank"), image,
	plain("active"), plain("created_at", "create_date"), plain("updated_at", "write_date"),
}

var tables = map[string]*table{
	"products": {
		name: "products", model: "product.product", order: "name", archive: true, fields: odooapi.Fields["products"],
		columns: []column{
			plain("id"), plain("name"), plain("default_code"), plain("barcode"),
			plain("type", "detailed_type", "type"), // 15 to 17 have both, and derive type
			{name: "is_storable", from: []string{"is_storable"}, value: view.flag, where: flagged},
			plain("list_price"), plain("lst_price"), plain("standard_price"), plain("currency", "currency_id"),
			plain("category", "categ_id"), plain("uom", "uom_id"), plain("template", "product_tmpl_id"), plain("company", "company_id"),
			plain("description_sale"), plain("sale_ok"), plain("purchase_ok"), plain("weight"), plain("volume"),
			plain("qty_available"), plain("virtual_available"),
			{name: "low_stock_threshold", where: lowStock, value: func(v view) any {
				if v.tracked() {
					return v.lowStock
				}
				return nil
			}},
			{name: "low_stock", where: lowStock, value: func(v view) any {
				if qty, ok := number(v.of("qty_available")); ok && v.tracked() {
					return qty <= v.lowStock
				}
				return nil
			}},
			image, plain("active"), plain("created_at", "create_date"), plain("updated_at", "write_date"),
		},
		merged: merge{column: "type", value: "product", as: "consu", flag: "is_storable"}, // until 17
	},
	"partners": {
		name: "partners", model: "res.partner", order: "name", archive: true, fields: odooapi.Fields["partners"],
		columns: partnerColumns,
	},
	"suppliers": {
		name: "suppliers", model: "res.partner", order: "name", archive: true, fields: odooapi.Fields["suppliers"],
		columns: partnerColumns, rank: "supplier_rank",
	},
	"customers": {
		name: "customers", model: "res.partner", order: "name", archive: true, fields: odooapi.Fields["customers"],
		columns: partnerColumns, rank: "customer_rank",
	},
	"sales": {
		name: "sales", model: "sale.order", order: "date_order desc", fields: odooapi.Fields["sales"],
		columns: []column{
			plain("id"), plain("name"), plain("state"),
			{name: "locked", from: []string{"locked"}, value: view.flag, where: flagged},
			plain("partner", "partner_id"), plain("partner_shipping", "partner_shipping_id"),
			plain("date_order"), plain("validity_date"), plain("commitment_date"), plain("client_order_ref"),
			plain("pricelist", "pricelist_id"), plain("payment_term", "payment_term_id"), plain("fiscal_position", "fiscal_position_id"),
			plain("amount_untaxed"), plain("amount_tax"), plain("amount_total"), plain("currency", "currency_id"),
			plain("user", "user_id"), plain("company", "company_id"), plain("warehouse", "warehouse_id"), plain("invoice_status"), plain("note"),
			plain("created_at", "create_date"), plain("updated_at", "write_date"),
		},
		merged: merge{column: "state", value: "done", as: "sale", flag: "locked"}, // until 16
	},
}

// Model gives the model of Odoo's that a resource's records are of: suppliers and customers are of the same.
func Model(name string) string {
	if t := tables[name]; t != nil {
		return t.model
	}
	return name
}

// lines are no resource of their own, but are read and written in the same way.
var lines = &table{
	name: "lines", model: "sale.order.line", fields: odooapi.LineFields,
	columns: []column{
		plain("id"), plain("product", "product_id"), plain("name"), plain("qty", "product_uom_qty"),
		plain("uom", "product_uom_id", "product_uom"), plain("price_unit"), plain("discount"), plain("taxes", "tax_ids", "tax_id"),
		plain("display_type"), plain("subtotal", "price_subtotal"), plain("total", "price_total"),
	},
}

// options are read as they are: every Odoo has their fields, if it has the model.
var options = map[string]*table{
	"categories":       option("product.category", "complete_name"),
	"companies":        option("res.company", "name"),
	"countries":        option("res.country", "name"),
	"fiscal_positions": option("account.fiscal.position", "name"),
	"payment_terms":    option("account.payment.term", "name"),
	"pricelists":       option("product.pricelist", "name"),
	"states":           option("res.country.state", "name", plain("country", "country_id")),
	"taxes":            option("account.tax", "name").only(leaf("type_tax_use", "=", "sale")),
	"units":            option("uom.uom", "name"),
	"warehouses":       option("stock.warehouse", "name"),
	"users":            option("res.users", "name").only(leaf("share", "=", false)),
}

func option(model, name string, more ...column) *table {
	return &table{model: model, order: name, columns: append([]column{plain("id"), plain("name", name)}, more...)}
}

func (t *table) option() bool { return odooapi.Options[t.name] != nil }

func (t *table) only(condition []any) *table {
	t.base = []any{condition}
	return t
}

// optionOf gives a table of options; nil when there is none of that name.
func optionOf(name string) *resource {
	t := options[name]
	if t == nil {
		return nil
	}
	t = new(*t)
	t.name, t.fields = name, odooapi.Options[name]
	return t.in(map[string]info{
		"id": {kind: "integer", sortable: true}, t.order: {kind: "char", sortable: true}, "country_id": {kind: "many2one", sortable: true},
	}, 0)
}

// lowStock is the domain of products whose stock is tracked and low, or is not low.
func lowStock(r *resource, value bool) []any {
	storable, qty := flagged(r, true), r.field("qty_available")
	if storable == nil || qty == "" {
		return nil
	}
	op := "<="
	if !value {
		op = ">"
	}
	return append(storable, leaf(qty, op, r.lowStock))
}

// flagged is the domain of records whose flag, or merged selection, has a value.
func flagged(r *resource, value bool) []any {
	switch m := r.merged; {
	case r.field(m.flag) != "":
		return []any{leaf(r.field(m.flag), "=", value)}
	case !r.merges():
		return nil
	case value:
		return []any{leaf(r.field(m.column), "=", m.value)}
	default:
		return []any{leaf(r.field(m.column), "!=", m.value)}
	}
}

// view is a record as Odoo gave it.
type view struct {
	r        *resource
	record   map[string]any
	lowStock float64
}

// of gives what Odoo says of a field; nil when it has no such field.
func (v view) of(name string) any {
	if from := v.r.field(name); from != "" {
		return v.record[from]
	}
	return nil
}

// flag is the flag beside a selection; nil when this Odoo has neither.
func (v view) flag() any {
	switch m := v.r.merged; {
	case v.r.field(m.flag) != "":
		return v.of(m.flag) == true
	case v.r.merges():
		return v.of(m.column) == m.value
	}
	return nil
}

// tracked reports that Odoo keeps the stock of a product.
func (v view) tracked() bool { return v.r.field("qty_available") != "" && v.flag() == true }

// resource is a table as a given Odoo has it.
type resource struct {
	*table

	has      map[string]info   // Odoo's fields, by its names
	from     map[string]string // its name for each field that it has
	lowStock float64
}

func (t *table) in(has map[string]info, lowStock float64) *resource {
	r := &resource{table: t, has: has, from: map[string]string{}, lowStock: lowStock}
	for _, c := range t.columns {
		for _, name := range c.from {
			if _, ok := has[name]; ok {
				r.from[c.name] = name
				break
			}
		}
	}
	return r
}

// field gives Odoo's name for a field, "" when it has no such field.
func (r *resource) field(name string) string { return r.from[name] }

// merges reports that this Odoo still has the value that was merged later.
func (r *resource) merges() bool {
	from := r.field(r.merged.column)
	return from != "" && slices.Contains(r.has[from].selection, r.merged.value)
}

// reads lists Odoo's fields to read.
func (r *resource) reads() []any {
	var names []any
	for _, c := range r.columns {
		if from := r.from[c.name]; from != "" && from != "id" {
			names = append(names, from)
		}
	}
	return names
}

func (r *resource) column(name string) (column, odooapi.Field, bool) {
	i := slices.IndexFunc(r.columns, func(c column) bool { return c.name == name })
	j := slices.IndexFunc(r.fields, func(f odooapi.Field) bool { return f.Name == name })
	if i < 0 || j < 0 {
		return column{}, odooapi.Field{}, false
	}
	return r.columns[i], r.fields[j], true
}
