// Package writes coordinates writes to Odoo across instances, through a bucket that all of them share.
//
// A Lock serialises the writes of one record, so that a condition (If-Match, a state) still holds when the write that
// it allowed is made. It expires by itself: an instance that dies keeps nobody out for long. A write whose outcome is
// unknown marks its lock as such and keeps it while the outcome is looked up, since Odoo may still be working on it;
// only a repetition of the same request, by its Idempotency-Key, may share it meanwhile.
//
// A Claim ties an Idempotency-Key to one request. It tells a repetition from another request with the same key, and
// whether the first one has been made. It is not what makes a creation happen once: that is an external identifier in
// Odoo (package resource), which survives the loss of the bucket.
package writes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
)

// Config tunes a Coordinator.
type Config struct {
	LockTTL  time.Duration // longer than Odoo works on a request
	Replicas int           // of the bucket, where it has to be made
}

// Coordinator gives out locks and claims. It is safe for concurrent use.
type Coordinator struct {
	cfg Config
	js  jetstream.JetStream

	mu    sync.Mutex
	kv    jetstream.KeyValue // nil until it was needed
	local map[string]chan struct{}
}

// New makes a Coordinator. The bucket is opened when it is first needed, and again after it was lost.
func New(cfg Config, js jetstream.JetStream) *Coordinator {
	return &Coordinator{cfg: cfg, js: js, local: map[string]chan struct{}{}}
}

// with calls f with the bucket, a second time when the bucket was gone.
func (c *Coordinator) with(ctx context.Context, f func(jetstream.KeyValue) error) error {
	for attempt := 1; ; attempt++ {
		kv, err := c.bucket(ctx)
		if err == nil {
			err = f(kv)
		}
		gone := errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound)
		if !gone || attempt == 2 {
			return err
		}
		c.mu.Lock()
		c.kv = nil
		c.mu.Unlock()
	}
}

func (c *Coordinator) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kv != nil {
		return c.kv, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := bus.Ensure(ctx, c.js, c.cfg.Replicas, bus.BucketOdooWrites); err != nil {
		return nil, err
	}
	kv, err := c.js.KeyValue(ctx, bus.BucketOdooWrites)
	if err != nil {
		return nil, err
	}
	c.kv = kv
	return kv, nil
}

// Lock is the right to write one record.
type Lock struct {
	c        *Coordinator
	key      string // in the bucket
	holder   holder
	revision uint64
	leave    func()
	shared   bool
}

// holder is the value of a lock in the bucket.
type holder struct {
	Key     string `json:"key,omitempty"`     // Idempotency-Key of the write
	Unknown bool   `json:"unknown,omitempty"` // whether the write was made is being looked up
}

// Shared reports that the lock is held by an earlier attempt of the same request, whose outcome is unknown.
func (l *Lock) Shared() bool { return l.shared }

// Lock waits until no one else writes the record that name stands for, which may have the characters of a bucket key.
// The error is Unavailable when ctx ends first, or the bucket is out of reach.
func (c *Coordinator) Lock(ctx context.Context, name, idempotencyKey string) (*Lock, error) {
	leave, err := c.enter(ctx, name)
	if err != nil {
		return nil, busy(holder{}, err)
	}
	l := &Lock{c: c, key: "lock." + name, holder: holder{Key: idempotencyKey}, leave: leave}
	data, err := json.Marshal(l.holder)
	var current holder
	for err == nil && l.revision == 0 && !l.shared {
		err = c.with(ctx, func(kv jetstream.KeyValue) error {
			var err error
			if l.revision, err = kv.Create(ctx, l.key, data, jetstream.KeyTTL(c.cfg.LockTTL)); !isTaken(err) {
				return err
			}
			l.revision = 0
			l.shared, err = waitReleased(ctx, kv, l.key, idempotencyKey, &current)
			return err
		})
	}
	switch {
	case err == nil:
		if l.shared {
			leave()
		}
		return l, nil
	case ctx.Err() != nil:
		err = busy(current, err)
	default:
		err = fault.Away("NATS", fmt.Errorf("lock %s: %w", name, err))
	}
	leave()
	return nil, err
}

// Release gives the lock back, best effort: it expires otherwise.
func (l *Lock) Release(ctx context.Context) {
	if l.shared {
		return
	}
	defer l.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = l.c.with(ctx, func(kv jetstream.KeyValue) error {
		return kv.Purge(ctx, l.key, jetstream.LastRevision(l.revision), jetstream.PurgeTTL(time.Minute))
	})
}

// MarkUnknown keeps the lock, and lets repetitions of the request share it until it is released or expires.
func (l *Lock) MarkUnknown(ctx context.Context) {
	l.holder.Unknown = true
	data, err := json.Marshal(l.holder)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	// KeyValue.Update would make the lock last forever: it sets no TTL.
	ack, err := l.c.js.Publish(ctx, "$KV."+bus.BucketOdooWrites+"."+l.key, data,
		jetstream.WithExpectLastSequencePerSubject(l.revision), jetstream.WithMsgTTL(l.c.cfg.LockTTL))
	if err == nil {
		l.revision = ack.Sequence
	}
	l.leave()
	l.leave = func() {}
}

// enter lets one request of this process at a time compete for a lock.
func (c *Coordinator) enter(ctx context.Context, name string) (leave func(), err error) {
	for {
		c.mu.Lock()
		held, taken := c.local[name]
		if !taken {
			mine := make(chan struct{})
			c.local[name] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.local, name)
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// busy is the error of a request that a lock kept out until its time was over.
func busy(current holder, err error) error {
	detail := fault.T("Otro cambio de este registro está en curso; inténtelo de nuevo", "Another change of this record is under way; try again")
	if current.Unknown {
		detail = fault.T(
			"Aún no se sabe si Odoo hizo un cambio anterior de este registro, y se está averiguando; inténtelo de nuevo en unos segundos",
			"It is not known yet whether Odoo made an earlier change of this record, and this is being looked up; try again in a few seconds")
	}
	return &fault.Error{Code: fault.Unavailable, RetryAfter: time.Second, Err: err, Detail: detail}
}

func isTaken(err error) bool { return errors.Is(err, jetstream.ErrKeyExists) || bus.IsConflict(err) }

// waitReleased returns when key is no longer held, or can be shared by a request with that Idempotency-Key. current is
// set to who holds it.
func waitReleased(ctx context.Context, kv jetstream.KeyValue, key, idempotencyKey string, current *holder) (shared bool, err error) {
	ctx, stop := context.WithCancel(ctx) // ends the watcher, whose Stop would wait for NATS to answer
	defer stop()
	watcher, err := kv.Watch(ctx, key)
	if err != nil {
		return false, err
	}
	held := false
	for {
		select {
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return false, errors.New("the watcher ended")
			case entry == nil && !held, entry != nil && entry.Operation() != jetstream.KeyValuePut:
				return false, nil
			case entry != nil:
				held, *current = true, holder{}
				if err := json.Unmarshal(entry.Value(), current); err != nil {
					return false, fmt.Errorf("holder of %s: %w", key, err)
				}
				if current.Unknown && current.Key != "" && current.Key == idempotencyKey {
					return true, nil
				}
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// Claim is an Idempotency-Key tied to a request.
type Claim struct {
	c        *Coordinator
	key      string
	revision uint64
	entry    entry
	repeated bool
}

type entry struct {
	Request string `json:"request"` // its digest
	Done    bool   `json:"done,omitempty"`
}

// Claim ties key to a request, which digest stands for. It is Conflict when the key was used for another one within
// the last day.
func (c *Coordinator) Claim(ctx context.Context, key, digest string) (*Claim, error) {
	claim := &Claim{c: c, key: "key." + key, entry: entry{Request: digest}}
	data, err := json.Marshal(claim.entry)
	if err != nil {
		return nil, fmt.Errorf("encode a claim: %w", err)
	}
	err = c.with(ctx, func(kv jetstream.KeyValue) error {
		for {
			var err error
			if claim.revision, err = kv.Create(ctx, claim.key, data); !isTaken(err) {
				return err
			}
			found, err := kv.Get(ctx, claim.key)
			if errors.Is(err, jetstream.ErrKeyNotFound) {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				continue // released, or not on the replica that was asked
			}
			if err != nil {
				return err
			}
			claim.revision, claim.repeated = found.Revision(), true
			return json.Unmarshal(found.Value(), &claim.entry)
		}
	})
	if err != nil {
		return nil, fault.Away("NATS", fmt.Errorf("claim an idempotency key: %w", err))
	}
	if claim.entry.Request != digest {
		return nil, &fault.Error{
			Code:   fault.Conflict,
			Detail: fault.T("Esta Idempotency-Key ya se usó con otra petición", "This Idempotency-Key was used for another request"),
			Fields: map[string]fault.Text{"Idempotency-Key": fault.T("ya se usó con otra petición", "was used for another request")},
		}
	}
	return claim, nil
}

// ValidKey reports whether key can be one of Claim: 1 to 64 letters, digits, "-" or "_".
func ValidKey(key string) bool { return validKey.MatchString(key) }

var validKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Repeated reports that the same request was made before, or is being made: it may have taken effect.
func (c *Claim) Repeated() bool { return c.repeated }

// Done reports that the request has taken effect before.
func (c *Claim) Done() bool { return c.entry.Done }

// Finish records that the request took effect.
func (c *Claim) Finish(ctx context.Context) {
	if c.entry.Done {
		return
	}
	c.entry.Done = true
	data, err := json.Marshal(c.entry)
	if err != nil {
		return
	}
	c.settle(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		_, err := kv.Update(ctx, c.key, data, c.revision)
		return err
	})
}

// Release frees the key after a request that had no effect, unless a repetition has had one.
func (c *Claim) Release(ctx context.Context) {
	c.settle(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		return kv.Purge(ctx, c.key, jetstream.LastRevision(c.revision), jetstream.PurgeTTL(time.Minute))
	})
}

// settle is best effort: what is not recorded is found out in Odoo by a repetition.
func (c *Claim) settle(ctx context.Context, f func(context.Context, jetstream.KeyValue) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = c.c.with(ctx, func(kv jetstream.KeyValue) error { return f(ctx, kv) })
}
