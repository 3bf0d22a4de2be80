package cache

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// trust tracks whether cached answers still hold: what has changed, and when the poller last checked.
type trust struct {
	self string
	now  func() time.Time

	mu     sync.RWMutex
	kv     jetstream.KeyValue // the bucket of the journals; nil while they are not watched
	values jetstream.KeyValue // the bucket of answers
	js     jetstream.JetStream
	views  map[string]*view
	// Marks carry the session of the instance that wrote them, which changes whenever that instance loses the journals:
	// they may have been set back since, so that their numbers are used again. Answers of another session do not count.
	session     string
	lastMark    uint64               // revision of this instance's last mark in this session
	markSession string               // the session of the last mark seen
	since       time.Time            // polls that began before it prove nothing: a change was lost then
	markedAt    time.Time            // when the last poll began; after since
	unwatched   map[string]bool      // resources whose changes the last poll could not see
	generation  uint64               // grows with each loss of trust
	updated     chan struct{}        // closed and replaced when something of this changes
	setBack     chan struct{}        // the journals lost their newest messages
	peers       map[string]time.Time // when each other instance sent its last heartbeat

	nc        *nats.Conn
	onWritten func(name string, ids []int64)
}

func (t *trust) init(cfg Config) {
	t.now, t.self, t.updated, t.setBack = cfg.Now, nuid.Next(), make(chan struct{}), make(chan struct{}, 1)
	t.views, t.peers = map[string]*view{}, map[string]time.Time{}
}

// OnWritten registers f to be called with the records that writes through any instance of Resonance changed. It must be
// called before Run, and f must not block.
func (t *trust) OnWritten(f func(name string, ids []int64)) { t.onWritten = f }

func (t *trust) bucket() jetstream.KeyValue {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.kv
}

// answers is the bucket that instances share answers in; nil while this one does not watch the journals.
func (t *trust) answers() jetstream.KeyValue {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.kv == nil {
		return nil
	}
	return t.values
}

func (t *trust) jetStream() jetstream.JetStream {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.js
}

// version is the state that an answer fetched from now on reflects at least. The generation differs between times when
// trust was lost in between.
func (t *trust) version(name string) (version, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v := version{}
	if j := t.views[name]; j != nil {
		v = version{j.Epoch + t.markSession, j.N}
	}
	return v, strconv.FormatUint(v.N, 36) + "." + strconv.FormatUint(t.generation, 36)
}

// verify reports when an entry was last known to be what Odoo would answer, whether nothing is known to have changed
// since, and whether this instance can tell at all.
func (t *trust) verify(k key, e *entry) (proved time.Time, holds, trusted bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	proved = e.At
	holds = t.views[k.resource].holds(e.version, t.markSession, k.id)
	if !holds || t.kv == nil || t.markedAt.IsZero() {
		return proved, holds, false
	}
	if t.unwatched[k.resource] { // only the answer's own time counts
		return proved, true, e.ours && e.At.After(t.since)
	}
	if !e.ours || e.At.Before(t.markedAt) {
		proved = t.markedAt
	}
	return proved, true, true
}

// broadcast wakes all calls of await. t.mu must be held.
func (t *trust) broadcast() {
	close(t.updated)
	t.updated = make(chan struct{})
}

// distrust makes this instance trust nothing until the next poll.
func (t *trust) distrust() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since, t.markedAt = t.now(), time.Time{}
	t.generation++
	t.broadcast()
	trusted.Set(0)
}

// Trusted waits until this instance can tell what has changed.
func (t *trust) Trusted(ctx context.Context) error {
	return t.await(ctx, func() bool { return t.kv != nil && !t.markedAt.IsZero() })
}

// Watching waits until this instance watches the journals, and so can write them.
func (t *trust) Watching(ctx context.Context) error {
	return t.await(ctx, func() bool { return t.kv != nil })
}

// await waits for a condition, which is evaluated with t.mu held.
func (t *trust) await(ctx context.Context, met func() bool) error {
	for {
		t.mu.RLock()
		ok, updated := met(), t.updated
		t.mu.RUnlock()
		if ok {
			return nil
		}
		select {
		case <-updated:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
