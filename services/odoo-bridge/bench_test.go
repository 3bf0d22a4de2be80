package odoobridge_test

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/servicetest"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// BenchmarkPage asks for pages of ten products: warm, over NATS; cold, each another page; and raw,
// the call that a cold one makes, and the two that a middleware without cache makes, straight from
// Odoo. With ODOO_TEST_URL it asks that Odoo, else the sandbox, which is much faster.
func BenchmarkPage(b *testing.B) {
	o := target{url: os.Getenv("ODOO_TEST_URL"), db: os.Getenv("ODOO_TEST_DB"), user: "admin", pass: "admin", protocol: odoo.XMLRPC}
	if o.url == "" {
		s, url := odootest.Start(b, odootest.Config{Samples: true})
		o.url, o.db = url, s.Config().Database
	}
	n := natstest.Start(b)
	nc, _ := n.Connect()
	cfg := o.config(n.URL())
	cfg.PollSeconds, cfg.CacheMaxAge, cfg.CacheMemoryMB = 5, time.Hour, 64
	if err := cfg.Validate(); err != nil {
		b.Fatal(err)
	}
	servicetest.Run(b, func(ctx context.Context) error { return odoobridge.Run(ctx, cfg) })
	ask := func(q odooapi.Query) (bus.Reply, error) {
		ctx, cancel := context.WithTimeout(b.Context(), patience)
		defer cancel()
		return bus.Ask(ctx, nc, odooapi.Subject("products", odooapi.List), q)
	}
	for over := time.Now().Add(patience); ; {
		if r, err := ask(page); err == nil && r.Header.Get(odooapi.HeaderAge) != "" {
			break
		}
		if time.Now().After(over) {
			b.Fatal("nothing comes from the cache")
		}
	}
	b.Run("warm", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := ask(page); err != nil {
					b.Error(err)
				}
			}
		})
	})
	var other atomic.Int64
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			// Another question with the same answer.
			q := odooapi.Query{Limit: 10, Filters: []rpc.Filter{{Field: "id", Op: rpc.Gt, Values: []string{strconv.FormatInt(-other.Add(1), 10)}}}}
			if _, err := ask(q); err != nil {
				b.Fatal(err)
			}
		}
	})
	direct := odoo.New(odoo.Config{
		URL: o.url, DB: o.db, Username: o.user, Password: o.pass, Protocol: o.protocol, Concurrency: 1, Timeout: patience, Log: slog.New(slog.DiscardHandler),
	})
	defer direct.Close()
	fields := []any{}
	spec := map[string]any{}
	for _, name := range []string{
		"name", "default_code", "barcode", "type", "is_storable", "list_price", "lst_price", "standard_price", "description_sale", "sale_ok", "purchase_ok",
		"weight", "volume", "qty_available", "virtual_available", "image_128", "active", "create_date", "write_date",
	} {
		fields, spec[name] = append(fields, name), map[string]any{}
	}
	for _, name := range []string{"currency_id", "categ_id", "uom_id", "product_tmpl_id", "company_id"} {
		fields = append(fields, name)
		spec[name] = map[string]any{"fields": map[string]any{"display_name": map[string]any{}}}
	}
	call := func(b *testing.B, method string, args ...odoo.Arg) {
		b.Helper()
		if _, err := direct.Call(b.Context(), odoo.Call{Model: "product.product", Method: method, Args: args, Read: true, Context: map[string]any{"bin_size": true}}); err != nil {
			b.Fatal(err)
		}
	}
	nothing := odoo.Arg{Name: "domain", Value: []any{}}
	window := []odoo.Arg{{Name: "offset", Value: 0}, {Name: "limit", Value: 10}, {Name: "order", Value: "name, id"}}
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			call(b, "web_search_read", append([]odoo.Arg{nothing, {Name: "specification", Value: spec}}, window...)...)
		}
	})
	b.Run("replaced", func(b *testing.B) {
		for b.Loop() {
			call(b, "search_read", append([]odoo.Arg{nothing, {Name: "fields", Value: fields}}, window...)...)
			call(b, "search_count", nothing)
		}
	})
}
