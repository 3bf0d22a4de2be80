package orders_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc"
)

var ana = event.Actor{ID: "ana", Email: "ana@example.com"}

// order is one as it is served.
type order struct {
	event.Order
	Edit *rpc.Edit `json:"edit"`
}

func (w *world) request(q rpc.EditRequest) ([]rpc.EditResult, error) {
	w.t.Helper()
	if q.Actor.ID == "" {
		q.Actor = ana
	}
	ctx, cancel := context.WithTimeout(context.Background(), 7*time.Second)
	defer cancel()
	r, err := bus.Ask(ctx, w.nc, rpc.OrdersEdit, q)
	if err != nil {
		return nil, err
	}
	var results []rpc.EditResult
	if err := json.Unmarshal(r.Data, &results); err != nil || len(results) != len(q.Edits) {
		return nil, fmt.Errorf("%d results for %d edits: %w", len(results), len(q.Edits), err)
	}
	return results, nil
}

// edit makes one edit, which is accepted, and gives its result and the order in it.
func (w *world) edit(id string, values event.EditValues) (rpc.EditResult, order) {
	w.t.Helper()
	results, err := w.request(rpc.EditRequest{Edits: []rpc.EditOrder{{RecordID: id, Values: values}}})
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
	r, err := w.ask(rpc.OrdersGet, rpc.OrderRef{RecordID: id})
	if err == nil {
		err = json.Unmarshal(r.Data, &o)
	}
	if err != nil {
		w.t.Fatalf("get %s: %v", id, err)
	}
	return o, r.Header.Get(rpc.HeaderETag)
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
	msg, err := event.NewOrderEdited("/airtable/app/tbl", e.RequestedAt.Add(time.Minute), &edited)
	if err != nil {
		w.t.Fatal(err)
	}
	return msg
}

func status(s string) event.EditValues   { return event.EditValues{Status: &s} }
func priority(s string) event.EditValues { return event.EditValues{Priority: &s} }

// counts gives the totals of lists by status, the sums of the summary, and of a list by cursor.
func (w *world) counts(want string) {
	w.t.Helper()
	r, err := w.ask(rpc.OrdersSummary, rpc.OrdersQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	var sum rpc.Summary
	if err := json.Unmarshal(r.Data, &sum); err != nil {
		w.t.Fatal(err)
	}
	got := ""
	for _, s := range sum.ByStatus {
		got += fmt.Sprintf("%s:%d ", *s.Status, s.Count)
		filters := []rpc.Filter{{Field: "status", Op: rpc.Eq, Values: []string{*s.Status}}}
		page, total, err := w.list(rpc.OrdersQuery{Limit: 1000, Filters: filters})
		if err != nil || total != fmt.Sprint(s.Count) || len(page) != int(s.Count) {
			w.t.Errorf("status %s: %d orders, total %s, summary %d, %v", *s.Status, len(page), total, s.Count, err)
		}
		page, _, err = w.list(rpc.OrdersQuery{Limit: 1000, Filters: filters, NoTotal: true, Sort: []rpc.Sort{{Field: "record_id"}}})
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
	if *o.Status != "Sent" || o.Edit == nil || o.Edit.State != event.Pending || o.Edit.ID != result.EditID || o.Edit.Actor != ana || *o.Edit.Values.Status != "Sent" {
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

// history gives an order's history, newest first, a line an entry: change, source, who, status, reason.
func (w *world) history(id string) (lines []string) {
	w.t.Helper()
	r, err := w.ask(rpc.OrdersHistory, rpc.HistoryQuery{RecordID: id, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	var entries []rpc.HistoryEntry
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
		if o, _ = w.get(id); *o.Status != status || o.Edit == nil || o.Edit.State != state {
			return fmt.Errorf("%s, edit %+v; want %s, %s", *o.Status, o.Edit, status, state)
		}
		return nil
	})
	return o
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
	r, err := w.ask(rpc.OrdersEdits, rpc.EditsQuery{IDs: []string{newer.EditID, "unknown", older.EditID}})
	var edits []rpc.Edit
	if err != nil || json.Unmarshal(r.Data, &edits) != nil || len(edits) != 2 || edits[0].ID != older.EditID || edits[1].State != event.Applied {
		t.Fatalf("edits %s %v", r.Data, err)
	}
	w.consistent()
}
