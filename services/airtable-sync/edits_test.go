package airtablesync_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/pkg/servicetest"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

// accept puts edits into EDITS, as the orders service does.
func (w *world) accept(edits ...*event.OrderEdit) {
	w.Helper()
	if err := bus.Ensure(w.Context(), w.js, 1, bus.StreamEdits); err != nil {
		w.Fatal(err)
	}
	acks := make([]jetstream.PubAckFuture, len(edits))
	for i, e := range edits {
		id := e.ID
		if w.accepted[id] { // it is queued again
			id = event.NewID()
		}
		w.accepted[e.ID] = true
		var err error
		if acks[i], err = w.js.PublishMsgAsync(editMessage(w, id, e)); err != nil {
			w.Fatal(err)
		}
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			w.Fatal(err)
		}
	}
}

func editMessage(t testing.TB, id string, e *event.OrderEdit) *nats.Msg {
	msg, err := event.NewOrderEdit(event.Envelope{ID: id, Source: "/orders", Time: e.RequestedAt}, e)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func edit(id, status, priority string) *event.OrderEdit {
	e := &event.OrderEdit{
		ID: event.NewID(), RecordID: id, Actor: event.Actor{ID: "u1", Email: "ana@resonance.example"}, RequestedAt: time.Now().UTC(),
		Values: event.EditValues{},
	}
	if status != "" {
		e.Values["status"] = status
	}
	if priority != "" {
		e.Values["priority"] = priority
	}
	return e
}

// patience bounds what should happen soon; only a failing test waits that long.
const patience = 60 * time.Second

func (w *world) until(what string, done func() bool) {
	w.Helper()
	servicetest.Eventually(w, what, done)
}

// ends waits until every edit is settled and acknowledged, and returns how, by edit id. Each has
// ended once.
func (w *world) ends(edits ...*event.OrderEdit) map[string]*event.OrderEdited {
	w.Helper()
	w.until("the edits", func() bool { return w.waiting() == 0 })
	ends := map[string]*event.OrderEdited{}
	for _, msg := range w.stored(event.OrdersEdited) {
		e, _, err := event.ParseOrderEdited(msg.Subject(), msg.Headers(), msg.Data())
		if err != nil {
			w.Fatal(err)
		}
		if ends[e.ID] != nil {
			w.Fatalf("edit %s ended twice: %s, then %s", e.ID, ends[e.ID].State, e.State)
		}
		ends[e.ID] = e
	}
	for _, e := range edits {
		if ends[e.ID] == nil {
			w.Fatalf("edit %s of %s did not end", e.ID, e.RecordID)
		}
	}
	return ends
}

func (w *world) applied(edits ...*event.OrderEdit) {
	w.Helper()
	ends := w.ends(edits...)
	for _, e := range edits {
		if got := ends[e.ID]; got.State != event.Applied {
			w.Fatalf("edit %s of %s: %s, %v", e.ID, e.RecordID, got.State, got.Reason)
		}
	}
}

func (w *world) rejected(e *event.OrderEdit, reason string) {
	w.Helper()
	got := w.ends(e)[e.ID]
	if got.State != event.Rejected || !strings.Contains(got.Reason.EN, reason) || got.Reason.ES == "" {
		w.Fatalf("edit %s: %s, %+v, want %q", e.ID, got.State, got.Reason, reason)
	}
}

// waiting is how many messages EDITS holds.
func (w *world) waiting() uint64 {
	w.Helper()
	s, err := w.js.Stream(w.Context(), bus.StreamEdits)
	if err != nil {
		return 1 // NATS is away, or starts
	}
	return s.CachedInfo().State.Msgs
}

// stored reads the messages of ORDERS that a subject matches.
func (w *world) stored(subject string) (all []jetstream.Msg) {
	w.Helper()
	stream, err := w.js.Stream(w.Context(), bus.StreamOrders)
	if err != nil {
		w.Fatal(err)
	}
	return w.read(stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
}

// read reads what a consumer has to deliver now.
func (w *world) read(stream jetstream.Stream, cfg jetstream.OrderedConsumerConfig) (all []jetstream.Msg) {
	w.Helper()
	cons, err := stream.OrderedConsumer(w.Context(), cfg)
	if err != nil {
		w.Fatal(err)
	}
	if cons.CachedInfo().NumPending == 0 {
		return nil
	}
	batch, err := cons.Fetch(int(cons.CachedInfo().NumPending), jetstream.FetchMaxWait(patience))
	if err != nil {
		w.Fatal(err)
	}
	for msg := range batch.Messages() {
		all = append(all, msg)
	}
	if err := batch.Error(); err != nil {
		w.Fatal(err)
	}
	return all
}

// changes counts the order.changed events.
func (w *world) changes() int { return len(w.stored(event.OrdersChanged)) }

func (w *world) cell(id, field string) any {
	w.Helper()
	r, ok := w.sandbox.Record(id)
	if !ok {
		w.Fatalf("no record %s", id)
	}
	return r.Fields[field]
}

// unchanged checks that another run, in whatever mode, publishes nothing.
func (w *world) unchanged() {
	w.Helper()
	before := w.changes()
	for _, mode := range []syncapi.Mode{syncapi.Webhook, syncapi.Incremental, syncapi.Full} {
		if run := w.ok(w.run(syncapi.RunRequest{Mode: mode})); run.Created+run.Updated+run.Deleted != 0 {
			w.Fatalf("an edit came back as a foreign change: %+v", run)
		}
	}
	if got := w.changes(); got != before {
		w.Fatalf("%d events for nothing", got-before)
	}
	w.converged()
}

// other is a status that the record does not have.
func (w *world) other(id string) string {
	if w.cell(id, "Status") == "Sent" {
		return "Delivered"
	}
	return "Sent"
}

// begun starts a syncer, and waits for its first run.
func (w *world) begun() (stop func()) {
	w.Helper()
	stop = w.start()
	w.ok(w.synced())
	return stop
}

func TestOneEditArrivesAtOnce(t *testing.T) {
	for name, cfg := range map[string]airtabletest.Config{
		"metadata": {Orders: 130}, "by name": {Orders: 130, NoSchemaScope: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, cfg)
			w.start()
			w.ok(w.synced())
			w.sandbox.ResetCalls()
			before := w.changes()
			id := w.sandbox.RecordIDs()[77]
			was := w.cell(id, "Status")
			e := edit(id, w.other(id), "")
			w.accept(e)
			w.applied(e)
			if took := time.Since(e.RequestedAt); took > 3*time.Second {
				t.Errorf("took %s", took)
			}
			if got := w.cell(id, "Status"); got != e.Values["status"] {
				t.Fatalf("Airtable holds %v", got)
			}
			if c := w.sandbox.Calls(); c.Total() != 1 || c.Write != 1 {
				t.Fatalf("calls %+v", c)
			}
			c, env := w.newest(id)
			if c.Change != event.Updated || *c.Order.Status != e.Values["status"] || !slices.Equal(c.EditIDs, []string{e.ID}) ||
				c.Actor == nil || c.Actor.ID != "u1" || string(c.Previous["status"]) != fmt.Sprintf("%q", was) || env.Digest == "" {
				t.Fatalf("event %+v", c)
			}
			if got := w.changes(); got != before+1 {
				t.Fatalf("%d changes", got-before)
			}
			w.unchanged()
			if got := w.status().APICalls.ByKind["update"]; got != 1 {
				t.Fatalf("%d updates in the status", got)
			}
		})
	}
}

// An edit whose outcome the projection could not read is queued again by the orders service, and ends again: at first
// as it did, then without the words that may be why.
func TestOutcomeOfARequeuedEdit(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 5})
	w.begun()
	ids := w.sandbox.RecordIDs()
	applied, rejected := edit(ids[0], w.other(ids[0]), ""), edit(ids[1], "Lost", "")
	reasons := map[string][]string{}
	for range 3 {
		w.accept(applied, rejected)
		w.until("the edits", func() bool { return w.waiting() == 0 })
	}
	for _, msg := range w.stored(event.OrdersEdited) {
		e, env, err := event.ParseOrderEdited(msg.Subject(), msg.Headers(), msg.Data())
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]event.EditState{applied.ID: event.Applied, rejected.ID: event.Rejected}[e.ID]; e.State != want {
			t.Errorf("%s: %s, want %s", env.ID, e.State, want)
		}
		reason := ""
		if e.Reason != nil {
			reason = e.Reason.EN
		}
		reasons[e.ID] = append(reasons[e.ID], reason)
	}
	if got := reasons[applied.ID]; len(got) != 3 {
		t.Errorf("the applied edit ended %d times", len(got))
	}
	got := reasons[rejected.ID]
	if len(got) != 3 || !strings.Contains(got[0], "not a choice") || got[1] != got[0] || !strings.Contains(got[2], "dead letters") {
		t.Errorf("the rejected edit ended with %q", got)
	}
	if w.sandbox.Calls().Write > 3 { // both at once, and each alone
		t.Errorf("calls %+v", w.sandbox.Calls())
	}
}

func TestEditsAreBatched(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 1200})
	w.begun()
	w.sandbox.ResetCalls()
	var edits []*event.OrderEdit
	for _, id := range w.sandbox.RecordIDs()[:1000] {
		edits = append(edits, edit(id, w.other(id), ""))
	}
	w.accept(edits...)
	w.applied(edits...)
	if c := w.sandbox.Calls(); c.Write > 110 || c.List > 12 || c.Total() != c.Write+c.List {
		t.Fatalf("calls %+v", c)
	}
	seen := map[string]bool{}
	for _, wr := range w.sandbox.Writes(0) {
		for _, r := range wr.Records {
			if seen[r.ID] {
				t.Fatalf("%s was written twice", r.ID)
			}
			seen[r.ID] = true
		}
	}
	w.unchanged()
}

func TestEditsOfOneRecordAreFolded(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 20})
	w.begun()
	away := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Unavailable, Times: -1})
	id := w.sandbox.RecordIDs()[3]
	var edits []*event.OrderEdit
	for i := range 3000 {
		edits = append(edits, edit(id, event.Statuses[i%5], ""))
	}
	edits = append(edits, edit(id, "", "Low"), edit(id, "Sent", "")) // news, even if it is written alone
	w.accept(edits...)
	w.until("a try", func() bool { return away.Hits() > 0 })
	away.Cancel()
	w.until("the edits", func() bool { return w.waiting() == 0 })
	writes := w.sandbox.Writes(0)
	if len(writes) > 60 { // of a thousand at once, less where they come in meanwhile
		t.Fatalf("%d writes", len(writes))
	}
	if w.cell(id, "Status") != "Sent" || w.cell(id, "Priority") != "Low" {
		t.Fatalf("%v", w.sandbox.Records()[3].Fields)
	}
	c, _ := w.newest(id)
	if last := edits[len(edits)-1].ID; c.EditIDs[len(c.EditIDs)-1] != last {
		t.Fatalf("the last edit is not the event's last: %v", c.EditIDs)
	}
	w.unchanged()
}

// The guilty record is found, the others go through, and the reasons say what is wrong.
func TestRefusedEditsAreRejectedAlone(t *testing.T) {
	for _, cfg := range []airtabletest.Config{{Orders: 60}, {Orders: 60, NoSchemaScope: true}} {
		t.Run(fmt.Sprint("schema ", !cfg.NoSchemaScope), func(t *testing.T) {
			w := newWorld(t, cfg)
			w.start()
			w.ok(w.synced())
			ids := w.sandbox.RecordIDs()
			if err := w.sandbox.RemoveChoice("Status", "Cancelled"); err != nil {
				t.Fatal(err)
			}
			w.ok(w.run(syncapi.RunRequest{})) // else the cells that emptied may count as newer than the edits
			w.sandbox.DeleteRecords(ids[4])
			var good []*event.OrderEdit
			missing, bad, half := edit(ids[4], "Sent", ""), edit(ids[7], "Cancelled", ""), edit(ids[11], "Cancelled", "Low")
			priority := w.cell(ids[11], "Priority")
			all := []*event.OrderEdit{missing, bad, half}
			for _, id := range ids[12:40] {
				good = append(good, edit(id, w.other(id), ""))
			}
			// Of one record, the newest is refused, and the one before it counts.
			first, second := edit(ids[8], "Delivered", ""), edit(ids[8], "Cancelled", "")
			ok, refused := edit(ids[9], "", "High"), edit(ids[9], "Cancelled", "")
			good = append(good, first, ok)
			w.accept(append(append(all, good...), second, refused)...)
			w.applied(good...)
			w.rejected(missing, "no longer")
			for _, e := range []*event.OrderEdit{bad, half, second, refused} {
				w.rejected(e, "not a choice")
				if got := w.ends(e)[e.ID].Reason.EN; !cfg.NoSchemaScope && !strings.HasSuffix(got, "its choices are: “Pending”, “Processing”, “Sent”, “Delivered”") {
					t.Fatal(got)
				}
			}
			if w.cell(ids[8], "Status") != "Delivered" || w.cell(ids[9], "Priority") != "High" || w.cell(ids[11], "Priority") != priority {
				t.Fatalf("%v, %v, %v", w.cell(ids[8], "Status"), w.cell(ids[9], "Priority"), w.cell(ids[11], "Priority"))
			}
			if c, _ := w.newest(ids[4]); c.Change == event.Deleted {
				t.Fatal("a deletion was concluded from a lone refusal (invariant 6)")
			}
			w.ok(w.run(syncapi.RunRequest{}))
			w.converged()
		})
	}
}

func TestNoRightToWrite(t *testing.T) {
	t.Run("the token", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 40})
		w.begun()
		w.sandbox.ResetCalls()
		first := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Unavailable, Delay: time.Hour})
		edits := w.editsOf(w.sandbox.RecordIDs())
		w.accept(edits...)
		w.until("the first write", func() bool { return first.Hits() == 1 })
		w.until("the others", func() bool { return w.status().Edits.Pending == len(edits) })
		w.sandbox.Revoke(airtabletest.RecordsWrite)
		first.Cancel()
		for _, e := range edits {
			w.rejected(e, "may not write")
		}
		if c := w.sandbox.Calls(); c.Total() > 40 { // ten edits at a time, while they are fresh
			t.Fatalf("calls %+v", c)
		}
		w.unchanged()
	})
	t.Run("a field", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 40})
		w.begun()
		if err := w.sandbox.LockField("Priority", true); err != nil {
			t.Fatal(err)
		}
		ids := w.sandbox.RecordIDs()
		good, bad := edit(ids[1], w.other(ids[1]), ""), edit(ids[1], "", "Low")
		both := edit(ids[2], w.other(ids[2]), "Low")
		w.accept(good, bad, both)
		w.applied(good)
		w.rejected(bad, "may not write to “Priority”")
		w.rejected(both, "may not write to “Priority”")
		w.unchanged()
	})
	t.Run("a passing fault", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 40})
		w.begun()
		w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Forbidden})
		id := w.sandbox.RecordIDs()[1]
		e := edit(id, w.other(id), "")
		w.accept(e)
		w.applied(e)
	})
	t.Run("to nothing at all", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 40})
		w.begun()
		fault := w.sandbox.Fail(airtabletest.Fault{Do: airtabletest.Forbidden, Times: -1})
		id := w.sandbox.RecordIDs()[1]
		e := edit(id, w.other(id), "")
		w.accept(e)
		w.until("trouble", func() bool { return w.status().Edits.Error.EN != "" })
		fault.Cancel()
		w.applied(e)
	})
	t.Run("no such column", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 40})
		w.start(func(c *airtablesync.Config) { c.FieldPriority = "-" })
		w.ok(w.synced())
		ids := w.sandbox.RecordIDs()
		none, good := edit(ids[1], "", "Low"), edit(ids[1], w.other(ids[1]), "")
		w.accept(none, good)
		w.applied(good)
		w.rejected(none, "AIRTABLE_FIELD_PRIORITY")
	})
	t.Run("a computed field", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 40})
		w.begun()
		if err := w.sandbox.ConvertToFormula("Priority", "'Low'"); err != nil {
			t.Fatal(err)
		}
		e := edit(w.sandbox.RecordIDs()[1], "", "High")
		w.accept(e)
		w.rejected(e, "computed")
	})
}

// What is no verdict delays edits, and loses none: all arrive afterwards, in order, once each.
func TestEditsOutlastFaults(t *testing.T) {
	for name, f := range map[string]airtabletest.Fault{
		"429":                   {Do: airtabletest.RateLimited, RetryAfter: time.Second, Times: 2},
		"503":                   {Do: airtabletest.Unavailable, Times: 3},
		"500":                   {Do: airtabletest.InternalError, Times: 2},
		"502":                   {Do: airtabletest.BadGateway, Times: 2},
		"401":                   {Do: airtabletest.Unauthorized, Times: 2},
		"HTML":                  {Do: airtabletest.HTML, Times: 2},
		"dropped":               {Do: airtabletest.Drop, Times: 2},
		"cut after the effect":  {Do: airtabletest.CutConnection},
		"half an answer":        {Do: airtabletest.TruncatedJSON},
		"503 after the effect":  {Do: airtabletest.Unavailable, Applied: true},
		"drop after the effect": {Do: airtabletest.Drop, Applied: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 60})
			w.begun()
			f.On = airtabletest.Write
			fault := w.sandbox.Fail(f)
			var edits []*event.OrderEdit
			for _, id := range w.sandbox.RecordIDs()[:25] {
				edits = append(edits, edit(id, w.other(id), ""))
			}
			before := w.changes()
			w.accept(edits...)
			w.applied(edits...)
			if fault.Hits() == 0 {
				t.Fatal("the fault did not strike")
			}
			seen := map[string]bool{}
			for _, wr := range w.sandbox.Writes(0) {
				for _, r := range wr.Records {
					if seen[r.ID] {
						t.Fatalf("%s was written twice", r.ID)
					}
					seen[r.ID] = true
				}
			}
			if got := w.changes(); got != before+len(edits) {
				t.Fatalf("%d changes of %d edits", got-before, len(edits))
			}
			for _, e := range edits {
				if c, _ := w.newest(e.RecordID); !slices.Equal(c.EditIDs, []string{e.ID}) {
					t.Fatalf("%s: %v", e.RecordID, c.EditIDs)
				}
			}
			w.unchanged()
		})
	}
}

func TestBillingLimitStopsWriting(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 60})
	w.begun()
	w.sandbox.SetQuota(1, 1)
	id := w.sandbox.RecordIDs()[5]
	e := edit(id, w.other(id), "")
	w.sandbox.ResetCalls()
	w.accept(e)
	w.until("trouble", func() bool { return strings.Contains(w.status().Edits.Error.EN, "used up") })
	st := w.status().Edits
	if st.Pending != 1 || st.OldestSeconds == nil {
		t.Fatalf("%+v", st)
	}
	if got := w.sandbox.Calls().Total(); got > 2 {
		t.Fatalf("%d calls", got)
	}
	w.sandbox.SetQuota(0, 0)
	w.ok(w.run(syncapi.RunRequest{})) // shows that Airtable answers again
	w.applied(e)
	if st := w.status().Edits; st.Pending != 0 || st.Error.EN != "" {
		t.Fatalf("%+v", st)
	}
}

// A 429 of a write keeps everybody from calling for as long as Airtable asks.
func TestRefusedPaceSilencesAll(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 60})
	w.start(realWaits)
	w.ok(w.synced())
	w.sandbox.ResetCalls()
	const silence = 2 * time.Second
	fault := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.RateLimited, RetryAfter: silence})
	id := w.sandbox.RecordIDs()[5]
	e := edit(id, w.other(id), "")
	w.accept(e)
	<-fault.Done()
	struck := time.Now()
	w.until("trouble", func() bool { return w.status().Edits.Error.EN != "" })
	w.ok(w.run(syncapi.RunRequest{}))
	if took := time.Since(struck); took < silence-200*time.Millisecond {
		t.Fatalf("a run ended %s after the 429", took)
	}
	w.applied(e)
	if got := w.sandbox.Calls().Write; got != 2 {
		t.Fatalf("%d writes", got)
	}
}

// An instance that does not know yet that it lost its turn writes nothing: whoever has it may have
// written a later edit already.
func TestLostTurnWritesNothing(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 60})
	w.begun()
	kv, err := w.js.KeyValue(t.Context(), bus.BucketSyncState)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "lease", "another"); err != nil {
		t.Fatal(err)
	}
	id := w.sandbox.RecordIDs()[5]
	e := edit(id, w.other(id), "")
	w.accept(e)
	w.until("the end of its turn", func() bool {
		ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
		defer cancel()
		_, err := bus.Ask(ctx, w.nc, syncapi.SubjectStatus, syncapi.StatusRequest{})
		return errors.Is(err, nats.ErrNoResponders)
	})
	if got := len(w.sandbox.Writes(0)); got != 0 {
		t.Fatalf("%d writes", got)
	}
	if err := kv.Delete(t.Context(), "lease"); err != nil {
		t.Fatal(err)
	}
	w.applied(e)
	w.unchanged()
}

// ours and theirs: whoever changed the cell later has it, and both are told.
func TestNewerForeignChangeWins(t *testing.T) {
	t.Run("after the edit", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 60})
		w.begun()
		away := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Unavailable, Times: -1})
		ids := w.sandbox.RecordIDs()
		lost, kept := edit(ids[5], "Sent", ""), edit(ids[5], "", "Low")
		other := edit(ids[6], "Sent", "High")
		w.accept(lost, kept, other)
		w.until("a try", func() bool { return away.Hits() > 0 })
		if err := w.sandbox.UpdateRecord(ids[5], airtabletest.Fields{"Status": "Cancelled", "Notes": "by hand"}); err != nil {
			t.Fatal(err)
		}
		if err := w.sandbox.UpdateRecord(ids[6], airtabletest.Fields{"Notes": "by hand"}); err != nil {
			t.Fatal(err)
		}
		w.ok(w.run(syncapi.RunRequest{})) // a scan in between leaves the records to the writer
		away.Cancel()
		w.applied(kept, other)
		w.rejected(lost, "“Cancelled”")
		if w.cell(ids[5], "Status") != "Cancelled" || w.cell(ids[5], "Priority") != "Low" || w.cell(ids[6], "Status") != "Sent" {
			t.Fatalf("%v", w.cell(ids[5], "Status"))
		}
		foreign := false
		for _, m := range w.stored(event.OrderChangedSubject(ids[5])) {
			c, _, err := event.ParseOrderChanged(m.Subject(), m.Headers(), m.Data())
			if err != nil {
				t.Fatal(err)
			}
			foreign = foreign || len(c.EditIDs) == 0 && *c.Order.Status == "Cancelled"
		}
		if !foreign {
			t.Fatal("no event tells of the foreign change")
		}
		w.unchanged()
	})
	t.Run("before the edit", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 60})
		w.begun()
		away := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Unavailable, Times: 1})
		id := w.sandbox.RecordIDs()[5]
		if err := w.sandbox.UpdateRecord(id, airtabletest.Fields{"Status": "Cancelled"}); err != nil {
			t.Fatal(err)
		}
		w.ok(w.run(syncapi.RunRequest{})) // the change is known when the edit is made
		e := edit(id, "Sent", "")
		w.accept(e)
		<-away.Done()
		w.applied(e)
		if w.cell(id, "Status") != "Sent" {
			t.Fatalf("%v", w.cell(id, "Status"))
		}
		w.unchanged()
	})
	t.Run("our own is not foreign", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 60})
		w.begun()
		id := w.sandbox.RecordIDs()[5]
		second := edit(id, "Delivered", "") // made before the first reaches Airtable
		first := edit(id, "Sent", "")
		first.RequestedAt = second.RequestedAt.Add(-time.Millisecond)
		w.accept(first)
		w.applied(first)
		fault := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Unavailable})
		w.accept(second)
		w.applied(second)
		if fault.Hits() != 1 || w.cell(id, "Status") != "Delivered" {
			t.Fatalf("%v", w.cell(id, "Status"))
		}
	})
	t.Run("an edit that comes again too late", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 60})
		w.begun()
		id := w.sandbox.RecordIDs()[5]
		first, second := edit(id, "Sent", ""), edit(id, "Delivered", "")
		first.RequestedAt = second.RequestedAt.Add(-2 * time.Second)
		w.accept(second)
		w.applied(second)
		w.accept(first) // as orders publishes again what NATS lost
		w.applied(first)
		if w.cell(id, "Status") != "Delivered" || len(w.sandbox.Writes(0)) != 1 {
			t.Fatalf("%v after %d writes", w.cell(id, "Status"), len(w.sandbox.Writes(0)))
		}
	})
}

// What somebody changed in Airtable, and no run has published yet, is not told as the editor's.
func TestEditsAreToldApartFromForeignChanges(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  airtabletest.Config
		late bool // written after a look
	}{
		"metadata": {cfg: airtabletest.Config{Orders: 60}},
		"by name":  {cfg: airtabletest.Config{Orders: 60, NoSchemaScope: true}},
		"late":     {cfg: airtabletest.Config{Orders: 60}, late: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.cfg)
			w.begun()
			ids := w.sandbox.RecordIDs()
			id, alone := ids[5], ids[6]
			before, _ := w.newest(id)
			subject := event.OrderChangedSubject(id)
			told := len(w.stored(subject))
			status := w.other(id)
			if err := w.sandbox.UpdateRecord(id, airtabletest.Fields{"Amount": 4321.5, "Status": status, "Notes": "by hand"}); err != nil {
				t.Fatal(err)
			}
			if c.late {
				w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Unavailable, Times: 1})
			}
			wants := "High"
			if before.Order.Priority != nil && *before.Order.Priority == wants {
				wants = "Medium"
			}
			ours, other := edit(id, "", wants), edit(alone, w.other(alone), "")
			w.accept(ours, other)
			w.applied(ours, other)
			events := w.stored(subject)[told:]
			if len(events) != 2 {
				t.Fatalf("%d events, want the foreign change and the edit", len(events))
			}
			var changes [2]*event.OrderChanged
			for i, m := range events {
				var env event.Envelope
				var err error
				if changes[i], env, err = event.ParseOrderChanged(m.Subject(), m.Headers(), m.Data()); err != nil || env.Digest == "" {
					t.Fatal(env, err)
				}
			}
			foreign, edited := changes[0], changes[1]
			if columns := slices.Sorted(maps.Keys(foreign.Previous)); !slices.Equal(columns, []string{"amount", "status"}) ||
				foreign.Actor != nil || foreign.EditIDs != nil || *foreign.Order.Amount != "4321.5" || *foreign.Order.Status != status ||
				!reflect.DeepEqual(foreign.Order.Priority, before.Order.Priority) {
				t.Fatalf("the foreign change: %+v", foreign)
			}
			if columns := slices.Sorted(maps.Keys(edited.Previous)); !slices.Equal(columns, []string{"priority"}) ||
				edited.Actor == nil || edited.Actor.ID != "u1" || !slices.Equal(edited.EditIDs, []string{ours.ID}) || *edited.Order.Priority != wants {
				t.Fatalf("the edit: %+v", edited)
			}
			if got := len(w.stored(event.OrderChangedSubject(alone))); got != 2 {
				t.Fatalf("%d events of an order that nobody else changed", got)
			}
			w.unchanged()
		})
	}
}

// Whether edits reached Airtable is told by all pages of the answer, however short they are.
func TestShortPageOfEditedRecords(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 60})
	w.begun()
	lost := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Drop, Applied: true})
	short := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.ShortPage})
	edits := w.editsOf(w.sandbox.RecordIDs()[:9])
	w.accept(edits...)
	w.applied(edits...)
	if lost.Hits() != 1 || short.Hits() != 1 || w.sandbox.Calls().Write != 1 {
		t.Fatalf("%d lost answers, %d short pages, %d writes", lost.Hits(), short.Hits(), w.sandbox.Calls().Write)
	}
	w.unchanged()
}

// A field that is renamed while all runs costs nobody an edit or a value.
func TestRenamedFieldIsWritten(t *testing.T) {
	for _, byName := range []bool{false, true} {
		t.Run(fmt.Sprint("by name ", byName), func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 130, NoSchemaScope: byName})
			w.begun()
			if err := w.sandbox.RenameField("Status", "Estado"); err != nil {
				t.Fatal(err)
			}
			id := w.sandbox.RecordIDs()[7]
			fresh, late := edit(id, "Sent", ""), edit(w.sandbox.RecordIDs()[8], "Delivered", "High")
			late.RequestedAt = late.RequestedAt.Add(-time.Minute)
			w.accept(fresh, late)
			w.applied(fresh, late)
			if got := w.cell(id, "Estado"); got != "Sent" {
				t.Fatalf("Airtable holds %v", got)
			}
			if byName { // where names are all there is, other names are other fields: news, once
				w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
			}
			before := w.changes()
			w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
			if got := w.changes(); got != before {
				t.Fatalf("a rename is news of %d orders", got-before)
			}
		})
	}
}

// Which of two changes is newer does not depend on whether Airtable's clock agrees with ours.
func TestClocksDisagree(t *testing.T) {
	for _, c := range []struct {
		name  string
		ahead time.Duration // of Airtable's clock
		age   time.Duration // of the edit when the cell is changed in Airtable
		wins  bool
	}{
		{"ahead, the edit is newer", time.Hour, -5 * time.Second, true},
		{"behind, the edit is older", -time.Hour, 5 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 60, Now: func() time.Time { return time.Now().Add(c.ahead) }})
			w.begun()
			id := w.sandbox.RecordIDs()[5]
			if err := w.sandbox.UpdateRecord(id, airtabletest.Fields{"Status": "Cancelled"}); err != nil {
				t.Fatal(err)
			}
			e := edit(id, "Sent", "")
			e.RequestedAt = e.RequestedAt.Add(-c.age)
			w.accept(e)
			if c.wins {
				w.applied(e)
			} else {
				w.rejected(e, "“Cancelled”")
			}
		})
	}
}

// A page that was asked for before an edit was written, and is looked at after it, publishes nothing.
func TestStalePage(t *testing.T) {
	for _, mode := range []syncapi.Mode{syncapi.Full, syncapi.Incremental, syncapi.Webhook} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 230})
			w.begun()
			id := w.sandbox.RecordIDs()[7]
			if err := w.sandbox.UpdateRecord(id, airtabletest.Fields{"Notes": "so that it is listed, and news"}); err != nil {
				t.Fatal(err)
			}
			slow := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.Slow, Delay: time.Hour})
			var accepted syncapi.RunAccepted
			w.ask(syncapi.SubjectRun, syncapi.RunRequest{Mode: mode}, &accepted)
			w.until("the page", func() bool { return slow.Hits() == 1 })
			e := edit(id, w.other(id), "")
			w.accept(e)
			w.applied(e)
			slow.Cancel()
			w.ok(w.wait(accepted.RunID))
			c, _ := w.newest(id)
			if *c.Order.Status != e.Values["status"] || !slices.Equal(c.EditIDs, []string{e.ID}) {
				t.Fatalf("%+v", c)
			}
			w.unchanged()
		})
	}
}

func TestPoisonIsParked(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 20})
	w.begun()
	for _, m := range []*nats.Msg{
		{Subject: "order.edit.recX", Data: []byte("{")},
		{Subject: "order.edit.recX", Data: []byte(strings.Repeat("x", 900_000)), Header: nats.Header{"ce-type": {"order.edit"}}},
	} {
		if _, err := w.js.PublishMsg(w.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	id := w.sandbox.RecordIDs()[0]
	e := edit(id, w.other(id), "")
	w.accept(e)
	w.applied(e)
	s, err := w.js.Stream(t.Context(), bus.StreamDeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetLastMsgForSubject(t.Context(), "dead.airtable-sync.order.edit.recX")
	if err != nil || msg.Header.Get(bus.HeaderDeadReason) == "" || s.CachedInfo().State.Msgs != 2 {
		t.Fatalf("%v, %v, %d", err, msg, s.CachedInfo().State.Msgs)
	}
}

// What was settled, but not acknowledged, is known to be so by whoever takes over.
func TestSettledEditsAreNotTriedAgain(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 20})
	stop := w.begun()
	ids := w.sandbox.RecordIDs()
	stop()
	good, bad := edit(ids[1], w.other(ids[1]), ""), edit(ids[2], "Cancelled", "")
	w.accept(good, bad)
	reason := fault.T("no es una opción", "not a choice")
	for _, ended := range []event.OrderEdited{good.Settled(nil), bad.Settled(&reason)} {
		msg, err := event.NewOrderEdited(event.Envelope{ID: event.EditedID(ended.ID, ended.State), Source: "/x", Time: time.Now()}, &ended)
		w.must(err)
		_, err = bus.Publish(t.Context(), w.js, msg)
		w.must(err)
	}
	if err := w.sandbox.UpdateRecord(ids[1], airtabletest.Fields{"Status": "Pending"}); err != nil {
		t.Fatal(err)
	}
	w.sandbox.ResetCalls()
	w.begun()
	w.applied(good)
	w.rejected(bad, "not a choice")
	if c := w.sandbox.Calls(); c.Write != 0 || w.cell(ids[1], "Status") != "Pending" {
		t.Fatalf("%+v", c)
	}
	w.ok(w.run(syncapi.RunRequest{})) // what the first run left to the writer, for it was claimed still
	w.unchanged()
}

// NATS goes away in the middle: what was being written is settled afterwards, and nothing twice.
func TestEditsOutlastNATS(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 300})
	w.begun()
	slow := w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Slow, Delay: 300 * time.Millisecond, Times: 12})
	edits := w.editsOf(w.sandbox.RecordIDs()[:200])
	w.accept(edits...)
	for range 3 {
		hits := slow.Hits()
		w.until("a write", func() bool { return slow.Hits() > hits || w.waiting() == 0 })
		w.restartNATS()
	}
	w.onceEach(edits)
}

// Killed by SIGKILL in the middle of writes, whoever takes over finishes them, and writes nothing twice.
func TestEditsOutlastSIGKILL(t *testing.T) {
	for name, f := range map[string]airtabletest.Fault{
		"before the write takes effect": {Do: airtabletest.Hang, After: 2},
		"before its answer":             {Do: airtabletest.Hang, After: 2, Applied: true},
		"soon after its answer":         {Do: airtabletest.Slow, After: 2},
		"while it settles":              {Do: airtabletest.Slow, After: 1, Delay: 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 120})
			kill := w.spawn()
			w.ok(w.synced())
			f.On = airtabletest.Write
			fault := w.sandbox.Fail(f)
			edits := w.editsOf(w.sandbox.RecordIDs()[:80])
			w.accept(edits...)
			w.until("the write", func() bool { return fault.Hits() > 0 })
			kill()
			w.spawn()
			w.ok(w.synced())
			w.onceEach(edits)
		})
	}
}

// Two instances, and the one that writes stops and starts again and again.
func TestEditsChangeHands(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 300})
	stops := []func(){w.start(), w.start()}
	w.ok(w.synced())
	w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Slow, Delay: 50 * time.Millisecond, Times: -1})
	edits := w.editsOf(w.sandbox.RecordIDs()[:250])
	w.accept(edits...)
	for i := range 4 {
		writes := len(w.sandbox.Writes(0))
		w.until("a write", func() bool { return len(w.sandbox.Writes(0)) > writes || w.waiting() == 0 })
		stops[i%2]()
		stops[i%2] = w.start()
	}
	w.onceEach(edits)
}

func (w *world) editsOf(ids []string) (edits []*event.OrderEdit) {
	for _, id := range ids {
		edits = append(edits, edit(id, w.other(id), ""))
	}
	return edits
}

// onceEach checks that every edit was applied, by one write and with one event.
func (w *world) onceEach(edits []*event.OrderEdit) {
	w.Helper()
	w.applied(edits...)
	writes, told := map[string]int{}, map[string]int{}
	for _, wr := range w.sandbox.Writes(0) {
		for _, r := range wr.Records {
			writes[r.ID]++
		}
	}
	for _, m := range w.stored(event.OrdersChanged) {
		c, _, err := event.ParseOrderChanged(m.Subject(), m.Headers(), m.Data())
		if err != nil {
			w.Fatal(err)
		}
		if len(c.EditIDs) > 0 || c.Change != event.Created {
			told[c.RecordID]++
		}
	}
	for _, e := range edits {
		if w.cell(e.RecordID, "Status") != e.Values["status"] || writes[e.RecordID] != 1 || told[e.RecordID] != 1 {
			w.Fatalf("%s: %v, %d writes, %d events", e.RecordID, w.cell(e.RecordID, "Status"), writes[e.RecordID], told[e.RecordID])
		}
		if c, _ := w.newest(e.RecordID); !slices.Equal(c.EditIDs, []string{e.ID}) {
			w.Fatalf("%s: told of %v", e.RecordID, c.EditIDs)
		}
	}
	w.unchanged()
}

// spawn runs the service as a process of its own, until it is killed.
func (w *world) spawn() (kill func()) {
	w.Helper()
	sc := w.sandbox.Config()
	cmd := exec.Command(os.Args[0])
	cmd.Dir = w.TempDir()
	cmd.Env = []string{
		serviceEnv + "=1", "NATS_URL=" + w.nats.URL(), "AIRTABLE_API_KEY=" + sc.APIKey, "AIRTABLE_BASE_ID=" + sc.BaseID,
		"AIRTABLE_TABLE_ID=" + sc.TableID, "AIRTABLE_ENDPOINT_URL=" + w.endpoint, "AIRTABLE_RATE_LIMIT=0", "SYNC_INTERVAL_MINUTES=60",
	}
	cmd.Stderr, cmd.Stdout = w.Output(), w.Output()
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	w.Cleanup(kill)
	return kill
}

// serviceEnv in the environment makes this binary the service instead of its tests.
const serviceEnv = "AIRTABLE_SYNC_IS_THE_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(serviceEnv) != "" {
		service.Main("airtable-sync", airtablesync.Run)
		return
	}
	// These tests wait for servers and processes most of the time.
	flag.Parse()
	parallel := "8"
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" {
			parallel = f.Value.String()
		}
	})
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
