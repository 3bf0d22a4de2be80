package store

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

// Bounds of what a request may ask for.
const (
	maxFilters = 50
	maxValues  = 1000
	maxValue   = 1000 // bytes
)

// operator describes an rpc.Op: how many values it takes and the SQL it becomes. A negated one
// keeps exactly what its counterpart drops, so empty cells too.
type operator struct {
	values   int    // -1: any number
	sql      string // a comparison
	before   string // of a LIKE: what goes before and after the escaped value
	after    string
	textOnly bool
	exact    bool // of a LIKE: case matters
	negated  bool
}

var operators = map[rpc.Op]operator{
	rpc.Eq: {values: 1, sql: "="}, rpc.Ne: {values: 1, sql: "=", negated: true},
	rpc.Lt: {values: 1, sql: "<"}, rpc.Lte: {values: 1, sql: "<="},
	rpc.Gt: {values: 1, sql: ">"}, rpc.Gte: {values: 1, sql: ">="},
	rpc.In: {values: -1, sql: "in"}, rpc.Nin: {values: -1, sql: "in", negated: true},
	rpc.Between: {values: 2, sql: "between"}, rpc.Nbetween: {values: 2, sql: "between", negated: true},
	rpc.Null: {sql: "is null"}, rpc.Nnull: {sql: "is null", negated: true},

	rpc.Contains:     {values: 1, textOnly: true, before: "%", after: "%"},
	rpc.Ncontains:    {values: 1, textOnly: true, before: "%", after: "%", negated: true},
	rpc.Containss:    {values: 1, textOnly: true, before: "%", after: "%", exact: true},
	rpc.Ncontainss:   {values: 1, textOnly: true, before: "%", after: "%", exact: true, negated: true},
	rpc.StartsWith:   {values: 1, textOnly: true, after: "%"},
	rpc.NstartsWith:  {values: 1, textOnly: true, after: "%", negated: true},
	rpc.StartsWiths:  {values: 1, textOnly: true, after: "%", exact: true},
	rpc.NstartsWiths: {values: 1, textOnly: true, after: "%", exact: true, negated: true},
	rpc.EndsWith:     {values: 1, textOnly: true, before: "%"},
	rpc.NendsWith:    {values: 1, textOnly: true, before: "%", negated: true},
	rpc.EndsWiths:    {values: 1, textOnly: true, before: "%", exact: true},
	rpc.NendsWiths:   {values: 1, textOnly: true, before: "%", exact: true, negated: true},
}

// args collects the parameters of a statement.
type args []any

// add gives the placeholder of a new parameter.
func (a *args) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}

// where is the condition of a set of filters.
type where struct {
	sql    string // of columns without a qualifier; never empty
	rollup bool   // the rollup's columns are enough to tell
}

// compile makes SQL of filters and search; every value becomes a parameter of a. Errors are
// fault.Invalid and name the field.
func compile(filters []rpc.Filter, search string, a *args) (where, error) {
	if len(filters) > maxFilters {
		return where{}, fault.Field("filters", fault.T("son demasiados", "are too many"))
	}
	w := where{rollup: true}
	conds := []string{"true"}
	for _, f := range filters {
		sql, err := compileFilter(f, a)
		if err != nil {
			return where{}, err
		}
		conds = append(conds, sql)
		w.rollup = w.rollup && columns[f.Field].rollup
	}
	if search != "" {
		if len(search) > maxValue {
			return where{}, tooLong("search")
		}
		p := a.add(like("%", fold(clean(search)), "%")) + "::text"
		conds = append(conds, "(name_fold like "+p+" or customer_fold like "+p+" or lower(record_id) like "+p+")")
		w.rollup = false
	}
	w.sql = strings.Join(conds, " and ")
	return w, nil
}

func compileFilter(f rpc.Filter, a *args) (string, error) {
	column, known := columnOf(f.Field)
	if !known || !column.Filter {
		return "", fault.Field(f.Field, fault.T("no es una columna por la que se pueda filtrar", "is not a column to filter by"))
	}
	op, known := operators[f.Op]
	if !known || op.textOnly && !column.Kind.IsText() {
		return "", fault.Field(f.Field, fault.T("no admite esa comparación", "cannot be compared that way"))
	}
	switch {
	case op.values >= 0 && len(f.Values) != op.values:
		return "", fault.Field(f.Field, fault.T("recibe otro número de valores", "takes another number of values"))
	case len(f.Values) > maxValues:
		return "", fault.Field(f.Field, fault.T("recibe demasiados valores", "has too many values"))
	}
	values := make([]string, len(f.Values))
	for i, v := range f.Values {
		var err error
		if values[i], err = column.parse(v); err != nil {
			return "", err
		}
	}
	sql := column.comparison(op, values, a)
	if op.negated {
		return "(" + sql + ") is not true", nil
	}
	return sql, nil
}

func (c column) comparison(op operator, values []string, a *args) string {
	field, cast := c.Name, "::"+c.cast()
	if op.textOnly {
		expr, v := field, values[0]
		if !op.exact {
			v = fold(v)
			if expr = c.folded; expr == "" || op.after == "" { // customer_fold may lack the end
				expr = namespace + ".fold(" + field + ")"
			}
		}
		return expr + " like " + a.add(like(op.before, v, op.after)) + cast
	}
	switch op.sql {
	case "is null":
		return field + " is null"
	case "in":
		return field + " = any(" + a.add(values) + cast + "[])"
	case "between":
		return field + " between " + a.add(values[0]) + cast + " and " + a.add(values[1]) + cast
	default:
		return field + " " + op.sql + " " + a.add(values[0]) + cast
	}
}

// fold gives the form in which text is compared when case is ignored.
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.ToLower(strings.ToUpper(s))
		}
	}
	return strings.ToLower(s) // the same in ASCII
}

// foldCustomer is fold, cut to the 500 characters that fit an index.
func foldCustomer(s string) string {
	s = fold(s)
	const longest = 500
	if len(s) <= longest {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > longest {
			return s[:i]
		}
	}
	return s
}

var escapeLike = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

func like(before, value, after string) string { return before + escapeLike.Replace(value) + after }

var number = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$`)

// parse checks one value of a filter against the column's kind.
func (c column) parse(v string) (string, error) {
	field := c.Name
	if len(v) > maxValue {
		return "", tooLong(field)
	}
	switch c.Kind {
	case schema.Number:
		if f, err := strconv.ParseFloat(v, 64); err != nil || math.IsInf(f, 0) || !number.MatchString(v) {
			return "", fault.Field(field, fault.T("no es un número", "is not a number"))
		}
	case schema.Date:
		if !event.ValidDate(v) || strings.HasPrefix(v, "0000") {
			return "", fault.Field(field, fault.T("no es una fecha AAAA-MM-DD", "is not a date YYYY-MM-DD"))
		}
	case schema.Time:
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil || t.UTC().Year() < 1 || t.UTC().Year() > 9999 {
			return "", fault.Field(field, fault.T("no es una fecha con hora (RFC 3339)", "is not a time (RFC 3339)"))
		}
		return t.UTC().Format(time.RFC3339Nano), nil
	default: // texts
		return clean(v), nil
	}
	return v, nil
}

func tooLong(field string) error {
	return fault.Field(field, fault.T("es demasiado largo", "is too long"))
}

// clean removes what a text column cannot hold: NUL, and bytes that are not UTF-8.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}
