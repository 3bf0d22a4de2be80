package airtablesync_test

import (
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

func TestEveryChangeIsOneEvent(t *testing.T) {
	for _, mode := range []syncapi.Mode{syncapi.Full, syncapi.Incremental} {
		t.Run(string(mode), func(t *testing.T) {
			w := newWorld(t, airtabletest.Config{Orders: 230})
			w.start()
			if first := w.ok(w.synced()); first.Created != 230 || first.Mode != syncapi.Full {
				t.Fatalf("first run %+v", first)
			}
			w.converged()

			before := w.messages()
			if idle := w.ok(w.run(syncapi.RunRequest{Mode: mode})); idle.Created+idle.Updated+idle.Deleted != 0 {
				t.Fatalf("idle run %+v", idle)
			}
			if got := w.messages(); got != before {
				t.Fatalf("%d messages for nothing", got-before)
			}

			ids := w.sandbox.RecordIDs()
			if err := w.sandbox.UpdateRecord(ids[3], airtabletest.Fields{"Status": "Sent", "Amount": 12.5}); err != nil {
				t.Fatal(err)
			}
			if err := w.sandbox.UpdateRecord(ids[4], airtabletest.Fields{"Customer": nil}); err != nil {
				t.Fatal(err)
			}
			created, err := w.sandbox.CreateRecord(airtabletest.Fields{"Order": "Año \"1\" 🎉", "Customer": "Núñez", "Status": "Pending"})
			if err != nil {
				t.Fatal(err)
			}
			run := w.ok(w.run(syncapi.RunRequest{Mode: mode}))
			if run.Created != 1 || run.Updated != 2 || run.Mode != mode {
				t.Fatalf("run %+v", run)
			}
			w.converged()
			c, env := w.newest(ids[3])
			if c.Change != event.Updated || *c.Order.Status != "Sent" || c.Order.Amount.String() != "12.5" || len(c.Previous) == 0 || env.Digest == "" {
				t.Fatalf("event %+v %+v", c, env)
			}
			if c, _ := w.newest(ids[4]); c.Order.Customer != nil || string(c.Previous["customer"]) == "" {
				t.Fatalf("a cleared cell is not cleared: %+v", c)
			}
			if c, _ := w.newest(created); c.Change != event.Created || *c.Order.Customer != "Núñez" {
				t.Fatalf("event %+v", c)
			}

			w.sandbox.DeleteRecords(ids[7], ids[8])
			if run := w.ok(w.run(syncapi.RunRequest{})); run.Deleted != 2 || run.Mode != syncapi.Full {
				t.Fatalf("run %+v", run)
			}
			c, _ = w.newest(ids[7])
			if c.Change != event.Deleted || c.Order.Name == nil {
				t.Fatalf("a deletion says what the order was: %+v", c)
			}
			w.converged()
		})
	}
}

func TestIdleIncrementalRunCostsOneCall(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 250})
	w.start()
	w.ok(w.synced())
	w.sandbox.ResetCalls()
	run := w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Incremental}))
	if got := w.sandbox.Calls().Total(); got != 1 || run.APICalls != 1 {
		t.Fatalf("%d calls, the run says %d", got, run.APICalls)
	}
}

func TestColumns(t *testing.T) {
	t.Run("Spanish table", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 30, Language: "es"})
		w.start()
		w.ok(w.synced())
		w.mapped()
	})
	t.Run("without the metadata scope", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 30, Language: "es", NoSchemaScope: true})
		w.start()
		w.ok(w.synced())
		w.mapped()
	})
	t.Run("renamed in Airtable", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 130})
		w.start()
		w.ok(w.synced())
		before := w.messages()
		if err := w.sandbox.RenameField("Status", "Where it is"); err != nil {
			t.Fatal(err)
		}
		w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Incremental}))
		w.ok(w.run(syncapi.RunRequest{Mode: syncapi.Full}))
		if got := w.messages(); got != before {
			t.Fatalf("a rename is news of %d orders", got-before)
		}
	})
	t.Run("missing", func(t *testing.T) {
		w := newWorld(t, airtabletest.Config{Orders: 3})
		if err := w.sandbox.DeleteField("Priority"); err != nil {
			t.Fatal(err)
		}
		w.start()
		if run := w.ok(w.synced()); run.Created != 3 {
			t.Fatalf("run %+v", run)
		}
		w.converged()
		if got := w.column("priority"); got.Field != "" || got.Editable || len(got.Notes) != 1 || !strings.Contains(got.Notes[0].EN, "AIRTABLE_FIELD_PRIORITY") {
			t.Fatalf("%+v", got)
		}
	})
}

// column is how the status describes a column.
func (w *world) column(name string) columns.Column {
	w.Helper()
	for _, c := range w.status().Columns {
		if c.Name == name {
			return c
		}
	}
	w.Fatalf("the status has no column %s", name)
	return columns.Column{}
}

// mapped checks that every column was found: no order lacks all of one.
func (w *world) mapped() {
	w.Helper()
	has := map[string]int{}
	for _, id := range w.sandbox.RecordIDs() {
		c, _ := w.newest(id)
		for column, there := range map[string]bool{
			"name": c.Order.Name != nil, "customer": c.Order.Customer != nil, "status": c.Order.Status != nil,
			"priority": c.Order.Priority != nil, "amount": c.Order.Amount != nil, "order_date": c.Order.OrderDate != nil,
		} {
			if there {
				has[column]++
			}
		}
	}
	if len(has) != 6 {
		w.Fatalf("columns found: %v", has)
	}
}
