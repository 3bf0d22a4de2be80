package bus_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natstest"
)

// A Reader ends, whatever may have made it miss messages, and with its context whatever NATS does.
func TestReader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(*testing.T, *natstest.Server, jetstream.JetStream)
		want    error
	}{
		"its context ends": {happens: func(*testing.T, *natstest.Server, jetstream.JetStream) {}, want: context.Canceled},
		"its context ends while NATS is unavailable": {
			happens: func(_ *testing.T, ns *natstest.Server, _ jetstream.JetStream) { ns.Stop() }, want: context.Canceled,
		},
		"the stream is deleted": {happens: func(t *testing.T, _ *natstest.Server, js jetstream.JetStream) {
			t.Helper()
			if err := js.DeleteStream(t.Context(), "S"); err != nil {
				t.Error(err)
			}
		}, want: jetstream.ErrConsumerDeleted},
		"the server is restarted": {happens: func(_ *testing.T, ns *natstest.Server, _ jetstream.JetStream) { ns.Stop(); ns.Start() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			nc, js := ns.Connect()
			stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(t.Context(), "s", []byte("1")); err != nil {
				t.Fatal(err)
			}
			if _, err = stream.Info(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := bus.Read(ctx, nc, stream, jetstream.OrderedConsumerConfig{})
			if err != nil || r.Pending() != 1 {
				t.Fatal(err)
			}
			defer r.Close()
			if msg, meta, err := r.Next(); err != nil || string(msg.Data()) != "1" || meta.Sequence.Stream != 1 {
				t.Fatalf("%v %v", msg, err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if _, _, err := r.Next(); err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			}()
			c.happens(t, ns, js)
			if errors.Is(c.want, context.Canceled) {
				cancel()
			}
			within(t, "the end", ended)
		})
	}
}

// What is read is the stream that the caller inspected.
func TestReaderOfAReplacedStream(t *testing.T) {
	t.Parallel()
	nc, js := natstest.Start(t).Connect()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "S"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Read(t.Context(), nc, stream, jetstream.OrderedConsumerConfig{}); !errors.Is(err, bus.ErrReplaced) {
		t.Error(err)
	}
}
