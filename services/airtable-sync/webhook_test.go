package airtablesync_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/pkg/servicetest"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

var ana = airtabletest.User{ID: "usrAna00000000000", Email: "ana@example.com", PermissionLevel: "edit", Name: "Ana"}

// clock can be set ahead.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// on sets the syncer's clock, and a week between checks by full scans.
func on(c *clock) func(*airtablesync.Config) {
	return func(cfg *airtablesync.Config) { cfg.Now, cfg.FullScanHours = c.now, 24*365 }
}

// poll has the syncer read its webhook, and expects that that is enough.
func (w *world) poll() syncapi.Run {
	w.Helper()
	run := w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Webhook}))
	if run.Mode != syncapi.Webhook {
		w.Fatalf("run %+v", run)
	}
	return run
}

// scans has the syncer read its webhook, and expects that it scans for this reason.
func (w *world) scans(mode syncapi.Mode, why string) syncapi.Run {
	w.Helper()
	run := w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Webhook}))
	if run.Mode != mode || !strings.Contains(run.ModeReason.EN, why) || run.ModeReason.ES == "" {
		w.Fatalf("mode %s because %q, want %s because of %q", run.Mode, run.ModeReason.EN, mode, why)
	}
	w.converged()
	return run
}

func (w *world) hook() airtabletest.Webhook {
	w.Helper()
	hooks := w.sandbox.Webhooks()
	if len(hooks) != 1 {
		w.Fatalf("webhooks %+v", hooks)
	}
	return hooks[0]
}

func (w *world) update(id string, f airtabletest.Fields) {
	w.Helper()
	if err := w.sandbox.As(ana).UpdateRecord(id, f); err != nil {
		w.Fatal(err)
	}
}

func TestWebhookTellsEveryChange(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 230})
	w.start()
	w.ok(w.synced())
	st := w.status()
	if hook := w.hook(); st.Mode != syncapi.Webhook || st.ModeReason.EN != "" || st.Hook == nil || st.Hook.ID != hook.ID || hook.NotificationURL != "" {
		t.Fatalf("state %+v", st)
	}
	w.sandbox.ResetCalls()
	if idle := w.poll(); idle.APICalls != 1 || w.sandbox.Calls() != (airtabletest.Calls{Payloads: 1}) {
		t.Fatalf("idle: %+v, %+v", idle, w.sandbox.Calls())
	}

	ids, before := w.sandbox.RecordIDs(), w.messages()
	was, _ := w.newest(ids[3])
	status := "Cancelled"
	if *was.Order.Status == status {
		status = "Sent"
	}
	w.update(ids[3], airtabletest.Fields{"Status": status, "Amount": 12.5, "Tags": []string{"Web", "Export"}})
	w.update(ids[3], airtabletest.Fields{"Amount": 13.5, "Paid": true})
	w.update(ids[4], airtabletest.Fields{"Customer": nil})
	w.update(ids[5], airtabletest.Fields{"Notes": "changed"})
	noted, _ := w.newest(ids[5])
	var notes any
	if f := map[string]json.RawMessage{}; json.Unmarshal(noted.Order.Fields, &f) == nil {
		notes = decode(t, f["Notes"])
	}
	w.update(ids[5], airtabletest.Fields{"Notes": notes}) // and back: no news
	created, err := w.sandbox.As(ana).CreateRecord(airtabletest.Fields{"Order": "Año \"1\" 🎉", "Customer": "Núñez", "Status": "Pending"})
	if err != nil {
		t.Fatal(err)
	}
	brief, err := w.sandbox.As(ana).CreateRecord(airtabletest.Fields{"Order": "brief"})
	if err != nil {
		t.Fatal(err)
	}
	w.sandbox.As(ana).DeleteRecords(ids[7], ids[8], brief)
	w.sandbox.ResetCalls()
	run := w.poll()
	if run.Created != 1 || run.Updated != 2 || run.Unchanged != 1 || run.Deleted != 2 || run.APICalls != 2 || w.sandbox.Calls() != (airtabletest.Calls{Payloads: 1, List: 1}) {
		t.Fatalf("run %+v, calls %+v", run, w.sandbox.Calls())
	}
	if got := w.messages() - before; got != 5 {
		t.Fatalf("%d messages", got)
	}
	w.converged()
	by := event.Actor{ID: ana.ID, Email: ana.Email, Name: ana.Name}
	for id, change := range map[string]event.Change{ids[3]: event.Updated, ids[4]: event.Updated, created: event.Created, ids[7]: event.Deleted} {
		if c, _ := w.newest(id); c.Change != change || c.Actor == nil || *c.Actor != by {
			t.Errorf("%s of %s by %+v", c.Change, id, c.Actor)
		}
	}
	c, _ := w.newest(ids[3])
	if got, want := string(c.Previous["status"]), fmt.Sprintf("%q", *was.Order.Status); got != want {
		t.Errorf("previous status %s, want %s", got, want)
	}
	if c, _ := w.newest(ids[7]); c.Order.Name == nil {
		t.Error("a deletion says what the order was")
	}

	// What the webhook made of it is what a scan finds.
	before = w.messages()
	if full := w.ok(w.run(syncapi.RunRequest{})); full.Mode != syncapi.Full || full.Created+full.Updated+full.Deleted != 0 || w.messages() != before {
		t.Fatalf("a scan finds news: %+v", full)
	}
	// A scan that is asked for tells who made the changes too.
	w.update(ids[9], airtabletest.Fields{"Customer": "by Ana"})
	w.ok(w.run(syncapi.RunRequest{}))
	if c, _ := w.newest(ids[9]); c.Actor == nil || *c.Actor != by {
		t.Errorf("by %+v", c.Actor)
	}
}

func TestIdleIntervalCostsOneCall(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 150})
	w.start(func(c *airtablesync.Config) { c.IntervalMinutes = 0.001 })
	w.ok(w.synced())
	var st syncapi.Status
	w.eventually("twenty runs on schedule", func() bool { st = w.status(); return len(st.Recent) == 20 && st.Recent[19].Trigger == "interval" })
	for _, r := range st.Recent {
		if r.APICalls != 1 || r.Mode != syncapi.Webhook {
			t.Fatalf("run %+v", r)
		}
	}
}

// eventually polls until what is so.
func (w *world) eventually(what string, is func() bool) {
	w.Helper()
	servicetest.Eventually(w, what, is)
}

func TestWebhookSurvivesRestarts(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 130})
	stop := w.start()
	w.ok(w.synced())
	first := w.hook()
	ids := w.sandbox.RecordIDs()
	stop()
	w.update(ids[0], airtabletest.Fields{"Status": "Sent", "Customer": "while it was away"})
	w.sandbox.DeleteRecords(ids[1])

	stop = w.start()
	if run := w.ok(w.synced()); run.Mode != syncapi.Webhook || run.Updated != 1 || run.Deleted != 1 || w.hook().ID != first.ID {
		t.Fatalf("run %+v, webhook %+v", run, w.hook())
	}
	w.converged()

	// Interrupted between payloads and records, it reads them again: the cursor waits for the events.
	w.update(ids[2], airtabletest.Fields{"Customer": "half-way"})
	hang := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.Hang})
	var accepted syncapi.RunAccepted
	w.ask(syncapi.SubjectRun, syncapi.RunRequest{Mode: syncapi.Webhook}, &accepted)
	<-hang.Done()
	stop()
	stop = w.start()
	if run := w.ok(w.synced()); run.Mode != syncapi.Webhook || run.Updated != 1 {
		t.Fatalf("run %+v", run)
	}
	w.converged()

	// With all it knew lost, the webhook is found again; only a scan can tell what it has missed.
	stop()
	kv, err := w.js.KeyValue(t.Context(), bus.BucketSyncState)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(t.Context(), "state"); err != nil {
		t.Fatal(err)
	}
	w.update(ids[3], airtabletest.Fields{"Customer": "unknown"})
	w.start()
	if run := w.ok(w.synced()); run.Mode != syncapi.Full || run.Updated != 1 || w.hook().ID != first.ID {
		t.Fatalf("run %+v, webhook %+v", run, w.hook())
	}
	w.converged()
	w.update(ids[4], airtabletest.Fields{"Customer": "goes on"})
	if run := w.poll(); run.Updated != 1 {
		t.Fatalf("run %+v", run)
	}
}

// A creation without an answer makes no second webhook.
func TestWebhookIsNotDoubled(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 130})
	lost := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Webhooks, Method: http.MethodPost, Do: airtabletest.Drop, Applied: true})
	w.start()
	w.ok(w.synced())
	<-lost.Done()
	if st := w.status(); st.Mode == syncapi.Webhook || st.ModeReason.EN == "" {
		t.Fatalf("state %+v", st)
	}
	w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "meanwhile"})
	w.scans(syncapi.Full, "not known")
	w.hook()
	w.poll()
}

func TestWebhookIsMadeAnew(t *testing.T) {
	t.Run("expired while away", func(t *testing.T) {
		c := &clock{}
		w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now})
		stop := w.start(on(c))
		w.ok(w.synced())
		old := w.hook()
		stop()
		c.advance(8 * 24 * time.Hour)
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "missed"})
		w.start(on(c))
		run := w.ok(w.synced())
		if run.Mode != syncapi.Full || !strings.Contains(run.ModeReason.EN, "expired") || run.Updated != 1 || w.hook().ID == old.ID {
			t.Fatalf("run %+v", run)
		}
		w.converged()
	})
	t.Run("refreshed before that", func(t *testing.T) {
		c := &clock{}
		w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now})
		stop := w.start(on(c))
		w.ok(w.synced())
		old := w.hook()
		stop()
		c.advance(6 * 24 * time.Hour)
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "not missed"})
		stop = w.start(on(c))
		if run := w.ok(w.synced()); run.Mode != syncapi.Webhook || run.Updated != 1 {
			t.Fatalf("run %+v", run)
		}
		// Nothing new: that the list tells so costs no more than a poll would.
		stop()
		c.advance(4 * 24 * time.Hour)
		w.start(on(c))
		w.ok(w.synced())
		if hook := w.hook(); hook.ID != old.ID || hook.Expires.Sub(c.now()) < 6*24*time.Hour+23*time.Hour {
			t.Fatalf("expires in %s", hook.Expires.Sub(c.now()))
		}
		for range 8 {
			c.advance(24 * time.Hour)
			if run := w.poll(); run.APICalls > 2 {
				t.Fatalf("run %+v", run)
			}
		}
		if w.hook().ID != old.ID {
			t.Error("a week of polling lost it")
		}
	})
	t.Run("disabled", func(t *testing.T) {
		c := &clock{}
		w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now})
		w.start(on(c))
		w.ok(w.synced())
		old := w.hook()
		if err := w.sandbox.ExpireWebhook(old.ID); err != nil {
			t.Fatal(err)
		}
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "missed"})
		c.advance(13 * time.Hour) // of which each interval is one: until it is looked at
		w.scans(syncapi.Full, "expired")
		if w.hook().ID == old.ID {
			t.Error("it is of no use any more")
		}
	})
	t.Run("removed", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		w.start()
		w.ok(w.synced())
		old := w.hook()
		if err := w.sandbox.RemoveWebhook(old.ID); err != nil {
			t.Fatal(err)
		}
		w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[0])
		if run := w.scans(syncapi.Full, "removed"); run.Deleted != 1 || w.hook().ID == old.ID {
			t.Fatalf("run %+v", run)
		}
		w.poll()
	})
	t.Run("a lone 404 removes nothing", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		w.start()
		w.ok(w.synced())
		old := w.hook()
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Payloads, Do: airtabletest.NotFound})
		if run := w.run(syncapi.RunRequest{Mode: syncapi.Webhook}); run.State != syncapi.Failed {
			t.Fatalf("run %+v", run)
		}
		w.poll()
		if w.hook().ID != old.ID {
			t.Error("the webhook was there all along")
		}
	})
	t.Run("error payload", func(t *testing.T) {
		for _, code := range []string{airtabletest.CodeInvalidHook, airtabletest.CodeInvalidFilters, airtabletest.CodeInternalError} {
			t.Run(code, func(t *testing.T) {
				w := newWorld(t, airtabletest.Config{Orders: 130})
				w.start()
				w.ok(w.synced())
				old := w.hook()
				if err := w.sandbox.AddErrorPayload(old.ID, code); err != nil {
					t.Fatal(err)
				}
				w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "untold"})
				if run := w.scans(syncapi.Full, code); run.Updated != 1 {
					t.Fatalf("run %+v", run)
				}
				if same := w.hook().ID == old.ID; same != (code == airtabletest.CodeInternalError) {
					t.Errorf("the same webhook: %v", same)
				}
				w.poll()
			})
		}
	})
}

func TestWebhookGap(t *testing.T) {
	t.Run("in the cursor", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		w.start()
		w.ok(w.synced())
		if err := w.sandbox.SkipPayloads(w.hook().ID, 2); err != nil {
			t.Fatal(err)
		}
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "after the gap"})
		w.scans(syncapi.Full, "missing")
		w.poll()
	})
	t.Run("forgotten after a week", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		stop := w.start()
		w.ok(w.synced())
		stop()
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "forgotten"})
		if err := w.sandbox.ForgetPayloads(w.hook().ID); err != nil {
			t.Fatal(err)
		}
		w.start()
		if run := w.ok(w.synced()); run.Mode != syncapi.Full || !strings.Contains(run.ModeReason.EN, "missing") || run.Updated != 1 {
			t.Fatalf("run %+v", run)
		}
		w.converged()
		w.poll()
	})
	t.Run("the scan is owed until it succeeds", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 230})
		w.start()
		w.ok(w.synced())
		if err := w.sandbox.SkipPayloads(w.hook().ID, 2); err != nil {
			t.Fatal(err)
		}
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "after the gap"})
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.Forbidden, After: 1})
		if run := w.run(syncapi.RunRequest{Mode: syncapi.Webhook}); run.State != syncapi.Failed || run.Mode != syncapi.Full {
			t.Fatalf("run %+v", run)
		}
		w.scans(syncapi.Full, "missing")
		w.poll()
	})
}

func TestWebhookBurst(t *testing.T) {
	t.Run("is read by id", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 900})
		w.start()
		w.ok(w.synced())
		ids := w.sandbox.RecordIDs()
		if err := w.sandbox.As(ana).UpdateRecords(ids[:420], airtabletest.Fields{"Customer": "pasted"}); err != nil {
			t.Fatal(err)
		}
		w.sandbox.DeleteRecords(ids[900-1])
		run := w.poll()
		if run.Updated != 420 || run.Deleted != 1 || run.APICalls > 8 {
			t.Fatalf("run %+v", run)
		}
		w.converged()
		if c, _ := w.newest(ids[0]); c.Actor == nil || c.Actor.Name != "Ana" {
			t.Errorf("by %+v", c.Actor)
		}
		if idle := w.poll(); idle.APICalls != 1 {
			t.Fatalf("run %+v", idle)
		}
	})
	t.Run("of most records is a scan", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 500})
		w.start()
		w.ok(w.synced())
		ids := w.sandbox.RecordIDs()
		if err := w.sandbox.As(ana).UpdateRecords(ids[:450], airtabletest.Fields{"Customer": "pasted"}); err != nil {
			t.Fatal(err)
		}
		if run := w.scans(syncapi.Full, "burst"); run.Updated != 450 || run.APICalls > 8 {
			t.Fatalf("run %+v", run)
		}
		if c, _ := w.newest(ids[0]); c.Actor == nil || c.Actor.Name != "Ana" {
			t.Errorf("by %+v", c.Actor)
		}
	})
	t.Run("too many payloads", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 150})
		c := &clock{}
		w.start(on(c))
		w.ok(w.synced())
		ids := w.sandbox.RecordIDs()
		for i := range 700 { // a script, one cell at a time
			w.update(ids[i%10], airtabletest.Fields{"Amount": i})
		}
		w.sandbox.DeleteRecords(ids[20])
		run := w.scans(syncapi.Full, "burst")
		if run.Updated != 10 || run.Deleted != 1 {
			t.Fatalf("run %+v", run)
		}
		c.advance(time.Minute)
		if again := w.poll(); again.APICalls != 2 || again.Unchanged != 10 { // the scan may have shown the last change but one
			t.Fatalf("run %+v", again)
		}
		if idle := w.poll(); idle.APICalls != 1 {
			t.Fatalf("run %+v", idle)
		}
	})
}

func TestWebhookDeletionsAreHeld(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 200})
	w.start()
	w.ok(w.synced())
	before := w.messages()
	w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[:41]...)
	if run := w.poll(); run.Deleted != 0 || w.messages() != before {
		t.Fatalf("run %+v", run)
	}
	if held := w.status().HeldDeletions; held == nil || held.Count != 41 || held.Known != 200 {
		t.Fatalf("held %+v", held)
	}
	w.poll()
	if w.status().HeldDeletions == nil {
		t.Fatal("a run that finds nothing confirms nothing")
	}
	if run := w.ok(w.run(syncapi.RunRequest{ConfirmDeletions: true})); run.Deleted != 41 {
		t.Fatalf("run %+v", run)
	}
	w.converged()
}

func TestWebhookSchemaChanges(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 130})
	w.start()
	w.ok(w.synced())
	ids, before := w.sandbox.RecordIDs(), w.messages()
	if err := w.sandbox.RenameField("Status", "Where it is"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sandbox.AddField(airtabletest.Field{Name: "Due", Type: airtabletest.DateField}); err != nil {
		t.Fatal(err)
	}
	if run := w.poll(); run.APICalls != 2 || w.messages() != before {
		t.Fatalf("a new name is no news: %+v", run)
	}
	w.update(ids[0], airtabletest.Fields{"Where it is": "Sent", "Due": "2026-12-24", "Customer": "x"})
	if run := w.poll(); run.Updated != 1 || run.APICalls != 2 {
		t.Fatalf("run %+v", run)
	}
	if c, _ := w.newest(ids[0]); *c.Order.Status != "Sent" || !strings.Contains(string(c.Order.Fields), `"Due":"2026-12-24"`) {
		t.Fatalf("order %s", c.Order.Fields)
	}
	if err := w.sandbox.DeleteField("Due"); err != nil {
		t.Fatal(err)
	}
	if run := w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Webhook})); run.Mode != syncapi.Full || !strings.Contains(run.ModeReason.EN, "removed") || run.Updated != 1 {
		t.Fatalf("the cell is gone: %+v", run)
	}
	if c, _ := w.newest(ids[0]); strings.Contains(string(c.Order.Fields), `"Due"`) {
		t.Fatalf("order %s", c.Order.Fields)
	}
	w.poll()
}

func TestWithoutWebhook(t *testing.T) {
	t.Run("no permission", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130, NoWebhookScope: true})
		w.start()
		w.ok(w.synced())
		st := w.status()
		if st.Mode != syncapi.Incremental || !strings.Contains(st.ModeReason.EN, "webhook:manage") || !strings.Contains(st.ModeReason.ES, "webhook:manage") || st.Hook != nil {
			t.Fatalf("state %+v", st)
		}
		// It is asked for again when somebody asks for a run, and not each time.
		w.sandbox.Grant(airtabletest.WebhooksManage)
		w.scans(syncapi.Full, "new")
		if st := w.status(); st.Mode != syncapi.Webhook || st.ModeReason.EN != "" {
			t.Fatalf("state %+v", st)
		}
		// Lost and given back, nothing is missed.
		w.sandbox.Revoke(airtabletest.WebhooksManage)
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "meanwhile"})
		w.scans(syncapi.Incremental, "webhook:manage")
		w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[1])
		w.sandbox.Grant(airtabletest.WebhooksManage)
		if run := w.poll(); run.Deleted != 1 {
			t.Fatalf("run %+v", run)
		}
		w.converged()
	})
	t.Run("the refusal costs nothing each time", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130, NoWebhookScope: true})
		w.start(func(c *airtablesync.Config) { c.IntervalMinutes = 0.001 })
		w.ok(w.synced())
		w.eventually("six runs on schedule", func() bool { return len(w.status().Recent) > 6 }) // the first asks once more
		for _, r := range w.status().Recent[:5] {
			if r.APICalls != 1 || r.Mode != syncapi.Incremental {
				t.Fatalf("run %+v", r)
			}
		}
	})
	t.Run("no place left", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		stop := w.start()
		w.ok(w.synced())
		stop()
		spec := w.hook().Specification
		if err := w.sandbox.RemoveWebhook(w.hook().ID); err != nil {
			t.Fatal(err)
		}
		other := strings.Replace(string(spec), `"tableFields"`, `"tableMetadata"`, 1)
		for range 10 {
			w.post("/v0/bases/"+w.sandbox.Config().BaseID+"/webhooks", `{"specification":`+other+`}`)
		}
		w.start()
		w.ok(w.synced())
		if st := w.status(); st.Mode != syncapi.Incremental || !strings.Contains(st.ModeReason.EN, "as many webhooks") {
			t.Fatalf("state %+v", st)
		}
		if n := len(w.sandbox.Webhooks()); n != 10 {
			t.Fatalf("%d webhooks: others' are not ours to remove", n)
		}
	})
	t.Run("configured", func(t *testing.T) {
		for _, mode := range []syncapi.Mode{syncapi.Incremental, syncapi.Full} {
			t.Run(string(mode), func(t *testing.T) {
				w := newWorld(t, airtabletest.Config{Orders: 130})
				w.start(func(c *airtablesync.Config) { c.Mode = string(mode) })
				w.ok(w.synced())
				if st := w.status(); st.Mode != mode || !strings.Contains(st.ModeReason.EN, "SYNC_MODE") || len(w.sandbox.Webhooks()) != 0 {
					t.Fatalf("state %+v", st)
				}
			})
		}
	})
	t.Run("table by name, no schema scope", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130, NoSchemaScope: true})
		w.start(func(c *airtablesync.Config) { c.TableID = w.sandbox.TableName() })
		w.ok(w.synced())
		if st := w.status(); st.Mode != syncapi.Incremental || !strings.Contains(st.ModeReason.EN, "AIRTABLE_TABLE_ID") {
			t.Fatalf("state %+v", st)
		}
	})
	t.Run("table by id, no schema scope", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130, NoSchemaScope: true})
		w.start()
		w.ok(w.synced())
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "x"})
		if run := w.poll(); run.Updated != 1 {
			t.Fatalf("run %+v", run)
		}
	})
}

// post calls Airtable's API as another client of the token.
func (w *world) post(path, body string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.endpoint+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.sandbox.Config().APIKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(res.Body)
		w.Fatalf("%s: %d %s", path, res.StatusCode, answer)
	}
}

// relay passes pings on as the gateway does, and remembers them.
type relay struct {
	*world
	url  string
	deaf atomic.Bool

	mu    sync.Mutex
	pings []syncapi.Ping
}

func newRelay(w *world) *relay {
	w.Helper()
	r := &relay{world: w}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || r.deaf.Load() || req.URL.Path != "/base/webhooks/airtable" {
			rw.WriteHeader(http.StatusNotFound)
			return
		}
		ping := syncapi.Ping{Body: body, MAC: req.Header.Get("X-Airtable-Content-Mac")}
		r.mu.Lock()
		r.pings = append(r.pings, ping)
		r.mu.Unlock()
		rw.WriteHeader(int(r.ping(ping)))
	}))
	w.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

// ping asks the syncer as the gateway would, and returns the status it would answer.
func (r *relay) ping(p syncapi.Ping) fault.Code {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := bus.Ask(ctx, r.nc, syncapi.SubjectPing, p); err != nil {
		return fault.CodeOf(err)
	}
	return http.StatusNoContent
}

func (r *relay) last() syncapi.Ping {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pings) == 0 {
		r.Fatal("no ping")
	}
	return r.pings[len(r.pings)-1]
}

func (r *relay) public(c *airtablesync.Config) { c.PublicURL = r.url + "/base/" }

// settled waits until no run is under way or waiting, and returns how many there were.
func (w *world) settled() (runs int) {
	w.Helper()
	w.eventually("idle", func() bool {
		st := w.status()
		runs = len(st.Recent)
		return st.State == "idle"
	})
	return runs
}

func TestPingsMakeItImmediate(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 230, RatePerSecond: 5, PingRetry: 50 * time.Millisecond})
	r := newRelay(w)
	w.start(r.public, func(c *airtablesync.Config) { c.RateLimit = 5 })
	w.ok(w.synced())
	if hook := w.hook(); hook.NotificationURL != r.url+"/base/webhooks/airtable" {
		t.Fatalf("webhook %+v", hook)
	}
	sub, err := w.nc.SubscribeSync(event.OrdersChanged)
	if err != nil {
		t.Fatal(err)
	}
	ids := w.sandbox.RecordIDs()
	for name, change := range map[string]func(try int){
		"changed":   func(try int) { w.update(ids[try], airtabletest.Fields{"Customer": "at once"}) },
		"destroyed": func(try int) { w.sandbox.As(ana).DeleteRecords(ids[100+try]) },
		"created": func(int) {
			if _, err := w.sandbox.As(ana).CreateRecord(airtabletest.Fields{"Order": "new"}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		took := time.Hour
		for try := 0; try < 3 && took > 2*time.Second; try++ { // other tests may need the machine for a while
			began := time.Now()
			change(try)
			msg, err := sub.NextMsg(20 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			took = time.Since(began)
			c, _, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data)
			if err != nil || c.Actor == nil || c.Actor.ID != ana.ID {
				t.Fatalf("%+v %v", c, err)
			}
		}
		if t.Logf("%s: %s from Airtable to the stream", name, took); took > 2*time.Second {
			t.Errorf("a record %s took %s", name, took)
		}
	}
	w.settled()
	st := w.status()
	if st.Last.Trigger != "ping" || st.Last.Mode != syncapi.Webhook || st.Hook == nil || st.Hook.LastPing == nil || st.Hook.URL == "" {
		t.Fatalf("state %+v", st)
	}
	w.converged()
	// Many at once are told together.
	runs := w.settled()
	for i := range 40 {
		w.update(ids[10+i], airtabletest.Fields{"Customer": "all"})
	}
	w.eventually("converged", func() bool { c, _ := w.newest(ids[49]); return *c.Order.Customer == "all" })
	if more := w.settled() - runs; more > 10 {
		t.Errorf("%d runs for 40 changes in a row", more)
	}
	w.converged()
}

func TestPingsThatAreNotAirtables(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 130, PingRetry: 50 * time.Millisecond})
	r := newRelay(w)
	stop := w.start(r.public)
	w.ok(w.synced())
	w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "pinged"})
	w.eventually("run by ping", func() bool { last := w.status().Last; return last != nil && last.Trigger == "ping" })
	good, runs := r.last(), w.settled()
	w.sandbox.ResetCalls()
	flip := func(s string) string {
		raw, err := hex.DecodeString(strings.TrimPrefix(s, "hmac-sha256="))
		if err != nil {
			t.Fatal(err)
		}
		raw[31] ^= 1
		return "hmac-sha256=" + hex.EncodeToString(raw)
	}
	for name, bad := range map[string]syncapi.Ping{
		"unsigned":     {Body: good.Body},
		"empty":        {},
		"not hex":      {Body: good.Body, MAC: "hmac-sha256=zz"},
		"cut":          {Body: good.Body, MAC: good.MAC[:40]},
		"one bit":      {Body: good.Body, MAC: flip(good.MAC)},
		"other body":   {Body: append([]byte(" "), good.Body...), MAC: good.MAC},
		"empty secret": {Body: good.Body, MAC: "hmac-sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
	} {
		if code := r.ping(bad); code != fault.Forbidden {
			t.Errorf("%s: %d", name, code)
		}
	}
	// Airtable repeats what it thinks was lost, and so may anybody who overheard it.
	if code := r.ping(good); code != http.StatusNoContent {
		t.Errorf("replayed: %d", code)
	}
	stop()
	w.start(r.public)
	w.ok(w.synced())
	started := w.settled()
	if code := r.ping(good); code != http.StatusNoContent {
		t.Errorf("replayed after a restart: %d", code)
	}
	if got := w.settled(); got != started || started != runs+1 {
		t.Errorf("runs: %d, %d after the restart, %d after the replay", runs, started, got)
	}
	if calls := w.sandbox.Calls(); calls.Payloads > 1 {
		t.Errorf("calls %+v", calls)
	}
}

func TestPingsAreLookedAfter(t *testing.T) {
	t.Run("switched off by Airtable", func(t *testing.T) {
		c := &clock{}
		w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now, PingRetry: time.Millisecond, PingGiveUp: 2 * time.Millisecond})
		r := newRelay(w)
		w.start(r.public, on(c), func(cfg *airtablesync.Config) { cfg.IntervalMinutes = 60 })
		w.ok(w.synced())
		id := w.hook().ID
		r.deaf.Store(true)
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "unheard"})
		w.eventually("Airtable gives up", func() bool { return !w.hook().NotificationsEnabled })
		r.deaf.Store(false)
		c.advance(2 * time.Minute)
		if run := w.poll(); run.Updated != 1 { // which tells that no ping came
			t.Fatalf("run %+v", run)
		}
		w.poll()
		if hook := w.hook(); hook.ID != id || !hook.NotificationsEnabled {
			t.Fatalf("webhook %+v", hook)
		}
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "heard"})
		w.eventually("run by ping", func() bool { return w.status().Last.Trigger == "ping" })
	})
	t.Run("secret lost", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130, PingRetry: 50 * time.Millisecond})
		r := newRelay(w)
		stop := w.start(r.public)
		w.ok(w.synced())
		old := w.hook()
		stop()
		kv, err := w.js.KeyValue(t.Context(), bus.BucketSyncState)
		if err != nil {
			t.Fatal(err)
		}
		if err := kv.Delete(t.Context(), "state"); err != nil {
			t.Fatal(err)
		}
		w.start(r.public)
		w.ok(w.synced())
		if w.hook().ID == old.ID {
			t.Fatal("nobody can tell its pings from others'")
		}
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "heard"})
		w.eventually("run by ping", func() bool { return w.status().Last.Trigger == "ping" })
	})
	t.Run("PUBLIC_URL set, changed and taken away", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130, PingRetry: 50 * time.Millisecond})
		stop := w.start()
		w.ok(w.synced())
		for _, r := range []*relay{newRelay(w), newRelay(w)} {
			stop()
			stop = w.start(r.public)
			if run := w.ok(w.synced()); run.Mode != syncapi.Full || !strings.Contains(run.ModeReason.EN, "PUBLIC_URL") {
				t.Fatalf("run %+v", run)
			}
			if hook := w.hook(); hook.NotificationURL != r.url+"/base/webhooks/airtable" {
				t.Fatalf("webhook %+v", hook)
			}
		}
		stop()
		w.start()
		w.ok(w.synced())
		if hook := w.hook(); hook.NotificationURL != "" {
			t.Fatalf("webhook %+v", hook)
		}
	})
}

// between puts a proxy before the sandbox. What the returned function sets changes the bodies of answers, by path.
func (w *world) between() (change func(func(path string, body []byte) []byte)) {
	w.Helper()
	target, err := url.Parse(w.endpoint)
	if err != nil {
		w.Fatal(err)
	}
	var current atomic.Pointer[func(string, []byte) []byte]
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(res *http.Response) error {
		f := current.Load()
		if f == nil {
			return nil
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		body = (*f)(res.Request.URL.Path, body)
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		res.Header.Del("Content-Length")
		return nil
	}
	srv := httptest.NewServer(proxy)
	w.Cleanup(srv.Close)
	w.endpoint = srv.URL
	return func(f func(string, []byte) []byte) {
		if f == nil {
			current.Store(nil)
		} else {
			current.Store(&f)
		}
	}
}

// records has each record of a listing changed, nil to leave it out.
func (w *world) records(change func(id string, r map[string]json.RawMessage) map[string]json.RawMessage) func(string, []byte) []byte {
	return func(path string, body []byte) []byte {
		var page map[string]json.RawMessage
		if !strings.Contains(path, w.sandbox.Config().TableID) || json.Unmarshal(body, &page) != nil || page["records"] == nil {
			return body
		}
		var all, kept []map[string]json.RawMessage
		if err := json.Unmarshal(page["records"], &all); err != nil {
			w.Error(err)
		}
		for _, r := range all {
			if r = change(strings.Trim(string(r["id"]), `"`), r); r != nil {
				kept = append(kept, r)
			}
		}
		page["records"] = encode(w, append([]map[string]json.RawMessage{}, kept...))
		return encode(w, page)
	}
}

// encode leaves cells as they are.
func encode(t testing.TB, v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Error(err)
	}
	return out.Bytes()
}

// Payloads that make no sense are passed over, and a scan tells what they would have.
func TestUnreadablePayloads(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 130})
	change := w.between()
	w.start()
	w.ok(w.synced())
	w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "unreadable"})
	change(func(path string, body []byte) []byte {
		if strings.Contains(path, "/payloads") {
			return []byte(`{"payloads":[{"changedTablesById":{"` + w.sandbox.Config().TableID + `":{"changedRecordsById":{"order.changed.>":{}}}}}],"cursor":2,"mightHaveMore":false}`)
		}
		return body
	})
	w.scans(syncapi.Full, "unreadable")
	change(nil)
	w.poll()
}

// A payload may name a record that listings do not show yet, or show as it was: it is read again in the next
// run, by whoever carries that out.
func TestListingLagsBehindTheWebhook(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 130})
			change := w.between()
			stop := w.start()
			w.ok(w.synced())
			ids := w.sandbox.RecordIDs()
			before := map[string]map[string]json.RawMessage{}
			change(w.records(func(id string, r map[string]json.RawMessage) map[string]json.RawMessage {
				before[id] = r
				return r
			}))
			w.ok(w.run(syncapi.RunRequest{}))
			change(w.records(func(id string, _ map[string]json.RawMessage) map[string]json.RawMessage { return before[id] }))
			w.update(ids[3], airtabletest.Fields{"Customer": "shown late"})
			w.sandbox.DeleteRecords(ids[4])
			created, err := w.sandbox.As(ana).CreateRecord(airtabletest.Fields{"Order": "listed late"})
			if err != nil {
				t.Fatal(err)
			}
			if run := w.poll(); run.Created+run.Updated != 0 || run.Deleted != 1 {
				t.Fatalf("run %+v", run)
			}
			change(nil)
			next := w.poll
			if restart {
				stop()
				w.start()
				next = func() syncapi.Run { return w.ok(w.synced()) }
			}
			if run := next(); run.Mode != syncapi.Webhook || run.Created != 1 || run.Updated != 1 {
				t.Fatalf("run %+v", run)
			}
			w.converged()
			for _, id := range []string{ids[3], created} {
				if c, _ := w.newest(id); c.Actor == nil || c.Actor.ID != ana.ID {
					t.Errorf("%s by %+v", id, c.Actor)
				}
			}
			if idle := w.poll(); idle.APICalls != 1 {
				t.Fatalf("run %+v", idle)
			}
		})
	}
	t.Run("changed again before an earlier change is listed", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		change := w.between()
		w.start()
		w.ok(w.synced())
		id, customer := w.sandbox.RecordIDs()[3], ""
		for _, f := range w.sandbox.TableFields() {
			if f.Name == "Customer" {
				customer = f.ID
			}
		}
		listing := func(value any, updated int) {
			w.Helper()
			change(w.records(func(record string, r map[string]json.RawMessage) map[string]json.RawMessage {
				var cells map[string]json.RawMessage
				if record == id && json.Unmarshal(r["fields"], &cells) == nil {
					cells[customer] = encode(t, value)
					r["fields"] = encode(t, cells)
				}
				return r
			}))
			if run := w.poll(); run.Updated != updated {
				t.Fatalf("%s is listed: run %+v", value, run)
			}
		}
		was := w.cell(id, "Customer")
		w.update(id, airtabletest.Fields{"Customer": "1"})
		listing(was, 0)
		w.update(id, airtabletest.Fields{"Customer": "2"})
		listing("1", 1)
		listing("2", 1)
		for _, value := range []string{"3", "4", "5"} {
			w.update(id, airtabletest.Fields{"Customer": value})
		}
		listing("3", 1)
		listing("4", 1)
		listing("5", 1)
		w.converged()
	})
	t.Run("of a mode without webhook", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		change := w.between()
		w.start()
		w.ok(w.synced())
		late := w.sandbox.RecordIDs()[3]
		w.update(late, airtabletest.Fields{"Customer": "shown late"})
		change(w.records(func(id string, r map[string]json.RawMessage) map[string]json.RawMessage {
			if id == late {
				return nil
			}
			return r
		}))
		w.poll()
		w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Incremental})) // lists it neither
		change(nil)
		w.sandbox.Revoke(airtabletest.WebhooksManage)
		w.scans(syncapi.Incremental, "webhook:manage")
	})
	t.Run("what changes for nothing is read once more", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		w.start()
		w.ok(w.synced())
		id := w.sandbox.RecordIDs()[3]
		was := w.cell(id, "Customer")
		w.update(id, airtabletest.Fields{"Customer": "there"})
		w.update(id, airtabletest.Fields{"Customer": was})
		calls := 0
		for range 3 {
			calls += w.poll().APICalls
		}
		if calls > 6 || w.poll().Unchanged > 1 {
			t.Fatalf("%d calls", calls)
		}
	})
	for _, lag := range []time.Duration{40 * time.Second, 100 * time.Second, 9 * time.Minute} {
		t.Run(fmt.Sprint("by ", lag), func(t *testing.T) {
			c := &clock{}
			w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now})
			change := w.between()
			w.start(on(c))
			w.ok(w.synced())
			late := w.sandbox.RecordIDs()[3]
			var before map[string]json.RawMessage
			change(w.records(func(id string, r map[string]json.RawMessage) map[string]json.RawMessage {
				if id == late {
					before = r
				}
				return r
			}))
			w.ok(w.run(syncapi.RunRequest{}))
			change(w.records(func(id string, r map[string]json.RawMessage) map[string]json.RawMessage {
				if id == late {
					return before
				}
				return r
			}))
			w.update(late, airtabletest.Fields{"Customer": "shown late"})
			const step = 5 * time.Second
			calls, runs := 0, 0
			for at := time.Duration(0); at < lag; at += step {
				run := w.poll()
				if run.Updated != 0 {
					t.Fatalf("run %+v", run)
				}
				calls, runs = calls+run.APICalls, runs+1
				c.advance(step)
			}
			if asked := calls - runs; asked > 13 { // at each run for half a minute, then ever more rarely
				t.Errorf("asked %d times in %d runs", asked, runs)
			}
			change(nil)
			for waited := time.Duration(0); w.poll().Updated == 0; waited += step {
				if waited > lag+time.Minute {
					t.Fatal("what was listed late is never read")
				}
				c.advance(step)
			}
			w.converged()
		})
	}
	t.Run("without waiting, where pings come", func(t *testing.T) {
		c := &clock{}
		w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now, PingRetry: 50 * time.Millisecond})
		change := w.between()
		r := newRelay(w)
		w.start(r.public, on(c))
		w.ok(w.synced())
		late := w.sandbox.RecordIDs()[3]
		change(w.records(func(id string, r map[string]json.RawMessage) map[string]json.RawMessage {
			if id == late {
				return nil
			}
			return r
		}))
		w.update(late, airtabletest.Fields{"Customer": "shown late"})
		w.eventually("run by ping", func() bool { return w.status().Last.Trigger == "ping" })
		w.settled()
		change(nil)
		if wait := w.status().NextRunAt.Sub(c.now()); wait > 5*time.Second {
			t.Fatalf("it is read again in %s", wait)
		}
	})
}

// A listing that ends on an exactly full page may have lost its end. The next scheduled run lists all once more, until two
// listings in a row agree.
func TestListingEndsOnAFullPage(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 300})
	change := w.between()
	ids := w.sandbox.RecordIDs()
	change(func(path string, body []byte) []byte {
		var page map[string]json.RawMessage
		if !strings.Contains(path, w.sandbox.Config().TableID) || json.Unmarshal(body, &page) != nil || !bytes.Contains(page["records"], []byte(ids[150])) {
			return body
		}
		delete(page, "offset") // each time
		return encode(t, page)
	})
	stop := w.start()
	if run := w.ok(w.synced()); run.Created != 200 {
		t.Fatalf("run %+v", run)
	}
	change(nil)
	for i, want := range []struct {
		mode    syncapi.Mode
		created int
	}{{syncapi.Full, 100}, {syncapi.Full, 0}, {syncapi.Webhook, 0}} {
		stop()
		stop = w.start()
		if run := w.ok(w.synced()); run.Mode != want.mode || run.Created != want.created {
			t.Fatalf("run %d: %+v", i, run)
		}
	}
	w.converged()
}

// More records than are read by id as a matter of course, of which no time of modification tells: a looked-up
// value changed.
func TestLookedUpValueOfManyRecords(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 800})
	change := w.between()
	w.start()
	w.ok(w.synced())
	touched := map[string]struct{}{}
	for _, id := range w.sandbox.RecordIDs()[:350] {
		touched[id] = struct{}{}
	}
	customer := ""
	for _, f := range w.sandbox.TableFields() {
		if f.Name == "Customer" {
			customer = f.ID
		}
	}
	listed := w.records(func(id string, r map[string]json.RawMessage) map[string]json.RawMessage {
		if _, ok := touched[id]; ok {
			var cells map[string]json.RawMessage
			if err := json.Unmarshal(r["fields"], &cells); err != nil {
				t.Error(err)
			}
			if _, ok := cells[customer]; ok {
				cells[customer] = json.RawMessage(`"looked up"`)
			}
			r["fields"] = encode(t, cells)
		}
		return r
	})
	change(func(path string, body []byte) []byte {
		if !strings.Contains(path, "/payloads") {
			return listed(path, body)
		}
		next := w.hook().NextCursor
		payload := map[string]any{
			"timestamp":         time.Now().UTC(),
			"changedTablesById": map[string]any{w.sandbox.Config().TableID: map[string]any{"changedRecordsById": touched}},
		}
		if err := w.sandbox.SkipPayloads(w.hook().ID, 1); err != nil {
			t.Error(err)
		}
		return encode(t, map[string]any{"payloads": []any{payload}, "cursor": next + 1, "mightHaveMore": false})
	})
	if run := w.poll(); run.Updated < 340 { // a few have no customer
		t.Fatalf("run %+v", run)
	}
}

// A page of records asked for by id may end early; what is on the next one is not passed over.
func TestShortPageOfTouchedRecords(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 130})
	w.start()
	w.ok(w.synced())
	ids := w.sandbox.RecordIDs()
	if err := w.sandbox.As(ana).UpdateRecords(ids[:60], airtabletest.Fields{"Customer": "pasted"}); err != nil {
		t.Fatal(err)
	}
	short := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.ShortPage})
	if run := w.poll(); run.Updated != 60 || short.Hits() != 1 {
		t.Fatalf("run %+v", run)
	}
	w.converged()
}

// A webhook that expires or is disabled while we run has no payloads, and no error either.
func TestExpiryIsNoticedWithinTwoIntervals(t *testing.T) {
	c := &clock{}
	w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now})
	w.start(on(c), func(cfg *airtablesync.Config) { cfg.IntervalMinutes = 60 })
	w.ok(w.synced())
	for range 4 { // idle
		c.advance(time.Hour + time.Second)
		if run := w.poll(); run.APICalls != 1 {
			t.Fatalf("run %+v", run)
		}
	}
	old := w.hook()
	if err := w.sandbox.ExpireWebhook(old.ID); err != nil {
		t.Fatal(err)
	}
	w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "missed"})
	w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[1])
	for range 2 {
		c.advance(time.Hour + time.Second)
		w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Webhook}))
	}
	// The runs asked for stand beside those of the schedule, either of which may be the one to notice.
	var (
		st               syncapi.Status
		updated, deleted int
	)
	w.ask(syncapi.SubjectStatus, syncapi.StatusRequest{}, &st)
	for _, run := range st.Recent {
		updated, deleted = updated+run.Updated, deleted+run.Deleted
	}
	if updated != 1 || deleted != 1 || w.hook().ID == old.ID {
		t.Fatalf("runs %+v", st.Recent)
	}
	w.converged()
}

// One refusal, or one list without our webhook, ends nothing (invariant 11).
func TestOneRefusalKeepsTheWebhook(t *testing.T) {
	c := &clock{}
	w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now})
	change := w.between()
	stop := w.start(on(c))
	w.ok(w.synced())
	old := w.hook().ID
	refuse := func(do func()) {
		w.Helper()
		do()
		c.advance(3 * time.Hour)
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": event.NewID()})
		if run := w.poll(); run.Updated != 1 || w.hook().ID != old || w.status().Mode != syncapi.Webhook {
			t.Fatalf("run %+v", run)
		}
	}
	refuse(func() { w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Webhooks, Do: airtabletest.Forbidden}) })
	refuse(func() { w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Webhooks, Do: airtabletest.NotFound}) })
	refuse(func() {
		var once sync.Once
		change(func(path string, body []byte) []byte {
			if strings.HasSuffix(path, "/webhooks") {
				once.Do(func() { body = []byte(`{"webhooks":[]}`) })
			}
			return body
		})
	})
	// Refused at the start, it is asked for again in the next run.
	stop()
	w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Webhooks, Do: airtabletest.Forbidden})
	if err := w.sandbox.RemoveWebhook(old); err != nil {
		t.Fatal(err)
	}
	w.start(on(c))
	w.ok(w.synced())
	c.advance(time.Hour + time.Second)
	w.eventually("a webhook", func() bool { return w.status().Mode == syncapi.Webhook })
}
