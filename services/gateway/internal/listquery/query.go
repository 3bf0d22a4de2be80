// Package listquery reads the query of a list, in Resonance's own dialect and in that of Refine's simple-rest, documents
// its parameters, and writes the page. Which columns there are is for each resource to say.
package listquery

import (
	"fmt"
	"maps"
	"math"
	"net/http"
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
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Bounds of a query.
const (
	MaxQuery    = 16 << 10 // bytes
	MaxPageSize = 100
	MaxOffset   = 10_000_000
	MaxFilters  = 20
	MaxValues   = 100 // of a list, ids included
	DefaultSize = 10
)

// Allowed says which parameters, besides filters, an operation takes.
type Allowed int

// What an operation takes: filters alone, with a sort, or pages too.
const (
	Filters Allowed = iota
	FiltersAndSort
	Everything
)

// Listing is a parsed query of a list.
type Listing struct {
	Offset, Limit int
	Sort          []rpc.Sort
	Filters       []rpc.Filter
	Search        string

	IDs  []int64 // of Odoo's records
	Bare bool    // answer a JSON array, as Refine's simple-rest wants, instead of an envelope
	Page int
	Lang string // of an export: es, en, or "" as Accept-Language says
	Size string // the parameter, and the member of the envelope, that says how many rows a page has
}

// Column is what lists can be filtered and sorted by.
type Column struct {
	Name string
	Kind rpc.Kind
	Can  rpc.Can
}

// Has reports whether the column can be used in all those ways.
func (c Column) Has(can rpc.Can) bool { return c.Can&can == can }

// Table is what a list can be asked by.
type Table struct {
	Columns []Column
	Choices map[string][]string // the values of columns that have but a few
	Catalog *columns.Catalog    // of columns whose choices are the base's own; nil if there are none
	Size    string
	// own has the parameters with a meaning of their own, before those that columns give.
	Own map[string]func(q *Query, l *Listing, name string)
}

// Column finds a column that can be used so; a link also goes by <link>_id.
func (t *Table) Column(name string, can rpc.Can) (Column, bool) {
	for _, c := range t.Columns {
		if c.Has(can) && (c.Name == name || c.Kind == rpc.Link && c.Name+"_id" == name) {
			return c, true
		}
	}
	return Column{}, false
}

// Names lists the columns that can be used so.
func (t *Table) Names(can rpc.Can) (names []string) {
	for _, c := range t.Columns {
		if c.Has(can) {
			names = append(names, c.Name)
		}
	}
	return names
}

// Operator is how a field_<suffix> parameter compares.
type Operator struct {
	Op    rpc.Op
	Arity int // number of values: 1, 2, 0 for none, -1 for a list
	text  bool
}

// operators by suffix: Refine's names, and "like" as simple-rest writes contains.
var operators = map[string]Operator{
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

// Query reads parameters and remembers what is wrong with each.
type Query struct {
	*Table
	Values  url.Values
	mistake map[string]fault.Text
	Filters []rpc.Filter
}

// Parse translates both dialects, the classic one and Refine simple-rest's. The error names every
// parameter at fault. A filter without a value is no filter.
func (t *Table) Parse(raw string, allow Allowed) (Listing, error) {
	q, err := newQuery(raw, t)
	if err != nil {
		return Listing{}, err
	}
	l := Listing{Size: t.Size}
	var sorted, refined bool // parameters of Refine's dialect: _sort and _order, any of them
	for _, name := range slices.Sorted(maps.Keys(q.Values)) {
		switch {
		case allow == Everything && (name == "page" || name == t.Size || name == "_start" || name == "_end"):
		case allow >= FiltersAndSort && (name == "sort" || name == "_sort" || name == "_order"):
			sorted = true
		case allow == FiltersAndSort && name == "lang":
			if l.Lang = q.One(name); l.Lang != "" && l.Lang != "es" && l.Lang != "en" {
				q.Wrong(name, OneOf([]string{"es", "en"}))
			}
		case t.Own[name] != nil:
			t.Own[name](q, &l, name)
			refined = refined || name == "id"
		default:
			refined = q.filter(name) || refined
		}
		refined = refined || strings.HasPrefix(name, "_")
	}
	l.Filters = q.Filters
	if sorted {
		l.Sort = q.sort()
	}
	if allow == Everything {
		q.window(&l, refined)
	}
	if len(q.Filters) > MaxFilters {
		q.Wrong("", fault.T(fmt.Sprintf("Hay más de %d filtros", MaxFilters), fmt.Sprintf("There are more than %d filters", MaxFilters)))
	}
	if f := problem.Invalid(q.mistake); f != nil {
		return Listing{}, f
	}
	return l, nil
}

// ParsePage reads page and page_size and nothing else.
func (t *Table) ParsePage(raw string) (Listing, error) {
	q, err := newQuery(raw, t)
	if err != nil {
		return Listing{}, err
	}
	for name := range q.Values {
		if name != "page" && name != "page_size" {
			q.unknown(name)
		}
	}
	l := Listing{Size: q.Size}
	q.pages(&l)
	if f := problem.Invalid(q.mistake); f != nil {
		return Listing{}, f
	}
	return l, nil
}

func newQuery(raw string, t *Table) (*Query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil || len(raw) > MaxQuery {
		return nil, fault.New(fault.Invalid, fault.T(
			"Los parámetros de la dirección están mal codificados o son demasiados",
			"The parameters of the address are badly encoded or too many"))
	}
	return &Query{Table: t, Values: values, mistake: map[string]fault.Text{}}, nil
}

// Wrong notes what is wrong with a parameter. The first mistake counts.
func (q *Query) Wrong(name string, text fault.Text) {
	if _, ok := q.mistake[name]; !ok {
		q.mistake[name] = text
	}
}

func (q *Query) unknown(name string) {
	if len(name) > 50 {
		name = strings.ToValidUTF8(name[:50], "") + "…"
	}
	q.Wrong(name, fault.T("no es un parámetro conocido", "is not a known parameter"))
}

// One gives the value of a parameter that may come once.
func (q *Query) One(name string) string {
	v := q.Values[name]
	if len(v) > 1 {
		q.Wrong(name, fault.T("está repetido", "is repeated"))
	}
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// Text gives a bounded value.
func (q *Query) Text(name string) string {
	v := q.One(name)
	q.checkText(name, v)
	return v
}

func (q *Query) checkText(name, v string) {
	switch {
	case len([]rune(v)) > route.MaxValue:
		q.Wrong(name, fault.T(fmt.Sprintf("tiene más de %d caracteres", route.MaxValue), fmt.Sprintf("has more than %d characters", route.MaxValue)))
	case strings.ContainsRune(v, 0) || strings.ToValidUTF8(v, "") != v:
		q.Wrong(name, fault.T("no es texto válido", "is not valid text"))
	}
}

// Number reads a whole number between low and high; def when the parameter is absent.
func (q *Query) Number(name string, def, low, high int) int {
	if !q.Values.Has(name) {
		return def
	}
	v := q.One(name)
	n, err := strconv.Atoi(v)
	switch {
	case v != "" && strings.Trim(v, "0123456789") == "" && err != nil: // too many digits
		n = math.MaxInt
	case err != nil || strings.HasPrefix(v, "+"):
		q.Wrong(name, fault.T("debe ser un número entero", "must be a whole number"))
		return def
	}
	if n < low || n > high {
		if high == math.MaxInt {
			q.Wrong(name, fault.T(fmt.Sprintf("debe ser al menos %d", low), fmt.Sprintf("must be at least %d", low)))
		} else {
			q.Wrong(name, fault.T(fmt.Sprintf("debe estar entre %d y %d", low, high), fmt.Sprintf("must be between %d and %d", low, high)))
		}
		return def
	}
	return n
}

// pages reads page and how many rows one has.
func (q *Query) pages(l *Listing) {
	l.Limit = q.Number(q.Size, DefaultSize, 1, MaxPageSize)
	l.Page = q.Number("page", 1, 1, math.MaxInt)
	if l.Page-1 > MaxOffset/l.Limit {
		q.tooFar("page")
		return
	}
	l.Offset = (l.Page - 1) * l.Limit
}

func (q *Query) tooFar(name string) {
	q.Wrong(name, fault.T(
		fmt.Sprintf("no se puede ir más allá de la fila %d; use filtros", MaxOffset),
		fmt.Sprintf("cannot go beyond row %d; use filters", MaxOffset)))
}

// window decides which rows are asked for and in which dialect to answer.
func (q *Query) window(l *Listing, refined bool) {
	paged := q.Values.Has("page") || q.Values.Has(q.Size)
	ranged := q.Values.Has("_start") || q.Values.Has("_end")
	l.Bare = ranged || q.Values.Has("id") || refined && !paged
	switch {
	case ranged && paged:
		q.Wrong("_start", fault.T("no se combina con page ni "+q.Size, "does not go with page or "+q.Size))
	case ranged:
		start := q.Number("_start", 0, 0, math.MaxInt)
		if start > MaxOffset {
			q.tooFar("_start")
			return
		}
		end := q.Number("_end", start+DefaultSize, 0, math.MaxInt)
		if end <= start || end-start > MaxPageSize {
			q.Wrong("_end", fault.T(
				fmt.Sprintf("debe superar a _start en 1 a %d", MaxPageSize), fmt.Sprintf("must be 1 to %d more than _start", MaxPageSize)))
			return
		}
		l.Offset, l.Limit = start, end-start
	case paged || !l.Bare:
		q.pages(l)
	default: // pagination off: as much as there may be
		l.Limit = MaxPageSize
	}
}

// MalformedID is said of what cannot be an id.
var MalformedID = fault.T("no es un identificador de registro", "is not a record id")

// OneOf says which values a parameter takes.
func OneOf(choices []string) fault.Text {
	list := strings.Join(choices, ", ")
	return fault.T("debe ser uno de: "+list, "must be one of: "+list)
}

// AtMost says how many values a parameter takes.
func AtMost(n int) fault.Text {
	return fault.T(fmt.Sprintf("admite como mucho %d valores", n), fmt.Sprintf("takes at most %d values", n))
}

// filter reads column=value or column_<operator>=value, and reports whether it is the latter.
func (q *Query) filter(name string) (refined bool) {
	if c, ok := q.Column(name, rpc.Filtered); ok {
		values := q.Values[name]
		if len(values) > 1 {
			q.Add(name, c, Operator{Op: rpc.In, Arity: -1}, values)
		} else {
			q.Add(name, c, operators["eq"], values)
		}
		return false
	}
	i := strings.LastIndexByte(name, '_')
	if i < 0 {
		q.unknown(name)
		return false
	}
	op, known := operators[name[i+1:]]
	c, ok := q.Column(name[:i], rpc.Filtered)
	if !ok || !known {
		q.unknown(name)
		return false
	}
	values := q.Values[name]
	if op.Arity == -1 || op.Arity == 2 {
		values = q.List(c.Name, values)
	}
	q.Add(name, c, op, values)
	return true
}

// Add checks a filter and keeps it. Empty values are left out.
func (q *Query) Add(name string, c Column, op Operator, values []string) {
	if op.Arity == 0 {
		q.addNull(name, c.Name, op.Op)
		return
	}
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	switch {
	case len(values) == 0:
		return
	case op.text && !c.Kind.IsText() && c.Kind != rpc.Link:
		q.Wrong(name, fault.T("no se puede buscar texto en esa columna", "that column cannot be searched for text"))
		return
	case !op.text && !op.equality() && (c.Kind == rpc.Link || c.Kind == rpc.Bool):
		q.Wrong(name, fault.T("esa columna no tiene orden", "that column has no order"))
		return
	case op.Arity == 1 && len(values) > 1:
		q.Wrong(name, fault.T("está repetido", "is repeated"))
		return
	case op.Arity == 2 && len(values) != 2:
		q.Wrong(name, fault.T("necesita dos valores separados por una coma", "needs two values with a comma between them"))
		return
	case len(values) > MaxValues:
		q.Wrong(name, AtMost(MaxValues))
		return
	}
	for i, v := range values {
		if !q.CheckValue(name, c, op, v) {
			return
		}
		if offers, known := q.offers(c.Name); known && op.equality() {
			var ok bool
			if values[i], ok = offers.Find(v); !ok {
				if core, _ := schema.Find(c.Name); !slices.Contains(core.Names(), v) {
					q.Wrong(name, MustBeOffered(&offers))
					return
				}
				values[i] = v // the base has no such choice: nothing matches
			}
		}
	}
	if op.Op == rpc.In && len(values) == 1 {
		op.Op = rpc.Eq // the services know cheaper ways for it
	}
	q.Filters = append(q.Filters, rpc.Filter{Field: c.Name, Op: op.Op, Values: values})
}

// addNull reads field_null=true; false is the opposite, and no value is true.
func (q *Query) addNull(name, field string, op rpc.Op) {
	switch q.One(name) {
	case "true", "1", "":
	case "false", "0":
		op = map[rpc.Op]rpc.Op{rpc.Null: rpc.Nnull, rpc.Nnull: rpc.Null}[op]
	default:
		q.Wrong(name, mustBeBool)
		return
	}
	q.Filters = append(q.Filters, rpc.Filter{Field: field, Op: op})
}

// CheckValue checks that v can be compared with a column.
func (q *Query) CheckValue(name string, c Column, op Operator, v string) bool {
	before := len(q.mistake)
	q.checkText(name, v)
	switch kind := c.Kind; {
	case op.text:
	case kind == rpc.Number:
		if n, err := strconv.ParseFloat(v, 64); err != nil || math.IsInf(n, 0) || math.IsNaN(n) || strings.Trim(v, "0123456789.eE+-") != "" {
			q.Wrong(name, mustBeNumber)
		}
	case kind == rpc.Date && !event.ValidDate(v):
		q.Wrong(name, mustBeDate)
	case kind == rpc.Time:
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			q.Wrong(name, mustBeTime)
		}
	case kind == rpc.Bool && v != "true" && v != "false":
		q.Wrong(name, mustBeBool)
	case kind == rpc.Link && !ValidID(v):
		q.Wrong(name, fault.T("debe ser un identificador, un número entero positivo", "must be an id, a positive whole number"))
	case kind.IsText() && op.equality():
		if choices := q.Choices[c.Name]; choices != nil && !slices.Contains(choices, v) {
			list := strings.Join(choices, ", ")
			q.Wrong(name, fault.T("debe ser uno de: "+list, "must be one of: "+list))
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
func (o Operator) equality() bool {
	return o.Op == rpc.Eq || o.Op == rpc.Ne || o.Op == rpc.In || o.Op == rpc.Nin
}

// offers gives what a column offers whose choices are the base's own.
func (t *Table) offers(name string) (columns.Column, bool) {
	if t.Catalog == nil {
		return columns.Column{}, false
	}
	c, known := t.Catalog.Column(name)
	return c, known && (c.Kind == schema.Choice || c.Kind == schema.Choices)
}

// List gives the parts between commas of values, but those that are choices as they stand.
func (q *Query) List(name string, values []string) (parts []string) {
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

// MustBeOffered lists what a column offers.
func MustBeOffered(c *columns.Column) fault.Text {
	if list := c.Quoted(); list != (fault.Text{}) {
		return fault.T("debe ser uno de: "+list.ES, "must be one of: "+list.EN)
	}
	return fault.T(fmt.Sprintf("debe ser un texto de 1 a %d caracteres", event.MaxEditValue), fmt.Sprintf("must be a text of 1 to %d characters", event.MaxEditValue))
}

// sort reads sort=-a,b or _sort=a,b&_order=desc,asc.
func (q *Query) sort() []rpc.Sort {
	name, orders := "sort", split(q.Values["_order"])
	keys := split(q.Values["sort"])
	if q.Values.Has("_sort") || q.Values.Has("_order") {
		if q.Values.Has("sort") {
			q.Wrong("sort", fault.T("no se combina con _sort ni _order", "does not go with _sort or _order"))
			return nil
		}
		name, keys = "_sort", split(q.Values["_sort"])
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
				q.Wrong("_order", fault.T("debe ser asc o desc", "must be asc or desc"))
			}
		}
		c, ok := q.Column(field, rpc.Sorted)
		if !ok {
			list := strings.Join(q.Names(rpc.Sorted), ", ")
			q.Wrong(name, fault.T("debe ser una lista de: "+list, "must be a list of: "+list))
			return nil
		}
		if slices.ContainsFunc(sorts, func(s rpc.Sort) bool { return s.Field == c.Name }) {
			q.Wrong(name, fault.T(field+" está repetido", field+" is repeated"))
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

// Only reads a query that takes no parameters but names.
func Only(r *http.Request, names ...string) (*Query, error) {
	q, err := newQuery(r.URL.RawQuery, &Table{})
	if err != nil {
		return nil, err
	}
	for name := range q.Values {
		if !slices.Contains(names, name) {
			q.unknown(name)
		}
	}
	return q, nil
}

// Err names every parameter at fault.
func (q *Query) Err() error {
	if f := problem.Invalid(q.mistake); f != nil {
		return f
	}
	return nil
}

// None refuses any query parameter.
func None(r *http.Request) error {
	q, err := Only(r)
	if err != nil {
		return err
	}
	return q.Err()
}

// ValidID reports whether s is the id of one of Odoo's records.
func ValidID(s string) bool {
	id, err := strconv.ParseInt(s, 10, 32)
	return err == nil && id > 0 && s[0] != '+'
}
