package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
)

// consumerConfig is the durable consumer as this version reads it.
func consumerConfig(name string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       name,
		Description:   "Projects orders into Postgres; the checkpoint there decides where it reads",
		AckPolicy:     jetstream.AckAllPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1, // a finite one would be a silent gap (invariant 5)
		MaxAckPending: -1,
		// Of a database that is no more; one that comes back later makes its consumer again.
		InactiveThreshold: 24 * time.Hour,
	}
}

// openConsumer makes sure of the consumer and puts it to the checkpoint.
func (l *leader) openConsumer(ctx context.Context) (jetstream.Consumer, error) {
	if err := l.checkConsumer(ctx); err != nil {
		return nil, err
	}
	cons, err := l.stream.CreateOrUpdateConsumer(ctx, consumerConfig(l.cp.Consumer))
	if err != nil {
		return nil, fmt.Errorf("open consumer %s: %w", l.cp.Consumer, err)
	}
	if _, err := l.stream.ResetConsumerToSequence(ctx, l.cp.Consumer, l.cp.Seq+1); err != nil {
		return nil, fmt.Errorf("reset consumer %s: %w", l.cp.Consumer, err)
	}
	return cons, nil
}

var errConsumerChanged = errors.New("the consumer's configuration was changed")

// checkConsumer deletes the consumer when it is not as this version makes it, for the next term to make
// anew, and returns errConsumerChanged. Anybody with the right to update a consumer can make it pass
// events over, which leaves no trace in what it delivers. Nobody knows since when it has, so the whole
// stream is replayed.
func (l *leader) checkConsumer(ctx context.Context) error {
	cons, err := l.stream.Consumer(ctx, l.cp.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil // the first term makes it; a reader whose consumer is deleted is told
	}
	if err != nil {
		return fmt.Errorf("inspect consumer %s: %w", l.cp.Consumer, err)
	}
	info := cons.CachedInfo()
	change, skips := drift(info)
	if change == "" {
		return nil
	}
	if skips {
		if err := l.store.AskRebuild(ctx, bus.StreamOrders); err != nil {
			return fmt.Errorf("ask for a replay: %w", err)
		}
	}
	return errors.Join(fmt.Errorf("%w: %s: %s", errConsumerChanged, l.cp.Consumer, change), l.deleteConsumer(ctx))
}

// drift says how a consumer differs from consumerConfig, if it matters, and whether events may have
// been passed over because of it.
func drift(info *jetstream.ConsumerInfo) (change string, skips bool) {
	have, want := info.Config, consumerConfig(info.Name)
	switch {
	case have.FilterSubject != "" || len(have.FilterSubjects) > 0:
		return "it has a filter", true
	case have.HeadersOnly:
		return "it delivers headers only", true
	case have.DeliverPolicy != want.DeliverPolicy:
		return "it starts elsewhere", true
	case info.Paused:
		return "it is paused", false
	case have.AckPolicy != want.AckPolicy, have.AckWait != want.AckWait, len(have.BackOff) > 0,
		have.MaxDeliver != want.MaxDeliver, have.MaxAckPending != want.MaxAckPending, have.RateLimit != want.RateLimit:
		return "its acknowledgements or limits differ", false
	}
	return "", false
}

func (l *leader) deleteConsumer(ctx context.Context) error {
	err := l.stream.DeleteConsumer(ctx, l.cp.Consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("delete consumer %s: %w", l.cp.Consumer, err)
	}
	return nil
}
