package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var day0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func open(t testing.TB) (*Store, *Writer, *Checkpoint) { t.Helper(); return openAt(t, pgtest.New(t)) }

func openAt(t testing.TB, dsn string) (*Store, *Writer, *Checkpoint) {
	t.Helper()
	s, err := Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w, err := s.Writer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	until := uint64(0)
	cp, err := w.StartReplay(t.Context(), nil, Checkpoint{Stream: "ORDERS", StreamCreated: day0, ReplayUntil: &until})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Settle(t.Context(), &cp); err != nil {
		t.Fatal(err)
	}
	return s, w, &cp
}

func (r Row) change(seq uint64, id string, deleted bool) *Change {
	o := event.Order{}
	if r.Order != nil {
		o = *r.Order
	}
	r.Order = &o
	r.RecordID, r.Fields = id, json.RawMessage("{}")
	r.CreatedAt, r.UpdatedAt = day0.Add(time.Duration(seq%7)*time.Hour), day0.Add(time.Duration(seq)*time.Second)
	r.Doc, _ = json.Marshal(r.Order) // some tests want what is no order
	return &Change{Seq: seq, RecordID: id, Current: true, Deleted: deleted, Row: r,
		History: History{EventID: fmt.Sprint("e", seq), At: day0, Entry: []byte("{}")}}
}

// model is what the store should hold: rows by record id.
type model map[string]Row

// value of a column as text; false when empty.
func (m model) value(id, field string) (string, bool) {
	r := m[id]
	p := map[string]*string{"record_id": &id, "name": r.Name, "customer": r.Customer, "status": r.Status, "priority": r.Priority,
		"amount": (*string)(r.Amount), "order_date": r.OrderDate}[field]
	switch field {
	case "updated_at":
		return r.UpdatedAt.Format(time.RFC3339), true
	case "created_at":
		return r.CreatedAt.Format(time.RFC3339), true
	}
	if p == nil {
		return "", false
	}
	return *p, true
}

// order ranks texts as Postgres does; other kinds compare by themselves.
type order map[string]int

func (o order) compare(field, a, b string) int {
	switch field {
	case "amount":
		x, _ := strconv.ParseFloat(a, 64)
		y, _ := strconv.ParseFloat(b, 64)
		return cmp.Compare(x, y)
	case "name", "customer":
		return cmp.Compare(o[a], o[b])
	}
	return cmp.Compare(a, b)
}

func (m model) match(o order, id string, f rpc.Filter) bool {
	v, some := m.value(id, f.Field)
	folded, not := f, false
	switch op := string(f.Op); {
	case f.Op == rpc.Ne:
		folded.Op, not = rpc.Eq, true
	case f.Op == rpc.Nin || f.Op == rpc.Nbetween || f.Op == rpc.Nnull || len(op) > 8 && op[0] == 'n':
		folded.Op, not = rpc.Op(op[1:]), true
	}
	if not {
		return !m.match(o, id, folded)
	}
	if f.Op == rpc.Null {
		return !some
	}
	if !some {
		return false
	}
	is := func(i int) int { return o.compare(f.Field, v, f.Values[i]) }
	text := func(compare func(s, part string) bool, exact bool) bool {
		if exact {
			return compare(v, f.Values[0])
		}
		return compare(strings.ToLower(v), strings.ToLower(f.Values[0]))
	}
	switch f.Op {
	case rpc.Eq:
		return is(0) == 0
	case rpc.Lt:
		return is(0) < 0
	case rpc.Lte:
		return is(0) <= 0
	case rpc.Gt:
		return is(0) > 0
	case rpc.Gte:
		return is(0) >= 0
	case rpc.Between:
		return is(0) >= 0 && is(1) <= 0
	case rpc.In:
		for i := range f.Values {
			if is(i) == 0 {
				return true
			}
		}
		return false
	case rpc.Contains, rpc.Containss:
		return text(strings.Contains, f.Op == rpc.Containss)
	case rpc.StartsWith, rpc.StartsWiths:
		return text(strings.HasPrefix, f.Op == rpc.StartsWiths)
	case rpc.EndsWith, rpc.EndsWiths:
		return text(strings.HasSuffix, f.Op == rpc.EndsWiths)
	default:
		panic("no such operator: " + string(f.Op))
	}
}

// list gives the ids of all rows that match, sorted.
func (m model) list(o order, q ordersapi.Query) []string {
	ids := []string{}
	for id := range m {
		keep := q.Search == ""
		for _, field := range []string{"name", "customer", "record_id"} {
			keep = keep || m.match(o, id, rpc.Filter{Field: field, Op: rpc.Contains, Values: []string{q.Search}})
		}
		for _, f := range q.Filters {
			keep = keep && m.match(o, id, f)
		}
		if keep {
			ids = append(ids, id)
		}
	}
	sorts := q.Sort
	if len(sorts) == 0 {
		sorts = []rpc.Sort{{Field: "order_date", Desc: true}}
	}
	sorts = append(slices.Clone(sorts), rpc.Sort{Field: "created_at", Desc: true})
	slices.SortFunc(ids, func(a, b string) int {
		for _, s := range sorts {
			x, xs := m.value(a, s.Field)
			y, ys := m.value(b, s.Field)
			var c int
			switch {
			case xs != ys && xs:
				return -1
			case xs != ys:
				return 1
			case xs:
				c = o.compare(s.Field, x, y)
			}
			if s.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return cmp.Compare(a, b)
	})
	return ids
}

// summary adds up in cents, so exactly.
func (m model) summary(ids []string) ordersapi.Summary {
	sum := ordersapi.Summary{ByStatus: []ordersapi.StatusTotal{}, ByPriority: []ordersapi.PriorityTotal{}, ByDay: []ordersapi.DayTotal{}}
	type total struct {
		n     int64
		cents int64
	}
	by := map[string]map[string]total{"status": {}, "priority": {}, "order_date": {}}
	var all total
	for _, id := range ids {
		var cents int64
		if v, some := m.value(id, "amount"); some {
			f, _ := strconv.ParseFloat(v, 64)
			cents = int64(math.Round(f * 100))
		}
		all = total{all.n + 1, all.cents + cents}
		for field, totals := range by {
			v, some := m.value(id, field)
			if !some {
				v = "\xff" // after everything else
			}
			t := totals[v]
			totals[v] = total{t.n + 1, t.cents + cents}
		}
	}
	each := func(field string, add func(key *string, n int64, amount float64)) {
		keys := make([]string, 0, len(by[field]))
		for k := range by[field] {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			t := by[field][k]
			key := &k
			if k == "\xff" {
				key = nil
			}
			add(key, t.n, float64(t.cents)/100)
		}
	}
	sum.Total, sum.Amount = all.n, float64(all.cents)/100
	each("status", func(k *string, n int64, a float64) {
		sum.ByStatus = append(sum.ByStatus, ordersapi.StatusTotal{Status: k, Count: n, Amount: a})
	})
	each("priority", func(k *string, n int64, a float64) {
		sum.ByPriority = append(sum.ByPriority, ordersapi.PriorityTotal{Priority: k, Count: n, Amount: a})
	})
	each("order_date", func(k *string, n int64, a float64) {
		sum.ByDay = append(sum.ByDay, ordersapi.DayTotal{Day: k, Count: n, Amount: a})
	})
	return sum
}

var (
	customers  = []string{"Ñandú SL", "ñandú sl", "García e Hijos", "GARCIA", "100%", "a_b", `back\slash`, "Zoë", "acme", "Acme Corp", "李四", strings.Repeat("largo ", 120)}
	statuses   = []string{"Pending", "Sent", "Delivered", "ENVÍO", "pending"}
	priorities = []string{"Low", "High"}
	amounts    = []string{"0", "10.50", "-3.25", "1e2", "99999999.99", "0.01"}
	fragments  = []string{"a", "ñ", "GARC", "%", "_", `\`, "acme", "sl", "", "zzz", "rec1", "ENVÍO", "largo"}
)

func pick(r *rand.Rand, values []string) *string {
	if r.IntN(8) == 0 {
		return nil
	}
	return &values[r.IntN(len(values))]
}

func randomDate(r *rand.Rand) string { return day0.AddDate(0, 0, r.IntN(90)).Format(time.DateOnly) }

var operatorNames = slices.Sorted(maps.Keys(operators))

func randomFilter(r *rand.Rand) rpc.Filter {
	fields := []string{"record_id", "name", "customer", "customer", "status", "priority", "amount", "order_date", "order_date"}
	f := rpc.Filter{Field: fields[r.IntN(len(fields))]}
	for f.Op == "" || operators[f.Op].textOnly && !columns[f.Field].Kind.IsText() {
		f.Op = operatorNames[r.IntN(len(operatorNames))]
	}
	n := operators[f.Op].values
	if n < 0 {
		n = r.IntN(4)
	}
	for range n {
		var v string
		switch {
		case operators[f.Op].textOnly:
			v = fragments[r.IntN(len(fragments))]
		case f.Field == "order_date":
			v = randomDate(r)
		case f.Field == "amount":
			v = amounts[r.IntN(len(amounts))]
		case f.Field == "status":
			v = statuses[r.IntN(len(statuses))]
		case f.Field == "priority":
			v = priorities[r.IntN(len(priorities))]
		case f.Field == "record_id":
			v = fmt.Sprint("rec", r.IntN(300))
		default:
			v = customers[r.IntN(len(customers)-1)]
		}
		f.Values = append(f.Values, v)
	}
	return f
}

func ids(t *testing.T, docs []byte) []string {
	t.Helper()
	var rows []struct {
		RecordID string `json:"record_id"`
	}
	if err := json.Unmarshal(docs, &rows); err != nil {
		t.Fatalf("%s: %v", docs, err)
	}
	ids := []string{}
	for _, row := range rows {
		ids = append(ids, row.RecordID)
	}
	return ids
}

// The store answers as a naive model does, whatever was written in whatever batches.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			againstModel(t, seed, pgtest.New(t), 4)
		})
	}
}

// It does so through a pooler, whose connections keep nothing from one transaction to the next, whether it
// refuses settings or ignores them.
func TestAgainstModelThroughPooler(t *testing.T) {
	t.Parallel()
	for name, pooler := range map[string]*pgtest.Pooler{
		"that refuses settings": {Mode: pgtest.Transaction, Refuse: true},
		"that ignores settings": {Mode: pgtest.Transaction},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.New(t)
			againstModel(t, 1, pooler.Start(t, dsn), 1)
			s, err := Open(dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var elsewhere int
			if err := s.adhoc.QueryRow(t.Context(), "select count(*) from pg_tables where schemaname = 'public'").Scan(&elsewhere); err != nil || elsewhere > 0 {
				t.Errorf("%d tables outside of our schema, %v", elsewhere, err)
			}
		})
	}
}

func againstModel(t *testing.T, seed uint64, dsn string, rounds int) {
	t.Helper()
	s, w, cp := openAt(t, dsn)
	r := rand.New(rand.NewPCG(seed, 1))
	m, o := model{}, order{}
	e := editing{airtable: model{}, served: m, byRecord: map[string][]*ordersapi.Edit{}}
	rows, _ := s.adhoc.Query(t.Context(), "select customer from (select null::text where false union all select unnest($1::text[])) c (customer) order by customer collate \"und-x-icu\"", customers)
	ranked, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range ranked {
		o[c] = i
	}
	seq := uint64(0)
	for range rounds {
		for range 10 {
			var batch []*Change
			for range 1 + r.IntN(60) {
				seq++
				id, deleted := fmt.Sprint("rec", r.IntN(300)), r.IntN(6) == 0
				row := Row{Order: &event.Order{Name: pick(r, customers), Customer: pick(r, customers), Status: pick(r, statuses), Priority: pick(r, priorities), Amount: (*json.Number)(pick(r, amounts))}}
				if r.IntN(8) > 0 {
					d := randomDate(r)
					row.OrderDate = &d
				}
				if r.IntN(4) == 0 {
					batch = append(batch, e.next(r, seq, fmt.Sprint("rec", r.IntN(30)))) // several of an order
					continue
				}
				c := row.change(seq, id, deleted)
				batch = append(batch, c)
				if deleted {
					delete(e.airtable, id)
				} else {
					e.airtable[id] = c.Row
				}
				e.serve(id)
			}
			if err := w.Apply(t.Context(), cp, batch, seq, "id"); err != nil {
				t.Fatal(err)
			}
		}
		if r.IntN(2) == 0 { // a settled replay changes nothing
			if _, err := w.Settle(t.Context(), cp); err != nil {
				t.Fatal(err)
			}
		}
		e.shown(t, s)
		for range 100 {
			compare(t, s, m, o, r)
		}
	}
}

// editing is the part of the model that knows what is only wanted.
type editing struct {
	airtable, served model
	byRecord         map[string][]*ordersapi.Edit
}

// next makes an event of an edit of the order: a new one, or one that settles, maybe again.
func (e *editing) next(r *rand.Rand, seq uint64, id string) *Change {
	of := e.byRecord[id]
	edit := ordersapi.Edit{
		ID: fmt.Sprint("edit", seq), State: event.Pending, At: day0.Add(time.Duration(r.IntN(1000)) * time.Minute), // not in their order
		Values: event.EditValues{},
	}
	if v := pick(r, statuses); v != nil {
		edit.Values["status"] = *v
	}
	if v := pick(r, priorities); v != nil {
		edit.Values["priority"] = *v
	}
	switch i := r.IntN(3); {
	case i > 0 && len(of) > 0:
		edit = *of[r.IntN(len(of))]
		edit.State = []event.EditState{event.Pending, event.Applied, event.Rejected}[r.IntN(3)]
	case i > 0 && r.IntN(4) == 0: // settled before it was seen
		edit.State = event.Applied
	}
	known := slices.IndexFunc(of, func(k *ordersapi.Edit) bool { return k.ID == edit.ID })
	switch {
	case known < 0:
		e.byRecord[id] = append(of, new(edit))
	case edit.State != event.Pending:
		of[known].State = edit.State
	}
	e.serve(id)
	return &Change{Seq: seq, RecordID: id, Current: true, Edit: &edit}
}

func (e *editing) serve(id string) {
	row, exists := e.airtable[id]
	if !exists {
		delete(e.served, id)
		return
	}
	of := slices.Clone(e.byRecord[id])
	slices.SortFunc(of, func(a, b *ordersapi.Edit) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	for _, edit := range of {
		if edit.State == event.Pending {
			for name, v := range edit.Values {
				c, _ := event.ColumnByName(name)
				row = row.set(c, v)
			}
		}
	}
	e.served[id] = row
}

// shown checks that orders are served as JSON with the values and the newest edit of the model.
func (e *editing) shown(t *testing.T, s *Store) {
	t.Helper()
	for id, row := range e.served {
		doc, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		var got struct {
			event.Order
			Edit *ordersapi.Edit `json:"edit"`
		}
		if err := json.Unmarshal(doc, &got); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		var newest *ordersapi.Edit
		for _, edit := range e.byRecord[id] {
			if newest == nil || cmp.Or(edit.At.Compare(newest.At), cmp.Compare(edit.ID, newest.ID)) > 0 {
				newest = edit
			}
		}
		want := row.change(0, id, false).Row
		if diff := gocmp.Diff(newest, got.Edit); diff != "" || !equal(got.Status, want.Status) || !equal(got.Priority, want.Priority) || !equal(got.Customer, want.Customer) {
			t.Fatalf("%s is served as %s, edit (-want +got):\n%s", id, doc, diff)
		}
	}
}

func equal(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

func compare(t *testing.T, s *Store, m model, o order, r *rand.Rand) {
	t.Helper()
	q := ordersapi.Query{Offset: r.IntN(40), Limit: 1 + r.IntN(30)}
	if r.IntN(5) == 0 {
		q.Offset += 150
	}
	if r.IntN(3) > 0 {
		for range r.IntN(4) {
			q.Filters = append(q.Filters, randomFilter(r))
		}
	} else if r.IntN(2) == 0 {
		q.Filters = []rpc.Filter{{Field: "customer", Op: rpc.Contains, Values: []string{fragments[r.IntN(len(fragments))]}}}
	}
	if r.IntN(6) == 0 {
		q.Search = fragments[r.IntN(len(fragments))]
	}
	fields := []string{"order_date", "order_date", "order_date", "amount", "name", "customer", "status", "record_id", "updated_at", "created_at"}
	for range r.IntN(3) {
		q.Sort = append(q.Sort, rpc.Sort{Field: fields[r.IntN(len(fields))], Desc: r.IntN(2) == 0})
	}
	all := m.list(o, q)
	want := all[min(q.Offset, len(all)):min(q.Offset+q.Limit, len(all))]
	page, err := s.List(t.Context(), q, 1<<20)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	if got := ids(t, page.Docs); !slices.Equal(got, want) || page.Total != int64(len(all)) || (page.Next != "") != (q.Offset+len(want) < len(all) && len(want) > 0) {
		t.Fatalf("%+v\ngives %v of %d (next %q), want\n%v of %d", q, got, page.Total, page.Next, want, len(all))
	}
	if page.Next != "" && r.IntN(3) == 0 { // the rest, page by page
		rest := []string{}
		for cursor := page.Next; cursor != ""; {
			next, err := s.List(t.Context(), ordersapi.Query{Limit: 40, Sort: q.Sort, Filters: q.Filters, Search: q.Search, After: cursor, NoTotal: true}, 1<<20)
			if err != nil {
				t.Fatalf("%+v after %s: %v", q, cursor, err)
			}
			rest, cursor = append(rest, ids(t, next.Docs)...), next.Next
		}
		if want := all[q.Offset+len(want):]; !slices.Equal(rest, want) {
			t.Fatalf("%+v\ngoes on with %v, want\n%v", q, rest, want)
		}
	}
	sum, err := s.Summary(t.Context(), q)
	if err != nil {
		t.Fatalf("summary %+v: %v", q, err)
	}
	got, _ := json.Marshal(sum)
	if want, _ := json.Marshal(m.summary(all)); string(got) != string(want) {
		t.Fatalf("summary %+v\n%s, want\n%s", q, got, want)
	}
}

// Invariants 3 and 4: an older change never wins, and a moved checkpoint stops the writer.
func TestGuards(t *testing.T) {
	t.Parallel()
	s, w, cp := open(t)
	newer, older := "newer", "older"
	if err := w.Apply(t.Context(), cp, []*Change{Row{Order: &event.Order{Status: &newer}}.change(10, "rec1", false)}, 10, "m10"); err != nil {
		t.Fatal(err)
	}
	stale := *cp
	cp.Seq = 10
	if err := w.Apply(t.Context(), cp, []*Change{Row{Order: &event.Order{Status: &older}}.change(9, "rec1", false), Row{}.change(8, "rec1", true)}, 11, "m11"); err != nil {
		t.Fatal(err)
	}
	wanted := "wanted"
	edit := &Change{Seq: 12, RecordID: "rec1", Current: true, Edit: &ordersapi.Edit{ID: "e", State: event.Pending, Values: event.EditValues{"priority": wanted}}}
	if err := w.Apply(t.Context(), cp, []*Change{Row{Order: &event.Order{Status: &older}}.change(9, "rec1", false), edit}, 12, "m12"); err != nil {
		t.Fatal(err)
	}
	sum, err := s.Summary(t.Context(), ordersapi.Query{})
	if err != nil || *sum.ByPriority[0].Priority != wanted || sum.Total != 1 || *sum.ByStatus[0].Status != newer || len(sum.ByStatus) != 1 {
		t.Fatalf("summary %+v %v", sum, err)
	}
	if err := w.Apply(t.Context(), &stale, []*Change{Row{Order: &event.Order{Status: &older}}.change(12, "rec2", false)}, 12, "m12"); !errors.Is(err, ErrFenced) {
		t.Fatalf("a writer with a stale checkpoint: %v", err)
	}
	if err := s.AskRebuild(t.Context(), "ORDERS"); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context(), cp, nil, 13, "m13"); !errors.Is(err, ErrFenced) {
		t.Fatalf("a writer beside a rebuild: %v", err)
	}
	if _, err := s.Get(t.Context(), "rec2"); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("a fenced write left a row: %v", err)
	}
}

// An event that somebody publishes again is one entry of the history, the first.
func TestEventToldTwice(t *testing.T) {
	t.Parallel()
	s, w, cp := open(t)
	change := func(seq uint64, id, eventID string) *Change {
		c := Row{Order: &event.Order{Status: new(fmt.Sprint("as of ", seq))}}.change(seq, id, false)
		c.History = History{EventID: eventID, At: day0, Entry: fmt.Append(nil, seq)}
		return c
	}
	for _, batch := range [][]*Change{
		{change(1, "rec1", "a")},
		{change(2, "rec1", "a"), change(3, "rec2", "a"), change(4, "rec2", "b"), change(5, "rec1", "b")},
		{change(6, "rec2", "c"), change(7, "rec2", "c")},
	} {
		last := batch[len(batch)-1]
		if err := w.Apply(t.Context(), cp, batch, last.Seq, "m"); err != nil {
			t.Fatal(err)
		}
		if doc, err := s.Get(t.Context(), last.RecordID); err != nil || !strings.Contains(string(doc), fmt.Sprint("as of ", last.Seq)) {
			t.Errorf("%s %v", doc, err)
		}
	}
	for id, want := range map[string]string{"rec1": "[5,1]", "rec2": "[7,4,3]"} {
		page, err := s.History(t.Context(), ordersapi.HistoryQuery{RecordID: id, Limit: 10}, 1<<20)
		if err != nil || page.Total != int64(strings.Count(want, ",")+1) || string(page.Docs) != want {
			t.Errorf("%s: %s, %d, %v", id, page.Docs, page.Total, err)
		}
	}
}

// Invariant 6: an edit does not make a row one that the replay has found in the stream.
func TestEditTouchesNothing(t *testing.T) {
	t.Parallel()
	_, w, cp := open(t)
	wanted := "Sent"
	if err := w.Apply(t.Context(), cp, []*Change{Row{}.change(1, "rec1", false), Row{}.change(2, "rec2", false)}, 2, "m2"); err != nil {
		t.Fatal(err)
	}
	next, err := w.StartReplay(t.Context(), cp, *cp)
	if err != nil {
		t.Fatal(err)
	}
	edit := &Change{Seq: 1, RecordID: "rec1", Edit: &ordersapi.Edit{ID: "e", State: event.Pending, Values: event.EditValues{"status": wanted}}}
	if err := w.Apply(t.Context(), &next, []*Change{edit, Row{}.change(2, "rec2", false)}, 2, "m2"); err != nil {
		t.Fatal(err)
	}
	if untouched, all, err := w.Untouched(t.Context(), &next); untouched != 1 || all != 2 || err != nil {
		t.Fatalf("%d of %d, %v", untouched, all, err)
	}
}

// Invariant 5: data that Postgres refuses is told from a Postgres that is away, and leaves nothing behind.
func TestRefused(t *testing.T) {
	t.Parallel()
	s, w, cp := open(t)
	huge, noDate, long := "1e200000", "0000-01-01", strings.Repeat("0123456789abcdef", 4<<10)
	good := Row{}.change(1, "good", false)
	for name, row := range map[string]event.Order{"amount": {Amount: (*json.Number)(&huge)}, "date": {OrderDate: &noDate}, "NUL": {Name: new("a\x00b")}, "UTF-8": {Name: new("\xff")}} {
		if err := w.Apply(t.Context(), cp, []*Change{good, Row{Order: &row}.change(2, "bad", false)}, 2, "m"); !Refused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	event := Row{}.change(2, "bad", false)
	r := rand.New(rand.NewPCG(1, 1))
	event.History.EventID = strings.Map(func(rune) rune { return rune('!' + r.IntN(90)) }, long)
	if err := w.Apply(t.Context(), cp, []*Change{good, event}, 2, "m"); !Refused(err) {
		t.Errorf("long id: %v", err)
	}
	if sum, err := s.Summary(t.Context(), ordersapi.Query{}); err != nil || sum.Total != 0 || cp.Seq != 0 {
		t.Fatalf("a refused batch left %+v at %d, %v", sum, cp.Seq, err)
	}
	w.Close(t.Context())
	if err := w.Apply(t.Context(), cp, []*Change{good}, 1, "m"); err == nil || Refused(err) {
		t.Errorf("a lost connection: %v", err)
	}
}

// A migration may be repeated, run by several at once, and go on after it was cut off.
func TestMigrate(t *testing.T) {
	t.Parallel()
	s, err := Open(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, version := range []string{"1", "1"} {
		if _, err := s.adhoc.Exec(t.Context(), "update orders.schema_migrations set dirty = true, version = $1::text::bigint", version); err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.adhoc.Exec(t.Context(), "drop table orders.rollup"); err != nil {
			t.Fatal(err)
		}
	}
}

// Pages are read in the order of an index, also those deep in a day with many orders.
func TestPagesFollowTheIndex(t *testing.T) {
	t.Parallel()
	s, w, cp := open(t)
	changes := make([]*Change, 5000)
	for i := range changes {
		row := Row{Order: &event.Order{Customer: new(fmt.Sprint("Customer ", i%50)), Status: &statuses[i%5], OrderDate: new(day0.AddDate(0, 0, -i/1000).Format(time.DateOnly))}}
		changes[i] = row.change(uint64(i+1), fmt.Sprintf("rec%04d", i), false)
	}
	if err := w.Apply(t.Context(), cp, changes, 5000, "m"); err != nil {
		t.Fatal(err)
	}
	if err := s.Vacuum(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan := func(p pool, sql string, a ...any) string {
		t.Helper()
		rows, _ := p.Query(t.Context(), "explain "+sql, a...)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	sent := []rpc.Filter{{Field: "status", Op: rpc.Eq, Values: []string{"Sent"}}}
	for name, q := range map[string]ordersapi.Query{
		"first page": {Limit: 10}, "deep page": {Limit: 10, Offset: 2500}, "of a status": {Limit: 10, Filters: sent}, "deep, of a status": {Limit: 10, Offset: 700, Filters: sent},
		"of a customer": {Limit: 10, Filters: []rpc.Filter{{Field: "customer", Op: rpc.Contains, Values: []string{"customer 7"}}}},
		"oldest first":  {Limit: 10, Sort: []rpc.Sort{{Field: "order_date"}}},
	} {
		keys, err := sortKeys(q.Sort)
		if err != nil {
			t.Fatal(err)
		}
		from, sql, a, err := s.pageSQL(q, keys)
		if err != nil {
			t.Fatal(err)
		}
		if text := plan(from, sql, a...); !strings.Contains(text, "orders_newest") && !strings.Contains(text, "orders_customer_newest") || strings.Contains(text, "Seq Scan on orders") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	keys, err := sortKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	after := []*string{new("2025-12-30"), new("2026-01-01 03:00:00+00"), new("rec0100")}
	for equal := range after {
		var a args
		beyond, _ := beyondSQL(keys, after, equal, &a)
		if text := plan(s.adhoc, keyedPageSQL(keys, "true"+beyond, &a, 0, 10), a...); !strings.Contains(text, "orders_newest") || strings.Contains(text, "Sort Key: orders.") {
			t.Errorf("after a row, equal in %d:\n%s", equal, text)
		}
	}
}

// A database of a later version is not touched, and the reason is one sentence.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	for name, dirty := range map[string]bool{"finished": false, "cut off": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, _ := open(t)
			if _, err := s.adhoc.Exec(t.Context(), "update orders.schema_migrations set version = 9001, dirty = $1", dirty); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				err := s.Migrate(t.Context())
				if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "9001") || strings.Contains(err.Error(), "\n") || dirty != strings.Contains(err.Error(), "cut off") {
					t.Errorf("%v", err)
				}
			}
			var (
				version int
				still   bool
			)
			if err := s.adhoc.QueryRow(t.Context(), "select version, dirty from orders.schema_migrations").Scan(&version, &still); err != nil || version != 9001 || still != dirty {
				t.Errorf("version %d, dirty %t, %v", version, still, err)
			}
		})
	}
}

// What has no transactions is refused by name.
func TestStatementPooler(t *testing.T) {
	t.Parallel()
	s, err := Open((&pgtest.Pooler{Mode: pgtest.Statement, Refuse: true}).Start(t, pgtest.New(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "PgBouncer") {
		t.Error(err)
	}
}

// One instance leads at a time, through a pooler too, and only while it is there.
func TestLead(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	pooled := (&pgtest.Pooler{Mode: pgtest.Transaction, Refuse: true}).Start(t, direct)
	writer := func(dsn string) *Writer {
		s, err := Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		w, err := s.Writer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close(context.Background()) })
		return w
	}
	lead := func(w *Writer, want bool) {
		t.Helper()
		if leads, err := w.Lead(t.Context()); leads != want || err != nil {
			t.Errorf("leads %t, %v; want %t", leads, err, want)
		}
	}
	first, second, third := writer(pooled), writer(pooled), writer(direct)
	lead(first, true)
	lead(second, false)
	lead(third, false)
	if err := first.Leads(t.Context()); err != nil {
		t.Error(err)
	}
	first.Close(t.Context())
	for range 100 { // the pooler may need a moment to notice
		if leads, err := second.Lead(t.Context()); err != nil {
			t.Fatal(err)
		} else if leads {
			break
		}
	}
	lead(third, false)
	second.Close(t.Context())
	for range 100 {
		if leads, err := third.Lead(t.Context()); err != nil {
			t.Fatal(err)
		} else if leads {
			return
		}
	}
	t.Error("nobody leads")
}

// The connections of one process stay within what the DSN and the server allow.
func TestConnections(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		srv   server
		total int32
	}{
		"of a large machine": {server{connections: 32}, 32},
		"of a pooler":        {server{connections: pooledShare, pooled: true}, pooledShare},
		"the fewest":         {server{connections: fewest}, fewest},
	} {
		fixed, adhoc, editing := tc.srv.sizes()
		if min(fixed, adhoc, editing) < 1 || fixed+adhoc+editing+writers > tc.total {
			t.Errorf("%s: %d, %d and %d of %d", name, fixed, adhoc, editing, tc.total)
		}
	}
	dsn := pgtest.New(t)
	set := func(sql string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	set("do $$ begin execute format('alter database %I connection limit 24', current_database()); end $$")
	for suffix, want := range map[string]int32{"": 8, "pool_max_conns=7": 7} {
		at := dsn
		if suffix != "" {
			at += map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")] + suffix
		}
		s, err := Open(at)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.pools(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sum := p.fixed.Config().MaxConns + p.adhoc.Config().MaxConns + p.editing.Config().MaxConns + writers
		if sum > want || sum < want-1 {
			t.Errorf("%q: %d connections, want %d", suffix, sum, want)
		}
		s.Close()
	}
}

// Customers are found by their key, never by the trigrams of the search, however little the planner
// knows of the table yet.
func TestApplyFindsByKey(t *testing.T) {
	t.Parallel()
	_, w, cp := open(t)
	changes := make([]*Change, 1000)
	for i := range changes {
		changes[i] = Row{Order: &event.Order{Customer: new(fmt.Sprint("Customer number ", i))}}.change(uint64(i+1), fmt.Sprint("rec", i), false)
	}
	if err := w.Apply(t.Context(), cp, changes, 1000, "e1000"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.conn.Exec(t.Context(), "prepare apply as "+applySQL, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	nulls := strings.Repeat(", null", len(applyParameters))[2:]
	rows, err := w.conn.Query(t.Context(), "explain execute apply ("+nulls+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); strings.Contains(text, "Bitmap") || !strings.Contains(text, "customers_pkey") {
		t.Error(text)
	}
}

// Whatever a client sends is answered or refused by name; it never reaches Postgres as SQL.
func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	for field, q := range map[string]ordersapi.Query{
		"doc":        {Filters: []rpc.Filter{{Field: "doc", Op: rpc.Eq, Values: []string{"x"}}}},
		"status":     {Filters: []rpc.Filter{{Field: "status", Op: "like", Values: []string{"x"}}}},
		"amount":     {Filters: []rpc.Filter{{Field: "amount", Op: rpc.Gt, Values: []string{"NaN"}}}},
		"order_date": {Filters: []rpc.Filter{{Field: "order_date", Op: rpc.Eq, Values: []string{"2026-02-30"}}}},
		"created_at": {Filters: []rpc.Filter{{Field: "created_at", Op: rpc.Eq, Values: []string{"yesterday"}}}},
		"priority":   {Filters: []rpc.Filter{{Field: "priority", Op: rpc.Between, Values: []string{"a"}}}},
		"updated_at": {Filters: []rpc.Filter{{Field: "updated_at", Op: rpc.Contains, Values: []string{"a"}}}},
		"customer":   {Filters: []rpc.Filter{{Field: "customer", Op: rpc.Contains, Values: []string{strings.Repeat("a", 2000)}}}},
		"sort":       {Sort: []rpc.Sort{{Field: "doc; drop table orders"}}},
		"limit":      {Limit: 1001},
		"offset":     {Offset: -1},
		"after":      {After: "bm90IGEgY3Vyc29y"},
		"search":     {Search: strings.Repeat("a", 2000)},
	} {
		if q.Limit == 0 {
			q.Limit = 10
		}
		_, err := s.List(t.Context(), q, 1<<20)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid || f.Fields[field].ES == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A text that no column can hold is looked for without what it cannot hold.
func TestSearchesAnyText(t *testing.T) {
	t.Parallel()
	s, w, cp := open(t)
	if err := w.Apply(t.Context(), cp, []*Change{Row{Order: &event.Order{Name: new("Núñez")}}.change(1, "rec1", false)}, 1, "m"); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{"Nú\x00ñez": 1, "\x00": 1, "Nú\xff": 0, "\x1f": 0} {
		page, err := s.List(t.Context(), ordersapi.Query{Limit: 10, Search: text}, 1<<20)
		if err != nil || page.Total != want {
			t.Errorf("%q: %d orders, %v", text, page.Total, err)
		}
	}
}

func FuzzList(f *testing.F) {
	s, w, cp := open(f)
	v := "x"
	if err := w.Apply(f.Context(), cp, []*Change{Row{Order: &event.Order{Name: &v, Customer: &v, Status: &v}}.change(1, "rec1", false)}, 1, "m"); err != nil {
		f.Fatal(err)
	}
	f.Add("customer", "contains", `%_\'"$1`, "ñ\x00\xff", "", "order_date", true)
	f.Add("order_date", "between", "2026-01-01", "9999-12-31", "eyJzIjoiIiwiayI6W119", "amount", false)
	f.Add("amount", "in", "1e999", "-0", "", "record_id", false)
	f.Add("created_at", "lt", "2026-01-01T00:00:00+14:00", "", "", "", false)
	f.Fuzz(func(t *testing.T, field, op, a, b, after, sort string, desc bool) {
		q := ordersapi.Query{Limit: 5, Search: b, After: after, Filters: []rpc.Filter{{Field: field, Op: rpc.Op(op), Values: []string{a, b}}}}
		if operators[q.Filters[0].Op].values == 1 {
			q.Filters[0].Values = q.Filters[0].Values[:1]
		}
		if sort != "" {
			q.Sort = []rpc.Sort{{Field: sort, Desc: desc}}
		}
		for _, q := range []ordersapi.Query{q, {Limit: 5, Offset: 3, Sort: q.Sort, Filters: q.Filters}} {
			_, err := s.List(t.Context(), q, 1<<20)
			if code := fault.CodeOf(err); err != nil && code != fault.Invalid {
				t.Errorf("%+v: %v", q, err)
			}
		}
		if _, err := s.Summary(t.Context(), q); err != nil && fault.CodeOf(err) != fault.Invalid {
			t.Errorf("summary %+v: %v", q, err)
		}
	})
}
