package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Timing among instances.
const (
	hello     = time.Second             // each instance says that it is there
	forgotten = 3500 * time.Millisecond // without that, it is not waited for
	sightWait = 500 * time.Millisecond  // for all to have seen a change

	minSilence = 3 * time.Second // without a mark, after which the journals are checked
)

// trust is what an instance knows of changes.
type trust struct {
	self string
	now  func() time.Time

	mu     sync.RWMutex
	kv     jetstream.KeyValue // the bucket of the journals; nil while they are not seen
	values jetstream.KeyValue // the bucket of answers
	js     jetstream.JetStream
	views  map[string]*view
	// A poller's marks carry the session of its instance, which begins anew with each loss of the journals: they may have
	// been set back since, so that their numbers come again. No answer of another session counts.
	session  string
	lastMark uint64    // revision of this instance's last mark in this session
	trusts   string    // the session of the last mark seen
	since    time.Time // looks that began before vouch for nothing, since a change was lost
	marked   time.Time // when the poller began its last look; after since
	blind    map[string]bool
	doubts   uint64        // grows with each loss of trust
	news     chan struct{} // closed when something of this has changed
	peers    map[string]time.Time

	nc     *nats.Conn
	onTold func(name string, ids []int64)
}

func (t *trust) init(cfg Config) {
	t.now, t.self, t.news = cfg.Now, nuid.Next(), make(chan struct{})
	t.views, t.peers = map[string]*view{}, map[string]time.Time{}
}

// OnTold makes f hear of the records that writes through Resonance changed, through any instance. It
// is called before Run, and f must not block.
func (t *trust) OnTold(f func(name string, ids []int64)) { t.onTold = f }

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

// version is the state that an answer of Odoo's, asked for from now on, will show at least. The
// generation tells apart times between which trust was lost, too.
func (t *trust) version(name string) (version, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v := version{}
	if j := t.views[name]; j != nil {
		v = version{j.Epoch + t.trusts, j.N}
	}
	return v, strconv.FormatUint(v.N, 36) + "." + strconv.FormatUint(t.doubts, 36)
}

// proof tells when it was last known that an entry is what Odoo would say, whether nothing is known
// to have changed since, and whether this instance can tell at all.
func (t *trust) proof(k key, e *entry) (proved time.Time, holds, trusted bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	proved = e.At
	holds = t.views[k.resource].holds(e.version, t.trusts, k.id)
	if !holds || t.kv == nil || t.marked.IsZero() {
		return proved, holds, false
	}
	if t.blind[k.resource] { // only the answer's own time counts
		return proved, true, e.ours && e.At.After(t.since)
	}
	if !e.ours || e.At.Before(t.marked) {
		proved = t.marked
	}
	return proved, true, true
}

// changed wakes who waits; t.mu is held.
func (t *trust) changed() {
	close(t.news)
	t.news = make(chan struct{})
}

// doubt makes this instance trust nothing until the poller has looked again.
func (t *trust) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since, t.marked = t.now(), time.Time{}
	t.doubts++
	t.changed()
	trusted.Set(0)
}

// Trusted waits until this instance can tell what has changed.
func (t *trust) Trusted(ctx context.Context) error {
	return t.await(ctx, func() bool { return t.kv != nil && !t.marked.IsZero() })
}

// Watching waits until this instance sees the journals, and so can write them.
func (t *trust) Watching(ctx context.Context) error {
	return t.await(ctx, func() bool { return t.kv != nil })
}

// await waits for a condition, which is looked at with t.mu held.
func (t *trust) await(ctx context.Context, met func() bool) error {
	for {
		t.mu.RLock()
		ok, news := met(), t.news
		t.mu.RUnlock()
		if ok {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Run watches what changes until ctx ends, with ctx's error or one that wraps bus.ErrDrift.
func (c *Cache) Run(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error {
	c.mu.Lock()
	c.nc, c.js = nc, js
	c.mu.Unlock()
	subs, err := c.listen(nc)
	if err != nil {
		return err
	}
	var writing sync.WaitGroup
	writing.Go(func() { c.share(ctx) })
	defer writing.Wait()
	defer func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // the connection is gone, else
		}
		_ = nc.Publish(c.subject("gone"), []byte(c.self))
	}()
	return bus.Persist(ctx, c.cfg.Log, "the cache asks Odoo each time until it sees changes again", func(ctx context.Context) error {
		defer func() {
			c.mu.Lock()
			c.kv = nil
			c.mu.Unlock()
			c.doubt()
		}()
		return c.watch(ctx, nc, js)
	})
}

const (
	journals = ".journal."
	polled   = ".polled"
)

// watch follows the journals until it loses sight of them.
func (c *Cache) watch(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error {
	lost := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer nc.RemoveStatusListener(lost)
	ctx, cancel := context.WithCancel(ctx) // ends the watcher, whose Stop would wait for NATS to answer
	defer cancel()
	kv, values, err := c.open(ctx, js)
	if err != nil {
		return err
	}
	// Said before the journals are read: who changes one from now on waits for this instance.
	c.sayHello(nc)
	if err := nc.FlushTimeout(patience); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	watcher, err := kv.WatchFiltered(ctx, []string{c.cfg.Namespace + journals + "*", c.cfg.Namespace + polled})
	if err != nil {
		return fmt.Errorf("watch the journals: %w", err)
	}
	ticker := time.NewTicker(hello)
	defer ticker.Stop()
	silence := max(2*c.cfg.Fresh, minSilence)
	heard, last := time.Now(), uint64(0) // the last mark, and its revision
	first := map[string]*view{}
	live := false
	for {
		select {
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errors.New("the watcher ended")
			case entry == nil:
				live = true
				c.begin(kv, values, first)
			case strings.HasSuffix(entry.Key(), polled):
				heard, last = time.Now(), entry.Revision()
				if live {
					c.mark(entry.Value())
				}
			default:
				name := entry.Key()[len(c.cfg.Namespace+journals):]
				var j journal
				if entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(entry.Value(), &j) != nil {
					return fmt.Errorf("the journal of %s is gone", name)
				}
				v := newView(j, entry.Revision())
				if live {
					c.apply(name, v)
				} else {
					first[name] = v
				}
			}
		case <-ticker.C:
			c.sayHello(nc)
			if time.Since(heard) > silence {
				if err := c.inSight(ctx, kv, last); err != nil {
					return err
				}
				heard = time.Now()
			}
		case status := <-lost:
			return fmt.Errorf("the connection to NATS is %s", strings.ToLower(status.String()))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open opens the buckets, which it makes where they are missing.
func (c *Cache) open(ctx context.Context, js jetstream.JetStream) (kv, values jetstream.KeyValue, err error) {
	if err := bus.Ensure(ctx, js, c.cfg.Replicas, bus.BucketOdooJournal, bus.BucketOdooCache); err != nil {
		return nil, nil, err
	}
	if kv, err = js.KeyValue(ctx, bus.BucketOdooJournal); err != nil {
		return nil, nil, fmt.Errorf("bucket %s: %w", bus.BucketOdooJournal, err)
	}
	if values, err = js.KeyValue(ctx, bus.BucketOdooCache); err != nil {
		return nil, nil, fmt.Errorf("bucket %s: %w", bus.BucketOdooCache, err)
	}
	return kv, values, nil
}

// inSight checks that silence means that nobody looks at Odoo, as when looks take long, rather than that
// the bucket was deleted or that its watcher misses messages.
func (c *Cache) inSight(ctx context.Context, kv jetstream.KeyValue, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	entry, err := kv.Get(ctx, c.cfg.Namespace+polled)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound) && last == 0:
		return nil
	case err != nil:
		return fmt.Errorf("check the journals: %w", err)
	case entry.Revision() != last:
		return errors.New("the watcher of the journals missed messages")
	}
	return nil
}

// begin starts from what the journals say. A look that was under way then is as good as later ones: its
// changes are in the journals before its mark.
func (t *trust) begin(kv, values jetstream.KeyValue, views map[string]*view) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kv, t.values, t.marked = kv, values, time.Time{}
	t.views = views
	t.session, t.lastMark = nuid.Next(), 0
	t.doubts++
	t.changed()
}

// apply learns of a change, once.
func (t *trust) apply(name string, v *view) {
	t.mu.Lock()
	was := t.views[name]
	if was != nil && v.revision <= was.revision {
		t.mu.Unlock()
		return
	}
	t.views[name] = v
	t.changed()
	t.mu.Unlock()
	if t.onTold == nil || was == nil || was.Epoch != v.Epoch {
		return
	}
	var ids []int64
	for _, c := range v.Last {
		if c.N > was.N && !c.Found {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) > 0 {
		t.onTold(name, ids)
	}
}

// mark learns that somebody has looked.
func (c *Cache) mark(data []byte) {
	var m mark
	if json.Unmarshal(data, &m) != nil {
		return
	}
	if m.Away {
		c.isAwayNow()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cfg.Now().Add(-m.took())
	if !at.After(c.since) {
		return
	}
	c.marked, c.trusts, c.blind = at, m.Session, map[string]bool{}
	for _, name := range m.Blind {
		c.blind[name] = true
	}
	c.changed()
	trusted.Set(1)
}

// Polled tells all instances of a look at Odoo, which began so long ago. Its changes were told
// before. An error of the look makes them do without Odoo for a while.
func (c *Cache) Polled(ctx context.Context, took time.Duration, blind []string, failed error) error {
	m := mark{TookMS: took.Milliseconds() + 1, Blind: blind, Away: failed != nil && isAway(failed)}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c.mu.RLock()
		kv, last := c.kv, c.lastMark
		m.Session = c.session
		c.mu.RUnlock()
		if kv == nil {
			return errUnseen
		}
		data, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode a mark: %w", err)
		}
		revision, err := kv.Put(ctx, c.cfg.Namespace+polled, data)
		if err != nil {
			return fmt.Errorf("write a mark: %w", err)
		}
		c.mu.Lock()
		if c.session == m.Session {
			c.lastMark = revision
			if revision <= last { // the bucket was set back, on a server that this instance is not connected to itself
				c.session = nuid.Next()
			}
		}
		again := c.session != m.Session
		c.mu.Unlock()
		if !again {
			return nil
		}
	}
}

var errUnseen = errors.New("the journals are not seen")

// Told tells all instances what a write through Resonance changed, ids by resource, and returns when
// they know it; at the latest, though, after a second. No ids: it is not known which records.
func (c *Cache) Told(ctx context.Context, changed map[string][]int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	c.away.Store(0) // it just answered, or else the next read finds out
	changes := map[string]Change{}
	for name, ids := range changed {
		is := changes[name]
		changes[name] = Change{IDs: ids, All: is.All || len(ids) == 0}
		for _, other := range resource.Linked(name) {
			is := changes[other]
			is.All = true
			changes[other] = is
		}
	}
	if err := c.Changed(ctx, changes, false); err != nil {
		c.cfg.Log.Warn("a change could not be written into the journal: Odoo is asked each time until it is found", "error", err)
		c.doubt()
		c.untilSeen(ctx, nil)
	}
}

// Changed writes changes into the journals. Those that the poller did not find it waits for every
// instance to have seen.
func (c *Cache) Changed(ctx context.Context, changes map[string]Change, found bool) error {
	written := map[string]uint64{}
	for name, change := range changes {
		if len(change.IDs) == 0 && !change.All {
			continue
		}
		v, err := c.append(ctx, name, change, found)
		if err != nil {
			return fmt.Errorf("journal of %s: %w", name, err)
		}
		changesTold.WithLabelValues(name).Inc()
		written[name] = v.N
	}
	if !found && len(written) > 0 {
		c.untilSeen(ctx, written)
	}
	return nil
}

// append writes a change into a journal, after what others wrote meanwhile.
func (c *Cache) append(ctx context.Context, name string, change Change, found bool) (*view, error) {
	kv := c.bucket()
	if kv == nil {
		return nil, errUnseen
	}
	key := c.cfg.Namespace + journals + name
	c.mu.RLock()
	was := c.views[name]
	c.mu.RUnlock()
	for {
		next := journal{Epoch: nuid.Next()}
		if was != nil {
			next = was.journal
		}
		next = next.with(change, found)
		data, err := json.Marshal(next)
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		var revision uint64
		if was == nil {
			revision, err = kv.Create(ctx, key, data)
		} else {
			revision, err = kv.Update(ctx, key, data, was.revision)
		}
		if err == nil {
			v := newView(next, revision)
			c.apply(name, v)
			return v, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && !bus.IsConflict(err) || ctx.Err() != nil {
			return nil, err
		}
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			was = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		var j journal
		if err := json.Unmarshal(entry.Value(), &j); err != nil {
			return nil, err
		}
		was = newView(j, entry.Revision())
	}
}

func (c *Cache) subject(what string) string { return "odoo-bridge." + c.cfg.Namespace + "." + what }

func (c *Cache) sayHello(nc *nats.Conn) { _ = nc.Publish(c.subject("here"), []byte(c.self)) }

// sight asks an instance to say when it has seen changes: their numbers by resource; none, when they
// could not be written down.
type sight struct {
	From string            `json:"from"`
	Seen map[string]uint64 `json:"seen"`
}

// listen hears of other instances, and tells them what this one has seen.
func (c *Cache) listen(nc *nats.Conn) ([]*nats.Subscription, error) {
	var subs []*nats.Subscription
	for what, f := range map[string]nats.MsgHandler{
		"here": func(m *nats.Msg) { c.peer(string(m.Data), true) },
		"gone": func(m *nats.Msg) { c.peer(string(m.Data), false) },
		"seen": func(m *nats.Msg) {
			var s sight
			if json.Unmarshal(m.Data, &s) != nil || s.From == c.self {
				return
			}
			go c.see(s, m)
		},
	} {
		sub, err := nc.Subscribe(c.subject(what), f)
		if err != nil {
			return nil, fmt.Errorf("hear of other instances: %w", err)
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

func (c *Cache) peer(id string, here bool) {
	if id == c.self {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if here {
		c.peers[id] = time.Now()
	} else {
		delete(c.peers, id)
	}
}

func (c *Cache) see(s sight, m *nats.Msg) {
	if len(s.Seen) == 0 {
		c.doubt()
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), sightWait)
		defer cancel()
		err := c.await(ctx, func() bool {
			for name, n := range s.Seen {
				if v := c.views[name]; v == nil || v.N < n {
					return c.kv == nil // who sees nothing trusts nothing
				}
			}
			return true
		})
		if err != nil {
			c.doubt()
		}
	}
	_ = m.Respond([]byte(c.self)) // nobody waits any more, else
}

// untilSeen waits until the instances that are alive have seen changes.
func (c *Cache) untilSeen(ctx context.Context, written map[string]uint64) {
	c.mu.Lock()
	maps.DeleteFunc(c.peers, func(_ string, at time.Time) bool { return time.Since(at) > forgotten })
	waiting, nc := maps.Clone(c.peers), c.nc
	c.mu.Unlock()
	if len(waiting) == 0 || nc == nil {
		return
	}
	data, err := json.Marshal(sight{c.self, written})
	if err != nil {
		return
	}
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return
	}
	defer inbox.Unsubscribe() //nolint:errcheck // the connection is gone then
	if nc.PublishRequest(c.subject("seen"), inbox.Subject, data) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sightWait+margin)
	defer cancel()
	for len(waiting) > 0 {
		m, err := inbox.NextMsgWithContext(ctx)
		if err != nil {
			c.cfg.Log.Warn("an instance has not said that it knows of a change", "instances", len(waiting))
			return
		}
		delete(waiting, string(m.Data))
	}
}
