// Command go prints a line for each change of an order: go run ./examples/go [live | from N | state]
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := []nats.Option{nats.Name("example"), nats.MaxReconnects(-1)}
	if seed := os.Getenv("NATS_NKEY"); seed != "" {
		opts = append(opts, must(nats.NkeyOptionFromSeed(seed)))
	}
	if ca := os.Getenv("NATS_CA"); ca != "" {
		opts = append(opts, nats.RootCAs(ca))
	}
	if cert := os.Getenv("NATS_CERT"); cert != "" {
		opts = append(opts, nats.ClientCert(cert, os.Getenv("NATS_KEY")))
	}
	nc := must(nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), opts...))
	js := must(jetstream.New(nc))
	stream := must(js.Stream(ctx, "ORDERS"))

	// An ordered consumer goes on where it was after a reconnection. "live" begins at a sequence as
	// well, so that what happens before its first message is not lost either.
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{event.OrdersChanged}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy}
	switch how := strings.Join(os.Args[1:], " "); how {
	case "", "live":
		cfg.OptStartSeq = stream.CachedInfo().State.LastSeq + 1
	case "state":
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	default:
		cfg.OptStartSeq = max(must(strconv.ParseUint(strings.TrimPrefix(how, "from "), 10, 64)), 1)
	}
	// By bytes too, as a server cuts off who is 64 MB behind: events may be large.
	must(must(stream.OrderedConsumer(ctx, cfg)).Consume(show,
		jetstream.PullMaxMessagesWithBytesLimit(500, 16<<20), jetstream.PullHeartbeat(2*time.Second),
		jetstream.ConsumeErrHandler(func(jetstream.ConsumeContext, error) { checkStream(ctx, js, stream.CachedInfo().Created) })))
	log.Print("subscribed")
	<-ctx.Done() // and not Stop, which waits while the client looks for a stream that is missing
}

// checkStream ends the program when the stream is not the one that was made then. A stream made anew uses its
// sequences again: going on from the last one would miss events.
func checkStream(ctx context.Context, js jetstream.JetStream, created time.Time) {
	stream, err := js.Stream(ctx, "ORDERS")
	if errors.Is(err, jetstream.ErrStreamNotFound) || err == nil && !stream.CachedInfo().Created.Equal(created) {
		log.Fatal("subscribe: ORDERS was deleted or made anew: begin with state")
	}
}

func show(msg jetstream.Msg) {
	seq := must(msg.Metadata()).Sequence.Stream
	c, _, err := event.ParseOrderChanged(msg.Subject(), msg.Headers(), msg.Data())
	if err != nil {
		log.Printf("skipped %d: %v", seq, err)
		return
	}
	fmt.Println(seq, c.Change, c.RecordID, text(c.Order.Name), text(c.Order.Status), text((*string)(c.Order.Amount)))
}

func text(s *string) string { return strconv.Quote(*cmp.Or(s, new("-"))) }

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal("subscribe: ", err)
	}
	return v
}
