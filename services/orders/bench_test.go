package orders_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/orders"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// sample makes an order of a company with 5,000 customers and two years of orders.
func sample(r *rand.Rand, i int) *nats.Msg {
	given := []string{"Ana", "Luis", "María", "José", "Carmen", "Íñigo", "Sofía", "Pablo", "Lucía", "Ñandú"}
	family := []string{"García", "López", "Pérez", "Martín", "Sánchez", "Ruiz", "Díaz", "Moreno", "Álvarez", "Romero"}
	n := r.IntN(5000)
	customer := fmt.Sprintf("%s %s %03d", given[n%10], family[n/10%10], n/100)
	name, status, priority := fmt.Sprintf("Pedido %06d", i), event.Statuses[r.IntN(5)], event.Priorities[r.IntN(3)]
	amount := json.Number(fmt.Sprintf("%d.%02d", r.IntN(5000), r.IntN(100)))
	date := epoch.AddDate(0, 0, -r.IntN(730)).Format(time.DateOnly)
	o := event.Order{
		RecordID: recordID(i), Name: &name, Customer: &customer, Status: &status, Priority: &priority,
		Amount: &amount, OrderDate: &date, CreatedAt: epoch.Add(-time.Duration(r.IntN(1e6)) * time.Minute), UpdatedAt: epoch.Add(time.Duration(i) * time.Second),
	}
	var err error
	if o.Fields, err = json.Marshal(map[string]any{"Name": name, "Customer": customer, "Status": status, "Priority": priority, "Amount": amount,
		"Order Date": date, "Notes": "Entregar por la mañana, llamar antes."}); err != nil {
		panic(err)
	}
	msg, err := event.NewOrderChanged(event.Envelope{ID: event.NewID(), Source: "/airtable/app/tbl", Time: epoch, Digest: "0123456789abcdef"},
		&event.OrderChanged{RecordID: o.RecordID, Change: event.Created, Order: o})
	if err != nil {
		panic(err)
	}
	return msg
}

// BenchmarkOrders loads ORDERS_BENCH orders (100,000) and reports how fast they and the queries
// went; run it with -benchtime 1x.
func BenchmarkOrders(b *testing.B) {
	total, _ := strconv.Atoi(os.Getenv("ORDERS_BENCH"))
	if total == 0 {
		total = 100_000
	}
	server := natstest.Start(b)
	nc, js := server.Connect()
	ctx := b.Context()
	if err := bus.Ensure(ctx, js, 1, bus.StreamOrders, bus.StreamDeadLetters); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range total {
		if _, err := js.PublishMsgAsync(sample(r, i), jetstream.WithStallWait(10*time.Second)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	dsn := pgtest.New(b)
	if dir := os.Getenv("ORDERS_BENCH_DSN"); dir != "" {
		dsn = dir
	}
	s, err := store.Open(dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	reached := func() uint64 {
		cp, err := s.Checkpoint(ctx, bus.StreamOrders)
		if err != nil || cp == nil || cp.ReplayUntil != nil {
			return 0
		}
		return cp.Seq
	}
	running, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	defer done.Wait()
	defer stop()
	start, cpu := time.Now(), cpuTime()
	done.Go(func() {
		if err := orders.Run(running, orders.Config{DatabaseURL: dsn, Base: service.Base{
			NATSURL: server.URL(), NATSReplicas: 1, LogFormat: "text", Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		}}); err != nil {
			b.Error(err)
		}
	})
	for reached() < uint64(total) {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("load            %8.0f events/s, %.1f µs of CPU an event in this process, NATS included\n",
		float64(total)/time.Since(start).Seconds(), float64((cpuTime()-cpu).Microseconds())/float64(total))
	if os.Getenv("ORDERS_BENCH_LOAD") != "" {
		return
	}
	time.Sleep(4 * time.Second) // the vacuum after a bulk load

	// From publish to visible at 1,000 events a second.
	var mu sync.Mutex
	sent := map[uint64]time.Time{}
	var seen []time.Duration
	live, quit := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		last := uint64(total)
		for live.Err() == nil {
			now := reached()
			at := time.Now()
			mu.Lock()
			for ; last < now; last++ {
				if t, ok := sent[last+1]; ok {
					seen = append(seen, at.Sub(t))
				}
			}
			mu.Unlock()
		}
	})
	tick := time.NewTicker(time.Millisecond)
	for i := range 3000 {
		<-tick.C
		mu.Lock()
		sent[uint64(total+i+1)] = time.Now()
		mu.Unlock()
		if _, err := js.PublishMsgAsync(sample(r, r.IntN(total))); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	quit()
	watch.Wait()
	slices.Sort(seen)
	fmt.Printf("visible         p50 %v p99 %v (%d)\n", seen[len(seen)/2], seen[len(seen)*99/100], len(seen))

	filter := func(field string, op rpc.Op, values ...string) []rpc.Filter {
		return []rpc.Filter{{Field: field, Op: op, Values: values}}
	}
	for _, c := range []struct {
		name string
		q    ordersapi.Query
	}{
		{"page one", ordersapi.Query{}},
		{"middle page", ordersapi.Query{Offset: total / 2}},
		{"last page", ordersapi.Query{Offset: total - 10}},
		{"date asc", ordersapi.Query{Offset: total / 2, Sort: []rpc.Sort{{Field: "order_date"}}}},
		{"status", ordersapi.Query{Filters: filter("status", rpc.Eq, "Sent")}},
		{"status deep", ordersapi.Query{Offset: total / 10, Filters: filter("status", rpc.Eq, "Sent")}},
		{"status priority", ordersapi.Query{Filters: append(filter("status", rpc.Eq, "Sent"), filter("priority", rpc.Eq, "High")...)}},
		{"month", ordersapi.Query{Filters: filter("order_date", rpc.Between, "2025-03-01", "2025-03-31")}},
		{"customer 1/10", ordersapi.Query{Filters: filter("customer", rpc.Contains, "GARCÍA")}},
		{"customer 1/100", ordersapi.Query{Filters: filter("customer", rpc.Contains, "na garcía")}},
		{"customer 1/5000", ordersapi.Query{Filters: filter("customer", rpc.Contains, "ana garcía 013")}},
		{"customer short", ordersapi.Query{Filters: filter("customer", rpc.Contains, "ñ")}},
		{"customer none", ordersapi.Query{Filters: filter("customer", rpc.Contains, "zzz")}},
		{"search", ordersapi.Query{Search: "garcía"}},
		{"sort amount", ordersapi.Query{Sort: []rpc.Sort{{Field: "amount", Desc: true}}}},
		{"sort amount deep", ordersapi.Query{Offset: total / 2, Sort: []rpc.Sort{{Field: "amount", Desc: true}}}},
		{"sort customer", ordersapi.Query{Sort: []rpc.Sort{{Field: "customer"}}}},
		{"export page", ordersapi.Query{Limit: 1000, NoTotal: true}},
	} {
		if c.q.Limit == 0 {
			c.q.Limit = 10
		}
		measure(b, c.name, func() error { _, err := s.List(ctx, c.q, 8<<20); return err })
	}
	measure(b, "summary", func() error { _, err := s.Summary(ctx, ordersapi.Query{}); return err })
	measure(b, "summary status", func() error {
		_, err := s.Summary(ctx, ordersapi.Query{Filters: filter("status", rpc.Eq, "Sent")})
		return err
	})
	measure(b, "get", func() error { _, err := s.Get(ctx, recordID(7)); return err })
	asked := func(subject string, q any) func() error {
		return func() error {
			c, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := bus.Ask(c, nc, subject, q)
			return err
		}
	}
	measure(b, "rpc page one", asked(ordersapi.SubjectList, ordersapi.Query{Limit: 10}))
	measure(b, "rpc middle page", asked(ordersapi.SubjectList, ordersapi.Query{Limit: 10, Offset: total / 2}))
	measure(b, "rpc customer", asked(ordersapi.SubjectList, ordersapi.Query{Limit: 10, Filters: filter("customer", rpc.Contains, "GARCÍA")}))
	measure(b, "rpc summary", asked(ordersapi.SubjectSummary, ordersapi.Query{}))
}

// measure prints the median of one after another, and the rate of 16 at once.
func measure(b *testing.B, name string, do func() error) {
	b.Helper()
	var took []time.Duration
	for begin := time.Now(); time.Since(begin) < 300*time.Millisecond || len(took) < 5; {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	var all sync.WaitGroup
	var n [16]int
	begin := time.Now()
	for i := range n {
		all.Go(func() {
			for time.Since(begin) < 500*time.Millisecond {
				if do() != nil {
					return
				}
				n[i]++
			}
		})
	}
	all.Wait()
	rate := 0
	for _, c := range n {
		rate += c
	}
	fmt.Printf("%-15s p50 %8v  16 at once %7.0f/s\n", name, took[len(took)/2].Round(time.Microsecond), float64(rate)/time.Since(begin).Seconds())
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// recordID scatters ids as Airtable's are.
func recordID(i int) string { return fmt.Sprintf("rec%014x", uint32(i)*2654435761) } // it may wrap
