package odootest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	dateLayout   = "2006-01-02"
	secondLayout = "2006-01-02 15:04:05"
)

// record is one row. Its values are nil (no value), bool, int (also a many2one),
// float64, string (also a date), time.Time and []int (a many2many).
type record struct {
	id     int
	model  *model
	values map[string]any
	spoken map[string]map[string]string // by language: translations by field
}

// table is the rows of a model.
type table struct {
	rows map[int]*record
	ids  []int // ascending
	last int
	// refs finds the rows whose many2one holds an id, for the fields looked up that way.
	refs map[string]map[int][]int
}

// database is what one Odoo holds. Server.mu guards it.
type database struct {
	*schema
	tables map[string]*table
	orders int // the last number of the sequence of sales
}

func newDatabase(s *schema) *database {
	db := &database{schema: s, tables: map[string]*table{}}
	for name := range s.models {
		db.tables[name] = &table{rows: map[int]*record{}, refs: map[string]map[int][]int{}}
	}
	for _, m := range s.models {
		for _, f := range m.fields {
			if f.inverse != "" {
				db.tables[f.rel].refs[f.inverse] = map[int][]int{}
			}
		}
	}
	db.tables["sale.order.line"].refs["product_id"] = map[int][]int{}
	return db
}

// env is one transaction of one user, with the context's language and companies.
type env struct {
	*database
	groups     map[string]int
	user       *User
	lang       string
	langAsked  bool  // by the context
	companies  []int // those allowed, the current one first
	activeTest bool
	binSize    bool
	force      bool // deletes what Odoo would not
	now        time.Time
	undo       []func()
}

// rollback takes everything back.
func (e *env) rollback() {
	for _, f := range slices.Backward(e.undo) {
		f()
	}
	e.undo = nil
}

func (e *env) row(model string, id int) *record {
	if t := e.tables[model]; t != nil {
		return t.rows[id]
	}
	return nil
}

// get reads a field, following links, computing and translating.
func (e *env) get(r *record, f *field) any {
	switch {
	case f.name == "id":
		return r.id
	case f.compute != nil:
		return f.compute(e, r)
	case f.link != "":
		via := e.follow(r, f.link)
		if via == nil {
			return zero(f)
		}
		return e.get(via, via.model.fields[f.target])
	case f.kind == "one2many":
		return e.children(f.rel, f.inverse, r.id)
	}
	if s, ok := r.spoken[e.lang][f.name]; ok {
		return s
	}
	return r.values[f.name]
}

// value reads a field by name; nil where this version has none such.
func (e *env) value(r *record, name string) any {
	if f := r.model.fields[name]; f != nil {
		return e.get(r, f)
	}
	return nil
}

func (e *env) text(r *record, name string) string {
	s, _ := e.value(r, name).(string)
	return s
}

func (e *env) number(r *record, name string) float64 {
	n, _ := e.value(r, name).(float64)
	return n
}

// follow returns the record a many2one links to, or nil.
func (e *env) follow(r *record, name string) *record {
	f := r.model.fields[name]
	if f == nil {
		return nil
	}
	id, _ := e.get(r, f).(int)
	if f.name == "product_variant_id" { // which is not shown of an archived product
		id = first(e.children(f.rel, "product_tmpl_id", r.id))
	}
	return e.row(f.rel, id)
}

func first(ids []int) int {
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// children returns the ids of the rows whose many2one holds id, in the model's order.
func (e *env) children(model, inverse string, id int) []int {
	t := e.tables[model]
	if t == nil {
		return nil
	}
	ids := slices.Clone(t.refs[inverse][id])
	slices.SortFunc(ids, func(a, b int) int {
		x, _ := t.rows[a].values["sequence"].(int)
		y, _ := t.rows[b].values["sequence"].(int)
		if x != y {
			return x - y
		}
		return a - b
	})
	return ids
}

// zero is what stands for no value: Odoo's numbers have none.
func zero(f *field) any {
	switch f.kind {
	case "integer":
		return 0
	case "float", "monetary":
		return 0.0
	case "boolean":
		return false
	}
	return nil
}

// put stores a value as it is.
func (e *env) put(r *record, name string, v any) {
	old, had := r.values[name]
	e.undo = append(e.undo, func() {
		if had {
			r.values[name] = old
		} else {
			delete(r.values, name)
		}
	})
	r.values[name] = v
	refs, ok := e.tables[r.model.name].refs[name]
	if !ok {
		return
	}
	was, _ := old.(int)
	is, _ := v.(int)
	e.relink(refs, was, is, r.id)
}

// relink moves an id from the list of one parent to another's; 0 is none.
func (e *env) relink(refs map[int][]int, from, to, id int) {
	if from == to {
		return
	}
	move := func(from, to int) {
		if from != 0 {
			refs[from] = slices.DeleteFunc(slices.Clone(refs[from]), func(other int) bool { return other == id })
		}
		if to != 0 {
			refs[to] = append(slices.Clone(refs[to]), id)
		}
	}
	move(from, to)
	e.undo = append(e.undo, func() { move(to, from) })
}

// set writes a converted value where it belongs: here, behind a link, or as a translation.
func (e *env) set(r *record, f *field, v any) {
	switch {
	case f.link != "":
		if via := e.follow(r, f.link); via != nil {
			e.set(via, via.model.fields[f.target], v)
			e.touch(via)
		}
	case f.compute != nil:
		if f.name == "company_type" {
			e.put(r, "is_company", v == "company")
		}
	case f.translate && e.lang != "en_US" && v != nil:
		text, _ := v.(string)
		if r.values[f.name] == nil { // the first text is that of every language
			e.put(r, f.name, v)
		}
		e.translate(r, f.name, e.lang, text)
	case f.name == "image_1920":
		for name, image := range thumbnails(v) {
			e.put(r, name, image)
		}
	default:
		e.put(r, f.name, v)
	}
}

func (e *env) translate(r *record, name, lang, text string) {
	old := r.spoken
	e.undo = append(e.undo, func() { r.spoken = old })
	fresh := maps.Clone(old)
	if fresh == nil {
		fresh = map[string]map[string]string{}
	}
	words := maps.Clone(fresh[lang])
	if words == nil {
		words = map[string]string{}
	}
	words[name] = text
	fresh[lang] = words
	r.spoken = fresh
}

// touch marks a record as changed now. What a variant inherits is its own as well.
func (e *env) touch(r *record) {
	e.put(r, "write_date", e.now)
	e.put(r, "write_uid", e.user.id)
	if r.model.name == "product.template" {
		for _, id := range e.children("product.product", "product_tmpl_id", r.id) {
			e.put(e.row("product.product", id), "write_date", e.now)
		}
	}
	if state := r.values["state"]; r.model.name == "sale.order" && (state == "sale" || state == "done" || state == "cancel") {
		for _, product := range e.soldBy(r) {
			e.stock("stock.move", product, "origin", e.text(r, "name"))
		}
	}
}

// soldBy gives the products on the lines of an order.
func (e *env) soldBy(order *record) (products []int) {
	for _, id := range e.children("sale.order.line", "order_id", order.id) {
		if product, ok := e.row("sale.order.line", id).values["product_id"].(int); ok {
			products = append(products, product)
		}
	}
	return products
}

// stock leaves the trace that a change of stock has in Odoo: not in the product, but in one record
// of another model.
func (e *env) stock(model string, product int, name string, v any) {
	t := e.tables[model]
	if t == nil {
		return
	}
	var r *record
	for _, id := range e.children(model, "product_id", product) {
		r = e.row(model, id)
	}
	if r == nil {
		r = e.insert(e.models[model])
		e.put(r, "product_id", product)
	}
	e.put(r, name, v)
	e.touch(r)
}

// watch returns a function that touches the order of a line if what the order
// stores of its lines has changed since: a new text of a line does not.
func (e *env) watch(order *record) func() {
	if order == nil {
		return func() {}
	}
	stored := func() string {
		return repr(e.value(order, "amount_untaxed")) + repr(e.value(order, "amount_tax")) + repr(e.value(order, "invoice_status")) + repr(e.value(order, "delivery_status"))
	}
	before, products := stored(), e.soldBy(order)
	return func() {
		if stored() == before {
			return
		}
		e.touch(order)
		if order.values["state"] == "sale" || order.values["state"] == "done" {
			for _, product := range products { // of a line that is gone, too
				e.stock("stock.move", product, "origin", e.text(order, "name"))
			}
		}
	}
}

// create adds a record from what a client sent.
func (e *env) create(m *model, vals map[string]any) (*record, error) {
	if err := unknownField(m, vals); err != nil {
		return nil, err
	}
	vals = maps.Clone(vals)
	if m.name == "product.product" && vals["product_tmpl_id"] == nil {
		return e.createVariant(vals)
	}
	parent, _ := vals["order_id"].(int)
	changed := e.watch(e.row("sale.order", parent))
	r := e.insert(m)
	for _, name := range m.names {
		f := m.fields[name]
		if _, given := vals[name]; given || f.link != "" || f.compute != nil {
			continue
		}
		if v := e.fallback(f); v != nil {
			e.put(r, name, v)
		}
	}
	if prepare := prepares[m.name]; prepare != nil {
		if err := prepare(e, r, vals); err != nil {
			return nil, err
		}
	}
	if err := e.assign(r, vals); err != nil {
		return nil, err
	}
	if finish := finishes[m.name]; finish != nil {
		finish(e, r, vals)
	}
	for _, name := range m.names {
		if err := e.need(r, m.fields[name]); err != nil {
			return nil, err
		}
	}
	e.touch(r)
	changed()
	return r, e.constrain(r)
}

// createVariant makes the template first, which makes its variant.
func (e *env) createVariant(vals map[string]any) (*record, error) {
	own := map[string]any{}
	for name, v := range vals {
		if name == "lst_price" {
			name = "list_price"
		}
		own[name] = v
	}
	tmpl, err := e.create(e.models["product.template"], own)
	if err != nil {
		return nil, err
	}
	return e.follow(tmpl, "product_variant_id"), nil
}

func (e *env) insert(m *model) *record {
	t := e.tables[m.name]
	t.last++ // as a sequence of Postgres, not taken back
	r := &record{id: t.last, model: m, values: map[string]any{}}
	t.rows[r.id] = r
	t.ids = append(t.ids, r.id)
	e.undo = append(e.undo, func() {
		delete(t.rows, r.id)
		t.ids = slices.DeleteFunc(t.ids, func(id int) bool { return id == r.id })
	})
	r.values["create_date"], r.values["create_uid"] = e.now, e.user.id
	return r
}

func (e *env) fallback(f *field) any {
	switch f.kind {
	case "boolean":
		return f.fallback == "true"
	case "integer":
		n, _ := strconv.Atoi(f.fallback)
		return n
	case "many2one":
		if id, err := strconv.Atoi(f.fallback); err == nil && e.row(f.rel, id) != nil {
			return id
		}
	case "many2many":
		if id, err := strconv.Atoi(f.fallback); err == nil && e.row(f.rel, id) != nil {
			return []int{id}
		}
	case "float", "monetary":
		n, _ := strconv.ParseFloat(f.fallback, 64)
		return n
	default:
		if f.fallback != "" {
			return f.fallback
		}
	}
	return nil
}

// write changes records by what a client sent.
func (e *env) write(m *model, ids []int, vals map[string]any) error {
	if err := unknownField(m, vals); err != nil {
		return err
	}
	records, err := e.browse(m, ids)
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := e.guard(r, vals); err != nil {
			return err
		}
		changed := e.watch(e.follow(r, "order_id"))
		if err := e.assign(r, vals); err != nil {
			return err
		}
		if _, ok := vals["partner_id"]; ok && m.name == "sale.order" {
			for name, id := range e.ofPartner(e.follow(r, "partner_id")) {
				if _, given := vals[name]; !given && m.fields[name] != nil && m.fields[name].depends != 0 && m.fields[name].depends <= e.version {
					e.put(r, name, id)
				}
			}
		}
		for name := range vals {
			if err := e.need(r, m.fields[name]); err != nil {
				return err
			}
		}
		e.touch(r)
		changed()
		if _, ok := vals["default_code"]; ok && m.name == "product.product" { // stored on the template as well
			e.touch(e.follow(r, "product_tmpl_id"))
		}
		if err := e.constrain(r); err != nil {
			return err
		}
	}
	return nil
}

// browse returns the records, all of which must exist and be within the user's companies.
func (e *env) browse(m *model, ids []int) ([]*record, error) {
	records := make([]*record, 0, len(ids))
	for _, id := range ids {
		r := e.row(m.name, id)
		if r == nil {
			return nil, missing(m.name, id, e.user.id)
		}
		if !e.visible(r) {
			return nil, forbidden(r, e.user)
		}
		records = append(records, r)
	}
	return records, nil
}

// visible applies the rules for several companies.
func (e *env) visible(r *record) bool {
	f := r.model.fields["company_id"]
	if f == nil || r.model.name == "res.users" {
		return true
	}
	id, _ := e.get(r, f).(int)
	return id == 0 || slices.Contains(e.companies, id)
}

func unknownField(m *model, vals map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(vals)) {
		if m.fields[name] == nil {
			return valueError("Invalid field %s in %s", repr(name), repr(m.name))
		}
	}
	return nil
}

// guard refuses what Odoo refuses to write.
func (e *env) guard(r *record, vals map[string]any) error {
	if r.model.name != "sale.order.line" {
		return nil
	}
	order := e.follow(r, "order_id")
	if order == nil || !e.locked(order) {
		return nil
	}
	for _, name := range r.model.names {
		switch name {
		case "product_id", "name", "price_unit", "product_uom", "product_uom_id", "product_uom_qty", "tax_id", "tax_ids":
			if _, ok := vals[name]; ok {
				label := r.model.fields[name]
				return userError("It is forbidden to modify the following fields in a locked order:\n"+label.label,
					"Está prohibido modificar los siguientes campos en un pedido bloqueado:\n"+label.es)
			}
		}
	}
	return nil
}

// assign converts and sets values: links first, for others go through them.
func (e *env) assign(r *record, vals map[string]any) error {
	var late []*field
	for _, name := range r.model.names {
		raw, ok := vals[name]
		f := r.model.fields[name]
		switch {
		case !ok || name == "id" || strings.HasPrefix(name, "create_") || strings.HasPrefix(name, "write_"):
		case f.toMany():
			late = append(late, f)
		default:
			v, err := e.convert(r, f, raw)
			if err != nil {
				return err
			}
			e.set(r, f, v)
		}
	}
	for _, f := range late {
		if err := e.command(r, f, vals[f.name]); err != nil {
			return err
		}
	}
	return nil
}

// convert checks a value that a client sent for a field, as Odoo's convert_to_cache does.
func (e *env) convert(r *record, f *field, raw any) (any, error) {
	empty := raw == nil || raw == false
	switch f.kind {
	case "boolean":
		return truth(raw), nil
	case "integer":
		return toInteger(raw)
	case "float", "monetary":
		n, err := toFloat(raw)
		if err != nil || !e.rounds(f) {
			return n, err
		}
		return round(n), nil
	case "many2one":
		id, ok := raw.(int)
		if !ok || id == 0 {
			return nil, nil
		}
		if e.row(f.rel, id) == nil {
			return nil, missing(f.rel, id, e.user.id)
		}
		return id, nil
	}
	if empty {
		return nil, nil
	}
	s, ok := raw.(string)
	if !ok {
		s = repr(raw)
	}
	switch f.kind {
	case "selection":
		if !slices.ContainsFunc(e.choices(r.model, f), func(c choice) bool { return c.value == s }) {
			return nil, valueError("Wrong value for %s.%s: %s", r.model.name, f.name, repr(raw))
		}
	case "date":
		if _, err := time.Parse(dateLayout, s[:min(len(s), len(dateLayout))]); err != nil {
			return nil, valueError("time data %s does not match format '%%Y-%%m-%%d'", repr(raw))
		}
		return s[:len(dateLayout)], nil
	case "datetime":
		at, _, err := parseTime(s)
		if err != nil {
			return nil, valueError("time data %s does not match format '%%Y-%%m-%%d %%H:%%M:%%S'", repr(raw))
		}
		return at, nil
	case "binary":
		return decodeImage(s)
	default:
		if strings.ContainsRune(s, 0) {
			return nil, valueError("A string literal cannot contain NUL (0x00) characters.")
		}
	}
	return s, nil
}

// rounds tells whether a field keeps two decimals: prices do before 19.
func (e *env) rounds(f *field) bool {
	switch f.name {
	case "list_price", "lst_price", "standard_price", "price_unit":
		return e.version < 19
	case "factor", "rounding", "amount":
		return false
	}
	return true
}

// parseTime reads a time as Odoo writes it, or a day.
func parseTime(s string) (at time.Time, day bool, err error) {
	if len(s) == len(dateLayout) {
		at, err = time.Parse(dateLayout, s)
		return at, true, err
	}
	at, err = time.Parse(secondLayout, strings.Replace(s, "T", " ", 1)) // takes a fraction too
	return at, false, err
}

func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	}
	return v != nil
}

func toInteger(v any) (int, error) {
	var n int
	switch v := v.(type) {
	case nil:
	case bool:
		if v {
			n = 1
		}
	case int:
		n = v
	case float64:
		n = int(math.Max(-1e15, math.Min(1e15, v)))
	case string:
		if v != "" {
			var err error
			if n, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return 0, valueError("invalid literal for int() with base 10: %s", repr(v))
			}
		}
	default:
		return 0, typeError("int() argument must be a string, a bytes-like object or a real number")
	}
	if n > math.MaxInt32 || n < math.MinInt32 {
		return 0, raise("psycopg2.errors.NumericValueOutOfRange", "integer out of range\n")
	}
	return n, nil
}

func toFloat(v any) (float64, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	case string:
		if v == "" {
			return 0, nil
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return 0, valueError("could not convert string to float: %s", repr(v))
		}
		return n, nil
	}
	return 0, typeError("float() argument must be a string or a real number")
}

// round rounds to cents, halves away from zero, past the noise of binary fractions.
func round(f float64) float64 {
	if math.Abs(f) > 1e13 {
		return f
	}
	return math.Round(f*100+math.Copysign(1e-6, f)) / 100
}

// The x2many commands.
const (
	cmdCreate = iota
	cmdUpdate
	cmdDelete
	cmdUnlink
	cmdLink
	cmdClear
	cmdSet
)

// command applies x2many commands, or a plain list of ids to set.
func (e *env) command(r *record, f *field, raw any) error {
	list, ok := raw.([]any)
	if !ok {
		if truth(raw) {
			return valueError("Wrong value for %s.%s: %s", r.model.name, f.name, repr(raw))
		}
		list = []any{[]any{cmdClear, 0, 0}}
	}
	if ids, ok := toIDs(list); ok && len(list) > 0 {
		list = []any{[]any{cmdSet, 0, ids}}
	}
	co := e.models[f.rel]
	for _, item := range list {
		c, ok := item.([]any)
		if !ok || len(c) == 0 || len(c) > 3 {
			return valueError("Wrong value for %s.%s: %s", r.model.name, f.name, repr(item))
		}
		c = append(slices.Clone(c), 0, 0)
		code, ok := c[0].(int)
		if !ok || code < cmdCreate || code > cmdSet {
			return valueError("Wrong value for %s.%s: %s", r.model.name, f.name, repr(item))
		}
		if err := e.one(r, f, co, code, c); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) one(r *record, f *field, co *model, code int, c []any) error {
	id, _ := c[1].(int)
	vals, _ := c[2].(map[string]any)
	switch code {
	case cmdCreate:
		if f.inverse != "" {
			vals = maps.Clone(vals)
			if vals == nil {
				vals = map[string]any{}
			}
			vals[f.inverse] = r.id
		}
		child, err := e.create(co, vals)
		if err == nil && f.inverse == "" {
			e.relate(r, f, append(e.related(r, f), child.id))
		}
		return err
	case cmdUpdate:
		return e.write(co, []int{id}, vals)
	case cmdDelete:
		return e.unlink(co, []int{id})
	case cmdUnlink:
		if f.inverse != "" {
			return e.detach(co, f, []int{id})
		}
		e.relate(r, f, slices.DeleteFunc(e.related(r, f), func(other int) bool { return other == id }))
	case cmdLink, cmdSet:
		ids := []int{id}
		if code == cmdSet {
			var ok bool
			if ids, ok = toIDs(c[2]); !ok {
				return valueError("Wrong value for %s.%s: %s", r.model.name, f.name, repr(c[2]))
			}
		}
		if _, err := e.browse(co, ids); err != nil {
			return err
		}
		if f.inverse != "" {
			for _, id := range ids {
				e.put(e.row(co.name, id), f.inverse, r.id)
			}
			if code == cmdSet {
				return e.detach(co, f, slices.DeleteFunc(e.children(f.rel, f.inverse, r.id), func(id int) bool { return slices.Contains(ids, id) }))
			}
			return nil
		}
		if code == cmdLink {
			ids = append(e.related(r, f), id)
		}
		e.relate(r, f, ids)
	case cmdClear:
		if f.inverse != "" {
			return e.detach(co, f, e.children(f.rel, f.inverse, r.id))
		}
		e.relate(r, f, nil)
	}
	return nil
}

// detach takes rows off their parent: those that cannot be without one are deleted.
func (e *env) detach(co *model, f *field, ids []int) error {
	if co.fields[f.inverse].required {
		return e.unlink(co, ids)
	}
	return e.write(co, ids, map[string]any{f.inverse: false})
}

func (e *env) related(r *record, f *field) []int {
	ids, _ := e.get(r, f).([]int)
	return slices.Clone(ids)
}

func (e *env) relate(r *record, f *field, ids []int) {
	slices.Sort(ids)
	e.set(r, f, slices.Compact(ids))
}

// toIDs reads an id or a list of ids.
func toIDs(v any) ([]int, bool) {
	switch v := v.(type) {
	case int:
		return []int{v}, true
	case []int:
		return v, true
	case bool, nil:
		return nil, v != true
	case []any:
		ids := make([]int, len(v))
		for i, x := range v {
			id, ok := x.(int)
			if !ok {
				return nil, false
			}
			ids[i] = id
		}
		return ids, true
	}
	return nil, false
}

// need refuses a required field without a value, as Postgres does.
func (e *env) need(r *record, f *field) error {
	if !f.required || !f.stored || f.toMany() || f.link != "" || f.compute != nil || r.values[f.name] != nil {
		return nil
	}
	if e.version >= 19 {
		return validationError(fmt.Sprintf("The operation cannot be completed: Missing required value for the field '%s' (%s).\nModel: '%s' (%s)\n"+
			"- create/update: a mandatory field is not set\n- delete: another model requires the record being deleted, you can archive it instead\n", f.label, f.name, r.model.label, r.model.name),
			fmt.Sprintf("No se puede completar la operación: Falta el valor requerido para el campo '%s' (%s).\nModelo: '%s' (%s)\n"+
				"- crear/actualizar: un campo obligatorio no está establecido\n- eliminar: otro modelo necesita el registro que se elimina, puede archivarlo en su lugar\n", f.es, f.name, r.model.es, r.model.name))
	}
	return validationError(fmt.Sprintf("The operation cannot be completed:\n- Create/update: a mandatory field is not set.\n"+
		"- Delete: another model requires the record being deleted. If possible, archive it instead.\n\nModel: %s (%s), Field: %s (%s)\n", r.model.label, r.model.name, f.label, f.name),
		fmt.Sprintf("La operación no se puede completar:\n- Crear/actualizar: no se ha establecido un campo obligatorio.\n"+
			"- Eliminar: otro modelo necesita el registro que se elimina. Si es posible, archívelo.\n\nModelo: %s (%s), Campo: %s (%s)\n", r.model.es, r.model.name, f.es, f.name))
}

// constrain checks what holds across fields and records.
func (e *env) constrain(r *record) error {
	switch r.model.name {
	case "res.partner":
		if r.values["name"] == nil && r.values["type"] == "contact" {
			return validationError("The operation cannot be completed: Contacts require a name", "No se puede completar la operación: Los contactos requieren un nombre")
		}
		if e.loops(r) {
			return validationError("You cannot create recursive Partner hierarchies.", "No puede crear jerarquías de contactos recursivas.")
		}
	case "product.category":
		if e.loops(r) {
			return validationError("You cannot create recursive categories.", "No puede crear categorías recursivas.")
		}
	case "product.template":
		if variant := e.follow(r, "product_variant_id"); variant != nil {
			return e.constrain(variant)
		}
	case "sale.order.line":
		product, text := r.values["product_id"] != nil, r.values["display_type"] != nil
		if text && (product || e.number(r, "price_unit") != 0 || e.number(r, "product_uom_qty") != 0) {
			return validationError("The operation cannot be completed: Forbidden values on non-accountable sale order line", "No se puede completar la operación: valores prohibidos en una línea sin importe")
		}
	case "product.product":
		code, _ := r.values["barcode"].(string)
		if code == "" {
			return nil
		}
		for _, id := range e.tables[r.model.name].ids {
			if other := e.row(r.model.name, id); id != r.id && other.values["barcode"] == code {
				return e.duplicate(code, other, r)
			}
		}
	}
	return nil
}

// loops tells whether a record is its own ancestor.
func (e *env) loops(r *record) bool {
	up := e.follow(r, "parent_id")
	for range maxDepth {
		if up == nil || up == r {
			break
		}
		up = e.follow(up, "parent_id")
	}
	return up != nil
}

func (e *env) duplicate(code string, a, b *record) error {
	if e.version <= 15 { // which find the text of a constraint only when the context has a language
		if !e.langAsked {
			return validationError("product_product_barcode_uniq", "")
		}
		return validationError("A barcode can only be assigned to one product !", "¡Un código de barras solo se puede asignar a un producto!")
	}
	names := e.text(a, "display_name")
	and, y := " and ", " y "
	if e.version < 17 {
		and, y = ", ", ", "
	}
	return validationError(
		fmt.Sprintf("Barcode(s) already assigned:\n\n- Barcode \"%s\" already assigned to product(s): %s\n\nNote: products that you don't have access to will not be shown above.", code, names+and+e.text(b, "display_name")),
		fmt.Sprintf("Códigos de barras ya asignados:\n\n- El código de barras \"%s\" ya está asignado a los productos: %s\n\nNota: los productos a los que no tiene acceso no se muestran arriba.", code, names+y+e.text(b, "display_name")))
}

// unlink deletes records and what belongs to them.
func (e *env) unlink(m *model, ids []int) error {
	records, err := e.browse(m, ids)
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := e.deletable(r); err != nil && !e.force {
			return err
		}
		for _, f := range m.fields {
			if f.kind != "one2many" {
				continue
			}
			if err := e.detach(e.models[f.rel], f, e.children(f.rel, f.inverse, r.id)); err != nil {
				return err
			}
		}
		changed := e.watch(e.follow(r, "order_id"))
		e.remove(r)
		changed()
		if tmpl := e.follow(r, "product_tmpl_id"); tmpl != nil && len(e.children(m.name, "product_tmpl_id", tmpl.id)) == 0 {
			e.remove(tmpl)
		}
	}
	return nil
}

func (e *env) remove(r *record) {
	t := e.tables[r.model.name]
	for name, refs := range t.refs {
		parent, _ := r.values[name].(int)
		e.relink(refs, parent, 0, r.id)
	}
	delete(t.rows, r.id)
	t.ids = slices.DeleteFunc(slices.Clone(t.ids), func(id int) bool { return id == r.id })
	e.undo = append(e.undo, func() {
		t.rows[r.id] = r
		t.ids = append(t.ids, r.id)
		slices.Sort(t.ids)
	})
}

func (e *env) deletable(r *record) error {
	by, column := "", ""
	switch r.model.name {
	case "sale.order.line":
		if order := e.follow(r, "order_id"); order != nil && (order.values["state"] == "sale" || order.values["state"] == "done") && r.values["display_type"] == nil {
			return userError("Once a sales order is confirmed, you can't remove one of its lines (we need to track if something gets invoiced or delivered).\n                Set the quantity to 0 instead.",
				"Una vez confirmado un pedido de venta, no puede eliminar una de sus líneas (tenemos que realizar un seguimiento de lo que se factura o entrega).\n                En su lugar, establezca la cantidad en 0.")
		}
	case "sale.order":
		if state := r.values["state"]; state != "draft" && state != "cancel" {
			return userError("You can not delete a sent quotation or a confirmed sales order. You must first cancel it.",
				"No puede eliminar un presupuesto enviado o un pedido de venta confirmado. Primero debe cancelarlo.")
		}
	case "product.template":
		for _, id := range e.children("product.product", "product_tmpl_id", r.id) {
			if len(e.children("sale.order.line", "product_id", id)) > 0 {
				by, column = "sale.order.line", "product_id"
			}
		}
	case "product.product":
		if len(e.children("sale.order.line", "product_id", r.id)) > 0 {
			by, column = "sale.order.line", "product_id"
		}
	case "res.partner":
		if len(e.children("sale.order", "partner_id", r.id)) > 0 {
			by, column = "sale.order", "partner_id"
		}
	}
	if by == "" {
		return nil
	}
	m := e.models[by]
	f := m.fields[column]
	if e.version >= 19 {
		return validationError(
			fmt.Sprintf("The operation cannot be completed: Another model is using the record you are trying to delete.\n\nThe troublemaker is: '%s' (%s)\nThanks to the following constraint: '%s' (%s)\nHow about archiving the record instead?", m.label, by, f.label, column),
			fmt.Sprintf("No se puede completar la operación: Otro modelo está usando el registro que intenta eliminar.\n\nEl culpable es: '%s' (%s)\nGracias a la siguiente restricción: '%s' (%s)\n¿Por qué no archiva el registro?", m.es, by, f.es, column))
	}
	return validationError(
		fmt.Sprintf("The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\nModel: %s (%s), Constraint: %s_%s_fkey", m.label, by, strings.ReplaceAll(by, ".", "_"), column),
		fmt.Sprintf("No se puede completar la operación: otro modelo necesita el registro que se elimina. Si es posible, archívelo.\n\nModelo: %s (%s), Restricción: %s_%s_fkey", m.es, by, strings.ReplaceAll(by, ".", "_"), column))
}

// shown is a value as Odoo answers it: False for none, times to the second,
// a many2one as [id, name] or, plain, as its id.
func (e *env) shown(r *record, f *field, plain bool) any {
	switch v := e.get(r, f).(type) {
	case nil:
		if v := zero(f); v != nil {
			return v
		}
		if f.toMany() {
			return []any{}
		}
		return false
	case time.Time:
		return v.Format(secondLayout)
	case []int:
		return list(e.active(f, v))
	case int:
		if f.kind != "many2one" {
			return v
		}
		to := e.row(f.rel, v)
		switch {
		case to == nil:
			return false
		case plain:
			return v
		}
		return []any{v, e.text(to, "display_name")}
	case string:
		if f.kind == "binary" && e.binSize {
			return humanSize(base64.StdEncoding.DecodedLen(len(v)))
		}
		return v
	default:
		return v
	}
}

// active leaves archived records out of a one2many.
func (e *env) active(f *field, ids []int) []int {
	if f.kind != "one2many" || !e.activeTest || e.models[f.rel].fields["active"] == nil {
		return ids
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id int) bool { return e.value(e.row(f.rel, id), "active") == false })
}

func list[T any](values []T) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

func humanSize(n int) string {
	if n < 1024 {
		return fmt.Sprintf("%.2f bytes", float64(n))
	}
	return fmt.Sprintf("%.2f Kb", float64(n)/1024)
}
