package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	heartbeatInterval = time.Second
	peerTimeout       = 3500 * time.Millisecond // three missed heartbeats, plus scheduling slack
	invalidationWait  = 500 * time.Millisecond  // how long a write waits for peers to acknowledge its invalidation
)

func (c *Cache) subject(what string) string { return "odoo-bridge." + c.cfg.Namespace + "." + what }

func (c *Cache) sendHeartbeat(nc *nats.Conn) { _ = nc.Publish(c.subject("heartbeat"), []byte(c.self)) }

// ackRequest asks every instance to acknowledge changes once it has applied them.
type ackRequest struct {
	From     string            `json:"from"`
	Versions map[string]uint64 `json:"versions"` // of the journals, by resource; none if they could not be written
}

// subscribePeers follows the heartbeats of other instances, and acknowledges their changes.
func (c *Cache) subscribePeers(nc *nats.Conn) ([]*nats.Subscription, error) {
	var subs []*nats.Subscription
	for name, f := range map[string]nats.MsgHandler{
		"heartbeat": func(m *nats.Msg) { c.setPeer(string(m.Data), true) },
		"leave":     func(m *nats.Msg) { c.setPeer(string(m.Data), false) },
		"ack": func(m *nats.Msg) {
			var r ackRequest
			if json.Unmarshal(m.Data, &r) != nil || r.From == c.self {
				return
			}
			go c.acknowledge(r, m)
		},
	} {
		sub, err := nc.Subscribe(c.subject(name), f)
		if err != nil {
			return nil, fmt.Errorf("subscribe %s: %w", c.subject(name), err)
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

func (c *Cache) setPeer(id string, alive bool) {
	if id == c.self {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if alive {
		c.peers[id] = time.Now()
	} else {
		delete(c.peers, id)
	}
}

// acknowledge answers once this instance has applied the changes, or distrusts everything it has.
func (c *Cache) acknowledge(r ackRequest, m *nats.Msg) {
	if len(r.Versions) == 0 {
		c.distrust()
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), invalidationWait)
		defer cancel()
		err := c.await(ctx, func() bool {
			for name, n := range r.Versions {
				if v := c.views[name]; v == nil || v.N < n {
					return c.kv == nil // an instance that watches nothing trusts nothing
				}
			}
			return true
		})
		if err != nil {
			c.distrust()
		}
	}
	_ = m.Respond([]byte(c.self)) // best effort: the asker gives up by itself
}

// awaitPeers waits until the instances that are alive have acknowledged changes.
func (c *Cache) awaitPeers(ctx context.Context, written map[string]uint64) {
	c.mu.Lock()
	maps.DeleteFunc(c.peers, func(_ string, at time.Time) bool { return time.Since(at) > peerTimeout })
	waiting, nc := maps.Clone(c.peers), c.nc
	c.mu.Unlock()
	if len(waiting) == 0 || nc == nil {
		return
	}
	data, err := json.Marshal(ackRequest{c.self, written})
	if err != nil {
		return
	}
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return
	}
	defer inbox.Unsubscribe() //nolint:errcheck // the connection is gone then
	if nc.PublishRequest(c.subject("ack"), inbox.Subject, data) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, invalidationWait+margin)
	defer cancel()
	for len(waiting) > 0 {
		m, err := inbox.NextMsgWithContext(ctx)
		if err != nil {
			c.cfg.Log.Warn("invalidation not acknowledged", "peers", len(waiting))
			return
		}
		delete(waiting, string(m.Data))
	}
}
