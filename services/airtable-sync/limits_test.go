package airtablesync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// Invariant 5. An order larger than NATS's max_payload keeps nothing else from being published, nor its own edits.
func TestOrderLargerThanMaxPayload(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 30}, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	ids := w.sandbox.RecordIDs()
	large, notes := ids[3], strings.Repeat("Ñ", 90_000)
	w.update(large, airtabletest.Fields{"Notes": notes})
	w.begun()
	if got := w.messages(); got != 30 {
		t.Fatalf("%d of 30 orders are published", got)
	}
	c, _ := w.newest(large)
	if len(c.Order.Truncated) != 1 || c.Order.Truncated[0] != "Notes" {
		t.Errorf("truncated %q", c.Order.Truncated)
	}
	if p := w.status().OrderProblems; len(p) != 1 || p[0].RecordID != large || !strings.Contains(p[0].Reason.EN, "truncated") {
		t.Errorf("problems %+v", p)
	}
	all := w.editsOf(ids)
	w.accept(all...)
	w.applied(all...)
	before := w.messages()
	for _, mode := range []syncapi.Mode{syncapi.Webhook, syncapi.Incremental, syncapi.Full} {
		if run := w.ok(w.run(syncapi.RunRequest{Mode: mode})); run.Created+run.Updated+run.Deleted != 0 {
			t.Errorf("published for nothing: %+v", run)
		}
	}
	// What is beyond the cut changes: that is news as well.
	w.update(large, airtabletest.Fields{"Notes": notes + "."})
	if run := w.ok(w.run(syncapi.RunRequest{})); run.Updated != 1 {
		t.Errorf("a change in a truncated cell: %+v", run)
	}
	w.update(large, airtabletest.Fields{"Notes": "short"})
	w.ok(w.run(syncapi.RunRequest{}))
	w.converged()
	if got := w.messages(); got != before+2 {
		t.Errorf("%d events for two changes", got-before)
	}
	if p := w.status().OrderProblems; len(p) != 0 {
		t.Errorf("problems %+v", p)
	}
}

// Nor are choices that come to more than that: neither the schema, nor the status, nor the reason of a rejection.
func TestChoicesLargerThanMaxPayload(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 3}, func(o *server.Options) { o.MaxPayload = 256 << 10 })
	for i := range 100 {
		if err := w.sandbox.AddChoice("Status", fmt.Sprint("Choice ", i, strings.Repeat(" of many", 400))); err != nil {
			t.Fatal(err)
		}
	}
	id := w.sandbox.RecordIDs()[0]
	value := w.other(id)
	if err := w.sandbox.RemoveChoice("Status", value); err != nil {
		t.Fatal(err)
	}
	w.begun()
	e := edit(id, value, "")
	w.accept(e)
	w.rejected(e, "Choice 0 of many")
}
