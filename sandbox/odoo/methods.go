package odootest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// method is what a client may call.
type method struct {
	params       string // by name, in order; those with = may be left out
	static       bool   // @api.model: without ids
	op           string // the right it needs; write if empty
	ownRights    bool   // looks at the caller's rights itself
	since, until int
	run          func(*call) (any, error)
}

// call is one call of a method under way.
type call struct {
	*env
	model   *model
	ids     []int
	args    map[string]any
	context map[string]any
}

// methods are those that every model has (odoo/orm/models.py, addons/web/models/models.py).
var methods = map[string]method{
	"fields_get":           {params: "allfields= attributes=", static: true, op: "read", run: (*call).fieldsGet},
	"search":               {params: "domain offset= limit= order=", static: true, op: "read", run: (*call).searchIDs},
	"search_count":         {params: "domain limit=", static: true, op: "read", run: (*call).searchCount},
	"search_read":          {params: "domain= fields= offset= limit= order= load=", static: true, op: "read", run: (*call).searchRead},
	"read":                 {params: "fields= load=", op: "read", run: (*call).read},
	"web_read":             {params: "specification", op: "read", since: 17, run: (*call).webRead},
	"name_search":          {params: "name= domain= operator= limit=", static: true, op: "read", run: (*call).nameSearch},
	"check_access_rights":  {params: "operation raise_exception=", static: true, op: "read", run: (*call).checkAccessRights},
	"has_access":           {params: "operation", op: "read", since: 18, run: (*call).hasAccess},
	"read_group":           {params: "domain fields groupby offset= limit= orderby= lazy=", static: true, op: "read", run: (*call).readGroup},
	"formatted_read_group": {params: "domain groupby= aggregates= having= offset= limit= order=", static: true, op: "read", since: 19, run: (*call).formattedReadGroup},
	"create":               {params: "vals_list", static: true, op: "create", run: (*call).create},
	"load":                 {params: "fields data", static: true, op: "create", ownRights: true, run: (*call).load},
	"write":                {params: "vals", run: (*call).write},
	"unlink":               {op: "unlink", run: (*call).unlinkAll},
	"action_archive":       {run: func(c *call) (any, error) { return c.archive(false) }},
	"action_unarchive":     {run: func(c *call) (any, error) { return c.archive(true) }},
	"exists":               {op: "read", run: (*call).exists},
}

// find returns a method of a model, or the fault of calling it.
func (e *env) find(m *model, name string) (method, *fault) {
	if strings.HasPrefix(name, "_") {
		return method{}, accessError("Private methods (such as '"+m.name+"."+name+"') cannot be called remotely.", "")
	}
	if a, ok := m.actions[name]; ok {
		return a, nil
	}
	if name == "web_search_read" { // its second argument changed
		if e.version >= 17 {
			return method{params: "domain specification offset= limit= order= count_limit=", static: true, op: "read", run: (*call).webSearchRead}, nil
		}
		return method{params: "domain= fields= offset= limit= order= count_limit=", static: true, op: "read", run: (*call).webSearchRead}, nil
	}
	found, ok := methods[name]
	archives := name != "action_archive" && name != "action_unarchive" || m.fields["active"] != nil
	if !ok || found.since > e.version || found.until != 0 && found.until < e.version || !archives {
		if e.version >= 19 {
			return method{}, raise("AttributeError", "The method '"+m.name+"."+name+"' does not exist")
		}
		return method{}, raise("AttributeError", "type object '"+m.name+"' has no attribute '"+name+"'")
	}
	if name == "name_search" && e.version < 19 {
		found.params = "name= args= operator= limit="
	}
	return found, nil
}

// bind names positional arguments and refuses those that are unknown or missing, in
// the words of a call of label or, without one, of Python's inspect.
func bind(label, params string, positional []any, named map[string]any) (map[string]any, error) {
	all := strings.Fields(params)
	args := maps.Clone(named)
	if args == nil {
		args = map[string]any{}
	}
	if len(positional) > len(all) {
		return nil, typeError("%s takes %d positional arguments but %d were given", label, len(all)+1, len(positional)+1)
	}
	for i, v := range positional {
		key := strings.TrimSuffix(all[i], "=")
		if _, twice := args[key]; twice {
			return nil, typeError("%s got multiple values for argument %s", label, repr(key))
		}
		args[key] = v
	}
	for _, p := range all {
		switch _, ok := args[p]; {
		case ok || strings.HasSuffix(p, "="):
		case label == "":
			return nil, typeError("missing a required argument: %s", repr(p))
		default:
			return nil, typeError("%s missing 1 required positional argument: %s", label, repr(p))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(args)) {
		if !slices.Contains(all, key) && !slices.Contains(all, key+"=") {
			return nil, typeError("%s", strings.TrimSpace(label+" got an unexpected keyword argument "+repr(key)))
		}
	}
	return args, nil
}

func (c *call) fieldsGet() (any, error) {
	wanted, err := names(c.args["allfields"])
	if err != nil {
		return nil, err
	}
	attributes, err := names(c.args["attributes"])
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for _, f := range c.model.fields {
		if wanted != nil && !slices.Contains(wanted, f.name) {
			continue
		}
		about := map[string]any{
			"name": f.name, "type": f.kind, "string": f.string(c.lang), "required": f.required, "readonly": f.readonly, "store": f.stored,
			"searchable": !f.unsearchable, "sortable": f.sortable, "groupable": f.stored && f.kind != "binary" && f.kind != "one2many",
			"company_dependent": false, "change_default": false, "manual": false, "depends": []any{}, "exportable": true,
		}
		if f.depends != 0 && f.depends <= c.version {
			about["depends"] = []any{"partner_id", "company_id"}
		}
		if f.rel != "" {
			about["relation"], about["domain"], about["context"] = f.rel, []any{}, map[string]any{}
		}
		if f.inverse != "" {
			about["relation_field"] = f.inverse
		}
		if f.kind == "char" || f.kind == "text" || f.kind == "html" {
			about["translate"] = f.translate
		}
		if f.link != "" {
			about["related"] = f.link + "." + f.target
		}
		if f.kind == "selection" {
			pairs := []any{}
			for _, choice := range c.choices(c.model, f) {
				label := choice.label
				if strings.HasPrefix(c.lang, "es") {
					label = cmp.Or(choice.es, label)
				}
				pairs = append(pairs, []any{choice.value, label})
			}
			about["selection"] = pairs
		}
		if attributes != nil {
			maps.DeleteFunc(about, func(key string, _ any) bool { return !slices.Contains(attributes, key) })
		}
		out[f.name] = about
	}
	return out, nil
}

// names reads a list of names; nil where none is given.
func names(v any) ([]string, error) {
	items, ok := v.([]any)
	if !ok {
		if truth(v) {
			return nil, typeError("expected a list of names, not %s", repr(v))
		}
		return nil, nil
	}
	if len(items) == 0 {
		return nil, nil
	}
	out := make([]string, len(items))
	for i, item := range items {
		if out[i], ok = item.(string); !ok {
			return nil, typeError("expected a list of names, not %s", repr(v))
		}
	}
	return out, nil
}

// page returns one page, and how many there are in all.
func (c *call) page() ([]*record, int, error) {
	order, _ := c.args["order"].(string)
	found, err := c.search(c.model, c.args["domain"], order)
	if err != nil {
		return nil, 0, err
	}
	page, err := window(found, c.args["offset"], c.args["limit"])
	return page, len(found), err
}

// window cuts by offset and limit; a limit of 0 or False is none.
func window[T any](all []T, offset, limit any) ([]T, error) {
	from, n := toInt(offset), toInt(limit)
	if n < 0 {
		return nil, raise("psycopg2.errors.InvalidRowCountInLimitClause", "LIMIT must not be negative\n")
	}
	if from < 0 {
		return nil, raise("psycopg2.errors.InvalidRowCountInResultOffsetClause", "OFFSET must not be negative\n")
	}
	all = all[min(from, len(all)):]
	if n > 0 {
		all = all[:min(n, len(all))]
	}
	return all, nil
}

func idsOf(records []*record) []any {
	ids := make([]any, len(records))
	for i, r := range records {
		ids[i] = r.id
	}
	return ids
}

func (c *call) searchIDs() (any, error) {
	page, _, err := c.page()
	return idsOf(page), err
}

func (c *call) searchCount() (any, error) {
	page, _, err := c.page()
	return len(page), err
}

// columns returns the fields asked for, all of them if none are named.
func (c *call) columns(v any) ([]*field, error) {
	wanted, err := names(v)
	if err != nil {
		return nil, err
	}
	if wanted == nil {
		wanted = c.model.names
	}
	fields := make([]*field, 0, len(wanted)+1)
	for _, name := range wanted {
		f := c.model.fields[name]
		if f == nil {
			return nil, valueError("Invalid field %s on %s", repr(name), repr(c.model.name))
		}
		fields = append(fields, f)
	}
	return append(fields, c.model.fields["id"]), nil
}

func (c *call) rows(records []*record) ([]any, error) {
	fields, err := c.columns(c.args["fields"])
	if err != nil {
		return nil, err
	}
	load, given := c.args["load"]
	plain := given && load != "_classic_read"
	out := make([]any, len(records))
	for i, r := range records {
		row := make(map[string]any, len(fields))
		for _, f := range fields {
			row[f.name] = c.shown(r, f, plain)
		}
		out[i] = row
	}
	return out, nil
}

func (c *call) searchRead() (any, error) {
	page, _, err := c.page()
	if err != nil {
		return nil, err
	}
	return c.rows(page)
}

// existing are the records called upon, without those that are gone.
func (c *call) existing() ([]*record, error) {
	ids := slices.DeleteFunc(slices.Clone(c.ids), func(id int) bool { return c.row(c.model.name, id) == nil })
	return c.browse(c.model, ids)
}

// read leaves out records that are gone, and faults on those of other companies.
func (c *call) read() (any, error) {
	records, err := c.existing()
	if err != nil {
		return nil, err
	}
	return c.rows(records)
}

func (c *call) exists() (any, error) {
	records, err := c.existing()
	return idsOf(records), err
}

// webSearchRead answers a page with the count of all. As in Odoo the count is
// only made when the page is full, and an offset past the end makes it 0.
func (c *call) webSearchRead() (any, error) {
	page, total, err := c.page()
	if err != nil {
		return nil, err
	}
	var rows []any
	if c.version >= 17 {
		rows, err = c.specified(c.model, page, c.args["specification"], 0)
	} else {
		rows, err = c.rows(page)
	}
	if err != nil {
		return nil, err
	}
	limit, most := toInt(c.args["limit"]), toInt(c.args["count_limit"])
	length := len(page) + toInt(c.args["offset"])
	switch {
	case len(page) == 0:
		length = 0
	case limit > 0 && len(page) == limit && (most == 0 || most > length):
		length = total
		if most > 0 {
			length = min(total, most)
		}
	}
	return map[string]any{"length": length, "records": rows}, nil
}

func (c *call) webRead() (any, error) {
	records, err := c.existing()
	if err != nil {
		return nil, err
	}
	return c.specified(c.model, records, c.args["specification"], 0)
}

// specified reads by a specification: {field: {}}, or {field: {"fields": …}}
// for what a relational field links to.
func (c *call) specified(m *model, records []*record, spec any, depth int) ([]any, error) {
	wanted, ok := spec.(map[string]any)
	if !ok || depth > maxDepth {
		return nil, noAttribute(spec, "keys")
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if m.fields[name] == nil {
			return nil, valueError("Invalid field %s on %s", repr(name), repr(m.name))
		}
	}
	out := make([]any, len(records))
	for i, r := range records {
		row := map[string]any{"id": r.id}
		for name, about := range wanted {
			f := m.fields[name]
			row[name] = c.shown(r, f, true)
			more, _ := about.(map[string]any)
			inner, ok := more["fields"]
			if !ok || f.rel == "" || row[name] == false {
				continue
			}
			var linked []*record
			for _, id := range c.linked(r, f) {
				linked = append(linked, c.row(f.rel, id))
			}
			rest := linked
			if n := toInt(more["limit"]); n > 0 && n < len(linked) { // beyond the limit only ids
				linked = linked[:n]
			}
			rows, err := c.specified(c.models[f.rel], linked, inner, depth+1)
			if err != nil {
				return nil, err
			}
			for _, r := range rest[len(linked):] {
				rows = append(rows, map[string]any{"id": r.id})
			}
			row[name] = rows
			if f.kind == "many2one" {
				row[name] = rows[0]
			}
		}
		out[i] = row
	}
	return out, nil
}

func (c *call) nameSearch() (any, error) {
	text, _ := c.args["name"].(string)
	op, _ := c.args["operator"].(string)
	domain := c.args["domain"]
	if c.version < 19 {
		domain = c.args["args"]
	}
	found, err := c.search(c.model, domain, "")
	if err != nil {
		return nil, err
	}
	match, err := c.parse(c.model, []any{[]any{"display_name", cmp.Or(op, "ilike"), text}}, map[string]bool{})
	if err != nil {
		return nil, err
	}
	limit := any(100)
	if given, ok := c.args["limit"]; ok {
		limit = given
	}
	found, err = window(slices.DeleteFunc(found, func(r *record) bool { return text != "" && !match(r) }), 0, limit)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(found))
	for i, r := range found {
		out[i] = []any{r.id, c.text(r, "display_name")}
	}
	return out, nil
}

func (c *call) checkAccessRights() (any, error) {
	op, _ := c.args["operation"].(string)
	may := c.user.Role.may(op, c.model.name)
	raises, given := c.args["raise_exception"]
	if !may && (!given || truth(raises)) {
		return nil, notAllowed(op, c.model)
	}
	return may, nil
}

func (c *call) hasAccess() (any, error) {
	op, _ := c.args["operation"].(string)
	return c.user.Role.may(op, c.model.name), nil
}

// create answers an id for a dict, ids for a list.
func (c *call) create() (any, error) {
	vals, single := c.args["vals_list"].(map[string]any)
	items, many := c.args["vals_list"].([]any)
	if single {
		items = []any{vals}
	} else if !many {
		return nil, noAttribute(c.args["vals_list"], "get")
	}
	ids := []any{}
	for _, item := range items {
		vals, ok := item.(map[string]any)
		if !ok {
			return nil, noAttribute(item, "get")
		}
		r, err := c.env.create(c.model, c.withDefaults(c.model, vals))
		if err != nil {
			return nil, err
		}
		ids = append(ids, r.id)
	}
	if single {
		return ids[0], nil
	}
	return ids, nil
}

func (c *call) write() (any, error) {
	vals, ok := c.args["vals"].(map[string]any)
	if !ok {
		return nil, noAttribute(c.args["vals"], "items")
	}
	return true, c.env.write(c.model, c.ids, vals)
}

func (c *call) unlinkAll() (any, error) { return true, c.unlink(c.model, c.ids) }

// archive answers None, as all of Odoo's do: over XML-RPC a fault after the commit.
func (c *call) archive(active bool) (any, error) {
	return nil, c.env.write(c.model, c.ids, map[string]any{"active": active})
}
