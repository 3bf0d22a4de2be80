package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/odoo"
	"github.com/resonance/resonance/services/gateway/internal/route"
	"github.com/resonance/resonance/services/gateway/internal/session"
)

// odooBridge stands in for odoo-bridge: 23 records of each resource, 7 is the only one to be had
// alone, company 99 is forbidden, and names and values of these tests bring about each fault.
type odooBridge struct {
	t testing.TB

	mu    sync.Mutex
	asked map[string][]byte // the newest request by subject
	say   map[string]bus.Handler
}

const pixel = "\x89PNG\r\n\x1a\n and so on"

// serveOdoo puts a bridge there; say replaces its answers.
func (r *rig) serveOdoo(say map[string]bus.Handler) *odooBridge {
	r.Helper()
	b := &odooBridge{t: r.TB, asked: map[string][]byte{}, say: say}
	endpoints := map[string]bus.Handler{}
	for name, example := range examples() {
		var record map[string]any
		decodeJSON(r.TB, []byte(jsonOf(r, example)), &record)
		record["id"] = 7
		one := jsonOf(r, record)
		for verb, h := range map[string]bus.Handler{
			odooapi.List: answer("["+one+"]", rpc.HeaderTotal, "23"), odooapi.Get: answer(one, rpc.HeaderETag, `"r1"`),
			odooapi.Create: answer(one, rpc.HeaderETag, `"r1"`), odooapi.Update: answer(one, rpc.HeaderETag, `"r2"`),
			odooapi.Archive: answer(one, rpc.HeaderETag, `"r2"`), "confirm": answer(one, rpc.HeaderETag, `"r2"`),
			"cancel": answer(one, rpc.HeaderETag, `"r2"`), odooapi.Summary: answer(jsonOf(r, odoo.ExampleSalesSummary)),
			odooapi.ListFields: answer(jsonOf(r, odoo.ExampleFields)),
			odooapi.Image:      answer(pixel, rpc.HeaderETag, `"i1"`, rpc.HeaderContentType, "image/png"),
		} {
			subject := odooapi.Subject(name, verb)
			if say[subject] != nil {
				h = say[subject]
			}
			endpoints[subject] = b.handle(subject, verb, h)
		}
	}
	for _, option := range erp.Options {
		name := option.Name
		subject := odooapi.Subject(name, odooapi.List)
		endpoints[subject] = b.handle(subject, odooapi.List, answer(`[{"id":4,"name":"x"}]`, rpc.HeaderTotal, "23"))
	}
	r.serve("odoo", endpoints)
	return b
}

// handle answers as pkg/rpc/odooapi says.
func (b *odooBridge) handle(subject, verb string, h bus.Handler) bus.Handler {
	return func(ctx context.Context, data []byte) (bus.Reply, error) {
		b.mu.Lock()
		b.asked[subject] = data
		b.mu.Unlock()
		var q struct {
			Company int64                      `json:"company"`
			ID      int64                      `json:"id"`
			IfMatch string                     `json:"if_match"`
			Values  map[string]json.RawMessage `json:"values"`
		}
		if err := json.Unmarshal(data, &q); err != nil {
			return bus.Reply{}, err
		}
		switch {
		case q.Company == 99:
			return bus.Reply{}, fault.New(fault.Forbidden, fault.T("No hay acceso a la empresa 99", "There is no access to company 99"))
		case q.ID == 409 || string(q.Values["name"]) == `"taken"` || string(q.Values["client_order_ref"]) == `"taken"`:
			return bus.Reply{}, odoo.ExampleFaults[fault.Conflict]
		case verb != odooapi.List && verb != odooapi.Create && verb != odooapi.Summary && verb != odooapi.ListFields && q.ID != 7:
			return bus.Reply{}, odoo.ExampleFaults[fault.NotFound]
		case q.IfMatch != "" && q.IfMatch != `"r1"`:
			return bus.Reply{}, odoo.ExampleFaults[fault.Stale]
		}
		return h(ctx, data)
	}
}

// last reads the newest request to a subject.
func (b *odooBridge) last(resource, verb string, v any) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	data := b.asked[odooapi.Subject(resource, verb)]
	if data == nil {
		b.t.Fatalf("%s %s was not asked", resource, verb)
	}
	decodeJSON(b.t, data, v)
}

func (b *odooBridge) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.asked)
}

// unasked wants nothing to have been asked since forget or the beginning.
func (b *odooBridge) unasked() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for subject, data := range b.asked {
		b.t.Errorf("%s was asked: %s", subject, data)
	}
}

func TestOdooLists(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	for _, resource := range erp.Names() {
		viewer := odooapi.Scope{HideInternal: erp.Named(resource).HideInternal}
		resp := r.get("/api/v1/" + resource + "?page=2&limit=5&search=x")
		var page struct {
			Data                      []json.RawMessage
			Total, Page, Limit, Pages int
		}
		resp.decode(http.StatusOK, &page)
		if len(page.Data) != 1 || page.Total != 23 || page.Page != 2 || page.Limit != 5 || page.Pages != 5 {
			t.Errorf("%s: %s", resource, resp.body)
		}
		for name, want := range map[string]string{
			"X-Total-Count": "23", "Age": "0", "X-Resonance-Stale": "", "Cache-Control": "private, no-cache", "Content-Type": "application/json",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q", resource, name, got)
			}
		}
		if vary := strings.Join(resp.Header.Values("Vary"), ", "); !strings.Contains(vary, "Accept-Language") || !strings.Contains(vary, "X-Company-Id") {
			t.Errorf("%s: Vary %q", resource, vary)
		}
		var q odooapi.Query
		b.last(resource, odooapi.List, &q)
		if want := (odooapi.Query{Scope: viewer, Offset: 5, Limit: 5, Search: "x"}); !reflect.DeepEqual(q, want) {
			t.Errorf("%s: asked %+v", resource, q)
		}
		resp = r.get("/api/v1/" + resource + "?_start=20&_end=40&_sort=id&_order=desc&q=y")
		var bare []json.RawMessage
		resp.decode(http.StatusOK, &bare)
		if resp.Header.Get("X-Total-Count") != "23" {
			t.Errorf("%s: %v", resource, resp.Header)
		}
		q = odooapi.Query{}
		b.last(resource, odooapi.List, &q)
		if want := (odooapi.Query{Scope: viewer, Offset: 20, Limit: 20, Search: "y", Sort: []rpc.Sort{{Field: "id", Desc: true}}}); !reflect.DeepEqual(q, want) {
			t.Errorf("%s: asked %+v", resource, q)
		}
		r.get("/api/v1/"+resource+"?id=3&id=2&id=3").decode(http.StatusOK, &bare)
		q = odooapi.Query{}
		b.last(resource, odooapi.List, &q)
		if want := (odooapi.Query{Scope: viewer, Limit: 100, IDs: []int64{2, 3}}); !reflect.DeepEqual(q, want) {
			t.Errorf("%s: asked %+v", resource, q)
		}
		tag := resp.Header.Get("ETag")
		r.get("/api/v1/"+resource+"?_start=20&_end=40&_sort=id&_order=desc&q=y", header("If-None-Match", tag)).want(http.StatusNotModified)
	}
}

// Contacts of Odoo's internal users are for operators, wherever partners are read.
func TestInternalUsersAreHiddenFromViewers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	for role, hidden := range map[auth.Role]bool{auth.Viewer: true, auth.Operator: false, auth.Admin: false} {
		for _, resource := range []string{"partners", "suppliers", "customers"} {
			for path, verb := range map[string]string{"": odooapi.List, "/7": odooapi.Get, "/7/image": odooapi.Image} {
				r.get("/api/v1/"+resource+path, r.as(role)).want(http.StatusOK)
				var asked odooapi.Scope
				b.last(resource, verb, &asked)
				if asked.HideInternal != hidden {
					t.Errorf("%s: %s%s: asked %+v", role, resource, path, asked)
				}
			}
		}
	}
}

// What links can be set to is listed as records are, and only listed.
func TestOdooOptions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	for _, option := range erp.Options {
		name := option.Name
		path := "/api/v1/options/" + name
		var page struct{ Total, Page, Limit, Pages int }
		r.get(path+"?search=x&limit=5").decode(http.StatusOK, &page)
		var q odooapi.Query
		b.last(name, odooapi.List, &q)
		if want := (odooapi.Query{Limit: 5, Search: "x"}); !reflect.DeepEqual(q, want) || page.Total != 23 || page.Pages != 5 {
			t.Errorf("%s: asked %+v, got %+v", name, q, page)
		}
		r.get(path + "?id=4&id=5").want(http.StatusOK)
		r.get(path+"?limit=0").problem(http.StatusBadRequest, "limit")
		r.get(path+"?colour=red").problem(http.StatusBadRequest, "colour")
		r.do(http.MethodPost, path, r.as(auth.Operator), jsonBody(`{"name":"x"}`)).want(http.StatusMethodNotAllowed)
		r.get(path + "/4").want(http.StatusNotFound)
	}
	r.get("/api/v1/options/states?country=68").want(http.StatusOK)
	r.get("/api/v1/options/countries?country=68").problem(http.StatusBadRequest, "country")
	r.get("/api/v1/options/secrets").want(http.StatusNotFound)
	r.get("/api/v1/products/fields?a=b").problem(http.StatusBadRequest, "a")
}

func TestOdooFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	for raw, want := range map[string][]rpc.Filter{
		"products?category=4":                          {filter("category", rpc.Eq, "4")},
		"products?category_id=4&category_id=5":         {filter("category", rpc.In, "4", "5")},
		"products?category_ne=4":                       {filter("category", rpc.Ne, "4")},
		"products?category_like=mue":                   {filter("category", rpc.Contains, "mue")},
		"products?category_null=true":                  {filter("category", rpc.Null)},
		"products?low_stock=true&list_price_gte=10.5":  {filter("list_price", rpc.Gte, "10.5"), filter("low_stock", rpc.Eq, "true")},
		"products?active=false&name_startswith=Sil":    {filter("active", rpc.Eq, "false"), filter("name", rpc.StartsWith, "Sil")},
		"products?id_gte=5":                            {filter("id", rpc.Gte, "5")},
		"products?updated_at_gt=2026-11-03T09:00:00Z":  {filter("updated_at", rpc.Gt, "2026-11-03T09:00:00Z")},
		"products?name=&category=&low_stock=&q=":       nil,
		"suppliers?state=448&country_id_ne=68":         {filter("country", rpc.Ne, "68"), filter("state", rpc.Eq, "448")},
		"customers?is_company=true&supplier_rank_gt=0": {filter("is_company", rpc.Eq, "true"), filter("supplier_rank", rpc.Gt, "0")},
		"sales?state=draft&state=sent":                 {filter("state", rpc.In, "draft", "sent")},
		"sales?validity_date_lte=2026-12-31&partner=7": {filter("partner", rpc.Eq, "7"), filter("validity_date", rpc.Lte, "2026-12-31")},
		"sales?amount_total_between=10,20":             {filter("amount_total", rpc.Between, "10", "20")},
	} {
		r.get("/api/v1/" + raw).want(http.StatusOK)
		resource, _, _ := strings.Cut(raw, "?")
		var q odooapi.Query
		b.last(resource, odooapi.List, &q)
		if !reflect.DeepEqual(q.Filters, want) {
			t.Errorf("%s: %+v", raw, q.Filters)
		}
	}
	r.get("/api/v1/products?sort=-list_price,category_id").want(http.StatusOK)
	var q odooapi.Query
	b.last("products", odooapi.List, &q)
	if want := []rpc.Sort{{Field: "list_price", Desc: true}, {Field: "category"}}; !reflect.DeepEqual(q.Sort, want) {
		t.Errorf("sort %+v", q.Sort)
	}
	r.get("/api/v1/sales/summary?state=sale&search=x&id=4&id=3").want(http.StatusOK)
	q = odooapi.Query{}
	b.last("sales", odooapi.Summary, &q)
	if want := (odooapi.Query{Search: "x", Filters: []rpc.Filter{filter("state", rpc.Eq, "sale"), filter("id", rpc.In, "3", "4")}}); !reflect.DeepEqual(q, want) {
		t.Errorf("summary %+v", q)
	}
	b.forget()
	for raw, field := range map[string]string{
		"products?color=red":                        "color",
		"products?currency=1":                       "currency", // to be read only
		"products?has_image=true":                   "has_image",
		"products?category=x":                       "category",
		"products?category=-1":                      "category",
		"products?category=0":                       "category",
		"products?category=2147483648":              "category",
		"products?category=%2B7":                    "category",
		"products?category_gte=4":                   "category_gte",
		"products?low_stock=maybe":                  "low_stock",
		"products?low_stock_gt=true":                "low_stock_gt",
		"products?low_stock_like=t":                 "low_stock_like",
		"products?list_price=many":                  "list_price",
		"products?sort=low_stock":                   "sort",
		"products?_sort=qty_available":              "_sort",
		"products?id=x":                             "id",
		"products?id=0":                             "id",
		"products?search=a&q=b":                     "search",
		"products?page_size=10":                     "page_size",
		"sales?lines=1":                             "lines",
		"sales?state=open":                          "state",
		"sales?date_order_gte=2026-01-01":           "date_order_gte",
		"sales/summary?page=1":                      "page",
		"sales/summary?sort=name":                   "sort",
		"products/7/image?size=100":                 "size",
		"products/7/image?size=x":                   "size",
		"products/7/image?color=red":                "color",
		"products/7?page=1":                         "page",
		"products/x":                                "id",
		"products/0":                                "id",
		"products/99999999999":                      "id",
		"sales?" + strings.Repeat("&id=1", 101)[1:]: "id",
	} {
		r.get("/api/v1/"+raw).problem(http.StatusBadRequest, field)
	}
	b.unasked()
}

func TestOdooPaging(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	for _, resource := range erp.Names() {
		for raw, field := range map[string]string{
			"limit=0": "limit", "limit=101": "limit", "limit=x": "limit", "limit=-1": "limit", "limit=": "limit", "page=0": "page", "page=x": "page",
			"page=1000002": "page", "_start=-1&_end=5": "_start", "_start=0&_end=101": "_end", "_start=5&_end=5": "_end", "_start=0&limit=5": "_start",
		} {
			path := "/api/v1/" + resource + "?" + raw
			if p := r.get(path).problem(http.StatusBadRequest, field); p.Detail != "Parámetros de paginación inválidos" {
				t.Errorf("%s: %q", path, p.Detail)
			}
			if p := r.get(path, header("Accept-Language", "en")).problem(http.StatusBadRequest, field); p.Detail != "Invalid pagination parameters" {
				t.Errorf("%s: %q", path, p.Detail)
			}
		}
		if p := r.get("/api/v1/"+resource+"?limit=0&color=red").problem(http.StatusBadRequest, "limit", "color"); !strings.Contains(p.Detail, "color: no es") {
			t.Errorf("%q", p.Detail)
		}
	}
	b.unasked()
	for _, raw := range []string{"limit=1", "limit=100", "page=3", ""} {
		r.get("/api/v1/products?" + raw).want(http.StatusOK)
	}
}

func TestOdooScope(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	operator := r.as(auth.Operator)
	want := odooapi.Scope{Lang: "en-GB, es;q=0.5", Company: 3}
	scoped := []option{operator, header("Accept-Language", want.Lang), header("X-Company-Id", "3")}
	for _, c := range []struct {
		method, path, resource, verb string
		body                         string
	}{
		{http.MethodGet, "/products", "products", odooapi.List, ""},
		{http.MethodGet, "/products/7", "products", odooapi.Get, ""},
		{http.MethodGet, "/products/7/image", "products", odooapi.Image, ""},
		{http.MethodGet, "/sales/summary", "sales", odooapi.Summary, ""},
		{http.MethodPost, "/products", "products", odooapi.Create, `{"name":"x"}`},
		{http.MethodPatch, "/products/7", "products", odooapi.Update, `{"name":"x"}`},
		{http.MethodDelete, "/products/7", "products", odooapi.Archive, ""},
		{http.MethodPost, "/sales/7/confirm", "sales", "confirm", ""},
		{http.MethodPost, "/sales/7/cancel", "sales", "cancel", ""},
	} {
		options := slices.Clone(scoped)
		if c.body != "" {
			options = append(options, jsonBody(c.body))
		}
		if resp := r.do(c.method, "/api/v1"+c.path, options...); resp.StatusCode >= 300 {
			t.Fatalf("%s: %d %s", c.path, resp.StatusCode, resp.body)
		}
		var q odooapi.Scope
		b.last(c.resource, c.verb, &q)
		if q != want {
			t.Errorf("%s %s: asked %+v", c.method, c.path, q)
		}
		for _, company := range []string{"x", "0", "-1", "1.5", "+3", "99999999999"} {
			r.do(c.method, "/api/v1"+c.path, append(options, header("X-Company-Id", company))...).problem(http.StatusBadRequest, "X-Company-Id")
		}
		p := r.do(c.method, "/api/v1"+c.path, append(options, header("X-Company-Id", "99"))...).problem(http.StatusForbidden)
		if p.Detail != "There is no access to company 99" {
			t.Errorf("%s: %q", c.path, p.Detail)
		}
	}
	resp := r.do(http.MethodOptions, "/api/v1/products", header("Origin", "https://admin.example.com"),
		header("Access-Control-Request-Method", "GET"), header("Access-Control-Request-Headers", "x-company-id"))
	if got := resp.Header.Get("Access-Control-Allow-Headers"); !strings.EqualFold(got, "X-Company-Id") {
		t.Errorf("CORS allows %q", got)
	}
	resp = r.get("/api/v1/products", header("Origin", "https://admin.example.com"))
	for _, name := range []string{"Age", "ETag", "Location", "X-Resonance-Stale", "X-Total-Count"} {
		if !strings.Contains(strings.ToLower(resp.Header.Get("Access-Control-Expose-Headers")), strings.ToLower(name)) {
			t.Errorf("CORS does not expose %s", name)
		}
	}
}

// What is stale says so, and is never mistaken for what is fresh.
func TestOdooFreshness(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := []string{odooapi.HeaderAge, "41", odooapi.HeaderStale, "true", rpc.HeaderETag, `"r1"`, rpc.HeaderTotal, "1"}
	one := jsonOf(r, erp.Products.Example(true))
	r.serveOdoo(map[string]bus.Handler{
		odooapi.Subject("products", odooapi.List):  answer("["+one+"]", old...),
		odooapi.Subject("products", odooapi.Get):   answer(one, old...),
		odooapi.Subject("products", odooapi.Image): answer(pixel, append(old, rpc.HeaderContentType, "image/png")...),
		odooapi.Subject("sales", odooapi.Summary):  answer(jsonOf(r, odoo.ExampleSalesSummary), old...),
		odooapi.Subject("sales", odooapi.Get):      answer(one, odooapi.HeaderAge, "3", rpc.HeaderETag, `"r1"`),
		odooapi.Subject("sales", odooapi.List):     answer("["+one+"]", odooapi.HeaderAge, "x\r\nEvil: 1", rpc.HeaderTotal, "1"),
	})
	for _, path := range []string{"products", "products/7", "products/7/image", "sales/summary"} {
		resp := r.get("/api/v1/"+path, header("If-None-Match", "*")).want(http.StatusOK)
		if resp.Header.Get("Age") != "41" || resp.Header.Get("X-Resonance-Stale") != "true" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
	resp := r.get("/api/v1/sales/7", header("If-None-Match", `"r1"`)).want(http.StatusNotModified)
	if resp.Header.Get("Age") != "3" || resp.Header.Get("X-Resonance-Stale") != "" {
		t.Errorf("%v", resp.Header)
	}
	if resp := r.get("/api/v1/sales"); resp.Header.Get("Age") != "0" || resp.Header.Get("Evil") != "" {
		t.Errorf("%v", resp.Header)
	}
}

func TestOdooRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	operator := r.as(auth.Operator)
	for _, resource := range erp.Names() {
		path := "/api/v1/" + resource
		resp := r.get(path+"/7", header("Accept-Encoding", "gzip")).want(http.StatusOK)
		if resp.Header.Get("ETag") != `"r1"` || resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("Age") != "0" {
			t.Errorf("%v", resp.Header)
		}
		record := string(resp.body)
		r.get(path+"/7", header("If-None-Match", `W/"r1"`)).want(http.StatusNotModified)
		r.get(path + "/8").problem(http.StatusNotFound)

		name := `"name":"Mesa \"ñ\" 🪑"`
		if resource == "sales" {
			name = `"partner_id":12`
		}
		resp = r.do(http.MethodPost, path, operator, jsonBody("{"+name+"}")).want(http.StatusCreated)
		if resp.Header.Get("Location") != path+"/7" || resp.Header.Get("ETag") != `"r1"` || string(resp.body) != record || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v %s", resp.Header, resp.body)
		}
		var w odooapi.Write
		b.last(resource, odooapi.Create, &w)
		field, value, _ := strings.Cut(name, ":")
		if w.ID != 0 || len(w.Values) != 1 || string(w.Values[strings.Trim(field, `"`)]) != value {
			t.Errorf("asked %+v", w)
		}

		resp = r.do(http.MethodPatch, path+"/7", operator, jsonBody("{"+name+"}"), header("If-Match", `W/"r1"`)).want(http.StatusOK)
		if resp.Header.Get("ETag") != `"r2"` || string(resp.body) != record {
			t.Errorf("%v %s", resp.Header, resp.body)
		}
		b.last(resource, odooapi.Update, &w)
		if w.ID != 7 || w.IfMatch != `"r1"` {
			t.Errorf("asked %+v", w)
		}
		r.do(http.MethodPatch, path+"/7", operator, jsonBody("{"+name+"}"), header("If-Match", "*")).want(http.StatusOK)
		w = odooapi.Write{}
		b.last(resource, odooapi.Update, &w)
		if w.IfMatch != "" {
			t.Errorf("asked %+v", w)
		}
		r.do(http.MethodPatch, path+"/7", operator, jsonBody("{"+name+"}"), header("If-Match", `"r0"`)).problem(http.StatusPreconditionFailed)
		r.do(http.MethodPatch, path+"/7", operator, jsonBody("{"+name+"}"), header("If-Match", `"r1", "r0"`)).problem(http.StatusBadRequest, "If-Match")
		r.do(http.MethodPatch, path+"/7", operator, jsonBody("{"+name+"}"), header("If-Match", `r1`)).problem(http.StatusBadRequest, "If-Match")
		r.do(http.MethodPatch, path+"/8", operator, jsonBody("{"+name+"}")).problem(http.StatusNotFound)
		r.do(http.MethodPatch, path+"/7?x=1", operator, jsonBody("{"+name+"}")).problem(http.StatusBadRequest, "x")

		// Refine's deleteOne sends a body, and reads the record.
		resp = r.do(http.MethodDelete, path+"/7", operator, jsonBody(`{"any":"thing"}`)).want(http.StatusOK)
		if resp.Header.Get("ETag") != `"r2"` || string(resp.body) != record {
			t.Errorf("%v %s", resp.Header, resp.body)
		}
		var one odooapi.RecordRef
		b.last(resource, odooapi.Archive, &one)
		if one.ID != 7 {
			t.Errorf("asked %+v", one)
		}
		r.do(http.MethodDelete, path+"/8", operator).problem(http.StatusNotFound)
		r.do(http.MethodDelete, path+"/409", operator).problem(http.StatusConflict, "barcode")
		r.do(http.MethodDelete, path+"/7", operator, header("If-Match", `"r1"`)).problem(http.StatusBadRequest, "If-Match")

		for _, call := range [][2]string{{http.MethodPost, path}, {http.MethodPatch, path + "/7"}, {http.MethodDelete, path + "/7"}} {
			r.do(call[0], call[1], r.as(auth.Viewer), jsonBody("{"+name+"}")).problem(http.StatusForbidden)
			r.do(call[0], call[1], jsonBody("{"+name+"}")).problem(http.StatusUnauthorized)
		}
	}
	for _, verb := range []string{"confirm", "cancel"} {
		path := "/api/v1/sales/7/" + verb
		if resp := r.do(http.MethodPost, path, operator).want(http.StatusOK); resp.Header.Get("ETag") != `"r2"` {
			t.Errorf("%v", resp.Header)
		}
		r.do(http.MethodPost, path, r.as(auth.Viewer)).problem(http.StatusForbidden)
		r.do(http.MethodPost, strings.Replace(path, "7", "409", 1), operator).problem(http.StatusConflict, "barcode")
		r.do(http.MethodPost, strings.Replace(path, "sales", "products", 1), operator).problem(http.StatusNotFound)
	}
}

// The document judges bodies as odoo-bridge does, and the gateway looks at nothing but their form.
func TestOdooBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	d := readDocument(r)
	operator := r.as(auth.Operator)
	data, err := os.ReadFile("../../../../pkg/erp/testdata/bodies.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Method, Resource, Body string
		Fields                 []string // at fault
	}
	decodeJSON(t, data, &cases)
	long := strings.Repeat(`{"product":7},`, odooapi.MaxLines)
	for _, c := range append(cases, []struct {
		Method, Resource, Body string
		Fields                 []string
	}{
		{"POST", "products", `{"name":"` + strings.Repeat("x", odooapi.MaxString+1) + `"}`, []string{"name"}},
		{"POST", "sales", `{"partner":12,"lines":[` + long + `{"product":7}]}`, []string{"lines"}},
	}...) {
		pattern, path := "/api/v1/"+c.Resource, "/api/v1/"+c.Resource
		if c.Method == http.MethodPatch {
			pattern, path = pattern+"/{id}", path+"/7"
		}
		documented := d.valid(fmt.Sprintf("/paths/%s/%s/requestBody/content/application~1json/schema", escape(pattern), strings.ToLower(c.Method)), c.Body)
		if documented != (len(c.Fields) == 0) {
			t.Errorf("%s %s: by the document %t, %s", c.Method, c.Resource, documented, c.Body[:min(len(c.Body), 200)])
		}
		if resp := r.do(c.Method, path, operator, jsonBody(c.Body)); resp.StatusCode >= 300 {
			t.Errorf("%s: %d %s", c.Body[:min(len(c.Body), 200)], resp.StatusCode, resp.body)
		}
	}
	b.forget()
	for _, body := range []string{"", "{", "null", "[]", `"x"`, `{"name":"` + "\xff" + `"}`, strings.Repeat("[", 20_000)} {
		r.do("POST", "/api/v1/products", operator, jsonBody(body)).problem(http.StatusBadRequest)
	}
	r.do("PATCH", "/api/v1/products/7", operator, jsonBody("{}")).problem(http.StatusBadRequest)
	r.do("POST", "/api/v1/products", operator, form("name=x")).problem(http.StatusUnsupportedMediaType)
	r.do("POST", "/api/v1/products", operator, jsonBody(`{"name":"`+strings.Repeat("x", maxBody)+`"}`)).problem(http.StatusRequestEntityTooLarge)
	b.unasked()
}

// examples are records of each resource.
func examples() map[string]any {
	all := map[string]any{}
	for _, r := range erp.Resources {
		all[r.Name] = r.Example(true)
	}
	return all
}

// valid reports whether a body is so by the schema at pointer.
func (d *document) valid(pointer, body string) bool {
	d.Helper()
	schema, err := d.compiler.Compile("doc:openapi#" + pointer)
	if err != nil {
		d.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	return schema.Validate(value) == nil
}

func TestOdooImages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const svg = `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`
	b := r.serveOdoo(map[string]bus.Handler{
		odooapi.Subject("suppliers", odooapi.Image): answer(svg, rpc.HeaderETag, `"s"`, rpc.HeaderContentType, "image/svg+xml"),
		odooapi.Subject("customers", odooapi.Image): answer("<script>", rpc.HeaderETag, `"s"`, rpc.HeaderContentType, "text/html"),
	})
	resp := r.get("/api/v1/products/7/image?size=256", header("Accept-Encoding", "gzip")).want(http.StatusOK)
	for name, want := range map[string]string{
		"Content-Type": "image/png", "ETag": `"i1"`, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "", "Content-Encoding": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if string(resp.body) != pixel {
		t.Errorf("%q", resp.body)
	}
	var q odooapi.ImageRef
	b.last("products", odooapi.Image, &q)
	if q.ID != 7 || q.Size != 256 {
		t.Errorf("asked %+v", q)
	}
	r.get("/api/v1/products/7/image").want(http.StatusOK)
	b.last("products", odooapi.Image, &q)
	if q.Size != 128 {
		t.Errorf("asked %+v", q)
	}
	if resp := r.get("/api/v1/products/7/image", header("If-None-Match", `"i1"`)).want(http.StatusNotModified); len(resp.body) > 0 {
		t.Errorf("%q", resp.body)
	}
	r.get("/api/v1/products/8/image").problem(http.StatusNotFound)
	r.do(http.MethodGet, "/api/v1/products/7/image").problem(http.StatusUnauthorized)
	for _, path := range []string{"/api/v1/suppliers/7/image", "/api/v1/customers/7/image"} {
		h := r.get(path).want(http.StatusOK).Header
		if h.Get("Content-Type") != "application/octet-stream" || h.Get("Content-Disposition") != "attachment" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
	r.get("/api/v1/sales/7/image").problem(http.StatusNotFound)
}

// The bridge's faults pass through: fields, both languages, Retry-After; and nothing else does.
func TestOdooFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	away := &fault.Error{Code: fault.Unavailable, Detail: fault.T("Odoo no responde", "Odoo does not answer"), RetryAfter: 30 * time.Second}
	r.serveOdoo(map[string]bus.Handler{
		odooapi.Subject("products", odooapi.Create): refuse(&fault.Error{
			Code: fault.Invalid, Detail: fault.T("Odoo no lo acepta", "Odoo does not accept it"), Fields: map[string]fault.Text{"uom": fault.T("otra categoría", "another category")},
		}),
		odooapi.Subject("products", odooapi.List):    refuse(away),
		odooapi.Subject("products", odooapi.Get):     refuse(errors.New("Traceback (most recent call last)")),
		odooapi.Subject("products", odooapi.Image):   refuse(fault.New(fault.TooLarge, fault.T("demasiado grande", "too large"))),
		odooapi.Subject("suppliers", odooapi.Create): answer(`{"name":"no id"}`),
		odooapi.Subject("suppliers", odooapi.List):   answer(`{}`, rpc.HeaderTotal, "1"),
	})
	operator, en := r.as(auth.Operator), header("Accept-Language", "en")
	p := r.do("POST", "/api/v1/products", operator, en, jsonBody(`{"name":"x"}`)).problem(http.StatusBadRequest, "uom")
	if p.Detail != "Odoo does not accept it" || p.Errors["uom"] != "another category" {
		t.Errorf("%+v", p)
	}
	resp := r.get("/api/v1/products")
	if p := resp.problem(http.StatusServiceUnavailable); p.Detail != "Odoo no responde" || resp.Header.Get("Retry-After") != "30" {
		t.Errorf("%+v %v", p, resp.Header)
	}
	if p := r.get("/api/v1/products/7", en).problem(http.StatusInternalServerError); p.Detail != "Internal error" {
		t.Errorf("%+v", p)
	}
	r.get("/api/v1/products/7/image").problem(http.StatusRequestEntityTooLarge)
	r.do("POST", "/api/v1/suppliers", operator, jsonBody(`{"name":"x"}`)).problem(http.StatusInternalServerError)
	r.get("/api/v1/suppliers").problem(http.StatusInternalServerError)
}

// Odoo may take longer than the other services do; a process that drains waits a little for it.
func TestOdooMayTakeItsTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	waiting := make(chan struct{}, 2)
	r.serveOdoo(map[string]bus.Handler{
		odooapi.Subject("products", odooapi.List): func(ctx context.Context, data []byte) (bus.Reply, error) {
			waiting <- struct{}{}
			select {
			case <-time.After(route.Timeout + 200*time.Millisecond):
			case <-ctx.Done():
			}
			return answer("[]", rpc.HeaderTotal, "0")(ctx, data)
		},
		odooapi.Subject("products", odooapi.Get): func(ctx context.Context, _ []byte) (bus.Reply, error) {
			waiting <- struct{}{}
			<-ctx.Done()
			return bus.Reply{}, ctx.Err()
		},
	})
	r.get("/api/v1/products").want(http.StatusOK)
	<-waiting
	answered := make(chan int, 1)
	go func() {
		resp, err := r.send(http.MethodGet, "/api/v1/products/7", r.as(auth.Viewer))
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		answered <- resp.StatusCode
	}()
	<-waiting
	began := time.Now()
	close(r.draining)
	if status := <-answered; status != http.StatusServiceUnavailable || time.Since(began) > route.PeerTimeout-2*time.Second {
		t.Errorf("%d after %s", status, time.Since(began))
	}
}

// A login at Odoo: who it is, and that nothing of it is logged.
func TestOdooLogin(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *auth.Config) {
		c.Odoo = func(_ context.Context, who odooapi.Credentials) (odooapi.User, error) {
			switch who {
			case odooapi.Credentials{Username: "eva@example.com", Password: "s3cret in Odoo"}:
				return odooapi.User{UID: 7, Name: "Eva Núñez", Role: "operator"}, nil
			case odooapi.Credentials{Username: "portal", Password: "x"}:
				return odooapi.User{}, fault.New(fault.Forbidden, fault.T("No es interno", "Is not internal"))
			case odooapi.Credentials{Username: "eva@example.com", Password: "away"}:
				return odooapi.User{}, fault.Away("Odoo", nats.ErrTimeout)
			}
			return odooapi.User{}, fault.New(fault.Unauthenticated, fault.T("no", "no"))
		}
	})
	r.serveOdoo(nil)
	var tokens session.Tokens
	r.do("POST", "/token", form("username=eva@example.com&password=s3cret+in+Odoo")).decode(http.StatusOK, &tokens)
	if tokens.Role != auth.Operator {
		t.Errorf("%+v", tokens)
	}
	var me session.Me
	r.do("GET", "/api/me", bearer(tokens.AccessToken)).decode(http.StatusOK, &me)
	if me != (session.Me{Username: "eva@example.com", Name: "Eva Núñez", Role: auth.Operator, Provider: "odoo"}) {
		t.Errorf("%+v", me)
	}
	r.do("POST", "/token/refresh", form("refresh_token="+tokens.RefreshToken)).decode(http.StatusOK, &tokens)
	r.do("GET", "/api/me", bearer(tokens.AccessToken)).decode(http.StatusOK, &me)
	if me.Provider != "odoo" || me.Name != "Eva Núñez" {
		t.Errorf("%+v", me)
	}
	r.do("POST", "/api/v1/products", bearer(tokens.AccessToken), jsonBody(`{"name":"x"}`)).want(http.StatusCreated)

	r.do("POST", "/token", form("username=portal&password=x")).problem(http.StatusForbidden)
	if resp := r.do("POST", "/token", form("username=eva@example.com&password=away")).want(http.StatusServiceUnavailable); resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%v", resp.Header)
	}
	p := r.do("POST", "/token", form("username=eva@example.com&password=wrong")).problem(http.StatusUnauthorized)
	if !strings.HasPrefix(p.Detail, "Usuario o contraseña incorrectos") || !strings.Contains(p.Detail, "clave API") { // as two-factor authentication needs
		t.Errorf("%+v", p)
	}
	r.do("POST", "/token", form("username=viewer&password=correct+horse")).problem(http.StatusUnauthorized)
	r.do("POST", "/token", form("username=admin&password=correct+horse")).decode(http.StatusOK, &tokens)
	r.do("GET", "/api/me", bearer(tokens.AccessToken)).decode(http.StatusOK, &me)
	if me.Provider != "local" || me.Role != auth.Admin {
		t.Errorf("%+v", me)
	}
	if strings.Contains(r.log.String(), "s3cret") {
		t.Error("a password is logged")
	}
	d := readDocument(r)
	if d.lookup("/token", "post", "403") == nil {
		t.Error("403 of /token is not listed")
	}
}

// callOdoo brings about every answer that is listed of Odoo's operations; call checks them.
func (r *rig) callOdoo(call func(status int, method, pattern, path string, options ...option)) {
	viewer, operator := r.as(auth.Viewer), r.as(auth.Operator)
	tooBig := jsonBody(strings.Repeat(" ", maxBody+1))
	type operation struct {
		method, pattern string
		status          int
		body            string // "": none
		bad             string // a path, or a body, that is invalid
	}
	var all []operation
	for _, resource := range erp.Names() {
		list := "/api/v1/" + resource
		one, body := list+"/{id}", `{"name":"x"}`
		if resource == "sales" {
			body = `{"partner":12}`
			all = append(all,
				operation{http.MethodPost, one + "/confirm", http.StatusOK, "", ""}, operation{http.MethodPost, one + "/cancel", http.StatusOK, "", ""},
				operation{http.MethodGet, list + "/summary", http.StatusOK, "", ""})
		} else {
			all = append(all, operation{http.MethodGet, one + "/image", http.StatusOK, "", ""})
		}
		all = append(all,
			operation{http.MethodGet, list, http.StatusOK, "", ""}, operation{http.MethodGet, one, http.StatusOK, "", ""},
			operation{http.MethodPost, list, http.StatusCreated, body, ""}, operation{http.MethodPatch, one, http.StatusOK, body, ""},
			operation{http.MethodDelete, one, http.StatusOK, "", ""}, operation{http.MethodGet, list + "/fields", http.StatusOK, "", ""})
	}
	all = append(all, operation{http.MethodGet, "/api/v1/options/{list}", http.StatusOK, "", ""})
	each := func(do func(op operation, path string, options []option)) {
		for _, op := range all {
			options := []option{operator}
			if op.method == http.MethodGet {
				options[0] = viewer
			}
			if op.body != "" {
				options = append(options, jsonBody(op.body))
			}
			do(op, strings.NewReplacer("{id}", "7", "{list}", "states").Replace(op.pattern), options)
		}
	}
	each(func(op operation, path string, options []option) {
		call(http.StatusServiceUnavailable, op.method, op.pattern, path, options...)
	})
	r.serveOdoo(nil)
	each(func(op operation, path string, options []option) {
		call(op.status, op.method, op.pattern, path, options...)
		call(http.StatusBadRequest, op.method, op.pattern, path+"?colour=red", options...)
		call(http.StatusUnauthorized, op.method, op.pattern, path)
		call(http.StatusForbidden, op.method, op.pattern, path, append(options, header("X-Company-Id", "99"))...)
		call(http.StatusRequestEntityTooLarge, op.method, op.pattern, path, append(options, tooBig)...)
		if path != op.pattern {
			call(http.StatusNotFound, op.method, op.pattern, strings.NewReplacer("7", "8", "states", "secrets").Replace(path), options...)
		}
		if op.method == http.MethodGet {
			call(http.StatusNotModified, op.method, op.pattern, path, append(options, header("If-None-Match", "*"))...)
			return
		}
		taken := strings.NewReplacer(`"x"`, `"taken"`, `12}`, `12,"client_order_ref":"taken"}`).Replace(op.body)
		if op.body == "" {
			call(http.StatusConflict, op.method, op.pattern, strings.Replace(path, "7", "409", 1), options...)
			return
		}
		call(http.StatusConflict, op.method, op.pattern, path, append(options, jsonBody(taken))...)
		call(http.StatusUnsupportedMediaType, op.method, op.pattern, path, append(options, body("text/plain", "x"))...)
		if op.method == http.MethodPatch {
			call(http.StatusPreconditionFailed, op.method, op.pattern, path, append(options, header("If-Match", `"r0"`))...)
		}
	})
	call(http.StatusOK, http.MethodGet, "/api/v1/products", "/api/v1/products?_start=0&_end=5", viewer)
}

// The resources are documented as odooapi describes them.
func TestOdooShapes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := readDocument(r)
	schemas := d.root["components"].(map[string]any)["schemas"].(map[string]any)
	for resource, kind := range map[string]string{"products": "Product", "suppliers": "Partner", "sales": "Sale"} {
		var written []string
		for _, f := range erp.Named(resource).Fields {
			if schemas[kind].(map[string]any)["properties"].(map[string]any)[f.Name] == nil {
				t.Errorf("%s has no %s", kind, f.Name)
			}
			if f.Has(rpc.Written) {
				written = append(written, f.Name)
				if f.Kind == rpc.Link {
					written = append(written, f.Name+"_id")
				}
			}
		}
		slices.Sort(written)
		for _, name := range []string{kind + "Create", kind + "Update"} {
			if got := slices.Sorted(maps.Keys(schemas[name].(map[string]any)["properties"].(map[string]any))); !slices.Equal(got, written) {
				t.Errorf("%s has %v, want %v", name, got, written)
			}
		}
	}
}
