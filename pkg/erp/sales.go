package erp

import (
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Sales are quotations and orders: sale.order. Amounts are in the sale's currency.
var Sales = &Resource{
	Name: "sales", One: "sale", Type: "Sale", Model: "sale.order", Sort: "-date_order", Page: "sales",
	Archive: "cancel", // Odoo archives no sales
	Fields: []Field{
		{Name: "id", Kind: rpc.Number, Can: sorts, Always: true, Whole: true, Example: 31},
		{Name: "name", Kind: rpc.Text, Can: sorts | rpc.Searched, Always: true, Example: "S00031"},
		{Name: "state", Kind: rpc.Text, Can: sorts, Always: true, Values: []string{"draft", "sent", "sale", "cancel"}, Example: "draft"},
		{Name: "locked", Kind: rpc.Bool, Can: filter, Was: &Was{Field: "state", Value: "done", Now: "sale"}, Example: false}, // until 16
		{Name: "partner", Kind: rpc.Link, Can: edits | rpc.Required | rpc.Searched, Odoo: []string{"partner_id"}, Options: "partners", Example: ref(12, "Ferretería Núñez")},
		{Name: "partner_shipping", Kind: rpc.Link, Can: edits, Odoo: []string{"partner_shipping_id"}, Doc: "the delivery address", Options: "partners", Example: ref(12, "Ferretería Núñez")},
		{Name: "date_order", Kind: rpc.Time, Can: edits, Example: at},
		{Name: "validity_date", Kind: rpc.Date, Can: edits},
		{Name: "commitment_date", Kind: rpc.Time, Can: edits, Doc: "the delivery date that was promised"},
		{Name: "client_order_ref", Kind: rpc.Text, Can: edits | rpc.Searched},
		{Name: "pricelist", Kind: rpc.Link, Can: edits, Odoo: []string{"pricelist_id"}, Options: "options/pricelists", Example: ref(1, "Tarifa pública (EUR)")},
		{Name: "payment_term", Kind: rpc.Link, Can: edits, Odoo: []string{"payment_term_id"}, Doc: "null without the accounting module too", Options: "options/payment_terms", Example: ref(3, "30 días")},
		{Name: "fiscal_position", Kind: rpc.Link, Can: edits, Odoo: []string{"fiscal_position_id"}, Doc: "null without the accounting module too", Options: "options/fiscal_positions", Example: ref(1, "Régimen nacional")},
		{Name: "amount_untaxed", Kind: rpc.Number, Can: sorts, Always: true, Example: 299.8},
		{Name: "amount_tax", Kind: rpc.Number, Can: sorts, Always: true, Example: 62.96},
		{Name: "amount_total", Kind: rpc.Number, Can: sorts, Always: true, Example: 362.76},
		{Name: "currency", Kind: rpc.Link, Can: filter, Odoo: []string{"currency_id"}, Example: ref(1, "EUR")},
		{Name: "user", Kind: rpc.Link, Can: edits, Odoo: []string{"user_id"}, Doc: "the salesperson", Options: "options/users", Example: ref(2, "Ana Ruiz")},
		{Name: "company", Kind: rpc.Link, Can: edits, Odoo: []string{"company_id"}, Options: "options/companies", Example: ref(1, "Mi empresa")},
		{Name: "warehouse", Kind: rpc.Link, Can: edits, Odoo: []string{"warehouse_id"}, Doc: "null without the stock module", Options: "options/warehouses", Example: ref(1, "Madrid")},
		{Name: "invoice_status", Kind: rpc.Text, Can: sorts, Doc: "upselling, invoiced, to invoice, no", Example: "no"},
		{Name: "note", Kind: rpc.Text, Can: rpc.Written, Doc: "terms and conditions: HTML, in Odoo 14 a text"},
		{Name: "created_at", Kind: rpc.Time, Can: sorts, Always: true, Odoo: []string{"create_date"}, Example: at},
		{Name: "updated_at", Kind: rpc.Time, Can: sorts, Always: true, Odoo: []string{"write_date"}, Example: at},
		{Name: "lines", Kind: rpc.Lines, Can: rpc.Written, Odoo: []string{"order_line"}, Doc: "not in lists", Lines: saleLines},
	},
	Creating:      "Lines of a new sale have no `id`: to duplicate a sale, post its lines without theirs.",
	CreateExample: map[string]any{"partner": 12, "client_order_ref": "P-1042", "payment_term": 3, "lines": []any{map[string]any{"display_type": "line_section", "name": "Oficina"}, map[string]any{"product": 7, "qty": 2}}},
	UpdateExample: map[string]any{"lines": []any{map[string]any{"id": 81, "qty": 3}, map[string]any{"product": 9, "qty": 1}}},
	Actions: []Action{
		{
			Name: "confirm", Summary: "Confirm a quotation", Doc: "409 for what is cancelled. What is confirmed already stays so.",
			Method: "action_confirm", Field: "state", To: "sale",
			Refusals: []Refusal{{"state", "cancel", fault.T("El pedido está cancelado", "The order is cancelled")}},
		},
		{
			Name: "cancel", Summary: "Cancel a sale", Doc: "409 for what is locked. What is cancelled already stays so.",
			Method: "action_cancel", Context: []string{"disable_cancel_warning"}, Field: "state", To: "cancel",
			Refusals: []Refusal{{"locked", true, fault.T(
				"El pedido está bloqueado; desbloquéelo en Odoo antes de cancelarlo", "The order is locked; unlock it in Odoo before cancelling it")}},
		},
	},
	Form: &Form{
		By: "partner_id", With: []string{"company_id"}, Computed: "user_id",
		Fields: []string{"partner_invoice_id", "partner_shipping_id", "pricelist_id", "payment_term_id", "fiscal_position_id", "user_id", "team_id"},
	},
	Summary: &Summary{State: "state", Date: "date_order", Currency: "currency", Untaxed: "amount_untaxed", Total: "amount_total"},
	Via:     &Path{Model: "res.partner", Path: "sale_order_ids."},
	Watches: []Watch{
		{Model: "product.product"}, {Model: "product.template"}, {Model: "res.partner"}, // their names
		{Model: "uom.uom", Path: "order_line.{uom}."},
		{Model: "account.tax", Path: "order_line.{taxes}."},
	},
	Touches: []Touches{{Resource: "products", Lines: "lines", Link: "product"}}, // their forecast
}

// saleLines are sale.order.line.
var saleLines = &Lines{
	Type: "SaleLine", Model: "sale.order.line", Parent: "order_id", Order: "sequence", Text: "display_type", Name: "name",
	Doc: "A line without an id needs its product, or with a display_type its name. In a new sale none has an id.",
	Fields: []Field{
		{Name: "id", Kind: rpc.Number, Can: rpc.Written, Always: true, Whole: true, Example: 81},
		{Name: "product", Kind: rpc.Link, Can: rpc.Written | rpc.Required, Odoo: []string{"product_id"}, Options: "products", Example: ref(7, "[SIL-01] Silla de oficina")},
		{Name: "name", Kind: rpc.Text, Can: rpc.Written, Always: true, Example: "Silla de oficina"},
		{Name: "qty", Kind: rpc.Number, Can: rpc.Written, Always: true, Odoo: []string{"product_uom_qty"}, Example: 2},
		{Name: "uom", Kind: rpc.Link, Can: rpc.Written, Odoo: []string{"product_uom_id", "product_uom"}, Options: "options/units", Example: ref(1, "Unidades")},
		{Name: "price_unit", Kind: rpc.Number, Can: rpc.Written, Always: true, Example: 149.9},
		{Name: "discount", Kind: rpc.Number, Can: rpc.Written, Always: true, Range: &Range{0, 100}, Doc: "percent", Example: 0},
		{Name: "taxes", Kind: rpc.Links, Can: rpc.Written, Always: true, Odoo: []string{"tax_ids", "tax_id"}, Model: "account.tax", Options: "options/taxes", Example: []any{ref(1, "21%")}},
		{Name: "display_type", Kind: rpc.Text, Can: rpc.Written, Doc: "line_section, line_note and from Odoo 19 on line_subsection are texts between lines; null: a product"},
		{Name: "subtotal", Kind: rpc.Number, Always: true, Odoo: []string{"price_subtotal"}, Doc: "without taxes", Example: 299.8},
		{Name: "total", Kind: rpc.Number, Always: true, Odoo: []string{"price_total"}, Example: 362.76},
	},
}
