package projection

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// Events past the checkpoint that do not arrive are a stall, whatever the consumer says is pending
// (it may be wrong both ways). Sequences whose messages were deleted are none.
func TestStalled(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	if err := bus.Ensure(t.Context(), js, 1, bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"rec1", "rec2", "rec3"} {
		msg := &nats.Msg{Subject: event.OrderChangedSubject(id), Header: nats.Header{nats.MsgIdHdr: {id}}, Data: []byte("{}")}
		if _, err := bus.Publish(t.Context(), js, msg); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	config := jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckAllPolicy, FilterSubject: "order.changed.none"} // nothing pending
	if _, err := stream.CreateConsumer(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	l := &leader{
		Projector: &Projector{js: js, log: slog.New(slog.DiscardHandler)}, stream: stream,
		cp: &store.Checkpoint{Seq: 1, Consumer: "c"},
	}
	check := func() (err error) {
		for range 3 {
			err = errors.Join(err, l.stalled(t.Context(), 3))
		}
		return err
	}
	if err := check(); !errors.Is(err, errStalled) {
		t.Errorf("two events wait: %v", err)
	}
	for seq := uint64(2); seq <= 3; seq++ {
		if err := stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(); err != nil {
		t.Errorf("nothing waits: %v", err)
	}
}
