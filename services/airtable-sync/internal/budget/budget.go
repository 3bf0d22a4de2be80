// Package budget counts the calls of Airtable's API by calendar month, in UTC, and says how often
// one may call so that the month's limit lasts.
//
// The count is kept in JetStream, a second late and by adding to what is there: a process that is
// killed forgets that second, and instances that follow one another add up. A lost bucket is
// written again by a process that runs; else the count starts anew, and says since when it counts.
package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// key holds the count in the bucket sync-state.
const key = "budget"

const saveEvery = time.Second

// Config says what there is to spend.
type Config struct {
	Limit    int           // calls a month by the plan; 0 if unknown or unlimited
	Interval time.Duration // between scheduled runs, if the limit allows
	Now      func() time.Time
	Log      *slog.Logger
}

// Meter counts. It is safe for concurrent use.
type Meter struct {
	cfg Config

	mu      sync.Mutex
	total   tally
	unsaved tally // what of total the bucket does not have
	changed chan struct{}
}

// New makes a meter, which knows of earlier calls once Load has succeeded.
func New(cfg Config) *Meter {
	now := cfg.Now()
	return &Meter{cfg: cfg, total: newTally(now), unsaved: newTally(now), changed: make(chan struct{}, 1)}
}

// Called counts a request of a kind, and notes if Airtable refuses because the month's calls are
// used up, or answers again.
func (m *Meter) Called(kind string, err error) {
	callsTotal.WithLabelValues(kind).Inc()
	// Metadata is said to be answered even then.
	refused, answered := airtable.IsBillingLimit(err), err == nil && kind != airtable.KindMeta
	news := false
	m.count(func(t *tally, h *hour) {
		t.Kinds[kind]++
		h.Calls++
		switch {
		case refused:
			news = !t.Exhausted
			t.exhaust(m.cfg.Now())
		case answered:
			news = t.Exhausted
			t.refusalOf(tally{})
		}
	})
	switch {
	case news && refused:
		m.cfg.Log.Error("monthly call limit reached", "limit", m.cfg.Limit, "next_try", m.Plan().Until)
	case news:
		m.cfg.Log.Info("Airtable accepts calls again")
	}
}

// Ran counts a scheduled run and what it cost, which longer intervals would save.
func (m *Meter) Ran(calls int) {
	m.count(func(_ *tally, h *hour) {
		h.Scheduled += calls
		h.Runs++
	})
}

// count applies a change to what is not saved, then to the total.
func (m *Meter) count(change func(*tally, *hour)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Now()
	for _, t := range []*tally{&m.unsaved, &m.total} {
		t.turn(now)
		h := t.Hours[hourOf(now)]
		change(t, &h)
		t.Hours[hourOf(now)] = h
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Keep adds the count to what kv, the bucket sync-state, has of it, and keeps it up to date until
// the returned function is called, which saves once more.
func (m *Meter) Keep(ctx context.Context, kv jetstream.KeyValue) (stop func(), err error) {
	if err := m.save(ctx, kv); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed := rate.Sometimes{First: 1, Interval: 30 * time.Second}
		for {
			select {
			case <-m.changed:
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(saveEvery):
			case <-ctx.Done():
				return
			}
			if err := m.save(ctx, kv); err != nil && ctx.Err() == nil {
				failed.Do(func() { m.cfg.Log.Warn("count of calls not saved, trying again", "error", err) })
				m.count(func(*tally, *hour) {}) // which says that there is something to save
			}
		}
	}()
	return func() {
		cancel()
		<-done
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := m.save(last, kv); err != nil {
			m.cfg.Log.Warn("count of calls not saved", "error", err)
		}
	}, nil
}

func (m *Meter) save(ctx context.Context, kv jetstream.KeyValue) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		err := m.saveOnce(ctx, kv)
		if err == nil {
			m.show()
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, jetstream.ErrKeyExists) && !bus.IsConflict(err) {
			return fmt.Errorf("save the count of calls: %w", err)
		}
	}
}

func (m *Meter) saveOnce(ctx context.Context, kv jetstream.KeyValue) error {
	var stored tally
	revision := uint64(0)
	entry, err := kv.Get(ctx, key)
	switch {
	case err == nil:
		revision = entry.Revision()
		_ = json.Unmarshal(entry.Value(), &stored) // another version's: the count starts anew
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return err
	}

	m.mu.Lock()
	now := m.cfg.Now()
	m.total.turn(now)
	m.unsaved.turn(now)
	if stored.Month == "" {
		stored = newTally(m.total.Since)
	}
	stored.turn(now)
	saving := m.unsaved.clone()
	stored.merge(saving, add)
	stored.merge(m.total, larger) // the bucket may have been lost, or set back
	if m.total.Since.Before(stored.Since) {
		stored.Since = m.total.Since
	}
	if saving.calls() > 0 || m.total.Exhausted {
		stored.refusalOf(m.total) // else an earlier instance knows better
	}
	m.mu.Unlock()

	data, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	if revision == 0 {
		_, err = kv.Create(ctx, key, data)
	} else {
		_, err = kv.Update(ctx, key, data, revision)
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unsaved.turn(now)
	m.unsaved.merge(saving, without)
	// What was counted meanwhile is not in stored, but is unsaved.
	stored.merge(m.unsaved, add)
	if m.unsaved.calls() > 0 {
		stored.refusalOf(m.total)
	}
	m.total = stored
	return nil
}
