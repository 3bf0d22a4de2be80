// Package syncer runs the synchronisation: when, in which mode, and what becomes of it.
package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/budget"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

// Config says how to sync.
type Config struct {
	Instance string // this process's name among the instances
	Interval time.Duration
	Mode     syncapi.Mode // of scheduled runs; auto for the best there is
	// PingURL is where Airtable can reach us with its pings, "" if it cannot.
	PingURL string
	// FullEvery is how often an incremental mode is checked by a full scan.
	FullEvery time.Duration
	Edits     func() syncapi.EditsState // how the edit writer stands
	Files     bus.Handler               // serves syncapi.SubjectFile
	Replicas  int
	Budget    *budget.Meter
	Now       func() time.Time
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
	actors    map[string]*event.Actor  // who made the changes of this run, where the webhook says so
	rechecks  map[string]recheck       // those of state.Unconfirmed that this run is to read; nil once they were read
	postponed map[string]recheck       // the others
	touched   map[string]touch         // by the webhook's word, where a full scan is to tell how
	touchedAt time.Time                // by Airtable's clock, when the webhook was read
	checking  bool                     // this run is a scan that only checks
	endedFull bool                     // the last page of this run's listing was exactly full

	table    string    // its id, as payloads name it
	looked   bool      // the webhook was looked at in this tenure, and nothing speaks against it since
	listed   int64     // its next cursor as it was listed in this run, 0 if it was not
	refusals int       // so often in a row webhooks were refused
	refused  time.Time // webhooks are not asked for again before this

	rereads rereads

	mu        sync.Mutex // guards what follows
	noFormula fault.Text // why the incremental mode is out of the question, if it is
	noHook    fault.Text // why there is no webhook, if there is none
	pingless  fault.Text // why the webhook does not ping although it should, if it does not
	state     state
	next      *job // the run that has not begun yet
	current   *job
	ranAt     time.Time  // when the last run ended that the schedule counts from
	failed    bool       // it failed
	trouble   fault.Text // why the last run failed, if it did
	recheckAt time.Time  // when to read unconfirmed records without waiting for the schedule; zero for not at all
	paused    string     // what the log last said of the schedule
	orders    int
}

// job is a run that was asked for.
type job struct {
	run     syncapi.Run
	confirm bool
	calls   *atomic.Int64 // of Airtable's API
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
	s.enqueue("start", syncapi.RunRequest{Mode: syncapi.Auto})
	server, err := bus.Serve(s.nc, s.cfg.Log, bus.Service{
		Name: "airtable-sync", Description: "Finds every change in Airtable", Version: version,
		Workers: 64, Timeout: time.Minute, // waiting for a run costs a goroutine and no more
		Endpoints: map[string]bus.Handler{syncapi.SubjectRun: s.serveRun, syncapi.SubjectStatus: s.serveStatus, syncapi.SubjectPing: s.servePing, syncapi.SubjectFile: s.cfg.Files, syncapi.SubjectColumns: s.serveColumns},
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
			if !s.cfg.Now().Before(s.nextAt()) {
				s.enqueue("interval", syncapi.RunRequest{Mode: syncapi.Auto})
			}
		case <-s.wake:
			s.runNext(ctx)
		}
		timer.Reset(s.untilLook())
	}
}

// nextAt is when the next scheduled run is due, by what the budget allows now.
func (s *Syncer) nextAt() time.Time {
	plan := s.cfg.Budget.Plan()
	s.tellPlan(plan)
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.ranAt.Add(plan.Interval)
	switch {
	case plan.Until.After(s.ranAt):
		return plan.Until
	case s.failed && plan.Interval == s.cfg.Interval:
		next = s.ranAt.Add(min(plan.Interval, retryAfter))
	}
	if plan.Urgent && !s.recheckAt.IsZero() && s.recheckAt.Before(next) {
		next = s.recheckAt
	}
	return next
}

// untilLook is when to look at the schedule again: what the budget allows changes meanwhile.
func (s *Syncer) untilLook() time.Duration {
	return min(max(s.nextAt().Sub(s.cfg.Now()), time.Millisecond), s.cfg.Interval)
}

// tellPlan logs when the budget begins or ends to govern the schedule.
func (s *Syncer) tellPlan(p budget.Plan) {
	state := ""
	switch {
	case !p.Until.IsZero():
		state = "paused"
	case p.Interval > s.cfg.Interval:
		state = "stretched"
	}
	s.mu.Lock()
	news := s.paused != state
	s.paused = state
	s.mu.Unlock()
	switch {
	case news && state == "":
		s.cfg.Log.Info("runs are scheduled as configured", "interval", p.Interval)
	case news:
		s.cfg.Log.Warn("the budget of Airtable's calls governs the schedule", "schedule", state, "interval", p.Interval, "why", p.Reason.EN)
	}
}

// enqueue returns the id of the next run, which all who ask before it begins share.
func (s *Syncer) enqueue(trigger string, req syncapi.RunRequest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &job{
			run:  syncapi.Run{ID: event.NewID(), Mode: syncapi.Auto, Trigger: trigger, State: syncapi.Running},
			done: make(chan struct{}),
		}
	}
	switch asked := s.next.run.Mode; {
	case req.Mode == syncapi.Auto, asked == syncapi.Full, req.Mode == syncapi.Webhook && asked != syncapi.Auto:
	default:
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

// longestReason is how many bytes of a failure's reason are kept: a state must fit a NATS message.
const longestReason = 2000

// retryAfter is when a failed run is followed by the next, if the interval is longer.
const retryAfter = time.Minute

// runNext carries out the run that waits, and remembers it.
func (s *Syncer) runNext(ctx context.Context) {
	counted, calls := airtable.Counting(ctx)
	s.mu.Lock()
	j := s.next
	if j == nil { // two asked for what was one run
		s.mu.Unlock()
		return
	}
	s.next, s.current = nil, j
	j.calls, j.run.StartedAt = calls, s.cfg.Now().UTC()
	s.mu.Unlock()

	log := s.cfg.Log.With("run", j.run.ID)
	err := s.sync(counted, log, j)
	if err != nil {
		s.ledger.Forget() // some of it may be wrong
	}
	if j.run.Trigger == "interval" && !s.checking {
		s.cfg.Budget.Ran(int(calls.Load()))
	}

	s.mu.Lock()
	ended := s.cfg.Now().UTC()
	j.run.FinishedAt, j.run.APICalls = &ended, int(calls.Load())
	j.run.State, j.run.Progress.Percent = syncapi.Succeeded, 100
	if ctx.Err() == nil {
		s.trouble = fault.Text{}
	}
	if err != nil {
		j.run.State, j.run.Reason = syncapi.Failed, reason(ctx, err).Truncate(longestReason)
		j.run.Progress.Percent = percent(j.run.Progress)
		if ctx.Err() == nil {
			s.trouble = j.run.Reason
		}
	} else {
		s.state.Success = j.run.StartedAt
	}
	s.state.ended(j.run)
	s.current = nil
	if j.run.Trigger != "ping" || err != nil { // pings come on top of the schedule, which also checks
		s.ranAt, s.failed = ended, err != nil
	}
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
}

// Check is a service.Health check: it is degraded while no run has got anything from Airtable, and after one
// that failed.
func (s *Syncer) Check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reason := s.degraded(); reason != (fault.Text{}) {
		return &service.DegradedError{Reason: reason}
	}
	return nil
}

// degraded says why the sync does not work; it is empty if it does. The caller holds the lock.
func (s *Syncer) degraded() fault.Text {
	if s.trouble == (fault.Text{}) && s.ranAt.IsZero() && (s.current == nil || s.current.run.Progress.Records == 0) {
		return fault.T("Todavía no se ha leído nada de Airtable", "Nothing was read from Airtable yet")
	}
	return s.trouble
}

// progress changes the current run under the lock.
func (s *Syncer) progress(change func(*syncapi.Run)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.current.run)
	s.current.run.Progress.Percent = percent(s.current.run.Progress)
}

func percent(p syncapi.Progress) float64 {
	if p.Expected == 0 {
		return 0
	}
	return min(99, float64(100*p.Records/p.Expected))
}

func (s *Syncer) serveRun(_ context.Context, data []byte) (bus.Reply, error) {
	var req syncapi.RunRequest
	if err := json.Unmarshal(data, &req); err != nil {
		return bus.Reply{}, fault.Wrap(fault.Invalid, fault.T("Petición ilegible", "Unreadable request"), err)
	}
	switch req.Mode {
	case "", syncapi.Auto:
		req.Mode = syncapi.Full // what a person asks for must also find deletions
	case syncapi.Full, syncapi.Incremental, syncapi.Webhook:
	default:
		return bus.Reply{}, fault.Field("mode", fault.T("debe ser auto, webhook, incremental o full", "must be auto, webhook, incremental or full"))
	}
	return reply(syncapi.RunAccepted{RunID: s.enqueue("request", req)})
}

func (s *Syncer) serveStatus(ctx context.Context, data []byte) (bus.Reply, error) {
	var req syncapi.StatusRequest
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

// mostChoices is how many choices of a column the status tells: it must fit into a message. The bucket columns has
// them all.
const mostChoices = 100

// Status is how the sync stands.
func (s *Syncer) Status() syncapi.Status {
	total, byKind := s.client.Calls()
	plan, next := s.cfg.Budget.Plan(), s.nextAt()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := syncapi.Status{
		State: "idle", Instance: s.cfg.Instance, Recent: s.state.Recent, HeldDeletions: s.state.Held,
		IntervalSeconds: plan.Interval.Seconds(), IntervalReason: plan.Reason,
		Orders: s.orders, OrderProblems: s.ledger.Problems(20), Scan: s.state.Scan, Edits: s.cfg.Edits(), APICalls: syncapi.APICalls{Total: total, ByKind: byKind}, Budget: &plan.Budget,
	}
	st.Degraded = s.degraded()
	st.Columns, st.SchemaReason = s.schema.Columns(), s.schema.Trouble()
	for i := range st.Columns {
		if c := &st.Columns[i]; len(c.Offers) > mostChoices {
			c.Offers = nil
		}
	}
	st.Mode, st.ModeReason = s.mode()
	if h := s.state.Hook; st.Mode == syncapi.Webhook {
		st.Hook = &syncapi.Hook{ID: h.ID, URL: h.URL, Cursor: h.Cursor, Expires: h.Expires.UTC()}
		if !h.Pinged.IsZero() {
			st.Hook.LastPing = &h.Pinged
		}
	}
	if len(s.state.Recent) > 0 {
		st.Last = &s.state.Recent[0]
	}
	if s.current != nil {
		st.State = string(syncapi.Running)
		run := s.current.run
		run.APICalls = int(s.current.calls.Load())
		st.Current = &run
	}
	if !s.ranAt.IsZero() {
		next = next.UTC()
		st.NextRunAt = &next
	}
	if !s.state.Success.IsZero() {
		lag := s.cfg.Now().Sub(s.state.Success).Seconds()
		st.LagSeconds = &lag
	}
	return st
}

// mode is how scheduled runs find changes, and why they have no better way. s.mu is held.
func (s *Syncer) mode() (syncapi.Mode, fault.Text) {
	switch {
	case s.cfg.Mode == syncapi.Full:
		return syncapi.Full, fault.T("así está configurado (SYNC_MODE)", "it is configured so (SYNC_MODE)")
	case s.noHook == fault.Text{} && s.state.Hook.ID != "" && s.cfg.Mode != syncapi.Incremental:
		return syncapi.Webhook, s.pingless
	case s.noFormula == fault.Text{}:
		return syncapi.Incremental, s.noHook
	case s.noHook == fault.Text{}:
		return syncapi.Full, s.noFormula
	default:
		return syncapi.Full, fault.T(s.noHook.ES+"; "+s.noFormula.ES, s.noHook.EN+"; "+s.noFormula.EN)
	}
}

func reply(v any) (bus.Reply, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return bus.Reply{}, fmt.Errorf("encode the answer: %w", err)
	}
	return bus.Reply{Data: data}, nil
}
