// Package lease keeps one of any number of instances active. The lease is a key in a JetStream
// bucket that its holder rewrites every few seconds, each time only if nobody else has in between.
// A key that has not changed for TTL, as the watcher's own clock tells, is free: no two clocks need
// to agree. It makes two active instances rare; what keeps them harmless is the expected sequence
// on every event (invariant 4).
package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
)

// Timing of the lease.
const (
	TTL     = 6 * time.Second
	Renewal = 2 * time.Second
)

// Hold waits until it has the lease that key stands for, then calls active with a context that ends when the lease is
// lost or ctx ends, and gives the lease up when active returns. It returns active's error, or
// ctx's.
func Hold(ctx context.Context, kv jetstream.KeyValue, key, holder string, active func(context.Context) error) error {
	revision, err := acquire(ctx, kv, key, holder)
	if err != nil {
		return err
	}
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	renewed := make(chan uint64, 1)
	go func() { renewed <- renew(held, kv, key, holder, revision, lose) }()
	err = active(held)
	if cause := context.Cause(held); cause != nil && ctx.Err() == nil {
		err = cause // why active ended, rather than that it was told to
	}
	lose(nil)
	release(context.WithoutCancel(ctx), kv, key, <-renewed)
	return err
}

// acquire returns the revision with which the lease became ours.
func acquire(ctx context.Context, kv jetstream.KeyValue, key, holder string) (uint64, error) {
	for {
		revision, err := kv.Create(ctx, key, []byte(holder))
		if err == nil {
			return revision, nil
		}
		if !isTaken(err) {
			return 0, fmt.Errorf("take the lease: %w", err)
		}
		stale, err := waitStale(ctx, kv, key)
		if err != nil {
			return 0, err
		}
		if stale == 0 {
			continue // released
		}
		if revision, err = kv.Update(ctx, key, []byte(holder), stale); err == nil {
			return revision, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

// waitStale returns the revision of a lease that has not been renewed for TTL, or 0 once it was
// given up.
func waitStale(ctx context.Context, kv jetstream.KeyValue, key string) (uint64, error) {
	ctx, stop := context.WithCancel(ctx) // ends the watcher, whose Stop would wait for NATS to answer
	defer stop()
	watcher, err := kv.Watch(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("watch the lease: %w", err)
	}
	expired := time.NewTimer(TTL)
	defer expired.Stop()
	var revision uint64
	for {
		select {
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return 0, errors.New("watch the lease: the watcher ended")
			case entry == nil: // all there was has been seen
				if revision == 0 {
					return 0, nil
				}
			case entry.Operation() != jetstream.KeyValuePut:
				return 0, nil
			default:
				revision = entry.Revision()
				expired.Reset(TTL)
			}
		case <-expired.C:
			return revision, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// renew rewrites the lease until ctx ends, and returns its last revision. A renewal that somebody
// else's came before, or that has not succeeded for TTL, loses the lease.
func renew(ctx context.Context, kv jetstream.KeyValue, key, holder string, revision uint64, lose context.CancelCauseFunc) uint64 {
	ticker := time.NewTicker(Renewal)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return revision
		case <-ticker.C:
		}
		once, cancel := context.WithTimeout(ctx, Renewal)
		next, err := kv.Update(once, key, []byte(holder), revision)
		cancel()
		switch {
		case err == nil:
			revision, last = next, time.Now()
		case isTaken(err):
			// A renewal whose acknowledgement got lost is still ours.
			if entry, err := kv.Get(ctx, key); err == nil && string(entry.Value()) == holder {
				revision, last = entry.Revision(), time.Now()
				continue
			}
			lose(errors.New("another instance has the lease"))
			return revision
		case time.Since(last) > TTL:
			lose(fmt.Errorf("the lease could not be renewed: %w", err))
			return revision
		}
	}
}

// isTaken reports that somebody else has written the key.
func isTaken(err error) bool { return errors.Is(err, jetstream.ErrKeyExists) || bus.IsConflict(err) }

// release gives the lease up so that another instance need not wait for it to expire.
func release(ctx context.Context, kv jetstream.KeyValue, key string, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = kv.Delete(ctx, key, jetstream.LastRevision(revision)) // else it expires
}
