package changes

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/services/odoo-bridge/internal/cache"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// pollAndMark polls Odoo once, and marks that for every instance.
func (w *activePoller) pollAndMark(ctx context.Context) {
	began := time.Now()
	unwatched, err := w.poll(ctx)
	took := time.Since(began)
	if written := w.cache.WriteMark(ctx, took, unwatched, err); err == nil {
		err = written
	}
	pollSeconds.Observe(took.Seconds())
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		polls.WithLabelValues("ok").Inc()
		if w.failing {
			w.cfg.Log.Info("polling recovered")
		}
	default:
		polls.WithLabelValues("failed").Inc()
		if !w.failing {
			w.cfg.Log.Warn("poll failed", "error", err)
		}
	}
	w.failing = err != nil
}

// poll finds what has changed since the last time, and has the cache drop it. It returns the resources whose changes it
// cannot see.
func (w *activePoller) poll(ctx context.Context) ([]string, error) {
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
	quiet, totals, err := w.isQuiet(ctx, watches)
	if err != nil {
		return nil, err
	}
	if quiet {
		return w.unwatched, nil
	}
	unwatched := optionNames() // seldom asked for: not worth a look each time
	if !w.invalidated {        // what changed while nobody looked
		for _, name := range slices.Concat(names, unwatched) {
			w.invalidate(name, cache.Change{All: true})
		}
	}
	found, err := w.fetchTouched(ctx, watches)
	if err != nil {
		return nil, err
	}
	w.created = map[string]int{}
	for i, one := range watches {
		if err := found[i].err; err != nil {
			touched := slices.Concat(one.Resources, one.Linked)
			unwatched = append(unwatched, touched...)
			if !w.unwatchable[one.Model] {
				w.unwatchable[one.Model] = true
				w.cfg.Log.Warn("model not watchable",
					"model", one.Model, "resources", touched, "error", err)
			}
			continue
		}
		w.noteTouched(one, found[i])
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
	w.invalidated, w.unwatched = true, unwatched
	return unwatched, nil
}

// isQuiet takes a short poll: three calls of Odoo tell whether anything was written or deleted at all. It is not worth it while rows that are known already are within Overlap, which it cannot tell from new ones.
func (w *activePoller) isQuiet(ctx context.Context, watches []resource.Watch) (quiet bool, totals map[string]int, err error) {
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
		if !w.unwatchable[one.Model] {
			seeing = append(seeing, one)
			if cursor.Before(since) {
				since = cursor
			}
		}
	}
	if !w.invalidated || w.refused || known > 0 || len(w.changes) > 0 || time.Since(w.full) > w.cfg.Full {
		totals, err = w.odoo.Totals(ctx)
		return false, totals, err
	}
	written := false
	group, calls := errgroup.WithContext(ctx)
	group.SetLimit(maxCalls)
	group.Go(func() (err error) { totals, err = w.odoo.Totals(calls); return err })
	group.Go(func() (err error) {
		written, err = w.odoo.Written(calls, seeing, since.Add(-Overlap))
		if resource.Refused(err) {
			w.refused = true
			w.cfg.Log.Info("short poll refused", "error", err)
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

// invalidate collects what the cache has to drop.
func (w *activePoller) invalidate(name string, c cache.Change) {
	is := w.changes[name]
	is.All = is.All || c.All
	is.IDs = append(is.IDs, c.IDs...)
	w.changes[name] = is
}

// baseline begins with what there is: it is not news.
func (w *activePoller) baseline(ctx context.Context, names []string, watches []resource.Watch) error {
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
func (w *activePoller) each(ctx context.Context, one resource.Watch, since time.Time, f func(resource.Touch)) error {
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

// touches are the records of a model that were written since the last poll.
type touches struct {
	at   time.Time // Odoo's, before it was asked
	rows []resource.Touch
	err  error // resource.ErrUnwatchable, or nil
}

// fetchTouched fetches the records written since the last poll, by watch, a few models at a time so that readers
// find a place, too.
func (w *activePoller) fetchTouched(ctx context.Context, watches []resource.Watch) ([]touches, error) {
	found := make([]touches, len(watches))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxCalls)
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

// noteTouched notes which records of a model were written since the last poll.
func (w *activePoller) noteTouched(one resource.Watch, found touches) {
	was, seen := w.state.Seen[one.Model], map[int64]time.Time{}
	highest := w.newest[one.Model]
	for _, t := range found.rows {
		if old, ok := was[t.ID]; ok && old.Equal(t.At) {
			seen[t.ID] = t.At
			continue
		}
		if found.at.Sub(t.At) > writeDateSlack {
			seen[t.ID] = t.At
		}
		w.dirty = true
		for _, name := range one.Resources {
			w.touch(name, t.Touched)
			w.invalidate(name, cache.Change{IDs: t.Touched})
		}
		for _, name := range one.Linked {
			w.invalidate(name, cache.Change{All: true})
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
func (w *activePoller) compare(ctx context.Context, names []string, watches []resource.Watch, totals map[string]int) error {
	full := !w.invalidated || time.Since(w.full) > w.cfg.Full
	differs := func(model string) bool { return totals[model] != w.totals[model]+w.created[model] }
	for _, one := range watches {
		if one.Lines && w.totals != nil && differs(one.Model) { // some are gone, of which Odoo says nothing in their record
			for _, name := range one.Resources {
				w.invalidate(name, cache.Change{All: true})
			}
		}
	}
	for _, name := range names {
		if w.state.Known[name] == nil { // its module was installed since
			w.state.Known[name] = ids{}
		}
		if err := w.resolveTouched(ctx, name); err != nil {
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
