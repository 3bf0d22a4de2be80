package erp

import (
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Partners are all contacts: res.partner.
var Partners = partners("partners", "partner", "", "Every partner there is, such as what the partner of a sale can be set to; `suppliers` and `customers` are filters of it.")

// Suppliers and Customers are filters of Partners. Without the accounting module Odoo does not tell them apart: both are
// every company and every contact of none.
var (
	Suppliers = partners("suppliers", "supplier", "supplier_rank", "Those partners whose `supplier_rank` is above 0; `partners` has all.")
	Customers = partners("customers", "customer", "customer_rank", "Those partners whose `customer_rank` is above 0; `partners` has all.")
)

func partners(name, one, rank, doc string) *Resource {
	return &Resource{
		Name: name, One: one, Type: "Partner", Model: "res.partner", Sort: "name", Page: name, Rank: rank,
		Doc:   doc + " Viewers do not see the partners that are internal users of Odoo.",
		Image: true, HideInternal: true, Archive: Archives,
		// Odoo would archive it, although the company's documents need it.
		Protected: &Protected{By: "res.company", Field: "partner_id", Text: fault.T(
			"Este contacto es el de una de las empresas de Odoo; no se puede archivar", "This contact is that of one of Odoo's companies; it cannot be archived")},
		Fields: []Field{
			{Name: "id", Kind: rpc.Number, Can: sorts, Always: true, Whole: true, Example: 12},
			{Name: "name", Kind: rpc.Text, Can: edits | rpc.Required | rpc.Searched, Example: "Ferretería Núñez"},
			{Name: "email", Kind: rpc.Text, Can: edits | rpc.Searched, Example: "compras@example.com"},
			{Name: "phone", Kind: rpc.Text, Can: edits | rpc.Searched, Example: "+34 910 000 000"},
			{Name: "mobile", Kind: rpc.Text, Can: edits, Doc: "null from Odoo 19 on, which has none"},
			{Name: "website", Kind: rpc.Text, Can: edits},
			{Name: "vat", Kind: rpc.Text, Can: edits | rpc.Searched, Doc: "tax id", Example: "ESB12345674"},
			{Name: "ref", Kind: rpc.Text, Can: edits | rpc.Searched},
			{Name: "is_company", Kind: rpc.Bool, Can: edits, Always: true, Example: true},
			{Name: "parent", Kind: rpc.Link, Can: edits, Odoo: []string{"parent_id"}, Options: "partners"},
			{Name: "street", Kind: rpc.Text, Can: edits, Example: "Calle Mayor 1"},
			{Name: "street2", Kind: rpc.Text, Can: edits},
			{Name: "zip", Kind: rpc.Text, Can: edits, Example: "28013"},
			{Name: "city", Kind: rpc.Text, Can: edits, Example: "Madrid"},
			{Name: "state", Kind: rpc.Link, Can: edits, Odoo: []string{"state_id"}, Options: "options/states", Example: ref(448, "Madrid")},
			{Name: "country", Kind: rpc.Link, Can: edits, Odoo: []string{"country_id"}, Options: "options/countries", Example: ref(68, "España")},
			{Name: "company", Kind: rpc.Link, Can: filter | rpc.Written, Odoo: []string{"company_id"}, Doc: "null: of every company", Options: "options/companies"},
			{Name: "customer_rank", Kind: rpc.Number, Can: sorts, Whole: true, Doc: "above 0 for customers; null without the accounting module", Example: 3},
			{Name: "supplier_rank", Kind: rpc.Number, Can: sorts, Whole: true, Doc: "above 0 for suppliers; null without the accounting module", Example: 0},
			{Name: "has_image", Kind: rpc.Bool, Doc: "null where Odoo cannot tell", Odoo: []string{"image_128"}, Derived: HasImage, Example: false},
			{Name: "active", Kind: rpc.Bool, Can: edits, Always: true, Doc: "false: archived", Example: true},
			{Name: "created_at", Kind: rpc.Time, Can: sorts, Always: true, Odoo: []string{"create_date"}, Example: at},
			{Name: "updated_at", Kind: rpc.Time, Can: sorts, Always: true, Odoo: []string{"write_date"}, Example: at},
		},
		CreateExample: map[string]any{"name": "Ferretería Núñez", "is_company": true, "email": "compras@example.com", "country": ref(68, "España")},
		UpdateExample: map[string]any{"phone": "+34 910 000 001", "active": true},
		Watches:       []Watch{{Model: "res.partner"}}, // the names of parents
	}
}
