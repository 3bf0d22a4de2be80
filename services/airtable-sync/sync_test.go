package airtablesync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/pkg/servicetest"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

// world is a sandbox, a NATS server and any number of syncers between them.
type world struct {
	*testing.T
	sandbox  *airtabletest.Server
	endpoint string
	nats     *natstest.Server
	nc       *nats.Conn
	js       jetstream.JetStream
	starts   map[string]bool // ids of runs that synced has returned
	accepted map[string]bool // ids of edits that were put into EDITS
}

func newWorld(t *testing.T, cfg airtabletest.Config, customizeNATS ...func(*server.Options)) *world {
	t.Parallel()
	if cfg.RatePerSecond == 0 {
		cfg.RatePerSecond = -1
	}
	sandbox, endpoint := airtabletest.Start(t, cfg)
	n := natstest.Start(t, customizeNATS...)
	nc, js := n.Connect()
	return &world{T: t, sandbox: sandbox, endpoint: endpoint, nats: n, nc: nc, js: js, starts: map[string]bool{}, accepted: map[string]bool{}}
}

func (w *world) config(change ...func(*airtablesync.Config)) airtablesync.Config {
	w.Helper()
	sc := w.sandbox.Config()
	cfg := airtablesync.Config{
		Base:   service.Base{NATSURL: w.nats.URL(), NATSReplicas: 1, LogFormat: "text", Log: slog.New(slog.NewTextHandler(w.Output(), nil))},
		APIKey: sc.APIKey, BaseID: sc.BaseID, TableID: sc.TableID, EndpointURL: w.endpoint,
		IntervalMinutes: 60, Mode: "auto", FullScanHours: 24, After: soon,
	}
	for _, c := range change {
		c(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		w.Fatal(err)
	}
	return cfg
}

// soon makes waits for Airtable short, but for those of an hour, which only a test that is about them ends.
func soon(d time.Duration) <-chan time.Time {
	if d < time.Minute {
		d = min(d, 5*time.Millisecond)
	}
	return time.After(d)
}

// realWaits has the syncer wait for Airtable as long as it does for the true one.
func realWaits(cfg *airtablesync.Config) { cfg.After = nil }

// start runs a syncer; stop ends it and waits for that.
func (w *world) start(change ...func(*airtablesync.Config)) (stop func()) {
	w.Helper()
	cfg := w.config(change...)
	return servicetest.Run(w, func(ctx context.Context) error { return airtablesync.Run(ctx, cfg) })
}

// status asks the active syncer, waiting until there is one.
func (w *world) status() syncapi.Status {
	w.Helper()
	var st syncapi.Status
	w.ask(syncapi.SubjectStatus, syncapi.StatusRequest{}, &st)
	return st
}

func (w *world) ask(subject string, req, out any) {
	w.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
		reply, err := bus.Ask(ctx, w.nc, subject, req)
		cancel()
		if err == nil {
			if err := json.Unmarshal(reply.Data, out); err != nil {
				w.Fatal(err)
			}
			return
		}
		if time.Now().After(deadline) {
			w.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // poll: nobody listens yet
	}
}

// run asks for a run and waits for its end.
func (w *world) run(req syncapi.RunRequest) syncapi.Run {
	w.Helper()
	var accepted syncapi.RunAccepted
	w.ask(syncapi.SubjectRun, req, &accepted)
	return w.wait(accepted.RunID)
}

func (w *world) wait(id string) syncapi.Run {
	w.Helper()
	for range 20 {
		var st syncapi.Status
		w.ask(syncapi.SubjectStatus, syncapi.StatusRequest{RunID: id}, &st)
		for _, r := range st.Recent {
			if r.ID == id {
				return r
			}
		}
		if st.Current == nil || st.Current.ID != id {
			return syncapi.Run{ID: id, State: syncapi.Failed} // gone with its syncer
		}
	}
	w.Fatal("the run does not end")
	return syncapi.Run{}
}

// synced waits until the run at the latest start has ended and returns it.
func (w *world) synced() syncapi.Run {
	w.Helper()
	for range 4000 {
		st := w.status()
		for _, r := range st.Recent {
			if r.Trigger == "start" && !w.starts[r.ID] {
				w.starts[r.ID] = true
				return r
			}
		}
		time.Sleep(5 * time.Millisecond) // poll
	}
	w.Fatal("no run at start")
	return syncapi.Run{}
}

func (w *world) ok(r syncapi.Run) syncapi.Run {
	w.Helper()
	if r.State != syncapi.Succeeded {
		w.Fatalf("run %+v", r)
	}
	return r
}

// messages counts what is on the stream.
func (w *world) messages() uint64 {
	w.Helper()
	s, err := w.js.Stream(w.Context(), bus.StreamOrders)
	if err != nil {
		w.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

// newest is the last event of one order.
func (w *world) newest(id string) (*event.OrderChanged, event.Envelope) {
	w.Helper()
	s, err := w.js.Stream(w.Context(), bus.StreamOrders)
	if err != nil {
		w.Fatal(err)
	}
	msg, err := s.GetLastMsgForSubject(w.Context(), event.OrderChangedSubject(id))
	if err != nil {
		w.Fatalf("%s: %v", id, err)
	}
	c, env, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data)
	if err != nil {
		w.Fatal(err)
	}
	return c, env
}

// converged checks that the newest events say exactly what the sandbox holds.
func (w *world) converged() {
	w.Helper()
	stream, err := w.js.Stream(w.Context(), bus.StreamOrders)
	if err != nil {
		w.Fatal(err)
	}
	want := map[string]airtabletest.Record{}
	for _, r := range w.sandbox.Records() {
		want[r.ID] = r
	}
	live := 0
	for _, msg := range w.read(stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{event.OrdersChanged}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	}) {
		c, _, err := event.ParseOrderChanged(msg.Subject(), msg.Headers(), msg.Data())
		if err != nil {
			w.Fatal(err)
		}
		id := c.RecordID
		rec, exists := want[id]
		if (c.Change != event.Deleted) != exists {
			w.Fatalf("%s: the event says %s, in Airtable: %v", id, c.Change, exists)
		}
		if !exists {
			continue
		}
		live++
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(c.Order.Fields, &fields); err != nil {
			w.Fatal(err)
		}
		for name, value := range rec.Fields {
			if name == "Last modified" {
				continue
			}
			if got, want := fmt.Sprint(decode(w, fields[name])), fmt.Sprint(value); got != want {
				w.Fatalf("%s.%s is %s, want %s", id, name, got, want)
			}
		}
	}
	if live != len(want) {
		w.Fatalf("%d orders on the stream, %d in Airtable", live, len(want))
	}
}

func decode(t testing.TB, raw json.RawMessage) any {
	var v any
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A port in use ends the service with an error that names the variable.
func TestMetricsPortInUse(t *testing.T) {
	w := newWorld(t, airtabletest.Config{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = airtablesync.Run(t.Context(), w.config(func(c *airtablesync.Config) { c.MetricsAddr = taken.Addr().String() }))
	if err == nil || !strings.Contains(err.Error(), "METRICS_ADDR") {
		t.Fatalf("err %v", err)
	}
}
