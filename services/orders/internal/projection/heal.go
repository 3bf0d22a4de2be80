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
	editGrace    = 2 * time.Second // what a request has to tell of an edit it accepted
	editBatch    = 256
	lossPatience = 3  // looks until edits that seem lost are looked for
	lossRarely   = 60 // looks between searches that find nothing new
	requeuedWarn = 5  // times that an edit is requeued until the log warns that its outcome keeps getting lost
)

// healer finds edits that a crash left half-way (invariant 7): in EDITS but not in the table, which it
// tells of; or pending in the table but not in EDITS, which it offers again. Either must still be so
// when the projection is past all that was in ORDERS then.
type healer struct {
	*Projector
	created time.Time // EDITS's
	next    uint64    // edits of EDITS before it are known
	short   int       // looks since pending edits have been more than messages of EDITS
	wait    int       // looks until they are looked for
	// requeued is how often each pending edit was offered again. Searches that find these only become rarer.
	requeued map[string]int
}

// heal looks after edits until ctx ends. It costs two questions a look, and one more for each edit.
func (p *Projector) heal(ctx context.Context) {
	h := newHealer(p)
	failed := rate.Sometimes{First: 1, Interval: logInterval}
	for {
		if err := h.look(ctx); err != nil && ctx.Err() == nil {
			failed.Do(func() { p.log.Warn("edit reconciliation failed", "error", err) })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(idleCheck):
		}
	}
}

func newHealer(p *Projector) *healer {
	return &healer{Projector: p, wait: lossPatience, requeued: map[string]int{}}
}

func (h *healer) look(ctx context.Context) error {
	stream, err := h.js.Stream(ctx, bus.StreamEdits)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = errors.Join(err, bus.Ensure(ctx, h.js, h.replicas, bus.StreamEdits)) // for the next look
	}
	if err != nil {
		return fmt.Errorf("inspect %s: %w", bus.StreamEdits, err)
	}
	info := stream.CachedInfo()
	if !info.Created.Equal(h.created) || info.State.LastSeq+1 < h.next {
		h.created, h.next = info.Created, 1
	}
	if info.State.LastSeq >= h.next {
		if err := h.tellUnknown(ctx, stream); err != nil {
			return err
		}
	}
	pending, err := h.store.PendingEdits(ctx)
	if err != nil {
		return fmt.Errorf("count pending edits: %w", err)
	}
	pendingEdits.Set(float64(pending))
	if uint64(pending) <= info.State.Msgs {
		h.short = 0
		if pending == 0 {
			clear(h.requeued)
		}
		if len(h.requeued) == 0 { // else some are only queued until their outcome is lost again
			h.wait = lossPatience
		}
		return nil
	}
	if h.short++; h.short < h.wait {
		return nil
	}
	h.short, h.wait = 0, min(2*h.wait, lossRarely)
	found, err := h.offerLost(ctx, stream)
	if found {
		h.wait = lossPatience
	}
	return err
}

// tellUnknown publishes the pending event of edits that nobody has told of.
func (h *healer) tellUnknown(ctx context.Context, stream jetstream.Stream) error {
	for {
		edits, next, err := editsFrom(ctx, stream, h.next, time.Now().Add(-editGrace))
		if err != nil || next == h.next {
			return err
		}
		unknown, err := h.unknown(ctx, edits)
		if err == nil && len(unknown) > 0 {
			if err = h.caughtUp(ctx); err == nil {
				unknown, err = h.unknown(ctx, unknown)
			}
		}
		if err != nil {
			return err
		}
		for _, e := range unknown {
			h.log.Info("an accepted edit is told of", "record_id", e.RecordID, "edit_id", e.ID)
			if err := h.publishEdited(ctx, event.OrderEdited{OrderEdit: *e, State: event.Pending}, e.RequestedAt); err != nil {
				return err
			}
		}
		h.next = next
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

func (h *healer) unknown(ctx context.Context, edits []*event.OrderEdit) ([]*event.OrderEdit, error) {
	ids := make([]string, len(edits))
	for i, e := range edits {
		ids[i] = e.ID
	}
	known, err := h.store.KnownEdits(ctx, ids)
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
func (h *healer) caughtUp(ctx context.Context) error {
	stream, err := h.js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return fmt.Errorf("inspect %s: %w", bus.StreamOrders, err)
	}
	info := stream.CachedInfo()
	for {
		cp, err := h.store.Checkpoint(ctx, bus.StreamOrders)
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

// offerLost publishes the pending edits that are in EDITS no more on it again, and reports whether
// it could do something for one that it has not offered before.
func (h *healer) offerLost(ctx context.Context, stream jetstream.Stream) (found bool, err error) {
	suspects, err := h.store.PendingEditIDs(ctx)
	if err != nil {
		return false, fmt.Errorf("read pending edits: %w", err)
	}
	pending := make(map[string]bool, len(suspects))
	for _, id := range suspects {
		pending[id] = true
	}
	maps.DeleteFunc(h.requeued, func(id string, _ int) bool { return !pending[id] })
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
	if err := h.caughtUp(ctx); err != nil {
		return false, err
	}
	lost, err := h.store.LostEdits(ctx, slices.Collect(maps.Keys(missing)))
	if err != nil {
		return false, fmt.Errorf("read lost edits: %w", err)
	}
	for _, e := range lost {
		offered, err := h.offer(ctx, e, missing)
		if err != nil {
			return found, err
		}
		found = found || offered && h.requeued[e.ID] <= 1
	}
	return found, nil
}

// offer puts a lost edit in the queue again, without what newer edits of its order have overwritten
// since. While one of those is in the queue the edit waits, for it would overtake (invariant 4).
func (h *healer) offer(ctx context.Context, lost store.LostEdit, missing map[string]bool) (offered bool, err error) {
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
		h.log.Info("an edit whose outcome was lost went into a newer one", "record_id", e.RecordID, "edit_id", e.ID)
		return true, h.publishEdited(ctx, lost.Settled(nil), time.Now())
	}
	switch h.requeued[e.ID]++; h.requeued[e.ID] {
	case 1:
		h.log.Info("edit requeued", "record_id", e.RecordID, "edit_id", e.ID)
	case requeuedWarn:
		h.log.Warn("edit requeued repeatedly", "record_id", e.RecordID, "edit_id", e.ID, "times", requeuedWarn)
	}
	requeuedEdits.Inc()
	msg, err := event.NewOrderEdit(event.Envelope{ID: event.NewID(), Source: event.SourceOrders, Time: time.Now()}, &e)
	if err != nil {
		return false, err
	}
	return true, h.publish(ctx, msg)
}

// publishEdited publishes what the projection has not seen in all of ORDERS, under an id of its own: a first event
// of it may have been removed from the stream unread, by newer ones of its order, and would make this one a
// duplicate for as long as JetStream remembers ids.
func (h *healer) publishEdited(ctx context.Context, e event.OrderEdited, at time.Time) error {
	msg, err := event.NewOrderEdited(event.Envelope{ID: event.NewID(), Source: event.SourceOrders, Time: at}, &e)
	if err != nil {
		return err
	}
	return h.publish(ctx, msg)
}

func (h *healer) publish(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	if _, err := bus.Publish(ctx, h.js, msg); err != nil {
		return fmt.Errorf("publish on %s: %w", msg.Subject, err)
	}
	return nil
}
