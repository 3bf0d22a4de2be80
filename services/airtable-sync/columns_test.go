package airtablesync_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

// must ends the test on an error of the sandbox.
func (w *world) must(errs ...error) {
	w.Helper()
	for _, err := range errs {
		if err != nil {
			w.Fatal(err)
		}
	}
}

// silent checks that what do leads to no message.
func (w *world) silent(do func()) {
	w.Helper()
	before := w.messages()
	do()
	if got := w.messages(); got != before {
		w.Fatalf("%d messages", got-before)
	}
}

func (w *world) order(id string) event.Order {
	w.Helper()
	c, _ := w.newest(id)
	return c.Order
}

// One refusal of the metadata changes no column, however long it lasts (invariant 11).
func TestRefusedMetadataChangesNothing(t *testing.T) {
	for name, effect := range map[string]airtabletest.Effect{"403": airtabletest.Forbidden, "404": airtabletest.NotFound} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 60})
			w.must(w.sandbox.RenameField("Status", "Luz")) // found by its choices, which only the metadata has
			stop := w.start()
			w.ok(w.synced())
			id := w.sandbox.RecordIDs()[0]
			w.silent(func() {
				w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Meta, Do: effect})
				w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
				w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))

				w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Meta, Do: effect, Times: -1})
				stop()
				w.start()
				w.ok(w.synced())
				w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
			})
			if got := w.status().SchemaReason; !strings.Contains(got.EN, "last known") || got.ES == "" {
				t.Errorf("reason %+v", got)
			}
			e := edit(id, "Sent", "High")
			w.accept(e)
			w.applied(e)
			w.sandbox.Heal()
			w.silent(func() { w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full})) })
			if got := w.status().SchemaReason; got.EN != "" {
				t.Errorf("reason %+v", got)
			}
		})
	}
}

// A token whose first question for the metadata is refused once is not taken for one that may not ask.
func TestFirstMetadataRefusedOnce(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 5})
	w.must(w.sandbox.RenameField("Status", "Luz"))
	w.sandbox.Fail(airtabletest.Fault{On: airtabletest.Meta, Do: airtabletest.Forbidden})
	w.start()
	w.ok(w.synced())
	w.mapped()
}

// A column stays with its field, whatever that is called, over a restart too.
func TestRenamedFieldsStay(t *testing.T) {
	for _, mode := range []syncapi.Mode{syncapi.Full, syncapi.Webhook} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 60})
			stop := w.start()
			w.ok(w.synced())
			w.silent(func() {
				_, err := w.sandbox.AddField(airtabletest.Field{Name: "Total", Type: airtabletest.Currency})
				w.must(err, w.sandbox.RenameField("Amount", "Base imponible"), w.sandbox.RenameField("Customer", "Quién"))
				_, err = w.sandbox.AddField(airtabletest.Field{Name: "Customer", Type: airtabletest.SingleLineText})
				w.must(err)
				w.ok(w.run(syncapi.RunRequest{Mode: mode}))
				w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
				stop()
				w.must(w.sandbox.RenameField("Status", "Dónde está"))
				w.start()
				w.ok(w.synced())
				w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
			})
			for column, title := range map[string]string{"amount": "Base imponible", "customer": "Quién", "status": "Dónde está"} {
				if got := w.column(column); got.Title != title || len(got.Notes) > 0 {
					t.Errorf("%s: %+v", column, got)
				}
			}
		})
	}
}

// Without metadata a field with a new name is known by what is new on a page, and what is missing.
func TestRenamedWithoutMetadata(t *testing.T) {
	for _, name := range []string{"Total con IVA", "Base imponible"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 60, NoSchemaScope: true})
			w.start()
			w.ok(w.synced())
			w.must(w.sandbox.RenameField("Amount", name))
			w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
			w.mapped()
			if got := w.column("amount"); got.Title != name {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("into nothing that is alike", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 60, NoSchemaScope: true})
		w.start()
		w.ok(w.synced())
		w.must(w.sandbox.RenameField("Amount", "Uno"), w.sandbox.RenameField("Customer", "Otro"))
		w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
		if got := w.column("amount"); len(got.Notes) != 1 || !strings.Contains(got.Notes[0].EN, "“Amount” has no cell any more") {
			t.Errorf("%+v", got)
		}
	})
}

// A column whose field is removed is empty from then on, and everything else goes on.
func TestRemovedFieldIsEmpty(t *testing.T) {
	for _, mode := range []syncapi.Mode{syncapi.Full, syncapi.Webhook} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 30})
			w.start()
			w.ok(w.synced())
			id := w.sandbox.RecordIDs()[0]
			w.must(w.sandbox.DeleteField("Priority"), w.sandbox.UpdateRecord(id, airtabletest.Fields{"Amount": 12.5}))
			w.ok(w.run(syncapi.RunRequest{Mode: mode}))
			w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Webhook}))
			w.converged()
			if o := w.order(id); o.Priority != nil || o.Status == nil || o.Amount.String() != "12.5" {
				t.Errorf("%+v", o)
			}
			if got := w.column("priority"); got.Field != "" || len(got.Notes) != 1 {
				t.Errorf("%+v", got)
			}
			e := edit(id, "Sent", "")
			w.accept(e)
			w.applied(e)
			e = edit(id, "", "High")
			w.accept(e)
			w.rejected(e, "no column for priority")
		})
	}
}

// A select and a currency that become texts are still read, with a word.
func TestFieldsBecomeTexts(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 30})
	w.must(w.sandbox.RenameField("Status", "Luz"))
	w.start()
	w.ok(w.synced())
	id := w.sandbox.RecordIDs()[0]
	w.must(w.sandbox.UpdateRecord(id, airtabletest.Fields{"Luz": "Sent", "Amount": 1002.1, "Order date": "2026-06-03"}))
	for _, field := range []string{"Luz", "Amount", "Order date"} {
		w.must(w.sandbox.ConvertToText(field))
	}
	w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
	if o := w.order(id); o.Status == nil || *o.Status != "Sent" || o.Amount == nil || o.Amount.String() != "1002.10" || *o.OrderDate != "2026-06-03" {
		t.Errorf("%+v", o)
	}
	w.must(w.sandbox.UpdateRecord(id, airtabletest.Fields{"Amount": "1.002", "Order date": "03/06/2026 10:30"}))
	w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
	if o := w.order(id); o.Amount != nil || *o.OrderDate != "2026-06-03" {
		t.Errorf("%+v", o)
	}
	for column, note := range map[string]string{"status": "is a text now", "amount": "such as “1.002”", "order_date": "is a text now"} {
		got := w.column(column)
		said := false
		for _, n := range got.Notes {
			said = said || strings.Contains(n.EN, note)
		}
		if !said {
			t.Errorf("%s: %+v", column, got.Notes)
		}
	}
}

// A base in Spanish appears with canonical values, and is written in its own words.
func TestSpanishChoices(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 4})
	w.must(w.sandbox.DeleteField("Status"), w.sandbox.DeleteField("Priority"))
	for _, f := range []airtabletest.Field{
		{Name: "Estado", Type: airtabletest.SingleSelect, Choices: []string{"Pendiente", "En proceso", "Enviado ", "Entregado", "Cancelado", "Devuelto"}},
		{Name: "Prioridad", Type: airtabletest.MultipleSelects, Choices: []string{"Baja", "Media", "Alta"}},
	} {
		_, err := w.sandbox.AddField(f)
		w.must(err)
	}
	ids := w.sandbox.RecordIDs()
	w.must(w.sandbox.UpdateRecord(ids[0], airtabletest.Fields{"Estado": "Pendiente", "Prioridad": []any{"Alta"}}),
		w.sandbox.UpdateRecord(ids[1], airtabletest.Fields{"Estado": "Devuelto"}))
	w.start()
	w.ok(w.synced())
	if o := w.order(ids[0]); *o.Status != "Pending" || *o.Priority != "High" {
		t.Fatalf("%s, %s", *o.Status, *o.Priority)
	}
	if o := w.order(ids[1]); *o.Status != "Devuelto" {
		t.Fatalf("%s", *o.Status)
	}
	sent, own, wrong := edit(ids[0], "Sent", "Low"), edit(ids[1], "Cancelled", ""), edit(ids[2], "Lost", "")
	w.accept(sent, own, wrong)
	w.applied(sent, own)
	w.rejected(wrong, "“Lost” is not a choice of “Estado” in Airtable; its choices are: “Pending” (“Pendiente”), ")
	for id, want := range map[string]string{ids[0]: "Enviado ", ids[1]: "Cancelado"} {
		if r, _ := w.sandbox.Record(id); r.Fields["Estado"] != want {
			t.Errorf("%v, want %q", r.Fields["Estado"], want)
		}
	}
	if o := w.order(ids[0]); *o.Status != "Sent" || *o.Priority != "Low" {
		t.Errorf("%s, %s", *o.Status, *o.Priority)
	}
	// A choice that is made meanwhile is known once a record has it.
	w.must(w.sandbox.AddChoice("Estado", "En tránsito"), w.sandbox.UpdateRecord(ids[3], airtabletest.Fields{"Estado": "En tránsito"}))
	w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Incremental}))
	status := w.column("status")
	if value, ok := status.Find("en transito"); ok || value != "" {
		t.Errorf("accents are no spaces: %q", value)
	}
	if value, ok := status.Find(" EN TRÁNSITO"); !ok || value != "En tránsito" {
		t.Errorf("%+v", status)
	}
}

// A choice that no record has yet is known when somebody asks, but Airtable is not asked for each nonsense.
func TestNewChoiceIsReadWhenAsked(t *testing.T) {
	c := &clock{}
	w := newWorld(t, airtabletest.Config{Orders: 4, Now: c.now})
	w.start(on(c))
	w.ok(w.synced())
	offers := func(want bool) {
		t.Helper()
		var source columns.Source
		w.ask(syncapi.SubjectColumns, struct{}{}, &source)
		if got := slices.ContainsFunc(source.Columns, func(c columns.Column) bool {
			return slices.ContainsFunc(c.Offers, func(o columns.Offer) bool { return o.Value == "En tránsito" })
		}); got != want {
			t.Errorf("the choice is offered: %t, want %t", got, want)
		}
	}
	w.sandbox.ResetCalls()
	offers(false)
	w.must(w.sandbox.AddChoice("Status", "En tránsito"))
	for range 5 {
		offers(false)
	}
	if got := w.sandbox.Calls().Meta; got != 1 {
		t.Errorf("%d calls", got)
	}
	c.advance(time.Minute)
	offers(true)
	status := w.column("status")
	if _, known := status.Find("En tránsito"); !known {
		t.Error("the bucket does not have it")
	}
}

// The date of an order is that of its field's zone, and of TIME_ZONE where the field leaves it open.
func TestDatesOfZones(t *testing.T) {
	for zone, want := range map[string]string{"Europe/Madrid": "2026-07-01", "client": "2026-06-30", "utc": "2026-06-30"} {
		t.Run(zone, func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 1})
			w.must(w.sandbox.DeleteField("Order date"))
			_, err := w.sandbox.AddField(airtabletest.Field{Name: "Fecha", Type: airtabletest.DateTime, TimeZone: zone})
			id := w.sandbox.RecordIDs()[0]
			w.must(err, w.sandbox.UpdateRecord(id, airtabletest.Fields{"Fecha": "2026-06-30T22:30:00.000Z"}))
			w.start(func(c *airtablesync.Config) { c.TimeZone = "America/Mexico_City" })
			w.ok(w.synced())
			if o := w.order(id); *o.OrderDate != want {
				t.Errorf("%s", *o.OrderDate)
			}
		})
	}
}
