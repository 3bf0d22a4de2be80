package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

const soon = 30 * time.Second

// fakeOdoo is an Odoo that says how often it was asked.
type fakeOdoo struct {
	asked atomic.Int64
	away  atomic.Bool
	size  int
}

func (o *fakeOdoo) say() (json.RawMessage, error) {
	n := o.asked.Add(1)
	if o.away.Load() {
		return nil, fault.Away("Odoo", errors.New("no route"))
	}
	return json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, strings.Repeat("x", o.size))), nil
}

func (o *fakeOdoo) List(context.Context, string, resource.Scope, odooapi.Query) (resource.Page, error) {
	data, err := o.say()
	return resource.Page{Records: []resource.Record{{ID: 1, Data: data}}, Total: 1}, err
}

// broken is a record that Odoo cannot read, nor any others in the same call.
const broken = 666

func (o *fakeOdoo) Read(_ context.Context, _ string, _ resource.Scope, ids []int64) ([]resource.Record, error) {
	data, err := o.say()
	if slices.Contains(ids, broken) {
		return nil, &fault.Error{Code: fault.Unavailable, Err: &odoo.RefusalError{Reason: odoo.Broken}}
	}
	var all []resource.Record
	for _, id := range ids {
		if id < 1000 {
			all = append(all, resource.Record{ID: id, Data: data})
		}
	}
	return all, err
}

func (o *fakeOdoo) Image(context.Context, string, resource.Scope, odooapi.ImageRef) (resource.Image, error) {
	data, err := o.say()
	return resource.Image{Type: "image/png", Data: data}, err
}

func (o *fakeOdoo) Summary(context.Context, string, resource.Scope, odooapi.Query) (resource.Summary, error) {
	_, err := o.say()
	return resource.Summary{}, err
}

func (o *fakeOdoo) Terms(context.Context, int64) (resource.Terms, error) {
	if o.away.Load() {
		return resource.Terms{}, fault.Away("Odoo", errors.New("no route"))
	}
	return resource.Terms{Codes: []string{"en_US", "es_ES"}, Companies: []int64{1}}, nil
}

// hands is a clock that tests move.
type hands struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hands) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hands) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

type rig struct {
	*Cache

	t     *testing.T
	odoo  *fakeOdoo
	clock *hands
}

// newRig starts a cache that has been told that somebody looked.
func newRig(t *testing.T, n *natstest.Server, memory int64) *rig {
	t.Helper()
	r := &rig{t: t, odoo: &fakeOdoo{}, clock: &hands{now: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)}}
	c, err := New(Config{
		Namespace: "test", Fresh: 5 * time.Second, MaxAge: time.Hour, Memory: memory, Timeout: soon, Replicas: 1,
		Log: slog.New(slog.DiscardHandler), Now: r.clock.Now, Terms: r.odoo.Terms,
	}, r.odoo)
	if err != nil {
		t.Fatal(err)
	}
	r.Cache = c
	nc, js := n.Connect()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, nc, js) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	if err := c.Watching(r.ctx()); err != nil {
		t.Fatal(err)
	}
	r.clock.move(time.Second) // a look that began with the watching would not count
	return r
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), soon)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) look(changes map[string]Change) {
	r.t.Helper()
	if err := r.WriteChanges(r.ctx(), changes, true); err != nil {
		r.t.Fatal(err)
	}
	r.clock.move(time.Millisecond)
	at := r.clock.Now()
	if err := r.WriteMark(r.ctx(), 0, nil, nil); err != nil {
		r.t.Fatal(err)
	}
	if err := r.await(r.ctx(), func() bool { return at.Sub(r.markedAt) < time.Second && !r.markedAt.IsZero() }); err != nil {
		r.t.Fatal(err)
	}
}

func everything() map[string]Change {
	all := map[string]Change{}
	for _, name := range erp.Names() {
		all[name] = Change{All: true}
	}
	return all
}

func (r *rig) get(name string, id int64) resource.Record {
	r.t.Helper()
	all, err := r.Read(r.ctx(), name, resource.Scope{}, []int64{id})
	if err != nil || len(all) != 1 {
		r.t.Fatalf("%v %v", all, err)
	}
	return all[0]
}

func (r *rig) page(name string) resource.Page {
	r.t.Helper()
	p, err := r.List(r.ctx(), name, resource.Scope{}, odooapi.Query{Limit: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// asks checks how often Odoo was asked.
func (r *rig) asks(want int64, what string, f func()) {
	r.t.Helper()
	before := r.odoo.asked.Load()
	f()
	if n := r.odoo.asked.Load() - before; n != want {
		r.t.Errorf("%s: Odoo was asked %d times, want %d", what, n, want)
	}
}

func TestWhatChangesIsAskedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	r.asks(2, "before anybody has looked", func() { r.page("products"); r.page("products") })
	r.look(everything())
	all := func() {
		r.page("products")
		r.page("sales")
		r.get("products", 7)
		r.get("products", 8)
	}
	r.asks(4, "the first time", all)
	r.asks(0, "again", all)
	r.look(map[string]Change{"products": {IDs: []int64{7}}})
	r.asks(2, "a page and the record that changed", all)
	r.look(map[string]Change{"products": {All: true}})
	r.asks(3, "all of a resource", all)
	r.look(nil)
	r.asks(0, "nothing", all)
	many := Change{}
	for id := range int64(maxChanges + 10) {
		many.IDs = append(many.IDs, 100_000+id)
	}
	r.look(map[string]Change{"products": many})
	r.asks(3, "more than is remembered", all)
	r.asks(2, "what is not there", func() {
		for range 2 {
			if all, err := r.Read(r.ctx(), "products", resource.Scope{}, []int64{5000}); err != nil || len(all) != 0 {
				t.Error(all, err)
			}
		}
	})
}

// The variants of a product share most of its fields: writing one changes how the others look.
func TestOwnWriteOfAProductShowsOnItsSiblings(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	r.look(everything())
	r.get("products", 8)
	r.asks(0, "before", func() { r.get("products", 8) })
	r.Invalidate(r.ctx(), map[string][]int64{"products": {7}})
	r.asks(1, "a sibling of what was written", func() { r.get("products", 8) })
}

// A record that Odoo cannot read is an error to who asks for it, and to nobody else.
func TestUnreadableRecordInABatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	r.look(everything())
	results := map[int64]chan error{}
	for id := int64(660); id < 670; id++ {
		results[id] = make(chan error, 1)
	}
	// The records are asked for together, whichever the first call takes.
	k := batchKey{name: "sales"}
	q := &queue{}
	r.batch.queues[k] = q
	for id, result := range results {
		got := make(chan answer, 1)
		q.waiting = append(q.waiting, waiter{id, got})
		go func() {
			a := <-got
			if a.err == nil && a.record == nil {
				a.err = errNone
			}
			result <- a.err
		}()
	}
	r.batch.run(r.ctx(), k, q)
	for id, result := range results {
		if err := <-result; (err != nil) != (id == broken) {
			t.Errorf("%d: %v", id, err)
		}
	}
	if _, err := r.Read(r.ctx(), "sales", resource.Scope{}, []int64{broken}); err == nil || r.unavailable() {
		t.Errorf("%v, and Odoo is taken to be away: %t", err, r.unavailable())
	}
}

// Nothing is shown without an age, or for longer than the poll interval unless Odoo is away.
func TestAges(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	r.look(everything())
	if f := r.page("products").Freshness; f != (resource.Freshness{}) {
		t.Errorf("asked just now, and %+v", f)
	}
	r.clock.move(3 * time.Second)
	if f := r.page("products").Freshness; f != (resource.Freshness{Age: 3 * time.Second}) {
		t.Errorf("%+v", f)
	}
	r.look(nil)
	r.clock.move(2 * time.Second)
	if f := r.page("products").Freshness; f.Age.Round(time.Second) != 2*time.Second {
		t.Errorf("somebody has looked since, and %+v", f)
	}
	r.clock.move(4 * time.Second)
	r.asks(1, "nobody has looked for longer than the interval", func() { r.page("products") })
	r.asks(0, "but Odoo has just said it", func() { r.page("products") })
	r.odoo.away.Store(true)
	r.clock.move(6 * time.Second)
	if f := r.page("products").Freshness; f != (resource.Freshness{Age: 6 * time.Second, Stale: true}) {
		t.Errorf("Odoo is away, and %+v", f)
	}
	r.asks(0, "while it is known to be away", func() { r.page("products") })
	if _, err := r.List(r.ctx(), "products", resource.Scope{Lang: "xx"}, odooapi.Query{}); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("what was never said: %v", err)
	}
	r.odoo.away.Store(false)
	r.clock.move(3 * time.Second)
	if f := r.page("products").Freshness; f != (resource.Freshness{}) {
		t.Errorf("it is back, and %+v", f)
	}
	r.clock.move(2 * time.Hour)
	r.look(nil)
	r.asks(1, "older than it may ever be", func() { r.page("products") })
}

// What the poller cannot see all changes of lives for one interval, whoever has looked.
func TestBlindness(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	r.look(everything())
	r.clock.move(time.Millisecond)
	if err := r.WriteMark(r.ctx(), 0, []string{"products"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.await(r.ctx(), func() bool { return r.unwatched["products"] }); err != nil {
		t.Fatal(err)
	}
	r.asks(1, "the first time", func() { r.page("products"); r.page("products") })
	r.clock.move(4 * time.Second)
	if err := r.WriteMark(r.ctx(), 0, []string{"products"}, nil); err != nil {
		t.Fatal(err)
	}
	r.clock.move(2 * time.Second)
	r.asks(1, "after an interval", func() { r.page("products") })
}

// Instances share what one of them was told, and one that knows nothing asks nobody.
func TestInstancesShare(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	a, b := newRig(t, n, 1<<20), newRig(t, n, 1<<20)
	a.look(everything())
	if err := b.Trusted(b.ctx()); err != nil {
		t.Fatal(err)
	}
	want := a.page("products")
	img, err := a.Image(a.ctx(), "products", resource.Scope{Lang: "es_ES"}, odooapi.ImageRef{ID: 3, Size: 128})
	if err != nil {
		t.Fatal(err)
	}
	record := a.get("customers", 5)
	for over := time.Now().Add(soon); ; { // until the bucket has them
		keys, err := a.answers().Keys(a.ctx())
		if err == nil && len(keys) >= 3 {
			break
		}
		if time.Now().After(over) {
			t.Fatal(keys, err)
		}
	}
	b.asks(0, "what another instance asked", func() {
		if got := b.page("products"); string(got.Records[0].Data) != string(want.Records[0].Data) || got.Total != want.Total {
			t.Errorf("%s", got.Records[0].Data)
		}
		got, err := b.Image(b.ctx(), "products", resource.Scope{Lang: "en_US"}, odooapi.ImageRef{ID: 3, Size: 128})
		if err != nil || got.Type != img.Type || string(got.Data) != string(img.Data) {
			t.Error(got, err)
		}
		if got := b.get("customers", 5); string(got.Data) != string(record.Data) {
			t.Errorf("%s", got.Data)
		}
	})
	// At once, and without a look.
	a.Invalidate(a.ctx(), map[string][]int64{"customers": {5}})
	b.asks(1, "what was written through another instance", func() { b.get("customers", 5) })
	b.asks(0, "what was not", func() { b.page("products") })
}

// A bucket that is full costs nobody an answer, and no change goes unseen.
func TestFullBucket(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	_, js := n.Connect()
	const bound = 100_000
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bus.BucketOdooCache, TTL: 24 * time.Hour, MaxBytes: bound}); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, n, 1<<20)
	r.odoo.size = 10_000
	r.look(everything())
	const writes = 50
	for i := range writes {
		if _, err := r.List(r.ctx(), "products", resource.Scope{}, odooapi.Query{Limit: 1, Offset: i}); err != nil {
			t.Fatal(err)
		}
	}
	for len(r.writes) > 0 {
		runtime.Gosched()
	}
	status, err := r.answers().Status(ctx)
	if err != nil || status.Bytes() > bound || status.Values() == 0 {
		t.Errorf("%d bytes, %d values, %v", status.Bytes(), status.Values(), err)
	}
	for i := 0; ; i++ { // to the last byte
		if _, err := r.answers().PutString(ctx, fmt.Sprint("fill.", i), "x"); err != nil {
			break
		}
	}
	r.asks(0, "what is known", func() { r.pageAt(writes - 1) })
	r.look(map[string]Change{"products": {IDs: []int64{1, 2, 3, 4, 5, 6, 7, 8}}})
	r.asks(1, "what has changed", func() { r.pageAt(writes - 1) })
}

func (r *rig) pageAt(offset int) {
	r.t.Helper()
	if _, err := r.List(r.ctx(), "products", resource.Scope{}, odooapi.Query{Limit: 1, Offset: offset}); err != nil {
		r.t.Fatal(err)
	}
}

// However many languages clients ask for, those that Odoo has are all that is written down.
func TestLanguagesAreResolvedFirst(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	r := newRig(t, n, 1<<20)
	keys := func() int {
		all, err := r.bucket().Keys(r.ctx())
		if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
			t.Fatal(err)
		}
		return len(all)
	}
	ask := func(lang, want string) {
		t.Helper()
		scope, err := r.Scope(r.ctx(), odooapi.Scope{Lang: lang})
		if err != nil || scope.Lang != want {
			t.Fatalf("%s: %+v %v", lang, scope, err)
		}
	}
	before := keys()
	for i := range 100 {
		ask(fmt.Sprintf("es;q=0.%03d, en;q=0.0%d", 999-i, i), "es_ES")
	}
	for keys() == before { // written behind the answers
		runtime.Gosched()
	}
	if n := keys() - before; n != 1 {
		t.Errorf("%d keys", n)
	}
	// An instance that starts while Odoo is away knows them.
	other := newRig(t, n, 1<<20)
	other.odoo.away.Store(true)
	if scope, err := other.Scope(other.ctx(), odooapi.Scope{Lang: "es-MX"}); err != nil || scope.Lang != "es_ES" {
		t.Errorf("%+v %v", scope, err)
	}
}

// A request to JetStream that nobody answers, not even that nobody is there, delays no reader.
func TestLostRequestsDelayNobody(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	r := newRig(t, n, 1<<20)
	nc, js := n.Connect()
	if _, err := nc.SubscribeSync("$KV.>"); err != nil { // as an operator who watches everything
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{bus.BucketOdooCache, bus.BucketOdooJournal} {
		if err := js.DeleteKeyValue(r.ctx(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), quickTimeout/2)
	defer cancel()
	if _, err := r.Scope(ctx, odooapi.Scope{Lang: "es"}); err != nil || ctx.Err() != nil {
		t.Errorf("%v, after %v", err, ctx.Err())
	}
}

// A journal that is gone, as one that nobody wrote for a day was, is begun anew.
func TestJournalGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	r.look(everything())
	r.get("sales", 7)
	stream, err := r.jetStream().Stream(r.ctx(), "KV_"+bus.BucketOdooJournal)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(r.ctx(), jetstream.WithPurgeSubject("$KV."+bus.BucketOdooJournal+".test.journal.sales")); err != nil {
		t.Fatal(err)
	}
	r.look(map[string]Change{"sales": {IDs: []int64{7}}})
	r.asks(1, "what changed then", func() { r.get("sales", 7) })
	r.asks(0, "again", func() { r.get("sales", 7) })
}

// Journals that a crash of NATS set back take the numbers again that they lost: answers from before do not count.
func TestJournalSetBack(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	r := newRig(t, n, 1<<20)
	r.look(everything())
	restart := func(between func()) {
		n.Stop()
		between()
		n.Start()
		if err := r.await(r.ctx(), func() bool { return r.kv == nil || r.markedAt.IsZero() }); err != nil {
			t.Fatal(err)
		}
		if err := r.Watching(r.ctx()); err != nil {
			t.Fatal(err)
		}
		r.clock.move(time.Second)
	}
	var restore func()
	restart(func() { restore = n.Backup() })
	r.look(map[string]Change{"sales": {IDs: []int64{7}}})
	r.get("sales", 7)
	r.page("sales")
	r.asks(0, "before the crash", func() { r.get("sales", 7); r.page("sales") })
	restart(func() { restore() })
	r.look(map[string]Change{"sales": {IDs: []int64{7}}})
	r.asks(2, "after the crash", func() { r.get("sales", 7); r.page("sales") })
	r.asks(0, "again", func() { r.get("sales", 7); r.page("sales") })
}

// They can be set back on a server that this instance is not connected to: its next mark has an older revision.
func TestJournalSetBackElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	r.look(everything())
	r.page("sales")
	r.mu.Lock()
	session := r.session
	r.lastMark += 100
	r.mu.Unlock()
	if err := r.WriteMark(r.ctx(), 0, nil, nil); !errors.Is(err, errSetBack) {
		t.Fatal(err)
	}
	if err := r.await(r.ctx(), func() bool { return r.kv != nil && r.session != session }); err != nil {
		t.Fatal(err)
	}
	r.clock.move(time.Second)
	r.look(nil)
	r.asks(1, "after the loss", func() { r.page("sales") })
}

// A look that was under way when an instance began to watch vouches for what it found.
func TestFirstMarkCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Start(t), 1<<20)
	if err := r.WriteMark(r.ctx(), time.Minute, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Trusted(r.ctx()); err != nil {
		t.Fatal(err)
	}
}

// Memory is bounded by bytes, however many answers there are.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 1 << 20
	r := newRig(t, natstest.Start(t), bound)
	r.odoo.size = 10_000
	r.look(everything())
	for i := range 1000 {
		if _, err := r.List(r.ctx(), "products", resource.Scope{}, odooapi.Query{Limit: 1, Offset: i}); err != nil {
			t.Fatal(err)
		}
	}
	for over := time.Now().Add(soon); r.bytes.Load() > bound; { // it is cleaned up behind the scenes
		r.memory.CleanUp()
		if time.Now().After(over) {
			t.Fatalf("%d bytes", r.bytes.Load())
		}
	}
	if r.bytes.Load() < bound/2 {
		t.Errorf("%d bytes are little", r.bytes.Load())
	}
}

func TestEntriesSurviveTheBucket(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	for kind, value := range map[string]any{
		list: resource.Page{Total: 70, Records: []resource.Record{
			{ID: 4, Data: json.RawMessage("{\"name\":\"a\\nb\"}")}, {ID: 9, Data: json.RawMessage(`{}`)},
		}},
		get:     resource.Record{ID: 4, Data: json.RawMessage(`{"id":4}`)},
		image:   resource.Image{Type: "image/png", Data: []byte("\x89PNG\n\n\x00")},
		summary: resource.Summary{SalesSummary: odooapi.SalesSummary{Total: 3, ByState: []odooapi.SalesTotal{{State: "sale", Count: 3}}}},
	} {
		e := entry{version: version{"e", 7}, At: at, value: value}
		data, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(kind, data)
		if err != nil || got.version != e.version || !got.At.Equal(at) {
			t.Errorf("%s: %+v %v", kind, got, err)
			continue
		}
		if diff := cmp.Diff(value, got.value); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
		for cut := range data {
			if e, err := decode(kind, data[:cut]); err == nil && kind == list && e.value.(resource.Page).Records[1].Data == nil {
				t.Errorf("%s cut at %d is read", kind, cut)
			}
		}
	}
}

// A write is not answered before another instance, however slow, knows of it.
func TestWritesWaitForEveryInstance(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	a, b := newRig(t, n, 1<<20), newRig(t, n, 1<<20)
	a.look(everything())
	if err := b.Trusted(b.ctx()); err != nil {
		t.Fatal(err)
	}
	for over := time.Now().Add(soon); ; {
		a.mu.RLock()
		known := len(a.peers)
		a.mu.RUnlock()
		if known == 1 {
			break
		}
		if time.Now().After(over) {
			t.Fatal("they do not know each other")
		}
	}
	nc, _ := n.Connect()
	asked := make(chan struct{}, 1)
	if _, err := nc.Subscribe(a.subject("ack"), func(*nats.Msg) { asked <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	before := b.views["sales"].N
	b.mu.Lock() // it learns of nothing
	told := make(chan struct{})
	go func() {
		defer close(told)
		a.Invalidate(a.ctx(), map[string][]int64{"sales": {5}})
	}()
	select {
	case <-asked:
	case <-time.After(soon):
		t.Error("nobody was asked")
	}
	select {
	case <-told:
		t.Error("answered without the other instance")
	default:
	}
	b.mu.Unlock()
	<-told
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.views["sales"].N != before+1 {
		t.Errorf("%d after %d", b.views["sales"].N, before)
	}
}

// A change that cannot be written down makes all instances ask Odoo until somebody has looked.
func TestDoubt(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	a, b := newRig(t, n, 1<<20), newRig(t, n, 1<<20)
	a.look(everything())
	if err := b.Trusted(b.ctx()); err != nil {
		t.Fatal(err)
	}
	b.page("sales")
	b.asks(0, "again", func() { b.page("sales") })
	for over := time.Now().Add(soon); ; {
		a.mu.Lock()
		if len(a.peers) == 1 {
			a.kv = nil // as when JetStream is away
			a.mu.Unlock()
			break
		}
		a.mu.Unlock()
		if time.Now().After(over) {
			t.Fatal("they do not know each other")
		}
	}
	a.Invalidate(a.ctx(), map[string][]int64{"sales": {5}})
	b.asks(2, "after a change that nobody knows", func() { b.page("sales"); b.page("sales") })
}
