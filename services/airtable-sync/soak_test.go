package airtablesync_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// Edits and foreign changes at once, on few records, while Airtable misbehaves, scans run, NATS goes
// away and the service is killed: no edit is forgotten or ends in two ways, the last edit of a record
// that nobody else touches is what Airtable holds, and the stream says what Airtable holds.
func TestEditsOutlastAllAtOnce(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 130})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	kill := w.spawn()
	w.ok(w.synced())
	for i, f := range []airtabletest.Fault{
		{On: airtabletest.Write, Do: airtabletest.CutConnection}, {On: airtabletest.Write, Do: airtabletest.Unavailable},
		{On: airtabletest.Write, Do: airtabletest.Drop, Applied: true}, {On: airtabletest.List, Do: airtabletest.BadGateway},
		{On: airtabletest.Write, Do: airtabletest.RateLimited, RetryAfter: time.Second},
		{On: airtabletest.List, Do: airtabletest.Slow, Delay: 200 * time.Millisecond},
		{On: airtabletest.Write, Do: airtabletest.Slow, Delay: 100 * time.Millisecond},
	} {
		f.Probability, f.Times, f.Seed = 0.05, -1, seed+uint64(i)+1
		w.sandbox.Fail(f)
	}
	ids := w.sandbox.RecordIDs()
	shared, ours := ids[:12], ids[12:]
	last := map[string]*event.OrderEdit{}
	var edits []*event.OrderEdit
	for step := range 200 {
		for range 1 + rng.IntN(4) {
			id := ids[rng.IntN(len(ids))]
			if rng.IntN(2) == 0 {
				id = ids[rng.IntN(24)] // so that edits of one record meet
			}
			e := edit(id, event.Statuses[rng.IntN(5)], "")
			if rng.IntN(4) == 0 {
				e = edit(id, "", event.Priorities[rng.IntN(3)])
			}
			w.accept(e)
			edits = append(edits, e)
			if _, wanted := e.Values["status"]; wanted {
				last[id] = e
			}
		}
		if rng.IntN(5) == 0 {
			f := airtabletest.Fields{"Status": event.Statuses[rng.IntN(5)]}
			if err := w.sandbox.UpdateRecord(shared[rng.IntN(len(shared))], f); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(10) == 0 {
			if err := w.sandbox.UpdateRecord(ours[rng.IntN(len(ours))], airtabletest.Fields{"Notes": event.NewID()}); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case step == 100:
			kill()
			kill = w.spawn()
		case step%61 == 30:
			w.restartNATS()
		case step%37 == 0:
			w.ask(syncapi.SubjectRun, syncapi.RunRequest{Mode: []syncapi.Mode{syncapi.Full, syncapi.Incremental, syncapi.Webhook}[rng.IntN(3)]}, &syncapi.RunAccepted{})
		}
		time.Sleep(time.Duration(rng.IntN(25)) * time.Millisecond) // the pace of people
	}
	w.sandbox.Heal()
	w.until("the edits", func() bool { return w.waiting() == 0 })
	w.runUntilOK()
	w.runUntilOK()
	w.converged()
	for _, id := range ours {
		if e := last[id]; e != nil && w.cell(id, "Status") != e.Values["status"] {
			t.Errorf("%s holds %v, its last edit wanted %s", id, w.cell(id, "Status"), e.Values["status"])
		}
	}
	ends := map[string]event.EditState{}
	for _, m := range w.stored(event.OrdersEdited) {
		e, _, err := event.ParseOrderEdited(m.Subject(), m.Headers(), m.Data())
		if err != nil {
			t.Fatal(err)
		}
		if was := ends[e.ID]; was != "" && was != e.State {
			t.Errorf("edit %s is %s and %s", e.ID, was, e.State)
		}
		ends[e.ID] = e.State
	}
	for _, e := range edits {
		if ends[e.ID] == event.Rejected && slices.Contains(ours, e.RecordID) {
			t.Errorf("edit %s of %s lost to nobody", e.ID, e.RecordID)
		}
	}
	made := map[string]int{}
	for _, e := range edits {
		made[e.RecordID]++
	}
	for _, e := range edits {
		// Of each record, the stream keeps the last ones only.
		if made[e.RecordID] <= bus.HistoryPerOrder && ends[e.ID] == "" {
			t.Errorf("edit %s of %s did not end", e.ID, e.RecordID)
		}
	}
	t.Logf("%d edits, %d ends kept", len(edits), len(ends))
}
