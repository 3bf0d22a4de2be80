package projection

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/services/orders/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A request whose answer is lost, as when a server of a cluster is killed, is made again after the request's
// time, not after that of all the setting up.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	_, ours := server.Connect()
	if err := bus.Ensure(t.Context(), ours, 1, bus.StreamOrders, bus.StreamEdits, bus.StreamDeadLetters); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// Under another prefix somebody passes requests on, and loses each the first time.
	nc, _ := server.Connect()
	lost := map[string]bool{}
	if _, err := nc.Subscribe("lossy.>", func(m *nats.Msg) {
		subject := "$JS.API." + m.Subject[len("lossy."):]
		if !lost[subject] {
			lost[subject] = true
			return
		}
		_ = nc.PublishMsg(&nats.Msg{Subject: subject, Reply: m.Reply, Header: m.Header, Data: m.Data})
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	asking, _ := server.Connect()
	js, err := jetstream.NewWithAPIPrefix(asking, "lossy", jetstream.WithDefaultTimeout(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	p := New(s, js, 1, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // less than setting up may take
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for p.Check(ctx) != nil && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Errorf("the projection hangs on a lost request: %v", p.Check(ctx))
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
