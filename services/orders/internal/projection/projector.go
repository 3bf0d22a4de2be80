// Package projection keeps Postgres equal to the ORDERS stream.
//
// One instance leads, by a lock that its writing connection holds; the others stand by. The leader
// reads a durable consumer and writes batches: rows, history, rollups and checkpoint in one
// statement (invariant 3), acknowledged afterwards. The checkpoint alone says where to go on:
// whenever anything is out of the ordinary (an error, a gap, a redelivery, a reconnection, a
// checkpoint that somebody moved), the leader drops everything and begins again from it.
//
// On each beginning the checkpoint is compared with the stream. When this is not the stream it was
// made from (invariant 8), and when a rebuild is asked for, a replay starts: the epoch goes up by
// one and the whole stream is read again. Reads go on meanwhile with the rows there are. History
// takes every event, but a row only the newest one of its order, so it never shows an older state.
// At the end the rows that the replay did not touch are settled: gone, if the stream is the one
// they came from, which holds the newest event of every order; else only once airtable-sync says
// that a complete scan of Airtable is in this stream (invariant 6).
package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/services/orders/internal/store"
)

const (
	standbyPoll = time.Second     // how often an instance that stands by tries to lead
	drainTime   = 5 * time.Second // what a batch under way has to finish
	setupTime   = 30 * time.Second
	migrateTime = 10 * time.Minute // of the largest tables
	logInterval = 30 * time.Second // of failures that repeat
)

// Projector projects ORDERS into a store.
type Projector struct {
	store    *store.Store
	js       jetstream.JetStream
	replicas int
	log      *slog.Logger
	reopen   chan struct{}
	failed   atomic.Pointer[error] // why it does not work now
}

// New makes a Projector; replicas is that of the streams it makes sure of.
func New(s *store.Store, js jetstream.JetStream, replicas int, log *slog.Logger) *Projector {
	p := &Projector{store: s, js: js, replicas: replicas, log: log, reopen: make(chan struct{}, 1)}
	p.fail(errors.New("not started"))
	return p
}

// Reopen makes the leader compare its checkpoint with the stream again: call it when NATS has been away.
func (p *Projector) Reopen() {
	select {
	case p.reopen <- struct{}{}:
	default:
	}
}

// Check reports why the projection does not go on, nil when this instance projects or stands by.
func (p *Projector) Check(context.Context) error {
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (p *Projector) fail(err error) { p.failed.Store(&err) }
func (p *Projector) works()         { p.failed.Store(nil) }

// errReopened ends a term without anything being wrong.
var errReopened = errors.New("NATS was away or its stream was replaced")

// Run projects or stands by until ctx ends, whatever fails. The error, which wraps store.ErrUnusable, says
// why no retry would help.
func (p *Projector) Run(ctx context.Context) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	failures := rate.Sometimes{First: 3, Interval: logInterval}
	for ctx.Err() == nil {
		err := p.term(ctx, wait.Reset)
		var pause time.Duration
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it ended as it was told to
		case errors.Is(err, store.ErrUnusable):
			return err
		case errors.Is(err, errReopened), errors.Is(err, store.ErrFenced):
			p.log.Info("projection restarted", "reason", err)
			pause = rand.N(50 * time.Millisecond)
		default:
			p.fail(err)
			pause = wait.NextBackOff()
			failures.Do(func() {
				p.log.Warn("projection interrupted", "error", err, "retry_in", pause.Round(time.Millisecond))
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// term is one attempt: stand by, lead, and project until something happens. It calls progress when
// all is well.
func (p *Projector) term(ctx context.Context, progress func()) error {
	w, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		w.Close(closing)
	}()
	if err := p.standBy(ctx, w); err != nil {
		return err
	}
	select {
	case <-p.reopen: // what comes now compares anyway
	default:
	}
	setup, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	stream, err := bus.Retry(setup, p.openStream)
	if err != nil {
		return err
	}
	cp, newest, err := p.resume(ctx, w, stream)
	if err != nil {
		return err
	}
	l := &leader{Projector: p, w: w, stream: stream, cp: cp, newest: newest, lastSeq: stream.CachedInfo().State.LastSeq, progress: progress}
	return l.project(ctx)
}

// connect makes sure of the tables, which may have gone since the last term, and connects.
func (p *Projector) connect(ctx context.Context) (*store.Writer, error) {
	migrating, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	if err := p.store.Migrate(migrating); err != nil {
		return nil, err
	}
	ctx, cancel = context.WithTimeout(ctx, setupTime)
	defer cancel()
	w, err := p.store.Writer(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect the writer: %w", err)
	}
	return w, nil
}

// openStream makes sure of the streams, which may have gone too.
func (p *Projector) openStream(ctx context.Context) (jetstream.Stream, error) {
	if err := bus.Ensure(ctx, p.js, p.replicas, bus.StreamOrders, bus.StreamEdits, bus.StreamDeadLetters); err != nil {
		return nil, err
	}
	stream, err := p.js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", bus.StreamOrders, err)
	}
	return stream, nil
}

// standBy returns when this instance leads.
func (p *Projector) standBy(ctx context.Context, w *store.Writer) error {
	for logged := false; ; {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		leads, err := w.Lead(once)
		cancel()
		switch {
		case err != nil:
			return fmt.Errorf("ask for the lead: %w", err)
		case leads:
			p.log.Info("leading", "role", "projector")
			return nil
		case !logged:
			p.log.Info("standby", "role", "projector")
			logged = true
		}
		p.works()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(standbyPoll/2 + rand.N(standbyPoll)):
		}
	}
}
