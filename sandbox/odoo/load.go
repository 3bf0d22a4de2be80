package odootest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// withDefaults adds what the context gives as default_<field>.
func (c *call) withDefaults(m *model, vals map[string]any) map[string]any {
	vals = maps.Clone(vals)
	for key, v := range c.context {
		name, ok := strings.CutPrefix(key, "default_")
		if _, given := vals[name]; ok && !given && m.fields[name] != nil {
			if vals == nil {
				vals = map[string]any{}
			}
			vals[name] = v
		}
	}
	return vals
}

// load makes or updates one record from a row of texts. As in Odoo nothing that goes wrong is a fault: it is among the
// messages of the answer, and nothing is done. Columns of a one2many, and several records, are not modelled.
func (c *call) load() (any, error) {
	fields, err := names(c.args["fields"])
	if err != nil {
		return nil, err
	}
	data, _ := c.args["data"].([]any)
	if len(data) != 1 {
		return nil, valueError("the sandbox loads one row, not %d", len(data))
	}
	row, err := names(data[0])
	if err != nil || len(row) != len(fields) {
		return nil, typeError("expected a row of %d texts: %s", len(fields), repr(data[0]))
	}
	id, failed := c.loadRow(fields, row)
	if failed == nil {
		return map[string]any{"ids": []any{id}, "messages": []any{}, "nextrow": 0}, nil
	}
	c.rollback()
	f := asFault(failed)
	text := f.in(c.lang)
	if _, ok := kinds[f.class]; !ok {
		text = "Unknown error during import: <class '" + f.class + "'>: " + text
	}
	message := map[string]any{"rows": map[string]any{"from": 0, "to": 0}, "record": 0, "type": "error", "message": text}
	return map[string]any{"ids": false, "messages": []any{message}, "nextrow": 0}, nil
}

func (c *call) loadRow(fields, row []string) (int, error) {
	vals, external := map[string]any{}, ""
	for i, column := range fields {
		if column == "id" {
			external = row[i]
			continue
		}
		name, _ := strings.CutSuffix(column, "/.id")
		f := c.model.fields[name]
		if f == nil {
			return 0, valueError("Invalid field name %s", repr(name))
		}
		v, err := c.fromText(f, row[i])
		if err != nil {
			return 0, err
		}
		vals[name] = v
	}
	module, name, ok := strings.Cut(external, ".")
	if !ok {
		module, name = "__import__", external
	}
	known := c.external(module, name)
	if known != nil {
		id, _ := known.values["res_id"].(int)
		if c.context["mode"] == "update" && known.values["noupdate"] == true {
			return id, nil
		}
		if !c.user.Role.may("write", c.model.name) {
			return 0, notAllowed("write", c.model)
		}
		return id, c.env.write(c.model, []int{id}, vals)
	}
	if !c.user.Role.may("create", c.model.name) {
		return 0, notAllowed("create", c.model)
	}
	r, err := c.env.create(c.model, c.withDefaults(c.model, vals))
	if err != nil {
		return 0, err
	}
	data := c.insert(c.models["ir.model.data"])
	for field, v := range map[string]any{"module": module, "name": name, "model": c.model.name, "res_id": r.id, "noupdate": truth(c.context["noupdate"])} {
		c.put(data, field, v)
	}
	return r.id, nil
}

// external finds an external identifier whose record exists.
func (c *call) external(module, name string) *record {
	t := c.tables["ir.model.data"]
	for _, id := range slices.Backward(t.ids) {
		r := t.rows[id]
		record, _ := r.values["res_id"].(int)
		if r.values["module"] == module && r.values["name"] == name && c.row(c.model.name, record) != nil {
			return r
		}
	}
	return nil
}

// fromText converts a cell, as ir.fields.converter does.
func (c *call) fromText(f *field, text string) (any, error) {
	if text == "" {
		return false, nil
	}
	switch f.kind {
	case "boolean":
		return text == "1" || strings.EqualFold(text, "true") || strings.EqualFold(text, "yes"), nil
	case "many2one":
		id, err := strconv.Atoi(text)
		to := c.row(f.rel, id)
		if err != nil || to == nil || c.version < 19 && to.values["active"] == false {
			return nil, userError("No matching record found for database id '"+text+"' in field '"+f.label+"'", "")
		}
		return id, nil
	case "datetime":
		return nil, userError("the sandbox does not know whose time "+text+" is", "")
	case "integer":
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, userError("'"+text+"' does not seem to be an integer for field '"+f.label+"'", "")
		}
		return n, nil
	}
	return text, nil
}
