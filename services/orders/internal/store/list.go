package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// Bounds of a page.
const (
	maxLimit  = 1000
	maxOffset = 1_000_000_000
)

// Page is a page of orders, or its beginning.
type Page struct {
	Docs  []byte // a JSON array
	Total int64  // of all that match; -1 when not asked for
	Next  string // the cursor after the last row; "" at the end
	Rest  int    // rows of the page after Next, which did not fit
}

// List answers ordersapi.SubjectList. Of a page that takes more than size bytes, its cursor included, it gives the
// beginning, which has one order at least.
func (s *Store) List(ctx context.Context, q ordersapi.Query, size int) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	keys, err := sortKeys(q.Sort)
	if err != nil {
		return Page{}, err
	}
	if q.Limit < 1 || q.Limit > maxLimit {
		return Page{}, fault.Field("limit", fault.T("debe estar entre 1 y 1000", "must be between 1 and 1000"))
	}
	if q.Offset < 0 || q.Offset > maxOffset {
		return Page{}, fault.Field("offset", fault.T("está fuera de rango", "is out of range"))
	}
	if q.After != "" || q.NoTotal {
		return s.walk(ctx, q, keys, size)
	}
	from, sql, a, err := s.pageSQL(q, keys)
	if err != nil {
		return Page{}, err
	}
	var (
		page Page
		rows int64
		last *string
	)
	if err := from.QueryRow(ctx, sql, a...).Scan(&page.Total, &page.Docs, &rows, &last); err != nil {
		return Page{}, readError(err)
	}
	if last != nil && int64(q.Offset)+rows < page.Total {
		page.Next = encodeCursor(keys, *last)
	}
	if len(page.Docs)+len(page.Next) <= size {
		return page, nil
	}
	q.NoTotal = true
	beginning, err := s.walk(ctx, q, keys, size)
	beginning.Total = page.Total
	return beginning, err
}

// key is one sort key. The last one is always record_id; before it, unless asked for, comes created_at,
// newest first.
type key struct {
	field string
	desc  bool
}

func sortKeys(sorts []rpc.Sort) ([]key, error) {
	if len(sorts) == 0 {
		sorts = []rpc.Sort{{Field: "order_date", Desc: true}}
	}
	var keys []key
	seen := map[string]bool{}
	for _, s := range sorts {
		if c, known := columnOf(s.Field); !known || !c.Sort {
			return nil, fault.Field("sort", fault.T("no se puede ordenar por "+clean(s.Field), "cannot sort by "+clean(s.Field)))
		}
		if seen[s.Field] {
			continue // ties are already broken
		}
		seen[s.Field] = true
		keys = append(keys, key{s.Field, s.Desc})
		if s.Field == "record_id" {
			return keys, nil // total: what follows never matters
		}
	}
	if !seen["created_at"] {
		keys = append(keys, key{"created_at", true})
	}
	return append(keys, key{field: "record_id"}), nil
}

// byDate tells that the rows are sorted by date, and on each day as the index has them.
func byDate(keys []key) bool {
	return len(keys) == 3 && keys[0].field == "order_date" && keys[1] == key{"created_at", true}
}

// neverEmpty tells which cells need no place for empty ones in the order.
func (k key) neverEmpty() bool {
	return !columns[k.field].Cell
}

// expr is the expression to sort by. Empty cells come last in both directions; in day, the
// indexed form of order_date, they are the oldest already.
func (k key) expr() string {
	if k.field == "order_date" && k.desc {
		return "day"
	}
	return k.field
}

func (k key) order() string {
	switch {
	case k.field == "order_date" && k.desc:
		return "day desc"
	case k.neverEmpty() && k.desc:
		return k.field + " desc"
	case k.neverEmpty():
		return k.field
	case k.desc:
		return k.field + " desc nulls last"
	}
	return k.field + " nulls last"
}

func orderBy(keys []key) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = k.order()
	}
	return " order by " + strings.Join(parts, ", ")
}

// cursorSQL gives a row's sort keys as a JSON array of texts.
func cursorSQL(keys []key) string {
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = k.expr() + "::text"
	}
	return "json_build_array(" + strings.Join(parts, ", ") + ")::text"
}

// pageSQL chooses how to fetch a page by offset with its total. Every statement answers one row:
// total, the docs as a JSON array, how many, and the sort keys of the last.
func (s *Store) pageSQL(q ordersapi.Query, keys []key) (_ pool, sql string, a args, err error) {
	const shallow = 100 // skipping so many rows costs less than finding the day
	plain := len(q.Filters) == 0 && q.Search == ""
	if plain && byDate(keys) && keys[0].desc {
		if q.Offset <= shallow {
			return s.fixed, firstPagesSQL, args{q.Limit, q.Offset}, nil
		}
		return s.fixed, deepPageSQL, args{q.Limit, q.Offset}, nil
	}
	if fragment, ok := customerSearch(q); ok && byDate(keys) && keys[0].desc {
		if len(fragment) > maxValue {
			return pool{}, "", nil, tooLong("customer")
		}
		sql := customerPageSQL
		if len([]rune(fragment)) < 3 { // fewer than three letters make no trigram
			sql = shortCustomerPageSQL
		}
		return s.fixed, sql, args{q.Limit, q.Offset, like("%", fold(clean(fragment)), "%")}, nil
	}
	w, err := compile(q.Filters, q.Search, &a)
	if err != nil {
		return pool{}, "", nil, err
	}
	if byDate(keys) && w.rollup {
		return s.adhoc, datePageSQL(q, keys, w, &a), a, nil
	}
	total := "(select count(*) from orders.orders where " + w.sql + ")"
	if w.rollup {
		total = "(select coalesce(sum(n), 0)::bigint from orders.rollup where dim = 'cube' and " + w.sql + ")"
	}
	return s.adhoc, wrap("", total, keyedPageSQL(keys, w.sql, &a, q.Offset, q.Limit), keys), a, nil
}

// customerSearch gives the fragment of a query that only asks for customers that contain it.
func customerSearch(q ordersapi.Query) (string, bool) {
	if q.Search != "" || len(q.Filters) != 1 {
		return "", false
	}
	f := q.Filters[0]
	return strings.Join(f.Values, ""), f.Field == "customer" && f.Op == rpc.Contains && len(f.Values) == 1
}

// wrap makes the one row of pageSQL from a page: rows with doc and the sort keys, in order.
func wrap(with, total, page string, keys []key) string {
	return with + "select " + total + `, '[' || coalesce(string_agg(doc, ','), '') || ']', count(*),
		(array_agg(` + cursorSQL(keys) + `))[count(*)::int] from (` + page + ") page"
}

// keyedPageSQL sorts the keys alone and fetches the docs of the page afterwards: a sort that
// carried them along would not fit in memory.
func keyedPageSQL(keys []key, cond string, a *args, offset, limit int) string {
	cols := make([]string, 0, len(keys))
	for _, k := range keys {
		if k.field != "record_id" {
			cols = append(cols, k.expr())
		}
	}
	cols = append(cols, "record_id")
	return "select " + strings.Join(cols, ", ") + ", doc from (select " + strings.Join(cols, ", ") + " from orders.orders where " + cond +
		orderBy(keys) + " offset " + a.add(offset) + "::bigint limit " + a.add(limit) + "::bigint) k join (select record_id, doc from orders.orders) d using (record_id)" +
		orderBy(keys)
}

// The newest orders first, from the index; the total is one row of the rollup.
const firstPagesSQL = `
select (select coalesce(sum(n), 0)::bigint from orders.rollup where dim = 'all'),
       '[' || coalesce(string_agg(doc, ','), '') || ']', count(*), (array_agg(json_build_array(day::text, created_at::text, record_id)::text))[count(*)::int]
from (select day, created_at, record_id, doc from orders.orders order by day desc, created_at desc, record_id limit $1::bigint offset $2::bigint) page`

// A page far down: the rollup tells in which month the offset falls, then on which day, and only
// that day's rows before it are skipped.
const deepPageSQL = `
with month as materialized (
    select day, (day + interval '1 month - 1 day')::date as last_day, upto - n as before
    from (select day, n, (sum(n) over (order by day desc))::bigint as upto from orders.rollup where dim = 'month' and n > 0) m
    where upto > $2::bigint order by day desc limit 1
), start as materialized (
    select day, upto - n as before
    from (select day, n, (select before from month) + (sum(n) over (order by day desc))::bigint as upto from orders.rollup
          where dim = 'day' and n > 0 and day between (select day from month) and (select last_day from month)) d
    where upto > $2::bigint order by day desc limit 1
)
select (select coalesce(sum(n), 0)::bigint from orders.rollup where dim = 'all'),
       '[' || coalesce(string_agg(doc, ','), '') || ']', count(*), (array_agg(json_build_array(day::text, created_at::text, record_id)::text))[count(*)::int]
from (select day, created_at, record_id, doc from orders.orders where day <= (select day from start)
      order by day desc, created_at desc, record_id limit $1::bigint offset $2::bigint - (select before from start)) page`

// Orders of the customers that match: where these are few, the newest of each by index; where
// their orders are many, all orders from the newest down, keeping theirs.
var (
	customerPageSQL      = fmt.Sprintf(customerPage, "customer_fold || ''") // as the index has it
	shortCustomerPageSQL = fmt.Sprintf(customerPage, "customer_fold")       // past it
)

const customerPage = `
with matching as materialized (
    select customer_fold, n from orders.customers where %s like $3::text and n > 0
), cost as materialized (
    select total, 5 * customers + least(total, customers * page) > page * everything / greatest(total, 1) as walk
    from (select count(*) as customers, coalesce(sum(n), 0)::bigint as total, $1::bigint + $2::bigint as page,
                 coalesce((select n from orders.rollup where dim = 'all'), 0) as everything from matching) m
)
select (select total from cost),
       '[' || coalesce(string_agg(doc, ','), '') || ']', count(*), (array_agg(json_build_array(day::text, created_at::text, record_id)::text))[count(*)::int]
from (
    (select day, created_at, record_id, doc from orders.orders
     where (select walk from cost) and customer_fold like $3::text
     order by day desc, created_at desc, record_id limit $1::bigint offset $2::bigint)
    union all
    (select o.day, o.created_at, o.record_id, o.doc
     from matching m cross join lateral (
         select day, created_at, record_id, doc from orders.orders
         where customer_fold = m.customer_fold
         order by day desc, created_at desc, record_id limit $1::bigint + $2::bigint) o
     where (select not walk from cost)
     order by day desc, created_at desc, record_id limit $1::bigint offset $2::bigint)
) page`

// datePageSQL finds the days on which a page falls in the rollup, by the same filters, and fetches
// those days only. Without a filter by date it finds the months first, which are far fewer.
func datePageSQL(q ordersapi.Query, keys []key, w where, a *args) string {
	offset, limit := a.add(q.Offset)+"::bigint", a.add(q.Limit)+"::bigint"
	order := dateOrder("day", keys[0].desc)
	falls := `upto > ` + offset + ` and upto - n < ` + offset + ` + ` + limit
	var with, total, before string
	switch dated, others := datesAmong(q.Filters); {
	case dated || !others:
		dim := "cube"
		if !others {
			dim = "day"
		}
		total, before = "days", "0"
		with = `with days as materialized (
    select day, sum(n)::bigint as n from orders.rollup where dim = '` + dim + `' and n > 0 and ` + w.sql + ` group by day
)`
	default:
		total, before = "months", "(select min(before) from reached)"
		with = `with months as materialized (
    select day, sum(n)::bigint as n from orders.rollup where dim = 'month_cube' and n > 0 and ` + w.sql + ` group by day
), reached as materialized (
    select day, (day + interval '1 month - 1 day')::date as last_day, upto - n as before
    from (select day, n, (sum(n) over (order by ` + order + `))::bigint as upto from months) m
    where ` + falls + `
), days as materialized (
    select d.day, sum(d.n)::bigint as n from reached r cross join lateral (
        select day, n from orders.rollup where dim = 'cube' and n > 0 and day between r.day and r.last_day and ` + w.sql + `
    ) d group by d.day
)`
	}
	with += `, picked as materialized (
    select day, upto - n as before
    from (select day, n, ` + before + ` + (sum(n) over (order by ` + order + `))::bigint as upto from days) d
    where ` + falls + `
) `
	page := `select o.order_date, o.day, o.created_at, o.record_id, o.doc from picked p cross join lateral (
        select order_date, day, created_at, record_id, doc from orders.orders
        where day = p.day and ` + w.sql + ` order by created_at desc, record_id limit ` + offset + ` + ` + limit + ` - p.before
    ) o` + orderBy(keys) + ` limit ` + limit + ` offset ` + offset + ` - (select min(before) from picked)`
	return wrap(with, "(select coalesce(sum(n), 0)::bigint from "+total+")", page, keys)
}

// datesAmong tells whether some of the filters are by date, and some by another column.
func datesAmong(filters []rpc.Filter) (dated, others bool) {
	for _, f := range filters {
		if f.Field == "order_date" {
			dated = true
		} else {
			others = true
		}
	}
	return dated, others
}

// dateOrder sorts a day, empty ones last.
func dateOrder(day string, desc bool) string {
	if desc {
		return day + " desc"
	}
	return day + " = '-infinity', " + day
}

// walk answers pages by cursor. What comes after a row are the rows equal in all sort keys but the
// last and beyond it in that, then those equal in all but the last two, and so on: each part is a
// range of the index where there is one.
func (s *Store) walk(ctx context.Context, q ordersapi.Query, keys []key, size int) (Page, error) {
	var after []*string
	if q.After != "" {
		if q.Offset != 0 {
			return Page{}, fault.Field("offset", fault.T("no se combina con after", "does not go with after"))
		}
		var err error
		if after, err = decodeCursor(keys, q.After); err != nil {
			return Page{}, err
		}
	}
	page := Page{Total: -1, Docs: []byte{'['}}
	var rows int
	var last string
	for equal := max(len(after)-1, 0); equal >= 0; equal-- {
		var a args
		w, err := compile(q.Filters, q.Search, &a)
		if err != nil {
			return Page{}, err
		}
		cond := w.sql
		if after != nil {
			beyond, some := beyondSQL(keys, after, equal, &a)
			if !some {
				continue
			}
			cond += beyond
		}
		// One row more than asked for tells whether this is the end.
		sql := "select doc, " + cursorSQL(keys) + " from (" + keyedPageSQL(keys, cond, &a, q.Offset, q.Limit+1-rows) + ") page"
		more, err := s.readRows(ctx, sql, a, q.Limit, size, &page, &rows, &last)
		if err != nil {
			return Page{}, readError(err)
		}
		if more {
			page.Next, page.Rest = encodeCursor(keys, last), q.Limit-rows
			break
		}
	}
	if !q.NoTotal {
		var a args
		w, err := compile(q.Filters, q.Search, &a)
		if err != nil {
			return Page{}, err
		}
		if err := s.adhoc.QueryRow(ctx, "select count(*) from orders.orders where "+w.sql, a...).Scan(&page.Total); err != nil {
			return Page{}, readError(err)
		}
	}
	page.Docs = append(page.Docs, ']')
	return page, nil
}

// readRows appends rows to page as long as it holds no more than limit of them, and size bytes with its cursor, and
// reports whether there are more.
func (s *Store) readRows(ctx context.Context, sql string, a args, limit, size int, page *Page, rows *int, last *string) (more bool, err error) {
	result, err := s.adhoc.Query(ctx, sql, a...)
	if err != nil {
		return false, err
	}
	defer result.Close()
	for result.Next() {
		raw := result.RawValues()
		cursor := 8*len(raw[1]) + 512 // encodeCursor makes no more of it: JSON escapes, then base64
		if *rows == limit || *rows > 0 && len(page.Docs)+len(raw[0])+cursor > size {
			return true, nil
		}
		if *rows++; *rows > 1 {
			page.Docs = append(page.Docs, ',')
		}
		page.Docs, *last = append(page.Docs, raw[0]...), string(raw[1])
	}
	return false, result.Err()
}

// beyondSQL is the condition of the rows that equal after in the first keys and come after it in
// the next; there are none after an empty cell.
func beyondSQL(keys []key, after []*string, equal int, a *args) (sql string, some bool) {
	if after[equal] == nil {
		return "", false
	}
	var b strings.Builder
	for i, k := range keys[:equal] {
		if after[i] == nil {
			b.WriteString(" and " + k.expr() + " is null")
		} else {
			b.WriteString(" and " + k.expr() + " = " + k.param(*after[i], a))
		}
	}
	k := keys[equal]
	p := k.param(*after[equal], a)
	switch {
	case k.expr() == "day", k.neverEmpty() && k.desc:
		b.WriteString(" and " + k.expr() + " < " + p)
	case k.neverEmpty():
		b.WriteString(" and " + k.field + " > " + p)
	case k.desc:
		b.WriteString(" and (" + k.field + " < " + p + " or " + k.field + " is null)")
	default:
		b.WriteString(" and (" + k.field + " > " + p + " or " + k.field + " is null)")
	}
	return b.String(), true
}

func (k key) param(v string, a *args) string {
	return a.add(v) + "::" + columns[k.field].cast()
}

// cursor is where a page ended, in the order it was sorted by.
type cursor struct {
	Sort string          `json:"s"`
	Keys json.RawMessage `json:"k"` // an array of texts, null for an empty cell
}

func encodeCursor(keys []key, last string) string {
	body, err := json.Marshal(cursor{Sort: orderBy(keys), Keys: json.RawMessage(last)})
	if err != nil { // unreachable: Postgres made the array
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

func decodeCursor(keys []key, s string) ([]*string, error) {
	bad := fault.Field("after", fault.T("no es un cursor de esta consulta", "is not a cursor of this query"))
	body, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, bad
	}
	var c cursor
	var after []*string
	if json.Unmarshal(body, &c) != nil || c.Sort != orderBy(keys) || json.Unmarshal(c.Keys, &after) != nil || len(after) != len(keys) {
		return nil, bad
	}
	for i, k := range keys {
		if after[i] == nil {
			continue
		}
		*after[i] = clean(*after[i])
		column := columns[k.field]
		if column.Kind.IsText() || *after[i] == "-infinity" && k.expr() == "day" {
			continue
		}
		if column.Kind == schema.Time { // as Postgres writes it
			continue
		}
		if _, err := column.parse(*after[i]); err != nil {
			return nil, bad
		}
	}
	return after, nil
}
