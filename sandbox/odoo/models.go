package odootest

import (
	"fmt"
	"slices"
	"strings"
)

// computed are the fields that no one writes, by model.field.
var computed = map[string]func(*env, *record) any{
	"product.template.product_variant_id": func(e *env, r *record) any {
		if ids := e.children("product.product", "product_tmpl_id", r.id); len(ids) > 0 && r.values["active"] == true {
			return ids[0]
		}
		return nil
	},
	"product.template.product_variant_count": func(e *env, r *record) any {
		return b2i(e.value(r, "product_variant_id") != nil)
	},
	"product.template.qty_available":     ofVariant("qty_available"),
	"product.template.virtual_available": ofVariant("virtual_available"),
	"product.template.incoming_qty":      ofVariant("incoming_qty"),
	"product.template.outgoing_qty":      ofVariant("outgoing_qty"),
	"product.template.currency_id":       companyCurrency,
	"product.template.cost_currency_id":  companyCurrency,
	"product.template.sales_count": func(e *env, r *record) any {
		sold := 0.0
		for _, id := range e.children("product.product", "product_tmpl_id", r.id) {
			sold += e.sold(id, "product_uom_qty")
		}
		return sold
	},
	"product.product.outgoing_qty": func(e *env, r *record) any { return e.sold(r.id, "product_uom_qty") - e.sold(r.id, "qty_delivered") },
	"product.product.incoming_qty": func(*env, *record) any { return 0.0 },
	"product.product.free_qty":     func(e *env, r *record) any { return e.number(r, "qty_available") },
	"product.product.virtual_available": func(e *env, r *record) any {
		return e.number(r, "qty_available") - e.number(r, "outgoing_qty")
	},
	"product.category.complete_name": func(e *env, r *record) any {
		name := e.text(r, "name")
		for range maxDepth {
			if r = e.follow(r, "parent_id"); r == nil {
				break
			}
			name = e.text(r, "name") + " / " + name
		}
		return name
	},
	"product.category.product_count": func(e *env, r *record) any {
		n := 0
		for _, product := range e.tables["product.template"].rows {
			n += b2i(product.values["categ_id"] == r.id)
		}
		return n
	},
	"res.partner.complete_name": (*env).displayName,
	"res.partner.display_name":  (*env).displayName,
	"res.partner.company_type": func(_ *env, r *record) any {
		if r.values["is_company"] == true {
			return "company"
		}
		return "person"
	},
	"res.partner.commercial_partner_id": func(e *env, r *record) any {
		for range maxDepth {
			parent := e.follow(r, "parent_id")
			if parent == nil || r.values["is_company"] == true {
				break
			}
			r = parent
		}
		return r.id
	},
	"res.partner.sale_order_count":     func(e *env, r *record) any { return len(e.children("sale.order", "partner_id", r.id)) },
	"res.partner.purchase_order_count": func(*env, *record) any { return 0 },
	"res.partner.partner_share": func(e *env, r *record) any { // neither an internal user's nor OdooBot's
		return !slices.ContainsFunc(e.children("res.users", "partner_id", r.id), func(id int) bool {
			user := e.row("res.users", id)
			return user.values["active"] == true || e.text(user, "login") == "__system__"
		})
	},
	"ir.model.count": func(e *env, r *record) any {
		if t := e.tables[e.text(r, "model")]; t != nil {
			return len(t.rows)
		}
		return 0
	},
	"res.groups.full_name":      (*env).displayName,
	"res.users.share":           func(*env, *record) any { return false },
	"res.users.all_group_ids":   func(_ *env, r *record) any { return r.values["group_ids"] },
	"sale.order.amount_untaxed": func(e *env, r *record) any { return e.total(r, "price_subtotal") },
	"sale.order.amount_tax":     func(e *env, r *record) any { return e.total(r, "price_tax") },
	"sale.order.amount_total":   func(e *env, r *record) any { return e.total(r, "price_total") },
	"sale.order.invoice_status": func(e *env, r *record) any {
		if state := r.values["state"]; state != "sale" && state != "done" || len(e.children("sale.order.line", "order_id", r.id)) == 0 {
			return "no"
		}
		return "to invoice"
	},
	"sale.order.delivery_status": func(e *env, r *record) any {
		if r.values["state"] != "sale" {
			return nil
		}
		ordered, delivered := e.total(r, "product_uom_qty"), e.total(r, "qty_delivered")
		switch {
		case delivered == 0:
			return "pending"
		case delivered < ordered:
			return "partial"
		}
		return "full"
	},
	"sale.order.line.price_subtotal": func(e *env, r *record) any {
		return round(e.number(r, "product_uom_qty") * e.number(r, "price_unit") * (1 - e.number(r, "discount")/100))
	},
	"sale.order.line.price_tax": func(e *env, r *record) any {
		rate := 0.0
		taxes, _ := r.values[e.taxField()].([]int)
		for _, id := range taxes {
			if tax := e.row("account.tax", id); tax != nil {
				rate += e.number(tax, "amount")
			}
		}
		return round(e.number(r, "price_subtotal") * rate / 100)
	},
	"sale.order.line.price_total": func(e *env, r *record) any {
		return round(e.number(r, "price_subtotal") + e.number(r, "price_tax"))
	},
	"sale.order.line.qty_to_invoice": func(e *env, r *record) any {
		if order := e.follow(r, "order_id"); order == nil || order.values["state"] != "sale" {
			return 0.0
		}
		return e.number(r, "product_uom_qty") - e.number(r, "qty_invoiced")
	},
}

// ofVariant sums a quantity over the variants that are not archived.
func ofVariant(name string) func(*env, *record) any {
	return func(e *env, r *record) any {
		if id, ok := e.value(r, "product_variant_id").(int); ok {
			return e.number(e.row("product.product", id), name)
		}
		return 0.0
	}
}

func companyCurrency(e *env, _ *record) any {
	return e.value(e.row("res.company", e.companies[0]), "currency_id")
}

func (e *env) taxField() string {
	if e.version >= 19 {
		return "tax_ids"
	}
	return "tax_id"
}

// sold sums a quantity over a product's lines in confirmed sales.
func (e *env) sold(product int, quantity string) float64 {
	sum := 0.0
	for _, id := range e.tables["sale.order.line"].refs["product_id"][product] {
		line := e.row("sale.order.line", id)
		if order := e.follow(line, "order_id"); order != nil && (order.values["state"] == "sale" || order.values["state"] == "done") {
			sum += e.number(line, quantity)
		}
	}
	return sum
}

func (e *env) total(order *record, name string) float64 {
	sum := 0.0
	for _, id := range e.children("sale.order.line", "order_id", order.id) {
		sum += e.number(e.row("sale.order.line", id), name)
	}
	return round(sum)
}

func (e *env) displayName(r *record) any {
	name := e.text(r, "name")
	switch r.model.name {
	case "product.template", "product.product":
		if code := e.text(r, "default_code"); code != "" {
			return "[" + code + "] " + name
		}
	case "product.category":
		return e.text(r, "complete_name")
	case "res.partner":
		if parent := e.follow(r, "parent_id"); parent != nil && r.values["is_company"] != true {
			return strings.TrimSuffix(e.text(parent, "name")+", "+name, ", ")
		}
	case "res.country.state":
		if country := e.follow(r, "country_id"); country != nil {
			return name + " (" + e.text(country, "code") + ")"
		}
	case "sale.order.line":
		first, _, _ := strings.Cut(name, "\n")
		if order := e.follow(r, "order_id"); order != nil {
			return e.text(order, "name") + " - " + first
		}
	case "ir.model.data":
		return e.text(r, "module") + "." + name
	}
	return name
}

// prepares fill in, before a client's values, what Odoo computes from them.
var prepares = map[string]func(e *env, r *record, vals map[string]any) error{
	"product.template": func(e *env, r *record, _ map[string]any) error {
		variant := e.insert(e.models["product.product"])
		e.put(variant, "product_tmpl_id", r.id)
		e.put(variant, "standard_price", 0.0)
		e.touch(variant)
		return nil
	},
	"sale.order": func(e *env, r *record, vals map[string]any) error {
		company := e.companies[0]
		if id, ok := vals["company_id"].(int); ok && e.row("res.company", id) != nil {
			company = id
		}
		for name, v := range map[string]any{
			"date_order": e.now.Truncate(1e9), "user_id": e.user.id, "company_id": company,
			"currency_id": e.row("res.company", company).values["currency_id"],
		} {
			e.put(r, name, v)
		}
		for _, name := range []string{"partner_invoice_id", "partner_shipping_id"} {
			if partner, ok := vals["partner_id"].(int); ok && e.row("res.partner", partner) != nil {
				e.put(r, name, partner)
			}
		}
		if partner, ok := vals["partner_id"].(int); ok && e.row("res.partner", partner) != nil {
			for name, id := range e.ofPartner(e.row("res.partner", partner)) {
				if f := r.model.fields[name]; f != nil && (f.depends <= e.version || name == "pricelist_id") { // else only the form's onchange knows
					e.put(r, name, id)
				}
			}
		}
		if !truth(vals["name"]) {
			e.orders++ // as a sequence, with gaps
			vals["name"] = fmt.Sprintf("S%05d", e.orders)
		}
		return nil
	},
	"sale.order.line": func(e *env, r *record, vals map[string]any) error {
		id, _ := vals["product_id"].(int)
		product := e.row("product.product", id)
		if product == nil {
			e.put(r, "product_uom_qty", 0.0)
			return nil
		}
		e.put(r, "product_uom_qty", 1.0)
		e.put(r, "name", e.text(product, "display_name"))
		e.put(r, "price_unit", e.number(product, "lst_price"))
		for _, name := range []string{"product_uom", "product_uom_id"} {
			if r.model.fields[name] != nil {
				e.put(r, name, e.value(product, "uom_id"))
			}
		}
		if r.model.fields[e.taxField()] != nil {
			e.put(r, e.taxField(), e.value(product, "taxes_id"))
		}
		return nil
	},
}

// ofPartner is what a sale has of its customer.
func (e *env) ofPartner(partner *record) map[string]any {
	of := map[string]any{"user_id": e.user.id}
	for name, property := range map[string]string{
		"payment_term_id": "property_payment_term_id", "fiscal_position_id": "property_account_position_id",
		"pricelist_id": "property_product_pricelist", "user_id": "user_id",
	} {
		if id := e.value(partner, property); id != nil {
			of[name] = id
		}
	}
	return of
}

// onchange answers what the form of a sale shows once its partner is chosen, in the form that it has until 16.
func onchange(c *call) (any, error) {
	values, _ := c.args["values"].(map[string]any)
	wanted, _ := c.args["field_onchange"].(map[string]any)
	id, _ := values["partner_id"].(int)
	partner := c.row("res.partner", id)
	if partner == nil {
		return nil, missing("res.partner", id, c.user.id)
	}
	shown := map[string]any{}
	of := c.ofPartner(partner)
	of["partner_invoice_id"], of["partner_shipping_id"] = id, id
	for name, v := range of {
		if f := c.model.fields[name]; f != nil && wanted[name] != nil {
			linked, _ := v.(int)
			shown[name] = []any{linked, c.text(c.row(f.rel, linked), "display_name")}
		}
	}
	return map[string]any{"value": shown}, nil
}

// finishes complete a record from the values it got.
var finishes = map[string]func(e *env, r *record, vals map[string]any){
	"product.template": func(e *env, r *record, vals map[string]any) {
		if e.version < 15 || e.version > 17 { // one of type and detailed_type follows the other between
			return
		}
		from, to := "detailed_type", "type"
		if vals["detailed_type"] == nil && vals["type"] != nil {
			from, to = to, from
		}
		e.put(r, to, r.values[from])
	},
}

func (e *env) locked(order *record) bool {
	return order.values["locked"] == true || order.values["state"] == "done"
}

// actionsOf are the buttons of a version's models.
func actionsOf(version int) map[string]map[string]method {
	order := map[string]method{
		"action_confirm": {run: confirm},
		"action_cancel":  {run: cancel},
		"action_draft":   {run: func(c *call) (any, error) { return c.setState("draft", "cancel", "sent") }},
		"action_unlock":  {run: func(c *call) (any, error) { return nil, c.lock(false) }},
	}
	if version >= 17 {
		order["action_lock"] = method{run: func(c *call) (any, error) { return nil, c.lock(true) }}
	} else {
		order["action_done"] = method{run: func(c *call) (any, error) { return true, c.lock(true) }}
	}
	if version <= 16 {
		order["onchange"] = method{params: "values field_name field_onchange", op: "read", run: onchange}
	}
	hasGroup := method{params: "group_ext_id", op: "read", run: (*call).hasGroup}
	hasGroup.static = version < 18
	return map[string]map[string]method{
		"sale.order": order,
		"res.users":  {"has_group": hasGroup, "context_get": {static: true, op: "read", run: (*call).contextGet}},
	}
}

func confirm(c *call) (any, error) {
	records, err := c.browse(c.model, c.ids)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		state := r.values["state"]
		ready := state == "draft" || state == "sent"
		switch {
		case c.version >= 18 && !ready:
			return nil, userError("Some orders are not in a state requiring confirmation.", "Algunos pedidos no se encuentran en un estado que necesite confirmación.")
		case c.version == 17 && !ready:
			return nil, userError("The following orders are not in a state requiring confirmation: "+c.text(r, "name"),
				"Los siguientes pedidos no están en un estado que requiera confirmación: "+c.text(r, "name"))
		case state == "cancel" || state == "done":
			return nil, userError("It is not allowed to confirm an order in the following states: cancel, done", "No está permitido confirmar un pedido en los siguientes estados: cancel, done")
		}
		c.put(r, "state", "sale")
		c.put(r, "date_order", c.now.Truncate(1e9))
		c.touch(r)
	}
	return true, nil
}

// cancel answers with a wizard where Odoo 15 to 18 would ask whether to tell the customer.
func cancel(c *call) (any, error) {
	records, err := c.browse(c.model, c.ids)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if c.version >= 17 && c.locked(r) {
			return nil, userError("You cannot cancel a locked order. Please unlock it first.", "No puede cancelar un pedido bloqueado. Por favor, desbloquéelo primero.")
		}
	}
	for _, r := range records {
		if c.version >= 15 && c.version <= 18 && r.values["state"] != "draft" && !truth(c.context["disable_cancel_warning"]) {
			return map[string]any{
				"name": "Cancel Sales Order", "view_mode": "form", "res_model": "sale.order.cancel", "view_id": false,
				"type": "ir.actions.act_window", "context": map[string]any{"default_order_id": r.id}, "target": "new",
			}, nil
		}
	}
	return c.setState("cancel")
}

// setState moves the orders that are in one of the states from, or all.
func (c *call) setState(to string, from ...string) (any, error) {
	records, err := c.browse(c.model, c.ids)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if len(from) == 0 || slices.Contains(from, c.text(r, "state")) {
			c.put(r, "state", to)
			c.touch(r)
		}
	}
	return true, nil
}

func (c *call) lock(on bool) error {
	records, err := c.browse(c.model, c.ids)
	if err != nil {
		return err
	}
	for _, r := range records {
		switch {
		case c.version >= 17:
			c.put(r, "locked", on)
		case on:
			c.put(r, "state", "done")
		default:
			c.put(r, "state", "sale")
		}
		c.touch(r)
	}
	return nil
}

// hasGroup asks for the user called; before 18 for the user who calls.
func (c *call) hasGroup() (any, error) {
	id := c.user.id
	if c.version >= 18 {
		if len(c.ids) != 1 {
			return nil, valueError("Expected singleton: res.users(%s)", strings.Trim(repr(list(c.ids)), "[]"))
		}
		id = c.ids[0]
	}
	user := c.row("res.users", id)
	if user == nil {
		return nil, missing("res.users", id, c.user.id)
	}
	name, _ := c.args["group_ext_id"].(string)
	return slices.Contains(c.groupsOf(user), c.groups[name]), nil
}

func (c *call) groupsOf(user *record) []int {
	name := "groups_id"
	if c.version >= 19 {
		name = "group_ids"
	}
	ids, _ := user.values[name].([]int)
	return ids
}

func (c *call) contextGet() (any, error) {
	if c.version < 15 {
		return nil, typeError("cannot marshal <class 'odoo.tools.misc.frozendict'> objects")
	}
	user := c.row("res.users", c.user.id)
	about := map[string]any{"lang": c.text(user, "lang"), "tz": c.text(user, "tz")}
	if c.version >= 17 {
		about["uid"] = c.user.id
	}
	return about, nil
}
