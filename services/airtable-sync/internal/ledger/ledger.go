// Package ledger knows the last published state of every order, and publishes the next. It is the
// syncer's whole memory, and it is read from the stream itself: from the headers of the newest
// message of each subject.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
)

// Entry is what is known of one order.
type Entry struct {
	Seq    uint64 // of its newest message, 0 when it has none
	Digest column.Digest
	Gone   bool // its newest message says that it was deleted
}

// Ledger is not safe for concurrent use.
type Ledger struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	source  string
	created time.Time // of the stream
	last    uint64    // the highest sequence this ledger knows of
	entries map[string]Entry
	live    int

	flight []inFlight
}

// Change is one order.changed event to be published.
type Change struct {
	Order  event.Order
	Kind   event.Change
	Digest column.Digest
	Found  time.Time
}

type inFlight struct {
	change Change
	msg    *nats.Msg
	ack    jetstream.PubAckFuture
}

// window is how many events may be on their way at once.
const window = 2048

// PublishOptions are what the JetStream context given to Load must be made with.
func PublishOptions() []jetstream.JetStreamOpt {
	return []jetstream.JetStreamOpt{
		jetstream.WithPublishAsyncMaxPending(2 * window),
		jetstream.WithPublishAsyncTimeout(10 * time.Second),
	}
}

// Load reads the stream. source goes into every event.
func Load(ctx context.Context, js jetstream.JetStream, source string) (*Ledger, error) {
	l := &Ledger{js: js, source: source, entries: map[string]Entry{}}
	stream, err := js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	l.stream = stream
	info := stream.CachedInfo()
	l.created, l.last = info.Created, info.State.LastSeq
	if info.State.Msgs == 0 {
		return l, nil
	}
	cons, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{event.OrdersChanged},
		DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
		HeadersOnly:    true,
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	pending := cons.CachedInfo().NumPending
	if pending == 0 {
		return l, nil
	}
	messages, err := cons.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		if id, ok := event.RecordIDOf(msg.Subject()); ok {
			l.set(id, entryOf(msg.Headers(), meta.Sequence.Stream))
		}
		if meta.NumPending == 0 {
			return l, nil
		}
	}
}

func entryOf(h nats.Header, seq uint64) Entry {
	return Entry{
		Seq:    seq,
		Digest: column.ParseDigest(h.Get(event.HeaderDigest)),
		Gone:   event.Change(h.Get(event.HeaderChange)) == event.Deleted,
	}
}

func (l *Ledger) set(id string, e Entry) {
	if old, ok := l.entries[id]; ok && !old.Gone {
		l.live--
	}
	if !e.Gone {
		l.live++
	}
	l.entries[id] = e
	l.last = max(l.last, e.Seq)
}

// Created is when the stream was made that this ledger was read from.
func (l *Ledger) Created() time.Time { return l.created }

// Last is the highest stream sequence this ledger knows of.
func (l *Ledger) Last() uint64 { return l.last }

// Live is how many orders exist.
func (l *Ledger) Live() int { return l.live }

// Kind says what an order with this digest would be news as; "" for no news.
func (l *Ledger) Kind(id string, d column.Digest) event.Change {
	switch e, ok := l.entries[id]; {
	case !ok, e.Gone:
		return event.Created
	case e.Digest != d:
		return event.Updated
	default:
		return ""
	}
}

// Missing lists the orders that exist by this ledger but are not in seen.
func (l *Ledger) Missing(seen map[string]struct{}) []string {
	var missing []string
	for id, e := range l.entries {
		if _, ok := seen[id]; !ok && !e.Gone {
			missing = append(missing, id)
		}
	}
	return missing
}

// Publish sends changes without waiting for each to be acknowledged; Flush does that. An event is
// bound to the sequence of the one before it on its subject, so that two syncers can never both
// publish (invariant 4).
func (l *Ledger) Publish(ctx context.Context, changes []Change) error {
	for _, c := range changes {
		if len(l.flight) >= window {
			if err := l.Flush(ctx); err != nil {
				return err
			}
		}
		msg, err := l.message(ctx, c)
		if err != nil {
			return err
		}
		ack, err := l.js.PublishMsgAsync(msg, jetstream.WithStallWait(10*time.Second))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		l.flight = append(l.flight, inFlight{change: c, msg: msg, ack: ack})
	}
	return nil
}

// Flush waits until everything sent is on the stream. After an error some of it may not be: the
// ledger must be loaded anew before it is used again.
func (l *Ledger) Flush(ctx context.Context) error {
	flight := l.flight
	l.flight = l.flight[:0]
	for _, f := range flight {
		select {
		case ack := <-f.ack.Ok():
			l.settled(f.change, ack.Sequence)
		case err := <-f.ack.Err():
			if err := l.recover(ctx, f, err); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (l *Ledger) settled(c Change, seq uint64) {
	l.set(c.Order.RecordID, Entry{Seq: seq, Digest: c.Digest, Gone: c.Kind == event.Deleted})
}

// recover handles an event that was not acknowledged: a lost acknowledgement is asked for again
// (the message id makes that safe); a conflict is looked into and the event, if it is still news,
// published on top of what was there.
func (l *Ledger) recover(ctx context.Context, f inFlight, err error) error {
	const conflicts = 3
	for range conflicts {
		if !bus.IsConflict(err) {
			seq, again := bus.Publish(ctx, l.js, f.msg)
			if again == nil {
				l.settled(f.change, seq)
				return nil
			}
			if err = again; !bus.IsConflict(err) {
				return fmt.Errorf("publish: %w", err)
			}
		}
		id := f.change.Order.RecordID
		last, lookup := l.newest(ctx, id)
		if lookup != nil {
			return lookup
		}
		if last == nil { // the stream lost what this ledger had seen
			l.set(id, Entry{Gone: true})
		} else {
			l.set(id, entryOf(last.Header, last.Sequence))
			if last.Header.Get(event.HeaderID) == f.msg.Header.Get(event.HeaderID) {
				return nil // it was ours: only its acknowledgement got lost
			}
		}
		kind := l.Kind(id, f.change.Digest)
		if f.change.Kind == event.Deleted {
			kind = event.Deleted
			if l.entries[id].Gone {
				kind = ""
			}
		}
		if kind == "" {
			return nil // another syncer has said it
		}
		f.change.Kind = kind
		var made error
		if f.msg, made = l.message(ctx, f.change); made != nil {
			return made
		}
		seq, again := bus.Publish(ctx, l.js, f.msg)
		if again == nil {
			l.settled(f.change, seq)
			return nil
		}
		err = again
	}
	return fmt.Errorf("publish %s: %w", f.msg.Subject, err)
}

// message makes the event of a change. An update or deletion of an order carries what the stream
// last said of it.
func (l *Ledger) message(ctx context.Context, c Change) (*nats.Msg, error) {
	body := &event.OrderChanged{RecordID: c.Order.RecordID, Change: c.Kind, Order: c.Order}
	entry := l.entries[c.Order.RecordID]
	if c.Kind != event.Created && entry.Seq > 0 {
		before, err := l.before(ctx, c.Order.RecordID)
		if err != nil {
			return nil, err
		}
		switch {
		case before == nil:
		case c.Kind == event.Deleted:
			body.Order = *before
		default:
			body.Previous = differences(before, &c.Order)
		}
	}
	digest := ""
	if c.Kind != event.Deleted {
		digest = c.Digest.String()
	}
	msg, err := event.NewOrderChanged(event.Envelope{
		ID: event.NewID(), Source: l.source, Time: c.Found, Digest: digest,
	}, body)
	if err != nil {
		return nil, err
	}
	bus.ExpectLast(msg, entry.Seq)
	return msg, nil
}

// before is the order as the stream last had it, nil when that cannot be read.
func (l *Ledger) before(ctx context.Context, id string) (*event.Order, error) {
	last, err := l.newest(ctx, id)
	if err != nil || last == nil {
		return nil, err
	}
	c, _, err := event.ParseOrderChanged(last.Subject, last.Header, last.Data)
	if err != nil {
		return nil, nil //nolint:nilerr // unreadable: the event goes without it
	}
	return &c.Order, nil
}

func (l *Ledger) newest(ctx context.Context, id string) (*jetstream.RawStreamMsg, error) {
	msg, err := l.stream.GetLastMsgForSubject(ctx, event.OrderChangedSubject(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up the newest event of %s: %w", id, err)
	}
	return msg, nil
}

// differences are the mapped columns whose values differ, with the values they had before.
func differences(before, after *event.Order) map[string]json.RawMessage {
	previous := map[string]json.RawMessage{}
	compare := func(column string, was, is *string, quoted bool) {
		if (was == nil && is == nil) || (was != nil && is != nil && *was == *is) {
			return
		}
		switch {
		case was == nil:
			previous[column] = json.RawMessage("null")
		case quoted:
			value, err := json.Marshal(*was)
			if err != nil {
				return // a string always encodes
			}
			previous[column] = value
		default:
			previous[column] = json.RawMessage(*was)
		}
	}
	compare("name", before.Name, after.Name, true)
	compare("customer", before.Customer, after.Customer, true)
	compare("status", before.Status, after.Status, true)
	compare("priority", before.Priority, after.Priority, true)
	compare("amount", (*string)(before.Amount), (*string)(after.Amount), false)
	compare("order_date", before.OrderDate, after.OrderDate, true)
	return previous
}
