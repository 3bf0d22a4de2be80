package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/gateway/internal/live"
)

// link is the connection to NATS, which may come later than the first request.
type link struct {
	log         *slog.Logger
	replicas    int // of the bucket of the sessions
	live        *live.Hub
	columns     columns.Catalog
	reconnected chan struct{}
	restored    chan struct{} // the same, for the columns

	mu sync.RWMutex
	nc *nats.Conn
	kv jetstream.KeyValue // nil until the bucket is there

	written atomic.Int64 // when sessionsWritable last wrote, Unix time in nanoseconds
}

func newLink(log *slog.Logger, replicas int) *link {
	return &link{log: log, replicas: replicas, live: live.New(log, time.Minute, feeds()...), reconnected: make(chan struct{}, 1), restored: make(chan struct{}, 1)}
}

var errNoNATS = errors.New("not connected yet")

func (l *link) conn() *nats.Conn {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.nc
}

// Ask implements api.Asker.
func (l *link) Ask(ctx context.Context, subject string, req any) (bus.Reply, error) {
	nc := l.conn()
	if nc == nil {
		return bus.Reply{}, fault.Away("NATS", errNoNATS)
	}
	return bus.Ask(ctx, nc, subject, req)
}

// odooLogin is an auth.OdooLogin. The password leaves this process sealed for one instance of odoo-bridge.
func (l *link) odooLogin(ctx context.Context, c odooapi.Credentials) (odooapi.User, error) {
	user, err := odooapi.Login(c, func(subject string, req any) ([]byte, error) {
		reply, err := l.Ask(ctx, subject, req)
		return reply.Data, err
	})
	if err != nil {
		return user, fault.From(err)
	}
	return user, nil
}

// sessions is an auth.Bucket.
func (l *link) sessions() (jetstream.KeyValue, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.kv == nil:
		return nil, fault.Away("NATS", errNoNATS)
	case !l.nc.IsConnected():
		return nil, fault.Away("NATS", nats.ErrDisconnected)
	}
	return l.kv, nil
}

// sessionsWritable writes a key of its own, every few seconds at most: a server whose disk was full refuses writes, and
// answers everything else.
func (l *link) sessionsWritable(ctx context.Context) error {
	const interval = 5 * time.Second
	kv, err := l.sessions()
	if err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(time.Unix(0, l.written.Load())) < interval {
		return nil
	}
	if _, err := kv.Put(ctx, "readiness", nil); err != nil {
		return fmt.Errorf("write to the sessions: %w", err)
	}
	l.written.Store(now.UnixNano())
	return nil
}

// reopen has maintain look after the buckets again: call it when NATS has been away.
func (l *link) reopen() {
	for _, c := range []chan struct{}{l.reconnected, l.restored} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// maintain lends nc to requests, and sees to it that the bucket of the sessions is there: now and
// after each reconnection, as NATS may come back without it (invariant 8).
func (l *link) maintain(ctx context.Context, nc *nats.Conn) error {
	js, err := bus.JetStream(nc)
	if err != nil {
		return fmt.Errorf("JetStream: %w", err)
	}
	l.mu.Lock()
	l.nc = nc
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	if err := l.tell(ctx, nc, js, &background); err != nil {
		return err
	}
	for {
		err := bus.Persist(ctx, l.log, "the sessions are out of reach", func(ctx context.Context) error {
			return l.ensureSessions(ctx, js)
		})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.reconnected:
		}
	}
}

// tell lets the hub follow what happens, until ctx ends.
func (l *link) tell(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, background *sync.WaitGroup) error {
	_, err := nc.Subscribe(ordersapi.SubjectProjected, func(m *nats.Msg) {
		if seq, err := strconv.ParseUint(string(m.Data), 10, 64); err == nil {
			l.live.Shown(bus.StreamOrders, seq)
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", ordersapi.SubjectProjected, err)
	}
	background.Go(func() { l.live.Run(ctx, js) })
	background.Go(func() { l.followColumns(ctx, js) })
	background.Go(func() {
		l.live.WatchSync(ctx, func(ctx context.Context) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			reply, err := bus.Ask(ctx, nc, syncapi.SubjectStatus, syncapi.StatusRequest{})
			return reply.Data, err
		})
	})
	return nil
}

// followColumns keeps the catalog of columns, until ctx ends.
func (l *link) followColumns(ctx context.Context, js jetstream.JetStream) {
	_ = bus.Persist(ctx, l.log, "columns not followed, trying again", func(ctx context.Context) error { // until ctx ends
		for {
			if err := l.followOnce(ctx, js); ctx.Err() != nil || !errors.Is(err, context.Canceled) {
				return err
			}
		}
	})
}

// followOnce follows the columns until something fails, or with context.Canceled until NATS was away: it may come
// back without the bucket, and the watcher would not notice.
func (l *link) followOnce(ctx context.Context, js jetstream.JetStream) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		select {
		case <-l.restored:
		case <-ctx.Done():
		}
	}()
	if err := bus.Ensure(ctx, js, l.replicas, bus.BucketColumns); err != nil {
		return err
	}
	return l.columns.Follow(ctx, js)
}

func (l *link) ensureSessions(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := bus.Ensure(ctx, js, l.replicas, bus.BucketSessions); err != nil {
		return err
	}
	kv, err := js.KeyValue(ctx, bus.BucketSessions)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.kv = kv
	l.mu.Unlock()
	return nil
}

// ordersThere asks whether any instance of orders answers.
func (l *link) ordersThere(ctx context.Context) error {
	nc := l.conn()
	if nc == nil {
		return errNoNATS
	}
	_, err := nc.RequestWithContext(ctx, "$SRV.PING.orders", nil)
	return err
}

// syncWorks is degraded with what the active airtable-sync gives as its reason, or when none is active.
func (l *link) syncWorks(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // half of what all checks have
	defer cancel()
	reply, err := l.Ask(ctx, syncapi.SubjectStatus, syncapi.StatusRequest{})
	if err != nil {
		return &service.DegradedError{Reason: fault.T("Ningún sincronizador está activo", "No syncer is active")}
	}
	var state struct {
		Degraded fault.Text `json:"degraded"`
	}
	if err := json.Unmarshal(reply.Data, &state); err != nil {
		return fmt.Errorf("read %s: %w", syncapi.SubjectStatus, err)
	}
	if state.Degraded != (fault.Text{}) {
		return &service.DegradedError{Reason: state.Degraded}
	}
	return nil
}
