package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/localpg"
)

// row is a line of the result: a figure, what it is held against, and the target of the ratio.
type row struct {
	what, figure, against, ratio, target string
	met                                  bool
}

type bench struct {
	options
	rows []row
}

func (b *bench) add(what, figure, against, ratio, target string, met bool) {
	b.rows = append(b.rows, row{what, figure, against, ratio, target, met})
	fmt.Fprintf(os.Stderr, "  %-44s %s (%s; target %s)\n", what, figure, ratio, target)
}

func run(ctx context.Context, o options) error {
	b := &bench{options: o}
	fmt.Fprintln(os.Stderr, machine())
	dir, err := os.MkdirTemp("", "resonance-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres' own user enters it
		return err
	}
	pg, err := localpg.Start(ctx, localpg.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { _ = pg.Stop(context.WithoutCancel(ctx)) }()
	db, err := pgx.Connect(ctx, pg.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))

	var small load
	if o.million {
		fmt.Fprintln(os.Stderr, "1,000 orders")
		small, err = b.summaryAt(ctx, dir, pg, db)
		if err != nil {
			return err
		}
	}
	if err := b.main(ctx, dir, pg, db, small); err != nil {
		return err
	}
	if err := b.odoo(ctx, dir, pg); err != nil {
		return err
	}
	b.print()
	return b.missed()
}

// missed is an error that names the targets that were not met.
func (b *bench) missed() error {
	var errs []error
	for _, r := range b.rows {
		if !r.met {
			errs = append(errs, fmt.Errorf("target missed: %s: %s, %s (target %s)", r.what, r.figure, r.ratio, r.target))
		}
	}
	return errors.Join(errs...)
}

// summaryAt measures the summary of a thousand orders.
func (b *bench) summaryAt(ctx context.Context, dir string, pg *localpg.Server, db *pgx.Conn) (load, error) {
	if _, err := db.Exec(ctx, "create database small"); err != nil {
		return load{}, err
	}
	p, err := startProduct(ctx, b.binary, dir+"/small", pg.URL("small"), 1000)
	if err != nil {
		return load{}, err
	}
	if err := errors.Join(p.login(ctx), p.until(ctx, 1000)); err != nil {
		return load{}, errors.Join(err, p.stop())
	}
	l, err := b.repeat(ctx, func() (load, error) {
		return hammer(ctx, p.base+"/api/orders/summary", p.token, b.connect, b.duration)
	})
	return l, errors.Join(err, p.stop())
}

func (b *bench) repeat(ctx context.Context, measure func() (load, error)) (load, error) {
	var all []load
	for range b.rounds {
		l, err := measure()
		if err != nil {
			return load{}, err
		}
		all = append(all, l)
	}
	return median(all), ctx.Err()
}

func (b *bench) main(ctx context.Context, dir string, pg *localpg.Server, db *pgx.Conn, small load) (err error) {
	fmt.Fprintf(os.Stderr, "%d orders\n", b.orders)
	p, err := b.firstSyncs(ctx, dir, pg, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	big, err := pgx.Connect(ctx, p.database)
	if err != nil {
		return err
	}
	defer big.Close(context.WithoutCancel(ctx))
	nc, err := connectNATS(p.natsURL, p.nkey)
	if err != nil {
		return err
	}
	defer nc.Close()

	if _, err := big.Exec(ctx, "vacuum analyze"); err != nil { // as autovacuum does within a minute
		return err
	}
	if err := b.reads(ctx, p); err != nil {
		return err
	}
	b.add("ready after", p.readyFor.Round(10*time.Millisecond).String(), "", "", "30 s", p.readyFor < 30*time.Second)
	b.add("resident memory, as the first sync ends", fmt.Sprintf("%.0f MiB", p.memory), "", "", "", true)
	select { // what a burst took is given back a second after it
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	memory, err := p.resident()
	if err != nil {
		return err
	}
	b.add("resident memory, after all that", fmt.Sprintf("%.0f MiB", memory), "", "", "under 300 MiB", memory < 300)
	if err := b.visibility(ctx, nc, big); err != nil {
		return err
	}
	if err := b.live(ctx, p.product, nc); err != nil {
		return err
	}
	if b.million {
		return b.atAMillion(ctx, p.product, nc, small)
	}
	return nil
}

// reads measures pages, a search and the summary, each in turn with the floor.
func (b *bench) reads(ctx context.Context, p *synced) error {
	floorURL, stop, err := startFloor(ctx, p.natsURL, p.nkey, p.database)
	if err != nil {
		return err
	}
	defer stop()
	targets := []string{
		floorURL,
		p.base + "/api/orders?page=1&page_size=10",
		p.base + fmt.Sprintf("/api/orders?page=%d&page_size=10", b.orders/2/10+1),
		p.base + "/api/orders?customer=navarro&page=1&page_size=10",
		p.base + "/api/orders?status=Pending&priority=High&page=1&page_size=10",
		p.base + "/api/orders/summary",
	}
	all := make([][]load, len(targets))
	for _, target := range targets { // warm up
		if _, err := hammer(ctx, target, p.token, b.connect, b.duration/3); err != nil {
			return err
		}
	}
	for range b.rounds {
		for i, target := range targets {
			l, err := hammer(ctx, target, p.token, b.connect, b.duration)
			if err != nil {
				return err
			}
			all[i] = append(all[i], l)
		}
	}
	m := make([]load, len(all))
	for i := range all {
		m[i] = median(all[i])
	}
	floor, page, deep, search, filtered, summary := m[0], m[1], m[2], m[3], m[4], m[5]
	b.add("page one of ten, exact total, JWT", say(page), "chi, NATS, one SQL: "+say(floor),
		percentOf(page.perSecond, floor.perSecond), "70 %", page.perSecond >= 0.7*floor.perSecond)
	b.add("page in the middle", say(deep), "page one", times(page, deep), "within 2×", page.perSecond <= 2*deep.perSecond)
	b.add("customer search", say(search), "page one", times(page, search), "within 3×", page.perSecond <= 3*search.perSecond)
	b.add("status and priority", say(filtered), "page one", times(page, filtered), "", true)
	b.add("summary", say(summary), "page one", times(page, summary), "", true)
	return nil
}

// visibility publishes 1,000 events a second and watches when the projection's checkpoint, which
// shares a transaction with the rows, passes each.
func (b *bench) visibility(ctx context.Context, nc *nats.Conn, db *pgx.Conn) error {
	const perSecond, seconds = 1000, 10
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	type sent struct {
		seq uint64
		at  time.Time
	}
	sends := make(chan sent, perSecond*seconds)
	failed := make(chan error, 1)
	go func() {
		defer close(sends)
		ticker := time.NewTicker(time.Second / perSecond)
		defer ticker.Stop()
		for i := range perSecond * seconds {
			<-ticker.C
			msg, err := synthetic(i, time.Now())
			if err == nil {
				at := time.Now()
				var ack *jetstream.PubAck
				if ack, err = js.PublishMsg(ctx, msg); err == nil {
					sends <- sent{ack.Sequence, at}
					continue
				}
			}
			failed <- err
			return
		}
	}()
	var took []time.Duration
	var reached uint64
	for s := range sends {
		for reached < s.seq {
			if err := db.QueryRow(ctx, "select seq from orders.checkpoint").Scan(&reached); err != nil {
				return err
			}
		}
		took = append(took, time.Since(s.at))
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	b.add("publish to visible, 1,000 events/s", fmt.Sprintf("p50 %s, p99 %s", round(p50), round(p99)), "", "", "p99 under 25 ms", p99 < 25*time.Millisecond)
	return nil
}

// atAMillion fills the stream up to a million orders, and compares the summary with a thousand's.
func (b *bench) atAMillion(ctx context.Context, p *product, nc *nats.Conn, small load) error {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return err
	}
	have, err := p.total(ctx)
	if err != nil {
		return err
	}
	const want = 1_000_000
	fmt.Fprintln(os.Stderr, "1,000,000 orders")
	began := time.Now()
	for i := range want - have {
		msg, err := synthetic(1_000_000+i, time.Now())
		if err != nil {
			return err
		}
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(30*time.Second)); err != nil {
			return err
		}
	}
	<-js.PublishAsyncComplete()
	if err := p.until(ctx, want); err != nil {
		return err
	}
	rate := float64(want-have) / time.Since(began).Seconds()
	big, err := b.repeat(ctx, func() (load, error) {
		return hammer(ctx, p.base+"/api/orders/summary", p.token, b.connect, b.duration)
	})
	if err != nil {
		return err
	}
	b.add("projection of "+strconv.Itoa(want-have)+" events", fmt.Sprintf("%.0f/s", rate), "", "", "", true)
	b.add("summary of 1,000,000 orders", say(big), "of 1,000: "+say(small), times(small, big), "within 1.5×", small.perSecond <= 1.5*big.perSecond)
	return nil
}

// synthetic is the creation of one more order, in the last twelve months as the sandbox's are.
func synthetic(i int, now time.Time) (*nats.Msg, error) {
	text := func(s string) *string { return &s }
	amount := json.Number(fmt.Sprintf("%d.%02d", i%5000, i%100))
	id := fmt.Sprintf("recBENCH%09d", i)
	return event.NewOrderChanged(event.Envelope{ID: event.NewID(), Source: "/bench", Time: now, Digest: "0"}, &event.OrderChanged{
		RecordID: id, Change: event.Created, Order: event.Order{
			RecordID: id, Name: text(fmt.Sprint("Bench ", i)), Customer: text(fmt.Sprint("Customer ", i%500)),
			Status: text(event.Statuses[i%5]), Priority: text(event.Priorities[i%3]), Amount: &amount,
			OrderDate: text(now.AddDate(0, 0, -i%365).Format(time.DateOnly)), CreatedAt: now, UpdatedAt: now,
			Fields: json.RawMessage(`{"Note":"a line of text as long as notes tend to be"}`),
		},
	})
}

// newest is a real event, to measure the floors with.
func newest(ctx context.Context, nc *nats.Conn) (*nats.Msg, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		return nil, err
	}
	raw, err := stream.GetMsg(ctx, stream.CachedInfo().State.LastSeq)
	if err != nil {
		return nil, err
	}
	return &nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}, nil
}

func (b *bench) print() {
	fmt.Printf("\n%s\n%d orders, %d connections, %s × %d a measurement, %s\n\n", machine(), b.orders, b.connect, b.duration, b.rounds,
		time.Now().UTC().Format(time.DateOnly))
	fmt.Println("| what | figure | against | ratio | target | |\n| --- | --- | --- | --- | --- | --- |")
	for _, r := range b.rows {
		mark := ""
		if r.target != "" {
			mark = "met"
			if !r.met {
				mark = "**missed**"
			}
		}
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", r.what, r.figure, r.against, r.ratio, r.target, mark)
	}
}

func say(l load) string {
	return fmt.Sprintf("%.0f/s, p50 %s, p99 %s", l.perSecond, round(l.p50), round(l.p99))
}
func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
func percentOf(a, b float64) string       { return fmt.Sprintf("%.0f %%", 100*a/b) }
func times(base, l load) string           { return fmt.Sprintf("%.2f× the time", base.perSecond/l.perSecond) }

// machine names the processor, the cores and the memory.
func machine() string {
	cpu, memory := runtime.GOARCH, ""
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(data), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			cpu = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int
		if _, err := fmt.Sscanf(string(data), "MemTotal: %d kB", &kib); err == nil {
			memory = fmt.Sprintf(", %d GiB", kib>>20)
		}
	}
	return fmt.Sprintf("%s, %d cores%s, %s", cpu, runtime.NumCPU(), memory, runtime.Version())
}
