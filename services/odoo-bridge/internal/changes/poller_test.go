package changes

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/resonance/resonance/pkg/natstest"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	"github.com/resonance/resonance/services/odoo-bridge/internal/cache"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

const soon = time.Minute

// recorder is a Cache that notes what it is to forget.
type recorder struct {
	mu      sync.Mutex
	forgets map[string]cache.Change
	looks   int
	news    chan struct{}
}

func (r *recorder) Watching(context.Context) error { return nil }

func (r *recorder) WriteChanges(_ context.Context, changes map[string]cache.Change, _ bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, c := range changes {
		is := r.forgets[name]
		is.All = is.All || c.All
		is.IDs = append(is.IDs, c.IDs...)
		slices.Sort(is.IDs)
		is.IDs = slices.Compact(is.IDs)
		r.forgets[name] = is
	}
	return nil
}

func (r *recorder) WriteMark(_ context.Context, _ time.Duration, _ []string, failed error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if failed == nil {
		r.looks++
	}
	select {
	case r.news <- struct{}{}:
	default:
	}
	return nil
}

// after waits for two whole looks, and gives what was forgotten since the last time.
func (r *recorder) after(t *testing.T) map[string]cache.Change {
	t.Helper()
	r.mu.Lock()
	until := r.looks + 3 // the first may be under way
	r.mu.Unlock()
	over := time.After(soon)
	for {
		select {
		case <-r.news:
		case <-over:
			t.Fatal("nobody looks")
		}
		r.mu.Lock()
		if r.looks >= until {
			all := r.forgets
			r.forgets = map[string]cache.Change{}
			r.mu.Unlock()
			return all
		}
		r.mu.Unlock()
	}
}

// rig is a poller before a sandbox, whose clock and own calls tests see.
type rig struct {
	*recorder

	odoo *odootest.Server
	at   atomic.Int64 // what both clocks are ahead of the real one

	refuses atomic.Bool // Odoo refuses searches for ids
	refused atomic.Int64
	client  *odoo.Client
	poller  *Poller
}

func (r *rig) Call(ctx context.Context, c odoo.Call) (any, error) {
	if c.Method == "search" && c.Args[2].Value == 1 && r.refuses.Load() {
		r.refused.Add(1)
		return nil, &odoo.RefusalError{Reason: odoo.NoRight, Message: "Stock Move (stock.move)"}
	}
	return r.client.Call(ctx, c)
}

func newRig(t *testing.T, user odootest.User, behind time.Duration) *rig {
	t.Helper()
	r := &rig{recorder: &recorder{forgets: map[string]cache.Change{}, news: make(chan struct{}, 1)}}
	now := func() time.Time { return time.Now().Add(time.Duration(r.at.Load())) }
	s, url := odootest.Start(t, odootest.Config{
		Samples: true, Users: []odootest.User{{Login: "admin", Password: "admin"}, user}, Now: func() time.Time { return now().Add(-behind) },
	})
	r.odoo = s
	r.client = odoo.New(odoo.Config{
		URL: url, DB: s.Config().Database, Username: user.Login, Password: user.Password, Protocol: odoo.XMLRPC, Concurrency: 4, Timeout: soon,
		Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(r.client.Close)
	_, js := natstest.Start(t).Connect()
	p := New(Config{
		Key: "odoo.test", Source: "/odoo/test", OdooNow: now, Every: 20 * time.Millisecond, Full: time.Hour, Instance: "a", Replicas: 1,
		Log: slog.New(slog.DiscardHandler),
	}, resource.New(resource.Config{LowStock: 5, ProbeTimeout: soon, Username: user.Login}, r), r)
	r.poller = p
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, js) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return r
}

// What changes in Odoo is what the cache forgets, and nothing else: while rows that were written lately are
// told apart from new ones, and when nothing was written for a while, so that looks are short.
func TestWhatIsForgotten(t *testing.T) {
	t.Parallel()
	admin := odootest.User{Login: "bridge", Password: "pw", Role: odootest.Admin}
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		// A minute behind, as transactions are that take long, so nothing is looked at twice; and each step
		// in a second of its own, since write_date comes to the second.
		r := newRig(t, admin, 2*time.Minute)
		r.steps(t, func() { r.at.Add(int64(2 * time.Second)) })
	})
	t.Run("quiet", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, admin, 2*time.Minute)
		r.steps(t, func() {
			r.at.Add(int64(time.Hour))
			r.after(t) // the rows of the step before are out of sight
		})
	})
}

// What a look costs when nothing happens.
func TestQuietLooks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user odootest.User
		want int
	}{
		"who may read ir.model":  {odootest.User{Login: "bridge", Password: "pw", Role: odootest.Admin}, 3},
		"who may not count them": {odootest.User{Login: "bridge", Password: "pw", Role: odootest.ReadOnly}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.user, 0)
			r.after(t)
			r.at.Add(int64(time.Hour))
			r.after(t)
			apart, err := r.poller.odoo.CountsApart(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			w := activePoller{Poller: &Poller{cfg: Config{Every: 4 * time.Second}}, countsApart: apart}
			if rate := float64(c.want) / w.interval().Seconds(); rate >= 1 {
				t.Errorf("%.2f calls a second", rate)
			}
			before, looks := r.odoo.Calls().Total(), r.count()
			r.after(t)
			calls, looks := r.odoo.Calls().Total()-before, r.count()-looks
			if most := c.want * (looks + 2); calls > most { // two may be under way
				t.Errorf("%d calls in %d looks: %v", calls, looks, r.odoo.Calls())
			}
		})
	}
}

// A version of Odoo, or a right, that the short poll fails on costs calls, and no change.
func TestShortLookRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, odootest.User{Login: "bridge", Password: "pw", Role: odootest.Admin}, 0)
	r.refuses.Store(true)
	r.after(t)
	r.at.Add(int64(time.Hour))
	r.after(t)
	if err := r.odoo.Write("product.category", r.odoo.IDs("product.category")[0], odootest.Values{"name": "Other"}); err != nil {
		t.Fatal(err)
	}
	if got := r.after(t); !got["products"].All || r.refused.Load() != 1 {
		t.Errorf("%v, refused %d times", got, r.refused.Load())
	}
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looks
}

// steps changes one thing after another, each once next was called.
func (r *rig) steps(t *testing.T, next func()) {
	t.Helper()
	s := r.odoo
	all := cache.Change{All: true}
	want := map[string]cache.Change{"products": all, "partners": all, "suppliers": all, "customers": all, "sales": all}
	for _, name := range optionNames() {
		want[name] = all
	}
	if diff := cmp.Diff(want, r.after(t)); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}

	var template, partner, order, note int
	var product int64
	must := func(id int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	ids := func(list ...int64) cache.Change { return cache.Change{IDs: list} }
	both := func(id int) cache.Change { return cache.Change{IDs: []int64{int64(id)}, All: true} }
	for _, step := range []struct {
		what string
		do   func() error
		want func() map[string]cache.Change
	}{
		{"nothing", func() error { return nil }, func() map[string]cache.Change { return nil }},
		{"a new product", func() error {
			template = must(s.Create("product.template", odootest.Values{"name": "New"}))
			pair, _ := s.Read("product.template", template, "product_variant_id")["product_variant_id"].([]any)
			product = int64(pair[0].(int))
			return nil
		}, func() map[string]cache.Change { return map[string]cache.Change{"products": ids(product), "sales": all} }},
		{"its stock", func() error { return s.SetStock(template, 3) }, func() map[string]cache.Change {
			return map[string]cache.Change{"products": ids(product)}
		}},
		{"a category", func() error {
			return s.Write("product.category", s.IDs("product.category")[0], odootest.Values{"name": "Other"})
		},
			func() map[string]cache.Change { return map[string]cache.Change{"products": all} }},
		{"a new customer", func() error {
			partner = must(s.Create("res.partner", odootest.Values{"name": "New", "customer_rank": 1}))
			return nil
		}, func() map[string]cache.Change {
			return map[string]cache.Change{"partners": both(partner), "suppliers": both(partner), "customers": both(partner), "sales": all}
		}},
		{"a new sale", func() error {
			order = must(s.Create("sale.order", odootest.Values{"partner_id": partner, "order_line": []any{
				[]any{0, 0, odootest.Values{"display_type": "line_note", "name": "a note"}},
				[]any{0, 0, odootest.Values{"display_type": "line_note", "name": "another"}},
			}}))
			lines, _ := s.Read("sale.order", order, "order_line")["order_line"].([]any)
			note, _ = lines[0].(int)
			return nil
		}, func() map[string]cache.Change { return map[string]cache.Change{"sales": ids(int64(order))} }},
		{"a line's text", func() error { return s.Write("sale.order.line", note, odootest.Values{"name": "other"}) }, func() map[string]cache.Change {
			return map[string]cache.Change{"sales": ids(int64(order))}
		}},
		{"a line less", func() error { return s.Delete("sale.order.line", note) }, func() map[string]cache.Change {
			return map[string]cache.Change{"sales": all}
		}},
		{"a sale less", func() error { return s.Delete("sale.order", order) }, func() map[string]cache.Change {
			return map[string]cache.Change{"sales": both(order)}
		}},
		{"a customer less", func() error { return s.Delete("res.partner", partner) }, func() map[string]cache.Change {
			return map[string]cache.Change{"partners": ids(int64(partner)), "customers": ids(int64(partner))}
		}},
		{"a product less", func() error { return s.Delete("product.template", template) }, func() map[string]cache.Change {
			return map[string]cache.Change{"products": ids(product)}
		}},
	} {
		next()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		got := r.after(t)
		if sales := got["sales"]; step.what == "a new sale" && sales.All { // its lines were seen before they were counted
			sales.All = false
			got["sales"] = sales
		}
		want := step.want()
		if want == nil {
			want = map[string]cache.Change{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}
