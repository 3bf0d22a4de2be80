package airtablesync_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// Two syncers: one is active, the other takes over, and nothing is published twice.
func TestOneOfTwoSyncersIsActive(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 250})
	stops := []func(){w.start(), w.start()}
	w.ok(w.synced())
	first := w.status().Instance
	for range 20 {
		if got := w.status().Instance; got != first {
			t.Fatalf("%s and %s both answer", first, got)
		}
	}
	if got := w.messages(); got != 250 {
		t.Fatalf("%d messages for 250 orders", got)
	}
	w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[0])
	// One of them holds the lease; stopping both, one after the other, ends its tenure for sure.
	stops[0]()
	w.ok(w.run(syncapi.RunRequest{}))
	w.start()
	stops[1]()
	w.ok(w.run(syncapi.RunRequest{}))
	w.converged()
	if got := w.messages(); got != 251 {
		t.Fatalf("%d messages for 250 orders and a deletion", got)
	}
}

// Stopped half-way, a run is taken up again: every order is published, none twice.
func TestInterruptedRunContinues(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 2000})
	hang := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.Hang, After: 9})
	stop := w.start()
	<-hang.Done()
	stop()
	if got := w.messages(); got == 0 || got >= 2000 {
		t.Fatalf("%d messages: not half-way", got)
	}
	w.start()
	w.ok(w.run(syncapi.RunRequest{}))
	w.converged()
	if got := w.messages(); got != 2000 {
		t.Fatalf("%d messages for 2000 orders", got)
	}
}

// runUntilOK runs until a run succeeds: the lease goes with the rest of what NATS loses, which may
// end a run half-way.
func (w *world) runUntilOK() {
	w.Helper()
	for range 5 {
		if w.run(syncapi.RunRequest{}).State == syncapi.Succeeded {
			return
		}
	}
	w.Fatal("no run succeeds")
}

// restartNATS returns when w's own connection is restored.
func (w *world) restartNATS() {
	w.Helper()
	restored := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(restored)
	w.nats.Stop()
	w.nats.Start()
	select {
	case <-restored:
	case <-time.After(patience):
		w.Fatal("NATS does not come back")
	}
}

// NATS comes back empty, or with its tail lost: the syncer notices and says it all again (invariant 8).
func TestLostStreamIsToldAgain(t *testing.T) {
	t.Run("wiped", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 150})
		w.start()
		w.ok(w.synced())
		w.nats.Stop()
		w.nats.Wipe()
		w.nats.Start()
		w.runUntilOK()
		w.converged()
		if scan := w.status().Scan; scan == nil || scan.Through < 150 {
			t.Fatalf("scan %+v", scan)
		}
	})
	t.Run("tail lost", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 250})
		stop := w.start()
		w.ok(w.synced())
		stop()
		w.nats.Stop()
		restore := w.nats.Backup()
		w.nats.Start()
		ids := w.sandbox.RecordIDs()
		if err := w.sandbox.UpdateRecord(ids[0], airtabletest.Fields{"Status": "Sent"}); err != nil {
			t.Fatal(err)
		}
		w.sandbox.DeleteRecords(ids[1])
		w.start()
		w.ok(w.run(syncapi.RunRequest{}))
		w.converged()
		w.nats.Stop()
		restore()
		w.nats.Start()
		w.runUntilOK()
		w.converged()
	})
}

// Invariant 8. The stream loses its end and uses the sequences again, within one reconnection of a syncer that lives on.
func TestLostTailUnderALivingSyncer(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 80})
	w.begun()
	w.nats.Stop()
	restore := w.nats.Backup()
	w.nats.Start()
	w.runUntilOK()
	ids := w.sandbox.RecordIDs()
	for _, id := range ids[:20] {
		w.update(id, airtabletest.Fields{"Customer": "Lost S.L."})
	}
	w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Webhook}))
	w.converged()
	lost := w.status().Scan
	w.nats.Stop()
	restore()
	w.nats.Start()
	edits := w.editsOf(ids[20:50])
	w.until("NATS", func() bool { return w.nc.IsConnected() })
	w.accept(edits...)
	w.applied(edits...)
	if run := w.run(syncapi.RunRequest{Mode: syncapi.Webhook}); run.State != syncapi.Succeeded || run.Updated != 20 {
		t.Errorf("run %+v", run)
	}
	w.converged()
	w.unchanged()
	if scan := w.status().Scan; scan.MessageID == lost.MessageID || scan.MessageID == "" || scan.Through <= lost.Through {
		t.Errorf("scan %+v, before %+v", scan, lost)
	}
}

// A run that is asked for by many at once is one run.
func TestRequestsShareARun(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 120})
	w.start()
	w.ok(w.synced())
	w.sandbox.ResetCalls()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { w.run(syncapi.RunRequest{}) })
	}
	wg.Wait()
	// One may have begun before the others asked: two runs of a metadata call, payloads and two pages each.
	if got := w.sandbox.Calls().Total(); got > 9 {
		t.Fatalf("%d calls for 20 requests", got)
	}
}
