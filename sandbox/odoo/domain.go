package odootest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// predicate tells whether a record matches a domain.
type predicate func(*record) bool

// condition is one leaf of a domain.
type condition struct {
	m     *model
	field string
	op    string
	value any
}

var operators = []string{
	"=", "!=", "<>", "==", "<", "<=", ">", ">=", "=?", "in", "not in", "like", "not like", "ilike", "not ilike",
	"=like", "=ilike", "not =like", "not =ilike", "child_of", "parent_of", "any", "not any",
}

// parse compiles a domain in Polish notation. Fields used are added to used.
func (e *env) parse(m *model, domain any, used map[string]bool) (predicate, error) {
	items, ok := domain.([]any)
	if !ok {
		if !truth(domain) {
			return func(*record) bool { return true }, nil
		}
		return nil, valueError("Domain() invalid item in domain: %s", repr(domain))
	}
	var stack []predicate
	for _, item := range slices.Backward(items) {
		switch item := item.(type) {
		case string:
			n := 2
			if item == "!" {
				n = 1
			} else if item != "&" && item != "|" {
				return nil, valueError("Domain() invalid item in domain: %s", repr(item))
			}
			if len(stack) < n {
				return nil, valueError("Domain() malformed domain %s", repr(domain))
			}
			a := stack[len(stack)-1]
			b := stack[len(stack)-n]
			stack = append(stack[:len(stack)-n], combine(item, a, b))
		case []any:
			p, err := e.leaf(m, item, used)
			if err != nil {
				return nil, err
			}
			stack = append(stack, p)
		default:
			return nil, valueError("Domain() invalid item in domain: %s", repr(item))
		}
	}
	return func(r *record) bool {
		for _, p := range stack {
			if !p(r) {
				return false
			}
		}
		return true
	}, nil
}

func combine(op string, a, b predicate) predicate {
	switch op {
	case "!":
		return func(r *record) bool { return !a(r) }
	case "|":
		return func(r *record) bool { return a(r) || b(r) }
	}
	return func(r *record) bool { return a(r) && b(r) }
}

func (e *env) leaf(m *model, item []any, used map[string]bool) (predicate, error) {
	if len(item) != 3 {
		return nil, valueError("Domain() invalid item in domain: %s", repr(item))
	}
	if one, ok := item[0].(int); ok { // (1, '=', 1) and (0, '=', 1)
		yes := one == 1
		return func(*record) bool { return yes }, nil
	}
	name, _ := item[0].(string)
	op, _ := item[1].(string)
	op = strings.ToLower(op)
	c := condition{m, name, op, item[2]}
	if !slices.Contains(operators, op) {
		return nil, valueError("Invalid operator in condition (%s, %s, %s)", repr(name), repr(item[1]), repr(item[2]))
	}
	switch op {
	case "<>":
		c.op = "!="
	case "==":
		c.op = "="
	case "=?":
		if !truth(c.value) {
			return func(*record) bool { return true }, nil
		}
		c.op = "="
	}
	first, rest, dotted := strings.Cut(name, ".")
	f := m.fields[first]
	if f == nil {
		return nil, valueError("Invalid field %s.%s in condition (%s, %s, %s)", m.name, first, repr(name), repr(item[1]), repr(item[2]))
	}
	used[first] = true
	if f.unsearchable {
		if e.version < 18 { // they log it and search on
			return func(*record) bool { return true }, nil
		}
		return nil, valueError("Cannot convert %s.%s to SQL because it is not stored", m.name, f.name)
	}
	if dotted {
		return e.path(c, f, rest)
	}
	return e.compare(c, f)
}

// path follows a dotted field: it matches if any linked record does. Negative
// operators are those of the last field, as in Odoo before 19's "any".
func (e *env) path(c condition, f *field, rest string) (predicate, error) {
	if f.rel == "" {
		if (f.kind == "datetime" || f.kind == "date") && slices.Contains([]string{"year_number", "month_number"}, rest) {
			return e.datePart(c, f, rest), nil
		}
		return nil, valueError("Invalid field %s.%s in condition (%s, %s, %s)", c.m.name, c.field, repr(c.field), repr(c.op), repr(c.value))
	}
	sub, err := e.leaf(e.models[f.rel], []any{rest, c.op, c.value}, map[string]bool{})
	if err != nil {
		return nil, err
	}
	empty := (c.op == "=" || c.op == "in" && holdsEmpty(c.value)) && !truth(c.value)
	return func(r *record) bool {
		ids := e.linked(r, f)
		if len(ids) == 0 {
			return empty
		}
		return slices.ContainsFunc(ids, func(id int) bool { return sub(e.row(f.rel, id)) })
	}, nil
}

func holdsEmpty(v any) bool {
	values, _ := v.([]any)
	return slices.Contains(values, any(false)) || slices.Contains(values, nil)
}

func (e *env) datePart(c condition, f *field, part string) predicate {
	return func(r *record) bool {
		s := e.shown(r, f, true)
		text, ok := s.(string)
		if !ok {
			return false
		}
		at, _, _ := parseTime(text)
		n := at.Year()
		if part == "month_number" {
			n = int(at.Month())
		}
		return holds(c.op, cmp.Compare(n, toInt(c.value)))
	}
}

func toInt(v any) int {
	n, err := toInteger(v)
	if err != nil {
		return 0
	}
	return n
}

// linked returns the existing records behind a relational field.
func (e *env) linked(r *record, f *field) []int {
	var ids []int
	switch v := e.get(r, f).(type) {
	case int:
		ids = []int{v}
	case []int:
		ids = e.active(f, v)
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id int) bool { return e.row(f.rel, id) == nil })
}

func holds(op string, order int) bool {
	switch op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	return false
}

func (e *env) compare(c condition, f *field) (predicate, error) {
	base, negative := strings.CutPrefix(c.op, "not ")
	switch {
	case base == "any":
		if f.rel == "" {
			return nil, valueError("Cannot use 'any' with non-relational fields in condition (%s, %s, %s)", repr(c.field), repr(c.op), repr(c.value))
		}
		sub, err := e.parse(e.models[f.rel], c.value, map[string]bool{})
		if err != nil {
			return nil, err
		}
		return func(r *record) bool {
			return negative != slices.ContainsFunc(e.linked(r, f), func(id int) bool { return sub(e.row(f.rel, id)) })
		}, nil
	case strings.HasSuffix(base, "like"):
		return e.like(f, base, negative, c.value), nil
	case base == "child_of" || base == "parent_of":
		return e.hierarchy(f, c)
	case f.rel != "":
		return e.relation(f, c)
	case base == "in":
		return e.in(f, c, negative)
	}
	return e.scalar(f, c)
}

// in is the union of equalities.
func (e *env) in(f *field, c condition, negative bool) (predicate, error) {
	values, ok := c.value.([]any)
	if !ok {
		values = []any{c.value}
	}
	if len(values) > 64 && (f.kind == "integer" || f.kind == "char") && !holdsEmpty(c.value) { // by hash
		set := make(map[any]bool, len(values))
		for _, v := range values {
			set[v] = true
		}
		return func(r *record) bool { return negative != set[e.get(r, f)] }, nil
	}
	var each []predicate
	for _, v := range values {
		p, err := e.scalar(f, condition{c.m, c.field, "=", v})
		if err != nil {
			return nil, err
		}
		each = append(each, p)
	}
	return func(r *record) bool {
		return negative != slices.ContainsFunc(each, func(p predicate) bool { return p(r) })
	}, nil
}

func (e *env) scalar(f *field, c condition) (predicate, error) {
	v, op := c.value, c.op
	if v == nil {
		v = false
	}
	switch f.kind {
	case "boolean":
		want := truth(v)
		return func(r *record) bool { return holds(op, b2i(e.get(r, f) == true)-b2i(want)) }, nil
	case "integer", "float", "monetary":
		want, err := toFloat(v)
		if err != nil {
			return nil, err
		}
		return func(r *record) bool { return holds(op, cmp.Compare(asFloat(e.get(r, f)), want)) }, nil
	case "datetime":
		return e.moment(f, op, v)
	}
	if v == false {
		return func(r *record) bool {
			s := e.get(r, f)
			none := s == nil || s == "" && op == "="
			return op == "=" && none || op == "!=" && !none
		}, nil
	}
	want, ok := v.(string)
	if !ok {
		want = repr(v)
	}
	return func(r *record) bool {
		s, ok := e.get(r, f).(string)
		if !ok {
			return op == "!="
		}
		return holds(op, strings.Compare(s, want))
	}, nil
}

// moment compares times. From 19 on they are compared by whole seconds, before
// that to the microsecond (odoo/orm/domains.py, _optimize_type_datetime).
func (e *env) moment(f *field, op string, v any) (predicate, error) {
	if v == false {
		return func(r *record) bool { return (e.get(r, f) == nil) == (op == "=") && (op == "=" || op == "!=") }, nil
	}
	s, _ := v.(string)
	want, day, err := parseTime(s)
	if err != nil {
		return nil, valueError("Invalid isoformat string: %s", repr(v))
	}
	unit := time.Microsecond
	switch {
	case day && (op == ">" || op == "<="):
		unit = 24 * time.Hour
	case e.version >= 19:
		unit = time.Second
	}
	return func(r *record) bool {
		at, ok := e.get(r, f).(time.Time)
		if !ok {
			return op == "!="
		}
		return holds(op, at.Truncate(unit).Compare(want.Truncate(unit)))
	}, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func asFloat(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	}
	return 0
}

// like matches SQL patterns, on the display name of linked records.
func (e *env) like(f *field, op string, negative bool, v any) predicate {
	pattern, ok := v.(string)
	if !ok && truth(v) {
		pattern = repr(v)
	}
	if !strings.HasPrefix(op, "=") {
		if pattern == "" {
			return func(*record) bool { return !negative }
		}
		pattern = "%" + pattern + "%"
	}
	re := likeRegexp(pattern, strings.HasSuffix(op, "ilike"))
	return func(r *record) bool {
		if f.rel != "" {
			return negative != slices.ContainsFunc(e.linked(r, f), func(id int) bool { return re.MatchString(e.text(e.row(f.rel, id), "display_name")) })
		}
		switch s := e.get(r, f).(type) {
		case nil:
			return negative
		case string:
			return negative != re.MatchString(s)
		default:
			return negative != re.MatchString(fmt.Sprint(s))
		}
	}
}

// likeRegexp translates a pattern of SQL's LIKE: %, _ and backslash.
func likeRegexp(pattern string, foldCase bool) *regexp.Regexp {
	var sb strings.Builder
	sb.WriteString("(?s")
	if foldCase {
		sb.WriteByte('i')
	}
	sb.WriteString(")^")
	escaped := false
	for _, c := range pattern {
		switch {
		case escaped:
			sb.WriteString(regexp.QuoteMeta(string(c)))
			escaped = false
		case c == '\\':
			escaped = true
		case c == '%':
			sb.WriteString(".*")
		case c == '_':
			sb.WriteByte('.')
		default:
			sb.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	sb.WriteByte('$')
	return regexp.MustCompile(sb.String())
}

// relation compares a many2one or x2many with ids, names or emptiness.
func (e *env) relation(f *field, c condition) (predicate, error) {
	op := c.op
	if op != "=" && op != "!=" && op != "in" && op != "not in" {
		return nil, valueError("Invalid operator in condition (%s, %s, %s)", repr(c.field), repr(c.op), repr(c.value))
	}
	values, ok := c.value.([]any)
	if !ok {
		values = []any{c.value}
	}
	wanted, empty := map[int]bool{}, false
	for _, v := range values {
		switch v := v.(type) {
		case int:
			wanted[v] = true
		case string:
			for id, r := range e.tables[f.rel].rows {
				if e.text(r, "display_name") == v {
					wanted[id] = true
				}
			}
		default:
			empty = empty || !truth(v)
		}
	}
	negative := op == "!=" || op == "not in"
	return func(r *record) bool {
		ids := e.linked(r, f)
		return negative != (len(ids) == 0 && empty || slices.ContainsFunc(ids, func(id int) bool { return wanted[id] }))
	}, nil
}

// hierarchy resolves child_of and parent_of along parent_id.
func (e *env) hierarchy(f *field, c condition) (predicate, error) {
	model := cmp.Or(f.rel, c.m.name)
	if f.rel == "" && f.name != "id" {
		return nil, valueError("Cannot execute %s for %s, works only for relational fields in condition (%s, %s, %s)", c.op, c.field, repr(c.field), repr(c.op), repr(c.value))
	}
	roots, ok := toIDs(c.value)
	if name, text := c.value.(string); text {
		re := likeRegexp("%"+name+"%", true)
		for id, r := range e.tables[model].rows {
			if re.MatchString(e.text(r, "display_name")) {
				roots = append(roots, id)
			}
		}
	} else if !ok {
		return nil, valueError("Invalid value in condition (%s, %s, %s)", repr(c.field), repr(c.op), repr(c.value))
	}
	below := func(id int, above []int) bool {
		for range maxDepth {
			if slices.Contains(above, id) {
				return true
			}
			r := e.row(model, id)
			if r == nil {
				return false
			}
			id, _ = e.value(r, "parent_id").(int)
		}
		return false
	}
	return func(r *record) bool {
		ids := []int{r.id}
		if f.rel != "" {
			ids = e.linked(r, f)
		}
		return slices.ContainsFunc(ids, func(id int) bool {
			if c.op == "child_of" {
				return below(id, roots)
			}
			return slices.ContainsFunc(roots, func(root int) bool { return below(root, []int{id}) })
		})
	}, nil
}

var orderSpec = regexp.MustCompile(`(?i)^(\s*[a-z0-9_.:]+(\s+(desc|asc))?(\s+nulls\s+(first|last))?\s*,)*\s*[a-z0-9_.:]+(\s+(desc|asc))?(\s+nulls\s+(first|last))?\s*$`)

// sorter compares records as ORDER BY does: no value comes last, descending first.
func (e *env) sorter(m *model, order string, depth int) (func(a, b *record) int, error) {
	if !orderSpec.MatchString(order) {
		text := fmt.Sprintf("Invalid \"order\" specified (%s). A valid \"order\" specification is a comma-separated list of valid field names (optionally followed by asc/desc for the direction)", order)
		return nil, userError(text, "")
	}
	var terms []func(a, b *record) int
	for part := range strings.SplitSeq(order, ",") {
		words := strings.Fields(part)
		f := m.fields[words[0]]
		if f == nil {
			return nil, valueError("Invalid field %s on model %s", repr(words[0]), repr(m.name))
		}
		if !f.sortable {
			return nil, valueError("Cannot convert %s.%s to SQL because it is not stored", m.name, f.name)
		}
		term, err := e.term(f, depth)
		if err != nil {
			return nil, err
		}
		if term == nil {
			continue
		}
		if len(words) > 1 && strings.EqualFold(words[1], "desc") {
			up := term
			term = func(a, b *record) int { return up(b, a) }
		}
		terms = append(terms, term)
	}
	return func(a, b *record) int {
		for _, t := range terms {
			if c := t(a, b); c != 0 {
				return c
			}
		}
		return 0
	}, nil
}

// term compares by one field; a many2one by the order of what it links to.
func (e *env) term(f *field, depth int) (func(a, b *record) int, error) {
	if f.kind != "many2one" {
		return func(a, b *record) int { return compareValues(e.get(a, f), e.get(b, f)) }, nil
	}
	if depth > 2 {
		return nil, nil // Odoo, too, stops at a loop
	}
	co := e.models[f.rel]
	inner, err := e.sorter(co, co.order, depth+1)
	if err != nil {
		return nil, err
	}
	return func(a, b *record) int {
		x, y := e.follow(a, f.name), e.follow(b, f.name)
		if x == nil || y == nil {
			return b2i(x == nil) - b2i(y == nil)
		}
		return inner(x, y)
	}, nil
}

func compareValues(a, b any) int {
	if a == nil || b == nil {
		return b2i(a == nil) - b2i(b == nil)
	}
	switch a := a.(type) {
	case string:
		other, _ := b.(string)
		return strings.Compare(a, other)
	case time.Time:
		other, _ := b.(time.Time)
		return a.Compare(other)
	case bool:
		return b2i(a) - b2i(b == true)
	}
	return cmp.Compare(asFloat(a), asFloat(b))
}

// search returns the matching records in order.
func (e *env) search(m *model, domain any, order string) ([]*record, error) {
	used := map[string]bool{}
	match, err := e.parse(m, domain, used)
	if err != nil {
		return nil, err
	}
	compare, err := e.sorter(m, cmp.Or(order, m.order), 0)
	if err != nil {
		return nil, err
	}
	active := m.fields["active"]
	if !e.activeTest || used["active"] {
		active = nil
	}
	t := e.tables[m.name]
	var found []*record
	for _, id := range t.ids {
		r := t.rows[id]
		if (active == nil || e.get(r, active) == true) && match(r) && e.visible(r) {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, compare)
	return found, nil
}
