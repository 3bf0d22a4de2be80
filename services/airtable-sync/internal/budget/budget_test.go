package budget_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/budget"
)

// clock stands still until it is set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func november() *clock { return &clock{at: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)} }

func meter(c *clock, limit int, interval time.Duration) *budget.Meter {
	return budget.New(budget.Config{Limit: limit, Interval: interval, Now: c.now, Log: slog.New(slog.DiscardHandler)})
}

func meterWith(c *clock, calls, limit int, interval time.Duration) *budget.Meter {
	m := meter(c, limit, interval)
	for range calls {
		m.Called("write", nil)
	}
	return m
}

var errUsedUp = &airtable.Error{Status: 429, Type: "PUBLIC_API_BILLING_LIMIT_EXCEEDED"}

func TestWithoutLimitNothingStretches(t *testing.T) {
	t.Parallel()
	c := november()
	m := meter(c, 0, 5*time.Minute)
	for range 10_000 {
		m.Called("list", nil)
	}
	p := m.Plan()
	if p.Interval != 5*time.Minute || !p.Urgent || !p.Until.IsZero() || p.Reason.EN != "" || p.Budget.SuggestedIntervalSeconds != 0 {
		t.Fatalf("%+v", p)
	}
	if !m.Affords(1e6) {
		t.Error("there is no limit to afford")
	}
}

// A month of runs at the suggested interval, each a call, with a daily scan of ten, stays within the limit.
func TestSuggestedIntervalLastsTheMonth(t *testing.T) {
	t.Parallel()
	c := november()
	const limit = 1000
	m := meter(c, limit, 5*time.Minute)
	if p := m.Plan(); p.Interval <= 5*time.Minute || p.Reason.ES == "" || p.Budget.Warning != p.Reason || p.Budget.SuggestedIntervalSeconds != p.Interval.Seconds() {
		t.Fatalf("8,640 runs a month fit into 1,000 calls: %+v", p)
	}
	runs, longest := 0, time.Duration(0)
	for scanned := (time.Time{}); c.now().Month() == time.November; {
		if c.now().Sub(scanned) >= 24*time.Hour {
			scanned = c.now()
			for range 10 {
				m.Called("list", nil)
			}
		}
		m.Called("payloads", nil)
		m.Ran(1)
		runs++
		p := m.Plan()
		if p.Budget.Calls > limit {
			t.Fatalf("%d calls on %s", p.Budget.Calls, c.now())
		}
		if p.Budget.Projected > limit {
			t.Fatalf("on %s the plan is to make %d calls", c.now(), p.Budget.Projected)
		}
		if c.now().Day() < 28 {
			longest = max(longest, p.Interval)
		}
		c.advance(p.Interval)
	}
	// 950 calls, of which 300 are the scans'.
	if runs < 550 || runs > 660 || longest > 3*time.Hour {
		t.Fatalf("%d runs, %s apart at most", runs, longest)
	}
	p := m.Plan()
	if p.Budget.Month != "2026-12" || p.Budget.Calls != 0 || p.Budget.Limit != limit || len(p.Budget.ByKind) != 0 {
		t.Fatalf("in the new month %+v", p.Budget)
	}
}

func TestWithRoomTheIntervalStays(t *testing.T) {
	t.Parallel()
	m := meter(november(), 100_000, 5*time.Minute)
	m.Called("list", nil)
	m.Ran(1)
	p := m.Plan()
	if p.Interval != 5*time.Minute || p.Reason.EN != "" || p.Budget.SuggestedIntervalSeconds <= 0 || p.Budget.SuggestedIntervalSeconds > 60 ||
		p.Budget.PacePerDay != 288 || p.Budget.Projected != 1+288*30 {
		t.Fatalf("%+v", p)
	}
}

// What edits and people cost leaves less for the schedule; when it would take all, runs between the
// scheduled ones wait too, and a scan that is only a check is not afforded.
func TestOthersComeFirst(t *testing.T) {
	t.Parallel()
	c := november()
	m := meter(c, 1000, time.Hour)
	if p := m.Plan(); p.Interval != time.Hour || !p.Urgent {
		t.Fatalf("%+v", p)
	}
	for range 20 { // a day, by the look of it
		m.Called("write", nil)
	}
	before := m.Plan()
	if before.Interval <= time.Hour || !before.Urgent {
		t.Fatalf("%+v", before)
	}
	for range 20 {
		m.Called("write", nil)
	}
	if p := m.Plan(); p.Interval != 24*time.Hour || p.Urgent {
		t.Fatalf("%+v", p)
	}
	if !m.Affords(900) || m.Affords(911) {
		t.Error("950 are there to spend, 40 are spent")
	}
	if p := meterWith(c, 40, 1000, 24*time.Hour).Plan(); p.Reason.EN != "" || p.Budget.Warning.EN == "" {
		t.Fatalf("nothing to stretch, all the more to warn of: %+v", p)
	}
	c.advance(25 * time.Hour) // a quieter day
	if p := m.Plan(); p.Interval != time.Hour || !p.Urgent {
		t.Fatalf("%+v", p)
	}
}

func TestUsedUp(t *testing.T) {
	t.Parallel()
	c := november()
	c.advance(14 * 24 * time.Hour)
	m := meter(c, 0, time.Minute)
	m.Called("list", errUsedUp)
	used := func() bool {
		p := m.Plan()
		if p.Budget.Exhausted != !p.Until.IsZero() || p.Budget.Exhausted != (p.Reason.EN != "") || p.Budget.Exhausted == p.Urgent {
			t.Fatalf("%+v", p)
		}
		return p.Budget.Exhausted
	}
	if !used() || m.Affords(0) {
		t.Fatalf("%+v", m.Plan())
	}
	m.Called("meta", nil)
	m.Called("list", errors.New("no answer"))
	m.Called("list", &airtable.Error{Status: 503})
	if !used() {
		t.Error("none of that is an answer")
	}
	m.Called("list", nil)
	if used() {
		t.Error("Airtable answers again")
	}
	m.Called("write", errUsedUp)
	c.advance(17 * 24 * time.Hour)
	if used() {
		t.Error("the month has turned")
	}
}

// One refusal proves little, and the plan may be raised: it is tried again, seldom, until the month turns.
func TestUsedUpIsProbed(t *testing.T) {
	t.Parallel()
	c := november()
	c.advance(27 * 24 * time.Hour)
	december := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	m := meter(c, 0, time.Minute)
	var waits []time.Duration
	for c.now().Before(december) {
		m.Called("list", errUsedUp)
		p := m.Plan()
		if !p.Until.After(c.now()) || p.Until.After(december) || !strings.Contains(p.Reason.EN, "2026-12-01") {
			t.Fatalf("at %s: %+v", c.now(), p)
		}
		waits = append(waits, p.Until.Sub(c.now()))
		c.advance(waits[len(waits)-1])
	}
	if waits[0] > 5*time.Minute || slices.Max(waits) > time.Hour || len(waits) > 3*24+6 {
		t.Fatalf("%d tries in three days: %v", len(waits), waits)
	}
	if m.Plan().Budget.Exhausted {
		t.Error("the month has turned")
	}
	m.Called("list", errUsedUp)
	c.advance(time.Hour)
	m.Called("list", nil)
	m.Called("list", errUsedUp)
	if got := m.Plan().Until.Sub(c.now()); got > 5*time.Minute {
		t.Errorf("a refusal after an answer is tried again after %s", got)
	}
}

func bucket(t *testing.T) (*natstest.Server, jetstream.JetStream, jetstream.KeyValue) {
	t.Helper()
	n := natstest.Start(t)
	_, js := n.Connect()
	return n, js, open(t, js)
}

func open(t *testing.T, js jetstream.JetStream) jetstream.KeyValue {
	t.Helper()
	if err := bus.Ensure(t.Context(), js, 1, bus.BucketSyncState); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), bus.BucketSyncState)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func keep(t *testing.T, m *budget.Meter, kv jetstream.KeyValue) (stop func()) {
	t.Helper()
	stop, err := m.Keep(t.Context(), kv)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func TestCountOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	_, _, kv := bucket(t)
	c := november()
	first := meter(c, 1000, time.Minute)
	first.Called("meta", nil)
	stop := keep(t, first, kv)
	first.Called("list", nil)
	first.Called("list", errUsedUp)
	first.Ran(3)
	// An instance that takes over, and calls while the first does not know of it.
	second := meter(c, 1000, time.Minute)
	second.Called("write", nil)
	stopSecond := keep(t, second, kv)
	first.Called("list", errUsedUp)
	stop()
	stopSecond()

	c.advance(time.Hour)
	third := meter(c, 1000, time.Minute)
	keep(t, third, kv)()
	b := third.Plan().Budget
	if b.Calls != 5 || b.ByKind["list"] != 3 || b.ByKind["meta"] != 1 || b.ByKind["write"] != 1 || !b.Exhausted || !third.Plan().Until.Equal(november().now().Add(5*time.Minute)) || !b.Since.Equal(november().now()) {
		t.Fatalf("%+v", b)
	}
	keep(t, third, kv)()
	if again := third.Plan().Budget; again.Calls != 5 {
		t.Fatalf("saved again %+v", again)
	}
	c.advance(30 * 24 * time.Hour)
	fourth := meter(c, 1000, time.Minute)
	keep(t, fourth, kv)()
	if b := fourth.Plan().Budget; b.Calls != 0 || b.Exhausted || b.Month != "2026-12" {
		t.Fatalf("next month %+v", b)
	}
}

// A bucket that is lost, or set back, learns the count again from a process that runs.
func TestLostBucket(t *testing.T) {
	t.Parallel()
	_, js, kv := bucket(t)
	c := november()
	m := meter(c, 0, time.Minute)
	m.Called("list", nil)
	keep(t, m, kv)()
	old, err := kv.Get(t.Context(), "budget")
	if err != nil {
		t.Fatal(err)
	}
	m.Called("list", nil)
	keep(t, m, kv)()
	if _, err := kv.Put(t.Context(), "budget", old.Value()); err != nil {
		t.Fatal(err)
	}
	m.Called("list", nil)
	keep(t, m, kv)()
	if b := m.Plan().Budget; b.Calls != 3 {
		t.Fatalf("set back: %+v", b)
	}
	if err := js.DeleteKeyValue(t.Context(), bus.BucketSyncState); err != nil {
		t.Fatal(err)
	}
	kv = open(t, js)
	keep(t, m, kv)()
	other := meter(c, 0, time.Minute)
	keep(t, other, kv)()
	if b := other.Plan().Budget; b.Calls != 3 {
		t.Fatalf("lost: %+v", b)
	}
}
