package odootest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var recording = flag.Bool("record", false, "write testdata/real-19.txt anew from ODOO_TEST_URL, a real Odoo 19")

// outcome is a result in substance: values by their types, a fault by its code
// and what it says, a traceback by its last line.
func outcome(v any, err error, ids map[int]string) string {
	if f, ok := errors.AsType[*rpcError](err); ok {
		lines := strings.Split(strings.TrimSpace(f.text), "\n")
		text := strings.Join(lines, "\\n")
		if strings.HasPrefix(text, "Traceback") {
			text = "Traceback … " + lines[len(lines)-1]
		}
		for id, name := range ids {
			text = regexp.MustCompile(fmt.Sprintf(`\b%d\b`, id)).ReplaceAllString(text, "#"+name)
		}
		if f.name != "" {
			text = f.name + " " + text
		}
		return fmt.Sprintf("FAULT %d %s", f.code, regexp.MustCompile(`\w+\.(\w+\(\) (?:missing|got|takes))|PGSQL.\d+`).ReplaceAllString(text, "…$1"))
	}
	if err != nil {
		return "ERROR " + err.Error()
	}
	return "OK " + shape(v)
}

func shape(v any) string {
	switch v := v.(type) {
	case bool, nil:
		return repr(v)
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		switch {
		case regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`).MatchString(v):
			return "time"
		case regexp.MustCompile(`^\d{4}-\d\d-\d\d$`).MatchString(v):
			return "date"
		}
		return "string"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		if len(v) == 2 && shape(v[0]) == "int" && shape(v[1]) == "string" {
			return "[int, string]"
		}
		return "[" + shape(v[0]) + " …]"
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+": "+shape(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprintf("%T", v)
}

// script makes its own records and does to them what the bridge does, over both
// protocols; its lines are the same on a real Odoo and on the sandbox.
func script(t *testing.T, c *client) []string {
	t.Helper()
	var lines []string
	ids := map[int]string{c.uid: "me"}
	x := func(label, model, method string, kw Values, args ...any) any {
		v, err := c.call(model, method, args, kw)
		lines = append(lines, "xmlrpc "+label+": "+outcome(v, err, ids))
		return v
	}
	j := func(label, model, method string, body Values) any {
		v, err := c.json(model, method, body)
		lines = append(lines, "json2 "+label+": "+outcome(v, err, ids))
		return v
	}
	exact := func(label string, v any) { lines = append(lines, "exact "+label+": "+repr(v)) }
	id := func(name string, v any) int {
		n, ok := v.(int)
		if !ok {
			t.Fatalf("%s: %v is no id", name, v)
		}
		ids[n] = name
		return n
	}
	field := func(model string, id int, name string) any {
		v, err := c.call(model, "read", []any{[]int{id}, []any{name}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return v.([]any)[0].(map[string]any)[name]
	}
	tag := fmt.Sprintf("odootest-%d", time.Now().UnixNano())

	v, err := c.raw("common", "version")
	lines = append(lines, "common version: "+outcome(v, err, ids))
	v, err = c.raw("common", "authenticate", c.db, "admin", "nonsense", Values{})
	lines = append(lines, "common authenticate with a wrong password: "+outcome(v, err, ids))
	v, err = c.raw("common", "nonsense")
	lines = append(lines, "common nonsense: "+outcome(v, err, ids))
	v, err = c.raw("common", "authenticate", "nodb", "admin", "admin", Values{})
	lines = append(lines, "common no database: "+outcome(v, err, ids))
	v, err = c.raw("object", "execute_kw", "nodb", c.uid, c.password, "res.partner", "search", []any{[]any{}}, Values{})
	lines = append(lines, "object no database: "+outcome(v, err, ids))
	v, err = c.raw("object", "nonsense", c.db, c.uid, c.password, "res.partner", "search", []any{[]any{}}, Values{})
	lines = append(lines, "object nonsense: "+outcome(v, err, ids))

	for _, model := range slices.Sorted(maps.Keys(bridgeFields)) {
		names := list(strings.Fields(bridgeFields[model]))
		attributes := []any{"type", "required", "readonly", "store", "sortable", "searchable", "relation", "relation_field", "string"}
		about, _ := c.call(model, "fields_get", []any{names, attributes}, nil)
		for _, name := range names {
			f, _ := about.(map[string]any)[name.(string)].(map[string]any)
			if label, ok := f["string"].(string); ok {
				f["string"] = strings.TrimSpace(label)
			}
			exact("field "+model+"."+name.(string), f)
		}
	}

	// Partners.
	awkward := "L'Olivé «Ñandú» 📞 <b>&amp; \"x\"\x01"
	p := id("partner", x("create partner", "res.partner", "create", nil, Values{"name": awkward, "email": tag + "@example.com", "is_company": true, "country_id": false}))
	exact("awkward name", field("res.partner", p, "name"))
	x("read partner", "res.partner", "read", nil, []int{p}, []any{"name", "email", "phone", "country_id", "child_ids", "is_company", "customer_rank", "active", "create_date", "write_uid", "image_128", "comment"})
	x("read plain", "res.partner", "read", Values{"load": ""}, []int{p}, []any{"write_uid", "country_id"})
	x("read nothing named", "res.users", "read", nil, []int{c.uid}, []any{"login", "company_id", "company_ids"})
	x("read missing", "res.partner", "read", nil, []int{99999999}, []any{"name"})
	x("read unknown field", "res.partner", "read", nil, []int{p}, []any{"nofield"})
	x("write", "res.partner", "write", nil, []int{p}, Values{"city": "Bilbao"})
	x("write one id", "res.partner", "write", nil, p, Values{"city": "Bilbao"})
	x("write missing", "res.partner", "write", nil, []int{99999999}, Values{"city": "x"})
	x("write a missing link", "res.partner", "write", nil, []int{p}, Values{"country_id": 99999999})
	x("write itself as parent", "res.partner", "write", nil, []int{p}, Values{"parent_id": p})
	x("write too little", "res.partner", "write", nil, []int{p})
	x("write number for text", "res.partner", "write", nil, []int{p}, Values{"city": 12})
	exact("number for text", field("res.partner", p, "city"))
	x("write empty", "res.partner", "write", nil, []int{p}, Values{"city": ""})
	exact("empty text", field("res.partner", p, "city"))
	x("create two", "res.partner", "create", nil, []any{Values{"name": tag + " a", "parent_id": p}, Values{"name": tag + " b", "type": "delivery"}})
	x("create nameless", "res.partner", "create", nil, Values{})
	x("create text", "res.partner", "create", nil, "x")
	x("create unknown field", "res.partner", "create", nil, Values{"name": tag, "nofield": 1})
	x("create wrong selection", "res.partner", "create", nil, Values{"name": tag, "type": "nonsense"})
	x("name_search", "res.partner", "name_search", Values{"limit": 1}, awkward[:len("L'Olivé")])
	x("archive", "res.partner", "action_archive", nil, []int{p})
	exact("archived", field("res.partner", p, "active"))
	x("archive again", "res.partner", "action_archive", nil, []int{p})
	x("search archived", "res.partner", "search", nil, []any{[]any{"id", "=", p}})
	x("search archived, active_test off", "res.partner", "search", Values{"context": Values{"active_test": false}}, []any{[]any{"id", "=", p}})
	x("search archived by active", "res.partner", "search", nil, []any{[]any{"id", "=", p}, []any{"active", "=", false}})
	x("unarchive", "res.partner", "action_unarchive", nil, []int{p})
	x("check_access_rights", "res.partner", "check_access_rights", Values{"raise_exception": false}, "write")
	x("has_group", "res.users", "has_group", nil, []int{c.uid}, "base.group_system")
	x("has_group not", "res.users", "has_group", nil, []int{c.uid}, "base.group_portal")
	x("context_get", "res.users", "context_get", nil)

	// Domains.
	x("bad field in domain", "res.partner", "search", nil, []any{[]any{"nofield", "=", 1}})
	x("bad operator", "res.partner", "search", nil, []any{[]any{"name", "=~", "x"}})
	x("bad item", "res.partner", "search", nil, []any{"name"})
	x("half an and", "res.partner", "search", nil, []any{"&", []any{"name", "=", "x"}})
	x("bad order", "res.partner", "search", Values{"order": "nofield"}, []any{})
	x("injected order", "res.partner", "search", Values{"order": "name; drop"}, []any{})
	x("unstored order", "product.template", "search", Values{"order": "qty_available desc"}, []any{})
	x("negative limit", "res.partner", "search", Values{"limit": -1}, []any{})
	x("negative offset", "res.partner", "search", Values{"offset": -1}, []any{})
	x("bad keyword", "res.partner", "search", Values{"nokeyword": 1}, []any{})
	x("language", "res.partner", "search", Values{"limit": 1, "context": Values{"lang": "xx_XX"}}, []any{})
	x("company", "res.partner", "search", Values{"limit": 1, "context": Values{"allowed_company_ids": []int{99}}}, []any{})
	for i, d := range [][]any{
		{[]any{"name", "ilike", "ñandú"}}, {[]any{"name", "like", "ñandú"}}, {[]any{"name", "=ilike", "l'OLIVÉ%"}}, {[]any{"name", "not ilike", "olivé"}},
		{[]any{"city", "=", false}}, {[]any{"city", "!=", "x"}}, {[]any{"city", "not in", []any{"x"}}}, {[]any{"city", "in", []any{"x", false}}}, {[]any{"email", "ilike", "odootest_"}},
		{[]any{"country_id", "=", false}}, {[]any{"country_id.code", "=", "ES"}}, {[]any{"country_id", "not in", []any{1}}}, {[]any{"country_id", "!=", 1}}, {[]any{"child_ids", "!=", false}},
		{[]any{"child_ids.name", "ilike", tag}}, {[]any{"id", "child_of", p}, []any{"name", "ilike", "olivé"}}, {[]any{"customer_rank", ">", 0}}, {[]any{"customer_rank", "=", false}},
		{"|", []any{"name", "=", "x"}, []any{"is_company", "=", true}}, {"!", []any{"is_company", "=", true}}, {[]any{"is_company", "!=", false}}, {[]any{"is_company", "in", []any{true}}},
		{[]any{"create_date", ">=", "2000-01-01"}}, {[]any{"create_date", "<", "2000-01-01 00:00:00"}}, {[]any{"commercial_partner_id", "child_of", []any{p}}}, {[]any{"parent_id", "ilike", "olivé"}}, {[]any{"name", "=?", false}},
		{[]any{"create_date", "=", field("res.partner", p, "create_date")}}, {[]any{"create_date", ">", field("res.partner", p, "create_date")}}, {[]any{"write_date", "<=", field("res.partner", p, "write_date")}},
	} {
		d = append([]any{[]any{"id", "=", p}}, d...)
		if i == 15 {
			d = d[1:]
		}
		n, err := c.call("res.partner", "search_count", []any{d}, nil)
		if err != nil {
			n = outcome(nil, err, ids)
		}
		asked := strings.ReplaceAll(repr(d[1:]), tag, "tag")
		asked = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(asked, "time") // before the id, which a second may equal
		exact("domain "+strings.ReplaceAll(asked, fmt.Sprint(p), "#partner"), n)
	}

	// Products.
	kinds := []any{Values{"name": tag + " A", "barcode": tag, "list_price": 12.345, "standard_price": 3.3, "type": "consu", "is_storable": true, "default_code": "A"}}
	created := x("create product", "product.template", "create", nil, kinds).([]any)
	a := id("A", created[0])
	variant := id("A variant", field("product.template", a, "product_variant_id").([]any)[0])
	x("read product", "product.template", "read", nil, []int{a}, []any{
		"name", "list_price", "standard_price", "default_code", "barcode", "type", "is_storable", "categ_id", "uom_id", "active", "sale_ok", "company_id", "currency_id", "image_128",
		"product_variant_id", "product_variant_ids", "product_variant_count", "qty_available", "virtual_available", "display_name", "description_sale", "weight",
	})
	for _, name := range []string{"list_price", "standard_price", "type", "qty_available", "active", "uom_id", "product_variant_count"} {
		exact("product "+name, unlinked(field("product.template", a, name)))
	}
	exact("product display_name", strings.ReplaceAll(field("product.template", a, "display_name").(string), tag, "tag"))
	x("duplicate barcode", "product.template", "create", nil, Values{"name": tag + " B", "barcode": tag})
	lines[len(lines)-1] = strings.ReplaceAll(lines[len(lines)-1], tag, "tag")
	x("wrong selection", "product.template", "write", nil, []int{a}, Values{"type": "nonsense"})
	x("write unknown field", "product.template", "write", nil, []int{a}, Values{"nofield": 1})
	x("search unsearchable", "product.template", "search", nil, []any{[]any{"sales_count", ">", 1}})
	x("search by image", "product.template", "search", nil, []any{[]any{"id", "=", a}, []any{"image_1920", "=", false}})
	x("search quantity", "product.template", "search", nil, []any{[]any{"id", "=", a}, []any{"qty_available", "<=", 0}})
	x("search barcode", "product.template", "search", nil, []any{[]any{"barcode", "=", tag}})
	x("wrong number", "product.template", "write", nil, []int{a}, Values{"list_price": "abc"})
	x("wrong image", "product.template", "write", nil, []int{a}, Values{"image_1920": "bm90IGFuIGltYWdl"})
	x("image", "product.template", "write", nil, []int{a}, Values{"image_1920": picture(3, 300)})
	x("image sizes", "product.template", "read", Values{"context": Values{"bin_size": true}}, []int{a}, []any{"image_128", "image_1920"})
	x("unlink used product category", "product.template", "write", nil, []int{a}, Values{"categ_id": false, "name": false})

	// web_search_read and groups.
	mine := []any{[]any{"id", "=", a}}
	x("web_search_read", "product.template", "web_search_read", nil, mine, Values{"name": Values{}, "uom_id": Values{"fields": Values{"display_name": Values{}}}, "currency_id": Values{}, "product_variant_ids": Values{"fields": Values{"barcode": Values{}}}, "company_id": Values{}})
	x("web_search_read past the end", "product.template", "web_search_read", Values{"offset": 1000000, "limit": 5}, []any{}, Values{"name": Values{}})
	x("web_search_read unknown field", "product.template", "web_search_read", nil, mine, Values{"nofield": Values{}})
	x("web_read", "product.template", "web_read", nil, []int{a}, Values{"name": Values{}})

	// Sales.
	o := id("order", x("create order", "sale.order", "create", nil, Values{"partner_id": p, "order_line": []any{[]any{0, 0, Values{"product_id": variant, "product_uom_qty": 3}}, []any{0, 0, Values{"product_id": variant, "product_uom_qty": 2, "price_unit": 9.99, "discount": 10, "tax_ids": []any{[]any{6, 0, []any{}}}}}}}))
	x("read order", "sale.order", "read", nil, []int{o}, []any{"name", "state", "locked", "partner_id", "date_order", "amount_untaxed", "amount_tax", "amount_total", "currency_id", "order_line", "invoice_status", "user_id", "company_id", "note", "commitment_date", "client_order_ref", "delivery_status"})
	exact("order amount_untaxed", field("sale.order", o, "amount_untaxed"))
	for _, name := range []string{"state", "locked", "invoice_status"} {
		exact("order "+name, field("sale.order", o, name))
	}
	orderLines, _ := c.call("sale.order.line", "search_read", []any{[]any{[]any{"order_id", "=", o}}, []any{"price_unit", "price_subtotal", "product_uom_qty", "discount", "qty_delivered", "product_uom_id", "product_template_id", "tax_ids"}}, nil)
	for i, l := range orderLines.([]any) {
		row := l.(map[string]any)
		for _, name := range []string{"price_unit", "price_subtotal", "product_uom_qty", "discount"} {
			exact(fmt.Sprintf("line %d %s", i, name), row[name])
		}
		lines = append(lines, "line: "+shape(row["product_uom_id"])+shape(row["product_template_id"]))
	}
	x("order without customer", "sale.order", "create", nil, Values{})
	x("section with a price", "sale.order", "write", nil, []int{o}, Values{"order_line": []any{[]any{0, 0, Values{"display_type": "line_section", "name": "S", "price_unit": 1}}}})

	// Created once, by an external identifier.
	once := Values{"context": Values{"mode": "update", "noupdate": true}}
	withLines := Values{"context": Values{"mode": "update", "noupdate": true, "default_order_line": []any{
		[]any{0, 0, Values{"product_id": variant, "product_uom_qty": 3}}, []any{0, 0, Values{"display_type": "line_note", "name": "N"}},
	}}}
	for _, label := range []string{"load order", "load order again"} {
		made, _ := x(label, "sale.order", "load", withLines, []any{"id", "partner_id/.id", "client_order_ref"}, []any{[]any{"resonance." + tag, strconv.Itoa(p), label}}).(map[string]any)
		if ids, ok := made["ids"].([]any); ok {
			exact(label, field("sale.order", ids[0].(int), "client_order_ref"))
			x(label+": read", "sale.order", "read", nil, ids, []any{"order_line", "payment_term_id", "fiscal_position_id", "pricelist_id"})
			if label != "load order" {
				x("unlink loaded", "sale.order", "unlink", nil, ids)
			}
		}
	}
	x("load nameless", "res.partner", "load", once, []any{"id", "name", "is_company"}, []any{[]any{"resonance." + tag + "n", "", ""}})
	x("load barcode", "product.product", "load", once, []any{"id", "name", "barcode"}, []any{[]any{"resonance." + tag + "b", tag, tag}})
	x("may create", "res.partner", "check_access_rights", nil, "create", false)
	x("group by state", "sale.order", "formatted_read_group", nil, []any{[]any{"id", "=", o}}, []any{"state", "date_order:month", "partner_id"}, []any{"amount_total:sum", "__count"})
	x("group all", "sale.order", "formatted_read_group", nil, []any{[]any{"id", "=", o}}, []any{}, []any{"amount_total:sum", "__count"})
	x("group none", "sale.order", "formatted_read_group", nil, []any{[]any{"id", "=", 0}}, []any{"state"}, []any{"amount_total:sum", "__count"})
	x("group none at all", "sale.order", "formatted_read_group", nil, []any{[]any{"id", "=", 0}}, []any{}, []any{"amount_total:sum", "__count"})
	x("read_group", "sale.order", "read_group", nil, []any{[]any{"id", "=", o}}, []any{"amount_total"}, []any{"state"})
	x("read_group eager", "sale.order", "read_group", Values{"lazy": false}, []any{[]any{"id", "=", o}}, []any{"amount_total:sum"}, []any{"state", "date_order:month"})
	x("bad groupby", "sale.order", "formatted_read_group", nil, []any{}, []any{"nofield"}, []any{"__count"})
	x("draft cancel", "sale.order", "action_cancel", nil, []int{o})
	x("to draft", "sale.order", "action_draft", nil, []int{o})
	x("confirm", "sale.order", "action_confirm", nil, []int{o})
	exact("confirmed state", field("sale.order", o, "state"))
	exact("confirmed invoice_status", field("sale.order", o, "invoice_status"))
	x("confirm again", "sale.order", "action_confirm", nil, []int{o})
	x("unlink confirmed", "sale.order", "unlink", nil, []int{o})
	x("remove line", "sale.order", "write", nil, []int{o}, Values{"order_line": []any{[]any{2, field("sale.order", o, "order_line").([]any)[0], 0}}})
	x("lock", "sale.order", "action_lock", nil, []int{o})
	exact("locked", field("sale.order", o, "locked"))
	x("change locked", "sale.order", "write", nil, []int{o}, Values{"order_line": []any{[]any{1, field("sale.order", o, "order_line").([]any)[0], Values{"product_uom_qty": 8}}}})
	x("cancel locked", "sale.order", "action_cancel", nil, []int{o})
	x("unlock", "sale.order", "action_unlock", nil, []int{o})
	x("cancel", "sale.order", "action_cancel", nil, []int{o})
	exact("cancelled state", field("sale.order", o, "state"))
	x("confirm cancelled", "sale.order", "action_confirm", nil, []int{o})
	x("confirm missing", "sale.order", "action_confirm", nil, []int{99999999})
	x("no model", "no.model", "read", nil, []int{1})
	x("no method", "res.partner", "no_method", nil, []int{1})
	x("private method", "res.partner", "_compute_display_name", nil, []int{1})

	// JSON-2.
	j("search_read", "res.partner", "search_read", Values{"domain": []any{[]any{"id", "=", p}}, "fields": []any{"name", "country_id", "write_uid", "write_date"}, "limit": 1})
	j("read", "res.partner", "read", Values{"ids": []int{p}, "fields": []any{"name", "write_uid"}})
	j("read missing", "res.partner", "read", Values{"ids": []int{99999999}, "fields": []any{"name"}})
	j("search", "res.partner", "search", Values{"domain": []any{[]any{"id", "=", p}}})
	j("search_count", "res.partner", "search_count", Values{"domain": []any{[]any{"id", "=", p}}})
	j("create dict", "res.partner", "create", Values{"vals_list": Values{"name": tag + " j"}})
	ctl, _ := c.json("res.partner", "create", Values{"vals_list": []any{Values{"name": tag + "\x01\x1f\t<ctl>"}}})
	cid := id("ctl", ctl.([]any)[0])
	exact("control characters over XML-RPC", strings.TrimPrefix(field("res.partner", cid, "name").(string), tag))
	ctl, _ = c.json("res.partner", "read", Values{"ids": []int{cid}, "fields": []any{"name"}})
	exact("control characters over JSON-2", strings.TrimPrefix(ctl.([]any)[0].(map[string]any)["name"].(string), tag))
	j("create list", "res.partner", "create", Values{"vals_list": []any{Values{"name": tag + " j"}, Values{"name": tag + " k"}}})
	j("create nameless", "res.partner", "create", Values{"vals_list": []any{Values{}}})
	j("write", "res.partner", "write", Values{"ids": []int{p}, "vals": Values{"city": "Vigo"}})
	j("write missing", "res.partner", "write", Values{"ids": []int{99999999}, "vals": Values{"city": "Vigo"}})
	j("archive", "res.partner", "action_archive", Values{"ids": []int{p}})
	j("unarchive", "res.partner", "action_unarchive", Values{"ids": []int{p}})
	j("bad field", "res.partner", "search", Values{"domain": []any{[]any{"nofield", "=", 1}}})
	j("bad argument", "res.partner", "search", Values{"domain": []any{}, "nokeyword": 1})
	j("argument missing", "res.partner", "write", Values{"ids": []int{p}})
	j("ids on a model method", "res.partner", "search", Values{"ids": []int{p}, "domain": []any{}})
	j("no model", "no.model", "read", Values{"ids": []int{1}})
	j("no method", "res.partner", "no_method", Values{"ids": []int{1}})
	j("private method", "res.partner", "_compute_display_name", Values{"ids": []int{1}})
	j("web_search_read", "res.partner", "web_search_read", Values{"domain": []any{[]any{"id", "=", p}}, "specification": Values{"name": Values{}, "write_uid": Values{"fields": Values{"display_name": Values{}}}}})
	j("language", "res.partner", "search", Values{"domain": []any{}, "limit": 1, "context": Values{"lang": "xx_XX"}})
	j("company", "res.partner", "search", Values{"domain": []any{}, "limit": 1, "context": Values{"allowed_company_ids": []int{99}}})
	j("required", "sale.order", "create", Values{"vals_list": []any{Values{}}})
	j("confirm cancelled", "sale.order", "action_confirm", Values{"ids": []int{o}})
	j("has_group", "res.users", "has_group", Values{"ids": []int{c.uid}, "group_ext_id": "base.group_system"})
	j("formatted_read_group", "sale.order", "formatted_read_group", Values{"domain": []any{[]any{"id", "=", o}}, "groupby": []any{"state"}, "aggregates": []any{"amount_total:sum", "__count"}})
	wrong := *c
	wrong.key = "nonsense"
	v, err = wrong.json("res.partner", "search", Values{"domain": []any{}})
	lines = append(lines, "json2 wrong key: "+outcome(v, err, ids))
	wrong = *c
	wrong.password = "nonsense"
	v, err = wrong.call("res.partner", "search", []any{[]any{}}, nil)
	lines = append(lines, "xmlrpc wrong password: "+outcome(v, err, ids))
	x("unlink cancelled", "sale.order", "unlink", nil, []int{o})
	u := id("unsold", x("create unsold", "product.template", "create", nil, Values{"name": tag + " U", "taxes_id": []any{}}))
	x("read archived", "product.template", "action_archive", nil, []int{u})
	x("read archived", "product.template", "read", nil, []int{u}, []any{"product_variant_id", "product_variant_ids", "product_variant_count", "qty_available", "active"})
	x("unlink product", "product.template", "unlink", nil, []int{u})
	x("read unlinked", "product.template", "read", nil, []int{u}, []any{"name"})
	for _, domain := range [][]any{{[]any{"name", "like", tag}}, {[]any{"id", "=", p}}} { // leave nothing behind
		if left, err := c.call("res.partner", "search", []any{domain}, nil); err == nil {
			_, _ = c.call("res.partner", "unlink", []any{left}, nil)
		}
	}
	return lines
}

// unlinked keeps only the name of a link, whose id is another in every database.
func unlinked(v any) any {
	if pair, ok := v.([]any); ok && len(pair) == 2 {
		return pair[1]
	}
	return v
}

// bridgeFields are the fields whose description must be that of a real Odoo 19.
var bridgeFields = func() map[string]string {
	m := map[string]string{}
	for name, model := range newSchema(19, map[string]bool{"stock": true, "purchase": true, "account": true}).models {
		if strings.HasPrefix(name, "stock.") { // no more of them than tells that stock has changed
			continue
		}
		m[name] = strings.Join(slices.Sorted(slices.Values(model.names)), " ")
	}
	return m
}()

// TestReplay compares the sandbox with what a real Odoo 19 answered to the same
// script. -record asks the real one (ODOO_TEST_URL, ODOO_TEST_DB, ODOO_TEST_API_KEY).
func TestReplay(t *testing.T) {
	path := filepath.Join("testdata", "real-19.txt")
	if *recording {
		c := &client{url: os.Getenv("ODOO_TEST_URL"), db: os.Getenv("ODOO_TEST_DB"), password: "admin", key: os.Getenv("ODOO_TEST_API_KEY"), uid: 2}
		if err := os.WriteFile(path, []byte(strings.Join(script(t, c), "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(b)), "\n")
	_, c := dial(t, Config{Samples: true})
	got := script(t, c)
	if len(got) != len(want) {
		t.Errorf("%d lines, the real one has %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("\nreal    %s\nsandbox %s", want[i], got[i])
		}
	}
}
