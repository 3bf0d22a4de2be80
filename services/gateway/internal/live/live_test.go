package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/servicetest"
	"github.com/resonance/resonance/services/gateway/internal/live"
)

const visibilityTimeout = 30 * time.Second

// rig is a hub on a stream of its own.
type rig struct {
	*testing.T
	nats *natstest.Server
	js   jetstream.JetStream
	hub  *live.Hub
	stop func()

	linger time.Duration
}

func feed(shown bool) live.Feed {
	return live.Feed{
		Stream: "S", Subjects: []string{"s.*"}, Resources: []string{"things"}, Shown: shown,
		Read: func(subject string, h nats.Header) (live.Change, bool) {
			if h.Get(event.HeaderState) != "" {
				return live.Change{Resource: "things", ID: subject[2:], EditID: h.Get(event.HeaderID), State: h.Get(event.HeaderState)}, true
			}
			return live.Change{Resource: "things", ID: subject[2:], Kind: h.Get(event.HeaderChange)}, subject != "s.none"
		},
	}
}

func start(t *testing.T, shown bool) *rig {
	t.Helper()
	r := &rig{T: t, nats: natstest.Start(t), linger: time.Minute}
	_, r.js = r.nats.Connect()
	r.stream()
	r.run(shown)
	return r
}

func (r *rig) stream() {
	r.Helper()
	if _, err := r.js.CreateStream(r.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
		r.Fatal(err)
	}
}

// run starts a hub, as a gateway that was restarted does.
func (r *rig) run(shown bool) {
	r.Helper()
	if r.stop != nil {
		r.stop()
	}
	r.hub = live.New(slog.New(slog.DiscardHandler), r.linger, feed(shown))
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan struct{})
	hub, js := r.hub, r.js
	go func() { defer close(ended); hub.Run(ctx, js) }()
	r.stop = func() { cancel(); <-ended }
	r.Cleanup(r.stop)
}

func (r *rig) publish(id, change string) uint64 {
	r.Helper()
	ack, err := r.js.PublishMsg(r.Context(), &nats.Msg{Subject: "s." + id, Header: nats.Header{event.HeaderChange: {change}}})
	if err != nil {
		r.Fatal(err)
	}
	return ack.Sequence
}

// readers is how many consumers the stream has.
func (r *rig) readers() int {
	r.Helper()
	s, err := r.js.Stream(r.Context(), "S")
	if err != nil {
		r.Fatal(err)
	}
	return s.CachedInfo().State.Consumers
}

func (r *rig) subscribe(cursor string) (*live.Client, live.Message) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), visibilityTimeout)
	defer cancel()
	c, err := r.hub.Subscribe(ctx, cursor)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(c.Close)
	return c, r.read(c.First)
}

func (r *rig) read(f live.Frame) live.Message {
	r.Helper()
	var m live.Message
	if err := json.Unmarshal(f.Data, &m); err != nil {
		r.Fatal(err)
	}
	return m
}

func (r *rig) next(c *live.Client) live.Message {
	r.Helper()
	select {
	case f, open := <-c.C:
		if !open {
			r.Fatal("cut off")
		}
		return r.read(f)
	case <-time.After(visibilityTimeout):
		r.Fatal("no message")
		return live.Message{}
	}
}

// until reads messages until all ids were told, and returns the last cursor and what was told of each id, in order.
func (r *rig) until(c *live.Client, ids ...string) (cursor string, announced map[string][]string) {
	r.Helper()
	announced = map[string][]string{}
	missing := func(id string) bool { return len(announced[id]) == 0 }
	for slices.ContainsFunc(ids, missing) {
		m := r.next(c)
		cursor = m.Cursor
		note(announced, m)
	}
	return cursor, announced
}

func note(announced map[string][]string, m live.Message) {
	for _, changed := range m.Changes {
		for kind, list := range map[string][]string{"created": changed.Created, "updated": changed.Updated, "deleted": changed.Deleted} {
			for _, id := range list {
				announced[id] = append(announced[id], kind)
			}
		}
	}
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	r.publish("old", "created")
	c, first := r.subscribe("")
	if first.Type != "ready" || first.Cursor == "" || len(first.Changes) != 0 || len(first.Reset) != 0 {
		t.Fatalf("%+v", first)
	}
	r.publish("a", "created")
	r.publish("none", "created")
	r.publish("a", "updated")
	r.publish("b", "deleted")
	if _, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: "s.c", Header: nats.Header{event.HeaderID: {"e1"}, event.HeaderState: {"applied"}}}); err != nil {
		t.Fatal(err)
	}
	_, announced := r.until(c, "a", "b", "c")
	if announced["a"][0] != "created" || announced["b"][0] != "deleted" || announced["c"][0] != "updated" || announced["none"] != nil {
		t.Errorf("%v", announced)
	}
}

// Whoever comes back with a cursor misses nothing and gets nothing twice, whoever serves it.
func TestResume(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	c, first := r.subscribe("")
	r.publish("a", "created")
	cursor, _ := r.until(c, "a")
	c.Close()
	r.publish("b", "created")
	r.publish("b", "updated")
	_, again := r.subscribe("") // somebody who saw nothing asks for nothing
	if len(again.Changes) > 0 {
		t.Errorf("%+v", again)
	}
	other, _ := r.subscribe(first.Cursor)
	r.publish("c", "created")
	r.until(other, "c")
	for name, restart := range map[string]bool{"same": false, "restarted": true} {
		if restart {
			r.run(false)
		}
		c, m := r.subscribe(cursor)
		announced := map[string][]string{}
		note(announced, m)
		r.publish("d-"+name, "created")
		_, later := r.until(c, "d-"+name)
		if len(m.Reset) > 0 || fmt.Sprint(announced["b"]) != "[created]" || fmt.Sprint(announced["c"]) != "[created]" || announced["a"] != nil || later["b"] != nil || later["c"] != nil {
			t.Errorf("%s: %+v, then %v", name, m, later)
		}
		if m2 := m.Cursor; m2 == cursor {
			t.Errorf("%s: the cursor stays %s", name, m2)
		}
	}
	for _, unknown := range []string{"x", "1.1", "_", "zzzzzzzzzzzzzzzzzzzz.1"} {
		if _, m := r.subscribe(unknown); len(m.Reset) != 1 {
			t.Errorf("%q: %+v", unknown, m)
		}
	}
}

// While nobody listens nothing is read, and whoever comes back misses nothing all the same.
func TestReadsWhileSomebodyListens(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	r.linger = 2 * time.Second
	r.run(false)
	if n := r.readers(); n != 0 {
		t.Errorf("%d readers before the first client", n)
	}
	c, _ := r.subscribe("")
	r.publish("a", "created")
	cursor, _ := r.until(c, "a")
	if n := r.readers(); n != 1 {
		t.Errorf("%d readers", n)
	}
	c.Close()
	servicetest.Eventually(t, "nothing is read", func() bool { return r.readers() == 0 })
	r.publish("b", "created")
	c, m := r.subscribe(cursor)
	announced := map[string][]string{}
	note(announced, m)
	if len(m.Reset) > 0 || fmt.Sprint(announced) != "map[b:[created]]" {
		t.Errorf("%+v", m)
	}
	r.publish("c", "created")
	if _, announced := r.until(c, "c"); announced["a"] != nil || announced["b"] != nil {
		t.Errorf("%v", announced)
	}
}

// Who comes while the newest changes are not shown yet is told of them when they are, and nobody twice.
func TestNotShownYet(t *testing.T) {
	t.Parallel()
	r := start(t, true)
	r.linger = 2 * time.Second
	r.run(true)
	r.hub.Shown("S", r.publish("a", "created"))
	seq := r.publish("b", "created")
	c, first := r.subscribe("")
	if len(first.Changes) > 0 {
		t.Errorf("%+v", first)
	}
	r.hub.Shown("S", seq)
	cursor, announced := r.until(c, "b")
	c.Close()
	servicetest.Eventually(t, "nothing is read", func() bool { return r.readers() == 0 })
	c, first = r.subscribe(cursor)
	r.publish("c", "created")
	_, later := r.until(c, "c")
	if announced["a"] != nil || len(first.Reset) > 0 || len(first.Changes) > 0 || later["a"] != nil || later["b"] != nil {
		t.Errorf("%v, then %+v, then %v", announced, first, later)
	}
}

// A stream that was made anew has other sequences: everybody is told to read everything again.
func TestReplacedStream(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	r.publish("a", "created")
	r.publish("b", "created")
	c, first := r.subscribe("")
	if err := r.js.DeleteStream(t.Context(), "S"); err != nil {
		t.Fatal(err)
	}
	r.stream()
	r.publish("c", "created")
	for m := r.next(c); len(m.Reset) == 0; m = r.next(c) {
	}
	if _, m := r.subscribe(first.Cursor); len(m.Reset) == 0 {
		t.Errorf("%+v", m)
	}
	r.publish("d", "created")
	r.until(c, "d")
}

// The hub ends at once, whatever state its stream is in.
func TestStopsWhileTheStreamIsMissing(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	nc, _ := r.nats.Connect()
	requested, err := nc.SubscribeSync("$JS.API.>")
	if err != nil {
		t.Fatal(err)
	}
	r.publish("a", "created")
	r.subscribe("")
	if err := errors.Join(r.js.DeleteStream(t.Context(), "S"), nc.Flush()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the deletion, and what the hub asks when it has noticed
		for m := (*nats.Msg)(nil); m == nil || !strings.HasSuffix(m.Subject, ".S") && !strings.Contains(m.Subject, "CREATE"); {
			if m, err = requested.NextMsg(visibilityTimeout); err != nil {
				t.Fatal(err)
			}
		}
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	select {
	case <-stopped:
	case <-time.After(5 * time.Second):
		t.Fatal("the hub has not stopped")
	}
}

// After a crash the end of a stream may be lost and its sequences used again, before the feed reads on.
func TestSequencesUsedAgain(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	r.publish("a", "created")
	r.nats.Stop()
	restore := r.nats.Backup()
	r.nats.Start()
	c, _ := r.subscribe("")
	servicetest.Eventually(t, "publishing", func() bool {
		_, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: "s.b", Header: nats.Header{event.HeaderChange: {"created"}}})
		return err == nil
	})
	r.until(c, "b")
	r.nats.Stop()
	restore()
	r.nats.Start()
	for i := range 2 {
		servicetest.Eventually(t, "publishing", func() bool {
			_, err := r.js.PublishMsg(t.Context(), &nats.Msg{Subject: fmt.Sprint("s.c", i), Header: nats.Header{event.HeaderChange: {"created"}}})
			return err == nil
		})
	}
	for m := r.next(c); len(m.Reset) == 0; m = r.next(c) {
	}
	r.publish("d", "created")
	r.until(c, "d")
}

// A change is not told before reads show it, if somebody says when they do.
func TestShown(t *testing.T) {
	t.Parallel()
	r := start(t, true)
	c, _ := r.subscribe("")
	began := time.Now()
	seq := r.publish("a", "created")
	r.hub.Shown("S", seq)
	r.until(c, "a")
	r.publish("b", "created") // nobody says anything
	r.until(c, "b")
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("b was told after %s", waited)
	}
}

func TestManyAreNotNamed(t *testing.T) {
	t.Parallel()
	r := start(t, true)
	c, first := r.subscribe("")
	var last uint64
	for i := range 600 {
		last = r.publish(fmt.Sprint("n", i), "updated")
	}
	r.hub.Shown("S", last)
	r.publish("end", "created")
	total := 0
	for m := r.next(c); ; m = r.next(c) {
		if m.Changes[0].Many {
			total = 600
		}
		total += len(m.Changes[0].Updated)
		if total >= 600 {
			break
		}
	}
	if _, m := r.subscribe(first.Cursor); !m.Changes[0].Many || len(m.Changes[0].Updated) > 0 {
		t.Errorf("%+v", m)
	}
}

// Who does not read is cut off, and the others notice nothing.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	slow, _ := r.subscribe("")
	quick, _ := r.subscribe("")
	for n := 0; r.hub.Clients() > 1; n++ {
		r.hub.Sync(json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)))
		if m := r.next(quick); m.Type != "sync" {
			t.Fatalf("%+v", m)
		}
	}
	read := 0
	for range slow.C {
		read++
	}
	if read == 0 || read > 100 {
		t.Errorf("%d messages had been kept", read)
	}
	if _, m := r.subscribe(""); m.Sync == nil {
		t.Error("a new client is not told how the sync stands")
	}
}

// A message is the same for everybody: reasons, which are in somebody's language, are asked for.
func TestSyncWithoutReasons(t *testing.T) {
	t.Parallel()
	r := start(t, false)
	client, _ := r.subscribe("")
	go r.hub.WatchSync(r.Context(), func(context.Context) ([]byte, error) {
		reason := `"reason":{"es":"así es","en":"it is so"},"mode_reason":{"es":"así es","en":"it is so"}`
		return []byte(`{"state":"running","current":{"id":"2",` + reason + `},"last":{"id":"1",` + reason + `}}`), nil
	})
	m := r.next(client)
	if m.Type != "sync" || !strings.Contains(string(m.Sync), `"id":"2"`) || strings.Contains(string(m.Sync), "reason") {
		t.Errorf("%s: %s", m.Type, m.Sync)
	}
}
