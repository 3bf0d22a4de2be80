package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

func open(t *testing.T, customize ...func(*server.Options)) (jetstream.JetStream, func() *ledger.Publisher) {
	t.Parallel()
	return on(t, natstest.Start(t, customize...))
}

func on(t *testing.T, ns *natstest.Server) (jetstream.JetStream, func() *ledger.Publisher) {
	t.Helper()
	nc, _ := ns.Connect()
	js, err := jetstream.New(nc, ledger.PublishOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Ensure(t.Context(), js, 1, bus.StreamOrders, bus.StreamDeadLetters); err != nil {
		t.Fatal(err)
	}
	return js, func() *ledger.Publisher {
		l := ledger.New(js, "/airtable/app/tbl", slog.New(slog.NewTextHandler(t.Output(), nil)))
		if _, err := l.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return l.Publisher()
	}
}

func change(l *ledger.Publisher, i int, status string) ledger.Change {
	c := ledger.Change{Digest: column.Digest{byte(i), byte(i >> 8), status[0]}, Found: time.Now()}
	c.Order = event.Order{RecordID: fmt.Sprintf("rec%06d", i), Status: &status, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	c.Kind = l.Kind(c.Order.RecordID, c.Digest)
	return c
}

func publish(t *testing.T, l *ledger.Publisher, changes ...ledger.Change) {
	t.Helper()
	if err := l.Publish(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func lastSeq(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

// Orders may be large: what is not acknowledged yet is bounded by its size too.
func TestLargeOrders(t *testing.T) {
	_, load := open(t)
	l := load()
	changes := make([]ledger.Change, 20)
	for i := range changes {
		changes[i] = change(l, i, "Pending")
		changes[i].Order.Fields = json.RawMessage(`{"Notes":"` + strings.Repeat("x", 1<<20) + `"}`)
	}
	if err := l.Publish(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	kinds := map[event.Change]int{}
	for _, c := range changes {
		kinds[l.Kind(c.Order.RecordID, c.Digest)]++
	}
	if kinds[""] != 16 || kinds[event.Created] != 4 {
		t.Errorf("of 20 MB, %v MB are known to be published", kinds)
	}
	publish(t, l)
	if l.Live() != len(changes) {
		t.Errorf("%d of %d orders", l.Live(), len(changes))
	}
}

// Two syncers that both believe to be the active one: nothing is published twice, and nothing in
// an order that the other does not know of (invariant 4).
func TestTwoLedgersNeverConflict(t *testing.T) {
	js, load := open(t)
	a, b := load(), load()
	const n = 500
	var first, second []ledger.Change
	for i := range n {
		first = append(first, change(a, i, "Pending"))
		second = append(second, change(b, i, "Pending"))
	}
	done := make(chan error)
	go func() {
		err := b.Publish(context.Background(), second)
		if err == nil {
			err = b.Flush(context.Background())
		}
		done <- err
	}()
	publish(t, a, first...)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := lastSeq(t, js); got != n {
		t.Fatalf("%d messages for %d orders", got, n)
	}
	// b's knowledge of what a said is as good as a's own.
	publish(t, a, change(a, 1, "Sent"))
	stale := change(b, 1, "Delivered")
	publish(t, b, stale)
	s, err := js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetLastMsgForSubject(t.Context(), event.OrderChangedSubject("rec000001"))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data)
	if err != nil || string(c.Previous["status"]) != `"Sent"` {
		t.Fatalf("published on top of %s, %v", c.Previous["status"], err)
	}
}

func TestLoadKnowsTheNewestStates(t *testing.T) {
	_, load := open(t)
	l := load()
	for round := range 3 {
		for i := range 300 {
			publish(t, l, change(l, i, fmt.Sprint(round)))
		}
	}
	gone := change(l, 7, "x")
	gone.Kind = event.Deleted
	publish(t, l, gone)
	again := load()
	if again.Live() != 299 || again.Last() != l.Last() {
		t.Fatalf("%d orders up to %d, want 299 up to %d", again.Live(), again.Last(), l.Last())
	}
	if k := again.Kind("rec000007", column.Digest{1}); k != event.Created {
		t.Fatalf("a deleted order that comes back is %q", k)
	}
	if k := again.Kind("rec000008", change(l, 8, "2").Digest); k != "" {
		t.Fatalf("an unchanged order is %q", k)
	}
	if got := again.Missing(map[string]bool{"rec000008": true}, again.Now()); len(got) != 298 {
		t.Fatalf("%d missing", len(got))
	}
}

func BenchmarkPublish(b *testing.B) {
	ns := natstest.Start(b)
	nc, _ := ns.Connect()
	js, err := jetstream.New(nc, ledger.PublishOptions()...)
	if err != nil {
		b.Fatal(err)
	}
	if err := bus.Ensure(b.Context(), js, 1, bus.StreamOrders); err != nil {
		b.Fatal(err)
	}
	book := ledger.New(js, "/airtable/app/tbl", slog.New(slog.DiscardHandler))
	if _, err := book.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	l := book.Publisher()
	for i := 0; b.Loop(); i++ {
		if err := l.Publish(b.Context(), []ledger.Change{change(l, i, "Pending")}); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// The stream holds other events than this ledger's; only its own make it read anew.
func TestRefreshReadsWhatIsNews(t *testing.T) {
	js, load := open(t)
	l := load()
	publish(t, l, change(l, 1, "Pending"))
	if _, err := js.Publish(t.Context(), "order.edited.rec000001", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if read, err := l.Refresh(t.Context()); read || err != nil {
		t.Fatalf("read %t, %v", read, err)
	}
	other := load()
	publish(t, other, change(other, 2, "Pending"))
	if read, err := l.Refresh(t.Context()); !read || err != nil || l.Live() != 2 {
		t.Fatalf("read %t, %v, %d orders", read, err, l.Live())
	}
}

// What the syncer was told before the edit writer was, it does not publish: neither after it nor
// on top of it, whichever of the two the stream gets first.
func TestTheSyncerYieldsToTheWriter(t *testing.T) {
	for name, claimed := range map[string]bool{"while claimed": true, "after a stale page": false} {
		t.Run(name, func(t *testing.T) {
			js, load := open(t)
			l := load()
			publish(t, l, change(l, 1, "New"))
			asked := l.Now()
			stale := change(l, 1, "Pending")
			stale.Asked = asked
			l.Claim("rec000001")
			if !claimed {
				l.Met("rec000001")
				writer := l.Writer()
				publish(t, writer, change(writer, 1, "Sent"))
				l.Release("rec000001")
			}
			if !l.Yields("rec000001", asked) {
				t.Fatal("it does not yield")
			}
			before := lastSeq(t, js)
			publish(t, l, stale)
			if got := lastSeq(t, js); got != before {
				t.Fatalf("%d messages from a stale page", got-before)
			}
			l.Release("rec000001")
			fresh := change(l, 1, "Cancelled")
			fresh.Asked = l.Now()
			publish(t, l, fresh)
			if got := lastSeq(t, js); got != before+1 {
				t.Fatalf("%d messages from a fresh page", got-before)
			}
		})
	}
}
