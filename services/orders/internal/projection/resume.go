package projection

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
	"github.com/resonance/resonance/services/orders/internal/store"
)

// sequences are stream sequences in ascending order.
type sequences []uint64

func (s sequences) contain(seq uint64) bool {
	_, found := slices.BinarySearch(s, seq)
	return found
}

func (s sequences) last() uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1]
}

// resume gives the checkpoint to go on from, having started a replay when the stream is not the
// one it was made from (invariant 8) or one is asked for. During a replay it also gives the newest
// message of each order.
func (p *Projector) resume(ctx context.Context, w *store.Writer, stream jetstream.Stream) (*store.Checkpoint, sequences, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	info := stream.CachedInfo()
	created := info.Created.UTC().Truncate(time.Microsecond)
	cp, err := w.Checkpoint(ctx, bus.StreamOrders)
	if err != nil {
		return nil, nil, fmt.Errorf("read the checkpoint: %w", err)
	}
	doubt, err := stranger(ctx, stream, cp, created, info.State.LastSeq)
	if err != nil {
		return nil, nil, err
	}
	if doubt == "" && !cp.Rebuild {
		if cp.ReplayUntil == nil || cp.Seq >= *cp.ReplayUntil {
			return cp, nil, nil
		}
		newest, err := p.newest(ctx, stream)
		return cp, newest, err
	}
	newest, err := p.newest(ctx, stream)
	if err != nil {
		return nil, nil, err
	}
	until := newest.last()
	next, err := w.StartReplay(ctx, cp, store.Checkpoint{
		Stream: bus.StreamOrders, StreamCreated: created, ReplayUntil: &until,
		SameStream: doubt == "" && (cp.ReplayUntil == nil || cp.SameStream),
	})
	if err != nil {
		return nil, nil, err
	}
	if doubt == "" {
		doubt = "a rebuild is asked for"
	}
	p.log.Info("replay started", "reason", doubt, "epoch", next.Epoch, "until", until, "orders", len(newest))
	return &next, newest, nil
}

// stranger says why the stream may not be the one that cp was made from; "" when it is.
func stranger(ctx context.Context, stream jetstream.Stream, cp *store.Checkpoint, created time.Time, lastSeq uint64) (string, error) {
	switch {
	case cp == nil:
		return "the database has no checkpoint", nil
	case !cp.StreamCreated.Equal(created):
		return "the stream was created anew", nil
	case lastSeq < cp.Seq, cp.ReplayUntil != nil && lastSeq < *cp.ReplayUntil:
		return "the stream has lost its tail", nil
	case cp.Seq == 0:
		return "", nil
	}
	msg, err := bus.Retry(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return stream.GetMsg(ctx, cp.Seq) })
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return "the message at the checkpoint is gone", nil
	case err != nil:
		return "", fmt.Errorf("read the message at the checkpoint: %w", err)
	case messageID(msg.Header, msg.Time) != cp.MessageID:
		return "the stream has another message at the checkpoint", nil
	}
	return "", nil
}

// messageID is event.MessageID as Postgres can hold it.
func messageID(h nats.Header, stored time.Time) string {
	return storable(event.MessageID(h, stored))
}

// storable is a header's value as Postgres can hold it.
func storable(s string) string { return strings.ToValidUTF8(withoutNUL(s), "\uFFFD") }

// scanIdle is how long a scan waits for the next message.
const scanIdle = 10 * time.Second

var errScanStalled = errors.New("no more messages arrive")

// newest scans, headers only, for the newest message of each order.
func (p *Projector) newest(ctx context.Context, stream jetstream.Stream) (sequences, error) {
	last, err := bus.Retry(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return stream.GetLastMsgForSubject(ctx, event.OrdersChanged)
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the end of %s: %w", bus.StreamOrders, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(scanIdle, func() { cancel(errScanStalled) })
	defer idle.Stop()
	reader, err := bus.Read(ctx, p.js.Conn(), stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{event.OrdersChanged},
		DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
		HeadersOnly:    true,
	})
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var found sequences
	for {
		_, meta, err := reader.Next()
		if err != nil {
			return nil, fmt.Errorf("scan %s: %w", bus.StreamOrders, err)
		}
		idle.Reset(scanIdle)
		found = append(found, meta.Sequence.Stream)
		// What the consumer says is pending may be wrong, and an order missing here would be taken for gone.
		if meta.Sequence.Stream >= last.Sequence {
			return found, nil
		}
	}
}
