package changes

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/lease"
	"github.com/resonance/resonance/services/odoo-bridge/internal/cache"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Bounds of a poll.
const (
	// Overlap is how long a transaction of Odoo's may take for its changes to be found by the next
	// poll. Odoo ends a request after two minutes (limit_time_real).
	Overlap        = 3 * time.Minute
	writeDateSlack = 3 * time.Second // write_date comes to the second: until then it may hide a second write
	firstRows      = 1000
	maxRows        = firstRows * 8 * 8 * 8
	saveInterval   = time.Minute // where nothing changed
	maxSave        = 900 << 10   // bytes of the state, to fit a message
	maxCalls       = 2           // calls of Odoo
)

// Config tunes a Poller.
type Config struct {
	Key      string           // in sync-state; its lease is beside it
	Source   string           // ce-source
	OdooNow  func() time.Time // by Odoo's clock
	Every    time.Duration    // from one poll to the next
	Full     time.Duration    // from one reading of all ids to the next
	Instance string
	Replicas int
	Log      *slog.Logger
}

// Cache drops what has changed; *cache.Cache is one.
type Cache interface {
	Watching(ctx context.Context) error
	WriteChanges(ctx context.Context, changes map[string]cache.Change, found bool) error
	WriteMark(ctx context.Context, took time.Duration, unwatched []string, failed error) error
}

// Poller finds changes.
type Poller struct {
	cfg     Config
	odoo    *resource.Store
	cache   Cache
	written chan written
}

type written struct {
	name string
	ids  []int64
}

// New makes a Poller.
func New(cfg Config, odoo *resource.Store, c Cache) *Poller {
	return &Poller{cfg: cfg, odoo: odoo, cache: c, written: make(chan written, 256)}
}

// Written takes records that a write through Resonance changed: their events need not wait for the
// next poll.
func (p *Poller) Written(name string, ids []int64) {
	select {
	case p.written <- written{name, ids}:
	default: // the next poll finds them
	}
}

// Run finds and publishes changes whenever it is this instance's turn, until ctx ends, with ctx's
// error or one that wraps bus.ErrDrift.
func (p *Poller) Run(ctx context.Context, js jetstream.JetStream) error {
	return bus.Persist(ctx, p.cfg.Log, "Odoo not polled", func(ctx context.Context) error {
		return p.hold(ctx, js)
	})
}

func (p *Poller) hold(ctx context.Context, js jetstream.JetStream) error {
	if err := bus.Ensure(ctx, js, p.cfg.Replicas, bus.StreamOdoo, bus.BucketSyncState); err != nil {
		return err
	}
	kv, err := js.KeyValue(ctx, bus.BucketSyncState)
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bus.BucketSyncState, err)
	}
	stream, err := js.Stream(ctx, bus.StreamOdoo)
	if err != nil {
		return fmt.Errorf("stream %s: %w", bus.StreamOdoo, err)
	}
	return lease.Hold(ctx, kv, p.cfg.Key+".lease", p.cfg.Instance, func(ctx context.Context) error {
		if err := p.cache.Watching(ctx); err != nil {
			return err
		}
		defer bus.KeepMirror(ctx, p.cfg.Log, js, p.cfg.Replicas, bus.StreamOdoo)()
		active.Set(1)
		defer active.Set(0)
		w := &activePoller{Poller: p, kv: kv, js: js, stream: stream}
		return w.run(ctx)
	})
}

// activePoller polls while this instance has the lease, by one goroutine.
type activePoller struct {
	*Poller

	kv       jetstream.KeyValue
	js       jetstream.JetStream
	stream   jetstream.Stream
	state    *state
	revision uint64
	saved    time.Time
	dirty    bool // the state differs from what is saved, and that matters

	invalidated bool             // all resources were, since this instance became the active one
	full        time.Time        // of the last reading of all ids
	totals      map[string]int   // by model, at the last poll
	created     map[string]int   // records that were found new since, by model
	newest      map[string]int64 // the highest id of a line seen, by model
	unwatched   []string         // resources whose changes the last full poll could not see
	refused     bool             // Odoo refused the short poll: each is a full one until all ids are read again
	changes     map[string]cache.Change
	touched     map[string]ids // to be looked up
	pending     map[string]map[int64]event.Change
	unwatchable map[string]bool // models that were logged as such
	// Odoo counts the records of each model by a call of its own
	countsApart bool
	failing     bool
}

// run polls and publishes by turns until ctx ends. It returns an error when the lease should be acquired anew.
func (w *activePoller) run(ctx context.Context) (err error) {
	w.changes, w.touched, w.pending = map[string]cache.Change{}, map[string]ids{}, map[string]map[int64]event.Change{}
	w.unwatchable, w.newest = map[string]bool{}, map[string]int64{}
	if w.state, w.revision, err = load(ctx, w.kv, w.cfg.Key); err != nil {
		return err
	}
	next := time.Now()
	for {
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !now.Before(next):
			w.pollAndMark(ctx)
			next = now.Add(w.interval())
			continue
		case w.hasPending():
			err := w.publishSome(ctx)
			if err == nil {
				continue
			}
			w.cfg.Log.Warn("events not published", "error", err)
		case w.state != nil && (w.dirty || now.Sub(w.saved) > saveInterval):
			if err := w.save(ctx); err != nil {
				return err
			}
			continue
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case t := <-w.written:
			w.touch(t.name, t.ids)
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// interval is from one poll to the next. Where Odoo counts each model by a call of its own, a poll of a quiet database
// takes six calls instead of three: fewer polls then keep it below one call a second at the default of ODOO_POLL_SECONDS.
// Reads stay as fresh, since an answer that no poll verifies in time is fetched again; events come later.
func (w *activePoller) interval() time.Duration {
	if w.countsApart {
		return w.cfg.Every * 8 / 5
	}
	return w.cfg.Every
}

// save keeps the state for the next active instance, unless there is one already.
func (w *activePoller) save(ctx context.Context) error {
	data, err := json.Marshal(w.state)
	if err == nil && len(data) > maxSave {
		data, err = json.Marshal(state{Cursors: w.state.Cursors, Known: w.state.Known})
	}
	switch {
	case err != nil:
		return fmt.Errorf("encode poller state: %w", err)
	case len(data) > maxSave:
		w.cfg.Log.Warn("poller state exceeds the KV value limit", "bytes", len(data))
		w.saved, w.dirty = time.Now(), false
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	if w.revision == 0 {
		w.revision, err = w.kv.Create(ctx, w.cfg.Key, data)
	} else {
		w.revision, err = w.kv.Update(ctx, w.cfg.Key, data, w.revision)
	}
	if err != nil {
		return fmt.Errorf("save poller state: %w", err)
	}
	w.saved, w.dirty = time.Now(), false
	return nil
}
