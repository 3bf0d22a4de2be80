package changes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/lease"
	"github.com/resonance/resonance/services/odoo-bridge/internal/cache"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Bounds of a look.
const (
	// Overlap is how long a transaction of Odoo's may take for its changes to be found at the next
	// look. Odoo ends a request after two minutes (limit_time_real).
	Overlap   = 3 * time.Minute
	settled   = 3 * time.Second // write_date comes to the second: until then it may hide a second write
	firstRows = 1000
	maxRows   = firstRows * 8 * 8 * 8
	saveAll   = time.Minute // where nothing changed
	maxSave   = 900 << 10   // bytes of the state, to fit a message
	atOnce    = 2           // calls of Odoo
)

// Config tunes a Poller.
type Config struct {
	Key      string           // in sync-state; its lease is beside it
	Source   string           // ce-source
	OdooNow  func() time.Time // by Odoo's clock
	Every    time.Duration    // from one look to the next
	Full     time.Duration    // from one reading of all ids to the next
	Instance string
	Replicas int
	Log      *slog.Logger
}

// Cache forgets what has changed; *cache.Cache is one.
type Cache interface {
	Watching(ctx context.Context) error
	WriteChanges(ctx context.Context, changes map[string]cache.Change, found bool) error
	WriteMark(ctx context.Context, took time.Duration, blind []string, failed error) error
}

// Poller finds changes.
type Poller struct {
	cfg   Config
	odoo  *resource.Store
	cache Cache
	told  chan told
}

type told struct {
	name string
	ids  []int64
}

// New makes a Poller.
func New(cfg Config, odoo *resource.Store, c Cache) *Poller {
	return &Poller{cfg: cfg, odoo: odoo, cache: c, told: make(chan told, 256)}
}

// Written takes records that a write through Resonance changed: their events need not wait for the
// next look.
func (p *Poller) Written(name string, ids []int64) {
	select {
	case p.told <- told{name, ids}:
	default: // the next look finds them
	}
}

// Run finds and publishes changes whenever it is this instance's turn, until ctx ends, with ctx's
// error or one that wraps bus.ErrDrift.
func (p *Poller) Run(ctx context.Context, js jetstream.JetStream) error {
	return bus.Persist(ctx, p.cfg.Log, "not looking for changes in Odoo, trying again", func(ctx context.Context) error {
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
		w := &watch{Poller: p, kv: kv, js: js, stream: stream}
		return w.run(ctx)
	})
}

// watch is the work of the active instance, by one goroutine.
type watch struct {
	*Poller

	kv       jetstream.KeyValue
	js       jetstream.JetStream
	stream   jetstream.Stream
	state    *state
	revision uint64
	saved    time.Time
	dirty    bool // the state differs from what is saved, and that matters

	began   bool             // the journals were told that anything may have changed before
	full    time.Time        // of the last reading of all ids
	totals  map[string]int   // by model, at the last look
	created map[string]int   // records that were found new since, by model
	newest  map[string]int64 // the highest id of a line seen, by model
	blind   []string         // resources whose changes the last whole look could not see
	refused bool             // Odoo refused the short look: each is a whole one until all ids are read again
	changes map[string]cache.Change
	touched map[string]ids // to be looked up
	pending map[string]map[int64]event.Change
	mute    map[string]bool // models that were complained about
	// Odoo counts the records of each model by a call of its own
	countsApart bool
	failing     bool
}

// run looks and publishes by turns until ctx ends. It returns an error when the lease should be
// taken anew.
func (w *watch) run(ctx context.Context) (err error) {
	w.changes, w.touched, w.pending = map[string]cache.Change{}, map[string]ids{}, map[string]map[int64]event.Change{}
	w.mute, w.newest = map[string]bool{}, map[string]int64{}
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
			w.look(ctx)
			next = now.Add(w.interval())
			continue
		case w.more():
			err := w.publishSome(ctx)
			if err == nil {
				continue
			}
			w.cfg.Log.Warn("events of Odoo's records wait", "error", err)
		case w.state != nil && (w.dirty || now.Sub(w.saved) > saveAll):
			if err := w.save(ctx); err != nil {
				return err
			}
			continue
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case t := <-w.told:
			w.touch(t.name, t.ids)
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// interval is from one look to the next. Where Odoo counts each model by a call of its own, a look at a quiet database
// takes six calls instead of three: fewer looks then keep it below one call a second at the default of ODOO_POLL_SECONDS.
// What is read stays as fresh, since an answer that no look vouches for in time is asked for again; events come later.
func (w *watch) interval() time.Duration {
	if w.countsApart {
		return w.cfg.Every * 8 / 5
	}
	return w.cfg.Every
}

func (w *watch) touch(name string, list []int64) {
	if w.touched[name] == nil {
		w.touched[name] = ids{}
	}
	for _, id := range list {
		w.touched[name][id] = struct{}{}
	}
}

// look looks at Odoo once, and tells every instance.
func (w *watch) look(ctx context.Context) {
	began := time.Now()
	blind, err := w.poll(ctx)
	took := time.Since(began)
	if told := w.cache.WriteMark(ctx, took, blind, err); err == nil {
		err = told
	}
	pollSeconds.Observe(took.Seconds())
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		polls.WithLabelValues("ok").Inc()
		if w.failing {
			w.cfg.Log.Info("changes in Odoo are seen again")
		}
	default:
		polls.WithLabelValues("failed").Inc()
		if !w.failing {
			w.cfg.Log.Warn("changes in Odoo are not seen: nothing is shown from the cache without asking Odoo", "error", err)
		}
	}
	w.failing = err != nil
}

// poll finds what has changed since the last time, and has the cache forget it. It gives the resources
// whose changes it cannot see.
func (w *watch) poll(ctx context.Context) ([]string, error) {
	names, err := w.odoo.Resources(ctx)
	if err != nil {
		return nil, err
	}
	watches, err := w.odoo.Watches(ctx)
	if err != nil {
		return nil, err
	}
	if w.state == nil {
		if err := w.baseline(ctx, names, watches); err != nil {
			return nil, err
		}
	}
	if w.countsApart, err = w.odoo.CountsApart(ctx); err != nil {
		return nil, err
	}
	quiet, totals, err := w.quiet(ctx, watches)
	if err != nil {
		return nil, err
	}
	if quiet {
		return w.blind, nil
	}
	blind := optionNames() // seldom asked for: not worth a look each time
	if !w.began {          // what changed while nobody looked
		for _, name := range slices.Concat(names, blind) {
			w.forget(name, cache.Change{All: true})
		}
	}
	found, err := w.ask(ctx, watches)
	if err != nil {
		return nil, err
	}
	w.created = map[string]int{}
	for i, one := range watches {
		if err := found[i].err; err != nil {
			touched := slices.Concat(one.Resources, one.Linked)
			blind = append(blind, touched...)
			if !w.mute[one.Model] {
				w.mute[one.Model] = true
				w.cfg.Log.Warn("changes of a model cannot be watched: what shows it is cached for one poll interval only",
					"model", one.Model, "resources", touched, "error", err)
			}
			continue
		}
		w.take(one, found[i])
	}
	if err := w.compare(ctx, names, watches, totals); err != nil {
		return nil, err
	}
	if len(w.changes) > 0 {
		if err := w.cache.WriteChanges(ctx, w.changes, true); err != nil {
			return nil, err
		}
		clear(w.changes)
	}
	w.began, w.blind = true, blind
	return blind, nil
}

// quiet takes a short look: three calls of Odoo tell whether anything was written or deleted at all. It
// is not worth it while rows that are known already are within Overlap, which it cannot tell from new ones.
func (w *watch) quiet(ctx context.Context, watches []resource.Watch) (quiet bool, totals map[string]int, err error) {
	at := w.cfg.OdooNow()
	since := at
	var seeing []resource.Watch
	known := 0
	for _, one := range watches {
		known += len(w.state.Seen[one.Model])
		cursor, ok := w.state.Cursors[one.Model]
		if !ok { // its module was installed since
			known++
		}
		if !w.mute[one.Model] {
			seeing = append(seeing, one)
			if cursor.Before(since) {
				since = cursor
			}
		}
	}
	if !w.began || w.refused || known > 0 || len(w.changes) > 0 || time.Since(w.full) > w.cfg.Full {
		totals, err = w.odoo.Totals(ctx)
		return false, totals, err
	}
	written := false
	group, calls := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	group.Go(func() (err error) { totals, err = w.odoo.Totals(calls); return err })
	group.Go(func() (err error) {
		written, err = w.odoo.Written(calls, seeing, since.Add(-Overlap))
		if resource.Refused(err) {
			w.refused = true
			w.cfg.Log.Info("short look refused, watched models are asked one by one", "error", err)
			return nil
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return false, nil, err
	}
	if w.refused || written || !maps.Equal(totals, w.totals) {
		return false, totals, nil
	}
	for _, one := range watches {
		w.state.Cursors[one.Model] = at
	}
	return true, totals, nil
}

func optionNames() (names []string) {
	for _, r := range erp.Options {
		names = append(names, r.Name)
	}
	return names
}

// forget notes what the cache has to forget.
func (w *watch) forget(name string, c cache.Change) {
	is := w.changes[name]
	is.All = is.All || c.All
	is.IDs = append(is.IDs, c.IDs...)
	w.changes[name] = is
}

// baseline begins with what there is: it is not news.
func (w *watch) baseline(ctx context.Context, names []string, watches []resource.Watch) error {
	s := &state{Cursors: map[string]time.Time{}, Seen: map[string]map[int64]time.Time{}, Known: map[string]ids{}}
	for _, one := range watches {
		s.Seen[one.Model] = map[int64]time.Time{}
		s.Cursors[one.Model] = w.cfg.OdooNow()
		err := w.each(ctx, one, s.Cursors[one.Model].Add(-Overlap), func(t resource.Touch) { s.Seen[one.Model][t.ID] = t.At })
		if err != nil && !errors.Is(err, resource.ErrUnwatchable) {
			return err
		}
	}
	for _, name := range names {
		list, err := w.odoo.IDs(ctx, name)
		if err != nil {
			return err
		}
		s.Known[name] = setOf(list)
	}
	w.state, w.dirty, w.full = s, true, time.Now()
	return nil
}

// each gives the records of a model that were written since.
func (w *watch) each(ctx context.Context, one resource.Watch, since time.Time, f func(resource.Touch)) error {
	limit := firstRows
	rows, err := w.odoo.Touched(ctx, one, since, limit)
	for err == nil && len(rows) == limit && limit < maxRows { // an import, all of the same time
		limit *= 8
		rows, err = w.odoo.Touched(ctx, one, since, limit)
	}
	for _, t := range rows {
		f(t)
	}
	return err
}

// touches are the records of a model that were written since the last look.
type touches struct {
	at   time.Time // Odoo's, before it was asked
	rows []resource.Touch
	err  error // resource.ErrUnwatchable, or nil
}

// ask asks for the records written since the last look, by watch, a few models at a time so that readers
// find a place, too.
func (w *watch) ask(ctx context.Context, watches []resource.Watch) ([]touches, error) {
	found := make([]touches, len(watches))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, one := range watches {
		t := &found[i]
		group.Go(func() error {
			t.at = w.cfg.OdooNow()
			cursor, ok := w.state.Cursors[one.Model]
			if !ok { // its module was installed since
				cursor = t.at
			}
			err := w.each(ctx, one, cursor.Add(-Overlap), func(row resource.Touch) { t.rows = append(t.rows, row) })
			if errors.Is(err, resource.ErrUnwatchable) {
				t.err, err = err, nil
			}
			return err
		})
	}
	return found, group.Wait()
}

// take notes which records of a model were written since the last look.
func (w *watch) take(one resource.Watch, found touches) {
	was, seen := w.state.Seen[one.Model], map[int64]time.Time{}
	highest := w.newest[one.Model]
	for _, t := range found.rows {
		if old, ok := was[t.ID]; ok && old.Equal(t.At) {
			seen[t.ID] = t.At
			continue
		}
		if found.at.Sub(t.At) > settled {
			seen[t.ID] = t.At
		}
		w.dirty = true
		for _, name := range one.Resources {
			w.touch(name, t.Touched)
			w.forget(name, cache.Change{IDs: t.Touched})
		}
		for _, name := range one.Linked {
			w.forget(name, cache.Change{All: true})
		}
		switch {
		case one.Lines:
			if t.ID > w.newest[one.Model] {
				w.created[one.Model]++
				highest = max(highest, t.ID)
			}
		case one.Own && !w.state.Known[one.Resources[0]].has(t.ID):
			w.created[one.Model]++
		}
	}
	w.newest[one.Model] = highest
	w.state.Cursors[one.Model], w.state.Seen[one.Model] = found.at, seen
}

// compare finds records that are new or gone. Deletions leave no trace but a total that is not what it
// was, with those that were found new.
func (w *watch) compare(ctx context.Context, names []string, watches []resource.Watch, totals map[string]int) error {
	full := !w.began || time.Since(w.full) > w.cfg.Full
	differs := func(model string) bool { return totals[model] != w.totals[model]+w.created[model] }
	for _, one := range watches {
		if one.Lines && w.totals != nil && differs(one.Model) { // some are gone, of which Odoo says nothing in their record
			for _, name := range one.Resources {
				w.forget(name, cache.Change{All: true})
			}
		}
	}
	for _, name := range names {
		if w.state.Known[name] == nil { // its module was installed since
			w.state.Known[name] = ids{}
		}
		if err := w.lookUp(ctx, name); err != nil {
			return err
		}
		if !full && !differs(resource.Model(name)) {
			continue
		}
		list, err := w.odoo.IDs(ctx, name)
		if err != nil {
			return err
		}
		w.reconcile(name, setOf(list))
	}
	w.totals = totals
	if full {
		w.full, w.refused = time.Now(), false
	}
	return nil
}

// reconcile makes the known records those there are.
func (w *watch) reconcile(name string, there ids) {
	known := w.state.Known[name]
	for id := range there {
		if !known.has(id) {
			w.note(name, id, event.Created)
			w.forget(name, cache.Change{IDs: []int64{id}})
		}
	}
	for id := range known {
		if !there.has(id) {
			w.note(name, id, event.Deleted)
			w.forget(name, cache.Change{IDs: []int64{id}})
		}
	}
}

// note keeps in mind an event to be published.
func (w *watch) note(name string, id int64, what event.Change) {
	known, pending := w.state.Known[name], w.pending[name]
	if pending == nil {
		pending = map[int64]event.Change{}
		w.pending[name] = pending
	}
	w.dirty = true
	switch {
	case what == event.Deleted:
		delete(known, id)
	case what == event.Created:
		known[id] = struct{}{}
	case pending[id] == event.Created: // it still is news
		return
	}
	pending[id] = what
}

// lookUp notes what became of the touched records.
func (w *watch) lookUp(ctx context.Context, name string) error {
	touched, known := w.touched[name], w.state.Known[name]
	var asked []int64 // new, or no longer of this resource, or never, as a partner who is no supplier
	for id := range touched {
		if erp.Named(name).Filter() || !known.has(id) {
			asked = append(asked, id)
		}
	}
	members := ids{}
	if len(asked) > 0 {
		list, err := w.odoo.Members(ctx, name, asked)
		if err != nil {
			return err
		}
		members = setOf(list)
	}
	for id := range touched {
		switch is := members.has(id); {
		case known.has(id) && erp.Named(name).Filter() && !is:
			w.note(name, id, event.Deleted)
		case known.has(id):
			if w.pending[name][id] != event.Created {
				w.note(name, id, event.Updated)
			}
		case is:
			w.note(name, id, event.Created)
		}
	}
	delete(w.touched, name)
	return nil
}

// more tells whether there are events to publish.
func (w *watch) more() bool {
	n := 0
	for _, r := range erp.Resources {
		n += len(w.pending[r.Name])
	}
	pendingEvents.Set(float64(n))
	return w.state != nil && (n > 0 || len(w.touched) > 0)
}

// save keeps the state for the next active instance, unless there is one already.
func (w *watch) save(ctx context.Context) error {
	data, err := json.Marshal(w.state)
	if err == nil && len(data) > maxSave {
		data, err = json.Marshal(state{Cursors: w.state.Cursors, Known: w.state.Known})
	}
	switch {
	case err != nil:
		return fmt.Errorf("encode what was seen of Odoo: %w", err)
	case len(data) > maxSave:
		w.cfg.Log.Warn("what was seen of Odoo is too much to be kept: changes made while no instance runs will have no event", "bytes", len(data))
		w.saved, w.dirty = time.Now(), false
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if w.revision == 0 {
		w.revision, err = w.kv.Create(ctx, w.cfg.Key, data)
	} else {
		w.revision, err = w.kv.Update(ctx, w.cfg.Key, data, w.revision)
	}
	if err != nil {
		return fmt.Errorf("keep what was seen of Odoo: %w", err)
	}
	w.saved, w.dirty = time.Now(), false
	return nil
}
