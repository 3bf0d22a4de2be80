package edits

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

// outcome is how edits of one record ended.
type outcome struct {
	id       string
	look     *look // what Airtable said of the record; nil if nothing
	applied  []*edit
	rejected []rejection
	known    []*edit // settled by an earlier attempt: only to be acknowledged
}

// longestReason is how many bytes of a rejection's reason are published.
const longestReason = 2000

type rejection struct {
	edit   *edit
	reason fault.Text
}

func (o *outcome) edits() []*edit {
	all := slices.Concat(o.applied, o.known)
	for _, r := range o.rejected {
		all = append(all, r.edit)
	}
	return all
}

func (o *outcome) has(e *edit) bool { return slices.Contains(o.edits(), e) }

// columns are those that the applied edits are of.
func (o *outcome) columns() (columns []column.Column) {
	for _, c := range editable {
		if slices.ContainsFunc(o.applied, func(e *edit) bool { _, ok := e.value(c); return ok }) {
			columns = append(columns, c)
		}
	}
	return columns
}

// settle publishes outcomes and acknowledges their messages, in that order. After an error some may
// be published, and all must be tried again.
func (r *round) settle(ctx context.Context, outcomes []outcome) error {
	for _, o := range outcomes {
		for i := range o.rejected { // a cell's value or a field's choices may be in it, of any size
			o.rejected[i].reason = o.rejected[i].reason.Truncate(longestReason)
		}
	}
	if err := r.publishStates(ctx, outcomes); err != nil {
		r.ledger.Forget()
		return err
	}
	if err := r.publishEnds(ctx, outcomes); err != nil {
		return err
	}
	for _, o := range outcomes {
		messages, last := r.queue.remove(o.id, o.edits())
		if last {
			r.ledger.Release(o.id)
		}
		for _, m := range messages {
			if err := m.Ack(); err != nil { // it comes again, and is known then
				r.cfg.Log.Warn("a settled edit was not acknowledged", "subject", m.Subject(), "error", err)
			}
		}
		for _, e := range o.applied {
			observe(event.Applied, e)
		}
		for _, j := range o.rejected {
			r.cfg.Log.Warn("edit rejected", "edit", j.edit.ID, "record", o.id, "reason", j.reason.EN)
			observe(event.Rejected, j.edit)
		}
	}
	return nil
}

func observe(s event.EditState, e *edit) {
	settledEdits.WithLabelValues(string(s)).Inc()
	latency.WithLabelValues(string(s)).Observe(time.Since(e.RequestedAt).Seconds())
}

// publishStates publishes what Airtable said of the records, where that is news.
func (r *round) publishStates(ctx context.Context, outcomes []outcome) error {
	var records []airtable.Record
	var ids []string
	for _, o := range outcomes {
		if o.look != nil {
			records, ids = append(records, o.look.record), append(ids, o.id)
		}
	}
	if len(records) == 0 {
		return nil
	}
	r.ledger.Met(ids...)
	mapper, known := r.schema.Learn(records)
	if !known { // a field was added: without it the digest would not be the syncer's
		if err := r.schema.Refresh(ctx); err != nil {
			return err
		}
		mapper = r.schema.Mapper()
	}
	r.mapper = mapper
	if err := r.publishForeign(ctx, outcomes); err != nil {
		return err
	}
	var changes []ledger.Change
	for _, o := range outcomes {
		if o.look == nil {
			continue
		}
		c := ledger.Change{Found: o.look.at}
		c.Order, c.Digest = mapper.Order(o.look.record, o.look.at)
		if c.Kind = r.ledger.Kind(o.id, c.Digest); c.Kind == "" {
			continue
		}
		for _, e := range o.applied {
			c.EditIDs, c.Actor = append(c.EditIDs, e.ID), &e.Actor
		}
		changes = append(changes, c)
	}
	if err := r.out.Publish(ctx, changes); err != nil {
		return err
	}
	return r.out.Flush(ctx)
}

// publishForeign publishes first what others have changed in records that edits were applied to, and
// nobody has published yet: the edits' own event is about what they changed.
func (r *round) publishForeign(ctx context.Context, outcomes []outcome) error {
	var changes []ledger.Change
	for _, o := range outcomes {
		if o.look == nil || len(o.applied) == 0 {
			continue
		}
		if _, d := r.mapper.Order(o.look.record, o.look.at); r.ledger.Kind(o.id, d) != event.Updated {
			continue
		}
		last, err := r.ledger.Before(ctx, o.id)
		if err != nil {
			return err
		}
		if last == nil {
			continue
		}
		record, undone := r.mapper.Undo(o.look.record, o.columns(), last)
		c := ledger.Change{Kind: event.Updated, Found: o.look.at}
		c.Order, c.Digest = r.mapper.Order(record, o.look.at)
		foreign := ledger.Differences(last, &c.Order)
		renamed := slices.ContainsFunc(undone, func(c column.Column) bool { return foreign[string(c)] != nil })
		if len(foreign) > 0 && !renamed { // last has no cell of a renamed field, and one event must do
			changes = append(changes, c)
		}
	}
	if err := r.out.Publish(ctx, changes); err != nil {
		return err
	}
	return r.out.Flush(ctx)
}

// publishEnds publishes how each edit ended.
func (r *round) publishEnds(ctx context.Context, outcomes []outcome) error {
	type sent struct {
		msg *nats.Msg
		ack jetstream.PubAckFuture
	}
	var flight []sent
	send := func(e *edit, reason *fault.Text) error {
		ended := e.Settled(reason)
		id := event.EditedID(r.queue.newest(e).Headers().Get(jetstream.MsgIDHeader), ended.State)
		msg, err := event.NewOrderEdited(event.Envelope{ID: id, Source: r.client.Source(), Time: time.Now()}, &ended)
		if err != nil {
			return err
		}
		ack, err := r.js.PublishMsgAsync(msg, jetstream.WithStallWait(10*time.Second))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		flight = append(flight, sent{msg, ack})
		return nil
	}
	for _, o := range outcomes {
		for _, e := range o.applied {
			if err := send(e, nil); err != nil {
				return err
			}
		}
		for _, j := range o.rejected {
			if err := send(j.edit, &j.reason); err != nil {
				return err
			}
		}
	}
	for _, s := range flight {
		select {
		case <-s.ack.Ok():
		case err := <-s.ack.Err():
			r.cfg.Log.Debug("published again", "subject", s.msg.Subject, "error", err)
			if _, err := bus.Publish(ctx, r.js, s.msg); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
