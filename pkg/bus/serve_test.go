package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/localnats"
	"github.com/resonance/resonance/pkg/natstest"
)

// serve starts a service "demo" whose endpoints are demo.<name>, stopped when the test ends.
func serve(t testing.TB, nc *nats.Conn, log *slog.Logger, workers int, timeout time.Duration, endpoints map[string]bus.Handler) *bus.Server {
	t.Helper()
	all := map[string]bus.Handler{}
	for name, h := range endpoints {
		all["demo."+name] = h
	}
	s, err := bus.Serve(nc, log, bus.Service{
		Name: "demo", Description: "For tests", Version: "1.0.0", Endpoints: all, Workers: workers, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(deadline(t, patience)); err != nil {
			t.Error(err)
		}
	})
	return s
}

func echo(_ context.Context, data []byte) (bus.Reply, error) { return bus.Reply{Data: data}, nil }

func TestAsk(t *testing.T) {
	t.Parallel()
	nc, _ := natstest.Start(t).Connect()
	serve(t, nc, quiet, 2, time.Second, map[string]bus.Handler{
		"echo": echo,
		"header": func(context.Context, []byte) (bus.Reply, error) {
			return bus.Reply{Header: nats.Header{"Etag": {`"1"`}}}, nil
		},
	})
	ctx := deadline(t, patience)
	reply, err := bus.Ask(ctx, nc, "demo.echo", map[string]any{"page": 2})
	if err != nil || string(reply.Data) != `{"page":2}` {
		t.Errorf("%s, %v", reply.Data, err)
	}
	reply, err = bus.Ask(ctx, nc, "demo.header", nil)
	if err != nil || reply.Header.Get("Etag") != `"1"` || len(reply.Data) != 0 {
		t.Errorf("%+v, %v", reply, err)
	}
}

// What `nats micro` shows an operator.
func TestServiceIsFound(t *testing.T) {
	t.Parallel()
	nc, _ := natstest.Start(t).Connect()
	serve(t, nc, quiet, 1, time.Second, map[string]bus.Handler{"echo": echo, "other": echo})
	msg, err := nc.RequestWithContext(deadline(t, patience), "$SRV.INFO.demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"demo"`, `"version":"1.0.0"`, `"subject":"demo.echo"`, `"subject":"demo.other"`, `"queue_group":"demo"`} {
		if !strings.Contains(string(msg.Data), want) {
			t.Errorf("%s is not in %s", want, msg.Data)
		}
	}
}

func TestServeRefusesABadService(t *testing.T) {
	t.Parallel()
	nc, _ := natstest.Start(t).Connect()
	for _, s := range []bus.Service{
		{Name: "demo", Version: "one", Workers: 1},
		{Name: "demo", Version: "1.0.0", Workers: 1, Endpoints: map[string]bus.Handler{"demo.two words": echo}},
	} {
		if _, err := bus.Serve(nc, quiet, s); err == nil {
			t.Errorf("served %+v", s)
		}
	}
	// Nothing stays behind of the one that failed half-way.
	if _, err := nc.RequestWithContext(deadline(t, patience), "$SRV.PING.demo", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a service that did not start answers: %v", err)
	}
}

// Workers requests are handled at once, eight times as many wait, and the next is told so at once.
func TestBoundedPool(t *testing.T) {
	t.Parallel()
	const workers, waiting = 2, 16
	nc, _ := natstest.Start(t).Connect()
	var running, most atomic.Int32
	began, release := make(chan struct{}, workers+waiting), make(chan struct{})
	serve(t, nc, quiet, workers, patience, map[string]bus.Handler{
		"slow": func(context.Context, []byte) (bus.Reply, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			began <- struct{}{}
			<-release
			return bus.Reply{}, nil
		},
	})
	ctx := deadline(t, patience)
	answers := make(chan error, workers+waiting)
	ask := func() { _, err := bus.Ask(ctx, nc, "demo.slow", nil); answers <- err }
	for range workers {
		go ask()
		<-began
	}
	for range waiting {
		go ask()
	}
	// One connection keeps the order, so once a request is refused the others wait.
	over := time.After(patience)
	for refused := false; !refused; {
		probe, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err := bus.Ask(probe, nc, "demo.slow", nil)
		cancel()
		refused = err != nil && !errors.Is(err, context.DeadlineExceeded)
		if refused && (fault.CodeOf(err) != fault.Unavailable || fault.From(err).RetryAfter == 0) {
			t.Errorf("refused with %v", err)
		}
		select {
		case <-over:
			t.Fatal("nothing is refused")
		default:
		}
	}
	close(release)
	for range workers + waiting {
		if err := <-answers; err != nil && fault.CodeOf(err) != fault.Unavailable {
			t.Error(err)
		}
	}
	if n := most.Load(); n != workers {
		t.Errorf("%d were handled at once", n)
	}
}

func TestDeadlineIsPassedOn(t *testing.T) {
	t.Parallel()
	const longest = 10 * time.Second
	nc, _ := natstest.Start(t).Connect()
	left := make(chan time.Duration, 1)
	serve(t, nc, quiet, 1, longest, map[string]bus.Handler{
		"left": func(ctx context.Context, _ []byte) (bus.Reply, error) {
			d, _ := ctx.Deadline()
			left <- time.Until(d)
			return bus.Reply{}, nil
		},
	})
	for asked, most := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Minute: longest} {
		if _, err := bus.Ask(deadline(t, asked), nc, "demo.left", nil); err != nil {
			t.Fatal(err)
		}
		if d := <-left; d > most || d < most-2*time.Second {
			t.Errorf("asked for %s: %s left", asked, d)
		}
	}
	for _, header := range []string{"", "soon", "-5", "0", "1e9", "9223372036854775807", "99999999999999999999"} {
		msg := &nats.Msg{Subject: "demo.left", Header: nats.Header{bus.HeaderTimeout: {header}}}
		if _, err := nc.RequestMsgWithContext(deadline(t, patience), msg); err != nil {
			t.Fatalf("%q: %v", header, err)
		}
		if d := <-left; d > longest || d < longest-2*time.Second {
			t.Errorf("%q: %s left", header, d)
		}
	}
}

// A request that waited too long for a worker is answered without being handled.
func TestExpiredInTheQueue(t *testing.T) {
	t.Parallel()
	nc, _ := natstest.Start(t).Connect()
	var handled atomic.Int32
	began, release := make(chan struct{}, 2), make(chan struct{})
	serve(t, nc, quiet, 1, patience, map[string]bus.Handler{
		"slow": func(context.Context, []byte) (bus.Reply, error) {
			handled.Add(1)
			began <- struct{}{}
			<-release
			return bus.Reply{}, nil
		},
	})
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := bus.Ask(deadline(t, patience), nc, "demo.slow", nil); err != nil {
			t.Error(err)
		}
	})
	<-began
	answer := make(chan *nats.Msg, 1)
	inbox := nats.NewInbox()
	if _, err := nc.Subscribe(inbox, func(m *nats.Msg) { answer <- m }); err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishMsg(&nats.Msg{Subject: "demo.slow", Reply: inbox, Header: nats.Header{bus.HeaderTimeout: {"1"}}}); err != nil {
		t.Fatal(err)
	}
	queued := make(chan struct{})
	if err := errors.Join(nc.Flush(), nc.Barrier(func() { close(queued) })); err != nil {
		t.Fatal(err)
	}
	within(t, "the second request", queued)
	<-deadline(t, 2*time.Millisecond).Done() // its millisecond is over
	close(release)
	group.Wait()
	select {
	case m := <-answer:
		if code := m.Header.Get(micro.ErrorCodeHeader); code != "503" {
			t.Errorf("code %q", code)
		}
	case <-time.After(patience):
		t.Fatal("never answered")
	}
	if n := handled.Load(); n != 1 {
		t.Errorf("%d requests were handled", n)
	}
}

func TestFaultsCrossTheWire(t *testing.T) {
	t.Parallel()
	nc, _ := natstest.Start(t).Connect()
	said, log := newJournal()
	failures := map[string]error{
		"field":      fault.Field("page", fault.T("debe ser un número", "must be a number")),
		"stale":      fault.New(fault.Stale, fault.T("Cambió", "Changed")),
		"away":       fault.Away("Postgres", errors.New("dial tcp 10.0.0.7: refused")),
		"wrapped":    fmt.Errorf("list: %w", fault.New(fault.NotFound, fault.T("No está", "Not there"))),
		"plain":      errors.New(`pq: relation "orders" does not exist`),
		"speechless": fault.New(fault.Conflict, fault.Text{}),
	}
	endpoints := map[string]bus.Handler{
		"panic": func(context.Context, []byte) (bus.Reply, error) { panic("index out of range of s3cret") },
		"late":  func(ctx context.Context, _ []byte) (bus.Reply, error) { <-ctx.Done(); return bus.Reply{}, ctx.Err() },
		"large": func(context.Context, []byte) (bus.Reply, error) {
			return bus.Reply{Data: make([]byte, localnats.MaxPayload+1)}, nil
		},
		"echo": echo,
	}
	for name, err := range failures {
		endpoints[name] = func(context.Context, []byte) (bus.Reply, error) { return bus.Reply{}, err }
	}
	serve(t, nc, log, 1, 100*time.Millisecond, endpoints)
	ctx := deadline(t, patience)
	ask := func(name string) *fault.Error {
		t.Helper()
		_, err := bus.Ask(ctx, nc, "demo."+name, nil)
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Fatalf("%s: %v is no fault", name, err)
		}
		return f
	}
	for _, name := range []string{"field", "stale", "away", "wrapped"} {
		if diff := cmp.Diff(fault.From(failures[name]), ask(name), cmpopts.IgnoreFields(fault.Error{}, "Err")); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", name, diff)
		}
	}
	for name, code := range map[string]fault.Code{
		"plain": fault.Internal, "panic": fault.Internal, "late": fault.Unavailable, "large": fault.TooLarge, "speechless": fault.Internal,
	} {
		f := ask(name)
		if f.Code != code {
			t.Errorf("%s: %d %v", name, f.Code, f)
		}
		if text := f.Error() + f.Detail.ES; strings.Contains(text, "pq:") || strings.Contains(text, "s3cret") {
			t.Errorf("%s: what is internal left the process (invariant 9): %s", name, text)
		}
	}
	if _, err := bus.Ask(ctx, nc, "demo.echo", nil); err != nil {
		t.Errorf("after a panic: %v", err)
	}
	for _, cause := range []string{"pq: relation", "index out of range", "10.0.0.7"} {
		said.wait(t, cause, 1)
	}
}

// What is away makes every request fail: the log says so once in a while, and each time what is a mistake of ours.
func TestOutagesAreLoggedSeldom(t *testing.T) {
	t.Parallel()
	nc, _ := natstest.Start(t).Connect()
	said, log := newJournal()
	failing := func(err error) bus.Handler {
		return func(context.Context, []byte) (bus.Reply, error) { return bus.Reply{}, err }
	}
	serve(t, nc, log, 4, patience, map[string]bus.Handler{
		"away": failing(fault.Away("Postgres", errors.New("connection refused"))), "broken": failing(errors.New("no such column")),
	})
	for range 5 {
		for _, name := range []string{"away", "broken"} {
			if _, err := bus.Ask(deadline(t, patience), nc, "demo."+name, nil); err == nil {
				t.Errorf("%s answers", name)
			}
		}
	}
	said.wait(t, "no such column", 5)
	if n := strings.Count(said.String(), "connection refused"); n != 1 {
		t.Errorf("said %d times:\n%s", n, said)
	}
}

func TestAskFailures(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, _ := ns.Connect()
	serve(t, nc, quiet, 1, patience, map[string]bus.Handler{
		"never": func(ctx context.Context, _ []byte) (bus.Reply, error) {
			<-ctx.Done()
			return bus.Reply{}, ctx.Err()
		},
		"echo": echo,
	})
	code := func(name string, req any, ctx context.Context, want fault.Code) {
		t.Helper()
		defer fast(t, name)()
		_, err := bus.Ask(ctx, nc, name, req)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	code("nobody.there", nil, deadline(t, patience), fault.Unavailable)
	code("demo.never", nil, deadline(t, 50*time.Millisecond), fault.Unavailable)
	code("demo.echo", make(chan int), deadline(t, patience), fault.Internal)
	code("demo.echo", strings.Repeat("x", localnats.MaxPayload), deadline(t, patience), fault.TooLarge)

	down := nc.StatusChanged(nats.RECONNECTING)
	ns.Stop()
	<-down
	code("demo.echo", nil, deadline(t, patience), fault.Unavailable)
}

// Whoever answers first answers alone, and another instance takes over.
func TestInstancesShareTheRequests(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, _ := ns.Connect()
	var answered [2]atomic.Int32
	var instances [2]*bus.Server
	for i := range instances {
		own, _ := ns.Connect()
		instances[i] = serve(t, own, quiet, 1, patience, map[string]bus.Handler{
			"count": func(context.Context, []byte) (bus.Reply, error) {
				answered[i].Add(1)
				return bus.Reply{}, nil
			},
		})
	}
	ctx := deadline(t, patience)
	const n = 100
	for range n {
		if _, err := bus.Ask(ctx, nc, "demo.count", nil); err != nil {
			t.Fatal(err)
		}
	}
	a, b := answered[0].Load(), answered[1].Load()
	if a+b != n || a == 0 || b == 0 {
		t.Errorf("%d and %d of %d", a, b, n)
	}
}

// Invariant 7: every request that reached the process is answered before Stop returns.
func TestStopAnswersWhatItHas(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	own, _ := ns.Connect()
	began := make(chan struct{}, 1)
	server, err := bus.Serve(own, quiet, bus.Service{
		Name: "demo", Version: "1.0.0", Workers: 4, Timeout: patience, Endpoints: map[string]bus.Handler{
			"demo.work": func(context.Context, []byte) (bus.Reply, error) {
				select {
				case began <- struct{}{}:
				default:
				}
				return bus.Reply{}, nil
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	nc, _ := ns.Connect()
	ctx := deadline(t, patience)
	var group sync.WaitGroup
	var none atomic.Int32
	for range 64 { // askers that go on until nobody is there
		group.Go(func() {
			for {
				_, err := bus.Ask(ctx, nc, "demo.work", nil)
				switch {
				case errors.Is(err, nats.ErrNoResponders):
					none.Add(1)
					return
				case errors.Is(err, context.DeadlineExceeded):
					t.Error("a request was never answered")
					return
				}
			}
		})
	}
	within(t, "a request", began)
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
	own.Close() // what is not answered now never will be
	group.Wait()
	if none.Load() != 64 {
		t.Errorf("%d askers of 64 found the service gone", none.Load())
	}
}

func TestStopEndsWithItsContext(t *testing.T) {
	t.Parallel()
	nc, _ := natstest.Start(t).Connect()
	began := make(chan struct{})
	server, err := bus.Serve(nc, quiet, bus.Service{
		Name: "demo", Version: "1.0.0", Workers: 1, Timeout: time.Hour, Endpoints: map[string]bus.Handler{
			"demo.stuck": func(ctx context.Context, _ []byte) (bus.Reply, error) {
				close(began)
				<-ctx.Done()
				return bus.Reply{}, ctx.Err()
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() { _, err := bus.Ask(deadline(t, patience), nc, "demo.stuck", nil); answer <- err }()
	within(t, "the request", began)
	stop, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	defer fast(t, "stopping")()
	if err := server.Stop(stop); err != nil {
		t.Error(err)
	}
	if err := <-answer; fault.CodeOf(err) != fault.Unavailable || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the one under way got %v", err)
	}
}

func TestStopWithoutNATS(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*natstest.Server, *nats.Conn){
		"closed": func(_ *natstest.Server, nc *nats.Conn) { nc.Close() },
		"away": func(ns *natstest.Server, nc *nats.Conn) {
			down := nc.StatusChanged(nats.RECONNECTING)
			ns.Stop()
			<-down
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			nc, _ := ns.Connect()
			server, err := bus.Serve(nc, quiet, bus.Service{
				Name: "demo", Version: "1.0.0", Workers: 1, Timeout: time.Second, Endpoints: map[string]bus.Handler{"demo.echo": echo},
			})
			if err != nil {
				t.Fatal(err)
			}
			lose(ns, nc)
			defer fast(t, "stopping")()
			if err := server.Stop(deadline(t, patience)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHeaderCarrierKeepsTheCase(t *testing.T) {
	t.Parallel()
	h := nats.Header{"TraceParent": {"other"}}
	c := bus.HeaderCarrier(h)
	c.Set("traceparent", "00-1")
	if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, []string{"TraceParent", "traceparent"}) {
		t.Errorf("%q", got)
	}
	if c.Get("traceparent") != "00-1" || c.Get("Traceparent") != "" || len(c.Keys()) != 2 {
		t.Errorf("%v", c)
	}
}
