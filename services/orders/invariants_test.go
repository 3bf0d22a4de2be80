package orders_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/orders"
)

// query runs SQL on the service's schema and gives the one value it answers.
func (w *world) query(sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "set search_path = orders, public"); err != nil {
		return "", err
	}
	var v *string
	err = conn.QueryRow(ctx, sql).Scan(&v)
	if v == nil {
		return "", err
	}
	return *v, err
}

// answers waits until sql answers want.
func (w *world) answers(sql, want string) {
	w.t.Helper()
	w.eventually(sql, func() error {
		got, err := w.query(sql)
		if err == nil && got != want {
			err = fmt.Errorf("answers %q, want %q", got, want)
		}
		return err
	})
}

// consistent checks that the rollups are those of the rows.
func (w *world) consistent() {
	w.t.Helper()
	w.answers(`
		with fresh as (
			select case grouping(status, priority, order_date, month)
			           when 1 then 'cube' when 2 then 'month_cube' when 7 then 'status' when 11 then 'priority' when 13 then 'day' when 14 then 'month' else 'all' end as dim,
			       coalesce(case when grouping(month) = 0 then month else order_date end, '-infinity') as day, status, priority,
			       count(*) as n, coalesce(sum(amount), 0) as amount
			from (select *, date_trunc('month', order_date)::date as month from orders) o
			group by grouping sets ((status, priority, order_date), (status, priority, month), (status), (priority), (order_date), (month), ())
		), kept as (select dim, day, status, priority, n, amount from rollup where n <> 0 or amount <> 0),
		fresh_customers as (select customer_fold, count(*) as n from orders where customer_fold is not null group by 1),
		kept_customers as (select customer_fold, n from customers where n <> 0)
		select ((select count(*) from (table fresh except table kept) x where n <> 0) + (select count(*) from (table kept except table fresh) x)
		  + (select count(*) from (table fresh_customers except table kept_customers) x) + (select count(*) from (table kept_customers except table fresh_customers) x))::text`, "0")
}

func (w *world) deadLetters() []*nats.Msg {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), bus.StreamDeadLetters)
	if err != nil {
		w.t.Fatal(err)
	}
	info, err := stream.Info(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var dead []*nats.Msg
	for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(w.t.Context(), seq)
		if err != nil {
			w.t.Fatal(err)
		}
		dead = append(dead, &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
	}
	return dead
}

// Invariants 3, 5 and 7: Postgres is killed while events stream in. Afterwards every order shows its newest
// state, the history every event once, the rollups add up, and nothing was parked.
func TestPostgresKilledMidStream(t *testing.T) {
	pg := pgtest.Server(t)
	w := newWorld(t, pg.DSN())
	w.ensure()
	w.start()
	const records, events = 40, 4000
	want := map[string]string{}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range events {
		id, status := fmt.Sprintf("rec%02d", r.IntN(records)), fmt.Sprintf("s%d", r.IntN(6))
		if r.IntN(8) == 0 {
			status = ""
		}
		if want[id] = status; status == "" {
			delete(want, id)
		}
		w.publish(changed(id, status))
		switch i {
		case events / 4, events / 2:
			pg.Kill()
		case events/4 + 300, events/2 + 300:
			pg.Start()
		}
	}
	w.holds(want)
	w.consistent()
	// The stream keeps 16 messages an order: what the projection had not read before is not in it.
	w.answers("select (count(*) = count(distinct event_id))::text from order_history", "true")
	if dead := w.deadLetters(); len(dead) != 0 {
		t.Fatalf("a transient failure was passed: %s: %s", dead[0].Subject, dead[0].Header.Get("Dead-Reason"))
	}
}

// Invariant 5: what can never be written is parked with its reason and body, and what is around it
// is projected.
func TestPoisonIsParked(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	edit := func(m *nats.Msg, from, to string) *nats.Msg {
		if !strings.Contains(string(m.Data), from) {
			t.Fatalf("%s has no %s", m.Data, from)
		}
		m.Data = []byte(strings.ReplaceAll(string(m.Data), from, to))
		return m
	}
	wrongType := changed("bad2", "Sent")
	wrongType.Header.Set(event.HeaderType, "order.shipped")
	poison := map[string]*nats.Msg{
		"not JSON":               {Subject: event.OrderChangedSubject("bad1"), Header: nats.Header{}, Data: []byte("no order")},
		"another type":           wrongType,
		"another record":         edit(changed("bad3", "Sent"), `"record_id":"bad3"`, `"record_id":"other"`),
		"a number of no numeric": edit(changed("bad4", "Sent"), `"amount":10.50`, `"amount":1e200000`),
		"a year of no date":      edit(changed("bad5", "Sent"), `"2026-03-04"`, `"0000-01-01"`),
		"too long for an index":  changed("bad6", strings.Repeat(rand16k(), 2)),
		"a name beyond a header": edit(changed("bad7", "Sent"), `"name":`, `"`+strings.Repeat("n", 70<<10)+`":nul,"name":`),
	}
	msgs := []*nats.Msg{changed("rec1", "Pending")}
	for _, m := range poison {
		msgs = append(msgs, m, changed("rec1", "Sent"))
	}
	msgs = append(msgs, changed("rec2", "Sent"), changed("rec3", "with a\x00NUL"))
	last := w.publish(msgs...)
	w.start()
	w.answers("select seq::text from checkpoint", fmt.Sprint(last))
	w.consistent()
	w.answers("select string_agg(record_id || ':' || status, ' ' order by record_id) from orders", "rec1:Sent rec2:Sent rec3:with aNUL")
	dead := w.deadLetters()
	if len(dead) != len(poison) {
		t.Fatalf("%d dead letters, want %d", len(dead), len(poison))
	}
	for _, d := range dead {
		var found bool
		for _, m := range poison {
			found = found || d.Subject == event.DeadSubject("orders", m.Subject) && string(d.Data) == string(m.Data) &&
				d.Header.Get("Original-"+event.HeaderID) == m.Header.Get(event.HeaderID)
		}
		if !found || d.Header.Get("Dead-Reason") == "" || strings.Contains(strings.ToLower(d.Header.Get("Dead-Reason")), "insert") {
			t.Errorf("dead letter %s %v", d.Subject, d.Header)
		}
	}
}

// rand16k is text that no compression makes fit an index.
func rand16k() string {
	r := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, 16<<10)
	for i := range b {
		b[i] = byte('!' + r.IntN(90))
	}
	return strings.ReplaceAll(string(b), "\\", "/")
}

// consumer is the one that the projection reads.
func (w *world) consumer() string {
	w.t.Helper()
	name, err := w.query("select consumer from checkpoint")
	if err != nil {
		w.t.Fatal(err)
	}
	return name
}

// Two databases on one NATS are projected without regard for each other: each has a consumer of its own.
func TestTwoDatabases(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	other := *w
	other.dsn = pgtest.New(t)
	other.start()
	for i := range 10 {
		w.publish(changed("rec1", fmt.Sprint("s", i)))
	}
	for _, each := range []*world{w, &other} {
		each.answers("select status from orders", "s9")
		each.answers("select count(*)::text from order_history", "10")
	}
	stream, err := w.js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{w.consumer(), other.consumer()} {
		cons, err := stream.Consumer(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if info := cons.CachedInfo(); info.Delivered.Stream != w.lastSeq() {
			t.Errorf("%s is at %d of %d", name, info.Delivered.Stream, w.lastSeq())
		}
	}
	if w.consumer() == other.consumer() {
		t.Error("both are projected from one consumer")
	}
}

// Invariant 4: whatever is delivered again, an older event never overwrites a newer row.
func TestRedeliveryChangesNothing(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	for i := range 10 {
		w.publish(changed("rec1", fmt.Sprint("s", i)), changed("rec2", fmt.Sprint("s", i)), changed("gone", fmt.Sprint("s", i)))
	}
	w.publish(changed("gone", ""))
	want := map[string]string{"rec1": "s9", "rec2": "s9"}
	w.holds(want)
	for range 3 {
		if _, err := w.js.ResetConsumerToSequence(t.Context(), bus.StreamOrders, w.consumer(), 1); err != nil {
			t.Fatal(err)
		}
		w.publish(changed("rec3", "x"), changed("rec3", ""))
		w.answers("select (seq = "+fmt.Sprint(w.lastSeq())+")::text from checkpoint", "true")
	}
	w.holds(want)
	w.consistent()
	w.answers("select count(*)::text from order_history", fmt.Sprint(31+6))
}

// Events of megabytes are read without NATS cutting the connection as too slow: each comes once.
func TestLargeEvents(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	const n = 48 // more than the 64 MB that a server keeps for one that is slow
	for i := range n {
		m := changed(fmt.Sprint("rec", i), "s")
		m.Data = bytes.Replace(m.Data, []byte(`"fields":{`), []byte(`"fields":{"Notes":"`+strings.Repeat("x", 3<<19)+`",`), 1)
		w.publish(m)
	}
	w.start()
	w.answers("select count(*)::text from orders", fmt.Sprint(n))
	cons, err := w.js.Consumer(t.Context(), bus.StreamOrders, w.consumer())
	if err != nil {
		t.Fatal(err)
	}
	if d := cons.CachedInfo().Delivered; d.Consumer != n || d.Stream != n { // the former begins again with each attempt
		t.Errorf("the last attempt read %d of %d events", d.Consumer, d.Stream)
	}
}

// Whoever deletes the projection's consumer, as any subscriber may, loses nothing of it.
func TestConsumerDeleted(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec", "s"))
	want := map[string]string{"rec": "s"}
	w.holds(want)
	for i := range 5 {
		for j := range 100 {
			id := fmt.Sprintf("rec%dx%d", i, j)
			want[id] = "s"
			w.publish(changed(id, "s"))
			if j == 50 { // with messages on their way
				if err := w.js.DeleteConsumer(t.Context(), bus.StreamOrders, w.consumer()); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
					t.Fatal(err)
				}
			}
		}
		w.holds(want)
	}
	w.consistent()
	w.answers("select count(*)::text from order_history", fmt.Sprint(len(want)))
}

// Invariant 5: what another client takes from the projection's consumer is not lost.
func TestStolenMessages(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec0", "s"))
	want := map[string]string{"rec0": "s"}
	w.holds(want)
	thief, err := w.js.Consumer(t.Context(), bus.StreamOrders, w.consumer())
	if err != nil {
		t.Fatal(err)
	}
	stolen := 0
	for i := 1; stolen < 3 && i < 500; i++ {
		loot, err := thief.Fetch(1, jetstream.FetchMaxWait(2*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for len(loot.Messages()) == 0 && i < 500 {
			id := fmt.Sprint("rec", i)
			w.publish(changed(id, "s"))
			want[id] = "s"
			i++
		}
		for range loot.Messages() {
			stolen++
		}
	}
	if stolen == 0 {
		t.Fatal("nothing could be stolen")
	}
	w.holds(want)
	w.consistent()
}

// Invariant 5: the same of the newest message, after which no gap shows. The leader notices that the
// consumer has given more than has arrived.
func TestStolenNewestMessage(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec0", "s"))
	want := map[string]string{"rec0": "s"}
	w.holds(want)
	thief, err := w.js.Consumer(t.Context(), bus.StreamOrders, w.consumer())
	if err != nil {
		t.Fatal(err)
	}
	loot, err := thief.Fetch(1, jetstream.FetchMaxWait(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; len(loot.Messages()) == 0; i++ { // one at a time, so that the stolen one is the newest
		id := fmt.Sprint("rec", i)
		want[id] = "s"
		w.publish(changed(id, "s"))
		w.eventually(id, func() error {
			_, err := w.ask(ordersapi.SubjectGet, ordersapi.Ref{RecordID: id})
			if len(loot.Messages()) > 0 {
				return nil
			}
			return errors.Join(err, loot.Error())
		})
	}
	w.holds(want)
	w.consistent()
}

// watch calls check all the while; the function it returns ends that and gives what failed.
func (w *world) watch(check func() error) (failures func() []error) {
	done := make(chan struct{})
	var running sync.WaitGroup
	var errs []error
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := check(); err != nil {
					errs = append(errs, err)
				}
			}
		}
	})
	return func() []error {
		close(done)
		running.Wait()
		return errs
	}
}

func (w *world) lastSeq() uint64 {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), bus.StreamOrders)
	if err != nil {
		w.t.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// scanned answers for airtable-sync that all of Airtable is in the stream as it is now.
func (w *world) scanned() { w.t.Helper(); w.scannedAs(false) }

// scannedAs also says whether somebody confirmed the deletions that follow. It returns what ends
// the answering.
func (w *world) scannedAs(confirmed bool) (end func() error) {
	w.t.Helper()
	return w.answerScan(w.mark(confirmed))
}

// mark is the one of a scan that is in the stream as it is now.
func (w *world) mark(confirmed bool) syncapi.ScanMark {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), bus.StreamOrders)
	if err != nil {
		w.t.Fatal(err)
	}
	info := stream.CachedInfo()
	mark := syncapi.ScanMark{StreamCreated: info.Created, Through: info.State.LastSeq, Confirmed: confirmed}
	if mark.Through > 0 {
		msg, err := stream.GetMsg(w.t.Context(), mark.Through)
		if err != nil {
			w.t.Fatal(err)
		}
		mark.MessageID = event.MessageID(msg.Header, msg.Time)
	}
	return mark
}

func (w *world) answerScan(mark syncapi.ScanMark) (end func() error) {
	w.t.Helper()
	answer, err := json.Marshal(syncapi.Status{Scan: &mark})
	if err != nil {
		w.t.Fatal(err)
	}
	sub, err := w.nc.Subscribe(syncapi.SubjectStatus, func(m *nats.Msg) { _ = m.Respond(answer) })
	if err != nil {
		w.t.Fatal(err)
	}
	return sub.Unsubscribe
}

// Invariant 8: NATS comes back without its tail, and new messages take the lost sequences.
func TestLostTail(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	w.publish(changed("rec1", "old"), changed("rec2", "old"), changed("rec4", "old"))
	w.holds(map[string]string{"rec1": "old", "rec2": "old", "rec4": "old"})
	w.nats.Stop()
	restore := w.nats.Backup()
	w.nats.Start()
	w.eventually("NATS", func() error { return w.nc.FlushTimeout(time.Second) })
	w.publish(changed("rec1", "lost"), changed("rec3", "lost"), changed("rec2", ""))
	w.holds(map[string]string{"rec1": "lost", "rec3": "lost", "rec4": "old"})
	lost := w.mark(false)
	w.nats.Stop()
	restore()
	w.nats.Start()
	w.eventually("NATS", func() error { return w.nc.FlushTimeout(time.Second) })
	// As many as were lost, and one more: neither the last sequence nor the stream's age tells.
	w.publish(changed("rec1", "new"), changed("rec2", "new"), changed("rec5", "new"), changed("rec4", ""))
	// rec3 is in no message now. Only a scan of Airtable can tell that it is gone.
	w.holds(map[string]string{"rec1": "new", "rec2": "new", "rec3": "lost", "rec5": "new"})
	// The one before the loss cannot, though the stream has its sequence again.
	asked := make(chan struct{}, 64)
	watch, err := w.nc.Subscribe(syncapi.SubjectStatus, func(*nats.Msg) { asked <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	end := w.answerScan(lost)
	for range 3 { // the answer to the first of these has been looked at when the third comes
		<-asked
	}
	w.holds(map[string]string{"rec1": "new", "rec2": "new", "rec3": "lost", "rec5": "new"})
	if err := errors.Join(end(), watch.Unsubscribe()); err != nil {
		t.Fatal(err)
	}
	w.scanned()
	w.holds(map[string]string{"rec1": "new", "rec2": "new", "rec5": "new"})
	w.consistent()
	w.answers("select string_agg(entry::json->>'change', ' ' order by epoch, seq) from order_history where record_id = 'rec3'", "updated deleted")
}

// Invariants 6 and 8: NATS loses everything. An empty stream empties no table; once Airtable has
// been scanned into the new stream, what is not in it is gone.
func TestWipedNATS(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	for i := range 30 {
		w.publish(changed(fmt.Sprint("rec", i), "old"))
	}
	w.publish(changed("rec0", "older"), changed("rec0", "newer"))
	w.answers("select seq::text from checkpoint", "32")
	w.nats.Stop()
	w.nats.Wipe()
	w.nats.Start()
	w.answers("select epoch || ' ' || seq from checkpoint", "2 0")
	w.answers("select count(*)::text from orders", "30")
	w.publish(changed("rec0", "new"), changed("rec1", "new"), changed("rec99", "new"))
	w.answers("select seq || ' ' || (select count(*) from orders) || ' ' || (select status from orders where record_id = 'rec0') from checkpoint", "3 31 new")
	w.scanned()
	w.holds(map[string]string{"rec0": "new", "rec1": "new", "rec99": "new"})
	w.consistent()
	w.answers("select count(*)::text from order_history where entry::json->>'change' = 'deleted'", "28")
}

// Invariant 6: when a new stream has far fewer orders than there are rows, somebody must confirm
// that the others are gone.
func TestWipedNATSHoldsMassDeletion(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	w.start()
	for i := range 60 {
		w.publish(changed(fmt.Sprint("rec", i), "old"))
	}
	w.answers("select count(*)::text from orders", "60")
	w.nats.Stop()
	w.nats.Wipe()
	w.nats.Start()
	w.answers("select epoch || ' ' || seq from checkpoint", "2 0")
	for i := range 40 {
		w.publish(changed(fmt.Sprint("rec", i), "new"))
	}
	w.answers("select seq::text from checkpoint", "40")
	asked := make(chan struct{}, 16)
	watch, err := w.nc.Subscribe(syncapi.SubjectStatus, func(*nats.Msg) { asked <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	end := w.scannedAs(false)
	for range 3 { // the answer to the first of these has been looked at when the third comes
		<-asked
	}
	w.answers("select count(*)::text from orders", "60")
	if err := errors.Join(end(), watch.Unsubscribe()); err != nil {
		t.Fatal(err)
	}
	w.scannedAs(true)
	w.answers("select count(*)::text from orders", "40")
	w.consistent()
}

// Invariant 8: Postgres is wiped and restored from an older backup under a running service.
func TestWipedAndRestoredPostgres(t *testing.T) {
	pg := pgtest.Server(t)
	w := newWorld(t, pg.DSN())
	w.ensure()
	w.start()
	w.publish(changed("rec1", "a"), changed("rec2", "a"), changed("rec3", "a"))
	w.holds(map[string]string{"rec1": "a", "rec2": "a", "rec3": "a"})
	backup := pg.Backup()
	for i := range 20 { // more than the stream keeps of one order
		w.publish(changed("rec1", fmt.Sprint("b", i)))
	}
	w.publish(changed("rec2", ""))
	want := map[string]string{"rec1": "b19", "rec3": "a"}
	w.holds(want)

	pg.Wipe()
	pg.Start()
	w.holds(want)
	w.consistent()

	pg.Restore(backup)
	w.holds(want)
	w.publish(changed("rec1", "c"))
	w.holds(map[string]string{"rec1": "c", "rec3": "a"})
	w.consistent()

	if _, err := w.query("drop schema orders cascade"); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	w.holds(map[string]string{"rec1": "c", "rec3": "a"})
	w.consistent()
}

// Postgres away is told within two seconds, and service comes back by itself.
func TestPostgresAway(t *testing.T) {
	pg := pgtest.Server(t)
	w := newWorld(t, pg.DSN())
	w.ensure()
	w.start()
	w.publish(changed("rec1", "a"))
	w.holds(map[string]string{"rec1": "a"})
	pg.Stop()
	for subject, q := range map[string]any{
		ordersapi.SubjectList: ordersapi.Query{Limit: 10}, ordersapi.SubjectGet: ordersapi.Ref{RecordID: "rec1"},
		ordersapi.SubjectSummary: ordersapi.Query{}, ordersapi.SubjectHistory: ordersapi.HistoryQuery{RecordID: "rec1", Limit: 10},
	} {
		start := time.Now()
		_, err := w.ask(subject, q)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Unavailable || !strings.HasPrefix(f.Detail.EN, "Postgres") || time.Since(start) > 2*time.Second {
			t.Errorf("%s: %v after %v", subject, err, time.Since(start))
		}
	}
	pg.Start()
	w.holds(map[string]string{"rec1": "a"})
}

// Invariant 7: of two instances one projects; when that is killed, the other goes on.
func TestKilledLeader(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	child := exec.Command(os.Args[0]) // this test itself
	child.Env = append(os.Environ(), "ORDERS_TEST_CHILD=1", "NATS_URL="+w.nats.URL(), "DATABASE_URL="+w.dsn)
	child.Stdout, child.Stderr = t.Output(), t.Output()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill := func() {
		if !killed {
			killed = true
			_ = child.Process.Kill()
			_ = child.Wait()
		}
	}
	t.Cleanup(kill)
	w.publish(changed("rec1", "a"))
	w.holds(map[string]string{"rec1": "a"}) // the child leads
	w.start()
	want := map[string]string{}
	for i := range 3000 {
		id := fmt.Sprint("rec", i%50)
		want[id] = fmt.Sprint("s", i)
		w.publish(changed(id, want[id]))
		if i == 1500 {
			kill()
		}
	}
	w.holds(want)
	w.consistent()
}

// A rebuild reads everything again while readers notice nothing; rows that no event supports go.
func TestRebuild(t *testing.T) {
	w := newWorld(t, pgtest.New(t))
	w.ensure()
	stop := w.start()
	want := map[string]string{}
	for i := range 300 {
		id := fmt.Sprint("rec", i%60)
		want[id] = fmt.Sprint("s", i)
		w.publish(changed(id, want[id]))
	}
	w.holds(want)
	history, err := w.query("select count(*)::text from order_history")
	if err != nil {
		t.Fatal(err)
	}
	read := w.watch(func() error {
		for id, status := range want {
			r, err := w.ask(ordersapi.SubjectGet, ordersapi.Ref{RecordID: id})
			if err != nil {
				return err
			}
			var o event.Order
			if err := json.Unmarshal(r.Data, &o); err != nil {
				return fmt.Errorf("read %s: %w", id, err)
			}
			if *o.Status != status {
				return fmt.Errorf("%s is %s, want %s", id, *o.Status, status)
			}
		}
		got, total, err := w.list(ordersapi.Query{Limit: 1000})
		if err == nil && (len(got) != len(want) || total != fmt.Sprint(len(want))) {
			err = fmt.Errorf("%d of %s orders, want %d", len(got), total, len(want))
		}
		return err
	})
	rebuild := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := orders.Rebuild(ctx, w.config()); err != nil {
			t.Fatal(err)
		}
	}
	rebuild() // by the instance that runs
	if errs := read(); len(errs) > 0 {
		t.Fatalf("%d reads failed, first: %v", len(errs), errs[0])
	}
	w.holds(want)
	w.consistent()
	w.answers("select count(*)::text from order_history", history)
	stop()
	if _, err := w.query("insert into orders (record_id, created_at, updated_at, doc, epoch, seq) values ('ghost', now(), now(), '{}', 1, 1) returning record_id"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.query("update orders set status = 'wrong', doc = '{}' where record_id = 'rec1' returning record_id"); err != nil {
		t.Fatal(err)
	}
	rebuild() // by itself
	w.start()
	w.holds(want)
	w.consistent()
	w.answers("select epoch::text from checkpoint", "3")
}
