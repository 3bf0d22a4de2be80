package orders_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/orders"
)

var ana = event.Actor{ID: "ana", Email: "ana@example.com"}

// order is one as it is served.
type order struct {
	event.Order
	Edit *ordersapi.Edit `json:"edit"`
}

func (w *world) request(q ordersapi.EditRequest) ([]ordersapi.EditResult, error) {
	w.t.Helper()
	if q.Actor.ID == "" {
		q.Actor = ana
	}
	ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
	defer cancel()
	r, err := bus.Ask(ctx, w.nc, ordersapi.SubjectEdit, q)
	if err != nil {
		return nil, err
	}
	var results []ordersapi.EditResult
	if err := json.Unmarshal(r.Data, &results); err != nil || len(results) != len(q.Edits) {
		return nil, fmt.Errorf("%d results for %d edits: %w", len(results), len(q.Edits), err)
	}
	return results, nil
}

// edit makes one edit, which is accepted, and gives its result and the order in it.
func (w *world) edit(id string, values event.EditValues) (ordersapi.EditResult, order) {
	w.t.Helper()
	results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{{RecordID: id, Values: values}}})
	if err != nil || results[0].Fault != nil {
		w.t.Fatalf("edit %s: %+v %v", id, results, err)
	}
	var o order
	if err := json.Unmarshal(results[0].Order, &o); err != nil {
		w.t.Fatal(err)
	}
	return results[0], o
}

func (w *world) get(id string) (o order, etag string) {
	w.t.Helper()
	o, etag, err := w.read(id)
	if err != nil {
		w.t.Fatalf("get %s: %v", id, err)
	}
	return o, etag
}

func (w *world) read(id string) (o order, etag string, err error) {
	r, err := w.ask(ordersapi.SubjectGet, ordersapi.Ref{RecordID: id})
	if err == nil {
		err = json.Unmarshal(r.Data, &o)
	}
	return o, r.Header.Get(rpc.HeaderETag), err
}

// queued gives the edits that wait in EDITS, in their order.
func (w *world) queued() []event.OrderEdit {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), bus.StreamEdits)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []event.OrderEdit
	state := stream.CachedInfo().State
	for seq := max(state.FirstSeq, 1); seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(w.t.Context(), seq)
		if err != nil {
			continue // acknowledged
		}
		e, _, err := event.ParseOrderEdit(m.Subject, m.Header, m.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, *e)
	}
	return all
}

// settle does what airtable-sync does of an edit when it is through with it.
func (w *world) settle(id string, reason *fault.Text) {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), bus.StreamEdits)
	if err != nil {
		w.t.Fatal(err)
	}
	state := stream.CachedInfo().State
	for seq := max(state.FirstSeq, 1); seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(w.t.Context(), seq)
		if err != nil {
			continue
		}
		e, _, err := event.ParseOrderEdit(m.Subject, m.Header, m.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		if e.ID == id {
			w.publish(w.settled(e, reason))
			if err := stream.DeleteMsg(w.t.Context(), seq); err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
	w.t.Fatalf("edit %s is not in EDITS", id)
}

func (w *world) settled(e *event.OrderEdit, reason *fault.Text) *nats.Msg {
	w.t.Helper()
	edited := e.Settled(reason)
	msg, err := event.NewOrderEdited(event.Envelope{ID: event.EditedID(e.ID, edited.State), Source: "/airtable/app/tbl", Time: e.RequestedAt.Add(time.Minute)}, &edited)
	if err != nil {
		w.t.Fatal(err)
	}
	return msg
}

func status(s string) event.EditValues   { return event.EditValues{"status": s} }
func priority(s string) event.EditValues { return event.EditValues{"priority": s} }

// counts gives the totals of lists by status, the sums of the summary, and of a list by cursor.
func (w *world) counts(want string) {
	w.t.Helper()
	r, err := w.ask(ordersapi.SubjectSummary, ordersapi.Query{})
	if err != nil {
		w.t.Fatal(err)
	}
	var sum ordersapi.Summary
	if err := json.Unmarshal(r.Data, &sum); err != nil {
		w.t.Fatal(err)
	}
	got := ""
	for _, s := range sum.ByStatus {
		got += fmt.Sprintf("%s:%d ", *s.Status, s.Count)
		filters := []rpc.Filter{{Field: "status", Op: rpc.Eq, Values: []string{*s.Status}}}
		page, total, err := w.list(ordersapi.Query{Limit: 1000, Filters: filters})
		if err != nil || total != fmt.Sprint(s.Count) || len(page) != int(s.Count) {
			w.t.Errorf("status %s: %d orders, total %s, summary %d, %v", *s.Status, len(page), total, s.Count, err)
		}
		page, _, err = w.list(ordersapi.Query{Limit: 1000, Filters: filters, NoTotal: true, Sort: []rpc.Sort{{Field: "record_id"}}})
		if err != nil || len(page) != int(s.Count) {
			w.t.Errorf("status %s: %d orders by cursor, summary %d, %v", *s.Status, len(page), s.Count, err)
		}
		for _, o := range page {
			if *o.Status != *s.Status {
				w.t.Errorf("%s is %s in a list of %s", o.RecordID, *o.Status, *s.Status)
			}
		}
	}
	if got != want {
		w.t.Errorf("summary %q, want %q", got, want)
	}
}

// An edit is in every read when it is answered, and until it is settled; then what Airtable holds is.
func TestEdit(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"), changed("rec2", "Pending"))
	w.holds(map[string]string{"rec1": "Pending", "rec2": "Pending"})
	_, before := w.get("rec1")

	result, o := w.edit("rec1", status("Sent"))
	if result.Lagging || *o.Status != "Sent" || o.Edit == nil || o.Edit.State != event.Pending || o.Edit.ID != result.EditID || o.Edit.Actor != ana || o.Edit.Values["status"] != "Sent" {
		t.Fatalf("answered %s", result.Order)
	}
	got, etag := w.get("rec1")
	if *got.Status != "Sent" || got.Edit.ID != result.EditID || etag != result.ETag || etag == before {
		t.Fatalf("served %+v, ETag %s; answered %s", got, etag, result.ETag)
	}
	w.counts("Pending:1 Sent:1 ")
	w.holds(map[string]string{"rec1": "Sent", "rec2": "Pending"})
	if queued := w.queued(); len(queued) != 1 || queued[0].ID != result.EditID || queued[0].RecordID != "rec1" {
		t.Fatalf("queued %+v", queued)
	}
}

// Members that this version does not know are no obstacle to an edit, whatever they are called: the same name in
// another case is another member.
func TestEditBesideUnknownMembers(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	order := changed("rec1", "Pending")
	order.Data = bytes.Replace(order.Data, []byte(`"status":`), []byte(`"Status":5,"STATUS":null,"Record_ID":[],"status":`), 1)
	w.publish(order)
	served := "select record_id || ':' || status from orders"
	w.answers(served, "rec1:Pending")
	results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{{RecordID: "rec1", Values: status("Sent")}}})
	if err != nil || results[0].Fault != nil {
		t.Fatalf("%+v, %v", results, err)
	}
	w.answers(served, "rec1:Sent")
}

// history gives an order's history, newest first, a line an entry: change, source, who, status, reason.
func (w *world) history(id string) (lines []string) {
	w.t.Helper()
	r, err := w.ask(ordersapi.SubjectHistory, ordersapi.HistoryQuery{RecordID: id, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	var entries []ordersapi.HistoryEntry
	if err := json.Unmarshal(r.Data, &entries); err != nil {
		w.t.Fatalf("%s: %v", r.Data, err)
	}
	if total := r.Header.Get(rpc.HeaderTotal); total != fmt.Sprint(len(entries)) {
		w.t.Errorf("history of %d entries, total %s", len(entries), total)
	}
	for _, e := range entries {
		line := fmt.Sprint(e.Change, " ", e.Source, " ", e.Values["status"])
		if e.Actor != nil {
			line += " by " + e.Actor.ID
		}
		if len(e.EditIDs) > 0 {
			line += fmt.Sprint(" ", len(e.EditIDs), " edit")
		}
		if e.Reason != nil {
			line += ": " + e.Reason.EN
		}
		lines = append(lines, line)
	}
	return lines
}

func (w *world) equal(what string, got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// serves waits until an order is served with that status and an edit in that state.
func (w *world) serves(id, status string, state event.EditState) (o order) {
	w.t.Helper()
	w.eventually(id, func() error {
		var err error
		if o, _, err = w.read(id); err == nil && (*o.Status != status || o.Edit == nil || o.Edit.State != state) {
			err = fmt.Errorf("%s, edit %+v; want %s, %s", *o.Status, o.Edit, status, state)
		}
		return err
	})
	return o
}

// A reason may hold whatever a cell does: the order's history shows it as it is.
func TestReasonOfAnyText(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	var all strings.Builder
	for c := range rune(0x20) {
		all.WriteRune(c)
	}
	all.WriteString("\x7f\u0085\u2028\ufffe\U0001F600\"\\")
	reason := fault.T("Airtable tiene «A\x00B»"+all.String(), "Airtable has \"A\x00B\""+all.String())
	result, _ := w.edit("rec1", status("Sent"))
	w.settle(result.EditID, &reason)
	w.serves("rec1", "Pending", event.Rejected)
	w.equal("history", w.history("rec1"), []string{"rejected api Sent by ana 1 edit: " + reason.EN, "updated airtable Pending"})

	// A lone surrogate, as JSON can escape one.
	result, _ = w.edit("rec1", status("Sent"))
	for _, e := range w.queued() {
		if e.ID == result.EditID {
			msg := w.settled(&e, &fault.Text{ES: "SURROGATE", EN: "SURROGATE"})
			msg.Data = bytes.ReplaceAll(msg.Data, []byte("SURROGATE"), []byte(`\ud800\u0000`))
			w.publish(msg)
		}
	}
	w.serves("rec1", "Pending", event.Rejected)
	w.equal("history", w.history("rec1")[0], "rejected api Sent by ana 1 edit: \ufffd\x00")
}

// A change that Airtable tells meanwhile is kept beneath a pending edit; what holds in the end is
// what Airtable says, and history shows both.
func TestChangedWhilePending(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	first, _ := w.edit("rec1", status("Sent"))
	w.publish(changed("rec1", "Processing"))
	second, o := w.edit("rec1", priority("High"))
	if *o.Status != "Sent" || *o.Priority != "High" || o.Edit.ID != second.EditID {
		t.Fatalf("two edits: %s", second.Order)
	}
	w.publish(changed("rec1", "Cancelled"), changed("rec2", "Sent"))
	w.holds(map[string]string{"rec1": "Sent", "rec2": "Sent"})
	w.consistent()
	w.equal("history", w.history("rec1"), []string{
		"updated airtable Cancelled", "pending api <nil> by ana 1 edit", "updated airtable Processing", "pending api Sent by ana 1 edit", "updated airtable Pending",
	})

	w.settle(first.EditID, new(fault.T("Cambiado en Airtable", "Changed in Airtable")))
	o = w.serves("rec1", "Cancelled", event.Pending)
	if *o.Priority != "High" || o.Edit.ID != second.EditID {
		t.Fatalf("the other edit is gone: %+v", o)
	}
	w.settle(second.EditID, new(fault.T("Sin permiso", "Not allowed")))
	o = w.serves("rec1", "Cancelled", event.Rejected)
	if o.Priority != nil || o.Edit.Reason.ES != "Sin permiso" || o.Edit.SettledAt == nil {
		t.Fatalf("rejected: %+v %+v", o, o.Edit)
	}
	w.holds(map[string]string{"rec1": "Cancelled", "rec2": "Sent"})
	w.consistent()
	w.equal("history", w.history("rec1"), []string{
		"updated airtable Cancelled", "rejected api <nil> by ana 1 edit: Not allowed", "updated airtable Processing",
		"rejected api Sent by ana 1 edit: Changed in Airtable", "updated airtable Pending",
	})
	w.answers("select (doc like confirmed || '%')::text from (select doc, left(confirmed, -1) as confirmed from orders where record_id = 'rec1') o", "true")
}

// An edit that Airtable took is a change like any, by who made the edit.
func TestApplied(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	older, _ := w.edit("rec1", status("Processing"))
	newer, o := w.edit("rec1", status("Sent"))
	if *o.Status != "Sent" || o.Edit.ID != newer.EditID {
		t.Fatalf("the newer edit does not win: %s", newer.Order)
	}
	w.publish(changedBy("rec1", "Sent", ana, older.EditID, newer.EditID))
	w.settle(older.EditID, nil)
	w.settle(newer.EditID, nil)
	o = w.serves("rec1", "Sent", event.Applied)
	if o.Edit.ID != newer.EditID || o.Edit.Reason != nil || o.Edit.SettledAt == nil {
		t.Fatalf("%+v", o.Edit)
	}
	w.publish(changed("rec1", "Delivered"))
	w.serves("rec1", "Delivered", event.Applied)
	w.equal("history", w.history("rec1"), []string{"updated airtable Delivered", "updated api Sent by ana 2 edit", "updated airtable Pending"})
	r, err := w.ask(ordersapi.SubjectEdits, ordersapi.EditsQuery{IDs: []string{newer.EditID, "unknown", older.EditID}})
	var edits []ordersapi.Edit
	if err != nil || json.Unmarshal(r.Data, &edits) != nil || len(edits) != 2 || edits[0].ID != older.EditID || edits[1].State != event.Applied {
		t.Fatalf("edits %s %v", r.Data, err)
	}
	w.consistent()
}

// However quick Airtable is, an edit is answered as it was accepted; and the tag of that answer is
// good for the next edit until somebody changes the order.
func TestAnsweredPending(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	quick, err := w.nc.Subscribe(event.OrderEdits, func(m *nats.Msg) { // before anybody is told of the edit
		if e, _, err := event.ParseOrderEdit(m.Subject, m.Header, m.Data); err == nil {
			w.publish(changedBy("rec1", e.Values["status"], ana, e.ID), w.settled(e, nil))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	_, unedited := w.get("rec1")
	result, o := w.edit("rec1", status("Sent"))
	if o.Edit.State != event.Pending {
		t.Errorf("answered %s", result.Order)
	}
	w.serves("rec1", "Sent", event.Applied)
	if err := quick.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	_, sent := w.get("rec1")
	note := changed("rec1", "Sent") // of a field that is no column
	note.Data = bytes.Replace(note.Data, []byte(`{"Name":"x"}`), []byte(`{"Name":"x","Notes":"y"}`), 1)
	w.publish(note)
	w.eventually("the note is served", func() error {
		if _, noted := w.get("rec1"); noted == sent {
			return errors.New("the same tag")
		}
		return nil
	})
	edit := ordersapi.EditOrder{RecordID: "rec1", Values: status("Delivered"), IfMatch: sent}
	results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{edit}})
	w.fails(results, err, fault.Stale)
	edit.IfMatch = result.ETag
	if results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{edit}}); err != nil || results[0].Fault != nil {
		t.Errorf("the tag of an edit is stale once Airtable has it: %+v %v", results, err)
	}
	for _, stale := range []string{unedited, result.ETag, sent, `"5f2c9a"`} {
		edit.IfMatch = stale
		results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{edit}})
		w.fails(results, err, fault.Stale)
	}
}

func (w *world) fails(results []ordersapi.EditResult, err error, code fault.Code) {
	w.t.Helper()
	if err != nil || len(results) != 1 || results[0].Fault == nil || results[0].Fault.Code != code || results[0].Fault.Detail.ES == "" {
		w.t.Errorf("%+v %v, want a fault %d", results, err, code)
	}
}

// What cannot be edited changes nothing.
func TestEditRefused(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	_, etag := w.get("rec1")
	sent := ordersapi.EditOrder{RecordID: "rec1", Values: status("Sent")}
	for field, q := range map[string]ordersapi.EditRequest{
		"edits":                    {},
		"edits[1].record_id":       {Edits: []ordersapi.EditOrder{sent, sent}},
		"edits[0].record_id":       {Edits: []ordersapi.EditOrder{{RecordID: "a.b>", Values: sent.Values}}},
		"edits[0].values":          {Edits: []ordersapi.EditOrder{{RecordID: "rec1"}}},
		"edits[0].values.status":   {Edits: []ordersapi.EditOrder{{RecordID: "rec1", Values: status("\u00a0")}}},
		"edits[0].values.priority": {Edits: []ordersapi.EditOrder{{RecordID: "rec1", Values: priority("a\x00b")}}},
		"idempotency_key":          {Edits: []ordersapi.EditOrder{sent}, IdempotencyKey: strings.Repeat("k", 2000)},
		"actor":                    {Edits: []ordersapi.EditOrder{sent}, Actor: event.Actor{ID: strings.Repeat("k", 2000)}},
	} {
		_, err := w.request(q)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid || f.Fields[field].ES == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{{RecordID: "unknown", Values: sent.Values}}})
	w.fails(results, err, fault.NotFound)
	sent.IfMatch = `"other", "another"`
	results, err = w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{sent}})
	w.fails(results, err, fault.Stale)
	if queued := w.queued(); len(queued) != 0 {
		t.Fatalf("queued %+v", queued)
	}
	o, same := w.get("rec1")
	if *o.Status != "Pending" || o.Edit != nil || same != etag {
		t.Fatalf("%+v", o)
	}
	// One that cannot be made does not hinder another.
	sent.IfMatch = `"other", ` + etag
	results, err = w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{{RecordID: "unknown", Values: sent.Values}, sent}})
	if err != nil || results[0].Fault == nil || results[1].Fault != nil {
		t.Fatalf("%+v %v", results, err)
	}
	w.serves("rec1", "Sent", event.Pending)
}

// together makes requests at the same time and gives their results.
func (w *world) together(requests ...ordersapi.EditRequest) (results []ordersapi.EditResult, errs []error) {
	w.t.Helper()
	results, errs = make([]ordersapi.EditResult, len(requests)), make([]error, len(requests))
	var all sync.WaitGroup
	for i, q := range requests {
		all.Go(func() {
			r, err := w.request(q)
			if errs[i] = err; err == nil {
				results[i] = r[0]
			}
		})
	}
	all.Wait()
	return results, errs
}

// Of several who read the same state and edit it at once, in whatever instance, one does.
func TestIfMatchRace(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.start()
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	for round := range 10 {
		_, etag := w.get("rec1")
		var requests []ordersapi.EditRequest
		for i := range 4 {
			requests = append(requests, ordersapi.EditRequest{Edits: []ordersapi.EditOrder{
				{RecordID: "rec1", Values: status(event.Statuses[(round+i)%len(event.Statuses)]), IfMatch: etag}}})
		}
		results, errs := w.together(requests...)
		made := 0
		for i, r := range results {
			switch {
			case errs[i] != nil:
				t.Fatal(errs[i])
			case r.Fault == nil:
				made++
			case r.Fault.Code != fault.Stale:
				t.Fatalf("%+v", r.Fault)
			}
		}
		if made != 1 || len(w.queued()) != round+1 {
			t.Fatalf("round %d: %d edits made, %d queued", round, made, len(w.queued()))
		}
	}
	w.consistent()
}

// The same request again is the same edit: later, at the same time, and after it is settled.
func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.start()
	w.publish(changed("rec1", "Pending"), changed("rec2", "Pending"))
	w.holds(map[string]string{"rec1": "Pending", "rec2": "Pending"})
	_, etag := w.get("rec1")
	q := ordersapi.EditRequest{IdempotencyKey: "k", Edits: []ordersapi.EditOrder{{RecordID: "rec1", Values: status("Sent"), IfMatch: etag}}}
	results, errs := w.together(q, q, q, q)
	for i, r := range results {
		if errs[i] != nil || r.Fault != nil || r.EditID != results[0].EditID || r.ETag != results[0].ETag {
			t.Fatalf("%+v %v", r, errs[i])
		}
	}
	other := q
	other.Actor = event.Actor{ID: "bob"} // whose key is another
	other.Edits = []ordersapi.EditOrder{{RecordID: "rec2", Values: status("Sent")}}
	if again, err := w.request(other); err != nil || again[0].Fault != nil || again[0].EditID == results[0].EditID {
		t.Fatalf("%+v %v", again, err)
	}
	other = q
	other.Edits = []ordersapi.EditOrder{{RecordID: "rec1", Values: status("Delivered")}}
	if _, err := w.request(other); fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("another edit with the same key: %v", err)
	}
	w.settle(results[0].EditID, new(fault.T("No", "No")))
	w.serves("rec1", "Pending", event.Rejected)
	again, err := w.request(q)
	if err != nil || again[0].Fault != nil || again[0].EditID != results[0].EditID {
		t.Fatalf("%+v %v", again, err)
	}
	w.serves("rec1", "Pending", event.Rejected)
	if n := len(w.queued()); n != 1 { // bob's
		t.Fatalf("%d queued", n)
	}
}

// As many edits as a request may hold are made together, and each is in every read.
func TestThousandEdits(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	q := ordersapi.EditRequest{IdempotencyKey: "a busy machine may need more than one request"}
	for i := range ordersapi.MaxEdits {
		id := fmt.Sprint("rec", i)
		w.publish(changed(id, "Pending"))
		q.Edits = append(q.Edits, ordersapi.EditOrder{RecordID: id, Values: status("Sent")})
	}
	w.answers("select count(*)::text from orders", fmt.Sprint(ordersapi.MaxEdits))
	w.eventually("all accepted", func() error {
		results, err := w.request(q)
		if err != nil {
			return err
		}
		for i, r := range results {
			if r.Fault != nil || r.RecordID != q.Edits[i].RecordID || r.ETag == "" {
				return fmt.Errorf("%d: %+v", i, r)
			}
		}
		return nil
	})
	w.counts("Sent:1000 ")
	w.consistent()
	if n := len(w.queued()); n != ordersapi.MaxEdits {
		t.Fatalf("%d queued", n)
	}
}

// An edit is accepted although the projection cannot show it yet, and is answered as it will be.
// A key that was used is used, whether or not the projection has seen it, and wherever the edit is by now.
func TestIdempotencyKeyBehindASlowProjection(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"), changed("rec2", "Pending"))
	w.holds(map[string]string{"rec1": "Pending", "rec2": "Pending"})
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select from orders.checkpoint for update"); err != nil {
		t.Fatal(err)
	}
	ask := func(value string, want fault.Code) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		q := ordersapi.EditRequest{IdempotencyKey: "k", Actor: ana, Edits: []ordersapi.EditOrder{
			{RecordID: "rec1", Values: status(value)}, {RecordID: "rec2", Values: status(value)},
		}}
		reply, err := bus.Ask(ctx, w.nc, ordersapi.SubjectEdit, q)
		if fault.CodeOf(err) != want {
			t.Fatalf("%s: %v, %s", value, err, reply.Data)
		}
	}
	ask("Sent", 0)
	ask("Delivered", fault.Conflict)
	ask("Sent", 0)
	queued := w.queued()
	if len(queued) != 2 {
		t.Fatalf("queued %+v", queued)
	}
	// Applied: the edits are on ORDERS only.
	for _, e := range queued {
		w.settle(e.ID, nil)
	}
	if queued := w.queued(); len(queued) != 0 {
		t.Fatalf("queued %+v", queued)
	}
	ask("Delivered", fault.Conflict)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask("Delivered", fault.Conflict)
	ask("Sent", 0)
}

func TestEditBehindASlowProjection(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	conn, err := pgx.Connect(t.Context(), w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select from orders.checkpoint for update"); err != nil {
		t.Fatal(err)
	}
	result, o := w.edit("rec1", status("Sent"))
	before, etag := w.get("rec1")
	if before.Edit != nil || *o.Status != "Sent" || o.Edit.ID != result.EditID || !result.Lagging {
		t.Fatalf("answered %s, lagging %t", result.Order, result.Lagging)
	}
	// Nor is an edit of the state before it accepted, although that is what is served.
	results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{{RecordID: "rec1", Values: status("Cancelled"), IfMatch: etag}}})
	w.fails(results, err, fault.Unavailable)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.serves("rec1", "Sent", event.Pending)
	if _, etag = w.get("rec1"); etag != result.ETag {
		t.Error("it is served in another form than it was answered in")
	}
}

// queue puts an edit in EDITS and nowhere else, as an instance does that is killed then.
func (w *world) queue(id string, values event.EditValues, at time.Time) *event.OrderEdit {
	w.t.Helper()
	e := &event.OrderEdit{ID: event.NewID(), RecordID: id, Values: values, Actor: ana, RequestedAt: at}
	msg, err := event.NewOrderEdit(event.Envelope{ID: e.ID, Source: event.SourceOrders, Time: e.RequestedAt}, e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(msg)
	return e
}

// Invariant 7: an edit that was accepted by an instance which could not tell of it is told of.
func TestUntoldEditIsTold(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.publish(changed("rec1", "Pending"), changed("rec2", "Pending"))
	stop := w.start() // makes the stream
	w.holds(map[string]string{"rec1": "Pending", "rec2": "Pending"})
	e := w.queue("rec1", status("Sent"), epoch)
	if o := w.serves("rec1", "Sent", event.Pending); o.Edit.ID != e.ID || !o.Edit.At.Equal(epoch) {
		t.Fatalf("%+v", o.Edit)
	}
	stop()
	w.queue("rec2", status("Delivered"), epoch)
	w.start()
	w.serves("rec2", "Delivered", event.Pending)
	w.settle(e.ID, nil)
	w.serves("rec1", "Pending", event.Applied)
	w.consistent()
}

// purge removes edits from EDITS as if airtable-sync had settled them and nobody had heard of it.
func (w *world) purge() {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), bus.StreamEdits)
	if err == nil {
		err = stream.Purge(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// offered waits until EDITS holds these edits.
func (w *world) offered(want ...string) {
	w.t.Helper()
	w.eventually("EDITS", func() error {
		got := []string{}
		for _, e := range w.queued() {
			line := e.ID
			if e.Values["status"] != "" {
				line += " " + e.Values["status"]
			}
			if e.Values["priority"] != "" {
				line += " " + e.Values["priority"]
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// looked returns when the leader has looked after edits long enough to have found what is lost.
func (w *world) looked() {
	w.t.Helper()
	sub, err := w.nc.SubscribeSync("$JS.API.STREAM.INFO." + bus.StreamEdits)
	if err != nil {
		w.t.Fatal(err)
	}
	for range 6 {
		if _, err := sub.NextMsg(time.Minute); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := sub.Unsubscribe(); err != nil {
		w.t.Fatal(err)
	}
}

// Invariant 7: edits whose outcome is lost are offered again, in their order, and without what newer
// edits have overwritten.
func TestLostOutcome(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	for i := range 4 {
		w.publish(changed(fmt.Sprint("rec", i), "Pending"))
	}
	w.answers("select count(*)::text from orders", "4")
	first, _ := w.edit("rec1", status("Sent"))
	second, _ := w.edit("rec1", status("Delivered"))
	both, _ := w.edit("rec2", event.EditValues{"status": "Sent", "priority": "High"})
	over, _ := w.edit("rec2", status("Cancelled"))
	whole, _ := w.edit("rec3", status("Sent"))
	last, _ := w.edit("rec3", status("Cancelled"))
	w.settle(over.EditID, nil)
	w.settle(last.EditID, nil)
	w.purge()
	w.offered(first.EditID+" Sent", second.EditID+" Delivered", both.EditID+" High")
	w.answers("select state from edits where id = '"+whole.EditID+"'", "applied") // it went into the newer one
	w.settle(first.EditID, nil)
	w.settle(second.EditID, nil)
	w.settle(both.EditID, nil)
	w.answers("select count(*)::text from edits where state = 'pending'", "0")
	// While a newer edit is queued, an older one waits.
	older, _ := w.edit("rec0", status("Sent"))
	w.purge()
	newer, _ := w.edit("rec0", status("Delivered"))
	w.looked()
	w.offered(newer.EditID + " Delivered")
	w.settle(newer.EditID, nil)
	w.answers("select state from edits where id = '"+older.EditID+"'", "applied")
	w.consistent()
}

// rows is all the table of orders shows, and all edits.
const tables = `select (select string_agg(concat_ws('|', record_id, status, priority, doc, confirmed), E'\n' order by record_id) from orders)
	|| (select string_agg(concat_ws('|', id, record_id, at, state, edit), E'\n' order by id) from edits)`

// Invariants 3 and 8: the stream read again makes the same rows and edits, over those there are and
// in an empty database; with NATS wiped the pending edits go to Airtable all the same.
func TestEditsSurvive(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	for i := range 6 {
		w.publish(changed(fmt.Sprint("rec", i), "Pending"))
	}
	w.answers("select count(*)::text from orders", "6")
	pending, _ := w.edit("rec0", status("Sent"))
	rejected, _ := w.edit("rec1", status("Sent"))
	applied, _ := w.edit("rec2", status("Sent"))
	beneath, _ := w.edit("rec3", priority("High"))
	above, _ := w.edit("rec3", status("Sent"))
	gone, _ := w.edit("rec4", status("Sent"))
	back, _ := w.edit("rec5", status("Sent"))
	w.settle(rejected.EditID, new(fault.T("No", "No")))
	w.publish(changedBy("rec2", "Sent", ana, applied.EditID))
	w.settle(applied.EditID, nil)
	w.settle(above.EditID, nil)
	w.publish(changed("rec0", "Processing"), changed("rec4", ""), changed("rec5", ""), changed("rec5", "Processing"))
	w.holds(map[string]string{"rec0": "Sent", "rec1": "Pending", "rec2": "Sent", "rec3": "Pending", "rec5": "Sent"})
	w.answers("select seq::text from checkpoint", fmt.Sprint(w.lastSeq()))
	want, err := w.query(tables)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := orders.Rebuild(ctx, w.config()); err != nil {
		t.Fatal(err)
	}
	w.answers("select epoch || ' ' || seq from checkpoint", fmt.Sprint("2 ", w.lastSeq()))
	w.answers(tables, want)
	w.consistent()

	if _, err := w.query("drop schema orders cascade"); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	w.answers("select epoch || ' ' || seq from checkpoint", fmt.Sprint("1 ", w.lastSeq()))
	w.answers(tables, want)
	w.consistent()

	w.nats.Stop()
	w.nats.Wipe()
	w.nats.Start()
	w.eventually("EDITS", func() error { _, err := w.js.Stream(t.Context(), bus.StreamEdits); return err })
	w.offered(pending.EditID+" Sent", beneath.EditID+" High", gone.EditID+" Sent", back.EditID+" Sent")
	w.answers(tables, want)
	w.publish(changed("rec0", "Delivered"))
	w.serves("rec0", "Sent", event.Pending)
	w.settle(pending.EditID, new(fault.T("No", "No")))
	w.serves("rec0", "Delivered", event.Rejected)
	w.consistent()
}
