package odootest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"image/png"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// must calls and fails the test on a fault.
func must(t *testing.T, c *client, model, method string, args []any, kw Values) any {
	t.Helper()
	v, err := c.call(model, method, args, kw)
	if err != nil {
		t.Fatalf("%s.%s: %v", model, method, err)
	}
	return v
}

// refused calls and returns the fault.
func refused(t *testing.T, c *client, model, method string, args []any, kw Values) *rpcError {
	t.Helper()
	v, err := c.call(model, method, args, kw)
	f, ok := errors.AsType[*rpcError](err)
	if !ok {
		t.Fatalf("%s.%s: %v, %v", model, method, v, err)
	}
	return f
}

func ids(v any) []int {
	out, _ := toIDs(v)
	return out
}

func TestSamples(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)
	cfg := Config{Samples: true, Seed: 7, Now: func() time.Time { return at }}
	a, b := New(cfg), New(cfg)
	cfg.Seed = 8
	other := New(cfg)
	same := true
	for model := range a.db.models {
		for _, id := range a.IDs(model) {
			if !reflect.DeepEqual(a.Read(model, id), b.Read(model, id)) {
				t.Fatalf("%s %d differs between two of the same seed", model, id)
			}
			same = same && reflect.DeepEqual(a.Read(model, id), other.Read(model, id))
		}
	}
	if same {
		t.Error("another seed makes the same samples")
	}
	states, months, images := map[any]int{}, map[string]int{}, 0
	for _, id := range a.IDs("sale.order") {
		o := a.Read("sale.order", id)
		states[o["state"]]++
		months[o["date_order"].(string)[:7]]++
		sum := 0.0
		for _, line := range ids(o["order_line"]) {
			l := a.Read("sale.order.line", line)
			sum += l["price_total"].(float64)
		}
		if round(sum) != o["amount_total"] || o["amount_total"].(float64) <= 0 || round(o["amount_untaxed"].(float64)+o["amount_tax"].(float64)) != o["amount_total"] {
			t.Errorf("order %d: lines %v, order %v", id, sum, o["amount_total"])
		}
	}
	for _, id := range a.IDs("product.template") {
		if s, ok := a.Read("product.template", id)["image_128"].(string); ok {
			images++
			raw, _ := base64.StdEncoding.DecodeString(s)
			img, err := png.Decode(bytes.NewReader(raw))
			if err != nil || img.Bounds().Dx() != 128 {
				t.Errorf("product %d: image %v %v", id, img, err)
			}
		}
	}
	if len(states) != 4 || len(months) < 12 || images < 15 {
		t.Errorf("states %v, months %v, %d images", states, months, images)
	}
}

// What older versions do otherwise.
func TestOlder(t *testing.T) {
	t.Parallel()
	t.Run("14", func(t *testing.T) {
		t.Parallel()
		s, c := dial(t, Config{Version: 14, Samples: true})
		partner := must(t, c, "res.partner", "create", []any{Values{"name": "Ñ", "mobile": "600"}}, nil)
		product := must(t, c, "product.product", "create", []any{Values{"name": "P", "type": "product", "barcode": "1", "lst_price": 9.999}}, nil).(int)
		if v := s.Read("product.product", product)["lst_price"]; v != 10.0 {
			t.Errorf("price %v", v)
		}
		line := Values{"product_id": product, "product_uom_qty": 2, "tax_id": []any{[]any{6, 0, []any{}}}}
		order := must(t, c, "sale.order", "create", []any{Values{"partner_id": partner, "order_line": []any{[]any{0, 0, line}}}}, nil).(int)
		for range 2 { // confirmed again without complaint
			must(t, c, "sale.order", "action_confirm", []any{[]int{order}}, nil)
		}
		must(t, c, "sale.order", "action_done", []any{[]int{order}}, nil)
		o := s.Read("sale.order", order)
		if o["state"] != "done" || o["amount_total"] != 20.0 || o["locked"] != nil {
			t.Errorf("order %v", o)
		}
		if f := refused(t, c, "sale.order", "action_confirm", []any{[]int{order}}, nil); f.code != 2 {
			t.Error(f)
		}
		if f := refused(t, c, "product.product", "create", []any{Values{"name": "Q", "barcode": "1"}}, nil); f.code != 2 || f.text != "product_product_barcode_uniq" {
			t.Error(f)
		}
		if f := refused(t, c, "product.product", "create", []any{Values{"name": "Q", "barcode": "1"}}, Values{"context": Values{"lang": "en_US"}}); f.text != "A barcode can only be assigned to one product !" {
			t.Error(f)
		}
		if f := refused(t, c, "sale.order", "create", []any{Values{}}, nil); f.code != 2 || !strings.Contains(f.text, "mandatory field") {
			t.Error(f)
		}
		page := must(t, c, "product.template", "web_search_read", []any{[]any{}, []any{"name", "categ_id"}}, Values{"limit": 3}).(map[string]any)
		row := page["records"].([]any)[0].(map[string]any)
		if _, pair := row["categ_id"].([]any); !pair || page["length"].(int) < 50 || len(page["records"].([]any)) != 3 {
			t.Errorf("page %v", page)
		}
		groups := must(t, c, "sale.order", "read_group", []any{[]any{}, []any{"amount_total"}, []any{"state"}}, nil).([]any)
		if g := groups[0].(map[string]any); g["state_count"] == nil || g["amount_total"] == nil {
			t.Errorf("groups %v", groups)
		}
		if f := refused(t, c, "sale.order", "formatted_read_group", []any{[]any{}}, nil); f.code != 1 {
			t.Error(f)
		}
		if v := must(t, c, "res.users", "has_group", []any{"base.group_system"}, nil); v != true {
			t.Error("admin is no administrator")
		}
		// To the microsecond: what was written in this second is later than the second.
		at := s.Read("sale.order", order)["write_date"]
		if n := must(t, c, "sale.order", "search_count", []any{[]any{[]any{"id", "=", order}, []any{"write_date", ">", at}}}, nil); n != 1 {
			t.Errorf("%v records after their own second", n)
		}
		if v, err := c.json("res.partner", "search", Values{}); err == nil || !strings.HasPrefix(err.Error(), "status 404") {
			t.Errorf("JSON-2 before 19: %v %v", v, err)
		}
	})
	t.Run("17", func(t *testing.T) {
		t.Parallel()
		s, c := dial(t, Config{Version: 17, Samples: true})
		var order int
		for _, id := range s.IDs("sale.order") {
			if o := s.Read("sale.order", id, "state", "locked"); o["state"] == "sale" && o["locked"] == false {
				order = id
			}
		}
		wizard := must(t, c, "sale.order", "action_cancel", []any{[]int{order}}, nil)
		if m, _ := wizard.(map[string]any); m["res_model"] != "sale.order.cancel" || s.Read("sale.order", order)["state"] != "sale" {
			t.Errorf("cancelled with %v", wizard)
		}
		must(t, c, "sale.order", "action_cancel", []any{[]int{order}}, Values{"context": Values{"disable_cancel_warning": true}})
		if state := s.Read("sale.order", order)["state"]; state != "cancel" {
			t.Errorf("state %v", state)
		}
		p := must(t, c, "product.template", "create", []any{Values{"name": "S", "detailed_type": "product"}}, nil).(int)
		if kind := s.Read("product.template", p)["type"]; kind != "product" {
			t.Errorf("type %v", kind)
		}
	})
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	s, c := dial(t, Config{Samples: true})
	es := Values{"context": Values{"lang": "es_ES"}}
	product := s.IDs("product.template")[0]
	name := func(kw Values) any {
		return must(t, c, "product.template", "read", []any{[]int{product}, []any{"name"}}, kw).([]any)[0].(map[string]any)["name"]
	}
	if name(nil) != "Football size 5" || name(es) != "Balón de fútbol talla 5" {
		t.Errorf("names %v, %v", name(nil), name(es))
	}
	must(t, c, "product.template", "write", []any{[]int{product}, Values{"name": "Esférico"}}, es)
	if name(nil) != "Football size 5" || name(es) != "Esférico" {
		t.Errorf("names %v, %v", name(nil), name(es))
	}
	product = must(t, c, "product.template", "create", []any{Values{"name": "Silla"}}, es).(int)
	if name(nil) != "Silla" || name(es) != "Silla" {
		t.Errorf("names %v, %v", name(nil), name(es))
	}
	f := refused(t, c, "sale.order", "create", []any{Values{}}, es)
	if f.code != 2 || !strings.Contains(f.text, "Falta el valor requerido para el campo 'Cliente' (partner_id)") {
		t.Error(f)
	}
	about := must(t, c, "sale.order", "fields_get", []any{[]any{"state"}}, es).(map[string]any)["state"].(map[string]any)
	if about["string"] != "Estado" || about["selection"].([]any)[0].([]any)[1] != "Presupuesto" {
		t.Errorf("about %v", about)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	s, admin := dial(t, Config{Samples: true, Users: []User{
		{Login: "admin", Password: "a"}, {Login: "sales", Password: "s", Role: Sales}, {Login: "reader", Password: "r", APIKey: "k", Role: ReadOnly},
	}})
	sales, reader := admin.as(s.users[1]), admin.as(s.users[2])
	for _, u := range s.Config().Users {
		if uid, err := admin.raw("common", "authenticate", s.Config().Database, u.Login, u.APIKey, Values{}); err != nil || uid == false {
			t.Errorf("%s by key: %v %v", u.Login, uid, err)
		}
	}
	if _, err := sales.json("res.partner", "search_count", Values{"domain": []any{}}); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		c      *client
		model  string
		denied bool
	}{
		{admin, "product.template", false}, {sales, "product.template", true}, {sales, "res.partner", false}, {reader, "res.partner", true}, {reader, "product.template", true},
	} {
		id := s.IDs(c.model)[len(s.IDs(c.model))-1]
		_, err := c.c.call(c.model, "write", []any{[]int{id}, Values{"name": "x"}}, nil)
		f, _ := errors.AsType[*rpcError](err)
		if c.denied != (f != nil) || f != nil && (f.code != 4 || !strings.HasPrefix(f.text, "You are not allowed to modify")) {
			t.Errorf("user %d on %s: %v", c.c.uid, c.model, err)
		}
		if may, err := c.c.call(c.model, "check_access_rights", []any{"write", false}, nil); err != nil || may == c.denied {
			t.Errorf("user %d on %s: may %v, %v", c.c.uid, c.model, may, err)
		}
	}
	for group, want := range map[string]bool{"sales_team.group_sale_salesman": true, "sales_team.group_sale_manager": false, "base.group_user": true, "no.such": false} {
		if v := must(t, sales, "res.users", "has_group", []any{[]int{sales.uid}, group}, nil); v != want {
			t.Errorf("sales in %s: %v", group, v)
		}
	}
	// Companies: one alone sees only its own.
	one := Values{"context": Values{"allowed_company_ids": []int{2}}}
	all := must(t, admin, "sale.order", "search_count", []any{[]any{}}, nil).(int)
	second := must(t, admin, "sale.order", "search_count", []any{[]any{}}, one).(int)
	if all != 150 || second != 10 {
		t.Errorf("%d sales, %d in the second company", all, second)
	}
	if f := refused(t, admin, "sale.order", "read", []any{[]int{1}, []any{"name"}}, one); f.code != 4 {
		t.Error(f)
	}
	created := must(t, admin, "sale.order", "create", []any{Values{"partner_id": s.IDs("res.partner")[5]}}, one).(int)
	if company := s.Read("sale.order", created, "company_id")["company_id"].([]any); company[0] != 2 {
		t.Errorf("company %v", company)
	}
}

// A fault takes back everything its call did.
func TestRollback(t *testing.T) {
	t.Parallel()
	s, c := dial(t, Config{Samples: true})
	before := map[string][]int{}
	for model := range s.db.models {
		before[model] = s.IDs(model)
	}
	partner, product := s.IDs("res.partner")[9], s.IDs("product.product")[3]
	was := s.Read("res.partner", partner)
	refused(t, c, "res.partner", "create", []any{[]any{Values{"name": "a", "parent_id": partner}, Values{"name": "b", "type": "nonsense"}}}, nil)
	refused(t, c, "res.partner", "write", []any{[]int{partner, 99999}, Values{"name": "changed"}}, nil)
	refused(t, c, "sale.order", "create", []any{Values{"partner_id": partner, "order_line": []any{
		[]any{0, 0, Values{"product_id": product}}, []any{0, 0, Values{"product_id": product, "product_uom_qty": "x"}},
	}}}, nil)
	refused(t, c, "product.template", "create", []any{[]any{Values{"name": "a", "barcode": "same"}, Values{"name": "b", "barcode": "same"}}}, nil)
	for model, was := range before {
		if !slices.Equal(was, s.IDs(model)) {
			t.Errorf("%s: %v, was %v", model, s.IDs(model), was)
		}
	}
	if is := s.Read("res.partner", partner); !reflect.DeepEqual(is, was) {
		t.Errorf("partner %v\nwas %v", is, was)
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	var mu sync.Mutex
	s, c := dial(t, Config{Samples: true, Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	later := func() { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Hour) }
	id, err := s.Create("product.template", Values{"name": "Nuevo", "list_price": 3})
	if err != nil {
		t.Fatal(err)
	}
	written := func() any { return s.Read("product.template", id, "write_date")["write_date"] }
	if written() != "2026-01-02 03:04:05" {
		t.Error(written())
	}
	later()
	if err := s.SetStock(id, 12); err != nil || written() != "2026-01-02 03:04:05" || s.Read("product.template", id)["qty_available"] != 12.0 {
		t.Errorf("stock: %v, written %v", err, written())
	}
	if err := s.Write("product.template", id, Values{"list_price": 4}); err != nil || written() != "2026-01-02 04:04:05" {
		t.Errorf("write: %v, written %v", err, written())
	}
	if err := s.Write("product.template", id, Values{"nofield": 4}); err == nil {
		t.Error("an unknown field was written")
	}
	if err := s.Delete("product.template", id, s.IDs("product.template")[0]); err != nil { // the second was sold
		t.Error(err)
	}
	if v := must(t, c, "product.template", "read", []any{[]int{id}, []any{"name"}}, nil); len(v.([]any)) != 0 || s.Read("product.template", id) != nil {
		t.Errorf("read %v", v)
	}
	if _, err := s.Create("no.model", nil); err == nil {
		t.Error("a record of no model was made")
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	s, c := dial(t, Config{Samples: true})
	count := func() (any, error) { return c.call("res.partner", "search_count", []any{[]any{}}, nil) }
	for _, do := range []Effect{HTML, BadGateway, Unavailable, Drop, CutConnection} {
		f := s.Fail(Fault{Model: "res.partner", Do: do, After: 1})
		if _, err := count(); err != nil {
			t.Errorf("%s: too early: %v", do, err)
		}
		if v, err := count(); err == nil {
			t.Errorf("%s: %v", do, v)
		}
		if _, err := count(); err != nil || f.Hits() != 1 {
			t.Errorf("%s: too long, %d times: %v", do, f.Hits(), err)
		}
		<-f.Done()
	}
	// Undone, or done and hidden.
	s.Fail(Fault{Method: "create", Do: BadGateway})
	s.Fail(Fault{Method: "create", Do: Drop, Applied: true})
	before := len(s.IDs("res.partner"))
	for i := range 2 {
		if v, err := c.call("res.partner", "create", []any{Values{"name": "x"}}, nil); err == nil {
			t.Error(v)
		}
		if n := len(s.IDs("res.partner")); n != before+i {
			t.Errorf("%d partners after the fault, %d before", n, before)
		}
	}
	if v, err := c.json("res.partner", "search_count", Values{"domain": []any{}}); err != nil {
		t.Error(v, err)
	}
	s.Fail(Fault{Protocol: JSON2, Do: HTML})
	if _, err := count(); err != nil {
		t.Error(err)
	}
	if v, err := c.json("res.partner", "search_count", Values{"domain": []any{}}); err == nil {
		t.Error(v)
	}

	// Slow, eight at once.
	s.ResetCalls()
	s.SetDelay(100 * time.Millisecond)
	began := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := count(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if calls := s.Calls(); calls[Call{"res.partner", "search_count"}] != 8 || calls.Total() != 8 || s.MaxInFlight() < 2 {
		t.Errorf("calls %v, %d at once", calls, s.MaxInFlight())
	}
	s.SetDelay(0)

	// Hanging until the client gives up, and until Odoo goes away.
	s.Fail(Fault{Do: Hang, Times: -1})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/xmlrpc/2/common", strings.NewReader("<methodCall><methodName>version</methodName></methodCall>"))
	failed := make(chan error)
	go func() {
		res, err := testClient.Do(req)
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	for s.InFlight() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("an answer from a hanging Odoo")
	}
	go func() { _, err := count(); failed <- err }()
	for s.Calls()[Call{"res.partner", "search_count"}] != 9 {
		time.Sleep(time.Millisecond)
	}
	s.Stop()
	if err := <-failed; err == nil {
		t.Error("an answer from a stopped Odoo")
	}
	if _, err := count(); err == nil {
		t.Error("an answer from a stopped Odoo")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.control.mu.Lock()
	f := s.control.faults[0]
	s.control.mu.Unlock()
	f.Cancel()
	if n, err := count(); err != nil || n.(int) == 0 {
		t.Errorf("after the restart: %v %v", n, err)
	}
}

// Many readers and writers at once, for the race detector.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s, c := dial(t, Config{Samples: true})
	product := s.IDs("product.product")[2]
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for range 10 {
				var err error
				switch i {
				case 0:
					_, err = c.call("sale.order", "create", []any{Values{"partner_id": 3, "order_line": []any{[]any{0, 0, Values{"product_id": product}}}}}, nil)
				case 1:
					_, err = c.call("product.template", "write", []any{[]int{product}, Values{"list_price": 5}}, Values{"context": Values{"lang": "es_ES"}})
				case 2:
					err = s.Write("product.template", product, Values{"name": "n"})
				case 3:
					_, err = c.call("sale.order", "web_search_read", []any{[]any{}, Values{"order_line": Values{"fields": Values{"name": Values{}}}, "amount_total": Values{}}}, Values{"limit": 20})
				case 4:
					_, err = c.json("sale.order", "formatted_read_group", Values{"domain": []any{}, "groupby": []any{"date_order:month"}, "aggregates": []any{"amount_total:sum"}})
				case 5:
					_, err = c.call("product.template", "search_read", []any{}, nil)
				}
				if err != nil {
					t.Error(i, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	s := New(Config{})
	for _, c := range []struct {
		method, path, body, auth string
		status                   int
	}{
		{http.MethodGet, "/web/version", "", "", 200}, {http.MethodGet, "/xmlrpc/2/common", "", "", 405}, {http.MethodGet, "/", "", "", 404}, {http.MethodPost, "/xmlrpc/2/object", "junk", "", 200},
		{http.MethodPost, "/json/2/res.partner/search_count", `{"domain": []}`, "bearer key-admin", 200}, {http.MethodPost, "/json/2/res.partner/search_count", `{"domain": []}`, "Bearer key-admin", 200},
		{http.MethodPost, "/json/2/res.partner/search_count", `{"domain": []}`, "", 401}, {http.MethodPost, "/json/2/res.partner/search_count", `{"domain": []}`, "bearer admin", 401},
		{http.MethodGet, "/json/2/res.partner/search_count", "", "bearer key-admin", 404}, {http.MethodPost, "/json/2/res.partner", "", "bearer key-admin", 404},
		{http.MethodPost, "/json/2/res.partner/search_count", `[1]`, "bearer key-admin", 400}, {http.MethodPost, "/json/2/res.partner/search_count", `{"domain": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "bearer key-admin", 400},
		{http.MethodPost, "/xmlrpc/2/object", strings.Repeat("x", maxBody+1), "", 413},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Authorization", c.auth)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s %.40s: %d, not %d: %.200s", c.method, c.path, c.body, w.Code, c.status, w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/json/2/res.partner/search_count", strings.NewReader(`{"domain": []}`))
	r.Header.Set("Authorization", "bearer key-admin")
	r.Header.Set("X-Odoo-Database", "other")
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusNotFound || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("another database: %d %s", w.Code, w.Body)
	}
}

func FuzzDecodeCall(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0"?><methodCall><methodName>m</methodName><params><param><value><struct><member><name>a</name><value><array><data><value><int>1</int></value><value>x</value><value><nil/></value></data></array></value></member></struct></value></param></params></methodCall>`))
	f.Add([]byte(`<methodCall><methodName>m</methodName><params><param><value><dateTime.iso8601>20260102T03:04:05</dateTime.iso8601></value></param><param><value><double>-1.5</double></value></param><param><value><base64>YQ==</base64></value></param></params></methodCall>`))
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>&a;</methodName></methodCall>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, params, err := decodeCall(body)
		if err != nil {
			return
		}
		for _, p := range params { // what was read can be written and read again
			b, err := appendValue([]byte("<methodCall><methodName>m</methodName><params><param>"), p)
			if err != nil {
				continue // None, or a number Odoo could not answer
			}
			_, again, err := decodeCall(append(b, "</param></params></methodCall>"...))
			if err != nil {
				t.Fatalf("%v of %s", err, b)
			}
			if got, want := repr(again[0]), repr(p); got != want && !strings.Contains(string(body), "\r") {
				t.Fatalf("%s became %s", want, got)
			}
		}
	})
}

// FuzzCall sends any arguments to any method: no panic, and nothing but an
// answer or one of Odoo's faults.
func FuzzCall(f *testing.F) {
	for _, seed := range [][3]string{
		{"product.template", "search_read", `{"domain": ["|", ["name", "ilike", "x"], ["categ_id", "child_of", 1]], "order": "categ_id desc, id", "limit": 3}`},
		{"sale.order", "create", `{"vals_list": [{"partner_id": 5, "order_line": [[0, 0, {"product_id": 1}], [6, 0, [1]]]}]}`},
		{"sale.order", "web_search_read", `{"domain": [["order_line.product_id.name", "!=", false]], "specification": {"order_line": {"fields": {"tax_ids": {}}}}}`},
		{"sale.order", "formatted_read_group", `{"domain": [], "groupby": ["date_order:week", "partner_id"], "aggregates": ["amount_total:avg", "id:array_agg"], "order": "amount_total:avg desc"}`},
		{"sale.order", "read_group", `{"domain": [["date_order", ">", "2026-01-01"]], "fields": ["amount_total:max"], "groupby": "date_order:day"}`},
		{"res.partner", "write", `{"ids": [5], "vals": {"parent_id": 5, "child_ids": [[5]], "image_1920": "eA==", "is_company": 1.5}}`},
		{"sale.order", "action_confirm", `{"ids": [1, 2], "context": {"lang": "es_ES", "allowed_company_ids": [1]}}`},
		{"product.template", "unlink", `{"ids": [1]}`},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]))
	}
	s := New(Config{Samples: true})
	f.Fuzz(func(t *testing.T, model, method string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/json/2/x/y", bytes.NewReader(body))
		r.URL.Path = "/json/2/" + model + "/" + method
		r.Header.Set("Authorization", "bearer key-admin")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "RuntimeError") {
			t.Fatalf("an error of the sandbox's own: %s", w.Body)
		}
	})
}
