package bus_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
)

// Invariant 5. Whatever the message and the reason are made of, the dead letter can be stored.
func TestParkFitsLimits(t *testing.T) {
	t.Parallel()
	_, _, js := orders(t)
	ctx := deadline(t, patience)
	if err := bus.Ensure(ctx, js, 1, bus.StreamDeadLetters); err != nil {
		t.Fatal(err)
	}
	large, many := message("rec1", "large"), message("rec1", "many")
	large.Header.Set("Large", strings.Repeat("x", 60<<10))
	for i := range 1000 {
		many.Header.Set(fmt.Sprint("Header-", i), "a value of some length")
	}
	whole := message("rec1", "whole")
	whole.Data = make([]byte, js.Conn().MaxPayload()-1024)
	distant := message(strings.Repeat("r", 4010), "distant")
	for name, c := range map[string]struct {
		msg    *nats.Msg
		reason error
		noted  string
	}{
		"long reason":    {msg: message("rec1", "long"), reason: errors.New(strings.Repeat("ñ", 70<<10)), noted: "…"},
		"binary reason":  {msg: message("rec1", "binary"), reason: errors.New("a\x00b\r\nInjected: c\xff"), noted: "a b Injected: c\uFFFD"},
		"large header":   {msg: large, reason: errors.New("why"), noted: "(headers truncated)"},
		"many headers":   {msg: many, reason: errors.New("why"), noted: "(headers truncated)"},
		"large body":     {msg: whole, reason: errors.New(strings.Repeat("why", 2000)), noted: "(body truncated)"},
		"distant record": {msg: distant, reason: errors.New("why"), noted: "why"},
	} {
		t.Run(name, func(t *testing.T) {
			seq, err := bus.Publish(ctx, js, c.msg)
			if err != nil {
				t.Fatal(err)
			}
			cons, err := js.OrderedConsumer(ctx, bus.StreamOrders, jetstream.OrderedConsumerConfig{
				DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: seq,
			})
			if err != nil {
				t.Fatal(err)
			}
			msg, err := cons.Next()
			if err != nil {
				t.Fatal(err)
			}
			if err := bus.Park(ctx, js, "test", msg, c.reason); err != nil {
				t.Fatal(err)
			}
			stream, err := js.Stream(ctx, bus.StreamDeadLetters)
			if err != nil {
				t.Fatal(err)
			}
			dead, err := stream.GetLastMsgForSubject(ctx, event.DeadSubject("test", msg.Subject()))
			if err != nil {
				t.Fatal(err)
			}
			if why := dead.Header.Get(bus.HeaderDeadReason); !strings.Contains(why, c.noted) {
				t.Errorf("the reason is %.100q, want %q in it", why, c.noted)
			}
			if got := dead.Header.Get(bus.OriginalPrefix + nats.MsgIdHdr); got != msg.Headers().Get(nats.MsgIdHdr) {
				t.Errorf("the original id is %q", got)
			}
		})
	}
}
