package columns

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
)

// Publish puts the description of a source into the bucket.
func Publish(ctx context.Context, js jetstream.JetStream, s Source) error {
	kv, err := js.KeyValue(ctx, bus.BucketColumns)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.BucketColumns, err)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the columns of %s: %w", s.Name, err)
	}
	if _, err := kv.Put(ctx, s.Name, data); err != nil {
		return fmt.Errorf("publish the columns of %s: %w", s.Name, err)
	}
	return nil
}

// Catalog is what the bucket says, as last seen. The zero value knows nothing. It is safe for concurrent use.
type Catalog struct {
	mu      sync.RWMutex
	sources map[string]Source
}

// Set makes s known.
func (c *Catalog) Set(s Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sources == nil {
		c.sources = map[string]Source{}
	}
	c.sources[s.Name] = s
}

// Column gives a column over all sources: it offers what any of them offers, and can be edited where it
// can be in any of them. It reports false while nothing is known.
func (c *Catalog) Column(name string) (Column, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all Column
	known, open := false, false
	for _, source := range slices.Sorted(maps.Keys(c.sources)) {
		for _, of := range c.sources[source].Columns {
			if of.Name != name {
				continue
			}
			if !known {
				all, known = of, true
				all.Offers = nil
			}
			all.Editable = all.Editable || of.Editable
			open = open || of.Field != "" && len(of.Offers) == 0
			for _, o := range of.Offers {
				if !slices.ContainsFunc(all.Offers, func(have Offer) bool { return have.Value == o.Value }) {
					all.Offers = append(all.Offers, o)
				}
			}
		}
	}
	if open {
		all.Offers = nil
	}
	return all, known
}

// Follow keeps the catalog as the bucket is, until ctx ends. An error means that it must be called again;
// what was known stays known.
func (c *Catalog) Follow(ctx context.Context, js jetstream.JetStream) error {
	kv, err := js.KeyValue(ctx, bus.BucketColumns)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bus.BucketColumns, err)
	}
	ctx, stop := context.WithCancel(ctx) // ends the watcher, whose Stop would wait for NATS to answer
	defer stop()
	watcher, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", bus.BucketColumns, err)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, open := <-watcher.Updates():
			if !open {
				return fmt.Errorf("watch bucket %s: the watcher ended", bus.BucketColumns)
			}
			var s Source
			if entry != nil && json.Unmarshal(entry.Value(), &s) == nil && s.Name == entry.Key() {
				c.Set(s)
			}
		}
	}
}
