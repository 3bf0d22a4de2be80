package odootest

import (
	"strings"
	"testing"
)

// Every version, with and without modules, has the fields it should and samples that fit them.
func TestVersions(t *testing.T) {
	t.Parallel()
	cases := []struct {
		version   int
		without   string
		have, not string // model.field
	}{
		{14, "", "res.partner.mobile product.template.uom_po_id sale.order.line.product_uom sale.order.line.tax_id", "product.template.detailed_type sale.order.locked product.template.is_storable"},
		{16, "", "product.template.detailed_type res.partner.mobile res.users.groups_id", "sale.order.locked product.template.is_storable"},
		{17, "", "sale.order.locked product.template.detailed_type", "product.template.is_storable"},
		{18, "", "product.template.is_storable res.partner.title", "product.template.detailed_type sale.order.line.product_uom_id"},
		{19, "", "sale.order.line.product_uom_id sale.order.line.tax_ids res.users.group_ids res.partner.customer_rank", "res.partner.mobile res.partner.title sale.order.line.product_uom"},
		{19, "stock account purchase", "product.template.name", "product.template.qty_available product.template.is_storable res.partner.customer_rank sale.order.line.tax_ids account.tax.name"},
		{14, "stock account purchase", "product.template.name", "product.template.qty_available sale.order.line.tax_id"},
	}
	for _, c := range cases {
		s := New(Config{Version: c.version, Without: strings.Fields(c.without), Samples: true})
		has := func(key string) bool {
			name, column := cutLast(key)
			m := s.db.models[name]
			return m != nil && m.fields[column] != nil
		}
		for key := range strings.FieldsSeq(c.have) {
			if !has(key) {
				t.Errorf("%d without %q: no %s", c.version, c.without, key)
			}
		}
		for key := range strings.FieldsSeq(c.not) {
			if has(key) {
				t.Errorf("%d without %q: has %s", c.version, c.without, key)
			}
		}
		for name, m := range s.db.models {
			if m.order == "" {
				t.Errorf("%d: %s has no order", c.version, name)
			}
		}
		partners := "complete_name, id desc"
		if c.version < 17 {
			partners = "display_name, id desc"
		}
		if order := s.db.models["res.partner"].order; order != partners {
			t.Errorf("%d: partners by %s", c.version, order)
		}
		if n := len(s.IDs("sale.order")); n != 150 {
			t.Errorf("%d: %d sales", c.version, n)
		}
	}
}
