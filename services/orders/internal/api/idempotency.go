package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/orders/internal/store"
)

var otherEdit = fault.T("Esa clave de idempotencia ya se usó con otra edición", "That idempotency key has been used with another edit")

// accepted is an edit that was accepted before.
type accepted struct {
	values    event.EditValues
	projected bool
}

// earlier gives the edits that the request's idempotency key has been used for, by id. Those that the projection does
// not have yet are on one of the streams: queued on EDITS, or settled on ORDERS.
func (a *api) earlier(ctx context.Context, q *ordersapi.EditRequest) (map[string]accepted, error) {
	if q.IdempotencyKey == "" {
		return nil, nil
	}
	projected, err := a.store.Checkpoint(ctx, bus.StreamOrders) // before the edits are read, which are no older then
	if err != nil {
		return nil, fault.Away("Postgres", err)
	}
	ids := make([]string, len(q.Edits))
	for i, e := range q.Edits {
		ids[i] = editID(q, e.RecordID)
	}
	known, err := a.store.EditValues(ctx, ids)
	if err != nil {
		return nil, err
	}
	earlier := make(map[string]accepted, len(known))
	for id, values := range known {
		earlier[id] = accepted{values: values, projected: true}
	}
	streams, err := a.editStreams(ctx, projected)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for i, e := range q.Edits {
		if _, ok := known[ids[i]]; ok {
			continue
		}
		group.Go(func() error {
			values, found, err := streams.find(asking, e.RecordID, ids[i])
			if found {
				mu.Lock()
				defer mu.Unlock()
				earlier[ids[i]] = accepted{values: values}
			}
			return err
		})
	}
	return earlier, group.Wait()
}

// sameAsQueued reports a Conflict if an edit with the id of e, but other values, has been accepted before.
func (a *api) sameAsQueued(ctx context.Context, e *event.OrderEdit) error {
	streams, err := a.editStreams(ctx, nil)
	if err != nil {
		return err
	}
	values, found, err := streams.find(ctx, e.RecordID, e.ID)
	if err == nil && found && !maps.Equal(values, e.Values) {
		return fault.New(fault.Conflict, otherEdit)
	}
	return err
}

// editStreams are the streams that hold edits.
type editStreams struct {
	edits, orders jetstream.Stream
	projected     uint64 // up to which sequence of orders the projection has all edits
}

func (a *api) editStreams(ctx context.Context, projected *store.Checkpoint) (s editStreams, err error) {
	if s.edits, err = a.js.Stream(ctx, bus.StreamEdits); err != nil {
		return s, fault.Away("NATS", fmt.Errorf("open %s: %w", bus.StreamEdits, err))
	}
	if s.orders, err = a.js.Stream(ctx, bus.StreamOrders); err != nil {
		return s, fault.Away("NATS", fmt.Errorf("open %s: %w", bus.StreamOrders, err))
	}
	if projected != nil && projected.StreamCreated.Equal(s.orders.CachedInfo().Created.UTC().Truncate(time.Microsecond)) {
		s.projected = projected.Seq
	}
	return s, nil
}

// find looks for an edit among those of its order that are queued, and those that the projection has not read yet.
func (s *editStreams) find(ctx context.Context, recordID, id string) (values event.EditValues, found bool, err error) {
	err = each(ctx, s.edits, event.TypeOrderEdit+"."+recordID, 1, func(m *jetstream.RawStreamMsg) bool {
		if e, _, err := event.ParseOrderEdit(m.Subject, m.Header, m.Data); err == nil && e.ID == id {
			values, found = e.Values, true
		}
		return found
	})
	if found || err != nil {
		return values, found, err
	}
	err = each(ctx, s.orders, event.TypeOrderEdited+"."+recordID, s.projected+1, func(m *jetstream.RawStreamMsg) bool {
		if e, _, err := event.ParseOrderEdited(m.Subject, m.Header, m.Data); err == nil && e.ID == id {
			values, found = e.Values, true
		}
		return found
	})
	return values, found, err
}

// each calls visit for the messages of a subject from a sequence on, until it returns true.
func each(ctx context.Context, stream jetstream.Stream, subject string, from uint64, visit func(*jetstream.RawStreamMsg) bool) error {
	for {
		msg, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fault.Away("NATS", fmt.Errorf("read %s: %w", subject, err))
		}
		if visit(msg) {
			return nil
		}
		from = msg.Sequence + 1
	}
}
