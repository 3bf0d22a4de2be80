package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/localnats"
	"github.com/resonance/resonance/pkg/natstest"
)

// publisher counts attempts and may lose their acknowledgements.
type publisher struct {
	jetstream.JetStream
	attempts atomic.Int32
	tried    chan struct{} // closed at the end of the first attempt
	lose     int32         // how many acknowledgements get lost
	then     func()        // called after the first attempt
}

func newPublisher(js jetstream.JetStream) *publisher {
	return &publisher{JetStream: js, tried: make(chan struct{})}
}

func (p *publisher) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := p.JetStream.PublishMsg(ctx, m, opts...)
	n := p.attempts.Add(1)
	if n == 1 {
		if p.then != nil {
			p.then()
		}
		close(p.tried)
	}
	if n <= p.lose {
		return nil, nats.ErrTimeout
	}
	return ack, err
}

func message(recordID, id string) *nats.Msg {
	return &nats.Msg{Subject: event.OrderChangedSubject(recordID), Data: []byte("{}"), Header: nats.Header{nats.MsgIdHdr: {id}}}
}

func orders(t *testing.T) (*natstest.Server, *nats.Conn, jetstream.JetStream) {
	t.Helper()
	server := natstest.Start(t)
	nc, js := server.Connect()
	if err := bus.Ensure(deadline(t, patience), js, 1, bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	return server, nc, js
}

func stored(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(deadline(t, patience), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func TestPublishOnce(t *testing.T) {
	t.Parallel()
	_, _, js := orders(t)
	ctx := deadline(t, patience)
	for attempt := range 2 {
		if seq, err := bus.Publish(ctx, js, message("rec1", "a")); seq != 1 || err != nil {
			t.Errorf("attempt %d: %d, %v", attempt, seq, err)
		}
	}
	if ack, err := bus.PublishAck(ctx, js, message("rec1", "a")); err != nil || !ack.Duplicate || ack.Sequence != 1 {
		t.Errorf("%+v, %v", ack, err)
	}
	if seq, err := bus.Publish(ctx, js, message("rec1", "b")); seq != 2 || err != nil {
		t.Errorf("another message: %d, %v", seq, err)
	}
	if n := stored(t, js); n != 2 {
		t.Errorf("%d messages are stored", n)
	}
	if _, err := bus.Publish(ctx, js, &nats.Msg{Subject: event.OrderChangedSubject("rec1")}); err == nil {
		t.Error("published without an id")
	}
}

// Invariant 4. A retry after a lost acknowledgement is no conflict with oneself.
func TestPublishRetriesALostAck(t *testing.T) {
	t.Parallel()
	_, _, js := orders(t)
	p := newPublisher(js)
	p.lose = 2
	msg := message("rec1", "a")
	bus.ExpectLast(msg, 0)
	if seq, err := bus.Publish(deadline(t, patience), p, msg); seq != 1 || err != nil {
		t.Errorf("%d, %v", seq, err)
	}
	if n := p.attempts.Load(); n != 3 {
		t.Errorf("%d attempts", n)
	}
	if n := stored(t, js); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
}

// What somebody else published meanwhile is a conflict, also after a lost acknowledgement.
func TestPublishConflictAfterALostAck(t *testing.T) {
	t.Parallel()
	_, _, js := orders(t)
	ctx := deadline(t, patience)
	p := newPublisher(js)
	p.lose = 1
	msg := message("rec1", "a")
	bus.ExpectLast(msg, 0)
	p.then = func() {
		if _, err := bus.Publish(ctx, js, message("rec1", "b")); err != nil {
			t.Error(err)
		}
	}
	if seq, err := bus.Publish(ctx, p, msg); !bus.IsConflict(err) {
		t.Errorf("%d, %v", seq, err)
	}
}

func TestPublishOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	server, nc, js := orders(t)
	down := nc.StatusChanged(nats.RECONNECTING)
	server.Stop()
	select {
	case <-down:
	case <-time.After(patience):
		t.Fatal("still connected")
	}
	p := newPublisher(js)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if seq, err := bus.Publish(deadline(t, patience), p, message("rec1", "a")); seq != 1 || err != nil {
			t.Errorf("%d, %v", seq, err)
		}
	}()
	within(t, "a first attempt", p.tried)
	server.Start()
	within(t, "the acknowledgement", done)
	if p.attempts.Load() < 2 {
		t.Error("the first attempt went through")
	}
}

// Invariant 4.
func TestPublishConflict(t *testing.T) {
	t.Parallel()
	_, _, js := orders(t)
	ctx := deadline(t, patience)
	first := message("rec1", "a")
	bus.ExpectLast(first, 0)
	seq, err := bus.Publish(ctx, js, first)
	if err != nil {
		t.Fatal(err)
	}
	for i, expected := range []uint64{0, seq + 1} {
		p := newPublisher(js)
		late := message("rec1", fmt.Sprint("late", i))
		bus.ExpectLast(late, expected)
		if _, err := bus.Publish(ctx, p, late); !bus.IsConflict(err) {
			t.Errorf("expecting %d: %v", expected, err)
		}
		if n := p.attempts.Load(); n != 1 {
			t.Errorf("a conflict was tried %d times", n)
		}
	}
	for _, m := range []*nats.Msg{message("rec1", "next"), message("rec2", "other")} {
		expected := seq
		if m.Subject != first.Subject {
			expected = 0
		}
		bus.ExpectLast(m, expected)
		if _, err := bus.Publish(ctx, js, m); err != nil {
			t.Errorf("%s: %v", m.Subject, err)
		}
	}
	for code, want := range map[jetstream.ErrorCode]bool{10071: true, 10164: true, 10201: false} {
		err := fmt.Errorf("publish: %w", &jetstream.APIError{Code: 400, ErrorCode: code})
		if bus.IsConflict(err) != want {
			t.Errorf("%d: %t", code, !want)
		}
	}
	if bus.IsConflict(nil) || bus.IsConflict(nats.ErrTimeout) {
		t.Error("no answer is no conflict")
	}
}

func TestPublishGivesUp(t *testing.T) {
	t.Parallel()
	_, nc, js := orders(t)

	big := message("rec1", "big")
	big.Data = make([]byte, localnats.MaxPayload+1)
	p := newPublisher(js)
	if _, err := bus.Publish(deadline(t, patience), p, big); !errors.Is(err, nats.ErrMaxPayload) || p.attempts.Load() != 1 {
		t.Errorf("too large: %v after %d attempts", err, p.attempts.Load())
	}

	nowhere := message("rec1", "nowhere")
	nowhere.Subject = "nowhere"
	_, err := bus.Publish(deadline(t, 1500*time.Millisecond), js, nowhere) // an attempt takes half a second
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no response from stream") {
		t.Errorf("no stream: %v", err)
	}

	nc.Close()
	p = newPublisher(js)
	if _, err := bus.Publish(deadline(t, patience), p, message("rec1", "closed")); !errors.Is(err, nats.ErrConnectionClosed) || p.attempts.Load() != 1 {
		t.Errorf("closed: %v after %d attempts", err, p.attempts.Load())
	}
}
