package orders_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/pgtest"
)

// Invariant 5: whatever somebody does to the projection's consumer, every event is projected.
func TestConsumerChanged(t *testing.T) {
	for name, change := range map[string]func(*world, jetstream.ConsumerConfig) error{
		"filter of nothing": func(w *world, c jetstream.ConsumerConfig) error {
			c.FilterSubject = "order.changed.none"
			_, err := w.js.UpdateConsumer(w.t.Context(), bus.StreamOrders, c)
			return err
		},
		"filter of some": func(w *world, c jetstream.ConsumerConfig) error {
			c.FilterSubjects = []string{"order.changed.rec2", "order.changed.none"}
			_, err := w.js.UpdateConsumer(w.t.Context(), bus.StreamOrders, c)
			return err
		},
		"headers only": func(w *world, c jetstream.ConsumerConfig) error {
			c.HeadersOnly = true
			_, err := w.js.UpdateConsumer(w.t.Context(), bus.StreamOrders, c)
			return err
		},
		"paused": func(w *world, c jetstream.ConsumerConfig) error {
			_, err := w.js.PauseConsumer(w.t.Context(), bus.StreamOrders, c.Durable, time.Now().Add(time.Hour))
			return err
		},
		"made anew at the end": func(w *world, c jetstream.ConsumerConfig) error {
			if err := w.js.DeleteConsumer(w.t.Context(), bus.StreamOrders, c.Durable); err != nil {
				return err
			}
			c.DeliverPolicy = jetstream.DeliverNewPolicy
			_, err := w.js.CreateConsumer(w.t.Context(), bus.StreamOrders, c)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, pgtest.New(t))
			w.ensure()
			stop := w.start()
			w.publish(changed("rec0", "s"))
			want := map[string]string{"rec0": "s"}
			w.holds(want)
			cons, err := w.js.Consumer(t.Context(), bus.StreamOrders, w.consumer())
			if err != nil {
				t.Fatal(err)
			}
			if err := change(w, cons.CachedInfo().Config); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"rec1", "rec2"} {
				w.publish(changed(id, "s"))
				want[id] = "s"
			}
			w.holds(want)
			// The same while nobody projects.
			stop()
			if cons, err = w.js.Consumer(t.Context(), bus.StreamOrders, w.consumer()); err != nil {
				t.Fatal(err)
			}
			if err := change(w, cons.CachedInfo().Config); err != nil {
				t.Fatal(err)
			}
			w.publish(changed("rec3", "s"))
			want["rec3"] = "s"
			w.start()
			w.holds(want)
			w.consistent()
			if dead := w.deadLetters(); len(dead) > 0 {
				t.Errorf("%d events were parked", len(dead))
			}
		})
	}
}
