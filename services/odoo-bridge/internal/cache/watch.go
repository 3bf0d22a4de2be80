package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonance/resonance/pkg/bus"
)

const minSilence = 3 * time.Second // without a mark until the watcher is checked

// Run watches the journals until ctx ends, with ctx's error or one that wraps bus.ErrDrift.
func (c *Cache) Run(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error {
	c.mu.Lock()
	c.nc, c.js = nc, js
	c.mu.Unlock()
	subs, err := c.subscribePeers(nc)
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
		_ = nc.Publish(c.subject("leave"), []byte(c.self))
	}()
	return bus.Persist(ctx, c.cfg.Log, "cache bypassed", func(ctx context.Context) error {
		defer func() {
			c.mu.Lock()
			c.kv = nil
			c.mu.Unlock()
			c.distrust()
		}()
		return c.watch(ctx, nc, js)
	})
}

const (
	journals = ".journal."
	marks    = ".polled"
)

// watch applies changes until the journals are lost.
func (c *Cache) watch(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error {
	lost := nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer nc.RemoveStatusListener(lost)
	ctx, cancel := context.WithCancel(ctx) // ends the watcher, whose Stop would wait for NATS to answer
	defer cancel()
	kv, values, err := c.open(ctx, js)
	if err != nil {
		return err
	}
	// Before the journals are read: whoever changes one from now on waits for this instance.
	c.sendHeartbeat(nc)
	if err := nc.FlushTimeout(quickTimeout); err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	watcher, err := kv.WatchFiltered(ctx, []string{c.cfg.Namespace + journals + "*", c.cfg.Namespace + marks})
	if err != nil {
		return fmt.Errorf("watch the journals: %w", err)
	}
	ticker := time.NewTicker(heartbeatInterval)
	defer ticker.Stop()
	silence := max(2*c.cfg.Fresh, minSilence)
	markSeen, last := time.Now(), uint64(0) // the last mark, and its revision
	first := map[string]*view{}
	live := false
	for {
		select {
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errors.New("watcher ended")
			case entry == nil:
				live = true
				c.start(kv, values, first)
			case strings.HasSuffix(entry.Key(), marks):
				markSeen, last = time.Now(), entry.Revision()
				if live {
					c.mark(entry.Value())
				}
			default:
				name := entry.Key()[len(c.cfg.Namespace+journals):]
				var j journal
				if entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(entry.Value(), &j) != nil {
					return fmt.Errorf("journal of %s deleted", name)
				}
				v := newView(j, entry.Revision())
				if live {
					c.apply(name, v)
				} else {
					first[name] = v
				}
			}
		case <-ticker.C:
			c.sendHeartbeat(nc)
			if time.Since(markSeen) > silence {
				if err := c.checkWatcher(ctx, kv, last); err != nil {
					return err
				}
				markSeen = time.Now()
			}
		case <-c.setBack:
			return errSetBack
		case status := <-lost:
			return fmt.Errorf("NATS connection %s", strings.ToLower(status.String()))
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

// checkWatcher tells a poller that is slow or gone from a bucket that was deleted or set back, and from a watcher that
// misses messages.
func (c *Cache) checkWatcher(ctx context.Context, kv jetstream.KeyValue, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, quickTimeout)
	defer cancel()
	entry, err := kv.Get(ctx, c.cfg.Namespace+marks)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound) && last == 0:
		return nil
	case err != nil:
		return fmt.Errorf("check the journals: %w", err)
	case entry.Revision() != last:
		return errors.New("journal watcher missed messages")
	}
	return nil
}

// start begins with what the journals hold. A poll that is under way then counts like later ones: its changes are in the
// journals before its mark.
func (t *trust) start(kv, values jetstream.KeyValue, views map[string]*view) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kv, t.values, t.markedAt = kv, values, time.Time{}
	t.views = views
	t.session, t.lastMark = nuid.Next(), 0
	t.generation++
	t.broadcast()
}

// apply takes in a journal, once.
func (t *trust) apply(name string, v *view) {
	t.mu.Lock()
	was := t.views[name]
	if was != nil && v.revision <= was.revision {
		t.mu.Unlock()
		return
	}
	t.views[name] = v
	t.broadcast()
	t.mu.Unlock()
	if t.onWritten == nil || was == nil || was.Epoch != v.Epoch {
		return
	}
	var ids []int64
	for _, c := range v.Last {
		if c.N > was.N && !c.Found {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) > 0 {
		t.onWritten(name, ids)
	}
}

// mark takes in the mark of a poll.
func (c *Cache) mark(data []byte) {
	var m mark
	if json.Unmarshal(data, &m) != nil {
		return
	}
	if m.Unavailable {
		c.markUnavailable()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cfg.Now().Add(-m.took())
	if !at.After(c.since) {
		return
	}
	c.markedAt, c.markSession, c.unwatched = at, m.Session, map[string]bool{}
	for _, name := range m.Unwatched {
		c.unwatched[name] = true
	}
	c.broadcast()
	trusted.Set(1)
}
