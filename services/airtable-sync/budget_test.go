package airtablesync_test

import (
	"strings"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

func TestBudgetCountsEveryCall(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 230})
	stop := w.start()
	w.ok(w.synced())
	w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Customer": "x"})
	w.poll()
	w.ok(w.run(syncapi.RunRequest{}))
	counted := func() (st syncapi.Status) {
		st = w.status()
		calls := w.sandbox.Calls()
		want := map[string]int{"list": calls.List, "meta": calls.Meta, "payloads": calls.Payloads, "webhook": calls.Webhooks}
		for kind, n := range want {
			if st.Budget.ByKind[kind] != n {
				t.Fatalf("%d calls %s, counted %+v", n, kind, st.Budget)
			}
		}
		if st.Budget.Calls != calls.Total() || st.Budget.Month != time.Now().UTC().Format("2006-01") || st.Budget.Projected < st.Budget.Calls {
			t.Fatalf("calls %+v, budget %+v", calls, st.Budget)
		}
		return st
	}
	if st := counted(); st.Budget.Limit != 0 || st.Budget.SuggestedIntervalSeconds != 0 || st.IntervalSeconds != 3600 || st.IntervalReason.EN != "" {
		t.Fatalf("state %+v", st)
	}
	stop()
	w.start()
	w.ok(w.synced())
	counted()
}

func TestBudgetStretchesTheInterval(t *testing.T) {
	c := &clock{}
	c.advance(time.Until(time.Date(2031, 3, 2, 0, 0, 0, 0, time.UTC)))
	w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now})
	w.start(on(c), func(cfg *airtablesync.Config) { cfg.MonthlyLimit, cfg.IntervalMinutes = 1000, 0.001 })
	w.ok(w.synced())
	st := w.status()
	interval := time.Duration(st.IntervalSeconds) * time.Second
	// 950 calls, less those of the start each day, for the 30 days left.
	if interval < 45*time.Minute || interval > 70*time.Minute || !strings.Contains(st.IntervalReason.EN, "AIRTABLE_MONTHLY_LIMIT") || st.IntervalReason.ES == "" ||
		st.Budget.Limit != 1000 || st.Budget.Projected > 1000 || st.Budget.SuggestedIntervalSeconds != st.IntervalSeconds || st.Budget.Warning != st.IntervalReason {
		t.Fatalf("%s, %+v", interval, st)
	}
	if until := st.NextRunAt.Sub(c.now()); until < interval-time.Minute || until > interval {
		t.Fatalf("the next run in %s, the interval is %s", until, interval)
	}
	runs := len(st.Recent)
	c.advance(interval + time.Second)
	w.eventually("run on schedule", func() bool { st = w.status(); return len(st.Recent) > runs })
	if w.settled() != runs+1 || st.Last.Trigger != "interval" {
		t.Fatalf("state %+v", st)
	}
	// The new month starts from nothing; what the last hours cost still shows.
	c.advance(time.Date(2031, 4, 1, 1, 0, 0, 0, time.UTC).Sub(c.now()))
	w.eventually("run in April", func() bool { return w.status().Budget.Month == "2031-04" && w.settled() > runs+1 })
	if st := w.status(); st.Budget.Calls > 6 || st.Budget.Since.Day() != 1 {
		t.Fatalf("budget %+v", st.Budget)
	}
}

func TestMonthUsedUp(t *testing.T) {
	c := &clock{}
	c.advance(time.Until(time.Date(2031, 3, 20, 0, 0, 0, 0, time.UTC)))
	w := newWorld(t, airtabletest.Config{Orders: 130, Now: c.now, PingRetry: time.Millisecond})
	r := newRelay(w)
	scheduled := func(cfg *airtablesync.Config) { cfg.IntervalMinutes = 0.001 }
	stop := w.start(on(c), scheduled, r.public)
	w.ok(w.synced())
	w.sandbox.SetQuota(100, 100)
	tick := func() { c.advance(time.Second) }
	w.eventually("refused", func() bool { tick(); st := w.status(); return st.Budget.Exhausted })
	calm := func() {
		w.Helper()
		w.settled()
		calls := w.sandbox.Calls().Total()
		began := time.Now()
		w.update(w.sandbox.RecordIDs()[0], airtabletest.Fields{"Amount": w.sandbox.Calls().Total()}) // which pings
		w.eventually("many intervals pass", func() bool { tick(); return time.Since(began) > 300*time.Millisecond })
		if got := w.sandbox.Calls().Total(); got != calls {
			t.Fatalf("%d calls although the month is used up", got-calls)
		}
		st := w.status()
		if wait := st.NextRunAt.Sub(c.now()); !st.Budget.Exhausted || !strings.Contains(st.IntervalReason.EN, "2031-04-01") || wait <= 0 || wait > time.Hour || st.Budget.Warning.ES == "" {
			t.Fatalf("state %+v", st)
		}
	}
	calm()
	// Somebody asks: it is tried.
	if run := w.run(syncapi.RunRequest{}); run.State != syncapi.Failed || !strings.Contains(run.Reason.EN, "used up") {
		t.Fatalf("run %+v", run)
	}
	calm()
	// A restart does not go on calling either.
	stop()
	w.start(on(c), scheduled, r.public)
	w.synced()
	calm()
	// For a day it is tried now and then, edits wait, and then somebody pays: nobody has to ask.
	id := w.sandbox.RecordIDs()[5]
	e := edit(id, w.other(id), "")
	w.accept(e)
	w.until("trouble", func() bool { return strings.Contains(w.status().Edits.Error.EN, "used up") })
	w.update(w.sandbox.RecordIDs()[6], airtabletest.Fields{"Customer": "while it was used up"})
	hour := func() { c.advance(time.Hour + time.Second); w.settled() }
	calls := w.sandbox.Calls().Total()
	for range 24 {
		runs := w.status().Last.ID
		hour()
		w.eventually("a try", func() bool { return w.status().Last.ID != runs })
	}
	if got := w.sandbox.Calls().Total() - calls; got < 24 || got > 30 {
		t.Fatalf("%d calls in a day", got)
	}
	w.sandbox.SetQuota(1000, 100)
	hour()
	w.eventually("scheduled again", func() bool { st := w.status(); return !st.Budget.Exhausted && st.Last.State == syncapi.Succeeded })
	w.applied(e)
	w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Webhook}))
	w.converged()
	w.sandbox.SetQuota(100, 100)
	w.eventually("refused again", func() bool { tick(); return w.status().Budget.Exhausted })
	calm()
	c.advance(time.Date(2031, 4, 1, 0, 0, 1, 0, time.UTC).Sub(c.now()))
	w.eventually("a new month", func() bool {
		tick()
		st := w.status()
		return st.Last.State == syncapi.Succeeded && !st.Budget.Exhausted
	})
	w.ok(w.run(syncapi.RunRequest{}))
	w.converged()
}

func TestConfigMistakes(t *testing.T) {
	w := newWorld(t, airtabletest.Config{})
	cfg := w.config()
	for _, mode := range []string{"auto", "webhook", "incremental", "full"} {
		cfg.Mode = mode
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	cfg.Mode, cfg.MonthlyLimit = "often", -1
	for _, url := range []string{"example.com", "ftp://example.com", "https://", "https://example.com/?a=b", "https://example.com/#a", "https://[::1"} {
		cfg.PublicURL = url
		err := cfg.Validate()
		for _, variable := range []string{"SYNC_MODE: ", "PUBLIC_URL: ", "AIRTABLE_MONTHLY_LIMIT: "} {
			if err == nil || strings.Count(err.Error(), variable) != 1 {
				t.Errorf("%s: %s in %v", url, variable, err)
			}
		}
	}
}
