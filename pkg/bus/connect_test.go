package bus_test

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natstest"
)

func TestConnectWaitsForNATS(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	url := ns.URL()
	ns.Stop()
	said, log := newJournal()
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		nc, err := bus.Connect(deadline(t, patience), log, bus.Options{URL: url, Name: "test"})
		if err != nil {
			t.Error(err)
			return
		}
		nc.Close()
	}()
	said.wait(t, "waiting for NATS", 1)
	ns.Start()
	within(t, "the connection", connected)
}

func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	ns.Stop()
	said, log := newJournal()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	address := strings.Replace(ns.URL(), "nats://", "nats://user:s3cret@", 1)
	go func() {
		_, err := bus.Connect(ctx, log, bus.Options{URL: address})
		failed <- err
	}()
	said.wait(t, "waiting for NATS", 1)
	cancel()
	err := <-failed
	if !errors.Is(err, context.Canceled) || !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("%v does not say both that it was cancelled and why it waited", err)
	}
	if text := err.Error() + said.String(); strings.Contains(text, "s3cret") || strings.Contains(text, "user") {
		t.Errorf("a secret shows (invariant 9): %s", text)
	}
}

// Waiting would not help, so the operator is told at once, and no secret.
func TestConnectRefused(t *testing.T) {
	t.Parallel()
	guarded := guard(t, -1, "right")
	for name, o := range map[string]bus.Options{
		"wrong password":   {URL: credentials(guarded, "s3cret")},
		"no scheme":        {URL: strings.TrimPrefix(credentials(guarded, "s3cret"), "nats://")},
		"unreadable URL":   {URL: "nats://user:s3cret@[::1"},
		"unreadable port":  {URL: "nats://user:s3cret@127.0.0.1:x"},
		"the second one":   {URL: "nats://127.0.0.1:1,nats://user:s3cret%zz@h"},
		"no file of creds": {URL: guarded.ClientURL(), Creds: filepath.Join(t.TempDir(), "none.creds")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, log := newJournal()
			defer fast(t, "the refusal")()
			_, err := bus.Connect(deadline(t, patience), log, o)
			if err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("not refused: %v", err)
			}
			if text := err.Error() + said.String(); strings.Contains(text, "s3cret") {
				t.Errorf("a secret shows (invariant 9): %s", text)
			}
		})
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	back := make(chan struct{}, 1)
	said, log := newJournal()
	nc, err := bus.Connect(deadline(t, patience), log, bus.Options{URL: ns.URL(), Name: "test", OnReconnect: func() { back <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ns.Stop()
	said.wait(t, "NATS connection lost", 1)
	done := fast(t, "publishing while disconnected")
	if err := nc.Publish("x", nil); err == nil {
		t.Error("published while disconnected: kept in a buffer, then (invariant 1)")
	}
	done()
	ns.Start()
	within(t, "the reconnection", back)
}

// A server may come back before its accounts do; the connection outlasts that (invariant 8).
func TestReconnectOutlastsARefusal(t *testing.T) {
	t.Parallel()
	ns := guard(t, -1, "right")
	_, text, _ := strings.Cut(ns.Addr().String(), ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	back := make(chan struct{}, 1)
	said, log := newJournal()
	nc, err := bus.Connect(deadline(t, patience), log, bus.Options{URL: credentials(ns, "right"), OnReconnect: func() { back <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ns.Shutdown()
	ns.WaitForShutdown()
	refusing := guard(t, port, "other")
	said.wait(t, "authorization violation", 3)
	refusing.Shutdown()
	refusing.WaitForShutdown()
	guard(t, port, "right")
	within(t, "the reconnection", back)
}

// guard starts a server that asks for a password.
func guard(t *testing.T, port int, password string) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, Username: "user", Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(ns.Shutdown)
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	return ns
}

func credentials(ns *server.Server, password string) string {
	return (&url.URL{Scheme: "nats", User: url.UserPassword("user", password), Host: ns.Addr().String()}).String()
}

func TestDrain(t *testing.T) {
	t.Parallel()
	connect := func(t *testing.T) (*natstest.Server, *nats.Conn) {
		t.Helper()
		ns := natstest.Start(t)
		nc, err := bus.Connect(deadline(t, patience), quiet, bus.Options{URL: ns.URL()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return ns, nc
	}
	// working is a connection in the middle of handling a message.
	working := func(t *testing.T) (nc *nats.Conn, release, handled chan struct{}) {
		t.Helper()
		_, nc = connect(t)
		began, release, handled := make(chan struct{}), make(chan struct{}), make(chan struct{})
		if _, err := nc.Subscribe("x", func(*nats.Msg) { close(began); <-release; close(handled) }); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(nc.Publish("x", nil), nc.Flush()); err != nil {
			t.Fatal(err)
		}
		within(t, "the message", began)
		return nc, release, handled
	}

	t.Run("finishes what is under way", func(t *testing.T) {
		t.Parallel()
		nc, release, handled := working(t)
		draining := nc.StatusChanged(nats.DRAINING_SUBS)
		drained := make(chan error, 1)
		go func() { drained <- bus.Drain(deadline(t, patience), nc) }()
		<-draining
		select {
		case err := <-drained:
			t.Fatalf("drained in the middle of a message: %v", err)
		default:
		}
		close(release)
		if err := <-drained; err != nil || !nc.IsClosed() {
			t.Errorf("%v, closed %t", err, nc.IsClosed())
		}
		within(t, "the message", handled)
		if err := bus.Drain(deadline(t, patience), nc); err != nil {
			t.Errorf("the second time: %v", err)
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		t.Parallel()
		nc, release, _ := working(t)
		defer close(release)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := bus.Drain(ctx, nc); !errors.Is(err, context.DeadlineExceeded) || !nc.IsClosed() {
			t.Errorf("%v, closed %t", err, nc.IsClosed())
		}
	})
	t.Run("without a server", func(t *testing.T) {
		t.Parallel()
		ns, nc := connect(t)
		down := nc.StatusChanged(nats.RECONNECTING)
		ns.Stop()
		<-down
		defer fast(t, "draining")()
		if err := bus.Drain(deadline(t, patience), nc); err != nil || !nc.IsClosed() {
			t.Errorf("%v, closed %t", err, nc.IsClosed())
		}
	})
}
