package edits

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
)

// look is a record as Airtable had it.
type look struct {
	record airtable.Record
	at     time.Time // by Airtable's clock
}

// look asks Airtable which of the edited cells hold the wanted value or were modified since the edit
// was requested, settles what follows from that, and returns what is to be written. Where Airtable
// does not take such a question, it asks for the values only.
func (r *round) look(ctx context.Context, tasks []*task) ([]*task, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	hits, at, err := r.list(ctx, r.formula(tasks, func(t *task) string { return r.condition(t, true) }))
	if airtable.IsBadFormula(err) {
		if err := r.relearn(ctx); err != nil {
			return nil, err
		}
		hits, at, err = r.list(ctx, r.formula(tasks, func(t *task) string { return r.condition(t, true) }))
	}
	timed := true
	if airtable.IsBadFormula(err) {
		r.cfg.Log.Warn("whether somebody else changed the edited cells later cannot be told", "error", err)
		timed = false
		hits, at, err = r.list(ctx, r.formula(tasks, func(*task) string { return "" }))
	}
	if airtable.IsBadFormula(err) {
		return tasks, nil
	}
	if err != nil {
		return nil, err
	}
	newer := map[column.Column]map[string]airtable.Record{}
	if timed {
		if newer, err = r.newer(ctx, tasks, hits); err != nil {
			return nil, err
		}
	}
	var rest []*task
	for _, t := range tasks {
		rec, hit := hits[t.id]
		if !hit {
			rest = append(rest, t)
			continue
		}
		again, err := r.judge(ctx, t, &look{rec, at}, func(c column.Column) bool {
			_, ok := newer[c][t.id]
			return ok
		})
		if err != nil {
			return nil, err
		}
		if again {
			rest = append(rest, t)
		}
	}
	return rest, nil
}

// newer tells for each column which of the hits were modified since their edit. One question has
// told it of edits of one column; of others it takes another.
func (r *round) newer(ctx context.Context, tasks []*task, hits map[string]airtable.Record) (map[column.Column]map[string]airtable.Record, error) {
	newer := map[column.Column]map[string]airtable.Record{}
	for _, c := range editable {
		newer[c] = map[string]airtable.Record{}
		var unclear []*task
		for _, t := range tasks {
			rec, hit := hits[t.id]
			wants, _ := t.wants()
			i := slices.IndexFunc(wants, func(w want) bool { return w.column == c })
			switch {
			case !hit, i < 0, r.holds(rec, wants[i]):
			case len(wants) == 1:
				newer[c][t.id] = rec
			default:
				unclear = append(unclear, t)
			}
		}
		if len(unclear) == 0 {
			continue
		}
		found, _, err := r.list(ctx, r.formula(unclear, func(t *task) string { return r.since(t, c) }))
		if err != nil {
			return nil, err
		}
		maps.Copy(newer[c], found)
	}
	return newer, nil
}

// judge settles the edits that a look decides, and reports whether some are left to be written.
func (r *round) judge(ctx context.Context, t *task, l *look, newer func(column.Column) bool) (again bool, err error) {
	o := outcome{id: t.id, look: l}
	for decided := false; !decided; {
		decided = true
		wants, from := t.wants()
		clear(t.there)
		for i, w := range wants {
			if r.holds(l.record, w) {
				t.there[w.column] = true
				continue
			}
			if !newer(w.column) {
				continue
			}
			if t.past == nil {
				if t.past, err = r.history(ctx, t.id); err != nil {
					return false, err
				}
				decided = false // some may turn out to be overwritten
				break
			}
			if value := r.value(l.record, w.column); r.foreign(t, from[i], w.column, value) {
				field, _ := r.mapper.Field(w.column)
				o.rejected = append(o.rejected, rejection{from[i], newerThere(field.Name, value)})
				t.drop(from[i])
				decided = false
				break
			}
		}
	}
	if len(o.rejected) > 0 { // first, so that the foreign change has an event of its own
		if err := r.settle(ctx, []outcome{o}); err != nil {
			return false, err
		}
	}
	wants, _ := t.wants()
	if len(wants) > len(t.there) {
		return true, nil
	}
	return false, r.settle(ctx, []outcome{{id: t.id, look: l, applied: t.edits}})
}

// foreign reports whether value, which was put into the cell after e was requested, is of somebody
// who did not know e: neither what we wrote ourselves, nor what was known before the request (the
// second in which a cell was modified is all that Airtable tells).
func (r *round) foreign(t *task, e *edit, c column.Column, value *string) bool {
	for _, other := range t.edits {
		if v, ok := other.value(c); ok && other.tried.Load() && value != nil && *value == column.Bounded(c, v) {
			return false
		}
	}
	author := t.past.author(c, value)
	return author == nil || len(author.EditIDs) == 0 && !author.stored.Before(e.RequestedAt)
}

// list returns the records that a formula keeps, by their ids.
func (r *round) list(ctx context.Context, formula string) (map[string]airtable.Record, time.Time, error) {
	p, err := r.client.All(ctx, airtable.Query{Formula: formula, ByFieldID: r.mapper.ByID()})
	if err != nil {
		return nil, time.Time{}, err
	}
	found := make(map[string]airtable.Record, len(p.Records))
	for _, rec := range p.Records {
		found[rec.ID] = rec
	}
	return found, p.At, nil
}

// formula keeps the records for which their task's condition is true; none is asked of "".
func (r *round) formula(tasks []*task, condition func(*task) string) string {
	groups := map[string][]string{}
	var order []string
	for _, t := range tasks {
		c := condition(t)
		if groups[c] == nil {
			order = append(order, c)
		}
		groups[c] = append(groups[c], t.id)
	}
	parts := make([]string, len(order))
	for i, c := range order {
		parts[i] = airtable.Among(groups[c])
		if c != "" {
			parts[i] = "AND(" + parts[i] + "," + c + ")"
		}
	}
	return "OR(" + strings.Join(parts, ",") + ")"
}

// condition is true of a record that must not simply be written to.
func (r *round) condition(t *task, values bool) string {
	wants, _ := t.wants()
	var parts []string
	for _, w := range wants {
		field, _ := r.mapper.Field(w.column)
		parts = append(parts, r.since(t, w.column))
		if values {
			parts = append(parts, airtable.Holds(field.Name, r.mapper.Word(w.column, w.value)))
		}
	}
	return "OR(" + strings.Join(parts, ",") + ")"
}

func (r *round) since(t *task, c column.Column) string {
	field, _ := r.mapper.Field(c)
	wants, from := t.wants()
	i := slices.IndexFunc(wants, func(w want) bool { return w.column == c })
	return airtable.Since(field.Name, from[i].RequestedAt.Add(r.client.Ahead()))
}

func (r *round) holds(rec airtable.Record, w want) bool {
	v := r.value(rec, w.column)
	return v != nil && *v == column.Bounded(w.column, w.value)
}

func (r *round) value(rec airtable.Record, c column.Column) *string {
	o, _ := r.mapper.Order(rec, time.Time{})
	return valueOf(&o, c)
}

func valueOf(o *event.Order, c column.Column) *string {
	described, _ := event.ColumnByName(string(c))
	return described.Value(o)
}

// past is what ORDERS still holds about one record.
type past struct {
	settled   map[string][]ending // by edit, oldest first
	effective map[string]bool     // edits that a change came of
	applied   []*event.OrderEdited
	changes   []change // oldest first
}

type change struct {
	event.OrderChanged
	stored time.Time
}

// ending is the event that settled an edit.
type ending struct {
	*event.OrderEdited
	stored time.Time
}

// history reads what ORDERS holds about a record, which is little: bus.HistoryPerOrder of each kind.
func (w *Writer) history(ctx context.Context, id string) (*past, error) {
	stream, err := w.js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return nil, fmt.Errorf("look up the past of %s: %w", id, err)
	}
	p := &past{settled: map[string][]ending{}, effective: map[string]bool{}}
	for _, subject := range []string{event.OrderChangedSubject(id), event.TypeOrderEdited + "." + id} {
		for seq := uint64(1); ; {
			msg, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("look up the past of %s: %w", id, err)
			}
			p.read(msg)
			seq = msg.Sequence + 1
		}
	}
	return p, nil
}

// read takes a message in; what is unreadable tells nothing.
func (p *past) read(msg *jetstream.RawStreamMsg) {
	if c, _, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data); err == nil {
		p.changes = append(p.changes, change{*c, msg.Time})
		for _, id := range c.EditIDs {
			p.effective[id] = true
		}
		return
	}
	e, _, err := event.ParseOrderEdited(msg.Subject, msg.Header, msg.Data)
	if err != nil || e.State == event.Pending {
		return
	}
	p.settled[e.ID] = append(p.settled[e.ID], ending{e, msg.Time})
	if e.State == event.Applied {
		p.applied = append(p.applied, e)
	}
}

// overwritten reports whether an edit that was requested later has been applied to the column.
func (p *past) overwritten(e *edit, c column.Column) bool {
	return slices.ContainsFunc(p.applied, func(o *event.OrderEdited) bool {
		_, has := (&edit{OrderEdit: o.OrderEdit}).value(c)
		return has && o.ID != e.ID && o.RequestedAt.After(e.RequestedAt)
	})
}

// author is the change that brought the column to the value it has, nil if none is known.
func (p *past) author(c column.Column, value *string) (author *change) {
	for i := range slices.Backward(p.changes) {
		v := valueOf(&p.changes[i].Order, c)
		if (v == nil) != (value == nil) || v != nil && *v != *value {
			break
		}
		author = &p.changes[i]
	}
	return author
}
