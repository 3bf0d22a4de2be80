package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

var errNotFound = fault.New(fault.NotFound, fault.T("No existe ese pedido", "There is no such order"))

// pendingTag ends the tag of an order with an edit that Airtable does not have yet.
const pendingTag = `p"`

// ETag is the strong entity tag of an order as it is served. Its first half names the values of the
// columns and the newest edit, whatever has become of that.
func ETag(doc []byte) string {
	state, pending := columnsOf(doc)
	end := `"`
	if pending {
		end = pendingTag
	}
	first, second := sha256.Sum256(state), sha256.Sum256(doc)
	return `"` + hex.EncodeToString(first[:8]) + hex.EncodeToString(second[:8]) + end
}

// columnsOf gives the members of an order that are columns and not empty, with the id of its newest edit, and
// whether that is pending. What is no JSON object counts as a whole.
func columnsOf(doc []byte) (state []byte, pending bool) {
	d, _ := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(d)
	d.Reset(bytes.NewBuffer(doc), lenient)
	state = make([]byte, 0, 512)
	if d.PeekKind() != '{' {
		return doc, false
	}
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() == '"' {
		var name, value jsontext.Value
		if name, err = d.ReadValue(); err != nil {
			break
		}
		column, edit := columns[string(name[1:len(name)-1])].Cell, string(name) == `"edit"`
		if column {
			state = append(state, name...)
		}
		if value, err = d.ReadValue(); err != nil {
			break
		}
		switch {
		case column && value.Kind() == 'n':
			state = state[:len(state)-len(name)]
		case column:
			state = append(append(append(state, ':'), value...), ',')
		case edit: // ordersapi.Edit
			id, rest, _ := bytes.Cut(value, []byte(`,`))
			state, pending = append(state, id...), bytes.HasPrefix(rest, []byte(`"state":"pending"`))
		}
	}
	if err != nil {
		return doc, false
	}
	return state, pending
}

// lenient reads what an event may hold: half a surrogate pair, members twice.
var lenient = jsonv2.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(&bytes.Buffer{}) }}

// Matches reports whether the order is as it was served with the tag. To the tag of a pending edit it
// does not matter that Airtable has taken the edit since, which nobody need wait for.
func Matches(tag string, doc []byte) bool {
	etag := ETag(doc)
	firstHalf := etag[:1+16]
	return tag == etag || strings.HasPrefix(tag, firstHalf) && strings.HasSuffix(tag, pendingTag)
}

// Get returns an order as it is served, or fault.NotFound.
func (s *Store) Get(ctx context.Context, recordID string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !event.ValidRecordID(recordID) {
		return nil, errNotFound
	}
	var doc []byte
	err := s.fixed.QueryRow(ctx, "select doc from orders.orders where record_id = $1", recordID).Scan(&doc)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNotFound
	}
	return doc, readError(err)
}

// History returns a page of an order's history, newest first, as a JSON array of ordersapi.HistoryEntry, and how many
// entries there are; fault.NotFound when there are none. Of a page that takes more than size bytes it gives the
// beginning, one entry at least, and in Rest how many are missing.
func (s *Store) History(ctx context.Context, q ordersapi.HistoryQuery, size int) (page Page, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch {
	case q.Limit < 1 || q.Limit > 100:
		return page, fault.Field("limit", fault.T("debe estar entre 1 y 100", "must be between 1 and 100"))
	case q.Offset < 0 || q.Offset > maxOffset:
		return page, fault.Field("offset", fault.T("está fuera de rango", "is out of range"))
	case !event.ValidRecordID(q.RecordID):
		return page, errNotFound
	}
	var changes, editIDs, edits []*string
	if err := s.adhoc.QueryRow(ctx, historySQL, q.RecordID, q.Offset, q.Limit).Scan(&page.Total, &changes, &editIDs, &edits); err != nil {
		return page, readError(err)
	}
	if page.Total == 0 {
		return page, errNotFound
	}
	page.Docs, page.Rest, err = historyPage(changes, editIDs, edits, size)
	return page, err
}

// What changed, and beside it what somebody wanted and Airtable has not, or not yet. The JSON is put
// together outside of Postgres, whose functions refuse an escaped NUL.
const historySQL = `
with entries as (
    select epoch, seq, entry, edit_ids, null as edit from orders.order_history where record_id = $1
    union all
    select epoch, seq, null, null, edit from orders.edits where record_id = $1 and state <> 'applied'
)
select (select count(*) from entries), array_agg(entry), array_agg(edit_ids), array_agg(edit)
from (select * from entries order by epoch desc, seq desc offset $2 limit $3) page`

// historyPage makes the JSON array of entries, each of which is a change, maybe with the ids of its
// edits, or an edit. Those that size has no room for are counted in rest.
func historyPage(changes, editIDs, edits []*string, size int) (page []byte, rest int, err error) {
	page = []byte{'['}
	for i, change := range changes {
		before := len(page)
		if i > 0 {
			page = append(page, ',')
		}
		switch {
		case change == nil:
			entry, err := editEntry(*edits[i])
			if err != nil {
				return nil, 0, err
			}
			page = append(page, entry...)
		case editIDs[i] != nil:
			page = append(append(append(page, strings.TrimSuffix(*change, "}")...), `,"edit_ids":`...), *editIDs[i]...)
			page = append(page, '}')
		default:
			page = append(page, *change...)
		}
		if i > 0 && len(page) >= size {
			page, rest = page[:before], len(changes)-i
			break
		}
	}
	return append(page, ']'), rest, nil
}

// editEntry is an edit as an entry of a history.
func editEntry(doc string) ([]byte, error) {
	var e ordersapi.Edit
	if err := json.Unmarshal([]byte(doc), &e); err != nil {
		return nil, fmt.Errorf("read an edit: %w", err)
	}
	values := make(map[string]any, len(e.Values))
	for column, value := range e.Values {
		values[column] = value
	}
	return json.Marshal(&ordersapi.HistoryEntry{
		ID: e.ID, Change: string(e.State), At: e.At, Source: "api", Values: values,
		Actor: &ordersapi.HistoryActor{ID: e.Actor.ID, Email: e.Actor.Email, Name: e.Actor.Name}, EditIDs: []string{e.ID}, Reason: e.Reason,
	})
}

// Edits answers ordersapi.SubjectEdits: a JSON array.
func (s *Store) Edits(ctx context.Context, q ordersapi.EditsQuery) (edits []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if n := len(q.IDs); n < 1 || n > ordersapi.MaxEdits {
		return nil, fault.Field("ids", fault.T("deben ser de 1 a 1000", "must be 1 to 1000"))
	}
	ids := make([]string, len(q.IDs))
	for i, id := range q.IDs {
		ids[i] = clean(id)
	}
	err = s.adhoc.QueryRow(ctx, "select '[' || coalesce(string_agg(edit, ',' order by at, id), '') || ']' from orders.edits where id = any ($1)", ids).Scan(&edits)
	return edits, readError(err)
}

// Summary answers ordersapi.SubjectSummary: from the rollups where the filters allow, else from the rows.
func (s *Store) Summary(ctx context.Context, q ordersapi.Query) (ordersapi.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if len(q.Filters) == 0 && q.Search == "" {
		rows, err := s.fixed.Query(ctx, `
			select dim, coalesce(status, priority, order_date::text), n, amount::text
			from orders.rollup where dim in ('all', 'status', 'priority', 'day') and n > 0
			order by dim, order_date, status, priority`) // nulls come last
		return summarize(rows, err)
	}
	var a args
	w, err := compile(q.Filters, q.Search, &a)
	if err != nil {
		return ordersapi.Summary{}, err
	}
	from := "(select status, priority, order_date, 1 as n, coalesce(amount, 0) as amount from orders.orders where " + w.sql + ")"
	if w.rollup {
		from = "(select status, priority, order_date, n, amount from orders.rollup where dim = 'cube' and n > 0 and " + w.sql + ")"
	}
	rows, err := s.adhoc.Query(ctx, `
		select case grouping(status, priority, order_date) when 3 then 'status' when 5 then 'priority' when 6 then 'day' else 'all' end,
		       coalesce(status, priority, order_date::text), sum(n)::bigint, sum(amount)::text
		from `+from+` o
		group by grouping sets ((status), (priority), (order_date), ())
		having sum(n) > 0
		order by order_date, status, priority`, a...)
	return summarize(rows, err)
}

func summarize(rows pgx.Rows, err error) (ordersapi.Summary, error) {
	sum := ordersapi.Summary{ByStatus: []ordersapi.StatusTotal{}, ByPriority: []ordersapi.PriorityTotal{}, ByDay: []ordersapi.DayTotal{}}
	if err != nil {
		return sum, readError(err)
	}
	var (
		dim, text string
		key       *string
		n         int64
	)
	_, err = pgx.ForEachRow(rows, []any{&dim, &key, &n, &text}, func() error {
		amount := money(text)
		switch dim {
		case "all":
			sum.Total, sum.Amount = n, amount
		case "status":
			sum.ByStatus = append(sum.ByStatus, ordersapi.StatusTotal{Status: key, Count: n, Amount: amount})
		case "priority":
			sum.ByPriority = append(sum.ByPriority, ordersapi.PriorityTotal{Priority: key, Count: n, Amount: amount})
		case "day":
			sum.ByDay = append(sum.ByDay, ordersapi.DayTotal{Day: key, Count: n, Amount: amount})
		}
		return nil
	})
	return sum, readError(err)
}

// money gives the float nearest to an exact sum. Its shortest decimal, which is what JSON shows,
// is the sum to the cent up to 90 trillion.
func money(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil { // out of a float's range
		return math.Copysign(math.MaxFloat64, f)
	}
	return f
}
