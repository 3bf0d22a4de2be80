package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// edit is an edit as the table edits keeps it.
type edit struct {
	recordID string
	seq      uint64 // of the first event about it
	ordersapi.Edit
}

// PendingEdits counts the edits that are pending.
func (s *Store) PendingEdits(ctx context.Context) (n int, err error) {
	err = s.adhoc.QueryRow(ctx, "select count(*) from orders.edits where state = 'pending'").Scan(&n)
	return n, err
}

// PendingEditIDs gives the ids of the edits that are pending.
func (s *Store) PendingEditIDs(ctx context.Context) ([]string, error) {
	return collect(s.editing.Query(ctx, "select id from orders.edits where state = 'pending'"))
}

// KnownEdits tells which of the edits are known.
func (s *Store) KnownEdits(ctx context.Context, ids []string) (map[string]bool, error) {
	found, err := collect(s.adhoc.Query(ctx, "select id from orders.edits where id = any ($1)", ids))
	known := make(map[string]bool, len(found))
	for _, id := range found {
		known[id] = true
	}
	return known, err
}

func collect(rows pgx.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// LostEdit is an edit whose outcome seems to be lost, with those of its order that are newer.
type LostEdit struct {
	event.OrderEdit
	Newer []ordersapi.Edit
}

// LostEdits gives those of the edits that are still pending, in the order they were accepted.
func (s *Store) LostEdits(ctx context.Context, ids []string) ([]LostEdit, error) {
	rows, err := s.editing.Query(ctx, `
		select record_id, edit, (select '[' || coalesce(string_agg(n.edit, ','), '') || ']' from orders.edits n
		                         where n.record_id = e.record_id and (n.at, n.id) > (e.at, e.id))
		from orders.edits e where id = any ($1) and state = 'pending' order by at, id`, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (lost LostEdit, err error) {
		var (
			e          ordersapi.Edit
			one, newer []byte
		)
		if err := row.Scan(&lost.RecordID, &one, &newer); err != nil {
			return lost, err
		}
		err = errors.Join(json.Unmarshal(one, &e), json.Unmarshal(newer, &lost.Newer))
		lost.ID, lost.Values, lost.Actor, lost.RequestedAt = e.ID, e.Values, e.Actor, e.At
		return lost, err
	})
}

// edits are those that matter to a batch.
type edits struct {
	byID     map[string]*edit
	byRecord map[string][]*edit
}

func (all *edits) add(e *edit) {
	all.byID[e.ID] = e
	all.byRecord[e.recordID] = append(all.byRecord[e.recordID], e)
}

// take adds what the events among changes tell, and gives the edits that changed by it.
func (all *edits) take(changes []*Change) []*edit {
	changed := map[*edit]bool{}
	for _, c := range changes {
		if c.Edit == nil {
			continue
		}
		switch e := all.byID[c.Edit.ID]; {
		case e == nil:
			e = &edit{recordID: c.RecordID, seq: c.Seq, Edit: *c.Edit}
			all.add(e)
			changed[e] = true
		case c.Edit.State != event.Pending: // what is settled is never pending again
			e.State, e.SettledAt, e.Reason = c.Edit.State, c.Edit.SettledAt, c.Edit.Reason
			changed[e] = true
		}
	}
	return slices.Collect(maps.Keys(changed))
}

// withEdits gives the rows as they are served with the edits there are and those among changes, and
// the edits to write. A row that only its edits change is added, without a sequence.
func (w *Writer) withEdits(ctx context.Context, cp *Checkpoint, changes, rows []*Change) (served []*Change, write []*edit, err error) {
	touched := map[string]bool{} // records of the edits among changes
	var ids []string
	for _, c := range changes {
		if c.Edit != nil {
			touched[c.RecordID], ids = true, append(ids, c.Edit.ID)
		}
	}
	if !w.edited && len(ids) == 0 { // so that who edits nothing pays nothing
		return rows, nil, nil
	}
	records := slices.Collect(maps.Keys(touched))
	for _, r := range rows {
		records = append(records, r.RecordID)
	}
	all, err := w.edits(ctx, records, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("read edits: %w", err)
	}
	write = all.take(changes)
	w.edited = w.edited || len(write) > 0
	if len(all.byRecord) == 0 {
		return rows, nil, nil
	}
	have, err := w.confirmed(ctx, slices.Collect(maps.Keys(all.byRecord)))
	if err != nil {
		return nil, nil, fmt.Errorf("read edited orders: %w", err)
	}
	for _, c := range rows {
		of, old := all.byRecord[c.RecordID], have[c.RecordID]
		if of != nil && old.newer(cp.Epoch, c.Seq) {
			continue // invariant 4
		}
		delete(have, c.RecordID)
		if of != nil && !c.Deleted {
			laid := *c
			if laid.Row, err = c.Row.with(of); err != nil {
				return nil, nil, err
			}
			c = &laid
		}
		served = append(served, c)
	}
	for id, old := range have {
		if !touched[id] {
			continue
		}
		again := &Change{RecordID: id}
		if again.Row, err = old.row(); err == nil {
			again.Row, err = again.Row.with(all.byRecord[id])
		}
		if err != nil {
			return nil, nil, fmt.Errorf("edit order %s: %w", id, err)
		}
		served = append(served, again)
	}
	return served, write, nil
}

// edits reads the edits with those ids, and of the records those that are pending and the newest.
func (w *Writer) edits(ctx context.Context, records, ids []string) (*edits, error) {
	rows, err := w.conn.Query(ctx, `
		select e.record_id, e.seq, e.edit from unnest($1::text[]) r (record_id) cross join lateral (
			(select record_id, seq, edit from orders.edits where record_id = r.record_id and state = 'pending')
			union all
			(select record_id, seq, edit from orders.edits where record_id = r.record_id order by at desc, id desc limit 1)) e
		union
		select record_id, seq, edit from orders.edits where id = any ($2)`, records, ids)
	if err != nil {
		return nil, err
	}
	all := &edits{byID: map[string]*edit{}, byRecord: map[string][]*edit{}}
	var (
		e    edit
		data []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&e.recordID, &e.seq, &data}, func() error {
		e.Edit = ordersapi.Edit{}
		if err := json.Unmarshal(data, &e.Edit); err != nil {
			return err
		}
		one := e
		all.add(&one)
		return nil
	})
	return all, err
}

// confirmed is an order as Airtable has it, as far as the table knows.
type confirmed struct {
	doc   []byte
	epoch int64
	seq   uint64
}

func (w *Writer) confirmed(ctx context.Context, records []string) (map[string]confirmed, error) {
	rows, err := w.conn.Query(ctx,
		"select record_id, coalesce(confirmed, doc), epoch, seq from orders.orders where record_id = any ($1)", records)
	if err != nil {
		return nil, err
	}
	all := make(map[string]confirmed, len(records))
	var (
		id string
		c  confirmed
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &c.doc, &c.epoch, &c.seq}, func() error {
		all[id] = c
		c.doc = nil // Scan reuses what it is given
		return nil
	})
	return all, err
}

// newer reports whether c is of the event at that place or of one after it.
func (c confirmed) newer(epoch int64, seq uint64) bool {
	return c.epoch > epoch || c.epoch == epoch && c.seq >= seq
}

func (c confirmed) row() (Row, error) {
	o, err := event.ParseOrder(c.doc)
	if err != nil {
		return Row{}, err
	}
	return NewRow(o), nil
}

// with is the row of a confirmed order as it is served: the pending edits in the order they were
// accepted, over each other, and the newest edit in its member "edit".
func (r Row) with(of []*edit) (Row, error) {
	slices.SortFunc(of, func(a, b *edit) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	wanted := map[string]string{}
	for _, e := range of {
		if e.State != event.Pending {
			continue
		}
		maps.Copy(wanted, e.Values)
	}
	for name, value := range wanted {
		c, known := event.ColumnByName(name)
		if !known {
			return r, fmt.Errorf("edit of column %q, which rows do not have", name)
		}
		r = r.set(c, value)
	}
	r.Confirmed = r.Doc
	var err error
	r.Doc, err = edited(r.Doc, wanted, &of[len(of)-1].Edit)
	return r, err
}

// edited is the JSON of an order with other values of some members, and the member "edit" at the
// end. The other members stay as they are, those of later versions too.
func edited(doc []byte, values map[string]string, newest *ordersapi.Edit) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	if _, err := d.Token(); err != nil { // the brace
		return nil, err
	}
	b := make([]byte, 0, len(doc)+512)
	member := func(name any, value json.RawMessage) error {
		n, err := json.Marshal(name)
		b = append(append(append(append(b, ','), n...), ':'), value...) // as it is: encoding it anew would escape <, > and &
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if wanted, some := values[fmt.Sprint(name)]; some {
			if value, err = json.Marshal(wanted); err != nil {
				return nil, err
			}
		}
		if name != "edit" {
			if err := member(name, value); err != nil {
				return nil, err
			}
		}
	}
	edit, err := json.Marshal(newest)
	if err == nil {
		err = member("edit", edit)
	}
	b[0] = '{'
	return append(b, '}'), err
}
