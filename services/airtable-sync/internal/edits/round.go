package edits

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
)

const (
	// fresh is the age up to which an edit is written without a look first, which would itself be
	// about as old when the write follows it.
	fresh = 500 * time.Millisecond
	// stubborn is after how many failures a record is written alone, so that it fails alone.
	stubborn = 2
	// finish is how long a write that has begun may go on after the writer was told to stop.
	finish = 5 * time.Second
)

// round is one pass over the records that wait longest.
type round struct {
	*Writer
	mapper  *column.Mapper
	refused map[want]fault.Text // what Airtable takes of no record; of any value where that is ""
	unseen  []outcome           // rejections of records that Airtable has told nothing of
}

// task is a record's edits on their way.
type task struct {
	line
	past *past // nil: not looked up
	// there are the columns that hold the wanted value already.
	there map[column.Column]bool
}

// want is a column and the value it is to hold.
type want struct {
	column column.Column
	value  string
}

// wants folds the edits: of each column the newest value, and the edit it is from. What a later edit
// has overwritten before, in another attempt, is left out.
func (t *task) wants() (wants []want, from []*edit) {
	for _, c := range editable {
		for _, e := range slices.Backward(t.edits) {
			v, ok := e.value(c)
			if !ok {
				continue
			}
			if t.past == nil || !t.past.overwritten(e, c) {
				wants, from = append(wants, want{c, v}), append(from, e)
			}
			break
		}
	}
	return wants, from
}

func (t *task) drop(e *edit) {
	t.edits = slices.DeleteFunc(t.edits, func(o *edit) bool { return o == e })
}

// fresh reports whether nobody can have tried the edits or changed the record since.
func (t *task) fresh() bool {
	return !slices.ContainsFunc(t.edits, func(e *edit) bool {
		age := time.Since(e.RequestedAt)
		return e.tried.Load() || age > fresh || age < -fresh
	})
}

// round handles up to a hundred records. An error is no verdict: what is not settled is tried again.
func (w *Writer) round(ctx context.Context) error {
	if err := w.ledger.Load(ctx); err != nil {
		return err
	}
	if _, err := w.schema.Load(ctx); err != nil {
		return err
	}
	r := &round{Writer: w, mapper: w.schema.Mapper(), refused: map[want]fault.Text{}}
	var tasks []*task
	for _, l := range w.queue.front(airtable.PageSize) {
		tasks = append(tasks, &task{line: *l, there: map[column.Column]bool{}})
	}
	tasks, err := r.recall(ctx, tasks)
	if err != nil {
		return err
	}
	if tasks, err = r.columns(ctx, tasks); err != nil {
		return err
	}
	if n := firstStale(tasks); n > 0 {
		tasks = tasks[:min(n, airtable.BatchSize)]
	} else if tasks, err = r.look(ctx, tasks); err != nil {
		return err
	}
	for len(tasks) > 0 {
		n := batch(tasks)
		if err := r.write(ctx, tasks[:n]); err != nil {
			return errors.Join(err, r.conclude(ctx))
		}
		tasks = tasks[n:]
	}
	return r.conclude(ctx)
}

func firstStale(tasks []*task) int {
	if i := slices.IndexFunc(tasks, func(t *task) bool { return !t.fresh() }); i >= 0 {
		return i
	}
	return len(tasks)
}

// batch is how many of the first tasks go into one request.
func batch(tasks []*task) int {
	n := 0
	for n < min(len(tasks), airtable.BatchSize) && tasks[n].failures < stubborn {
		n++
	}
	return max(n, 1)
}

// recall settles what earlier attempts have brought to an end, and returns the rest.
func (r *round) recall(ctx context.Context, tasks []*task) (rest []*task, err error) {
	var done []outcome
	for _, t := range tasks {
		if slices.ContainsFunc(t.edits, func(e *edit) bool { return e.tried.Load() }) {
			if t.past, err = r.history(ctx, t.id); err != nil {
				return nil, err
			}
			o := outcome{id: t.id}
			for _, e := range t.edits {
				switch {
				case len(t.past.settled[e.ID]) > 0:
					if err := r.resettle(&o, e, t.past.settled[e.ID]); err != nil {
						return nil, err
					}
				case t.past.effective[e.ID]:
					o.applied = append(o.applied, e)
				}
			}
			t.edits = slices.DeleteFunc(t.edits, o.has)
			if wants, _ := t.wants(); len(wants) == 0 { // later ones have overwritten them
				o.applied, t.edits = append(o.applied, t.edits...), nil
			}
			if len(o.edits()) > 0 {
				done = append(done, o)
			}
		}
		if len(t.edits) > 0 {
			rest = append(rest, t)
		}
	}
	return rest, r.settle(ctx, done)
}

// resettle ends an edit that has ended before. If it was queued again since, its projection passed over the event that
// says so, as it does with what it cannot store: the edit ends once more as it did, then without the reason it had.
func (r *round) resettle(o *outcome, e *edit, endings []ending) error {
	meta, err := r.queue.newest(e).Metadata()
	if err != nil {
		return fmt.Errorf("read the edits: %w", err)
	}
	last := endings[len(endings)-1]
	switch {
	case !meta.Timestamp.After(last.stored):
		o.known = append(o.known, e)
	case last.State == event.Applied:
		o.applied = append(o.applied, e)
	case len(endings) == 1:
		o.rejected = append(o.rejected, rejection{e, *last.Reason})
	default:
		o.rejected = append(o.rejected, rejection{e, fault.T("Airtable rechazó la edición; el motivo no se pudo guardar y está en las cartas muertas",
			"Airtable rejected the edit; the reason could not be stored and is among the dead letters")})
	}
	return nil
}

// columns rejects edits of columns that the table does not have.
func (r *round) columns(ctx context.Context, tasks []*task) (rest []*task, err error) {
	if !r.mapper.ByID() && slices.ContainsFunc(tasks, r.unknown) {
		if err := r.relearn(ctx); err != nil {
			return nil, err
		}
	}
	for _, t := range tasks {
		if r.unknown(t) {
			o := outcome{id: t.id}
			for _, e := range t.edits {
				for _, c := range editable {
					if _, wanted := e.value(c); wanted && !r.knows(c) && !o.has(e) {
						o.rejected = append(o.rejected, rejection{e, noColumn(c)})
					}
				}
			}
			r.unseen = append(r.unseen, o)
			t.edits = slices.DeleteFunc(t.edits, o.has)
		}
		if len(t.edits) > 0 {
			rest = append(rest, t)
		}
	}
	return rest, nil
}

// relearn finds the columns anew: fields may have been made, or have other names by now.
func (r *round) relearn(ctx context.Context) error {
	if r.mapper.ByID() {
		err := r.schema.Refresh(ctx)
		r.mapper = r.schema.Mapper()
		return err
	}
	// Names are learnt from records, and a page of them shows whether there are more.
	p, err := r.client.Page(ctx, airtable.Query{}, "")
	if err == nil {
		r.mapper, _ = r.schema.Learn(p.Records)
	}
	return err
}

func (r *round) knows(c column.Column) bool {
	_, ok := r.mapper.Field(c)
	return ok
}

func (r *round) unknown(t *task) bool {
	return slices.ContainsFunc(t.edits, func(e *edit) bool {
		return slices.ContainsFunc(editable, func(c column.Column) bool {
			_, wanted := e.value(c)
			return wanted && !r.knows(c)
		})
	})
}

// conclude settles the rejections that were made without a look at the record, with one: what the
// syncer left to the writer must be published by somebody.
func (r *round) conclude(ctx context.Context) error {
	for some := range slices.Chunk(r.unseen, airtable.PageSize) {
		ids := make([]string, len(some))
		for i, o := range some {
			ids[i] = o.id
		}
		p, err := r.client.All(ctx, airtable.Query{Formula: airtable.Among(ids), ByFieldID: r.mapper.ByID()})
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // who waits for the verdict need not wait for this
			r.cfg.Log.Warn("rejected edits are settled without a look at their records", "error", err)
		}
		for i := range some {
			for _, rec := range p.Records {
				if rec.ID == some[i].id {
					some[i].look = &look{rec, p.At}
				}
			}
		}
		if err := r.settle(ctx, some); err != nil {
			return err
		}
	}
	r.unseen = nil
	return nil
}
