package erp

import (
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Products are what can be sold or bought: product.product, whose id a sale's line takes.
var Products = &Resource{
	Name: "products", One: "product", Type: "Product", Model: "product.product", Sort: "name", Page: "products",
	Image: true, Archive: Archives, Siblings: true,
	// Odoo's numbers are doubles, and their shortest decimal is what Odoo itself shows.
	Fields: []Field{
		{Name: "id", Kind: rpc.Number, Can: sorts, Always: true, Whole: true, Example: 7},
		{Name: "name", Kind: rpc.Text, Can: edits | rpc.Required | rpc.Searched, Always: true, Example: "Silla de oficina"},
		{Name: "default_code", Kind: rpc.Text, Can: edits | rpc.Searched, Doc: "internal reference, SKU", Example: "SIL-01"},
		{
			Name: "barcode", Kind: rpc.Text, Can: edits | rpc.Searched, Example: "8412345678905",
			Unique: &Unique{
				Detail: fault.T("Otro producto tiene ya ese código de barras", "Another product has that barcode already"),
				Field:  fault.T("ya lo tiene otro producto", "another product has it already"),
			},
		},
		{
			Name: "type", Kind: rpc.Text, Can: edits, Always: true, Doc: "consu (goods), service, combo", Example: "consu",
			Odoo: []string{"detailed_type", "type"}, // 15 to 17 have both, and derive type
		},
		{
			Name: "is_storable", Kind: rpc.Bool, Can: filter | rpc.Written, Doc: "its stock is tracked; null without the stock module", Example: true,
			Was: &Was{Field: "type", Value: "product", Now: "consu"}, // until 17
		},
		{Name: "list_price", Kind: rpc.Number, Can: edits, Always: true, Doc: "of the template", Example: 149.9},
		{Name: "lst_price", Kind: rpc.Number, Doc: "list_price with what the variant costs more", Example: 149.9},
		{Name: "standard_price", Kind: rpc.Number, Can: filter | rpc.Written, Doc: "cost; null for who may not see it", Example: 80.25},
		{Name: "currency", Kind: rpc.Link, Odoo: []string{"currency_id"}, Example: ref(1, "EUR")},
		{Name: "category", Kind: rpc.Link, Can: edits, Odoo: []string{"categ_id"}, Options: "options/categories", Example: ref(4, "Muebles")},
		{Name: "uom", Kind: rpc.Link, Can: edits, Odoo: []string{"uom_id"}, Options: "options/units", Example: ref(1, "Unidades")},
		{Name: "template", Kind: rpc.Link, Can: sorts, Odoo: []string{"product_tmpl_id"}, Doc: "the product.template it is a variant of", Example: ref(5, "Silla de oficina")},
		{Name: "company", Kind: rpc.Link, Can: filter | rpc.Written, Odoo: []string{"company_id"}, Doc: "null: of every company", Options: "options/companies"},
		{Name: "description_sale", Kind: rpc.Text, Can: filter | rpc.Written},
		{Name: "sale_ok", Kind: rpc.Bool, Can: edits, Example: true},
		{Name: "purchase_ok", Kind: rpc.Bool, Can: edits, Example: true},
		{Name: "weight", Kind: rpc.Number, Can: edits, Example: 7.5},
		{Name: "volume", Kind: rpc.Number, Can: edits, Example: 0},
		{Name: "qty_available", Kind: rpc.Number, Can: filter, Doc: "on hand; null without the stock module", Example: 3},
		{Name: "virtual_available", Kind: rpc.Number, Can: filter, Doc: "forecast: on hand, with what is to come and to go", Example: 13},
		{Name: "low_stock_threshold", Kind: rpc.Number, Doc: "null where stock is not tracked", Derived: LowStockThreshold, Example: 5},
		{Name: "low_stock", Kind: rpc.Bool, Can: filter, Doc: "qty_available is at the threshold or below; null where stock is not tracked", Derived: LowStock, Example: true},
		{Name: "has_image", Kind: rpc.Bool, Doc: "null where Odoo cannot tell", Odoo: []string{"image_128"}, Derived: HasImage, Example: true},
		{Name: "active", Kind: rpc.Bool, Can: edits, Always: true, Doc: "false: archived", Example: true},
		{Name: "created_at", Kind: rpc.Time, Can: sorts, Always: true, Odoo: []string{"create_date"}, Example: at},
		{Name: "updated_at", Kind: rpc.Time, Can: sorts, Always: true, Odoo: []string{"write_date"}, Example: at},
	},
	CreateExample: map[string]any{"name": "Silla de oficina", "default_code": "SIL-01", "list_price": 149.9, "category": 4},
	UpdateExample: map[string]any{"list_price": 139.9, "description_sale": nil},
	// What a real Odoo 19 was seen to need: stock moves without a word in the product's write_date.
	Watches: []Watch{
		{Model: "product.template", Link: "product_variant_ids", Path: "product_tmpl_id."},
		{Model: "stock.quant", Link: "product_id", Needs: "qty_available", Path: "stock_quant_ids."},
		{Model: "stock.move", Link: "product_id", Needs: "virtual_available", Path: "stock_move_ids."},
		{Model: "product.category", Path: "categ_id.", Parent: "parent_id."},
		{Model: "uom.uom", Path: "uom_id."},
	},
}
