package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/resonance/resonance/pkg/localpg"
)

// odooLogin is the real Odoo that ODOO_TEST_URL and its companions name, or else ODOO_URL and its own.
type odooLogin struct{ url, db, user, password string }

func odooFromEnv() (odooLogin, bool) {
	for _, prefix := range []string{"ODOO_TEST_", "ODOO_"} {
		if address := os.Getenv(prefix + "URL"); address != "" {
			return odooLogin{address, os.Getenv(prefix + "DB"), os.Getenv(prefix + "USERNAME"), os.Getenv(prefix + "PASSWORD")}, true
		}
	}
	return odooLogin{}, false
}

// odoo measures pages of products beside what they cost straight from Odoo: the one call a cold page
// makes, and the two that asking afresh for each page takes, rows and count.
func (b *bench) odoo(ctx context.Context, dir string, pg *localpg.Server) (err error) {
	o, there := odooFromEnv()
	if !there {
		fmt.Fprintln(os.Stderr, "  pages of products: not measured, neither ODOO_TEST_URL nor ODOO_URL names an Odoo")
		return nil
	}
	p, err := startProduct(ctx, b.binary, dir+"/odoo", pg.URL("postgres"), 10,
		"ODOO_URL="+o.url, "ODOO_DB="+o.db, "ODOO_USERNAME="+o.user, "ODOO_PASSWORD="+o.password, "ODOO_PROTOCOL=xmlrpc")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.login(ctx); err != nil {
		return err
	}
	raw, err := newRawOdoo(ctx, o)
	if err != nil {
		return err
	}
	const path = "/api/v1/products?page=1&limit=10"
	if err := p.cached(ctx, path); err != nil {
		return err
	}
	var other atomic.Int64
	another := func(ctx context.Context) error { // each a page nobody has asked for
		return p.call(ctx, http.MethodGet, path+"&id_gt=-"+strconv.FormatInt(other.Add(1), 10), nil, new(json.RawMessage), nil)
	}
	var warm, replaced load
	if warm, err = b.repeat(ctx, func() (load, error) { return hammer(ctx, p.base+path, p.token, b.connect, b.duration) }); err != nil {
		return err
	}
	if replaced, err = b.repeat(ctx, func() (load, error) { return loop(ctx, b.connect, b.duration, raw.page) }); err != nil {
		return err
	}
	var colds, ones []load
	const often = 5 // as Odoo is not equally fast from one second to the next
	for range b.rounds * often {
		cold, err := loop(ctx, 1, b.duration/often, another)
		if err != nil {
			return err
		}
		one, err := loop(ctx, 1, b.duration/often, raw.one)
		if err != nil {
			return err
		}
		colds, ones = append(colds, cold), append(ones, one)
	}
	cold, one := median(colds), median(ones)
	b.add("warm page of products, Odoo behind it", say(warm), "two calls of Odoo each: "+say(replaced),
		fmt.Sprintf("%.0f×", warm.perSecond/replaced.perSecond), "100×", warm.perSecond >= 100*replaced.perSecond)
	b.add("cold page of products", say(cold), "the call it makes: "+say(one),
		fmt.Sprintf("%.2f× the time", float64(cold.p50)/float64(one.p50)), "1.2×", float64(cold.p50) <= 1.2*float64(one.p50))
	return nil
}
