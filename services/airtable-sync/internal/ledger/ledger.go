// Package ledger knows the last published state of every order, and publishes the next. It is the
// syncer's whole memory, and it is read from the stream itself: from the headers of the newest
// message of each subject.
//
// The syncer and the edit writer publish through one ledger at once. A record that has unsettled
// edits is claimed by the writer, and what the syncer was told of it by an answer that it asked for
// before the writer was done may be older than what the writer published: it yields (see Yields).
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/i18n"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
)

// Entry is what is known of one order.
type Entry struct {
	Seq    uint64 // of its newest message, 0 when it has none
	Digest column.Digest
	Gone   bool // its newest message says that it was deleted

	Truncated bool // its newest message has only the beginning of some cells
}

// Ledger is safe for concurrent use.
type Ledger struct {
	js     jetstream.JetStream
	source string
	log    *slog.Logger
	stall  time.Duration // see readStall

	reading sync.RWMutex // held whole while the stream is read, shared while events are published

	mu         sync.Mutex // guards what follows
	stream     jetstream.Stream
	stale      bool      // to be read anew
	lost       bool      // the stream has lost events that were known
	created    time.Time // of the stream
	limit      int       // bytes of an event's body
	reconnects uint64    // of the connection, before the stream was read
	last       Position  // of the highest order.changed sequence that is known
	entries    map[string]Entry
	live       int
	truncated  map[string]struct{} // the live entries that are
	parked     map[string]parked
	clock      Moment
	claimed    map[string]int    // by the edit writer, so many times
	met        map[string]Moment // when the edit writer was last told of the record by Airtable
}

// parked is an order that cannot be published.
type parked struct {
	digest column.Digest
	reason error
}

// Moment is a time by the ledger's own clock, which tells what came before what in this process.
type Moment uint64

// Change is one order.changed event to be published.
type Change struct {
	Order  event.Order
	Kind   event.Change
	Digest column.Digest
	Found  time.Time // when Airtable said it, by Airtable's clock
	Asked  Moment    // when Airtable was asked
	// EditIDs are the edits that Airtable holds now, and Actor who made the last of them. The event
	// has them if what it tells may have come of them.
	EditIDs []string
	Actor   *event.Actor
}

type inFlight struct {
	change Change
	msg    *nats.Msg
	ack    jetstream.PubAckFuture
}

// What may be on its way at once.
const (
	window      = 2048     // events
	windowBytes = 16 << 20 // of their bodies, as one may have megabytes
)

// stall is how long an event waits for room among those on their way.
var stall = jetstream.WithStallWait(10 * time.Second)

// PublishOptions are what the JetStream context given to New must be made with.
func PublishOptions() []jetstream.JetStreamOpt {
	return []jetstream.JetStreamOpt{
		jetstream.WithPublishAsyncMaxPending(2 * window),
		jetstream.WithPublishAsyncTimeout(10 * time.Second),
		jetstream.WithDefaultTimeout(bus.RequestTimeout),
	}
}

// New makes a ledger that knows nothing yet. source goes into every event.
func New(js jetstream.JetStream, source string, log *slog.Logger) *Ledger {
	return &Ledger{
		js: js, source: source, log: log, stall: readStall, stale: true,
		entries: map[string]Entry{}, truncated: map[string]struct{}{}, parked: map[string]parked{},
		claimed: map[string]int{}, met: map[string]Moment{},
	}
}

func entryOf(h nats.Header, seq uint64) Entry {
	return Entry{
		Seq:    seq,
		Digest: column.ParseDigest(h.Get(event.HeaderDigest)),
		Gone:   event.Change(h.Get(event.HeaderChange)) == event.Deleted,

		Truncated: h.Get(event.HeaderTruncated) != "",
	}
}

// set takes e for the newest of what is known of the order.
func (l *Ledger) set(id string, e Entry) {
	if old, ok := l.entries[id]; ok && !old.Gone {
		l.live--
	}
	if !e.Gone {
		l.live++
	}
	if e.Truncated && !e.Gone {
		l.truncated[id] = struct{}{}
	} else {
		delete(l.truncated, id)
	}
	delete(l.parked, id)
	l.entries[id] = e
}

// Created is when the stream was made that this ledger was read from.
func (l *Ledger) Created() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.created
}

// Last is the highest order.changed sequence this ledger knows of.
func (l *Ledger) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.Seq
}

// Problems lists up to limit orders that are published in part or not at all, the latter first.
func (l *Ledger) Problems(limit int) (problems []syncapi.OrderProblem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(l.parked)) {
		why := i18n.Truncate(l.parked[id].reason.Error(), 500)
		problems = append(problems, syncapi.OrderProblem{RecordID: id, Reason: fault.T("No se puede publicar: "+why, "It cannot be published: "+why)})
	}
	for _, id := range slices.Sorted(maps.Keys(l.truncated)) {
		problems = append(problems, syncapi.OrderProblem{RecordID: id, Reason: fault.T(
			"Tiene celdas demasiado largas, que se publican recortadas", "It has cells that are too long, which are published truncated")})
	}
	return problems[:min(len(problems), limit)]
}

// Live is how many orders exist.
func (l *Ledger) Live() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live
}

// Kind says what an order with this digest would be news as; "" for no news.
func (l *Ledger) Kind(id string, d column.Digest) event.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kind(id, d)
}

func (l *Ledger) kind(id string, d column.Digest) event.Change {
	if p, ok := l.parked[id]; ok && p.digest == d {
		return "" // no retry helps
	}
	switch e, ok := l.entries[id]; {
	case !ok, e.Gone:
		return event.Created
	case e.Digest != d:
		return event.Updated
	default:
		return ""
	}
}

// Now is the moment before a question to Airtable, for Change.Asked.
func (l *Ledger) Now() Moment {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	return l.clock
}

// Claim gives records to the edit writer until as many Releases.
func (l *Ledger) Claim(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.claimed[id]++
	}
}

// Release undoes one Claim of each.
func (l *Ledger) Release(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.claimed[id]--; l.claimed[id] <= 0 {
			delete(l.claimed, id)
		}
	}
}

// Met notes that Airtable has just told the edit writer of records that it has claimed.
func (l *Ledger) Met(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	for _, id := range ids {
		l.met[id] = l.clock
	}
}

// Claimed reports whether the record has edits that are not settled.
func (l *Ledger) Claimed(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claimed[id] > 0
}

// Yields reports whether what Airtable said of a record, when asked at asked, is the edit writer's
// to publish, who knows it or will know it as new or newer.
func (l *Ledger) Yields(id string, asked Moment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.yields(id, asked)
}

func (l *Ledger) yields(id string, asked Moment) bool {
	return l.claimed[id] > 0 || l.met[id] > asked
}

// Missing lists the orders that exist by this ledger but are not in seen, a listing that was asked
// for at asked. What the edit writer has met since exists.
func (l *Ledger) Missing(seen map[string]bool, asked Moment) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var missing []string
	for id, e := range l.entries {
		if _, ok := seen[id]; !ok && !e.Gone && l.met[id] <= asked {
			missing = append(missing, id)
		}
	}
	return missing
}

// Publisher sends events through a ledger. It is for one goroutine; a ledger has any number.
type Publisher struct {
	*Ledger
	writer bool // the edit writer's: it yields to nobody in this process
	flight []inFlight
	bytes  int // in flight
}

// Publisher makes the syncer's way to publish in one run. Whatever the syncer asks Airtable in the run is asked
// later than all that the edit writer has met so far, which therefore need not be remembered any longer.
func (l *Ledger) Publisher() *Publisher {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.met)
	return &Publisher{Ledger: l}
}

// Writer makes the edit writer's.
func (l *Ledger) Writer() *Publisher { return &Publisher{Ledger: l, writer: true} }

// Publish sends changes without waiting for each to be acknowledged; Flush does that. An event is
// bound to the sequence of the one before it on its subject, so that two syncers can never both
// publish (invariant 4). What yields is left out.
func (p *Publisher) Publish(ctx context.Context, changes []Change) error {
	for _, c := range changes {
		if len(p.flight) >= window || p.bytes >= windowBytes {
			if err := p.Flush(ctx); err != nil {
				return err
			}
		}
		if err := p.send(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (p *Publisher) send(ctx context.Context, c Change) error {
	p.reading.RLock()
	defer p.reading.RUnlock()
	msg, err := p.message(ctx, c)
	if err != nil || msg == nil {
		return err
	}
	ack, err := p.js.PublishMsgAsync(msg, stall)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	p.flight = append(p.flight, inFlight{change: c, msg: msg, ack: ack})
	p.bytes += len(msg.Data)
	return nil
}

// Flush waits until everything sent is on the stream. After an error some of it may not be: the
// ledger must Forget before it is used again.
func (p *Publisher) Flush(ctx context.Context) error {
	flight := p.flight
	p.flight, p.bytes = p.flight[:0], 0
	p.reading.RLock()
	defer p.reading.RUnlock()
	for _, f := range flight {
		select {
		case ack := <-f.ack.Ok(): // of most by now: a channel for the error is made only where it is asked for
			p.settled(f, ack.Sequence)
			continue
		default:
		}
		select {
		case ack := <-f.ack.Ok():
			p.settled(f, ack.Sequence)
		case err := <-f.ack.Err():
			if err := p.recover(ctx, f, err); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settled notes what was published, unless something newer was since.
func (p *Publisher) settled(f inFlight, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id := f.change.Order.RecordID; p.entries[id].Seq < seq {
		p.set(id, entryOf(f.msg.Header, seq))
	}
	if p.last.Seq < seq {
		p.last = Position{seq, f.msg.Header.Get(event.HeaderID)}
	}
}

// recover handles an event that was not acknowledged: a lost acknowledgement is asked for again
// (the message id makes that safe); a conflict is looked into and the event, if it is still news,
// published on top of what was there.
func (p *Publisher) recover(ctx context.Context, f inFlight, err error) error {
	const conflicts = 3
	for range conflicts {
		if !bus.IsConflict(err) {
			seq, again := bus.Publish(ctx, p.js, f.msg)
			if again == nil {
				p.settled(f, seq)
				return nil
			}
			if err = again; !bus.IsConflict(err) {
				return fmt.Errorf("publish: %w", err)
			}
		}
		id := f.change.Order.RecordID
		last, lookup := p.newest(ctx, id)
		if lookup != nil {
			return lookup
		}
		if last != nil && last.Header.Get(event.HeaderID) == f.msg.Header.Get(event.HeaderID) {
			p.settled(f, last.Sequence) // it was ours: only its acknowledgement got lost
			return nil
		}
		if f.change.Kind = p.onTop(f.change, last); f.change.Kind == "" {
			return nil // another has said it, or knows better
		}
		msg, made := p.message(ctx, f.change)
		if made != nil || msg == nil {
			return made
		}
		f.msg = msg
		seq, again := bus.Publish(ctx, p.js, f.msg)
		if again == nil {
			p.settled(f, seq)
			return nil
		}
		err = again
	}
	return fmt.Errorf("publish %s: %w", f.msg.Subject, err)
}

// onTop takes in the newest message of a subject and says what c is news as after it. Of two who
// looked at Airtable, whoever did so later is right; of an equal second, the edit writer.
func (p *Publisher) onTop(c Change, last *jetstream.RawStreamMsg) event.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := c.Order.RecordID
	known := p.entries[id].Seq
	if last == nil {
		p.set(id, Entry{Gone: true})
		p.lost = p.lost || known > 0
	} else {
		p.set(id, entryOf(last.Header, last.Sequence))
		p.lost = p.lost || last.Sequence < known
		if at, err := time.Parse(time.RFC3339Nano, last.Header.Get(event.HeaderTime)); err == nil {
			if at.After(c.Found) || (at.Equal(c.Found) && !p.writer) {
				return ""
			}
		}
	}
	if c.Kind == event.Deleted {
		if p.entries[id].Gone {
			return ""
		}
		return event.Deleted
	}
	return p.kind(id, c.Digest)
}

// message makes the event of a change, nil if it yields. An update or deletion of an order carries
// what the stream last said of it.
func (p *Publisher) message(ctx context.Context, c Change) (*nats.Msg, error) {
	id := c.Order.RecordID
	p.mu.Lock()
	entry, limit := p.entries[id], p.limit
	yields := p.yields(id, c.Asked)
	if c.Kind == event.Deleted { // nobody else may ever say that
		yields = p.met[id] > c.Asked
	}
	p.mu.Unlock()
	if yields && !p.writer {
		return nil, nil
	}
	body := &event.OrderChanged{
		RecordID: id, Change: c.Kind, Order: c.Order, EditIDs: c.EditIDs, Actor: c.Actor,
	}
	if c.Kind != event.Created && entry.Seq > 0 {
		before, err := p.Before(ctx, id)
		if err != nil {
			return nil, err
		}
		switch {
		case before == nil:
		case c.Kind == event.Deleted:
			body.Order = *before
		default:
			body.Previous = Differences(before, &c.Order)
			edited := func(column string) bool { return body.Previous[column] != nil }
			if len(c.EditIDs) > 0 && !slices.ContainsFunc(event.EditableColumns, edited) {
				body.EditIDs, body.Actor = nil, nil
			}
		}
	}
	digest := ""
	if c.Kind != event.Deleted {
		digest = c.Digest.String()
	}
	env := event.Envelope{ID: event.NewID(), Source: p.source, Time: c.Found, Digest: digest}
	msg, err := event.NewOrderChanged(env, body)
	if err == nil && len(msg.Data) > limit {
		size := len(msg.Data)
		if msg, err = truncate(env, body, size-limit, limit); err == nil {
			p.log.Warn("order truncated", "record", id, "bytes", size, "limit", limit)
		}
	}
	if err != nil {
		return nil, p.park(ctx, env, body, c.Digest, err)
	}
	bus.ExpectLast(msg, entry.Seq)
	return msg, nil
}

// deadLetterName is the publisher in the subjects of dead letters.
const deadLetterName = "airtable-sync"

// isParked reports whether the newest dead letter of the order has that digest, from an earlier process perhaps.
func (l *Ledger) isParked(ctx context.Context, body *event.OrderChanged, digest string) (bool, error) {
	stream, err := l.js.Stream(ctx, bus.StreamDeadLetters)
	if err != nil {
		return false, fmt.Errorf("look up dead letters: %w", err)
	}
	last, err := stream.GetLastMsgForSubject(ctx, event.DeadSubject(deadLetterName, event.OrderChangedSubject(body.RecordID)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up dead letters: %w", err)
	}
	return last.Header.Get(bus.OriginalPrefix+event.HeaderDigest) == digest &&
		last.Header.Get(bus.OriginalPrefix+event.HeaderChange) == string(body.Change), nil
}

// park records an order that no event can be made of (invariant 5), once for each digest.
func (l *Ledger) park(ctx context.Context, env event.Envelope, body *event.OrderChanged, digest column.Digest, reason error) error {
	known, err := l.isParked(ctx, body, env.Digest)
	if err != nil {
		return err
	}
	if !known {
		data, err := json.Marshal(body)
		if err != nil {
			data = body.Order.Fields
		}
		msg := &nats.Msg{Subject: event.OrderChangedSubject(body.RecordID), Data: data, Header: nats.Header{
			nats.MsgIdHdr: {env.ID}, event.HeaderDigest: {env.Digest}, event.HeaderChange: {string(body.Change)},
		}}
		if err := bus.ParkUnpublished(ctx, l.js, deadLetterName, msg, reason); err != nil {
			return err
		}
		parkedOrders.Inc()
	}
	l.log.Error("order parked as a dead letter", "record", body.RecordID, "reason", reason)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parked[body.RecordID] = parked{digest, reason}
	return nil
}

// Before is the order as the stream last had it, nil when that cannot be read.
func (l *Ledger) Before(ctx context.Context, id string) (*event.Order, error) {
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
	l.mu.Lock()
	stream := l.stream
	l.mu.Unlock()
	msg, err := lookUp(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return stream.GetLastMsgForSubject(ctx, event.OrderChangedSubject(id))
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up the newest event of %s: %w", id, err)
	}
	return msg, nil
}

// Differences are the mapped columns whose values differ, with the values they had before.
func Differences(before, after *event.Order) map[string]json.RawMessage {
	previous := map[string]json.RawMessage{}
	truncated := len(before.Truncated)+len(after.Truncated) > 0
	for _, column := range event.Columns {
		was, is := column.Value(before), column.Value(after)
		if was == is || was != nil && is != nil && (*was == *is || truncated && sameStart(*was, *is)) {
			continue
		}
		previous[column.Name] = column.JSON(was)
	}
	return previous
}

// sameStart reports whether two texts, of which one may be truncated, are the same as far as can be told.
func sameStart(a, b string) bool {
	beginning := func(short, long string) bool {
		start, cut := strings.CutSuffix(short, "…")
		return cut && strings.HasPrefix(long, start)
	}
	return beginning(a, b) || beginning(b, a)
}
