package projection

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// An edit whose outcome gets lost again and again is requeued ever more rarely, and the log does not fill with it.
func TestStuckEditIsRequeuedRarely(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	s, err := store.Open(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var log bytes.Buffer
	p := New(s, js, 1, slog.New(slog.NewTextHandler(&log, nil)))
	running, stop := context.WithCancel(t.Context())
	var projecting sync.WaitGroup
	projecting.Go(func() { _ = p.Run(running) })
	e := event.OrderEdit{ID: "edit1", RecordID: "rec1", Values: event.EditValues{"status": "Sent"}, Actor: event.Actor{ID: "ana"}, RequestedAt: time.Now()}
	msg, err := event.NewOrderEdited(event.Envelope{ID: event.EditedID(e.ID, event.Pending), Source: event.SourceOrders, Time: e.RequestedAt}, &event.OrderEdited{OrderEdit: e, State: event.Pending})
	if err != nil {
		t.Fatal(err)
	}
	for pending := 0; pending == 0; time.Sleep(5 * time.Millisecond) { // poll
		if err := bus.Ensure(t.Context(), js, 1, bus.StreamOrders, bus.StreamEdits); err != nil {
			t.Fatal(err)
		}
		if _, err := bus.Publish(t.Context(), js, msg); err != nil {
			t.Fatal(err)
		}
		pending, _ = s.PendingEdits(t.Context()) // no table yet
	}
	stop()
	projecting.Wait()
	log.Reset()

	h := newEditReconciler(p)
	edits, err := js.Stream(t.Context(), bus.StreamEdits)
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for n := range 100 {
		if err := h.check(t.Context()); err != nil {
			t.Fatal(err)
		}
		info, err := edits.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs == 0 {
			continue
		}
		at = append(at, n)
		if err := h.check(t.Context()); err != nil { // it is queued
			t.Fatal(err)
		}
		if err := edits.Purge(t.Context()); err != nil { // and acknowledged, without an outcome
			t.Fatal(err)
		}
	}
	if len(at) < 3 || len(at) > 6 {
		t.Errorf("requeued at checks %v", at)
	}
	if n := strings.Count(log.String(), "edit requeued"); n > 2 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// The outcome of an edit was removed from ORDERS before it was projected, since only the newest messages of each
// order are kept. JetStream still remembers its id, and what replaces it must not be taken for it.
func TestOutcomeRemovedUnread(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	s, err := store.Open(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := New(s, js, 1, slog.New(slog.DiscardHandler))
	if err := bus.Ensure(t.Context(), js, 1, bus.StreamOrders, bus.StreamEdits); err != nil {
		t.Fatal(err)
	}
	project := func() (stop func()) {
		running, cancel := context.WithCancel(t.Context())
		var projecting sync.WaitGroup
		projecting.Go(func() { _ = p.Run(running) })
		return func() { cancel(); projecting.Wait() }
	}
	publish := func(id string, state event.EditState) uint64 {
		t.Helper()
		e := event.OrderEdit{ID: id, RecordID: "rec1", Values: event.EditValues{"status": "Sent"}, Actor: event.Actor{ID: "ana"}, RequestedAt: time.Now()}
		msg, err := event.NewOrderEdited(event.Envelope{ID: event.EditedID(id, state), Source: event.SourceOrders, Time: e.RequestedAt},
			&event.OrderEdited{OrderEdit: e, State: state})
		if err != nil {
			t.Fatal(err)
		}
		seq, err := bus.Publish(t.Context(), js, msg)
		if err != nil {
			t.Fatal(err)
		}
		return seq
	}
	stop := project()
	publish("older", event.Pending)
	publish("newer", event.Pending)
	publish("newer", event.Applied)
	pendingIs := func(want int) {
		t.Helper()
		for have := -1; have != want; time.Sleep(5 * time.Millisecond) { // poll
			if t.Context().Err() != nil {
				t.Fatal("cancelled")
			}
			if n, err := s.PendingEdits(t.Context()); err == nil {
				have = n
			}
		}
	}
	pendingIs(1)
	stop()
	orders, err := js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	if err := orders.DeleteMsg(t.Context(), publish("older", event.Applied)); err != nil {
		t.Fatal(err)
	}
	publish("newest", event.Pending)
	publish("newest", event.Applied)
	stop = project()
	defer stop()
	pendingIs(1)
	before, err := orders.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := newEditReconciler(p)
	for range minChecks {
		if err := h.check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := orders.Info(t.Context()); err != nil || info.State.LastSeq != before.State.LastSeq+1 {
		t.Fatalf("the outcome was not stored: %v, last %d after %d", err, info.State.LastSeq, before.State.LastSeq)
	}
	pendingIs(0)
}
