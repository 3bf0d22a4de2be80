// Command go prints a line for each change of an order: go run ./examples/go [live | from N | state]
package main

import (
	"cmp"
	"context"
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
	nc := must(nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.Name("example"), nats.MaxReconnects(-1)))
	stream := must(must(jetstream.New(nc)).Stream(ctx, "ORDERS"))

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
	messages := must(must(stream.OrderedConsumer(ctx, cfg)).Messages(
		jetstream.PullMaxMessagesWithBytesLimit(500, 16<<20), jetstream.PullHeartbeat(2*time.Second)))
	context.AfterFunc(ctx, messages.Stop)
	log.Print("subscribed")
	for msg, err := messages.Next(); ctx.Err() == nil; msg, err = messages.Next() {
		meta := must(must(msg, err).Metadata())
		if c, _, err := event.ParseOrderChanged(msg.Subject(), msg.Headers(), msg.Data()); err != nil {
			log.Printf("skipped %d: %v", meta.Sequence.Stream, err)
		} else {
			fmt.Println(meta.Sequence.Stream, c.Change, c.RecordID, text(c.Order.Name), text(c.Order.Status), text((*string)(c.Order.Amount)))
		}
	}
}

func text(s *string) string { return strconv.Quote(*cmp.Or(s, new("-"))) }

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal("subscribe: ", err)
	}
	return v
}
