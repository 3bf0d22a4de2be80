package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
)

// readStall is how long a read of the stream waits for the next message. While it lasts nothing is published.
const readStall = 5 * time.Second

// lookupTime is how long a single message is looked up, each attempt taking bus.RequestTimeout.
const lookupTime = 10 * time.Second

// ErrLost says that the stream has lost events that the ledger had seen on it: only a full scan can tell what they were.
var ErrLost = errors.New("the stream has lost events")

// Position is a message of the stream. The id tells it from another that has its sequence since the stream was set back.
type Position struct {
	Seq uint64
	ID  string // see event.MessageID
}

// Load reads the stream if nobody has yet, or not since Forget or a reconnection.
func (l *Ledger) Load(ctx context.Context) error {
	if l.current() {
		return nil
	}
	_, err := l.Refresh(ctx)
	return err
}

// current reports whether nothing can have been lost since the stream was read. A server that crashed loses the end of
// a stream that is not synced, and uses its sequences again, while its clients only reconnect.
func (l *Ledger) current() bool {
	reconnects := l.js.Conn().Stats().Reconnects
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.stale && l.reconnects == reconnects
}

// Refresh reads the stream, unless the ledger knows it already, and reports whether it did. It
// compares the newest order.changed, as the stream holds other events too.
func (l *Ledger) Refresh(ctx context.Context) (read bool, err error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	reconnects := l.js.Conn().Stats().Reconnects // one during the read counts as after it
	stream, err := lookUp(ctx, func(ctx context.Context) (jetstream.Stream, error) { return l.js.Stream(ctx, bus.StreamOrders) })
	if err != nil {
		return false, fmt.Errorf("read the ledger: %w", err)
	}
	created := stream.CachedInfo().Created
	newest, err := newest(ctx, stream)
	if err != nil {
		return false, fmt.Errorf("read the ledger: %w", err)
	}
	l.mu.Lock()
	l.stream, l.limit = stream, bodyLimit(bus.MaxMessage(l.js, stream))
	known := !l.stale && l.reconnects == reconnects && l.created.Equal(created) && l.last == newest
	l.mu.Unlock()
	if known {
		return false, nil
	}
	entries, last, err := load(ctx, l.js.Conn(), stream, l.stall)
	if err != nil {
		return false, fmt.Errorf("read the ledger: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = l.lost || !l.created.IsZero() && (!l.created.Equal(created) || lost(l.entries, entries))
	l.created, l.reconnects, l.stale = created, reconnects, false
	l.last, l.live = last, 0
	l.entries, l.truncated, l.parked = make(map[string]Entry, len(entries)), map[string]struct{}{}, map[string]parked{}
	for id, e := range entries {
		l.set(id, e)
	}
	return true, nil
}

// bodyLimit is how large an event's body may be in a message: it leaves room for headers, and for the edit with which
// the order travels in answers.
func bodyLimit(message int) int { return message - message/16 - 4<<10 }

// lost reports whether before has events that are not in after.
func lost(before, after map[string]Entry) bool {
	for id, b := range before {
		if a := after[id]; a.Seq < b.Seq || a.Seq == b.Seq && a != b {
			return true
		}
	}
	return false
}

// Forget makes the next Refresh read the stream: what was published last may have got lost.
func (l *Ledger) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stale = true
}

// Lost reports whether the stream has lost events since Lost was last called.
func (l *Ledger) Lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.lost
	l.lost = false
	return lost
}

// Verify gives the position up to which the stream has what this ledger knows, or ErrLost.
func (l *Ledger) Verify(ctx context.Context) (Position, error) {
	if err := l.Load(ctx); err != nil {
		return Position{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return Position{}, ErrLost
	}
	return l.last, nil
}

// Has reports whether the stream still has the message at p. The ledger must have been read.
func (l *Ledger) Has(ctx context.Context, p Position) (bool, error) {
	l.mu.Lock()
	stream, last := l.stream, l.last
	l.mu.Unlock()
	if p == last || p.Seq >= last.Seq {
		return p == last, nil
	}
	msg, err := lookUp(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return stream.GetMsg(ctx, p.Seq) })
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return p == Position{}, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up message %d: %w", p.Seq, err)
	}
	return event.MessageID(msg.Header, msg.Time) == p.ID, nil
}

// lookUp asks again while the answer is lost, as when a server of a cluster ends.
func lookUp[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return bus.Retry(ctx, ask)
}

// newest is the position of the newest order.changed.
func newest(ctx context.Context, stream jetstream.Stream) (Position, error) {
	msg, err := lookUp(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return stream.GetLastMsgForSubject(ctx, event.OrdersChanged)
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, err
	}
	return Position{msg.Sequence, event.MessageID(msg.Header, msg.Time)}, nil
}

// load reads the newest message of every order, and gives the position of the last of them. It ends by sequence: what
// a consumer says is pending can be wrong, and a replica that the consumer reads may lag.
func load(ctx context.Context, nc *nats.Conn, stream jetstream.Stream, stall time.Duration) (entries map[string]Entry, last Position, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reader, err := bus.Read(ctx, nc, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{event.OrdersChanged}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, HeadersOnly: true,
	}, jetstream.PullMaxMessages(5000))
	if err != nil {
		return nil, Position{}, err
	}
	defer reader.Close()
	end, err := newest(ctx, stream) // by now: all that the reader begins with comes no later
	if err != nil {
		return nil, Position{}, err
	}
	stalled := time.AfterFunc(stall, func() {
		cancel(fmt.Errorf("no message for %s, though the stream has %d: %w", stall, end.Seq, context.DeadlineExceeded))
	})
	defer stalled.Stop()
	entries = map[string]Entry{}
	for last.Seq < end.Seq {
		msg, meta, err := reader.Next()
		if err != nil {
			return nil, Position{}, err
		}
		stalled.Reset(stall)
		last = Position{meta.Sequence.Stream, event.MessageID(msg.Headers(), meta.Timestamp)}
		if id, ok := event.RecordIDOf(msg.Subject()); ok {
			entries[id] = entryOf(msg.Headers(), meta.Sequence.Stream)
		}
	}
	return entries, last, nil
}
