package airtablesync_test

import (
	"strings"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

// What Airtable does wrong for a while, the run survives.
func TestPassingFaultsAreSurvived(t *testing.T) {
	for name, f := range map[string]airtabletest.Fault{
		"429":              {On: airtabletest.List, Do: airtabletest.RateLimited, RetryAfter: time.Second},
		"429, other form":  {On: airtabletest.List, Do: airtabletest.RateLimitedSingular, RetryAfter: time.Second},
		"503":              {On: airtabletest.List, Do: airtabletest.Unavailable, Times: 2},
		"500":              {On: airtabletest.List, Do: airtabletest.InternalError},
		"502 HTML":         {On: airtabletest.List, Do: airtabletest.BadGateway},
		"200 HTML":         {On: airtabletest.List, Do: airtabletest.HTML},
		"dropped":          {On: airtabletest.List, Do: airtabletest.Drop, Times: 2},
		"cut":              {On: airtabletest.List, Do: airtabletest.CutConnection},
		"truncated":        {On: airtabletest.List, Do: airtabletest.TruncatedJSON},
		"expired iterator": {On: airtabletest.List, Do: airtabletest.ExpiredIterator},
		"metadata 503":     {On: airtabletest.Meta, Do: airtabletest.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 320})
			f.After = 1
			if f.On == airtabletest.Meta {
				f.After = 0
			}
			fault := w.sandbox.Fail(f)
			w.start()
			w.ok(w.synced())
			w.converged()
			if fault.Hits() == 0 {
				t.Fatal("the fault did not strike")
			}
			if got := w.messages(); got != 320 {
				t.Fatalf("%d messages for 320 orders", got)
			}
		})
	}
}

// What does not pass ends the run as failed, with its reason, and deletes nothing (invariant 6).
func TestLastingFaultsDeleteNothing(t *testing.T) {
	for name, c := range map[string]struct {
		fault  airtabletest.Fault
		reason string
	}{
		"billing limit":   {airtabletest.Fault{On: airtabletest.List, Do: airtabletest.BillingLimit, Times: -1}, "used up"},
		"lone 403":        {airtabletest.Fault{On: airtabletest.List, Do: airtabletest.Forbidden, Times: -1, After: 1}, "may not read"},
		"lone 404":        {airtabletest.Fault{On: airtabletest.List, Do: airtabletest.NotFound, Times: -1}, "does not find"},
		"401":             {airtabletest.Fault{On: airtabletest.List, Do: airtabletest.Unauthorized, Times: -1}, "AIRTABLE_API_KEY"},
		"repeated offset": {airtabletest.Fault{On: airtabletest.List, Do: airtabletest.RepeatedOffset, Times: -1}, "unreadable"},
		"iterators":       {airtabletest.Fault{On: airtabletest.List, Do: airtabletest.ExpiredIterator, Times: -1}, "ITERATOR"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 220, NoWebhookScope: true}) // which would tell of the deletion
			w.start()
			w.ok(w.synced())
			before := w.messages()
			w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[0])
			fault := w.sandbox.Fail(c.fault)
			run := w.run(syncapi.RunRequest{})
			if run.State != syncapi.Failed || !strings.Contains(run.Reason.EN, c.reason) || run.Reason.ES == "" {
				t.Fatalf("run %+v", run)
			}
			if got := w.messages(); got != before {
				t.Fatalf("%d messages from a failed run", got-before)
			}
			fault.Cancel()
			if run := w.ok(w.run(syncapi.RunRequest{})); run.Deleted != 1 {
				t.Fatalf("run %+v", run)
			}
			w.converged()
		})
	}
}

func TestMassDeletionIsHeld(t *testing.T) {
	t.Run("more than a fifth", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 200})
		w.start()
		w.ok(w.synced())
		before := w.messages()
		w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[:41]...)
		if run := w.ok(w.run(syncapi.RunRequest{})); run.Deleted != 0 {
			t.Fatalf("run %+v", run)
		}
		if held := w.status().HeldDeletions; held == nil || held.Count != 41 || held.Known != 200 {
			t.Fatalf("held %+v", held)
		}
		if got := w.messages(); got != before {
			t.Fatalf("%d messages", got-before)
		}
		if run := w.ok(w.run(syncapi.RunRequest{ConfirmDeletions: true})); run.Deleted != 41 {
			t.Fatalf("run %+v", run)
		}
		if held := w.status().HeldDeletions; held != nil {
			t.Fatalf("held %+v", held)
		}
		w.converged()
	})
	t.Run("a fifth is not more", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 200})
		w.start()
		w.ok(w.synced())
		w.sandbox.DeleteRecords(w.sandbox.RecordIDs()[:40]...)
		if run := w.ok(w.run(syncapi.RunRequest{})); run.Deleted != 40 {
			t.Fatalf("run %+v", run)
		}
	})
	t.Run("an empty page, however few orders", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 5})
		w.start()
		w.ok(w.synced())
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.EmptyPage})
		if run := w.ok(w.run(syncapi.RunRequest{})); run.Deleted != 0 {
			t.Fatalf("run %+v", run)
		}
		if run := w.ok(w.run(syncapi.RunRequest{})); run.Unchanged != 5 {
			t.Fatalf("run %+v", run)
		}
	})
	t.Run("an empty table, however few orders", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 5})
		w.start()
		w.ok(w.synced())
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.EmptyPage, Times: -1})
		if run := w.ok(w.run(syncapi.RunRequest{})); run.Deleted != 0 {
			t.Fatalf("run %+v", run)
		}
		if held := w.status().HeldDeletions; held == nil || held.Count != 5 {
			t.Fatalf("held %+v", held)
		}
	})
}

// A listing that ends early deletes nothing: what it does not have is looked up by id (invariant 6).
func TestCutListingDeletesNothing(t *testing.T) {
	for name, fault := range map[string]airtabletest.Fault{
		"a page without offset before the end": {Do: airtabletest.LostOffset, After: 3},
		"an empty page in place of the last":   {Do: airtabletest.EmptyPage, After: 4},
		"an empty first page":                  {Do: airtabletest.EmptyPage},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 500, NoWebhookScope: true}) // which would tell of the deletion
			w.start()
			w.ok(w.synced())
			before := w.messages()
			gone := w.sandbox.RecordIDs()[450]
			w.sandbox.DeleteRecords(gone)
			if err := w.sandbox.UpdateRecord(w.sandbox.RecordIDs()[460], airtabletest.Fields{"Customer": "not listed"}); err != nil {
				t.Fatal(err)
			}
			fault.On = airtabletest.List
			struck := w.sandbox.Fail(fault)
			run := w.ok(w.run(syncapi.RunRequest{}))
			if struck.Hits() != 1 || run.Mode != syncapi.Full || run.Created != 0 || run.Updated != 1 {
				t.Fatalf("%d hits, run %+v", struck.Hits(), run)
			}
			wants, empty := 1, strings.Contains(name, "first")
			if held := w.status().HeldDeletions; empty { // nothing that was listed vouches for the look-up
				wants = 0
				if held == nil || held.Count != 1 {
					t.Fatalf("held %+v", held)
				}
			} else if held != nil {
				t.Fatalf("held %+v", held)
			}
			if run.Deleted != wants || w.messages()-before != uint64(1+wants) {
				t.Fatalf("run %+v", run)
			}
			w.ok(w.run(syncapi.RunRequest{}))
			if held := w.status().HeldDeletions; held != nil {
				t.Fatalf("held %+v", held)
			}
			w.converged()
		})
	}
	t.Run("of a stream that knows nothing yet", func(t *testing.T) { // so that nothing is missed
		w := newWorld(t, airtabletest.Config{Orders: 430})
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.LostOffset, After: 2})
		w.start()
		if run := w.ok(w.synced()); run.Created != 430 || w.status().Scan == nil {
			t.Fatalf("run %+v", run)
		}
		w.converged()
	})
	t.Run("whose last page is full, and is read once more", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 400})
		w.start()
		if run := w.ok(w.synced()); run.Created != 400 || run.Progress.Records != 400 {
			t.Fatalf("run %+v", run)
		}
		if got := w.sandbox.Calls().List; got != 5 {
			t.Errorf("%d calls to list four pages", got)
		}
	})
	t.Run("of what was modified", func(t *testing.T) {
		c := &clock{}
		w := newWorld(t, airtabletest.Config{Orders: 430, NoWebhookScope: true, Now: c.now})
		w.start(on(c))
		w.ok(w.synced())
		if err := w.sandbox.As(ana).UpdateRecords(w.sandbox.RecordIDs()[:250], airtabletest.Fields{"Customer": "pasted"}); err != nil {
			t.Fatal(err)
		}
		c.advance(10 * time.Minute)
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.LostOffset, After: 1})
		w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Incremental}))
		w.converged()
	})
	t.Run("and the look-up is empty too", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 230})
		w.start()
		w.ok(w.synced())
		before := w.messages()
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.LostOffset, After: 1})
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.EmptyPage, After: 1, Times: 2})
		if run := w.run(syncapi.RunRequest{}); run.State != syncapi.Failed || !strings.Contains(run.Reason.EN, "unreadable") {
			t.Fatalf("run %+v", run)
		}
		if run := w.ok(w.run(syncapi.RunRequest{})); run.Unchanged != 230 || w.messages() != before {
			t.Fatalf("run %+v", run)
		}
	})
}

// A table that is not there is told by its name, and with those that are.
func TestNoSuchTable(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 3})
	w.start(func(c *airtablesync.Config) { c.TableID = "tblXXXXXXXXXXXXXX" })
	run := w.synced()
	for _, reason := range []string{run.Reason.EN, run.Reason.ES} {
		if run.State != syncapi.Failed || !strings.Contains(reason, "AIRTABLE_TABLE_ID") || !strings.Contains(reason, w.sandbox.TableName()) {
			t.Fatalf("run %+v", run)
		}
	}
}

// A stream that somebody has configured otherwise is named, with the setting, to whoever asks how the sync stands.
func TestReasonNamesDrift(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 3})
	w.begun()
	stream, err := w.js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxAge = time.Hour
	if _, err := w.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	reason := w.run(syncapi.RunRequest{}).Reason
	for text, says := range map[string]string{
		reason.EN: "ORDERS is not configured as this version expects: max age is 1h0m0s instead of 0s",
		reason.ES: "ORDERS no está configurado como espera esta versión: max age es 1h0m0s en lugar de 0s",
	} {
		if !strings.Contains(text, says) {
			t.Errorf("%q does not say %q", text, says)
		}
	}
}
