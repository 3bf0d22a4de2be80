package projection

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/orders/internal/store"
)

const (
	editGrace    = 2 * time.Second // within which a request publishes the pending event of an edit that it accepted
	editBatch    = 256
	minChecks    = 3  // checks until edits that seem lost are searched for
	maxChecks    = 60 // checks between searches that find nothing new
	requeuedWarn = 5  // times that an edit is requeued until the log warns that its outcome keeps getting lost
)

// editReconciler repairs edits that a crash left half-accepted (invariant 7). An edit that is in EDITS but not in the
// table gets its pending event published again; an edit that is pending in the table but missing from EDITS is
// queued again. Either must still be so when the projection has passed all that was in ORDERS at the time.
type editReconciler struct {
	*Projector
	streamCreated   time.Time // creation time of EDITS, to notice a replaced stream
	nextSeq         uint64    // first sequence of EDITS that is not checked yet
	missingChecks   int       // consecutive checks that found more pending edits than messages in EDITS
	checksToRecover int       // how many such checks must pass before a search, doubled after each fruitless one
	// requeued is how often each pending edit was queued again. Searches that find these only become rarer.
	requeued map[string]int
}

// reconcileEdits repairs edits until ctx ends. A check costs two requests, and one more for each new edit.
func (p *Projector) reconcileEdits(ctx context.Context) {
	r := newEditReconciler(p)
	failed := rate.Sometimes{First: 1, Interval: logInterval}
	for {
		if err := r.check(ctx); err != nil && ctx.Err() == nil {
			failed.Do(func() { p.log.Warn("edit reconciliation failed", "error", err) })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(idleCheck):
		}
	}
}

func newEditReconciler(p *Projector) *editReconciler {
	return &editReconciler{Projector: p, checksToRecover: minChecks, requeued: map[string]int{}}
}

func (r *editReconciler) check(ctx context.Context) error {
	stream, err := r.js.Stream(ctx, bus.StreamEdits)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = errors.Join(err, bus.Ensure(ctx, r.js, r.replicas, bus.StreamEdits)) // for the next check
	}
	if err != nil {
		return fmt.Errorf("inspect %s: %w", bus.StreamEdits, err)
	}
	info := stream.CachedInfo()
	if !info.Created.Equal(r.streamCreated) || info.State.LastSeq+1 < r.nextSeq {
		r.streamCreated, r.nextSeq = info.Created, 1
	}
	if info.State.LastSeq >= r.nextSeq {
		if err := r.publishMissing(ctx, stream); err != nil {
			return err
		}
	}
	pending, err := r.store.PendingEdits(ctx)
	if err != nil {
		return fmt.Errorf("count pending edits: %w", err)
	}
	pendingEdits.Set(float64(pending))
	if uint64(pending) <= info.State.Msgs {
		r.missingChecks = 0
		if pending == 0 {
			clear(r.requeued)
		}
		if len(r.requeued) == 0 { // else some are only queued until their outcome is lost again
			r.checksToRecover = minChecks
		}
		return nil
	}
	if r.missingChecks++; r.missingChecks < r.checksToRecover {
		return nil
	}
	r.missingChecks, r.checksToRecover = 0, min(2*r.checksToRecover, maxChecks)
	found, err := r.requeueLost(ctx, stream)
	if found {
		r.checksToRecover = minChecks
	}
	return err
}

// publishMissing publishes the pending event of edits for which no request did.
func (r *editReconciler) publishMissing(ctx context.Context, stream jetstream.Stream) error {
	for {
		edits, next, err := editsFrom(ctx, stream, r.nextSeq, time.Now().Add(-editGrace))
		if err != nil || next == r.nextSeq {
			return err
		}
		unknown, err := r.unknown(ctx, edits)
		if err == nil && len(unknown) > 0 {
			if err = r.caughtUp(ctx); err == nil {
				unknown, err = r.unknown(ctx, unknown)
			}
		}
		if err != nil {
			return err
		}
		for _, e := range unknown {
			r.log.Info("pending event republished", "record_id", e.RecordID, "edit_id", e.ID)
			if err := r.publishEdited(ctx, event.OrderEdited{OrderEdit: *e, State: event.Pending}, e.RequestedAt); err != nil {
				return err
			}
		}
		r.nextSeq = next
	}
}

// editsFrom reads up to a batch of EDITS from a sequence on, to those stored before a time unless
// that is zero, and gives where to go on.
func editsFrom(ctx context.Context, stream jetstream.Stream, seq uint64, before time.Time) (edits []*event.OrderEdit, next uint64, err error) {
	for len(edits) < editBatch {
		msg, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(event.OrderEdits)) // the first from seq on
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return edits, seq, nil
		case err != nil:
			return nil, 0, fmt.Errorf("read %s: %w", bus.StreamEdits, err)
		case !before.IsZero() && msg.Time.After(before):
			return edits, seq, nil
		}
		seq = msg.Sequence + 1
		if e, _, err := event.ParseOrderEdit(msg.Subject, msg.Header, msg.Data); err == nil { // else airtable-sync parks it
			edits = append(edits, e)
		}
	}
	return edits, seq, nil
}

func (r *editReconciler) unknown(ctx context.Context, edits []*event.OrderEdit) ([]*event.OrderEdit, error) {
	ids := make([]string, len(edits))
	for i, e := range edits {
		ids[i] = e.ID
	}
	known, err := r.store.KnownEdits(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("look edits up: %w", err)
	}
	var unknown []*event.OrderEdit
	for _, e := range edits {
		if !known[e.ID] {
			unknown = append(unknown, e)
		}
	}
	return unknown, nil
}

// caughtUp returns when the projection has passed all that is in ORDERS now.
func (r *editReconciler) caughtUp(ctx context.Context) error {
	stream, err := r.js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return fmt.Errorf("inspect %s: %w", bus.StreamOrders, err)
	}
	info := stream.CachedInfo()
	for {
		cp, err := r.store.Checkpoint(ctx, bus.StreamOrders)
		if err != nil {
			return fmt.Errorf("read the checkpoint: %w", err)
		}
		if cp != nil && cp.Seq >= info.State.LastSeq && cp.StreamCreated.Equal(info.Created.UTC().Truncate(time.Microsecond)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(idleCheck / 10):
		}
	}
}

// requeueLost queues the pending edits again that are missing from EDITS, and reports whether it could do something
// for one that it has not queued before.
func (r *editReconciler) requeueLost(ctx context.Context, stream jetstream.Stream) (found bool, err error) {
	suspects, err := r.store.PendingEditIDs(ctx)
	if err != nil {
		return false, fmt.Errorf("read pending edits: %w", err)
	}
	pending := make(map[string]bool, len(suspects))
	for _, id := range suspects {
		pending[id] = true
	}
	maps.DeleteFunc(r.requeued, func(id string, _ int) bool { return !pending[id] })
	queued := map[string]bool{}
	for next := uint64(1); ; {
		edits, after, err := editsFrom(ctx, stream, next, time.Time{})
		if err != nil {
			return false, err
		}
		for _, e := range edits {
			queued[e.ID] = true
		}
		if after == next {
			break
		}
		next = after
	}
	missing := map[string]bool{}
	for _, id := range suspects {
		if !queued[id] {
			missing[id] = true
		}
	}
	if len(missing) == 0 {
		return false, nil
	}
	if err := r.caughtUp(ctx); err != nil {
		return false, err
	}
	lost, err := r.store.LostEdits(ctx, slices.Collect(maps.Keys(missing)))
	if err != nil {
		return false, fmt.Errorf("read lost edits: %w", err)
	}
	for _, e := range lost {
		queued, err := r.requeue(ctx, e, missing)
		if err != nil {
			return found, err
		}
		found = found || queued && r.requeued[e.ID] <= 1
	}
	return found, nil
}

// requeue puts a lost edit into the queue again, without what newer edits of its order have overwritten
// since. While one of those is in the queue the edit waits, for it would overtake (invariant 4).
func (r *editReconciler) requeue(ctx context.Context, lost store.LostEdit, missing map[string]bool) (queued bool, err error) {
	e := lost.OrderEdit
	e.Values = maps.Clone(e.Values)
	for _, newer := range lost.Newer {
		if newer.State == event.Pending && !missing[newer.ID] {
			return false, nil
		}
		if newer.State == event.Applied {
			maps.DeleteFunc(e.Values, func(column, _ string) bool { _, overwritten := newer.Values[column]; return overwritten })
		}
	}
	if len(e.Values) == 0 {
		r.log.Info("lost edit superseded by a newer one", "record_id", e.RecordID, "edit_id", e.ID)
		return true, r.publishEdited(ctx, lost.Settled(nil), time.Now())
	}
	switch r.requeued[e.ID]++; r.requeued[e.ID] {
	case 1:
		r.log.Info("edit requeued", "record_id", e.RecordID, "edit_id", e.ID)
	case requeuedWarn:
		r.log.Warn("edit requeued repeatedly", "record_id", e.RecordID, "edit_id", e.ID, "times", requeuedWarn)
	}
	requeuedEdits.Inc()
	msg, err := event.NewOrderEdit(event.Envelope{ID: event.NewID(), Source: event.SourceOrders, Time: time.Now()}, &e)
	if err != nil {
		return false, err
	}
	return true, r.publish(ctx, msg)
}

// publishEdited publishes what the projection has not seen in all of ORDERS, under an id of its own: a first event
// of it may have been removed from the stream unread, by newer ones of its order, and would make this one a
// duplicate for as long as JetStream remembers ids.
func (r *editReconciler) publishEdited(ctx context.Context, e event.OrderEdited, at time.Time) error {
	msg, err := event.NewOrderEdited(event.Envelope{ID: event.NewID(), Source: event.SourceOrders, Time: at}, &e)
	if err != nil {
		return err
	}
	return r.publish(ctx, msg)
}

func (r *editReconciler) publish(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	if _, err := bus.Publish(ctx, r.js, msg); err != nil {
		return fmt.Errorf("publish on %s: %w", msg.Subject, err)
	}
	return nil
}
