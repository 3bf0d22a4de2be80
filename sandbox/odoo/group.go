package odootest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// grouping is one term of a groupby: a field, and of a time its granularity.
type grouping struct {
	spec  string
	f     *field
	grain string
}

// aggregate is one number made of a group.
type aggregate struct {
	key string // in the answer
	f   *field // nil counts rows
	how string
}

// group is the records that share their keys.
type group struct {
	keys    []any
	records []*record
	values  map[string]any
}

var grains = []string{"day", "week", "month", "quarter", "year"}

func (c *call) groupings(v any) ([]grouping, error) {
	if s, ok := v.(string); ok {
		v = []any{s}
	}
	specs, err := names(v)
	if err != nil {
		return nil, err
	}
	var out []grouping
	for _, spec := range specs {
		name, grain, _ := strings.Cut(spec, ":")
		f := c.model.fields[name]
		switch {
		case f == nil:
			return nil, valueError("Invalid field %s on model %s", repr(name), repr(c.model.name))
		case !f.stored && !f.sortable || f.kind == "one2many" || f.kind == "binary":
			return nil, valueError("Cannot convert %s.%s to SQL because it is not stored", c.model.name, name)
		case f.kind == "date" || f.kind == "datetime":
			grain = cmp.Or(grain, "month")
			if !slices.Contains(grains, grain) {
				return nil, valueError("Granularity specification isn't correct: %s", repr(grain))
			}
		case grain != "":
			return nil, valueError("Granularity set on a non-datetime or non-date field: %s", repr(spec))
		}
		out = append(out, grouping{spec, f, grain})
	}
	return out, nil
}

// aggregates reads field:how, and __count. Before 19's form a bare field is
// summed where it is a number and ignored where not, and its name is the key.
func (c *call) aggregates(v any, old bool) ([]aggregate, error) {
	specs, err := names(v)
	if err != nil {
		return nil, err
	}
	var out []aggregate
	for _, spec := range specs {
		if spec == "__count" {
			out = append(out, aggregate{key: spec, how: "count"})
			continue
		}
		name, how, given := strings.Cut(spec, ":")
		key := spec
		if old {
			key = name
			if h, arg, ok := strings.Cut(how, "("); ok {
				how, name = h, strings.TrimSuffix(arg, ")")
			}
		}
		f := c.model.fields[name]
		number := f != nil && (f.kind == "integer" || f.kind == "float" || f.kind == "monetary")
		switch {
		case f == nil:
			return nil, valueError("Invalid field %s on model %s", repr(name), repr(c.model.name))
		case old && !given && (!number || f.name == "id" || !f.stored):
			continue
		case old && !given:
			how = "sum"
		case !f.stored:
			return nil, valueError("Cannot convert %s.%s to SQL because it is not stored", c.model.name, name)
		case !slices.Contains([]string{"sum", "avg", "min", "max", "count", "count_distinct", "array_agg"}, how):
			return nil, valueError("Invalid aggregate method %s for %s", repr(how), repr(spec))
		}
		out = append(out, aggregate{key, f, how})
	}
	return out, nil
}

// gather groups the records that match; without a groupby they are one group.
func (c *call) gather(by []grouping, aggs []aggregate, order string) ([]*group, error) {
	found, err := c.search(c.model, c.args["domain"], "id")
	if err != nil {
		return nil, err
	}
	var groups []*group
	index := map[string]*group{}
	if len(by) == 0 {
		groups = []*group{{records: found}}
		found = nil
	}
	for _, r := range found {
		keys := make([]any, len(by))
		for i, g := range by {
			keys[i] = c.key(r, g)
		}
		id := fmt.Sprintf("%#v", keys)
		g := index[id]
		if g == nil {
			g = &group{keys: keys}
			index[id] = g
			groups = append(groups, g)
		}
		g.records = append(g.records, r)
	}
	for _, g := range groups {
		g.values = map[string]any{}
		for _, a := range aggs {
			g.values[a.key] = c.aggregate(g.records, a)
		}
	}
	return groups, c.arrange(groups, by, aggs, order)
}

// key is what a record is grouped by: times at the start of their period.
func (c *call) key(r *record, g grouping) any {
	v := c.get(r, g.f)
	at, isTime := v.(time.Time)
	switch g.f.kind {
	case "boolean":
		return v == true
	case "many2many":
		return fmt.Sprint(v)
	case "date":
		s, ok := v.(string)
		if !ok {
			return nil
		}
		at, _, _ = parseTime(s)
		isTime = true
	}
	if isTime {
		return period(at, g.grain).Format(secondLayout)
	}
	return v
}

func period(at time.Time, grain string) time.Time {
	day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	switch grain {
	case "week":
		return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	case "month":
		return day.AddDate(0, 0, 1-day.Day())
	case "quarter":
		return time.Date(at.Year(), (at.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC)
	case "year":
		return time.Date(at.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return day
}

func next(at time.Time, grain string) time.Time {
	switch grain {
	case "week":
		return at.AddDate(0, 0, 7)
	case "month":
		return at.AddDate(0, 1, 0)
	case "quarter":
		return at.AddDate(0, 3, 0)
	case "year":
		return at.AddDate(1, 0, 0)
	}
	return at.AddDate(0, 0, 1)
}

func (c *call) aggregate(records []*record, a aggregate) any {
	if a.f == nil {
		return len(records)
	}
	sum, n := 0.0, 0
	var least, most any
	seen := map[any]bool{}
	all := []any{}
	for _, r := range records {
		v := c.get(r, a.f)
		all = append(all, c.shown(r, a.f, true))
		if v == nil {
			continue
		}
		n++
		sum += asFloat(v)
		if _, ids := v.([]int); !ids {
			seen[v] = true
		}
		if least == nil || compareValues(v, least) < 0 {
			least = v
		}
		if most == nil || compareValues(v, most) > 0 {
			most = v
		}
	}
	switch a.how {
	case "count":
		return n
	case "count_distinct":
		return len(seen)
	case "array_agg":
		return all
	case "avg":
		if n == 0 {
			return false
		}
		return sum / float64(n)
	case "min":
		return plainTime(least)
	case "max":
		return plainTime(most)
	}
	switch {
	case n == 0:
		return false
	case a.f.kind == "integer":
		return int(sum)
	case a.f.kind == "monetary":
		return round(sum)
	}
	return sum
}

func plainTime(v any) any {
	switch v := v.(type) {
	case nil:
		return false
	case time.Time:
		return v.Format(secondLayout)
	}
	return v
}

// arrange sorts groups, by their keys unless told.
func (c *call) arrange(groups []*group, by []grouping, aggs []aggregate, order string) error {
	if order == "" {
		specs := make([]string, len(by))
		for i, g := range by {
			specs[i] = g.spec
		}
		order = strings.Join(specs, ", ")
	}
	if order == "" {
		return nil
	}
	var terms []func(a, b *group) int
	for part := range strings.SplitSeq(order, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		term, err := c.groupTerm(words[0], by, aggs)
		if err != nil {
			return err
		}
		if len(words) > 1 && strings.EqualFold(words[1], "desc") {
			up := term
			term = func(a, b *group) int { return up(b, a) }
		}
		terms = append(terms, term)
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		for _, t := range terms {
			if order := t(a, b); order != 0 {
				return order
			}
		}
		return 0
	})
	return nil
}

func (c *call) groupTerm(name string, by []grouping, aggs []aggregate) (func(a, b *group) int, error) {
	for i, g := range by {
		if g.spec != name && g.f.name != name {
			continue
		}
		if g.f.kind == "many2one" {
			inner, err := c.term(g.f, 0)
			if err != nil {
				return nil, err
			}
			return func(a, b *group) int { return inner(a.records[0], b.records[0]) }, nil
		}
		return func(a, b *group) int { return compareValues(a.keys[i], b.keys[i]) }, nil
	}
	i := slices.IndexFunc(aggs, func(a aggregate) bool { return a.key == name || strings.HasPrefix(name, a.key+":") })
	if i < 0 || aggs[i].how == "array_agg" {
		return nil, valueError("Order term %s is not a valid aggregate nor valid groupby", repr(name))
	}
	key := aggs[i].key
	return func(a, b *group) int {
		x, y := a.values[key], b.values[key]
		if x == false || y == false {
			return b2i(x == false) - b2i(y == false)
		}
		return compareValues(x, y)
	}, nil
}

var monthNames = map[string][]string{
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"es": {"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"},
}

// label is what people read for a period.
func (c *call) label(at time.Time, grain string) string {
	months := monthNames["en"]
	if strings.HasPrefix(c.lang, "es") {
		months = monthNames["es"]
	}
	switch grain {
	case "week":
		year, week := at.ISOWeek()
		return fmt.Sprintf("W%d %d", week, year)
	case "month":
		return fmt.Sprintf("%s %d", months[at.Month()-1], at.Year())
	case "quarter":
		return fmt.Sprintf("Q%d %d", (at.Month()+2)/3, at.Year())
	case "year":
		return at.Format("2006")
	}
	return fmt.Sprintf("%02d %.3s %d", at.Day(), months[at.Month()-1], at.Year())
}

// describe is a group's key as it is answered, the conditions that select it,
// and of a period its bounds.
func (c *call) describe(key any, g grouping, first *record) (shown any, conditions []any, bounds map[string]any) {
	if g.grain == "" {
		shown = c.shown(first, g.f, false)
		value := key
		if value == nil {
			value = false
		}
		return shown, []any{[]any{g.spec, "=", value}}, nil
	}
	if key == nil {
		return false, []any{[]any{g.f.name, "=", false}}, nil
	}
	at, _, _ := parseTime(fmt.Sprint(key)) // as key wrote it
	layout := secondLayout
	if g.f.kind == "date" {
		layout = dateLayout
	}
	from, to := at.Format(layout), next(at, g.grain).Format(layout)
	return []any{from, c.label(at, g.grain)}, []any{[]any{g.f.name, ">=", from}, []any{g.f.name, "<", to}}, map[string]any{"from": from, "to": to}
}

// conjunction puts conditions into Polish notation.
func conjunction(conditions []any) []any {
	out := []any{}
	for range len(conditions) - 1 {
		out = append(out, "&")
	}
	return append(out, conditions...)
}

func (c *call) formattedReadGroup() (any, error) {
	by, err := c.groupings(c.args["groupby"])
	if err != nil {
		return nil, err
	}
	aggs, err := c.aggregates(c.args["aggregates"], false)
	if err != nil {
		return nil, err
	}
	order, _ := c.args["order"].(string)
	groups, err := c.gather(by, aggs, order)
	if err != nil {
		return nil, err
	}
	if groups, err = window(groups, c.args["offset"], c.args["limit"]); err != nil {
		return nil, err
	}
	out := make([]any, len(groups))
	for i, g := range groups {
		row := map[string]any{}
		var all []any
		for j, b := range by {
			shown, conditions, _ := c.describe(g.keys[j], b, g.records[0])
			row[b.spec] = shown
			all = append(all, conditions...)
		}
		maps.Copy(row, g.values)
		if len(by) == 0 {
			all = []any{[]any{1, "=", 1}}
		}
		row["__extra_domain"] = conjunction(all)
		out[i] = row
	}
	return out, nil
}

// readGroup is the older form, deprecated in 19 and still answered there.
func (c *call) readGroup() (any, error) {
	by, err := c.groupings(c.args["groupby"])
	if err != nil {
		return nil, err
	}
	lazy := true
	if v, given := c.args["lazy"]; given {
		lazy = truth(v)
	}
	var rest []any
	if lazy && len(by) > 1 {
		for _, g := range by[1:] {
			rest = append(rest, g.spec)
		}
		by = by[:1]
	}
	aggs, err := c.aggregates(c.args["fields"], true)
	if err != nil {
		return nil, err
	}
	order, _ := c.args["orderby"].(string)
	groups, err := c.gather(by, aggs, order)
	if err != nil {
		return nil, err
	}
	if groups, err = window(groups, c.args["offset"], c.args["limit"]); err != nil {
		return nil, err
	}
	counted := "__count"
	if lazy && len(by) > 0 {
		counted = by[0].f.name + "_count"
	}
	out := make([]any, len(groups))
	for i, g := range groups {
		row := c.groupRow(g, by)
		row[counted] = len(g.records)
		if len(rest) > 0 {
			row["__context"] = map[string]any{"group_by": rest}
		}
		out[i] = row
	}
	return out, nil
}

func (c *call) groupRow(g *group, by []grouping) map[string]any {
	row := maps.Clone(g.values)
	ranges := map[string]any{}
	var all []any
	for j, b := range by {
		shown, conditions, bounds := c.describe(g.keys[j], b, g.records[0])
		row[b.spec] = shown
		if b.grain != "" {
			if pair, ok := shown.([]any); ok {
				row[b.spec] = pair[1]
			}
			ranges[b.spec] = false
			if bounds != nil {
				ranges[b.spec] = bounds
			}
		}
		all = append(all, conditions...)
	}
	domain := conjunction(all)
	asked, _ := c.args["domain"].([]any)
	switch {
	case len(asked) > 0 && len(all) > 0:
		domain = append(append([]any{"&"}, domain...), conjoin(asked)...)
	case len(asked) > 0:
		domain = conjoin(asked)
	}
	row["__domain"] = domain
	if len(ranges) > 0 && c.version >= 15 {
		row["__range"] = ranges
	}
	return row
}

// conjoin makes the ands of a domain explicit.
func conjoin(domain []any) []any {
	need := 1
	for _, item := range domain {
		switch item {
		case "&", "|":
			need++
		case "!":
		default:
			need--
		}
	}
	out := []any{}
	for range -need {
		out = append(out, "&")
	}
	return append(out, domain...)
}
