package erp

import "github.com/resonance/resonance/pkg/rpc"

// Options are what links can be set to, listed under /api/v1/options. Every version has their fields, if it has the model.
var Options = []*Resource{
	option("categories", "product.category", "complete_name"),
	option("companies", "res.company", "name"),
	option("countries", "res.country", "name"),
	option("fiscal_positions", "account.fiscal.position", "name"),
	option("payment_terms", "account.payment.term", "name"),
	option("pricelists", "product.pricelist", "name"),
	option("states", "res.country.state", "name", Field{
		Name: "country", Kind: rpc.Link, Can: sorts, Odoo: []string{"country_id"}, Doc: "of a state", Example: ref(68, "España"),
	}),
	option("taxes", "account.tax", "name").only(Condition{"type_tax_use", "=", "sale"}),
	option("units", "uom.uom", "name"),
	option("users", "res.users", "name").only(Condition{"share", "=", false}),
	option("warehouses", "stock.warehouse", "name"),
}

func option(name, model, label string, more ...Field) *Resource {
	return &Resource{Name: name, Model: model, Sort: "name", Fields: append([]Field{
		{Name: "id", Kind: rpc.Number, Can: sorts, Always: true, Whole: true, Example: 448},
		{Name: "name", Kind: rpc.Text, Can: sorts | rpc.Searched, Odoo: []string{label}, Always: true, Example: "Madrid"},
	}, more...)}
}

func (r *Resource) only(conditions ...Condition) *Resource {
	r.Only = conditions
	return r
}

// IsOption reports whether the resource is one of Options.
func (r *Resource) IsOption() bool { return r.Type == "" }
