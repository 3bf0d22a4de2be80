package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Invalidate tells all instances what a write through Resonance changed, ids by resource, and returns when they have
// acknowledged it, or after a second. No ids: it is not known which records.
func (c *Cache) Invalidate(ctx context.Context, changed map[string][]int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickTimeout)
	defer cancel()
	c.unavailableUntil.Store(0) // it just answered, or else the next read finds out
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
	if err := c.WriteChanges(ctx, changes, false); err != nil {
		c.cfg.Log.Warn("cache bypassed", "reason", "journal not written", "error", err)
		c.distrust()
		c.awaitPeers(ctx, nil)
	}
}

// WriteChanges writes changes into the journals. Those of a write, rather than found by the poller, it waits for every
// instance to acknowledge.
func (c *Cache) WriteChanges(ctx context.Context, changes map[string]Change, found bool) error {
	written := map[string]uint64{}
	for name, change := range changes {
		if len(change.IDs) == 0 && !change.All {
			continue
		}
		v, err := c.append(ctx, name, change, found)
		if err != nil {
			return fmt.Errorf("journal of %s: %w", name, err)
		}
		changesWritten.WithLabelValues(name).Inc()
		written[name] = v.N
	}
	if !found && len(written) > 0 {
		c.awaitPeers(ctx, written)
	}
	return nil
}

// append writes a change into a journal, after what others wrote meanwhile.
func (c *Cache) append(ctx context.Context, name string, change Change, found bool) (*view, error) {
	kv := c.bucket()
	if kv == nil {
		return nil, errNoJournals
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

// WriteMark tells all instances that a poll of Odoo which began so long ago has ended, after its changes were written. A
// poll that failed since Odoo is unavailable makes them do without Odoo for a while.
func (c *Cache) WriteMark(ctx context.Context, took time.Duration, unwatched []string, failed error) error {
	ctx, cancel := context.WithTimeout(ctx, quickTimeout)
	defer cancel()
	c.mu.RLock()
	kv, session, last := c.kv, c.session, c.lastMark
	c.mu.RUnlock()
	if kv == nil {
		return errNoJournals
	}
	data, err := json.Marshal(mark{
		Session: session, TookMS: took.Milliseconds() + 1, Unwatched: unwatched, Unavailable: failed != nil && isUnavailable(failed),
	})
	if err != nil {
		return fmt.Errorf("encode mark: %w", err)
	}
	revision, err := kv.Put(ctx, c.cfg.Namespace+marks, data)
	if err != nil {
		return fmt.Errorf("write mark: %w", err)
	}
	if revision <= last { // on a server that this instance is not connected to itself
		select {
		case c.setBack <- struct{}{}:
		default:
		}
		return errSetBack
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == session {
		c.lastMark = revision
	}
	return nil
}

var (
	errNoJournals = errors.New("journals not watched")
	errSetBack    = errors.New("journals set back")
)
