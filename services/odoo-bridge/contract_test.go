package odoobridge_test

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/pkg/servicetest"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// target is an Odoo that the suite runs against.
type target struct {
	name                string
	url, db, user, pass string
	protocol            odoo.Protocol
	sandbox             *odootest.Server // nil for a real one
}

// targets are sandboxes of every version and, where ODOO_TEST_URL names one, a real Odoo over every
// protocol it has.
func targets(t *testing.T) []target {
	t.Helper()
	var all []target
	for version := 14; version <= 19; version++ {
		s, url := odootest.Start(t, odootest.Config{Version: version, Samples: true})
		all = append(all, target{
			name: fmt.Sprint("sandbox ", version), url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s,
		})
	}
	s, url := odootest.Start(t, odootest.Config{Samples: true})
	all = append(all, target{name: "sandbox json2", url: url, db: s.Config().Database, user: "admin", pass: "key-admin", protocol: odoo.JSON2, sandbox: s})
	s, url = odootest.Start(t, odootest.Config{Version: 16, Samples: true, Without: []string{"stock", "purchase", "account"}})
	all = append(all, target{name: "sandbox without modules", url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.Auto, sandbox: s})
	address := os.Getenv("ODOO_TEST_URL")
	if address == "" {
		t.Log("ODOO_TEST_URL is not set: no real Odoo was asked")
		return all
	}
	env := func(name, otherwise string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	o := target{
		name: "real xmlrpc", url: address, db: env("ODOO_TEST_DB", "odoo"), user: env("ODOO_TEST_USERNAME", "admin"),
		pass: env("ODOO_TEST_PASSWORD", "admin"), protocol: odoo.XMLRPC,
	}
	all = append(all, o)
	if key := env("ODOO_TEST_API_KEY", apiKey(t, o)); key != "" {
		o.name, o.protocol, o.pass = "real json2", odoo.JSON2, key
		all = append(all, o)
	} else {
		t.Log("this Odoo gives no API key for JSON-2: it was asked over XML-RPC only")
	}
	return all
}

func optionNames() (names []string) {
	for _, r := range erp.Options {
		names = append(names, r.Name)
	}
	return names
}

// config is a service's configuration for o.
func (o target) config(url string) odoobridge.Config {
	return odoobridge.Config{
		Base: service.Base{NATSURL: url, NATSReplicas: 1, LogFormat: "text", Log: slog.New(slog.DiscardHandler)},
		URL:  o.url, DB: o.db, Username: o.user, Password: o.pass, Protocol: string(o.protocol),
		MaxConcurrency: 4, Timeout: 60 * time.Second, LowStock: 5,
	}
}

// world is a running service before an Odoo.
type world struct {
	t      *testing.T
	target target
	nc     *nats.Conn
	direct *odoo.Client // past the service
	tag    string       // in the names of what this test makes
}

func newWorld(t *testing.T, o target, change func(*odoobridge.Config)) *world {
	t.Helper()
	n := natstest.Start(t)
	nc, _ := n.Connect()
	cfg := o.config(n.URL())
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, target: o, nc: nc, tag: "t" + nuid.Next()[:8], direct: odoo.New(odoo.Config{
		URL: o.url, DB: o.db, Username: o.user, Password: o.pass, Protocol: o.protocol, Concurrency: 4, Timeout: time.Minute,
		Log: slog.New(slog.DiscardHandler),
	})}
	t.Cleanup(w.direct.Close)
	servicetest.Run(t, func(ctx context.Context) error { return odoobridge.Run(ctx, cfg) })
	for deadline := time.Now().Add(time.Minute); ; { // until somebody listens
		_, err := w.ask(odooapi.Subject("products", odooapi.List), odooapi.Query{})
		if code := fault.CodeOf(err); code == fault.Invalid {
			return w
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// newTag is a text that nothing else contains.
func newTag() string { return "t" + nuid.Next()[14:] }

func (w *world) ask(subject string, req any) (bus.Reply, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	return bus.Ask(ctx, w.nc, subject, req)
}

// must asks for what should succeed, and reads the answer strictly: every field known, none missing.
func must[T any](w *world, resource, verb string, req any) (T, nats.Header) {
	w.t.Helper()
	reply, err := w.ask(odooapi.Subject(resource, verb), req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", resource, verb, full(err))
	}
	return strict[T](w.t, reply.Data), reply.Header
}

func strict[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}

func full(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return fmt.Sprintf("%d %s %v", f.Code, f.Detail.EN, f.Fields)
	}
	return fmt.Sprint(err)
}

// refuses asks for what should fail, naming the fields.
func (w *world) refuses(resource, verb string, req any, code fault.Code, fields ...string) *fault.Error {
	w.t.Helper()
	_, err := w.ask(odooapi.Subject(resource, verb), req)
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code {
		w.t.Errorf("%s %s: %s, want %d", resource, verb, full(err), code)
		return &fault.Error{}
	}
	if named := slices.Sorted(maps.Keys(f.Fields)); len(fields) > 0 && !slices.Equal(named, fields) {
		w.t.Errorf("%s %s: names %v, want %v (%s)", resource, verb, named, fields, f.Detail.EN)
	}
	for _, text := range []string{f.Detail.ES, f.Detail.EN} {
		if text == "" || strings.Contains(text, "Traceback") || strings.Contains(text, "File \"") {
			w.t.Errorf("%s %s: detail %q", resource, verb, text)
		}
	}
	return f
}

func values(v map[string]any) map[string]json.RawMessage {
	raw := map[string]json.RawMessage{}
	for k, x := range v {
		data, err := json.Marshal(x)
		if err != nil {
			panic(err)
		}
		raw[k] = data
	}
	return raw
}

func (w *world) create(resource string, v map[string]any) int64 {
	w.t.Helper()
	reply, err := w.ask(odooapi.Subject(resource, odooapi.Create), odooapi.Write{Values: values(v)})
	if err != nil {
		w.t.Fatalf("create in %s: %s", resource, full(err))
	}
	var is struct{ ID int64 }
	if err := json.Unmarshal(reply.Data, &is); err != nil || is.ID == 0 {
		w.t.Fatalf("%v: %s", err, reply.Data)
	}
	if resource != "sales" {
		w.t.Cleanup(func() { // the Odoo may be somebody's
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			w.direct.Call(ctx, odoo.Call{Model: map[string]string{"products": "product.product"}[resource] + map[bool]string{true: "res.partner"}[resource != "products"], Method: "action_archive", IDs: []int64{is.ID}})
		})
	}
	return is.ID
}

// call calls Odoo past the service.
func (w *world) call(model, method string, ids []int64, args ...odoo.Arg) any {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	answer, err := w.direct.Call(ctx, odoo.Call{Model: model, Method: method, IDs: ids, Args: args})
	if err != nil {
		w.t.Fatalf("%s.%s: %v", model, method, err)
	}
	return answer
}

func (w *world) count(model string, domain ...any) int64 {
	w.t.Helper()
	n, ok := w.call(model, "search_count", nil, odoo.Arg{Name: "domain", Value: append([]any{}, domain...)}).(int64)
	if !ok {
		w.t.Fatal("no count")
	}
	return n
}

// TestContract holds odoo-bridge to pkg/rpc/odoo.go, against every Odoo there is.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, o := range targets(t) {
		t.Run(o.name, func(t *testing.T) {
			if o.sandbox != nil { // the real one is one
				t.Parallel()
			}
			w := newWorld(t, o, nil)
			for name, check := range map[string]func(*world){
				"fields": (*world).fields, "products": (*world).products, "filters": (*world).filters, "lists": (*world).lists,
				"partners": (*world).partners, "all partners": (*world).allPartners, "internal users": (*world).internalUsers, "sales": (*world).sales, "lines": (*world).saleLines, "summary": (*world).summary,
				"images": (*world).images, "texts": (*world).texts, "mistakes": (*world).mistakes, "scope": (*world).scopes,
				"options": (*world).options, "login": (*world).logins, "thousand rows": (*world).thousandRows, "changes": (*world).changes,
				"lines of others": (*world).linesOfOthers, "once": (*world).once, "if match": (*world).conditional,
				"terms of a sale": (*world).saleTerms, "texts between lines": (*world).sections,
				"own partner": (*world).ownPartner, "spaces around": (*world).spacesAround,
			} {
				t.Run(name, func(t *testing.T) {
					inner := *w
					inner.t, inner.tag = t, newTag()
					check(&inner)
				})
			}
		})
	}
}

// fields: the tables of the contract, its structs and the answers have the same names in the same order.
func (w *world) fields() {
	for _, resource := range erp.Names() {
		reply, err := w.ask(odooapi.Subject(resource, odooapi.List), odooapi.Query{Limit: 3})
		if err != nil {
			w.t.Fatal(full(err))
		}
		var rows []json.RawMessage
		if err := json.Unmarshal(reply.Data, &rows); err != nil || len(rows) == 0 {
			w.t.Fatalf("%v: %s", err, reply.Data)
		}
		var want, got []string
		for _, f := range erp.Named(resource).Fields {
			if f.Kind != rpc.Lines {
				want = append(want, f.Name)
			}
		}
		dec := json.NewDecoder(bytes.NewReader(rows[0]))
		for depth := 0; dec.More() || depth > 0; {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			switch tok {
			case json.Delim('{'):
				depth++
			case json.Delim('}'):
				depth--
			default:
				if depth == 1 {
					got = append(got, fmt.Sprint(tok))
					var value json.RawMessage
					if err := dec.Decode(&value); err != nil {
						w.t.Fatal(err)
					}
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("%s (-contract +answer):\n%s", resource, diff)
		}
	}
	must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 1000})
	must[[]partnerRecord](w, "partners", odooapi.List, odooapi.Query{Limit: 1000})
	must[[]partnerRecord](w, "suppliers", odooapi.List, odooapi.Query{Limit: 1000})
	must[[]partnerRecord](w, "customers", odooapi.List, odooapi.Query{Limit: 1000})
	must[[]saleRecord](w, "sales", odooapi.List, odooapi.Query{Limit: 1000})
}

// options: what links are set to is among what they can be set to, and the fields there are said to be are those that work.
func (w *world) options() {
	for _, name := range optionNames() {
		listed, h, err := w.optionsOf(name, odooapi.Query{Limit: 1000})
		if w.target.name == "sandbox without modules" && slices.Contains([]string{"taxes", "payment_terms", "fiscal_positions", "warehouses"}, name) {
			w.refuses(name, odooapi.List, odooapi.Query{Limit: 1}, fault.NotFound)
			continue
		}
		if total, _ := strconv.Atoi(h.Get(rpc.HeaderTotal)); err != nil || len(listed) == 0 && name != "pricelists" || len(listed) != min(total, 1000) {
			w.t.Fatalf("%s: %v: %d, total %q", name, err, len(listed), h.Get(rpc.HeaderTotal))
		}
		if len(listed) == 0 {
			continue // an Odoo without pricelists
		}
		last := listed[len(listed)-1]
		if slices.ContainsFunc(listed, func(o optionRecord) bool { return o.Name == "" || o.ID == 0 }) {
			w.t.Errorf("%s: %+v", name, listed)
		}
		found, _, err := w.optionsOf(name, odooapi.Query{Limit: 1000, Search: strings.ToUpper(last.Name)})
		if !slices.Contains(ids(found), last.ID) || err != nil {
			w.t.Errorf("%s: %q is not found: %v", name, last.Name, err)
		}
		if found, _, err = w.optionsOf(name, odooapi.Query{Limit: 1, IDs: []int64{last.ID}}); len(found) != 1 || err != nil {
			w.t.Errorf("%s: by id: %v %v", name, found, err)
		}
	}
	states, _, err := w.optionsOf("states", odooapi.Query{Limit: 1})
	if err != nil || states[0].Country == nil {
		w.t.Fatalf("%v: %+v", err, states)
	}
	country := rpc.Filter{Field: "country", Op: rpc.Eq, Values: []string{strconv.FormatInt(states[0].Country.ID, 10)}}
	if found, _, err := w.optionsOf("states", odooapi.Query{Limit: 1000, Filters: []rpc.Filter{country}}); err != nil || len(found) == 0 {
		w.t.Errorf("by country: %v %v", found, err)
	}
	for _, resource := range erp.Names() {
		fields, _ := must[[]odooapi.FieldInfo](w, resource, odooapi.ListFields, odooapi.Scope{})
		has := map[string]bool{}
		for _, f := range fields {
			has[f.Name] = true
			if f.Sort {
				if _, err := w.ask(odooapi.Subject(resource, odooapi.List), odooapi.Query{Limit: 1, Sort: []rpc.Sort{{Field: f.Name}}}); err != nil {
					w.t.Errorf("%s: sort by %s: %s", resource, f.Name, full(err))
				}
			}
		}
		for _, f := range erp.Named(resource).Fields {
			if !has[f.Name] && f.Has(rpc.Filtered) {
				w.refuses(resource, odooapi.List, odooapi.Query{Limit: 1, Filters: []rpc.Filter{{Field: f.Name, Op: rpc.Nnull}}}, fault.Invalid, f.Name)
			}
		}
		if resource == "products" {
			i := slices.IndexFunc(fields, func(f odooapi.FieldInfo) bool { return f.Name == "type" })
			if !slices.Contains(fields[i].Values, "consu") || slices.Contains(fields[i].Values, "product") || !has["name"] || has["mobile"] {
				w.t.Errorf("%+v", fields)
			}
		}
	}
}

func (w *world) optionsOf(name string, q odooapi.Query) ([]optionRecord, nats.Header, error) {
	reply, err := w.ask(odooapi.Subject(name, odooapi.List), q)
	if err != nil {
		return nil, nil, err
	}
	var list []optionRecord
	err = json.Unmarshal(reply.Data, &list)
	return list, reply.Header, err
}

func ids(options []optionRecord) (list []int64) {
	for _, o := range options {
		list = append(list, o.ID)
	}
	return list
}

func (w *world) products() {
	code := w.tag + "-1"
	id := w.create("products", map[string]any{
		"name": w.tag + " Silla", "default_code": code, "barcode": code, "list_price": 1234567.89, "type": "consu", "weight": 0.125,
	})
	p, h := must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: id})
	if p.Name != w.tag+" Silla" || *p.DefaultCode != code || p.ListPrice != 1234567.89 || *p.Weight != 0.13 && *p.Weight != 0.125 || !p.Active || p.Type != "consu" {
		w.t.Errorf("%+v", p)
	}
	if p.Company != nil || p.DescriptionSale != nil || p.UoM == nil || p.UoM.Name == "" || p.Currency == nil || time.Since(p.UpdatedAt).Abs() > time.Hour {
		w.t.Errorf("%+v", p)
	}
	if *p.HasImage {
		w.t.Error("has an image")
	}
	tag := h.Get(rpc.HeaderETag)
	w.refuses("products", odooapi.Create, odooapi.Write{Values: values(map[string]any{"name": "B", "barcode": code})}, fault.Conflict, "barcode")
	w.refuses("products", odooapi.Update, odooapi.Write{ID: id, IfMatch: `"other"`, Values: values(map[string]any{"list_price": 2})}, fault.Stale)
	p, h = must[productRecord](w, "products", odooapi.Update, odooapi.Write{ID: id, IfMatch: tag, Values: values(map[string]any{
		"list_price": 19.99, "description_sale": "Dos\nlíneas", "barcode": nil, "category_id": p.Category,
	})})
	if p.ListPrice != 19.99 || *p.DescriptionSale != "Dos\nlíneas" || p.Barcode != nil || h.Get(rpc.HeaderETag) == tag {
		w.t.Errorf("%+v", p)
	}
	if p.IsStorable != nil { // stock is installed
		if *p.IsStorable || p.LowStock != nil || p.LowStockThreshold != nil || *p.QtyAvailable != 0 {
			w.t.Errorf("%+v", p)
		}
		p, _ = must[productRecord](w, "products", odooapi.Update, odooapi.Write{ID: id, Values: values(map[string]any{"is_storable": true, "type": "consu"})})
		if !*p.IsStorable || p.Type != "consu" || !*p.LowStock || *p.LowStockThreshold != 5 {
			w.t.Errorf("%+v", p)
		}
		for value, want := range map[string]int{"true": 1, "false": 0} {
			for _, field := range []string{"low_stock", "is_storable"} {
				found, _ := must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 10, Search: code, Filters: []rpc.Filter{{Field: field, Op: rpc.Eq, Values: []string{value}}}})
				if len(found) != want {
					w.t.Errorf("%s %s: %d, want %d", field, value, len(found), want)
				}
			}
		}
	} else {
		w.refuses("products", odooapi.Update, odooapi.Write{ID: id, Values: values(map[string]any{"is_storable": true})}, fault.Invalid, "is_storable")
		w.refuses("products", odooapi.List, odooapi.Query{Limit: 1, Filters: []rpc.Filter{{Field: "low_stock", Op: rpc.Eq, Values: []string{"true"}}}}, fault.Invalid, "low_stock")
		w.refuses("products", odooapi.List, odooapi.Query{Limit: 1, Filters: []rpc.Filter{{Field: "qty_available", Op: rpc.Gt, Values: []string{"1"}}}}, fault.Invalid, "qty_available")
	}

	p, _ = must[productRecord](w, "products", odooapi.Archive, odooapi.RecordRef{ID: id})
	if p.Active {
		w.t.Error("still active")
	}
	listed := func(q odooapi.Query) int {
		w.t.Helper()
		q.Limit = 10
		found, _ := must[[]productRecord](w, "products", odooapi.List, q)
		return len(found)
	}
	active := func(values ...string) []rpc.Filter {
		return []rpc.Filter{{Field: "active", Op: rpc.In, Values: values}}
	}
	if a, b, c, d := listed(odooapi.Query{Search: code}), listed(odooapi.Query{Search: code, Filters: active("false")}),
		listed(odooapi.Query{Search: code, Filters: active("true", "false")}), listed(odooapi.Query{IDs: []int64{id, 99999999}}); a != 0 || b != 1 || c != 1 || d != 1 {
		w.t.Errorf("archived: listed %d, among the archived %d, among all %d, by id %d", a, b, c, d)
	}
	p, _ = must[productRecord](w, "products", odooapi.Update, odooapi.Write{ID: id, Values: values(map[string]any{"active": true})})
	if !p.Active {
		w.t.Error("not restored")
	}
}

// filters: every operator keeps what it would keep in Go.
func (w *world) filters() {
	names := []string{"100%", "100x", "a_b", "aXb", `back\slash`, "Ñandú", "ñandú II", `quo"te's`, "zz"}
	codes := map[int64]string{}
	for i, n := range names {
		v := map[string]any{"name": w.tag, "default_code": w.tag + n, "list_price": float64(i) + 0.25}
		if n == "zz" {
			delete(v, "default_code")
		}
		id := w.create("products", v)
		if n != "zz" {
			codes[id] = w.tag + n
		} else {
			codes[id] = ""
		}
	}
	ours := rpc.Filter{Field: "name", Op: rpc.Eq, Values: []string{w.tag}}
	all, _ := must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 100, Filters: []rpc.Filter{ours}})
	if len(all) != len(names) {
		w.t.Fatalf("%d of %d", len(all), len(names))
	}
	lower := strings.ToLower
	text := map[rpc.Op]func(s, v string) bool{
		rpc.Eq:       func(s, v string) bool { return s == v },
		rpc.Contains: func(s, v string) bool { return strings.Contains(lower(s), lower(v)) }, rpc.Containss: strings.Contains,
		rpc.StartsWith: func(s, v string) bool { return strings.HasPrefix(lower(s), lower(v)) }, rpc.StartsWiths: strings.HasPrefix,
		rpc.EndsWith: func(s, v string) bool { return strings.HasSuffix(lower(s), lower(v)) }, rpc.EndsWiths: strings.HasSuffix,
	}
	negated := map[rpc.Op]rpc.Op{
		rpc.Eq: rpc.Ne, rpc.Contains: rpc.Ncontains, rpc.Containss: rpc.Ncontainss, rpc.StartsWith: rpc.NstartsWith,
		rpc.StartsWiths: rpc.NstartsWiths, rpc.EndsWith: rpc.NendsWith, rpc.EndsWiths: rpc.NendsWiths,
	}
	var checks errgroup.Group // of an Odoo that answers four at once
	checks.SetLimit(4)
	defer func() { _ = checks.Wait() }()
	check := func(f rpc.Filter, keep func(productRecord) bool) {
		checks.Go(func() error {
			reply, err := w.ask(odooapi.Subject("products", odooapi.List), odooapi.Query{Limit: 100, Filters: []rpc.Filter{ours, f}})
			if err != nil {
				w.t.Errorf("%+v: %s", f, full(err))
				return nil
			}
			var got, want []int64
			for _, p := range all {
				if keep(p) {
					want = append(want, p.ID)
				}
			}
			var found []struct{ ID int64 }
			if err := json.Unmarshal(reply.Data, &found); err != nil {
				w.t.Errorf("%+v: %v", f, err)
			}
			for _, p := range found {
				got = append(got, p.ID)
			}
			slices.Sort(got)
			slices.Sort(want)
			if total := reply.Header.Get(rpc.HeaderTotal); !slices.Equal(got, want) || total != strconv.Itoa(len(want)) {
				w.t.Errorf("%+v: %v of %s, want %v", f, got, total, want)
			}
			return nil
		})
	}
	for op, same := range text {
		for _, v := range []string{w.tag + "100%", "0%", "a_b", `k\s`, "ñand", "ÑAND", "T'S", "'s", w.tag[:3], lower(w.tag) + "a", "zzz"} {
			check(rpc.Filter{Field: "default_code", Op: op, Values: []string{v}}, func(p productRecord) bool { return codes[p.ID] != "" && same(codes[p.ID], v) })
			check(rpc.Filter{Field: "default_code", Op: negated[op], Values: []string{v}}, func(p productRecord) bool { return codes[p.ID] == "" || !same(codes[p.ID], v) })
		}
	}
	check(rpc.Filter{Field: "default_code", Op: rpc.Null}, func(p productRecord) bool { return p.DefaultCode == nil })
	check(rpc.Filter{Field: "default_code", Op: rpc.Nnull}, func(p productRecord) bool { return p.DefaultCode != nil })
	check(rpc.Filter{Field: "list_price", Op: rpc.Null}, func(productRecord) bool { return false })
	for op, keep := range map[rpc.Op]func(v float64) bool{
		rpc.Eq: func(v float64) bool { return v == 3.25 }, rpc.Ne: func(v float64) bool { return v != 3.25 },
		rpc.Lt: func(v float64) bool { return v < 3.25 }, rpc.Lte: func(v float64) bool { return v <= 3.25 },
		rpc.Gt: func(v float64) bool { return v > 3.25 }, rpc.Gte: func(v float64) bool { return v >= 3.25 },
	} {
		check(rpc.Filter{Field: "list_price", Op: op, Values: []string{"3.25"}}, func(p productRecord) bool { return keep(p.ListPrice) })
	}
	check(rpc.Filter{Field: "list_price", Op: rpc.Between, Values: []string{"1.25", "3.25"}}, func(p productRecord) bool { return p.ListPrice >= 1.25 && p.ListPrice <= 3.25 })
	check(rpc.Filter{Field: "list_price", Op: rpc.Nbetween, Values: []string{"1.25", "3.25"}}, func(p productRecord) bool { return p.ListPrice < 1.25 || p.ListPrice > 3.25 })
	check(rpc.Filter{Field: "type", Op: rpc.Eq, Values: []string{"consu"}}, func(p productRecord) bool { return p.Type == "consu" })
	check(rpc.Filter{Field: "type", Op: rpc.Nin, Values: []string{"consu", "combo"}}, func(p productRecord) bool { return p.Type != "consu" })
	at := all[0].UpdatedAt.Format(time.RFC3339)
	for op, keep := range map[rpc.Op]func(time.Time) bool{
		rpc.Eq: all[0].UpdatedAt.Equal, rpc.Ne: func(t time.Time) bool { return !t.Equal(all[0].UpdatedAt) }, rpc.Gt: func(t time.Time) bool { return t.After(all[0].UpdatedAt) },
		rpc.Lte: func(t time.Time) bool { return !t.After(all[0].UpdatedAt) },
	} {
		check(rpc.Filter{Field: "updated_at", Op: op, Values: []string{at}}, func(p productRecord) bool { return keep(p.UpdatedAt) })
	}
	unit := fmt.Sprint(all[0].UoM.ID)
	check(rpc.Filter{Field: "uom", Op: rpc.Eq, Values: []string{unit}}, func(productRecord) bool { return true })
	check(rpc.Filter{Field: "uom", Op: rpc.Nin, Values: []string{unit}}, func(productRecord) bool { return false })
	check(rpc.Filter{Field: "uom", Op: rpc.Contains, Values: []string{all[0].UoM.Name[1:3]}}, func(productRecord) bool { return true })
	check(rpc.Filter{Field: "company", Op: rpc.Null}, func(productRecord) bool { return true })
	for _, f := range []rpc.Filter{
		{Field: "nothing", Op: rpc.Eq, Values: []string{"1"}}, {Field: "has_image", Op: rpc.Eq, Values: []string{"true"}},
		{Field: "list_price", Op: rpc.Eq, Values: []string{"x"}}, {Field: "list_price", Op: rpc.Contains, Values: []string{"1"}},
		{Field: "updated_at", Op: rpc.Gt, Values: []string{"yesterday"}}, {Field: "uom", Op: rpc.Eq, Values: []string{"Units"}},
		{Field: "uom", Op: rpc.Gt, Values: []string{"1"}}, {Field: "list_price", Op: "like", Values: []string{"1"}},
		{Field: "list_price", Op: rpc.Between, Values: []string{"1"}}, {Field: "active", Op: rpc.Eq, Values: []string{"maybe"}},
	} {
		w.refuses("products", odooapi.List, odooapi.Query{Limit: 1, Filters: []rpc.Filter{f}}, fault.Invalid, f.Field)
	}
}

// lists: every sort is one of Odoo's or is refused, pages partition a list, and totals are exact.
func (w *world) lists() {
	for i := range 9 {
		w.create("products", map[string]any{"name": w.tag, "list_price": float64(i % 3), "default_code": fmt.Sprint(w.tag, i%2)})
	}
	ours := []rpc.Filter{{Field: "name", Op: rpc.Eq, Values: []string{w.tag}}}
	for _, desc := range []bool{false, true} {
		sort := []rpc.Sort{{Field: "default_code", Desc: desc}, {Field: "list_price"}}
		var paged, want []productRecord
		for offset := 0; offset < 12; offset += 2 {
			rows, h := must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Offset: offset, Limit: 2, Sort: sort, Filters: ours})
			if h.Get(rpc.HeaderTotal) != "9" {
				w.t.Errorf("at %d: total %s", offset, h.Get(rpc.HeaderTotal))
			}
			paged = append(paged, rows...)
		}
		want = slices.SortedFunc(slices.Values(paged), func(a, b productRecord) int {
			code := strings.Compare(*a.DefaultCode, *b.DefaultCode)
			if desc {
				code = -code
			}
			return stdcmp.Or(code, stdcmp.Compare(a.ListPrice, b.ListPrice), stdcmp.Compare(a.ID, b.ID))
		})
		if diff := cmp.Diff(want, paged); diff != "" || len(paged) != 9 {
			w.t.Errorf("%d rows, out of order:\n%s", len(paged), diff)
		}
	}
	var sorts errgroup.Group
	sorts.SetLimit(4)
	defer func() { _ = sorts.Wait() }()
	for _, resource := range erp.Names() {
		rows, h := must[[]map[string]any](w, resource, odooapi.List, odooapi.Query{Limit: 100})
		for _, f := range erp.Named(resource).Fields {
			if !f.Has(rpc.Sorted) {
				continue
			}
			sorts.Go(func() error {
				_, err := w.ask(odooapi.Subject(resource, odooapi.List), odooapi.Query{Limit: 1, Sort: []rpc.Sort{{Field: f.Name, Desc: true}}})
				hasValue := slices.ContainsFunc(rows, func(row map[string]any) bool { return row[f.Name] != nil })
				if err != nil && (fault.CodeOf(err) != fault.Invalid || hasValue) {
					w.t.Errorf("%s by %s: %s", resource, f.Name, full(err))
				}
				return nil
			})
		}
		if n, err := strconv.Atoi(h.Get(rpc.HeaderTotal)); err != nil || n < len(rows) || n > len(rows) && len(rows) < 100 {
			w.t.Errorf("%s: %d rows of %s", resource, len(rows), h.Get(rpc.HeaderTotal))
		}
	}
	for _, s := range []string{"qty_available", "lst_price", "nothing", "has_image"} {
		w.refuses("products", odooapi.List, odooapi.Query{Limit: 1, Sort: []rpc.Sort{{Field: s}}}, fault.Invalid, s)
	}
	for _, q := range []odooapi.Query{{}, {Limit: 1001}, {Limit: 1, Offset: -1}, {Limit: 1, Offset: 1 << 40}} {
		if f := w.refuses("products", odooapi.List, q, fault.Invalid); f.Detail.ES != "Parámetros de paginación inválidos" {
			w.t.Errorf("%+v: %s", q, f.Detail.ES)
		}
	}
}

func (w *world) partners() {
	country, ok := w.call("res.country", "search", nil, odoo.Arg{Name: "domain", Value: []any{[]any{"code", "=", "ES"}}}).([]any)
	if !ok || len(country) != 1 {
		w.t.Fatal(country)
	}
	id := w.create("suppliers", map[string]any{
		"name": w.tag + " Ferretería", "email": "a@b.example", "phone": "+34 600 000 000", "is_company": true, "street": "C/ Mayor, 1",
		"zip": "28001", "city": "Madrid", "country": country[0], "ref": w.tag, "website": nil,
	})
	p, _ := must[partnerRecord](w, "suppliers", odooapi.Get, odooapi.RecordRef{ID: id})
	if p.Country == nil || p.Country.ID != country[0] || *p.Street != "C/ Mayor, 1" || !p.IsCompany || p.VAT != nil || p.Parent != nil {
		w.t.Errorf("%+v", p)
	}
	child := w.create("suppliers", map[string]any{"name": w.tag + " Ana", "parent": map[string]any{"id": id, "name": "?"}, "ref": w.tag})
	c, _ := must[partnerRecord](w, "suppliers", odooapi.Get, odooapi.RecordRef{ID: child})
	if c.Parent == nil || c.Parent.ID != id || c.Parent.Name == "" {
		w.t.Errorf("%+v", c)
	}
	ranked := p.SupplierRank != nil
	if w.target.sandbox != nil && ranked == (w.target.name == "sandbox without modules") {
		w.t.Errorf("%+v", p)
	}
	mine := []rpc.Filter{{Field: "ref", Op: rpc.Eq, Values: []string{w.tag}}}
	suppliers, _ := must[[]partnerRecord](w, "suppliers", odooapi.List, odooapi.Query{Limit: 10, Filters: mine})
	customers, _ := must[[]partnerRecord](w, "customers", odooapi.List, odooapi.Query{Limit: 10, Filters: mine})
	switch {
	case ranked && (len(suppliers) != 2 || len(customers) != 0 || *p.SupplierRank != 1 || *p.CustomerRank != 0):
		w.t.Errorf("%d suppliers, %d customers", len(suppliers), len(customers))
	case !ranked && (len(suppliers) != 1 || len(customers) != 1 || p.SupplierRank != nil): // the company, without its contact
		w.t.Errorf("without ranks: %d suppliers, %d customers", len(suppliers), len(customers))
	}
	if ranked {
		for resource, rank := range map[string]string{"suppliers": "supplier_rank", "customers": "customer_rank"} {
			_, h := must[[]partnerRecord](w, resource, odooapi.List, odooapi.Query{Limit: 1})
			if n := w.count("res.partner", []any{rank, ">", 0}); h.Get(rpc.HeaderTotal) != fmt.Sprint(n) {
				w.t.Errorf("%s: %s, want %d", resource, h.Get(rpc.HeaderTotal), n)
			}
		}
	} else {
		w.refuses("customers", odooapi.List, odooapi.Query{Limit: 1, Sort: []rpc.Sort{{Field: "customer_rank"}}}, fault.Invalid, "customer_rank")
	}
	p, _ = must[partnerRecord](w, "suppliers", odooapi.Update, odooapi.Write{ID: id, Values: values(map[string]any{"country_id": nil, "city": "", "street2": "Bajo"})})
	if p.Country != nil || p.City != nil || *p.Street2 != "Bajo" {
		w.t.Errorf("%+v", p)
	}
	if p, _ = must[partnerRecord](w, "suppliers", odooapi.Archive, odooapi.RecordRef{ID: child}); p.Active {
		w.t.Error("still active")
	}
}

// allPartners: a sale can be made for every partner there is, whether a customer already or not.
func (w *world) allPartners() {
	w.totals(odooapi.Scope{})
	id := w.create("partners", map[string]any{"name": w.tag + " Nuevo", "ref": w.tag})
	mine := odooapi.Query{Limit: 10, Filters: []rpc.Filter{{Field: "ref", Op: rpc.Eq, Values: []string{w.tag}}}}
	all, _ := must[[]partnerRecord](w, "partners", odooapi.List, mine)
	customers, _ := must[[]partnerRecord](w, "customers", odooapi.List, mine)
	if len(all) != 1 || all[0].ID != id || all[0].CustomerRank != nil && len(customers) != 0 {
		w.t.Errorf("%d partners, %d customers", len(all), len(customers))
	}
	sale, _ := must[saleRecord](w, "sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"partner": id})})
	if sale.Partner.ID != id {
		w.t.Errorf("%+v", sale)
	}
	fields, _ := must[[]odooapi.FieldInfo](w, "sales", odooapi.ListFields, odooapi.Scope{})
	if i := slices.IndexFunc(fields, func(f odooapi.FieldInfo) bool { return f.Name == "partner" }); fields[i].Options != "partners" {
		w.t.Errorf("%+v", fields[i])
	}
	if p, _ := must[partnerRecord](w, "partners", odooapi.Archive, odooapi.RecordRef{ID: id}); p.Active {
		w.t.Error("still active")
	}
}

// internalUsers: the contacts of Odoo's internal users can be left out, wherever partners are read.
func (w *world) internalUsers() {
	rows, _ := w.call("res.users", "search_read", nil, odoo.Arg{Name: "domain", Value: []any{[]any{"login", "=", w.target.user}}},
		odoo.Arg{Name: "fields", Value: []any{"partner_id"}}).([]any)
	link, _ := rows[0].(map[string]any)["partner_id"].([]any)
	id, _ := link[0].(int64)
	hidden := odooapi.Scope{HideInternal: true}
	outsider := w.create("partners", map[string]any{"name": w.tag})
	for _, resource := range []string{"partners", "customers", "suppliers"} {
		must[partnerRecord](w, resource, odooapi.Get, odooapi.RecordRef{ID: id})
		w.refuses(resource, odooapi.Get, odooapi.RecordRef{ID: id, Scope: hidden}, fault.NotFound)
		w.refuses(resource, odooapi.Image, odooapi.ImageRef{ID: id, Scope: hidden}, fault.NotFound)
		found, _ := must[[]partnerRecord](w, resource, odooapi.List, odooapi.Query{Limit: 10, IDs: []int64{id, outsider}, Scope: hidden})
		if len(found) != 1 || found[0].ID != outsider {
			w.t.Errorf("%s by id: %+v", resource, found)
		}
	}
	w.totals(hidden, []any{"partner_share", "=", true})
}

// totals checks how many partners there are, while others may make more.
func (w *world) totals(scope odooapi.Scope, conditions ...any) {
	w.t.Helper()
	before := w.count("res.partner", conditions...)
	_, h := must[[]partnerRecord](w, "partners", odooapi.List, odooapi.Query{Limit: 1, Scope: scope})
	after := w.count("res.partner", conditions...)
	total, err := strconv.ParseInt(h.Get(rpc.HeaderTotal), 10, 64)
	if err != nil || total < min(before, after) || total > max(before, after) {
		w.t.Errorf("%d partners, of %d to %d", total, before, after)
	}
}

// order makes a quotation of two lines.
func (w *world) order() (saleRecord, odooapi.RecordRef) {
	w.t.Helper()
	customer := w.create("customers", map[string]any{"name": w.tag + " Cliente"})
	a := w.create("products", map[string]any{"name": w.tag + " A", "list_price": 10.5})
	b := w.create("products", map[string]any{"name": w.tag + " B", "list_price": 3})
	sale, _ := must[saleRecord](w, "sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{
		"partner": customer, "client_order_ref": w.tag, "date_order": "2026-11-03T10:30:00+01:00", "lines": []any{
			map[string]any{"product": a, "qty": 2, "taxes": []any{}},
			map[string]any{"product_id": b, "qty": 1.5, "price_unit": 4.1, "discount": 10, "name": w.tag + " a medida", "taxes": []any{}},
		},
	})})
	return sale, odooapi.RecordRef{ID: sale.ID}
}

func (w *world) sales() {
	sale, ref := w.order()
	if sale.State != "draft" || sale.Partner.Name == "" || !sale.DateOrder.Equal(time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)) || *sale.ClientOrderRef != w.tag {
		w.t.Errorf("%+v", sale)
	}
	if len(sale.Lines) != 2 || sale.Lines[0].Subtotal != 21 || sale.Lines[1].Subtotal != 5.54 && sale.Lines[1].Subtotal != 5.53 || sale.Lines[1].Name != w.tag+" a medida" ||
		sale.Lines[0].UoM == nil || sale.Lines[1].Discount != 10 || sale.AmountUntaxed != sale.Lines[0].Subtotal+sale.Lines[1].Subtotal || sale.AmountTotal != sale.AmountUntaxed {
		w.t.Errorf("%+v", sale)
	}
	got, h := must[saleRecord](w, "sales", odooapi.Get, ref)
	if diff := cmp.Diff(sale, got); diff != "" || h.Get(rpc.HeaderETag) == "" {
		w.t.Errorf("created and read differ:\n%s", diff)
	}
	state := func(s string) int {
		found, _ := must[[]saleRecord](w, "sales", odooapi.List, odooapi.Query{Limit: 5, Filters: []rpc.Filter{
			{Field: "client_order_ref", Op: rpc.Eq, Values: []string{w.tag}}, {Field: "state", Op: rpc.Eq, Values: []string{s}},
		}})
		return len(found)
	}
	if state("draft") != 1 || state("sale") != 0 {
		w.t.Error("not among the quotations")
	}
	if got, _ = must[saleRecord](w, "sales", "confirm", ref); got.State != "sale" || state("sale") != 1 {
		w.t.Errorf("%+v", got)
	}
	if again, _ := must[saleRecord](w, "sales", "confirm", ref); cmp.Diff(got, again) != "" { // it is confirmed: nothing to do
		w.t.Errorf("confirmed again: %+v", again)
	}
	if got.Locked != nil && !*got.Locked {
		lock := "action_lock"
		if has, _ := w.call("sale.order", "fields_get", nil, odoo.Arg{Name: "allfields", Value: []any{"locked"}}).(map[string]any); has["locked"] == nil {
			lock = "action_done"
		}
		w.call("sale.order", lock, []int64{ref.ID})
		got, _ = must[saleRecord](w, "sales", odooapi.Get, ref)
		if got.State != "sale" || !*got.Locked || state("sale") != 1 {
			w.t.Errorf("locked: %+v", got)
		}
		w.refuses("sales", "cancel", ref, fault.Conflict)
		w.call("sale.order", "action_unlock", []int64{ref.ID})
	}
	if got, _ = must[saleRecord](w, "sales", "cancel", ref); got.State != "cancel" {
		w.t.Errorf("%+v", got)
	}
	for _, verb := range []string{"cancel", odooapi.Archive} {
		if again, _ := must[saleRecord](w, "sales", verb, ref); cmp.Diff(got, again) != "" {
			w.t.Errorf("cancelled again by %s: %+v", verb, again)
		}
	}
	w.refuses("sales", "confirm", ref, fault.Conflict)

	other, ref := w.order()
	if got, _ = must[saleRecord](w, "sales", odooapi.Archive, ref); got.State != "cancel" || got.ID != other.ID {
		w.t.Errorf("%+v", got)
	}
}

func (w *world) saleLines() {
	sale, ref := w.order()
	c := w.create("products", map[string]any{"name": w.tag + " C", "list_price": 7})
	got, _ := must[saleRecord](w, "sales", odooapi.Update, odooapi.Write{ID: ref.ID, Values: values(map[string]any{"lines": []any{
		map[string]any{"id": sale.Lines[1].ID, "qty": 3, "price_unit": 4.1}, map[string]any{"product": c, "qty": 1, "taxes": []any{}},
	}})})
	if len(got.Lines) != 2 || got.Lines[0].ID != sale.Lines[1].ID || got.Lines[0].Qty != 3 || got.Lines[0].PriceUnit != 4.1 || got.Lines[1].Product.ID != c || got.Lines[1].Subtotal != 7 {
		w.t.Errorf("%+v", got.Lines)
	}
	w.refuses("sales", odooapi.Update, odooapi.Write{ID: ref.ID, Values: values(map[string]any{"lines": []any{
		map[string]any{"id": sale.Lines[0].ID, "qty": 3}, // it is gone
	}})}, fault.Invalid, "lines.0.id")
	w.refuses("sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"partner": sale.Partner, "lines": []any{
		map[string]any{"qty": "many"}, map[string]any{"product": c, "price": 1},
	}})}, fault.Invalid, "lines.0.product", "lines.0.qty", "lines.1.price")
	w.refuses("sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"lines": "none"})}, fault.Invalid, "lines", "partner")
}

func (w *world) summary() {
	sale, ref := w.order()
	second, _ := w.order()
	must[saleRecord](w, "sales", "confirm", ref)
	q := odooapi.Query{Filters: []rpc.Filter{{Field: "client_order_ref", Op: rpc.Eq, Values: []string{w.tag}}}}
	sum, _ := must[odooapi.SalesSummary](w, "sales", odooapi.Summary, q)
	amounts := map[string]float64{}
	for _, t := range sum.ByState {
		if t.Month != nil || t.Count != 1 || t.Currency == nil || t.Currency.Name == "" {
			w.t.Errorf("%+v", t)
		}
		amounts[t.State] = t.AmountTotal
	}
	if diff := cmp.Diff(map[string]float64{"draft": second.AmountTotal, "sale": sale.AmountTotal}, amounts); diff != "" || sum.Total != 2 {
		w.t.Errorf("%d sales:\n%s", sum.Total, diff)
	}
	// Confirming sets date_order.
	for _, t := range sum.ByMonth {
		if want := map[string]string{"draft": "2026-11", "sale": time.Now().UTC().Format("2006-01")}[t.State]; t.Month == nil || *t.Month != want && time.Now().UTC().Format("2006-01") == want {
			w.t.Errorf("%s: %+v", want, t)
		}
	}
	all, _ := must[odooapi.SalesSummary](w, "sales", odooapi.Summary, odooapi.Query{})
	var n int64
	for _, t := range all.ByMonth {
		n += t.Count
	}
	if n != all.Total || all.Total < 2 {
		w.t.Errorf("%d by month, %d in all", n, all.Total)
	}
}

func (w *world) images() {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 600, 300))); err != nil {
		w.t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(picture.Bytes())
	for resource, model := range map[string]string{"products": "product.product", "customers": "res.partner"} {
		id := w.create(resource, map[string]any{"name": w.tag})
		w.refuses(resource, odooapi.Image, odooapi.ImageRef{ID: id}, fault.NotFound)
		w.call(model, "write", []int64{id}, odoo.Arg{Name: "vals", Value: map[string]any{"image_1920": encoded}})
		row, _ := must[map[string]any](w, resource, odooapi.Get, odooapi.RecordRef{ID: id})
		if row["has_image"] != true {
			w.t.Errorf("%v", row)
		}
		var tags []string
		for _, size := range []int{0, 512} {
			reply, err := w.ask(odooapi.Subject(resource, odooapi.Image), odooapi.ImageRef{ID: id, Size: size})
			if err != nil {
				w.t.Fatal(full(err))
			}
			decoded, err := png.DecodeConfig(bytes.NewReader(reply.Data))
			if want := max(size, 128); err != nil || decoded.Width != want || reply.Header.Get(rpc.HeaderContentType) != "image/png" {
				w.t.Errorf("%v: %d wide, want %d, %v", err, decoded.Width, want, reply.Header)
			}
			tags = append(tags, reply.Header.Get(rpc.HeaderETag))
		}
		if tags[0] == tags[1] || tags[0] == "" {
			w.t.Error(tags)
		}
		w.refuses(resource, odooapi.Image, odooapi.ImageRef{ID: 99999999}, fault.NotFound)
		w.refuses(resource, odooapi.Image, odooapi.ImageRef{ID: id, Size: 100}, fault.Invalid, "size")
	}
}

// texts: what people type comes back as it was, but for what XML cannot write.
func (w *world) texts() {
	for in, want := range map[string]string{
		`<b>&amp; "quotes" 'n' ]]> \`: `<b>&amp; "quotes" 'n' ]]> \`, "emoji 🪑🇪🇸 日本": "emoji 🪑🇪🇸 日本", "bell\x07 and nul\x00, \u2028": "bell and nul, \u2028",
		"{\"json\": [1]}": "{\"json\": [1]}", "%s %(x)s {0}": "%s %(x)s {0}", "\ufffe non-character": " non-character",
	} {
		id := w.create("customers", map[string]any{"name": w.tag + in, "ref": w.tag})
		p, _ := must[partnerRecord](w, "customers", odooapi.Get, odooapi.RecordRef{ID: id})
		if *p.Name != w.tag+want {
			w.t.Errorf("%q became %q", in, *p.Name)
		}
		found, _ := must[[]partnerRecord](w, "customers", odooapi.List, odooapi.Query{Limit: 5, Search: in, Filters: []rpc.Filter{{Field: "ref", Op: rpc.Eq, Values: []string{w.tag}}}})
		if len(found) != 1 || found[0].ID != id {
			w.t.Errorf("%q finds %d", in, len(found))
		}
	}
}

func (w *world) mistakes() {
	create := func(v map[string]any) odooapi.Write { return odooapi.Write{Values: values(v)} }
	w.refuses("products", odooapi.Create, create(nil), fault.Invalid, "name")
	w.refuses("sales", odooapi.Create, create(nil), fault.Invalid, "partner")
	w.refuses("products", odooapi.Create, create(map[string]any{
		"name": " ", "list_price": "12", "type": "nonsense", "category": "x", "active": 1, "qty_available": 3, "price": 1, "weight": 1e300,
	}), fault.Invalid, "active", "category", "list_price", "name", "price", "qty_available", "type", "weight")
	w.refuses("sales", odooapi.Create, create(map[string]any{"partner": -1, "date_order": "03/11/2026", "validity_date": "x", "state": "sale"}),
		fault.Invalid, "date_order", "partner", "state", "validity_date")
	w.refuses("sales", odooapi.Create, create(map[string]any{"partner": 99999999}), fault.Invalid, "partner")
	w.refuses("customers", odooapi.Create, create(map[string]any{"name": w.tag, "parent": 99999999}), fault.Invalid, "parent")
	f := w.refuses("customers", odooapi.Create, create(map[string]any{"name": w.tag, "country": 99999999, "state": 99999998}), fault.Invalid, "country", "state")
	if f.Fields["country"].ES != "no existe en Odoo" {
		w.t.Errorf("%+v", f)
	}
	w.refuses("products", odooapi.Create, create(map[string]any{"name": w.tag, "company": 99999999}), fault.Invalid, "company")
	w.refuses("sales", odooapi.Create, create(map[string]any{"partner": w.create("customers", map[string]any{"name": w.tag}), "company": 99999999}), fault.Invalid, "company")
	if w.target.name != "sandbox without modules" {
		w.refuses("sales", odooapi.Create, create(map[string]any{"partner": w.create("customers", map[string]any{"name": w.tag}), "lines": []any{
			map[string]any{"product": w.create("products", map[string]any{"name": w.tag}), "qty": 1, "taxes": []any{99999999}},
		}}), fault.Invalid, "lines.0.taxes")
	}
	w.refuses("products", odooapi.Create, create(map[string]any{"name": w.tag, "category": 99999999}), fault.Invalid, "category")
	w.refuses("sales", odooapi.Create, create(map[string]any{"partner": w.create("customers", map[string]any{"name": w.tag}), "lines": []any{
		map[string]any{"product": 99999999, "qty": 1},
	}}), fault.Invalid, "lines.0.product")
	for _, resource := range erp.Names() {
		w.refuses(resource, odooapi.Get, odooapi.RecordRef{ID: 99999999}, fault.NotFound)
		w.refuses(resource, odooapi.Get, odooapi.RecordRef{ID: 1 << 40}, fault.NotFound)
		w.refuses(resource, odooapi.Get, odooapi.RecordRef{}, fault.NotFound)
		w.refuses(resource, odooapi.Archive, odooapi.RecordRef{ID: 99999999}, fault.NotFound)
		w.refuses(resource, odooapi.Update, odooapi.Write{ID: 99999999, Values: values(map[string]any{"nothing": nil})}, fault.Invalid, "nothing")
	}
	w.refuses("customers", odooapi.Update, odooapi.Write{ID: 99999999, Values: values(map[string]any{"city": "x"})}, fault.NotFound)
	w.refuses("products", odooapi.Update, odooapi.Write{ID: 99999999, Values: values(map[string]any{"list_price": 1})}, fault.NotFound)
	w.refuses("sales", "confirm", odooapi.RecordRef{ID: 99999999}, fault.NotFound)
	w.refuses("products", odooapi.Update, odooapi.Write{ID: 1, Values: values(nil)}, fault.Invalid)
}

func (w *world) scopes() {
	w.refuses("products", odooapi.List, odooapi.Query{Limit: 1, Scope: odooapi.Scope{Company: 4242}}, fault.Forbidden)
	for _, lang := range []string{"", "es-ES, es;q=0.9, en;q=0.8", "en", "tlh", "*", "; q=x,,", strings.Repeat("a", 500)} {
		must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 1, Scope: odooapi.Scope{Lang: lang}})
	}
	users, _ := w.call("res.users", "search_read", nil, odoo.Arg{Name: "domain", Value: []any{[]any{"login", "=", w.target.user}}}, odoo.Arg{Name: "fields", Value: []any{"company_ids"}}).([]any)
	user, _ := users[0].(map[string]any)
	for _, company := range user["company_ids"].([]any) {
		sales, _ := must[[]saleRecord](w, "sales", odooapi.List, odooapi.Query{Limit: 100, Scope: odooapi.Scope{Company: company.(int64)}})
		for _, s := range sales {
			if s.Company.ID != company {
				w.t.Errorf("company %d sees %+v", company, s)
			}
		}
	}
	if w.target.sandbox == nil {
		return
	}
	id := w.create("products", map[string]any{"name": w.tag + " Chair"})
	must[productRecord](w, "products", odooapi.Update, odooapi.Write{ID: id, Scope: odooapi.Scope{Lang: "es"}, Values: values(map[string]any{"name": w.tag + " Silla"})})
	for lang, want := range map[string]string{"es-MX": " Silla", "en": " Chair", "fr": " Chair"} {
		p, _ := must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: id, Scope: odooapi.Scope{Lang: lang}})
		if p.Name != w.tag+want {
			w.t.Errorf("%s: %s", lang, p.Name)
		}
	}
}

func (w *world) logins() {
	ask := w.user
	if u, err := ask(w.target.user, w.target.pass); err != nil || u.Role != "admin" || u.UID == 0 || u.Name == "" {
		w.t.Errorf("%+v %v", u, err)
	}
	for user, password := range map[string]string{w.target.user: "wrong", "nobody": "admin", "": "x", "x": ""} {
		if _, err := ask(user, password); fault.CodeOf(err) != fault.Unauthenticated {
			w.t.Errorf("%s: %v", user, err)
		}
	}
}

// thousandRows: the largest page there is.
func (w *world) thousandRows() {
	const n = 1100
	many := make([]any, n)
	for i := range many {
		many[i] = map[string]any{"name": fmt.Sprint(w.tag, " ", i), "ref": w.tag, "is_company": true, "street": strings.Repeat("calle ", 20)}
	}
	created, _ := w.call("res.partner", "create", nil, odoo.Arg{Name: "vals_list", Value: many}).([]any)
	ids := make([]int64, len(created))
	for i, id := range created {
		ids[i], _ = id.(int64)
	}
	defer w.call("res.partner", "unlink", ids)
	reply, err := w.ask(odooapi.Subject("customers", odooapi.List), odooapi.Query{Limit: 1000, IDs: ids[:1000]})
	if err != nil {
		w.t.Fatal(full(err))
	}
	if found := strict[[]partnerRecord](w.t, reply.Data); len(found) != 1000 || reply.Header.Get(rpc.HeaderTotal) != "1000" {
		w.t.Errorf("%d of %s", len(found), reply.Header.Get(rpc.HeaderTotal))
	}
	resource, ours := "customers", []rpc.Filter{{Field: "ref", Op: rpc.Eq, Values: []string{w.tag}}}
	if p, _ := must[partnerRecord](w, resource, odooapi.Get, odooapi.RecordRef{ID: ids[0]}); p.CustomerRank != nil {
		w.call("res.partner", "write", ids, odoo.Arg{Name: "vals", Value: map[string]any{"customer_rank": 1}})
	}
	for offset, want := range map[int]int{0: 1000, 1000: 100} {
		found, h := must[[]partnerRecord](w, resource, odooapi.List, odooapi.Query{Limit: 1000, Offset: offset, Filters: ours})
		if len(found) != want || h.Get(rpc.HeaderTotal) != strconv.Itoa(n) {
			w.t.Errorf("at %d: %d of %s", offset, len(found), h.Get(rpc.HeaderTotal))
		}
	}
}

// changes: what a cache must look at again is found by id.
func (w *world) changes() {
	store := resource.New(resource.Config{ProbeTimeout: time.Minute, Username: w.target.user}, w.direct)
	began := w.direct.Now()
	sale, ref := w.order()
	product := sale.Lines[0].Product.ID
	watches, err := store.Watches(w.t.Context())
	if err != nil {
		w.t.Fatal(full(err))
	}
	for name, id := range map[string]int64{"sales": ref.ID, "products": product, "customers": sale.Partner.ID} {
		all, err := store.IDs(w.t.Context(), name)
		if err != nil || !slices.IsSorted(all) || name != "customers" && !slices.Contains(all, id) { // without ranks a person is a contact
			w.t.Errorf("%s: %d is not among %d: %v", name, id, len(all), err)
		}
		found := false
		for _, watch := range watches {
			if !slices.Contains(watch.Resources, name) {
				continue
			}
			touches, err := store.Touched(w.t.Context(), watch, began.Add(-2*time.Second), 1000)
			if errors.Is(err, resource.ErrUnwatchable) && w.target.sandbox != nil {
				continue // the sandbox keeps no stock moves
			}
			if err != nil {
				w.t.Error(watch.Model, full(err))
			}
			found = found || slices.ContainsFunc(touches, func(t resource.Touch) bool { return slices.Contains(t.Touched, id) })
			if touches, err = store.Touched(w.t.Context(), watch, began.Add(time.Hour), 10); err != nil || len(touches) > 0 {
				w.t.Errorf("%s in an hour: %v, %v", watch.Model, touches, err)
			}
		}
		if !found {
			w.t.Errorf("%s: %d was not touched", name, id)
		}
	}
}
