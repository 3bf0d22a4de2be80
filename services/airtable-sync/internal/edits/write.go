package edits

import (
	"context"
	"strings"
	"time"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// write brings tasks to an end: written or rejected. An error is no verdict, and leaves them as they are.
func (r *round) write(ctx context.Context, tasks []*task) error {
	tasks = r.foreseen(tasks)
	if len(tasks) == 0 {
		return nil
	}
	updates, ids := make([]airtable.Update, len(tasks)), make([]string, len(tasks))
	for i, t := range tasks {
		updates[i], ids[i] = r.update(t), t.id
		for _, e := range t.edits { // from here on, whatever becomes of the answer
			e.tried.Store(true)
		}
	}
	work, done := grace(ctx)
	defer done()
	records, at, err := r.client.Update(work, updates, r.mapper.ByID(), r.turn(ctx))
	switch {
	case err == nil:
		outcomes := make([]outcome, len(tasks))
		for i, t := range tasks {
			outcomes[i] = outcome{id: t.id, look: &look{records[i], at}, applied: t.edits}
		}
		return r.settle(work, outcomes)
	case !airtable.IsVerdict(err):
		r.queue.failed(ids)
		return err
	case len(tasks) == 1:
		return r.refuse(ctx, tasks[0], err)
	}
	half := len(tasks) / 2
	if err := r.write(ctx, tasks[:half]); err != nil {
		return err
	}
	return r.write(ctx, tasks[half:])
}

// turn is asked when the pace allows a write: nobody may have told us to stop, or taken over.
func (r *round) turn(ctx context.Context) func(context.Context) error {
	return func(work context.Context) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return r.cfg.Held(work)
	}
}

// grace outlives ctx a little, for what has begun: nobody else can tell whether a write that was
// abandoned will still take effect.
func grace(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(finish, cancel) })
	return work, func() { stop(); cancel() }
}

// update is what is to be written of a task.
func (r *round) update(t *task) airtable.Update {
	u := airtable.Update{ID: t.id, Fields: map[string]any{}}
	wants, _ := t.wants()
	for _, w := range wants {
		if !t.there[w.column] {
			field, _ := r.mapper.Field(w.column)
			u.Fields[field.Key()] = r.mapper.Cell(w.column, w.value)
		}
	}
	return u
}

// foreseen rejects what Airtable has refused in this round whatever the record, and returns the rest.
func (r *round) foreseen(tasks []*task) (rest []*task) {
	for _, t := range tasks {
		o := outcome{id: t.id}
		for known := true; known && len(t.edits) > 0; {
			known = false
			wants, from := t.wants()
			for i, w := range wants {
				reason, refused := r.refused[w]
				if !refused {
					reason, refused = r.refused[want{column: w.column}]
				}
				if refused && !t.there[w.column] {
					o.rejected = append(o.rejected, rejection{from[i], reason})
					t.drop(from[i])
					known = true
					break
				}
			}
		}
		if len(o.rejected) > 0 {
			r.unseen = append(r.unseen, o)
		}
		if len(t.edits) > 0 {
			rest = append(rest, t)
		}
	}
	return rest
}

// refuse rejects the guilty edit of a record that stands alone, and writes what others are left.
func (r *round) refuse(ctx context.Context, t *task, err error) error {
	if airtable.IsForbidden(err) {
		if err = r.verify(ctx, t, err); err == nil || !airtable.IsVerdict(err) {
			return err
		}
	}
	if airtable.IsRecordGone(err) {
		o := outcome{id: t.id}
		for _, e := range t.edits {
			o.rejected = append(o.rejected, rejection{e, gone()})
		}
		r.unseen = append(r.unseen, o)
		return nil
	}
	wants, from := t.pending()
	e, guilty, err := r.blame(ctx, t, wants, from, err)
	if err != nil && !airtable.IsVerdict(err) {
		return err
	}
	if (airtable.IsBadChoice(err) || airtable.IsBadField(err)) && r.mapper.ByID() && len(r.refused) == 0 { // for the reason
		if err := r.relearn(ctx); err != nil {
			return err
		}
	}
	if guilty >= 0 && airtable.IsUnknownField(err) && !r.mapper.ByID() {
		was, _ := r.mapper.Field(wants[guilty].column)
		if err := r.relearn(ctx); err != nil {
			return err
		}
		if is, known := r.mapper.Field(wants[guilty].column); known && is.Name != was.Name { // renamed
			return r.write(ctx, []*task{t})
		}
	}
	reason := airtable.Reason(err)
	if guilty >= 0 {
		if airtable.IsBadChoice(err) {
			if err := r.schema.ChoiceRefused(ctx, wants[guilty].column, wants[guilty].value); err != nil {
				return err
			}
			r.mapper = r.schema.Mapper()
		}
		reason = refusal(err, r.mapper, wants[guilty])
		switch {
		case airtable.IsBadChoice(err):
			r.refused[wants[guilty]] = reason
		case airtable.IsBadField(err), airtable.IsForbidden(err):
			r.refused[want{column: wants[guilty].column}] = reason
		}
	}
	r.unseen = append(r.unseen, outcome{id: t.id, rejected: []rejection{{e, reason}}})
	t.drop(e)
	if len(t.edits) == 0 {
		return nil
	}
	return r.write(ctx, []*task{t})
}

// blame tells which edit was refused, which of its wants, and with which words; guilty is -1 where it wants several
// and Airtable does not say which. An error that is no verdict ends it.
func (r *round) blame(ctx context.Context, t *task, wants []want, from []*edit, err error) (e *edit, guilty int, _ error) {
	named := -1
	for i, w := range wants {
		field, _ := r.mapper.Field(w.column)
		if text := err.Error(); strings.Contains(text, `"`+r.mapper.Word(w.column, w.value)+`"`) || strings.Contains(text, field.Key()) || strings.Contains(text, field.Name) {
			if named >= 0 {
				named = -1
				break
			}
			named = i
		}
	}
	var own, others []int // of the first edit, and of those after it
	for i, e := range from {
		if e == from[0] {
			own = append(own, i)
		} else {
			others = append(others, i)
		}
	}
	switch {
	case named >= 0:
		return from[named], named, err
	case len(others) == 0 && len(own) == 1:
		return from[0], own[0], err
	case len(others) == 0:
		return from[0], -1, err
	}
	// What the first edit wants is tried alone. If it is taken, it is written once more with what is left, and
	// settled then.
	single := airtable.Update{ID: t.id, Fields: map[string]any{}}
	for _, i := range own {
		field, _ := r.mapper.Field(wants[i].column)
		single.Fields[field.Key()] = r.mapper.Cell(wants[i].column, wants[i].value)
	}
	work, done := grace(ctx)
	defer done()
	_, _, alone := r.client.Update(work, []airtable.Update{single}, r.mapper.ByID(), r.turn(ctx))
	switch {
	case alone == nil:
		left, of := make([]want, len(others)), make([]*edit, len(others))
		for n, i := range others {
			left[n], of[n] = wants[i], from[i]
		}
		e, guilty, err := r.blame(ctx, t, left, of, err)
		if guilty >= 0 {
			guilty = others[guilty]
		}
		return e, guilty, err
	case !airtable.IsVerdict(alone):
		r.queue.failed([]string{t.id})
		return nil, -1, alone
	case len(own) == 1:
		return from[0], own[0], alone
	}
	return from[0], -1, alone
}

// pending is wants without what is there.
func (t *task) pending() (wants []want, from []*edit) {
	all, edits := t.wants()
	for i, w := range all {
		if !t.there[w.column] {
			wants, from = append(wants, w), append(from, edits[i])
		}
	}
	return wants, from
}

// verify tells what a 403 or 404 means, which may pass, or be about all the table: it repeats the
// write, and looks whether the record is there. The error it returns is a verdict on this record if
// it IsVerdict; none means that the record was written after all.
func (r *round) verify(ctx context.Context, t *task, err error) error {
	for _, wait := range []time.Duration{time.Second, 2 * time.Second} {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.cfg.After(wait):
		}
		work, done := grace(ctx)
		records, at, again := r.client.Update(work, []airtable.Update{r.update(t)}, r.mapper.ByID(), r.turn(ctx))
		if again == nil {
			again = r.settle(work, []outcome{{id: t.id, look: &look{records[0], at}, applied: t.edits}})
			done()
			return again
		}
		done()
		if !airtable.IsVerdict(again) {
			r.queue.failed([]string{t.id})
			return again
		}
		if err = again; !airtable.IsForbidden(err) {
			return err
		}
	}
	found, _, unread := r.list(ctx, airtable.Among([]string{t.id}))
	switch {
	case unread != nil:
		return &unclearError{unread} // the table cannot be read either
	case len(found) == 0:
		return &airtable.Error{Status: 404, Type: "ROW_DOES_NOT_EXIST"}
	}
	return err
}

// unclearError is a refusal that is no verdict on a record.
type unclearError struct{ cause error }

func (e *unclearError) Error() string { return e.cause.Error() }
