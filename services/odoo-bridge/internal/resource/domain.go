package resource

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// leaf is a condition of a domain.
func leaf(field, op string, value any) []any { return []any{field, op, value} }

// either joins domains of one term each by OR.
func either(terms ...[]any) []any {
	var domain []any
	for range len(terms) - 1 {
		domain = append(domain, "|")
	}
	for _, t := range terms {
		domain = append(domain, t...)
	}
	return domain
}

func one(l []any) []any { return []any{l} }

// domain gives Odoo's domain for a query, in its prefix notation.
func (r *resource) domain(scope Scope, q odooapi.Query) ([]any, error) {
	domain := append([]any{}, r.visible(scope)...)
	if len(q.IDs) > 0 {
		domain = append(domain, leaf("id", "in", q.IDs))
	} else {
		domain = append(domain, r.belonging()...)
	}
	for _, f := range q.Filters {
		terms, err := r.condition(f)
		if err != nil {
			return nil, err
		}
		domain = append(domain, terms...)
	}
	if search := strings.TrimSpace(odoo.CleanText(q.Search)); search != "" { // pasted with white space, as often as not
		var terms [][]any
		for _, f := range r.Fields {
			if from := r.field(f.Name); f.Has(rpc.Searched) && from != "" {
				terms = append(terms, one(leaf(from, "ilike", escapeLike(search))))
			}
		}
		domain = append(domain, either(terms...)...)
	}
	return domain, nil
}

// visible is the domain of what may be shown on those terms. Odoo stores of each partner whether it is no internal user.
func (r *resource) visible(scope Scope) []any {
	var domain []any
	if scope.HideInternal && r.HideInternal {
		domain = one(leaf("partner_share", "=", true))
	}
	if !r.IsOption() { // what a record is set to is shown, even if others can no longer be set to it
		domain = append(domain, r.only()...)
	}
	return domain
}

func (r *resource) only() (domain []any) {
	for _, c := range r.Only {
		domain = append(domain, leaf(c.Field, c.Op, c.Value))
	}
	return domain
}

// belonging is the domain of what is listed. Without the accounting module Odoo does not tell suppliers from customers:
// both are every company and every contact of none.
func (r *resource) belonging() []any {
	switch {
	case r.Rank == "":
		return r.only()
	case r.has[r.Rank].kind != "":
		return one(leaf(r.Rank, ">", 0))
	}
	return either(one(leaf("is_company", "=", true)), one(leaf("parent_id", "=", false)))
}

// pattern is how a text operator is written for Odoo.
type pattern struct {
	op            string
	before, after string
	negated       bool
}

var patterns = map[rpc.Op]pattern{
	rpc.Contains: {op: "ilike"}, rpc.Ncontains: {op: "ilike", negated: true},
	rpc.Containss: {op: "like"}, rpc.Ncontainss: {op: "like", negated: true},
	rpc.StartsWith: {op: "=ilike", after: "%"}, rpc.NstartsWith: {op: "=ilike", after: "%", negated: true},
	rpc.StartsWiths: {op: "=like", after: "%"}, rpc.NstartsWiths: {op: "=like", after: "%", negated: true},
	rpc.EndsWith: {op: "=ilike", before: "%"}, rpc.NendsWith: {op: "=ilike", before: "%", negated: true},
	rpc.EndsWiths: {op: "=like", before: "%"}, rpc.NendsWiths: {op: "=like", before: "%", negated: true},
}

var comparisons = map[rpc.Op]string{
	rpc.Eq: "=", rpc.Ne: "!=", rpc.Lt: "<", rpc.Lte: "<=", rpc.Gt: ">", rpc.Gte: ">=", rpc.In: "in", rpc.Nin: "not in",
}

var (
	everywhere = []any{leaf("id", "!=", false)}
	nowhere    = []any{leaf("id", "=", false)}
)

// condition gives the terms of one filter, which must hold together.
func (r *resource) condition(f rpc.Filter) ([]any, error) {
	field, ok := r.Field(f.Field)
	if !ok || !field.Has(rpc.Filtered) {
		return nil, unknownField(f.Field)
	}
	if err := checkCount(f); err != nil {
		return nil, err
	}
	from := r.field(f.Field)
	if where, apart := r.where(field); apart {
		return flagCondition(where, f)
	}
	if from == "" {
		return nil, notInstalled(f.Field)
	}
	switch p, isText := patterns[f.Op]; {
	case isText:
		if field.Kind != rpc.Text && field.Kind != rpc.Link {
			return nil, wrongOperator(f)
		}
		term := leaf(from, p.op, p.before+escapeLike(odoo.CleanText(f.Values[0]))+p.after)
		if p.negated { // what is empty does not contain it either
			return either(one(leaf(from, "=", false)), []any{"!", term}), nil
		}
		return one(term), nil
	case f.Op == rpc.Null || f.Op == rpc.Nnull:
		return null(from, field.Kind, f.Op), nil
	}
	return r.compare(from, field.Kind, f)
}

func null(from string, kind rpc.Kind, op rpc.Op) []any {
	switch {
	case kind == rpc.Number || kind == rpc.Bool: // never null in Odoo
		if op == rpc.Null {
			return nowhere
		}
		return everywhere
	case op == rpc.Null:
		return one(leaf(from, "=", false))
	}
	return one(leaf(from, "!=", false))
}

// flagCondition is a filter by a Bool that Odoo may have no field of its own for.
func flagCondition(where func(bool) []any, f rpc.Filter) ([]any, error) {
	if f.Op == rpc.Null || f.Op == rpc.Nnull {
		return nil, wrongOperator(f)
	}
	values := map[bool]bool{}
	for _, text := range f.Values {
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fault.Field(f.Field, mustBeBool)
		}
		values[v] = true
	}
	switch f.Op {
	case rpc.Eq, rpc.In:
	case rpc.Ne, rpc.Nin:
		values = map[bool]bool{true: !values[true], false: !values[false]}
	default:
		return nil, wrongOperator(f)
	}
	yes, no := where(true), where(false)
	switch {
	case yes == nil:
		return nil, notInstalled(f.Field)
	case values[true] && values[false]:
		return everywhere, nil
	case values[true]:
		return yes, nil
	case values[false]:
		return no, nil
	}
	return nowhere, nil
}

// compare is a filter by value.
func (r *resource) compare(from string, kind rpc.Kind, f rpc.Filter) ([]any, error) {
	values := make([]any, len(f.Values))
	for i, text := range f.Values {
		var err error
		if values[i], err = r.parse(from, kind, text, f.Field); err != nil {
			return nil, err
		}
	}
	ordered := f.Op != rpc.Eq && f.Op != rpc.Ne && f.Op != rpc.In && f.Op != rpc.Nin
	switch {
	case ordered && (kind == rpc.Link || kind == rpc.Bool):
		return nil, wrongOperator(f)
	case kind == rpc.Time:
		return times(from, f.Op, values), nil
	case f.Op == rpc.Between:
		return []any{leaf(from, ">=", values[0]), leaf(from, "<=", values[1])}, nil
	case f.Op == rpc.Nbetween:
		return either(one(leaf(from, "<", values[0])), one(leaf(from, ">", values[1]))), nil
	case !ordered && f.Field == r.was.Field && r.merges():
		values = slices.DeleteFunc(values, func(v any) bool { return v == r.was.Value })
		if slices.Contains(values, any(r.was.Now)) {
			values = slices.Concat(values, []any{r.was.Value})
		}
		op := "in"
		if f.Op == rpc.Ne || f.Op == rpc.Nin {
			op = "not in"
		}
		return one(leaf(from, op, values)), nil
	case f.Op == rpc.In || f.Op == rpc.Nin:
		return one(leaf(from, comparisons[f.Op], values)), nil
	}
	return one(leaf(from, comparisons[f.Op], values[0])), nil
}

// times compares by the second, as times are shown: Postgres keeps microseconds of some.
func times(from string, op rpc.Op, values []any) []any {
	at := func(i int) time.Time { return values[i].(time.Time) } //nolint:forcetypeassert // parse made them
	since := func(i int) []any { return leaf(from, ">=", at(i).Format(odooTime)) }
	after := func(i int) []any { return leaf(from, ">=", at(i).Add(time.Second).Format(odooTime)) }
	before := func(i int) []any { return leaf(from, "<", at(i).Format(odooTime)) }
	until := func(i int) []any { return leaf(from, "<", at(i).Add(time.Second).Format(odooTime)) }
	switch op {
	case rpc.Gt:
		return one(after(0))
	case rpc.Gte:
		return one(since(0))
	case rpc.Lt:
		return one(before(0))
	case rpc.Lte:
		return one(until(0))
	case rpc.Between:
		return []any{since(0), until(1)}
	case rpc.Nbetween:
		return either(one(before(0)), one(after(1)))
	default:
	}
	var same [][]any
	var other []any
	for i := range values {
		same = append(same, []any{"&", since(i), until(i)})
		other = append(other, either(one(before(i)), one(after(i)), one(leaf(from, "=", false)))...)
	}
	if op == rpc.Eq || op == rpc.In {
		return either(same...)
	}
	return other
}

var mustBeBool = fault.T("debe ser true o false", "must be true or false")

// parse reads a value of a filter.
func (r *resource) parse(from string, kind rpc.Kind, text, name string) (any, error) {
	switch kind {
	case rpc.Number:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return nil, fault.Field(name, fault.T("debe ser un número", "must be a number"))
		}
		if n == math.Trunc(n) && math.Abs(n) < 1<<31 {
			return int64(n), nil
		}
		if r.has[from].kind == "integer" && math.Abs(n) >= 1<<31 {
			return nil, fault.Field(name, fault.T("es demasiado grande", "is too large"))
		}
		return n, nil
	case rpc.Link:
		id, err := strconv.ParseInt(text, 10, 32)
		if err != nil || id <= 0 {
			return nil, fault.Field(name, fault.T("debe ser un identificador, un número entero positivo", "must be an id, a positive whole number"))
		}
		return id, nil
	case rpc.Bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fault.Field(name, mustBeBool)
		}
		return v, nil
	case rpc.Date:
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return nil, fault.Field(name, mustBeDate)
		}
		return text, nil
	case rpc.Time:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.Year() < 1 || at.Year() > 9998 {
			return nil, fault.Field(name, mustBeTime)
		}
		return at.UTC().Truncate(time.Second), nil
	default:
		return odoo.CleanText(text), nil
	}
}

var (
	mustBeDate = fault.T("debe ser una fecha, AAAA-MM-DD", "must be a date, YYYY-MM-DD")
	mustBeTime = fault.T("debe ser fecha y hora, RFC 3339", "must be a date and time, RFC 3339")
)

// checkCount checks how many values an operator is given.
func checkCount(f rpc.Filter) error {
	low, high := 1, 1
	switch f.Op {
	case rpc.In, rpc.Nin:
		low, high = 0, odooapi.MaxLimit
	case rpc.Between, rpc.Nbetween:
		low, high = 2, 2
	case rpc.Null, rpc.Nnull:
		low, high = 0, 0
	default:
		_, compares := comparisons[f.Op]
		if _, text := patterns[f.Op]; !compares && !text {
			return wrongOperator(f)
		}
	}
	if n := len(f.Values); n < low || n > high {
		return fault.Field(f.Field, fault.T("tiene un número de valores que no corresponde al operador", "has a number of values that does not fit the operator"))
	}
	return nil
}

// escapeLike takes their meaning from the wildcards of a pattern.
func escapeLike(s string) string { return likeEscaper.Replace(s) }

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// sortBy gives Odoo's order, which id makes total.
func (r *resource) sortBy(sorts []rpc.Sort) (string, error) {
	var keys []string
	if len(sorts) == 0 {
		name, desc := strings.CutPrefix(r.Sort, "-")
		sorts = []rpc.Sort{{Field: name, Desc: desc}}
	}
	for _, s := range sorts {
		field, ok := r.Field(s.Field)
		from := r.field(s.Field)
		switch {
		case !ok || !field.Has(rpc.Sorted):
			return "", unknownField(s.Field)
		case from == "":
			return "", notInstalled(s.Field)
		case !r.has[from].sortable:
			return "", fault.Field(s.Field, fault.T("este Odoo no puede ordenar por este campo", "this Odoo cannot sort by this field"))
		case s.Desc:
			from += " desc"
		}
		keys = append(keys, from)
	}
	return strings.Join(append(keys, "id"), ", "), nil
}

func unknownField(name string) error {
	return fault.Field(name, fault.T("no es un campo conocido", "is not a known field"))
}

func notInstalled(name string) error {
	return fault.Field(name, fault.T("el módulo de este campo no está instalado en Odoo", "the module of this field is not installed in Odoo"))
}

func wrongOperator(f rpc.Filter) error {
	known := slices.Sorted(maps.Keys(comparisons))
	if slices.Contains(known, f.Op) || patterns[f.Op].op != "" || f.Op == rpc.Null || f.Op == rpc.Nnull {
		return fault.Field(f.Field, fault.T(fmt.Sprintf("no admite el operador %s", f.Op), fmt.Sprintf("does not take the operator %s", f.Op)))
	}
	return fault.Field(f.Field, fault.T("tiene un operador desconocido", "has an unknown operator"))
}
