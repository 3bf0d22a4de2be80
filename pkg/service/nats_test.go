package service_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/service"
)

var link = service.Link{Name: "test", Check: "nats"}

func base(url string) *service.Base {
	return &service.Base{NATSURL: url, Log: slog.New(slog.DiscardHandler), Health: &service.Health{}}
}

func natsCheck(t *testing.T, b *service.Base) string {
	t.Helper()
	states, _ := b.Health.Ready(t.Context())
	return states["nats"]
}

// waiting is a log that tells when NATS is waited for.
type waiting chan struct{}

func (w waiting) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "waiting for NATS") {
		close(w)
	}
	return len(line), nil
}

// The check follows the connection from before there is one, and run's end drains it.
func TestWithNATS(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	ns.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, away := base(ns.URL()), make(waiting)
	b.Log = slog.New(slog.NewTextHandler(away, nil))
	l, back := link, make(chan struct{}, 1)
	l.OnReconnect = func() { back <- struct{}{} }
	running, ended := make(chan *nats.Conn, 1), make(chan error, 1)
	go func() {
		ended <- b.WithNATS(ctx, l, func(ctx context.Context, nc *nats.Conn) error {
			running <- nc
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-away
	if got := natsCheck(t, b); got != "unavailable" {
		t.Errorf("not connected yet: %q", got)
	}
	ns.Start()
	nc := <-running
	if got := natsCheck(t, b); got != "ok" {
		t.Errorf("connected: %q", got)
	}
	lost := nc.StatusChanged(nats.RECONNECTING)
	ns.Stop()
	<-lost
	if got := natsCheck(t, b); got != "unavailable" {
		t.Errorf("disconnected: %q", got)
	}
	ns.Start()
	<-back
	cancel()
	if err := <-ended; err != nil || !nc.IsClosed() {
		t.Errorf("%v, closed: %v", err, nc.IsClosed())
	}
}

func TestWithNATSEnds(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context, _ *nats.Conn) error { <-ctx.Done(); return ctx.Err() }
	t.Run("told to while it waits for NATS", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := base("nats://127.0.0.1:1").WithNATS(ctx, link, wait); err != nil {
			t.Error(err)
		}
	})
	t.Run("the metrics' port is taken", func(t *testing.T) {
		t.Parallel()
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		b := base(natstest.Start(t).URL())
		b.MetricsAddr = taken.Addr().String()
		err = b.WithNATS(t.Context(), link, wait)
		if err == nil || !strings.HasPrefix(err.Error(), "METRICS_ADDR: ") || strings.Contains(err.Error(), "\n") {
			t.Error(err)
		}
	})
	t.Run("run fails", func(t *testing.T) {
		t.Parallel()
		want := errors.New("the streams have drifted")
		b := base(natstest.Start(t).URL())
		b.MetricsAddr = "127.0.0.1:0"
		if err := b.WithNATS(t.Context(), link, func(context.Context, *nats.Conn) error { return want }); !errors.Is(err, want) || err.Error() != want.Error() {
			t.Error(err)
		}
	})
}
