// Package syncer runs the synchronisation: when, in which mode, and what becomes of it.
package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

// Config says how to sync.
type Config struct {
	Instance string // this process's name among the instances
	Interval time.Duration
	Mode     rpc.Mode // of scheduled runs: auto or full
	// FullEvery is how often an incremental mode is checked by a full scan.
	FullEvery time.Duration
	Edits     func() rpc.EditsState // how the edit writer stands
	Replicas  int
	Log       *slog.Logger
}

// Syncer runs while its instance holds the lease. Everything but the guarded fields belongs to the
// goroutine of Active.
type Syncer struct {
	cfg    Config
	client *airtable.Client
	nc     *nats.Conn
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	wake   chan struct{}

	ledger    *ledger.Ledger
	schema    *column.Schema
	out       *ledger.Publisher        // of this run
	refreshed bool                     // the schema was read in this run
	yielded   map[string]column.Digest // what was left to the edit writer, as it was found

	mu        sync.Mutex // guards what follows
	noFormula fault.Text // why the incremental mode is out of the question, if it is
	state     state
	next      *job // the run that has not begun yet
	current   *job
	nextAt    time.Time
	orders    int
}

// job is a run that was asked for.
type job struct {
	run     rpc.Run
	confirm bool
	calls   int // of Airtable's API before it began
	done    chan struct{}
}

// New makes a syncer. kv is the bucket sync-state.
func New(
	cfg Config, client *airtable.Client, schema *column.Schema, book *ledger.Ledger,
	nc *nats.Conn, js jetstream.JetStream, kv jetstream.KeyValue,
) *Syncer {
	return &Syncer{
		cfg: cfg, client: client, schema: schema, ledger: book, nc: nc, js: js, kv: kv,
		wake: make(chan struct{}, 1), yielded: map[string]column.Digest{},
	}
}

// Active syncs until ctx ends: at once, at every interval, and when asked. It answers requests as
// long as it is active, so that none reaches an instance that stands by.
func (s *Syncer) Active(ctx context.Context, version string) (err error) {
	loaded, err := loadState(ctx, s.kv, s.client.Source())
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.state = loaded
	s.mu.Unlock()
	s.enqueue("start", rpc.RunRequest{Mode: rpc.Auto})
	server, err := bus.Serve(s.nc, s.cfg.Log, bus.Service{
		Name: "airtable-sync", Description: "Finds every change in Airtable", Version: version,
		Workers: 64, Timeout: time.Minute, // waiting for a run costs a goroutine and no more
		Endpoints: map[string]bus.Handler{rpc.SyncRunNow: s.serveRun, rpc.SyncStatus: s.serveStatus},
	})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err = errors.Join(err, server.Stop(stop))
	}()
	s.cfg.Log.Info("syncing", "source", s.client.Source(), "interval", s.cfg.Interval)
	timer := time.NewTimer(s.cfg.Interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			s.enqueue("interval", rpc.RunRequest{Mode: rpc.Auto})
		case <-s.wake:
			wait := s.cfg.Interval
			if !s.runNext(ctx) {
				wait = min(wait, retryAfter)
			}
			timer.Reset(wait)
			s.mu.Lock()
			s.nextAt = time.Now().Add(wait)
			s.mu.Unlock()
		}
	}
}

// enqueue returns the id of the next run, which all who ask before it begins share.
func (s *Syncer) enqueue(trigger string, req rpc.RunRequest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &job{
			run:  rpc.Run{ID: event.NewID(), Mode: rpc.Auto, Trigger: trigger, State: rpc.Running},
			done: make(chan struct{}),
		}
	}
	if req.Mode != rpc.Auto && s.next.run.Mode != rpc.Full {
		s.next.run.Mode = req.Mode
	}
	if trigger == "request" {
		s.next.run.Trigger = trigger
	}
	s.next.confirm = s.next.confirm || req.ConfirmDeletions
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.next.run.ID
}

// retryAfter is when a failed run is followed by the next, if the interval is longer.
const retryAfter = time.Minute

// runNext carries out the run that waits, remembers it, and reports whether it succeeded.
func (s *Syncer) runNext(ctx context.Context) bool {
	calls, _ := s.client.Calls()
	s.mu.Lock()
	j := s.next
	if j == nil { // two asked for what was one run
		s.mu.Unlock()
		return true
	}
	s.next, s.current = nil, j
	j.calls, j.run.StartedAt = calls, time.Now().UTC()
	s.mu.Unlock()

	log := s.cfg.Log.With("run", j.run.ID)
	err := s.sync(ctx, log, j)
	if err != nil {
		s.ledger.Forget() // some of it may be wrong
	}
	calls, _ = s.client.Calls()

	s.mu.Lock()
	ended := time.Now().UTC()
	j.run.FinishedAt, j.run.APICalls = &ended, calls-j.calls
	j.run.State, j.run.Progress.Percent = rpc.Succeeded, 100
	if err != nil {
		j.run.State, j.run.Reason = rpc.Failed, reason(ctx, err)
		j.run.Progress.Percent = percent(j.run.Progress)
	} else {
		s.state.Success = j.run.StartedAt
	}
	s.state.ended(j.run)
	s.current = nil
	run, st := j.run, s.state
	s.mu.Unlock()
	close(j.done)

	observe(run)
	attrs := []any{
		"mode", run.Mode, "trigger", run.Trigger, "created", run.Created, "updated", run.Updated, "deleted", run.Deleted,
		"unchanged", run.Unchanged, "calls", run.APICalls, "took", ended.Sub(run.StartedAt).Round(time.Millisecond),
	}
	switch {
	case err == nil:
		log.Info("sync done", attrs...)
	case ctx.Err() != nil:
		log.Info("sync interrupted", attrs...)
	default:
		log.Error("sync failed", append(attrs, "error", err)...)
	}
	if err := st.save(context.WithoutCancel(ctx), s.kv); err != nil && ctx.Err() == nil {
		log.Warn("the sync state was not saved", "error", err)
	}
	return run.State == rpc.Succeeded
}

// progress changes the current run under the lock.
func (s *Syncer) progress(change func(*rpc.Run)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.current.run)
	s.current.run.Progress.Percent = percent(s.current.run.Progress)
}

func percent(p rpc.Progress) float64 {
	if p.Expected == 0 {
		return 0
	}
	return min(99, float64(100*p.Records/p.Expected))
}

func (s *Syncer) serveRun(_ context.Context, data []byte) (bus.Reply, error) {
	var req rpc.RunRequest
	if err := json.Unmarshal(data, &req); err != nil {
		return bus.Reply{}, fault.Wrap(fault.Invalid, fault.T("Petición ilegible", "Unreadable request"), err)
	}
	switch req.Mode {
	case "", rpc.Auto:
		req.Mode = rpc.Full // what a person asks for must also find deletions
	case rpc.Full, rpc.Incremental:
	default:
		return bus.Reply{}, fault.Field("mode", fault.T("debe ser auto, full o incremental", "must be auto, full or incremental"))
	}
	return reply(rpc.RunAccepted{RunID: s.enqueue("request", req)})
}

func (s *Syncer) serveStatus(ctx context.Context, data []byte) (bus.Reply, error) {
	var req rpc.StatusRequest
	if err := json.Unmarshal(data, &req); err != nil {
		return bus.Reply{}, fault.Wrap(fault.Invalid, fault.T("Petición ilegible", "Unreadable request"), err)
	}
	if done := s.running(req.RunID); done != nil {
		// Answer a little before the asker gives up.
		deadline, _ := ctx.Deadline()
		timer := time.NewTimer(time.Until(deadline) * 9 / 10)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		}
	}
	return reply(s.Status())
}

func (s *Syncer) running(id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range []*job{s.current, s.next} {
		if j != nil && id != "" && j.run.ID == id {
			return j.done
		}
	}
	return nil
}

// Status is how the sync stands.
func (s *Syncer) Status() rpc.SyncState {
	total, byKind := s.client.Calls()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := rpc.SyncState{
		Mode: rpc.Incremental, ModeReason: s.noFormula, State: "idle", Instance: s.cfg.Instance,
		IntervalSeconds: s.cfg.Interval.Seconds(), Recent: s.state.Recent, HeldDeletions: s.state.Held,
		Orders: s.orders, Scan: s.state.Scan, Edits: s.cfg.Edits(), APICalls: rpc.APICalls{Total: total, ByKind: byKind},
	}
	switch {
	case s.cfg.Mode == rpc.Full:
		st.Mode, st.ModeReason = rpc.Full, fault.T("así está configurado (SYNC_MODE)", "it is configured so (SYNC_MODE)")
	case s.noFormula != fault.Text{}:
		st.Mode = rpc.Full
	}
	if len(s.state.Recent) > 0 {
		st.Last = &s.state.Recent[0]
	}
	if s.current != nil {
		st.State = string(rpc.Running)
		run := s.current.run
		run.APICalls = total - s.current.calls
		st.Current = &run
	}
	if !s.nextAt.IsZero() {
		at := s.nextAt.UTC()
		st.NextRunAt = &at
	}
	if !s.state.Success.IsZero() {
		lag := time.Since(s.state.Success).Seconds()
		st.LagSeconds = &lag
	}
	return st
}

func reply(v any) (bus.Reply, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return bus.Reply{}, fmt.Errorf("encode the answer: %w", err)
	}
	return bus.Reply{Data: data}, nil
}
