package odoobridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/servicetest"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// patience bounds what should happen soon; only a failing test waits that long.
const patience = 60 * time.Second

// fleet is a sandbox of Odoo, a NATS server, and instances of the service between them.
type fleet struct {
	t    *testing.T
	odoo *odootest.Server
	nats *natstest.Server
	nc   *nats.Conn
	js   jetstream.JetStream
	cfg  odoobridge.Config
	step atomic.Int64 // seconds
}

// newFleet's Odoo dates what is written a minute and a half back, as of transactions that take long, and
// what is waited for apart in a second of its own: so nothing has to be looked at twice.
func newFleet(t *testing.T, cfg odootest.Config, pollSeconds float64) *fleet {
	t.Helper()
	f := &fleet{t: t}
	cfg.Samples = true
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(f.step.Load())*time.Second - 90*time.Second) }
	s, url := odootest.Start(t, cfg)
	n := natstest.Start(t)
	nc, js := n.Connect()
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC}
	f.odoo, f.nats, f.nc, f.js, f.cfg = s, n, nc, js, o.config(n.URL())
	f.cfg.PollSeconds, f.cfg.CacheMaxAge, f.cfg.CacheMemoryMB = pollSeconds, time.Hour, 16
	if testing.Verbose() {
		f.cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return f
}

// start runs one more instance, until the test or the returned function ends it.
func (f *fleet) start(change ...func(*odoobridge.Config)) (stop func()) {
	f.t.Helper()
	cfg := f.cfg
	for _, c := range change {
		c(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		f.t.Fatal(err)
	}
	return servicetest.Run(f.t, func(ctx context.Context) error { return odoobridge.Run(ctx, cfg) })
}

// eventually looks until a condition is met.
func (f *fleet) eventually(what string, met func() bool) {
	f.t.Helper()
	servicetest.Eventually(f.t, what, met)
	f.step.Add(1)
}

// ask gives up long before patience ends: a request written to a connection whose end this client has not
// noticed yet is lost, and nobody answers it.
func (f *fleet) ask(resource, verb string, req any) (bus.Reply, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience/6)
	defer cancel()
	return bus.Ask(ctx, f.nc, odooapi.Subject(resource, verb), req)
}

func (f *fleet) must(resource, verb string, req any) bus.Reply {
	f.t.Helper()
	reply, err := f.ask(resource, verb, req)
	if err != nil {
		f.t.Fatalf("%s %s: %s", resource, verb, full(err))
	}
	return reply
}

// warm waits until answers come from the cache: n in a row do not reach Odoo.
func (f *fleet) warm(n int) {
	f.t.Helper()
	f.eventually("answers from the cache", func() bool {
		before := f.reads()
		for range n {
			if _, err := f.ask("products", odooapi.List, page); err != nil {
				return false
			}
		}
		return f.reads() == before
	})
}

// reads counts the calls that look like pages.
func (f *fleet) reads() int {
	return f.odoo.Calls()[odootest.Call{Model: "product.product", Method: "web_search_read"}]
}

// settle waits for whole looks at what was written before.
func (f *fleet) settle() {
	f.t.Helper()
	looks := func() int { return f.odoo.Calls()[odootest.Call{Model: "ir.model", Method: "search_read"}] }
	first := looks()
	f.eventually("looks at Odoo", func() bool { return looks() > first+2 })
}

var page = odooapi.Query{Limit: 10}

func names(t *testing.T, reply bus.Reply) []string {
	t.Helper()
	var rows []struct{ Name string }
	if err := json.Unmarshal(reply.Data, &rows); err != nil {
		t.Fatalf("%v: %s", err, reply.Data)
	}
	var all []string
	for _, r := range rows {
		all = append(all, r.Name)
	}
	return all
}

func (f *fleet) variant(template int) int64 {
	pair, _ := f.odoo.Read("product.template", template, "product_variant_id")["product_variant_id"].([]any)
	if len(pair) == 0 {
		f.t.Fatal("no variant")
	}
	return int64(pair[0].(int))
}

// A hundred who want the same page are one call of Odoo; a hundred who want a record each, three.
func TestCoalescing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, odootest.Config{}, 60) // one look at the start, and none meanwhile
	f.start()
	f.warm(1)
	products := f.odoo.IDs("product.product")
	f.odoo.SetDelay(100 * time.Millisecond)
	together := func(n int, verb string, req func(i int) any) {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if _, err := f.ask("products", verb, req(i)); err != nil {
					t.Error(full(err))
				}
			})
		}
		all.Wait()
	}
	f.odoo.ResetCalls()
	together(100, odooapi.List, func(int) any { return odooapi.Query{Limit: 7} })
	if n := f.odoo.ResetCalls().Total(); n != 1 {
		t.Errorf("%d calls for one page", n)
	}
	together(100, odooapi.Get, func(i int) any { return odooapi.RecordRef{ID: int64(products[i%len(products)])} })
	if n := f.odoo.ResetCalls().Total(); n > 3 {
		t.Errorf("%d calls for a hundred records", n)
	}
	together(100, odooapi.Get, func(i int) any { return odooapi.RecordRef{ID: int64(products[i%len(products)])} })
	if n := f.odoo.ResetCalls().Total(); n != 0 {
		t.Errorf("%d calls for what is known", n)
	}
}

// What is changed in Odoo itself shows within the poll interval, whatever it is.
func TestFreshness(t *testing.T) {
	t.Parallel()
	f := newFleet(t, odootest.Config{}, 0.4) // so long that looks are in time, and the cache is believed
	f.start()
	f.warm(5)
	template, err := f.odoo.Create("product.template", odootest.Values{"name": "AAA new", "list_price": 3.0})
	if err != nil {
		t.Fatal(err)
	}
	first := func(want string) func() bool {
		return func() bool { return slices.Contains(names(t, f.must("products", odooapi.List, page)), want) }
	}
	f.eventually("a new product in the list", first("AAA new"))
	id := f.variant(template)
	product := func() (p productRecord) {
		if err := json.Unmarshal(f.must("products", odooapi.Get, odooapi.RecordRef{ID: id}).Data, &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	product()
	for what, change := range map[string]struct {
		do    func() error
		shows func() bool
	}{
		"name": {func() error {
			return f.odoo.Write("product.template", template, odootest.Values{"name": "AAA renamed"})
		}, first("AAA renamed")},
		"stock": {func() error { return f.odoo.SetStock(template, 42) }, func() bool { q := product().QtyAvailable; return q != nil && *q == 42 }},
		"price": {func() error { return f.odoo.Write("product.template", template, odootest.Values{"list_price": 4.5}) }, func() bool { return product().ListPrice == 4.5 }},
	} {
		if change.shows() {
			t.Fatalf("%s: shows before", what)
		}
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		f.eventually(what, change.shows)
	}
	// A partner's name in a sale, and a line that goes without a word in the sale.
	partner, err := f.odoo.Create("res.partner", odootest.Values{"name": "Before", "customer_rank": 1})
	if err != nil {
		t.Fatal(err)
	}
	sale, err := f.odoo.Create("sale.order", odootest.Values{"partner_id": partner, "order_line": []any{
		[]any{0, 0, odootest.Values{"product_id": int(id), "product_uom_qty": 1.0}},
		[]any{0, 0, odootest.Values{"display_type": "line_note", "name": "a note"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	order := func() (s saleRecord) {
		if err := json.Unmarshal(f.must("sales", odooapi.Get, odooapi.RecordRef{ID: int64(sale)}).Data, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	f.eventually("two lines", func() bool { return len(order().Lines) == 2 })
	if err := f.odoo.Write("res.partner", partner, odootest.Values{"name": "After"}); err != nil {
		t.Fatal(err)
	}
	f.eventually("the customer's new name in the sale", func() bool { return order().Partner.Name == "After" })
	f.settle() // else what was just written is read again anyhow
	for _, line := range order().Lines {
		if line.DisplayType != nil {
			if err := f.odoo.Delete("sale.order.line", int(line.ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.eventually("one line", func() bool { return len(order().Lines) == 1 })
	// A deletion leaves no trace at all.
	if err := f.odoo.Delete("sale.order", sale); err != nil {
		t.Fatal(err)
	}
	f.eventually("the sale gone", func() bool {
		_, err := f.ask("sales", odooapi.Get, odooapi.RecordRef{ID: int64(sale)})
		return fault.CodeOf(err) == fault.NotFound
	})
	if err := f.odoo.Delete("product.template", template); err != nil {
		t.Fatal(err)
	}
	f.eventually("the product gone", func() bool { return !first("AAA renamed")() })
}

// A change made through one instance shows at once in every other.
func TestWritesShowAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, odootest.Config{}, 5) // so seldom that the poller cannot be what shows the writes
	stops := []func(){f.start(), f.start(), f.start()}
	f.warm(30)
	var created productRecord
	reply := f.must("products", odooapi.Create, odooapi.Write{Values: values(map[string]any{"name": "AAA 0"})})
	if err := json.Unmarshal(reply.Data, &created); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		want := "AAA " + strconv.Itoa(i)
		for range 4 { // whichever answers
			if got := names(t, f.must("products", odooapi.List, page)); !slices.Contains(got, want) {
				t.Fatalf("the list has %v, not %s", got, want)
			}
			reply := f.must("products", odooapi.Get, odooapi.RecordRef{ID: created.ID})
			if !strings.Contains(string(reply.Data), `"`+want+`"`) || reply.Header.Get(odooapi.HeaderStale) != "" {
				t.Fatalf("%s is %s %v", want, reply.Data, reply.Header)
			}
		}
		f.must("products", odooapi.Update, odooapi.Write{ID: created.ID, Values: values(map[string]any{"name": "AAA " + strconv.Itoa(i+1)})})
		if i == 20 { // one that is gone delays nobody for long
			stops[0]()
		}
	}
	f.eventually("an event of the last one", func() bool {
		all := f.events("products")
		return len(all) > 0 && strings.Contains(string(all[len(all)-1].Record), `"AAA 40"`)
	})
}

// While Odoo is away, what was read is shown, marked; when it is back, it is fresh again.
func TestOdooAway(t *testing.T) {
	t.Parallel()
	f := newFleet(t, odootest.Config{}, 0.5)
	stop := f.start(func(c *odoobridge.Config) { c.Timeout = 2 * time.Second })
	id := int64(f.odoo.IDs("product.product")[0])
	f.warm(5)
	f.must("products", odooapi.Get, odooapi.RecordRef{ID: id})
	f.odoo.Stop()
	stale := func() bool {
		reply := f.must("products", odooapi.List, page)
		age, _ := strconv.Atoi(reply.Header.Get(odooapi.HeaderAge))
		return reply.Header.Get(odooapi.HeaderStale) == "true" && age >= 1
	}
	f.eventually("a stale answer", stale)
	for range 50 {
		if !stale() {
			t.Fatal("an answer from nowhere")
		}
	}
	if h := f.must("products", odooapi.Get, odooapi.RecordRef{ID: id}).Header; h.Get(odooapi.HeaderStale) != "true" {
		t.Errorf("%v", h)
	}
	_, err := f.ask("products", odooapi.List, odooapi.Query{Limit: 3})
	if fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("what was never read: %v", err)
	}
	// An instance that starts meanwhile shows what others read.
	stop()
	f.start(func(c *odoobridge.Config) { c.Timeout = 2 * time.Second })
	f.eventually("a stale answer after a restart", func() bool {
		reply, err := f.ask("products", odooapi.List, page)
		return err == nil && reply.Header.Get(odooapi.HeaderStale) == "true"
	})
	if err := f.odoo.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.eventually("a fresh answer", func() bool { return f.must("products", odooapi.List, page).Header.Get(odooapi.HeaderStale) == "" })
	f.warm(5)
}

// Languages and companies have answers of their own.
func TestScopesAreApart(t *testing.T) {
	t.Parallel()
	f := newFleet(t, odootest.Config{}, 5)
	f.start()
	f.warm(1)
	var p productRecord
	if err := json.Unmarshal(f.must("products", odooapi.Create, odooapi.Write{Values: values(map[string]any{"name": "Chair"})}).Data, &p); err != nil {
		t.Fatal(err)
	}
	f.must("products", odooapi.Update, odooapi.Write{ID: p.ID, Scope: odooapi.Scope{Lang: "es"}, Values: values(map[string]any{"name": "Silla"})})
	for range 3 {
		for lang, want := range map[string]string{"es": "Silla", "en": "Chair", "es-MX,en": "Silla"} {
			ref := odooapi.RecordRef{ID: p.ID, Scope: odooapi.Scope{Lang: lang}}
			if got := f.must("products", odooapi.Get, ref); !strings.Contains(string(got.Data), want) {
				t.Errorf("%s: %s", lang, got.Data)
			}
			got := names(t, f.must("products", odooapi.List, odooapi.Query{Limit: 5, IDs: []int64{p.ID}, Scope: ref.Scope}))
			if !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %v", lang, got)
			}
		}
	}
	totals := map[int64]string{}
	for range 2 {
		for _, company := range []int64{0, 1, 2} {
			total := f.must("sales", odooapi.List, odooapi.Query{Limit: 1, Scope: odooapi.Scope{Company: company}}).Header.Get(rpc.HeaderTotal)
			if was := totals[company]; was != "" && was != total {
				t.Errorf("company %d: %s, then %s", company, was, total)
			}
			totals[company] = total
		}
	}
	if totals[1] == totals[2] || totals[0] == totals[1] {
		t.Errorf("companies share their answers: %v", totals)
	}
}

// The bucket or all of NATS may be lost: nothing wrong is shown, and it mends itself.
func TestNATSLost(t *testing.T) {
	t.Parallel()
	f := newFleet(t, odootest.Config{}, 0.5)
	f.start()
	f.start()
	f.warm(5)
	rename := func(name string) {
		t.Helper()
		if err := f.odoo.Write("product.template", f.odoo.IDs("product.template")[0], odootest.Values{"name": name}); err != nil {
			t.Fatal(err)
		}
		f.eventually(name, func() bool {
			reply, err := f.ask("products", odooapi.List, page)
			return err == nil && slices.Contains(names(t, reply), name)
		})
	}
	rename("AAA first")
	if err := f.js.DeleteKeyValue(t.Context(), bus.BucketOdooCache); err != nil {
		t.Fatal(err)
	}
	rename("AAA without a bucket")
	f.warm(5)
	if err := f.js.DeleteKeyValue(t.Context(), bus.BucketOdooJournal); err != nil {
		t.Fatal(err)
	}
	rename("AAA without a journal")
	f.warm(5)
	f.nats.Stop()
	f.nats.Wipe()
	f.nats.Start()
	rename("AAA after a wipe")
	f.warm(5)
	rename("AAA last")
}

// events reads what the stream holds of a resource, oldest first.
func (f *fleet) events(resource string) []*event.OdooChanged {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	stream, err := f.js.Stream(ctx, bus.StreamOdoo)
	if err != nil {
		return nil
	}
	var all []*event.OdooChanged
	for seq := uint64(1); ; {
		m, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject("odoo.changed."+resource+".*"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all
		}
		if err != nil {
			f.t.Fatal(err)
		}
		seq = m.Sequence + 1
		c, env, err := event.ParseOdooChanged(m.Subject, m.Header, m.Data)
		if err != nil {
			f.t.Fatal(err)
		}
		if env.Source != "/odoo/"+f.cfg.DB || m.Header.Get(event.HeaderChange) != string(c.Change) {
			f.t.Errorf("%+v", m.Header)
		}
		all = append(all, c)
	}
}

func told(all []*event.OdooChanged, id int) string {
	var b strings.Builder
	for _, c := range all {
		if c.ID == int64(id) {
			b.WriteString(" " + string(c.Change))
		}
	}
	return strings.TrimSpace(b.String())
}

// Every change is told once, whoever made it, however many instances run, and across restarts.
func TestEvents(t *testing.T) {
	t.Parallel()
	f := newFleet(t, odootest.Config{}, 0.2)
	stops := []func(){f.start(), f.start()}
	f.warm(5)
	tells := func(resource string, id int, want string) {
		t.Helper()
		f.eventually(fmt.Sprintf("%s %d: %s", resource, id, want), func() bool { return told(f.events(resource), id) == want })
	}
	partner, err := f.odoo.Create("res.partner", odootest.Values{"name": "Ñandú & Co", "customer_rank": 1})
	if err != nil {
		t.Fatal(err)
	}
	tells("customers", partner, "created")
	tells("partners", partner, "created")
	// Through the gateway.
	f.must("customers", odooapi.Update, odooapi.Write{ID: int64(partner), Values: values(map[string]any{"city": "Cádiz"})})
	tells("customers", partner, "created updated")
	tells("partners", partner, "created updated") // or the next change would be one with it there
	// It becomes a supplier as well.
	if err := f.odoo.Write("res.partner", partner, odootest.Values{"supplier_rank": 1}); err != nil {
		t.Fatal(err)
	}
	tells("suppliers", partner, "created")
	tells("customers", partner, "created updated updated")
	tells("partners", partner, "created updated updated")
	for _, c := range f.events("customers") {
		var record, api partnerRecord
		if err := json.Unmarshal(c.Record, &record); err != nil || record.ID != int64(partner) || *record.Name != "Ñandú & Co" {
			t.Errorf("%v %s", err, c.Record)
		}
		if err := json.Unmarshal(f.must("customers", odooapi.Get, odooapi.RecordRef{ID: c.ID}).Data, &api); err != nil {
			t.Fatal(err)
		}
	}
	// What happens while nobody looks is told by the next.
	for _, stop := range stops {
		stop()
	}
	second, err := f.odoo.Create("res.partner", odootest.Values{"name": "While away", "customer_rank": 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.odoo.Delete("res.partner", partner); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.start()
	tells("customers", second, "created")
	tells("customers", partner, "created updated updated deleted")
	tells("suppliers", partner, "created deleted")
	tells("partners", partner, "created updated updated deleted")
	tells("partners", second, "created")
	f.settle() // what is found again is not told again
	// What was there before the first look, and did not change, was not told.
	if all := f.events("products"); len(all) != 0 {
		t.Errorf("%d products were told of", len(all))
	}
	if all := f.events("*"); len(all) != 12 {
		t.Errorf("%d events", len(all))
	}
}

// On a real Odoo: what is changed in Odoo itself, stock and deletions included, shows within the
// poll interval, and is told.
//
//nolint:paralleltest // it measures time: not beside the tests that keep the same Odoo busy
func TestFreshnessOfARealOdoo(t *testing.T) {
	address := os.Getenv("ODOO_TEST_URL")
	if address == "" {
		t.Skip("ODOO_TEST_URL is not set: no real Odoo was asked")
	}
	or := func(name, otherwise string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	o := target{
		name: "real", url: address, db: or("ODOO_TEST_DB", "odoo"), user: or("ODOO_TEST_USERNAME", "admin"),
		pass: or("ODOO_TEST_PASSWORD", "admin"), protocol: odoo.XMLRPC,
	}
	n := natstest.Start(t)
	nc, js := n.Connect()
	f := &fleet{t: t, nats: n, nc: nc, js: js, cfg: o.config(n.URL())}
	f.cfg.PollSeconds, f.cfg.CacheMaxAge, f.cfg.CacheMemoryMB = 5, time.Hour, 16
	f.start()
	w := &world{t: t, target: o, nc: nc, tag: newTag(), direct: odoo.New(odoo.Config{
		URL: o.url, DB: o.db, Username: o.user, Password: o.pass, Protocol: o.protocol, Concurrency: 1, Timeout: time.Minute,
		Log: slog.New(slog.DiscardHandler),
	})}
	defer w.direct.Close()
	f.eventually("an answer with an age, so from the cache", func() bool {
		reply, err := f.ask("products", odooapi.List, page)
		return err == nil && reply.Header.Get(odooapi.HeaderAge) != ""
	})
	within := func(what string, met func() bool) {
		t.Helper()
		began := time.Now()
		f.eventually(what, met)
		took := time.Since(began)
		t.Logf("%s: after %s", what, took.Round(10*time.Millisecond))
		if took > 20*time.Second { // five, and the rest for a machine on which each of a look's calls takes a second
			t.Errorf("%s: after %s", what, took)
		}
	}
	create := func(model string, v map[string]any) int64 {
		t.Helper()
		answer := w.call(model, "create", nil, odoo.Arg{Name: "vals_list", Value: []any{v}})
		if list, ok := answer.([]any); ok && len(list) == 1 {
			answer = list[0]
		}
		id, _ := answer.(int64)
		return id
	}
	find := odooapi.Query{Limit: 5, Search: w.tag}
	listed := func(resource string) int { return len(names(t, f.must(resource, odooapi.List, find))) }
	if listed("products") != 0 {
		t.Fatal("it is there before")
	}
	product := create("product.product", map[string]any{"name": w.tag, "type": "consu", "is_storable": true})
	within("a new product", func() bool { return listed("products") == 1 })
	quantity := func() float64 {
		p, _ := must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: product})
		if p.QtyAvailable == nil {
			return -1
		}
		return *p.QtyAvailable
	}
	if quantity() == 0 {
		places, _ := w.call("stock.location", "search", nil, odoo.Arg{Name: "domain", Value: []any{[]any{"usage", "=", "internal"}}}).([]any)
		quant := create("stock.quant", map[string]any{"product_id": product, "location_id": places[0], "inventory_quantity": 7})
		w.call("stock.quant", "action_apply_inventory", []int64{quant})
		within("its stock", func() bool { return quantity() == 7 })
	}
	// Variants of one product share its name.
	listOf := func(model string, id int64, field string) []int64 {
		t.Helper()
		rows, _ := w.call(model, "read", []int64{id}, odoo.Arg{Name: "fields", Value: []any{field}}).([]any)
		row, _ := rows[0].(map[string]any)
		var all []int64
		for _, v := range row[field].([]any) {
			all = append(all, v.(int64))
		}
		return all
	}
	attribute := create("product.attribute", map[string]any{"name": w.tag, "value_ids": []any{
		[]any{0, 0, map[string]any{"name": "a"}}, []any{0, 0, map[string]any{"name": "b"}},
	}})
	template := create("product.template", map[string]any{"name": w.tag + " twins", "attribute_line_ids": []any{
		[]any{0, 0, map[string]any{"attribute_id": attribute, "value_ids": []any{[]any{6, 0, listOf("product.attribute", attribute, "value_ids")}}}},
	}})
	twins := listOf("product.template", template, "product_variant_ids")
	if len(twins) != 2 {
		t.Fatal(twins)
	}
	within("both twins from the cache", func() bool {
		reply := f.must("products", odooapi.Get, odooapi.RecordRef{ID: twins[1]})
		return reply.Header.Get(odooapi.HeaderAge) != ""
	})
	f.must("products", odooapi.Update, odooapi.Write{ID: twins[0], Values: values(map[string]any{"name": w.tag + " renamed"})})
	if p, _ := must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: twins[1]}); p.Name != w.tag+" renamed" {
		t.Errorf("its twin was renamed, and it is %s", p.Name)
	}
	w.call("product.template", "unlink", []int64{template})
	w.call("product.attribute", "unlink", []int64{attribute})
	listed("customers") // now the cache knows it
	customer := create("res.partner", map[string]any{"name": w.tag, "is_company": true, "customer_rank": 1})
	within("a new customer", func() bool { return listed("customers") == 1 })
	f.eventually("told of it", func() bool { return told(f.events("customers"), int(customer)) == "created" })
	listed("customers")
	w.call("res.partner", "write", []int64{customer}, odoo.Arg{Name: "vals", Value: map[string]any{"name": w.tag + " renamed"}})
	within("its new name", func() bool {
		return slices.Contains(names(t, f.must("customers", odooapi.List, find)), w.tag+" renamed")
	})
	tells := func(want string) { // two changes between two looks would be told as one
		t.Helper()
		f.eventually("told that it was "+want, func() bool { return told(f.events("customers"), int(customer)) == want })
	}
	tells("created updated")
	listed("customers")
	w.call("res.partner", "unlink", []int64{customer})
	within("its end", func() bool { return listed("customers") == 0 })
	tells("created updated deleted")
	listed("products")
	w.call("product.product", "write", []int64{product}, odoo.Arg{Name: "vals", Value: map[string]any{"active": false}})
	within("the product archived", func() bool { return listed("products") == 0 })
}
