package edits

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
)

// Consumer is the durable consumer of EDITS, the only one that a work queue may have.
const Consumer = "airtable-sync"

const (
	// window is how many edits are held at most; the rest waits in the stream.
	window = 1000
	// ackWait is long, as whoever takes over resets the consumer, and redelivery reorders (nats-server #6114).
	ackWait = time.Hour
	// patrol is how often the consumer is compared with what is held.
	patrol = 10 * time.Second
)

// reader feeds the queue from EDITS, in the stream's order. It keeps that order by trusting no
// redelivery: at each beginning, and whenever a delivery got lost on the way, which the consumer's
// own sequence tells, it resets the consumer, which then delivers all that is not settled once more.
type reader struct {
	*Writer
	consumer jetstream.Consumer
	horizon  uint64   // what came before it may have been tried by others
	backlog  []string // the records with edits when the consumer was reset, claimed until all of those are here
}

// open resets the consumer, and claims what has edits.
func (r *reader) open(ctx context.Context) error {
	if err := r.cfg.Held(ctx); err != nil {
		return err
	}
	if err := bus.Ensure(ctx, r.js, r.cfg.Replicas, bus.StreamEdits, bus.StreamDeadLetters); err != nil {
		return err
	}
	stream, err := r.js.Stream(ctx, bus.StreamEdits)
	if err != nil {
		return fmt.Errorf("open the edits: %w", err)
	}
	r.consumer, err = stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: Consumer, Description: "Writes the edits into Airtable", FilterSubject: event.OrderEdits,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: window, MaxDeliver: -1,
	}) // with as many replicas as the stream has
	if err != nil {
		return fmt.Errorf("open the edits: %w", err)
	}
	if _, err := stream.ResetConsumer(ctx, Consumer); err != nil {
		return fmt.Errorf("open the edits: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(event.OrderEdits))
	if err != nil {
		return fmt.Errorf("open the edits: %w", err)
	}
	before := r.backlog
	r.horizon, r.backlog = info.State.LastSeq, nil
	for subject := range info.State.Subjects {
		r.backlog = append(r.backlog, strings.TrimPrefix(subject, event.TypeOrderEdit+"."))
	}
	r.ledger.Claim(r.backlog...)
	r.ledger.Release(before...)
	r.behind.Store(info.State.Msgs)
	if len(r.backlog) > 0 {
		r.cfg.Log.Info("edits wait for Airtable", "edits", info.State.Msgs, "records", len(r.backlog))
	}
	return nil
}

// run reads until ctx ends. The reader is open.
func (r *reader) run(ctx context.Context) {
	opened := true
	_ = bus.Persist(ctx, r.cfg.Log, "edits not read, trying again", func(ctx context.Context) error { // until ctx ends
		if !opened {
			if err := r.open(ctx); err != nil {
				return err
			}
		}
		opened = false
		return r.receive(ctx)
	})
}

// errLost says that the server believes to have delivered what never came.
var errLost = errors.New("a delivery got lost")

// receive reads until the order is broken.
func (r *reader) receive(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan struct{})
	go func() { defer close(watched); r.watch(ctx, stop) }()
	defer func() { stop(nil); <-watched }()
	messages, err := r.consumer.Messages(jetstream.PullMaxMessages(window), jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(2*time.Second))
	if err != nil {
		return fmt.Errorf("read the edits: %w", err)
	}
	defer messages.Stop()
	for last := uint64(0); ; {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("read the edits: %w", errors.Join(err, context.Cause(ctx)))
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read the edits: %w", err)
		}
		if last != 0 && meta.Sequence.Consumer != last+1 {
			return fmt.Errorf("read the edits: %w: after %d came %d", errLost, last, meta.Sequence.Consumer)
		}
		last = meta.Sequence.Consumer
		if err := r.take(ctx, m, meta); err != nil {
			return err
		}
		r.behind.Store(meta.NumPending)
		if meta.NumPending == 0 || meta.Sequence.Stream >= r.horizon {
			r.ledger.Release(r.backlog...)
			r.backlog = nil
		}
	}
}

func (r *reader) take(ctx context.Context, m jetstream.Msg, meta *jetstream.MsgMetadata) error {
	e, _, err := event.ParseOrderEdit(m.Subject(), m.Headers(), m.Data())
	if err != nil {
		return r.park(ctx, m, err)
	}
	// Claimed before it is in the queue, so that it never is there unclaimed.
	r.ledger.Claim(e.RecordID)
	requeued := m.Headers().Get(jetstream.MsgIDHeader) != e.ID
	tried := requeued || meta.Sequence.Stream <= r.horizon || meta.NumDelivered > 1
	if !r.queue.add(e, tried, meta.Sequence.Stream, m) {
		r.ledger.Release(e.RecordID)
	}
	return nil
}

// park sets a message aside that is no edit.
func (r *reader) park(ctx context.Context, m jetstream.Msg, poison error) error {
	if err := bus.Park(ctx, r.js, Consumer, m, poison); err != nil {
		return err
	}
	deadLetters.Inc()
	r.cfg.Log.Error("edit parked as a dead letter", "subject", m.Subject(), "error", poison)
	if err := m.TermWithReason("malformed: see the stream " + bus.StreamDeadLetters); err != nil {
		return fmt.Errorf("read the edits: %w", err)
	}
	return nil
}

// watch stops reading when the connection comes back, over which deliveries may have got lost, and
// when more was delivered than is held.
func (r *reader) watch(ctx context.Context, stop context.CancelCauseFunc) {
	restored := r.nc.StatusChanged(nats.CONNECTED)
	defer r.nc.RemoveStatusListener(restored)
	ticker := time.NewTicker(patrol)
	defer ticker.Stop()
	var suspect []uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-restored:
			stop(errors.New("the connection was restored"))
			return
		case <-ticker.C:
		}
		info, err := r.consumer.Info(ctx)
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			stop(err)
			return
		}
		if err != nil {
			continue // disconnected: noticed when it is back
		}
		r.behind.Store(info.NumPending)
		_, held, _ := r.queue.stands()
		if info.NumAckPending <= held {
			suspect = nil
			continue
		}
		// An acknowledgement may be on its way: it is lost if nothing moves until the next round.
		now := []uint64{info.Delivered.Consumer, info.AckFloor.Consumer, uint64(info.NumAckPending)}
		if slices.Equal(now, suspect) {
			stop(errLost)
			return
		}
		suspect = now
	}
}
