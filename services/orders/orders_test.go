package orders_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/pkg/servicetest"
	"github.com/resonance/resonance/services/orders"
)

// TestMain is also the process of an instance that a test kills.
func TestMain(m *testing.M) {
	if os.Getenv("ORDERS_TEST_CHILD") != "" {
		service.Main("orders", orders.Run)
		return
	}
	pgtest.Main(m)
}

// world is a NATS server, and as many instances of the service as a test starts.
type world struct {
	t    *testing.T
	nats *natstest.Server
	nc   *nats.Conn
	js   jetstream.JetStream
	dsn  string
}

func newWorld(t *testing.T, dsn string) *world {
	t.Helper()
	t.Parallel()
	w := &world{t: t, nats: natstest.Start(t), dsn: dsn}
	w.nc, w.js = w.nats.Connect()
	return w
}

func (w *world) config() orders.Config {
	return orders.Config{
		Base:        service.Base{NATSURL: w.nats.URL(), NATSReplicas: 1, LogFormat: "text", Log: slog.New(slog.NewTextHandler(w.t.Output(), nil))},
		DatabaseURL: w.dsn,
	}
}

// start runs an instance until the test ends or stop is called, which waits for its end.
func (w *world) start() (stop func()) {
	w.t.Helper()
	cfg := w.config()
	return servicetest.Run(w.t, func(ctx context.Context) error { return orders.Run(ctx, cfg) })
}

// eventually fails the test unless check comes true in time; what it returns is shown then.
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *world) ask(subject string, req any) (bus.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return bus.Ask(ctx, w.nc, subject, req)
}

// list returns the orders of a query and the total.
func (w *world) list(q ordersapi.Query) ([]event.Order, string, error) {
	r, err := w.ask(ordersapi.SubjectList, q)
	if err != nil {
		return nil, "", err
	}
	var got []event.Order
	err = json.Unmarshal(r.Data, &got)
	return got, r.Header.Get(rpc.HeaderTotal), err
}

// holds waits until the service serves exactly these statuses by record id.
func (w *world) holds(want map[string]string) {
	w.t.Helper()
	w.eventually("orders", func() error {
		got, total, err := w.list(ordersapi.Query{Limit: 1000})
		if err != nil {
			return err
		}
		have := map[string]string{}
		for _, o := range got {
			have[o.RecordID] = *o.Status
		}
		if fmt.Sprint(have) != fmt.Sprint(want) || total != fmt.Sprint(len(want)) {
			return fmt.Errorf("have %v (total %s), want %v", have, total, want)
		}
		return nil
	})
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// changed makes an event; status is empty for a deletion.
func changed(id, status string) *nats.Msg { return changedBy(id, status, event.Actor{}) }

// changedBy makes one that came of edits.
func changedBy(id, status string, actor event.Actor, editIDs ...string) *nats.Msg {
	name, customer, date, amount := "Order "+id, "Customer "+id, "2026-03-04", json.Number("10.50")
	c := &event.OrderChanged{RecordID: id, Change: event.Updated, Order: event.Order{
		RecordID: id, Name: &name, Customer: &customer, Status: &status, Amount: &amount, OrderDate: &date,
		CreatedAt: epoch, UpdatedAt: epoch, Fields: json.RawMessage(`{"Name":"x"}`),
	}}
	if status == "" {
		c.Change = event.Deleted
	}
	if c.EditIDs = editIDs; len(editIDs) > 0 {
		c.Actor = &actor
	}
	msg, err := event.NewOrderChanged(event.Envelope{ID: event.NewID(), Source: "/airtable/app/tbl", Time: epoch}, c)
	if err != nil {
		panic(err)
	}
	return msg
}

func (w *world) publish(msgs ...*nats.Msg) (last uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range msgs {
		if m.Header.Get(nats.MsgIdHdr) == "" {
			m.Header.Set(nats.MsgIdHdr, event.NewID())
		}
		seq, err := bus.Publish(ctx, w.js, m)
		if err != nil {
			w.t.Fatal(err)
		}
		last = seq
	}
	return last
}

func (w *world) ensure() {
	w.t.Helper()
	if err := bus.Ensure(w.t.Context(), w.js, 1, bus.StreamOrders, bus.StreamDeadLetters); err != nil {
		w.t.Fatal(err)
	}
}

func TestProjectsAndServes(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.publish(changed("rec1", "Pending"), changed("rec2", "Sent"), changed("rec1", "Sent"))
	w.start()
	w.holds(map[string]string{"rec1": "Sent", "rec2": "Sent"})
	w.publish(changed("rec2", ""), changed("rec3", "Pending"))
	w.holds(map[string]string{"rec1": "Sent", "rec3": "Pending"})

	r, err := w.ask(ordersapi.SubjectGet, ordersapi.Ref{RecordID: "rec1"})
	if err != nil {
		t.Fatal(err)
	}
	var o event.Order
	if err := json.Unmarshal(r.Data, &o); err != nil || o.RecordID != "rec1" || string(o.Fields) != `{"Name":"x"}` || r.Header.Get(rpc.HeaderETag) == "" {
		t.Fatalf("got %s %v %v", r.Data, r.Header, err)
	}
	if _, err := w.ask(ordersapi.SubjectGet, ordersapi.Ref{RecordID: "rec2"}); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("a deleted order: %v", err)
	}
	if r, err = w.ask(ordersapi.SubjectHistory, ordersapi.HistoryQuery{RecordID: "rec2", Limit: 10}); err != nil {
		t.Fatal(err)
	}
	var history []ordersapi.HistoryEntry
	if err := json.Unmarshal(r.Data, &history); err != nil || len(history) != 2 || history[0].Change != "deleted" || history[1].Values["status"] != "Sent" {
		t.Fatalf("history %s, %v", r.Data, err)
	}
	if r, err = w.ask(ordersapi.SubjectSummary, ordersapi.Query{}); err != nil {
		t.Fatal(err)
	}
	want := `{"total":2,"amount":21,"by_status":[{"status":"Pending","count":1,"amount":10.5},{"status":"Sent","count":1,"amount":10.5}],` +
		`"by_priority":[{"priority":null,"count":2,"amount":21}],"by_day":[{"day":"2026-03-04","count":2,"amount":21}]}`
	if string(r.Data) != want {
		t.Fatalf("summary\n%s, want\n%s", r.Data, want)
	}
}
