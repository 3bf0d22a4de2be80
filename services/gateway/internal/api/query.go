package api

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// Bounds of a query.
const (
	maxQuery    = 16 << 10 // bytes
	maxPageSize = 100
	maxOffset   = 10_000_000
	maxFilters  = 20
	maxValues   = 100 // of a list, ids included
	maxValue    = 200 // characters
	defaultSize = 10
)

// allowed says which parameters, besides filters, an operation takes.
type allowed int

const (
	filters allowed = iota
	filtersAndSort
	everything
)

// listing is a parsed query of a list.
type listing struct {
	Offset, Limit int
	Sort          []rpc.Sort
	Filters       []rpc.Filter
	Search        string

	ids  []int64 // of Odoo's records
	bare bool    // answer a JSON array, as Refine's simple-rest wants, instead of an envelope
	page int
	lang string // of an export: es, en, or "" as Accept-Language says
	size string // the parameter, and the member of the envelope, that says how many rows a page has
}

// orders asks the orders service for what is listed.
func (l *listing) orders() ordersapi.Query {
	return ordersapi.Query{Offset: l.Offset, Limit: l.Limit, Sort: l.Sort, Filters: l.Filters, Search: l.Search}
}

// column is what lists can be filtered and sorted by.
type column struct {
	Name string
	Kind rpc.Kind
	Can  rpc.Can
}

// Has reports whether the column can be used in all those ways.
func (c column) Has(can rpc.Can) bool { return c.Can&can == can }

// table is what a list can be asked by.
type table struct {
	columns []column
	choices map[string][]string // the values of columns that have but a few
	catalog *columns.Catalog    // of columns whose choices are the base's own; nil if there are none
	size    string
	// own has the parameters with a meaning of their own, before those that columns give.
	own map[string]func(q *query, l *listing, name string)
}

// ordersTable is the table of orders, whose choices catalog knows.
func ordersTable(catalog *columns.Catalog) *table {
	t := &table{
		catalog: catalog, size: "page_size",
		own: map[string]func(*query, *listing, string){
			"id": func(q *query, _ *listing, _ string) { q.recordIDs() },
			"q":  func(q *query, l *listing, name string) { l.Search = q.text(name) },
		},
	}
	classic := []string{"customer", "start_date", "end_date"}
	for _, c := range schema.Columns {
		of := column{Name: c.Name, Kind: c.Kind}
		if c.Filter {
			of.Can |= rpc.Filtered
		}
		if c.Sort {
			of.Can |= rpc.Sorted
		}
		t.columns = append(t.columns, of)
		if c.Kind == schema.Choice {
			classic = append(classic, c.Name)
		}
	}
	for _, name := range classic {
		t.own[name] = func(q *query, _ *listing, name string) { q.classicFilter(name) }
	}
	return t
}

// column finds a column that can be used so; a link also goes by <link>_id.
func (t *table) column(name string, can rpc.Can) (column, bool) {
	for _, c := range t.columns {
		if c.Has(can) && (c.Name == name || c.Kind == rpc.Link && c.Name+"_id" == name) {
			return c, true
		}
	}
	return column{}, false
}

// names lists the columns that can be used so.
func (t *table) names(can rpc.Can) (names []string) {
	for _, c := range t.columns {
		if c.Has(can) {
			names = append(names, c.Name)
		}
	}
	return names
}

// operator is how a field_<suffix> parameter compares.
type operator struct {
	op    rpc.Op
	arity int // number of values: 1, 2, 0 for none, -1 for a list
	text  bool
}

// operators by suffix: Refine's names, and "like" as simple-rest writes contains.
var operators = map[string]operator{
	"eq": {rpc.Eq, 1, false}, "ne": {rpc.Ne, 1, false},
	"lt": {rpc.Lt, 1, false}, "lte": {rpc.Lte, 1, false}, "gt": {rpc.Gt, 1, false}, "gte": {rpc.Gte, 1, false},
	"in": {rpc.In, -1, false}, "nin": {rpc.Nin, -1, false},
	"between": {rpc.Between, 2, false}, "nbetween": {rpc.Nbetween, 2, false},
	"null": {rpc.Null, 0, false}, "nnull": {rpc.Nnull, 0, false},
	"like":     {rpc.Contains, 1, true},
	"contains": {rpc.Contains, 1, true}, "ncontains": {rpc.Ncontains, 1, true},
	"containss": {rpc.Containss, 1, true}, "ncontainss": {rpc.Ncontainss, 1, true},
	"startswith": {rpc.StartsWith, 1, true}, "nstartswith": {rpc.NstartsWith, 1, true},
	"startswiths": {rpc.StartsWiths, 1, true}, "nstartswiths": {rpc.NstartsWiths, 1, true},
	"endswith": {rpc.EndsWith, 1, true}, "nendswith": {rpc.NendsWith, 1, true},
	"endswiths": {rpc.EndsWiths, 1, true}, "nendswiths": {rpc.NendsWiths, 1, true},
}

// query reads parameters and remembers what is wrong with each.
type query struct {
	*table
	values  url.Values
	mistake map[string]fault.Text
	filters []rpc.Filter
}

// parse translates both dialects, the classic one and Refine simple-rest's. The error names every
// parameter at fault. A filter without a value is no filter.
func (t *table) parse(raw string, allow allowed) (listing, error) {
	q, err := newQuery(raw, t)
	if err != nil {
		return listing{}, err
	}
	l := listing{size: t.size}
	var sorted, refined bool // parameters of Refine's dialect: _sort and _order, any of them
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		switch {
		case allow == everything && (name == "page" || name == t.size || name == "_start" || name == "_end"):
		case allow >= filtersAndSort && (name == "sort" || name == "_sort" || name == "_order"):
			sorted = true
		case allow == filtersAndSort && name == "lang":
			if l.lang = q.one(name); l.lang != "" && l.lang != "es" && l.lang != "en" {
				q.wrong(name, oneOf([]string{"es", "en"}))
			}
		case t.own[name] != nil:
			t.own[name](q, &l, name)
			refined = refined || name == "id"
		default:
			refined = q.filter(name) || refined
		}
		refined = refined || strings.HasPrefix(name, "_")
	}
	l.Filters = q.filters
	if sorted {
		l.Sort = q.sort()
	}
	if allow == everything {
		q.window(&l, refined)
	}
	if len(q.filters) > maxFilters {
		q.wrong("", fault.T(fmt.Sprintf("Hay más de %d filtros", maxFilters), fmt.Sprintf("There are more than %d filters", maxFilters)))
	}
	if f := invalid(q.mistake); f != nil {
		return listing{}, f
	}
	return l, nil
}

// parsePage reads page and page_size and nothing else.
func (t *table) parsePage(raw string) (listing, error) {
	q, err := newQuery(raw, t)
	if err != nil {
		return listing{}, err
	}
	for name := range q.values {
		if name != "page" && name != "page_size" {
			q.unknown(name)
		}
	}
	l := listing{size: q.size}
	q.pages(&l)
	if f := invalid(q.mistake); f != nil {
		return listing{}, f
	}
	return l, nil
}

func newQuery(raw string, t *table) (*query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil || len(raw) > maxQuery {
		return nil, fault.New(fault.Invalid, fault.T(
			"Los parámetros de la dirección están mal codificados o son demasiados",
			"The parameters of the address are badly encoded or too many"))
	}
	return &query{table: t, values: values, mistake: map[string]fault.Text{}}, nil
}

func (q *query) wrong(name string, text fault.Text) {
	if _, ok := q.mistake[name]; !ok {
		q.mistake[name] = text
	}
}

func (q *query) unknown(name string) {
	if len(name) > 50 {
		name = strings.ToValidUTF8(name[:50], "") + "…"
	}
	q.wrong(name, fault.T("no es un parámetro conocido", "is not a known parameter"))
}

// one gives the value of a parameter that may come once.
func (q *query) one(name string) string {
	v := q.values[name]
	if len(v) > 1 {
		q.wrong(name, fault.T("está repetido", "is repeated"))
	}
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// text gives a bounded value.
func (q *query) text(name string) string {
	v := q.one(name)
	q.checkText(name, v)
	return v
}

func (q *query) checkText(name, v string) {
	switch {
	case len([]rune(v)) > maxValue:
		q.wrong(name, fault.T(fmt.Sprintf("tiene más de %d caracteres", maxValue), fmt.Sprintf("has more than %d characters", maxValue)))
	case strings.ContainsRune(v, 0) || strings.ToValidUTF8(v, "") != v:
		q.wrong(name, fault.T("no es texto válido", "is not valid text"))
	}
}

// number reads a whole number between low and high; def when the parameter is absent.
func (q *query) number(name string, def, low, high int) int {
	if !q.values.Has(name) {
		return def
	}
	v := q.one(name)
	n, err := strconv.Atoi(v)
	switch {
	case v != "" && strings.Trim(v, "0123456789") == "" && err != nil: // too many digits
		n = math.MaxInt
	case err != nil || strings.HasPrefix(v, "+"):
		q.wrong(name, fault.T("debe ser un número entero", "must be a whole number"))
		return def
	}
	if n < low || n > high {
		if high == math.MaxInt {
			q.wrong(name, fault.T(fmt.Sprintf("debe ser al menos %d", low), fmt.Sprintf("must be at least %d", low)))
		} else {
			q.wrong(name, fault.T(fmt.Sprintf("debe estar entre %d y %d", low, high), fmt.Sprintf("must be between %d and %d", low, high)))
		}
		return def
	}
	return n
}

// pages reads page and how many rows one has.
func (q *query) pages(l *listing) {
	l.Limit = q.number(q.size, defaultSize, 1, maxPageSize)
	l.page = q.number("page", 1, 1, math.MaxInt)
	if l.page-1 > maxOffset/l.Limit {
		q.tooFar("page")
		return
	}
	l.Offset = (l.page - 1) * l.Limit
}

func (q *query) tooFar(name string) {
	q.wrong(name, fault.T(
		fmt.Sprintf("no se puede ir más allá de la fila %d; use filtros", maxOffset),
		fmt.Sprintf("cannot go beyond row %d; use filters", maxOffset)))
}

// window decides which rows are asked for and in which dialect to answer.
func (q *query) window(l *listing, refined bool) {
	paged := q.values.Has("page") || q.values.Has(q.size)
	ranged := q.values.Has("_start") || q.values.Has("_end")
	l.bare = ranged || q.values.Has("id") || refined && !paged
	switch {
	case ranged && paged:
		q.wrong("_start", fault.T("no se combina con page ni "+q.size, "does not go with page or "+q.size))
	case ranged:
		start := q.number("_start", 0, 0, math.MaxInt)
		if start > maxOffset {
			q.tooFar("_start")
			return
		}
		end := q.number("_end", start+defaultSize, 0, math.MaxInt)
		if end <= start || end-start > maxPageSize {
			q.wrong("_end", fault.T(
				fmt.Sprintf("debe superar a _start en 1 a %d", maxPageSize), fmt.Sprintf("must be 1 to %d more than _start", maxPageSize)))
			return
		}
		l.Offset, l.Limit = start, end-start
	case paged || !l.bare:
		q.pages(l)
	default: // pagination off: as much as there may be
		l.Limit = maxPageSize
	}
}

// recordIDs reads id=1&id=2, which Refine's getMany sends.
func (q *query) recordIDs() {
	ids := slices.Compact(slices.Sorted(slices.Values(q.values["id"])))
	switch {
	case len(ids) > maxValues:
		q.wrong("id", atMost(maxValues))
	case !slices.ContainsFunc(ids, func(id string) bool { return !event.ValidRecordID(id) }):
		q.filters = append(q.filters, rpc.Filter{Field: "record_id", Op: rpc.In, Values: ids})
	default:
		q.wrong("id", malformedID)
	}
}

var malformedID = fault.T("no es un identificador de registro", "is not a record id")

func oneOf(choices []string) fault.Text {
	list := strings.Join(choices, ", ")
	return fault.T("debe ser uno de: "+list, "must be one of: "+list)
}

func atMost(n int) fault.Text {
	return fault.T(fmt.Sprintf("admite como mucho %d valores", n), fmt.Sprintf("takes at most %d values", n))
}

// classicFilter reads one of the parameters that have a meaning of their own.
func (q *query) classicFilter(name string) {
	switch name {
	case "customer":
		if v := q.text(name); v != "" {
			q.filters = append(q.filters, rpc.Filter{Field: name, Op: rpc.Contains, Values: []string{v}})
		}
	case "start_date", "end_date":
		op := rpc.Gte
		if name == "end_date" {
			op = rpc.Lte
		}
		c, _ := q.column("order_date", rpc.Filtered)
		if v := q.one(name); v != "" && q.checkValue(name, c, operator{op: op}, v) {
			q.filters = append(q.filters, rpc.Filter{Field: c.Name, Op: op, Values: []string{v}})
		}
		q.dateRange()
	default: // any of a column's choices
		c, _ := q.column(name, rpc.Filtered)
		q.add(name, c, operator{op: rpc.In, arity: -1}, q.list(c.Name, q.values[name]))
	}
}

func (q *query) dateRange() {
	start, end := q.values.Get("start_date"), q.values.Get("end_date")
	if event.ValidDate(start) && event.ValidDate(end) && start > end {
		q.wrong("start_date", fault.T("no puede ser posterior a end_date", "cannot be after end_date"))
	}
}

// filter reads column=value or column_<operator>=value, and reports whether it is the latter.
func (q *query) filter(name string) (refined bool) {
	if c, ok := q.column(name, rpc.Filtered); ok {
		values := q.values[name]
		if len(values) > 1 {
			q.add(name, c, operator{op: rpc.In, arity: -1}, values)
		} else {
			q.add(name, c, operators["eq"], values)
		}
		return false
	}
	i := strings.LastIndexByte(name, '_')
	if i < 0 {
		q.unknown(name)
		return false
	}
	op, known := operators[name[i+1:]]
	c, ok := q.column(name[:i], rpc.Filtered)
	if !ok || !known {
		q.unknown(name)
		return false
	}
	values := q.values[name]
	if op.arity == -1 || op.arity == 2 {
		values = q.list(c.Name, values)
	}
	q.add(name, c, op, values)
	return true
}

// add checks a filter and keeps it. Empty values are left out.
func (q *query) add(name string, c column, op operator, values []string) {
	if op.arity == 0 {
		q.addNull(name, c.Name, op.op)
		return
	}
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	switch {
	case len(values) == 0:
		return
	case op.text && !c.Kind.IsText() && c.Kind != rpc.Link:
		q.wrong(name, fault.T("no se puede buscar texto en esa columna", "that column cannot be searched for text"))
		return
	case !op.text && !op.equality() && (c.Kind == rpc.Link || c.Kind == rpc.Bool):
		q.wrong(name, fault.T("esa columna no tiene orden", "that column has no order"))
		return
	case op.arity == 1 && len(values) > 1:
		q.wrong(name, fault.T("está repetido", "is repeated"))
		return
	case op.arity == 2 && len(values) != 2:
		q.wrong(name, fault.T("necesita dos valores separados por una coma", "needs two values with a comma between them"))
		return
	case len(values) > maxValues:
		q.wrong(name, atMost(maxValues))
		return
	}
	for i, v := range values {
		if !q.checkValue(name, c, op, v) {
			return
		}
		if offers, known := q.offers(c.Name); known && op.equality() {
			var ok bool
			if values[i], ok = offers.Find(v); !ok {
				if core, _ := schema.Find(c.Name); !slices.Contains(core.Names(), v) {
					q.wrong(name, mustBeOffered(&offers))
					return
				}
				values[i] = v // the base has no such choice: nothing matches
			}
		}
	}
	if op.op == rpc.In && len(values) == 1 {
		op.op = rpc.Eq // the services know cheaper ways for it
	}
	q.filters = append(q.filters, rpc.Filter{Field: c.Name, Op: op.op, Values: values})
}

// addNull reads field_null=true; false is the opposite, and no value is true.
func (q *query) addNull(name, field string, op rpc.Op) {
	switch q.one(name) {
	case "true", "1", "":
	case "false", "0":
		op = map[rpc.Op]rpc.Op{rpc.Null: rpc.Nnull, rpc.Nnull: rpc.Null}[op]
	default:
		q.wrong(name, mustBeBool)
		return
	}
	q.filters = append(q.filters, rpc.Filter{Field: field, Op: op})
}

// checkValue checks that v can be compared with a column.
func (q *query) checkValue(name string, c column, op operator, v string) bool {
	before := len(q.mistake)
	q.checkText(name, v)
	switch kind := c.Kind; {
	case op.text:
	case kind == rpc.Number:
		if n, err := strconv.ParseFloat(v, 64); err != nil || math.IsInf(n, 0) || math.IsNaN(n) || strings.Trim(v, "0123456789.eE+-") != "" {
			q.wrong(name, mustBeNumber)
		}
	case kind == rpc.Date && !event.ValidDate(v):
		q.wrong(name, mustBeDate)
	case kind == rpc.Time:
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			q.wrong(name, mustBeTime)
		}
	case kind == rpc.Bool && v != "true" && v != "false":
		q.wrong(name, mustBeBool)
	case kind == rpc.Link && !validID(v):
		q.wrong(name, fault.T("debe ser un identificador, un número entero positivo", "must be an id, a positive whole number"))
	case kind.IsText() && op.equality():
		if choices := q.choices[c.Name]; choices != nil && !slices.Contains(choices, v) {
			list := strings.Join(choices, ", ")
			q.wrong(name, fault.T("debe ser uno de: "+list, "must be one of: "+list))
		}
	}
	return len(q.mistake) == before
}

var (
	mustBeNumber = fault.T("debe ser un número", "must be a number")
	mustBeDate   = fault.T("debe ser una fecha, AAAA-MM-DD", "must be a date, YYYY-MM-DD")
	mustBeTime   = fault.T("debe ser fecha y hora, RFC 3339", "must be a date and time, RFC 3339")
	mustBeBool   = fault.T("debe ser true o false", "must be true or false")
)

// equality reports whether it compares with values as a whole.
func (o operator) equality() bool {
	return o.op == rpc.Eq || o.op == rpc.Ne || o.op == rpc.In || o.op == rpc.Nin
}

// offers gives what a column offers whose choices are the base's own.
func (t *table) offers(name string) (columns.Column, bool) {
	if t.catalog == nil {
		return columns.Column{}, false
	}
	c, known := t.catalog.Column(name)
	return c, known && (c.Kind == schema.Choice || c.Kind == schema.Choices)
}

// list gives the parts between commas of values, but those that are choices as they stand.
func (q *query) list(name string, values []string) (parts []string) {
	offers, known := q.offers(name)
	for _, v := range values {
		if _, whole := offers.Find(v); known && whole {
			parts = append(parts, v)
		} else {
			parts = append(parts, split([]string{v})...)
		}
	}
	return parts
}

// mustBeOffered lists what a column offers.
func mustBeOffered(c *columns.Column) fault.Text {
	if list := c.Quoted(); list != (fault.Text{}) {
		return fault.T("debe ser uno de: "+list.ES, "must be one of: "+list.EN)
	}
	return fault.T(fmt.Sprintf("debe ser un texto de 1 a %d caracteres", event.MaxEditValue), fmt.Sprintf("must be a text of 1 to %d characters", event.MaxEditValue))
}

// sort reads sort=-a,b or _sort=a,b&_order=desc,asc.
func (q *query) sort() []rpc.Sort {
	name, orders := "sort", split(q.values["_order"])
	keys := split(q.values["sort"])
	if q.values.Has("_sort") || q.values.Has("_order") {
		if q.values.Has("sort") {
			q.wrong("sort", fault.T("no se combina con _sort ni _order", "does not go with _sort or _order"))
			return nil
		}
		name, keys = "_sort", split(q.values["_sort"])
	}
	var sorts []rpc.Sort
	for i, key := range keys {
		field, desc := key, false
		if name == "sort" {
			field, desc = strings.CutPrefix(key, "-")
		} else if i < len(orders) {
			switch strings.ToLower(orders[i]) {
			case "desc":
				desc = true
			case "asc":
			default:
				q.wrong("_order", fault.T("debe ser asc o desc", "must be asc or desc"))
			}
		}
		c, ok := q.column(field, rpc.Sorted)
		if !ok {
			list := strings.Join(q.names(rpc.Sorted), ", ")
			q.wrong(name, fault.T("debe ser una lista de: "+list, "must be a list of: "+list))
			return nil
		}
		if slices.ContainsFunc(sorts, func(s rpc.Sort) bool { return s.Field == c.Name }) {
			q.wrong(name, fault.T(field+" está repetido", field+" is repeated"))
			return nil
		}
		sorts = append(sorts, rpc.Sort{Field: c.Name, Desc: desc})
	}
	return sorts
}

// split gives the parts between commas of all values, without the empty ones.
func split(values []string) []string {
	var parts []string
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
	}
	return parts
}
