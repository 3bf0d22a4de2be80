package cache

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Source answers from Odoo; *resource.Store is one.
type Source interface {
	List(ctx context.Context, name string, scope resource.Scope, q odooapi.Query) (resource.Page, error)
	Read(ctx context.Context, name string, scope resource.Scope, ids []int64) ([]resource.Record, error)
	Image(ctx context.Context, name string, scope resource.Scope, q odooapi.ImageRef) (resource.Image, error)
	Summary(ctx context.Context, name string, scope resource.Scope, q odooapi.Query) (resource.Summary, error)
}

// Config tunes a Cache.
type Config struct {
	// Namespace keeps apart what is said by different Odoos, or in different shapes.
	Namespace string
	Fresh     time.Duration // how long an answer is shown without another poll
	MaxAge    time.Duration // after which Odoo is asked anew, whatever is known
	Memory    int64         // bytes of answers held in this process
	Timeout   time.Duration // of asking Odoo
	Replicas  int           // of the buckets, where they have to be made
	Terms     func(ctx context.Context, company int64) (resource.Terms, error)
	Log       *slog.Logger
	Now       func() time.Time // time.Now when nil
}

// Bounds.
const (
	quickTimeout  = time.Second            // with Odoo where there is an answer that is not verified, and with NATS
	margin        = 250 * time.Millisecond // before a deadline, to answer in
	retryInterval = 2 * time.Second        // one request tries again then
	maxShared     = 960 << 10              // bytes of a value of the bucket, which holds up to 1 MiB
	writers       = 4                      // of the bucket, at once
)

// Cache is a Source before another one. It is safe for concurrent use.
type Cache struct {
	cfg              Config
	source           Source
	batch            *batcher
	memory           *otter.Cache[key, *entry]
	bytes            atomic.Int64
	calls            singleflight.Group
	writes           chan shared
	unavailableUntil atomic.Int64 // until when Odoo is taken to be unavailable, as UnixNano
	trust

	terms  atomic.Pointer[resource.Terms] // as they are written down
	remake rate.Sometimes                 // limits how often a deleted bucket is made again
}

// shared is a value on its way to a bucket.
type shared struct {
	kv    jetstream.KeyValue
	key   string
	entry *entry
	data  []byte // where there is no entry
}

// New makes a Cache, which asks source each time until Run has seen what has changed.
func New(cfg Config, source Source) (*Cache, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cache{cfg: cfg, source: source, writes: make(chan shared, 64), remake: rate.Sometimes{Interval: 10 * time.Second}}
	c.batch = &batcher{read: source.Read, timeout: cfg.Timeout, queues: map[batchKey]*queue{}}
	c.init(cfg)
	var err error
	c.memory, err = otter.New(&otter.Options[key, *entry]{
		MaximumWeight: uint64(max(cfg.Memory, 1)),
		Weigher:       func(_ key, e *entry) uint32 { return uint32(min(e.size, math.MaxUint32)) },
		OnAtomicDeletion: func(e otter.DeletionEvent[key, *entry]) {
			memoryBytes.Set(float64(c.bytes.Add(-int64(e.Value.size))))
		},
	})
	return c, err
}

// List gives a page.
func (c *Cache) List(ctx context.Context, name string, scope resource.Scope, q odooapi.Query) (resource.Page, error) {
	q.Scope = odooapi.Scope{} // scope is what became of it
	v, f, err := c.answer(ctx, keyOf(name, list, 0, scope, q), func(ctx context.Context) (any, error) {
		return c.source.List(ctx, name, scope, q)
	})
	if err != nil {
		return resource.Page{}, err
	}
	page, _ := v.(resource.Page)
	page.Freshness = f
	return page, nil
}

// Read gives those of the records that exist, in no particular order.
func (c *Cache) Read(ctx context.Context, name string, scope resource.Scope, ids []int64) ([]resource.Record, error) {
	found := make([]*resource.Record, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	for i, id := range ids {
		one := func() (err error) { found[i], err = c.one(ctx, name, scope, id); return err }
		if len(ids) == 1 {
			if err := one(); err != nil {
				return nil, err
			}
			continue
		}
		group.Go(one)
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var records []resource.Record
	for _, r := range found {
		if r != nil {
			records = append(records, *r)
		}
	}
	return records, nil
}

// errNone is the answer that there is no such record. It is not kept.
var errNone = fault.New(fault.NotFound, fault.T("No existe en Odoo", "There is no such record in Odoo"))

func (c *Cache) one(ctx context.Context, name string, scope resource.Scope, id int64) (*resource.Record, error) {
	v, f, err := c.answer(ctx, keyOf(name, get, id, scope), func(ctx context.Context) (any, error) {
		r, err := c.batch.one(ctx, name, scope, id)
		if err == nil && r == nil {
			err = errNone
		}
		if err != nil {
			return nil, err
		}
		return *r, nil
	})
	switch {
	case errors.Is(err, errNone):
		return nil, nil
	case err != nil:
		return nil, err
	}
	r, _ := v.(resource.Record)
	r.Freshness = f
	return &r, nil
}

// Image gives a record's image, which is the same in all languages.
func (c *Cache) Image(ctx context.Context, name string, scope resource.Scope, q odooapi.ImageRef) (resource.Image, error) {
	scope.Lang, q.Scope = "", odooapi.Scope{}
	v, f, err := c.answer(ctx, keyOf(name, image, q.ID, scope, q.Size), func(ctx context.Context) (any, error) {
		return c.source.Image(ctx, name, scope, q)
	})
	if err != nil {
		return resource.Image{}, err
	}
	img, _ := v.(resource.Image)
	img.Freshness = f
	return img, nil
}

// Summary counts the records that match.
func (c *Cache) Summary(ctx context.Context, name string, scope resource.Scope, q odooapi.Query) (resource.Summary, error) {
	q.Scope = odooapi.Scope{}
	v, f, err := c.answer(ctx, keyOf(name, summary, 0, scope, q), func(ctx context.Context) (any, error) {
		return c.source.Summary(ctx, name, scope, q)
	})
	if err != nil {
		return resource.Summary{}, err
	}
	sum, _ := v.(resource.Summary)
	sum.Freshness = f
	return sum, nil
}

// answer finds an answer in memory, in the bucket, or by fetch, which asks Odoo.
func (c *Cache) answer(ctx context.Context, k key, fetch func(context.Context) (any, error)) (any, resource.Freshness, error) {
	e, _ := c.memory.GetIfPresent(k)
	state, f := c.assess(k, e)
	if state == good {
		count(k, "hit")
		return e.value, f, nil
	}
	if other := c.fromBucket(ctx, k); other != nil && (e == nil || other.At.After(e.At)) {
		e = other
		if state, f = c.assess(k, e); state == good {
			count(k, "shared")
			return e.value, f, nil
		}
	}
	value, outcome, err := c.ask(ctx, k, e, state, fetch)
	switch {
	case err == nil:
		count(k, outcome)
		return value, resource.Freshness{}, nil
	case e != nil && isUnavailable(err):
		count(k, "stale")
		f.Stale = true
		return e.value, f, nil
	}
	count(k, "error")
	return nil, resource.Freshness{}, err
}

func count(k key, outcome string) { requests.WithLabelValues(k.resource, k.kind, outcome).Inc() }

// isUnavailable reports that Odoo said nothing, rather than no.
func isUnavailable(err error) bool {
	code := fault.CodeOf(err)
	return (code == fault.Unavailable || code == fault.Internal) && !resource.Refused(err)
}

// validity is what an entry is worth.
type validity int

const (
	outdated   validity = iota // something has changed since, or it is too old
	unverified                 // nothing is known to have changed, but no recent poll has checked
	good
)

// assess tells what an entry is worth, and how old it is.
func (c *Cache) assess(k key, e *entry) (validity, resource.Freshness) {
	if e == nil {
		return outdated, resource.Freshness{}
	}
	now := c.cfg.Now()
	proved, holds, trusted := c.verify(k, e)
	age := max(now.Sub(proved), 0)
	f := resource.Freshness{Age: age}
	switch {
	case !holds || now.Sub(e.At) > c.cfg.MaxAge:
		return outdated, f
	case trusted && age <= c.cfg.Fresh:
		return good, f
	}
	return unverified, f
}

// fromBucket gives what another instance left, or this one before it was restarted. That is now in
// memory too.
func (c *Cache) fromBucket(ctx context.Context, k key) *entry {
	kv := c.answers()
	if kv == nil {
		return nil
	}
	found, _, _ := c.calls.Do("bucket "+k.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickTimeout/2)
		defer cancel()
		value, err := kv.Get(ctx, c.cfg.Namespace+"."+k.String())
		if err != nil {
			return (*entry)(nil), nil
		}
		e, err := decode(k.kind, value.Value())
		if err != nil {
			return (*entry)(nil), nil
		}
		if was, ok := c.memory.GetIfPresent(k); !ok || e.At.After(was.At) {
			c.keep(k, e)
		}
		return e, nil
	})
	e, _ := found.(*entry)
	return e
}

// ask asks Odoo, once for all identical requests, and keeps the answer. Where there is an entry, it does not wait for long.
func (c *Cache) ask(ctx context.Context, k key, e *entry, state validity, fetch func(context.Context) (any, error)) (value any, outcome string, err error) {
	if e != nil && c.unavailable() {
		return nil, "", errUnavailable
	}
	// A call that began before a change was known is not joined after it.
	v, generation := c.version(k.resource)
	mine := false
	name := k.String() + " " + v.Epoch + " " + generation
	done := c.calls.DoChan(name, func() (any, error) {
		mine = true
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.Timeout)
		defer cancel()
		at := c.cfg.Now()
		value, err := fetch(ctx)
		switch {
		case err == nil:
			c.unavailableUntil.Store(0)
			c.store(k, &entry{version: v, At: at, ours: true, value: value, size: sizeOf(value)})
		case isUnavailable(err):
			c.markUnavailable()
		default:
			c.memory.Invalidate(k)
		}
		return value, err
	})
	var giveUp <-chan time.Time
	if e != nil {
		wait := quickTimeout
		if deadline, ok := ctx.Deadline(); ok && (state == outdated || time.Until(deadline)-margin < wait) {
			wait = time.Until(deadline) - margin
		} else if state == outdated {
			wait = c.cfg.Timeout
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		giveUp = timer.C
	}
	select {
	case r := <-done:
		outcome = "coalesced"
		if mine {
			outcome = "miss"
		}
		return r.Val, outcome, r.Err
	case <-giveUp:
		c.markUnavailable()
		return nil, "", errUnavailable
	case <-ctx.Done():
		return nil, "", fault.Away("Odoo", ctx.Err())
	}
}

var errUnavailable = fault.Away("Odoo", errors.New("it did not answer in time"))

func (c *Cache) unavailable() bool { return c.cfg.Now().UnixNano() < c.unavailableUntil.Load() }

// markUnavailable makes all but one request in a while do without Odoo, where they can.
func (c *Cache) markUnavailable() {
	c.unavailableUntil.Store(c.cfg.Now().Add(retryInterval).UnixNano())
}

// store keeps an entry here and, soon, in the bucket.
func (c *Cache) store(k key, e *entry) {
	c.keep(k, e)
	kv := c.answers()
	if kv == nil || e.size > maxShared {
		return
	}
	select {
	case c.writes <- shared{kv: kv, key: c.cfg.Namespace + "." + k.String(), entry: e}:
	default: // the bucket is slow, and only an aid
	}
}

func (c *Cache) keep(k key, e *entry) {
	c.bytes.Add(int64(e.size))
	c.memory.Set(k, e)
	memoryBytes.Set(float64(c.bytes.Load()))
}

// share writes entries to the bucket until ctx ends.
func (c *Cache) share(ctx context.Context) {
	var pool sync.WaitGroup
	for range writers {
		pool.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case w := <-c.writes:
					c.write(ctx, w)
				}
			}
		})
	}
	pool.Wait()
}

// write puts a value into its bucket. What does not fit there is not shared.
func (c *Cache) write(ctx context.Context, w shared) {
	data := w.data
	if w.entry != nil {
		var err error
		if data, err = w.entry.encode(); err != nil || len(data) > maxShared {
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, quickTimeout)
	defer cancel()
	_, err := w.kv.Put(ctx, w.key, data)
	if err == nil || ctx.Err() != nil {
		return
	}
	c.cfg.Log.Debug("value not shared", "key", w.key, "error", err)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		c.remake.Do(func() {
			if err := bus.Ensure(ctx, c.jetStream(), c.cfg.Replicas, bus.BucketOdooCache); err != nil {
				c.cfg.Log.Debug("bucket not made again", "bucket", bus.BucketOdooCache, "error", err)
			}
		})
	}
}
