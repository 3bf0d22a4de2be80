package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/airtable"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// syncer stands in for airtable-sync: a run ends when finish is closed.
type syncer struct {
	finish  chan struct{}
	waiting chan struct{} // one for each question for the end of a run
	mu      sync.Mutex
	asked   syncapi.RunRequest
	ended   syncapi.Run
}

func newSyncer() *syncer {
	return &syncer{
		finish: make(chan struct{}), waiting: make(chan struct{}, 100),
		ended: syncapi.Run{ID: "run1", Mode: syncapi.Full, State: syncapi.Succeeded, Updated: 3},
	}
}

func (s *syncer) endpoints(t testing.TB) map[string]bus.Handler {
	reply := func(v any) (bus.Reply, error) {
		data, err := json.Marshal(v)
		return bus.Reply{Data: data}, err
	}
	return map[string]bus.Handler{
		syncapi.SubjectRun: func(_ context.Context, data []byte) (bus.Reply, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			decodeJSON(t, data, &s.asked)
			return reply(syncapi.RunAccepted{RunID: "run1"})
		},
		syncapi.SubjectStatus: func(ctx context.Context, data []byte) (bus.Reply, error) {
			var req syncapi.StatusRequest
			decodeJSON(t, data, &req)
			if req.RunID != "" {
				s.waiting <- struct{}{}
				select {
				case <-s.finish:
				case <-ctx.Done():
				}
			}
			select {
			case <-s.finish:
				return reply(syncapi.Status{State: "idle", Instance: "a", Recent: []syncapi.Run{s.ended}, ModeReason: fault.T("porque sí", "because"),
					IntervalReason: fault.T("más lento", "slower"), Budget: &syncapi.Budget{Calls: 7, Warning: fault.T("poco", "little left")}})
			default:
				return reply(syncapi.Status{State: "running", Instance: "a", Current: &syncapi.Run{ID: "run1", State: syncapi.Running}})
			}
		},
	}
}

func TestSyncWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := newSyncer()
	r.serve("airtable-sync", s.endpoints(t))
	done := make(chan response)
	go func() {
		done <- r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Operator), jsonBody(`{"mode":"incremental","confirm_deletions":true}`))
	}()
	<-s.waiting
	var state airtable.SyncState
	r.get("/api/orders/sync").decode(http.StatusOK, &state) // while another waits
	if state.State != "running" || state.Current == nil || state.Current.ID != "run1" {
		t.Errorf("%+v", state)
	}
	close(s.finish)
	var run airtable.Run
	(<-done).decode(http.StatusOK, &run)
	if run.ID != "run1" || run.State != syncapi.Succeeded || run.Updated != 3 {
		t.Errorf("%+v", run)
	}
	if s.asked != (syncapi.RunRequest{Mode: syncapi.Incremental, ConfirmDeletions: true}) {
		t.Errorf("asked %+v", s.asked)
	}
}

func TestSyncThatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := newSyncer()
	s.ended.State, s.ended.Reason = syncapi.Failed, fault.T("Airtable no responde", "Airtable does not answer")
	close(s.finish)
	r.serve("airtable-sync", s.endpoints(t))
	for lang, want := range map[string]string{"": "Airtable no responde", "en": "Airtable does not answer"} {
		var run airtable.Run
		r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Admin), header("Accept-Language", lang)).decode(http.StatusOK, &run)
		if run.State != syncapi.Failed || run.Reason != want {
			t.Errorf("%+v", run)
		}
	}
	var state airtable.SyncState
	r.get("/api/orders/sync", header("Accept-Language", "en")).decode(http.StatusOK, &state)
	if state.ModeReason != "because" || state.IntervalReason != "slower" || state.Budget == nil || state.Budget.Calls != 7 || state.Budget.Warning != "little left" || len(state.Recent) != 1 || state.Recent[0].Reason != "Airtable does not answer" {
		t.Errorf("%+v", state)
	}
}

func TestSyncRespondAsync(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := newSyncer()
	r.serve("airtable-sync", s.endpoints(t))
	resp := r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Operator), header("Prefer", "Respond-Async"))
	var accepted airtable.SyncAccepted
	resp.decode(http.StatusAccepted, &accepted)
	if accepted.RunID != "run1" || accepted.Run == nil || accepted.Run.State != syncapi.Running ||
		resp.Header.Get("Location") != "/api/orders/sync" || resp.Header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("%+v %v", accepted, resp.Header)
	}
}

// A process that drains does not keep people waiting for a run that goes on without it.
func TestSyncWhileDraining(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := newSyncer()
	r.serve("airtable-sync", s.endpoints(t))
	done := make(chan response)
	go func() { done <- r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Operator)) }()
	<-s.waiting
	close(r.draining)
	var accepted airtable.SyncAccepted
	(<-done).decode(http.StatusAccepted, &accepted)
	if accepted.RunID != "run1" {
		t.Errorf("%+v", accepted)
	}
}

// The client goes: nobody is asked any more.
func TestSyncClientGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := newSyncer()
	r.serve("airtable-sync", s.endpoints(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.send(http.MethodPost, "/api/orders/sync", r.as(auth.Operator), func(q *http.Request) { *q = *q.WithContext(ctx) })
		done <- err
	}()
	<-s.waiting
	cancel()
	if err := <-done; err == nil {
		t.Fatal("answered")
	}
	poll(t, func() bool { return strings.Contains(r.log.String(), "path=/api/orders/sync") })
	if len(s.waiting) != 0 {
		t.Error("asked again")
	}
}

func TestSyncerAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	resp := r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Operator))
	resp.problem(http.StatusServiceUnavailable)
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.get("/api/orders/sync").problem(http.StatusServiceUnavailable)

	// Another syncer has taken over, and does not know the run.
	r.serve("airtable-sync", map[string]bus.Handler{
		syncapi.SubjectRun: answer(`{"run_id":"run1"}`), syncapi.SubjectStatus: answer(`{"state":"idle","instance":"b"}`),
	})
	if p := r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Operator)).problem(http.StatusServiceUnavailable); !strings.Contains(p.Detail, "sincronizador") {
		t.Errorf("%+v", p)
	}
}
