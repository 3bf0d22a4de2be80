package orders_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/servicetest"
	"github.com/resonance/resonance/services/orders"
)

// Invariant 7: whichever server of a cluster is killed, the projection goes on, and edits are shown.
func TestLeaderOfClusterKilled(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t)
	w := &world{t: t, nats: cluster.Servers[0], dsn: pgtest.New(t)}
	w.nc, w.js = cluster.Connect()
	if err := bus.Ensure(t.Context(), w.js, natstest.Nodes, bus.StreamOrders, bus.StreamEdits, bus.StreamDeadLetters); err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.NATSURL, cfg.NATSReplicas = cluster.URL(), natstest.Nodes
	servicetest.Run(t, func(ctx context.Context) error { return orders.Run(ctx, cfg) })
	w.publish(changed("rec1", "Pending"))
	w.holds(map[string]string{"rec1": "Pending"})
	want := map[string]string{"rec1": "Pending"}
	for i, stream := range []string{bus.StreamOrders, bus.StreamEdits} {
		killed := cluster.StreamLeader(stream)
		cluster.Kill(killed)
		start := time.Now()
		status := event.Statuses[i]
		w.eventually("an event", func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := w.js.PublishMsg(ctx, changed("rec1", status), jetstream.WithRetryAttempts(5))
			return err
		})
		want["rec1"] = status
		published := time.Since(start)
		w.holds(want)
		t.Logf("%s: published after %v, shown after %v", stream, published, time.Since(start))
		killed.Start()
		cluster.AwaitLeader()
	}
}
