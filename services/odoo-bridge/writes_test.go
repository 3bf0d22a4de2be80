package odoobridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nuid"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/servicetest"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// linesOfOthers: no write reaches a line of another sale.
func (w *world) linesOfOthers() {
	sale, ref := w.order()
	before, _ := must[saleRecord](w, "sales", odooapi.Get, ref)
	other, _ := w.order()
	foreign := map[string]any{"id": sale.Lines[0].ID, "qty": 1, "price_unit": 0.01}
	for _, line := range []map[string]any{foreign, {"id": sale.Lines[0].ID, "product": sale.Lines[0].Product, "qty": 1}} {
		w.refuses("sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"partner": sale.Partner, "lines": []any{line}})}, fault.Invalid, "lines.0.id")
		w.refuses("sales", odooapi.Update, odooapi.Write{ID: other.ID, Values: values(map[string]any{"lines": []any{
			map[string]any{"id": other.Lines[0].ID, "qty": 2}, line,
		}})}, fault.Invalid, "lines.1.id")
	}
	w.refuses("sales", odooapi.Update, odooapi.Write{ID: other.ID, Values: values(map[string]any{"lines": []any{
		map[string]any{"id": other.Lines[0].ID, "qty": 2}, map[string]any{"id": other.Lines[0].ID, "qty": 3},
	}})}, fault.Invalid, "lines.1.id")
	if after, _ := must[saleRecord](w, "sales", odooapi.Get, ref); cmp.Diff(before, after) != "" {
		w.t.Errorf("another sale changed:\n%s", cmp.Diff(before, after))
	}
}

// once: a request that is repeated with its key is made once.
func (w *world) once() {
	customer := w.create("customers", map[string]any{"name": w.tag + " Cliente"})
	product := w.create("products", map[string]any{"name": w.tag + " A", "list_price": 10.5})
	key := nuid.Next()
	request := odooapi.Write{Key: key, Values: values(map[string]any{
		"partner": customer, "client_order_ref": w.tag, "date_order": "2026-11-03T10:30:00+01:00",
		"lines": []any{map[string]any{"product": product, "qty": 2}, map[string]any{"product": product, "qty": 1, "price_unit": 4.1}},
	})}
	var together sync.WaitGroup
	made := make([]int64, 6)
	for i := range made {
		together.Go(func() {
			reply, err := w.ask(odooapi.Subject("sales", odooapi.Create), request)
			var sale saleRecord
			if err != nil || json.Unmarshal(reply.Data, &sale) != nil || len(sale.Lines) != 2 {
				w.t.Errorf("%s: %s", full(err), reply.Data)
			}
			made[i] = sale.ID
		})
	}
	together.Wait()
	again, _ := must[saleRecord](w, "sales", odooapi.Create, request)
	for _, id := range made {
		if id != again.ID {
			w.t.Errorf("the request made %v, and then %d", made, again.ID)
		}
	}
	if n := w.count("sale.order", []any{"client_order_ref", "=", w.tag}); n != 1 || again.Lines[0].PriceUnit != 10.5 || again.Lines[1].PriceUnit != 4.1 {
		w.t.Errorf("%d sales: %+v", n, again)
	}
	request.Values["client_order_ref"] = json.RawMessage(`"other"`)
	w.refuses("sales", odooapi.Create, request, fault.Conflict, "Idempotency-Key")

	confirm := odooapi.RecordRef{ID: again.ID, Key: nuid.Next()}
	if is, _ := must[saleRecord](w, "sales", "confirm", confirm); is.State != "sale" {
		w.t.Errorf("%+v", is)
	}
	must[saleRecord](w, "sales", "cancel", odooapi.RecordRef{ID: again.ID})
	w.call("sale.order", "action_draft", []int64{again.ID})
	if is, _ := must[saleRecord](w, "sales", "confirm", confirm); is.State != "draft" { // it was made, and taken back since
		w.t.Errorf("confirmed twice: %+v", is)
	}
	confirm.ID++
	w.refuses("sales", "confirm", confirm, fault.Conflict, "Idempotency-Key")

	// A key is free again after a request that was refused.
	key = nuid.Next()
	w.refuses("customers", odooapi.Create, odooapi.Write{Key: key, Values: values(map[string]any{"name": w.tag, "country": 99999999})}, fault.Invalid, "country")
	must[partnerRecord](w, "customers", odooapi.Create, odooapi.Write{Key: key, Values: values(map[string]any{"name": w.tag})})
}

// two gives two records of a model, which the test may use.
func (w *world) two(model string) (ids []int64) {
	w.t.Helper()
	found, _ := w.call(model, "search", nil, odoo.Arg{Name: "domain", Value: []any{}}).([]any)
	for len(found) < 2 {
		made, _ := w.call(model, "create", nil, odoo.Arg{Name: "vals_list", Value: []any{map[string]any{"name": w.tag}}}).([]any)
		found = append(found, made...)
		w.t.Cleanup(func() {
			_, _ = w.direct.Call(context.Background(), odoo.Call{Model: model, Method: "unlink", IDs: []int64{made[0].(int64)}})
		})
	}
	for _, id := range found[:2] {
		ids = append(ids, id.(int64))
	}
	return ids
}

// saleTerms: a sale has of its customer what the form of Odoo would fill in, unless the request says otherwise.
func (w *world) saleTerms() {
	customer := w.create("customers", map[string]any{"name": w.tag + " Cliente"})
	address := w.create("customers", map[string]any{"name": w.tag + " Almacén", "parent": customer})
	if w.target.name == "sandbox without modules" {
		w.refuses("sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"partner": customer, "payment_term": 1, "warehouse": 1})}, fault.Invalid, "payment_term", "warehouse")
		return
	}
	terms, positions, lists := w.two("account.payment.term"), w.two("account.fiscal.position"), w.two("product.pricelist")
	seller := int64(1) // OdooBot: not whom we are
	if w.target.sandbox == nil {
		seller = w.two("res.users")[1]
	}
	w.call("res.partner", "write", []int64{customer}, odoo.Arg{Name: "vals", Value: map[string]any{
		"property_payment_term_id": terms[1], "property_account_position_id": positions[1], "user_id": seller,
	}})
	sale, _ := must[saleRecord](w, "sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"partner": customer})})
	if sale.PaymentTerm == nil || sale.PaymentTerm.ID != terms[1] || sale.FiscalPosition == nil || sale.FiscalPosition.ID != positions[1] || sale.User == nil || sale.User.ID != seller ||
		sale.PartnerShipping == nil {
		w.t.Errorf("%+v", sale)
	}
	given := map[string]any{
		"partner": customer, "partner_shipping": address, "payment_term": terms[0], "fiscal_position": positions[0], "pricelist": lists[0], "note": "Gracias",
		"commitment_date": "2026-12-24T10:30:00+01:00", "warehouse": w.warehouse(),
	}
	sale, _ = must[saleRecord](w, "sales", odooapi.Create, odooapi.Write{Values: values(given)})
	check := func(s saleRecord, shipping int64, term, position, list int64, note string, promised time.Time) {
		w.t.Helper()
		if s.PartnerShipping.ID != shipping || s.PaymentTerm.ID != term || s.FiscalPosition.ID != position || s.Pricelist == nil || s.Pricelist.ID != list ||
			s.Note == nil || !strings.Contains(*s.Note, note) || s.CommitmentDate == nil || !s.CommitmentDate.Equal(promised) || s.Warehouse == nil || s.Warehouse.ID != w.warehouse() {
			w.t.Errorf("%+v", s)
		}
	}
	check(sale, address, terms[0], positions[0], lists[0], "Gracias", time.Date(2026, 12, 24, 9, 30, 0, 0, time.UTC))
	sale, _ = must[saleRecord](w, "sales", odooapi.Update, odooapi.Write{ID: sale.ID, Values: values(map[string]any{
		"partner_shipping": customer, "payment_term": terms[1], "fiscal_position_id": positions[1], "pricelist": lists[1], "note": "Adiós", "commitment_date": "2027-01-07T00:00:00Z",
	})})
	check(sale, customer, terms[1], positions[1], lists[1], "Adiós", time.Date(2027, 1, 7, 0, 0, 0, 0, time.UTC))
	w.refuses("sales", odooapi.Update, odooapi.Write{ID: sale.ID, Values: values(map[string]any{"payment_term": 99999999})}, fault.Invalid, "payment_term")
	w.refuses("sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"partner": customer, "pricelist": 99999999})}, fault.Invalid, "pricelist")

	// Another customer brings other terms, as in the form.
	other := w.create("customers", map[string]any{"name": w.tag + " Otro"})
	w.call("res.partner", "write", []int64{other}, odoo.Arg{Name: "vals", Value: map[string]any{"property_payment_term_id": terms[0]}})
	if sale, _ = must[saleRecord](w, "sales", odooapi.Update, odooapi.Write{ID: sale.ID, Values: values(map[string]any{"partner": other})}); sale.PaymentTerm == nil || sale.PaymentTerm.ID != terms[0] {
		w.t.Errorf("%+v", sale)
	}
	fields, _ := must[[]odooapi.FieldInfo](w, "sales", odooapi.ListFields, odooapi.Scope{})
	for _, name := range []string{"partner_shipping", "payment_term", "fiscal_position", "pricelist", "warehouse", "note", "commitment_date"} {
		if !slices.ContainsFunc(fields, func(f odooapi.FieldInfo) bool {
			return f.Name == name && f.Write && (f.Type != "link" || f.Options != "")
		}) {
			w.t.Errorf("%s is not among the fields to write", name)
		}
	}
}

func (w *world) warehouse() int64 {
	w.t.Helper()
	found, _ := w.call("stock.warehouse", "search", nil, odoo.Arg{Name: "domain", Value: []any{}}).([]any)
	id, _ := found[0].(int64)
	return id
}

// sections: sections and notes stand among the lines, which keep the order that they are given in.
func (w *world) sections() {
	customer := w.create("customers", map[string]any{"name": w.tag + " Cliente"})
	product := w.create("products", map[string]any{"name": w.tag + " A", "list_price": 10.5})
	section, note := map[string]any{"display_type": "line_section", "name": "Mesa"}, map[string]any{"display_type": "line_note", "name": "Frágil"}
	sale, _ := must[saleRecord](w, "sales", odooapi.Create, odooapi.Write{Values: values(map[string]any{"partner": customer, "lines": []any{
		section, map[string]any{"product": product, "qty": 2}, note,
	}})})
	shape := func(s saleRecord) (names []string) {
		for _, l := range s.Lines {
			if l.DisplayType == nil {
				names = append(names, "product")
				continue
			}
			names = append(names, *l.DisplayType+" "+l.Name)
		}
		return names
	}
	if got := shape(sale); !slices.Equal(got, []string{"line_section Mesa", "product", "line_note Frágil"}) {
		w.t.Errorf("%q", got)
	}
	sale, _ = must[saleRecord](w, "sales", odooapi.Update, odooapi.Write{ID: sale.ID, Values: values(map[string]any{"lines": []any{
		map[string]any{"display_type": "line_note", "name": "Antes"}, map[string]any{"id": sale.Lines[2].ID}, map[string]any{"id": sale.Lines[1].ID, "qty": 3},
	}})})
	if got := shape(sale); !slices.Equal(got, []string{"line_note Antes", "line_note Frágil", "product"}) || sale.Lines[2].Qty != 3 {
		w.t.Errorf("%q %+v", got, sale.Lines)
	}
	w.refuses("sales", odooapi.Update, odooapi.Write{ID: sale.ID, Values: values(map[string]any{"lines": []any{
		map[string]any{"display_type": "line_note", "qty": 1}, map[string]any{"display_type": "heading", "name": "x"}, map[string]any{"name": "x"},
		map[string]any{"product": product, "discount": 150}, map[string]any{"product": product, "discount": -0.5},
	}})}, fault.Invalid, "lines.0.name", "lines.0.qty", "lines.1.display_type", "lines.2.product", "lines.3.discount", "lines.4.discount")
}

// conditional: of writes that depend on the same state one is made.
func (w *world) conditional() {
	id := w.create("products", map[string]any{"name": w.tag})
	_, h := must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: id})
	var together sync.WaitGroup
	var mu sync.Mutex
	codes := map[fault.Code]int{}
	won := 0.0
	for i := range 8 {
		together.Go(func() {
			price := float64(i) + 10.5 // another than it had
			_, err := w.ask(odooapi.Subject("products", odooapi.Update), odooapi.Write{ID: id, IfMatch: h.Get(rpc.HeaderETag), Values: values(map[string]any{"list_price": price})})
			mu.Lock()
			defer mu.Unlock()
			codes[fault.CodeOf(err)]++
			if err == nil {
				won = price
			}
		})
	}
	together.Wait()
	if codes[0] != 1 || codes[fault.Stale] != 7 {
		w.t.Errorf("%v", codes)
	}
	if p, _ := must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: id}); p.ListPrice != won {
		w.t.Errorf("%v, but %v was accepted", p.ListPrice, won)
	}
}

// So it is with several instances, none of which knows of the others.
func TestConditionalWritesOfSeveralInstances(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{})
	s.SetDelay(5 * time.Millisecond)
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
	var first odoobridge.Config
	w := newWorld(t, o, func(c *odoobridge.Config) { first = *c })
	for range 2 {
		another := first
		if err := another.Validate(); err != nil {
			t.Fatal(err)
		}
		servicetest.Run(t, func(ctx context.Context) error { return odoobridge.Run(ctx, another) })
	}
	servicetest.Eventually(t, "three instances answer", func() bool { return w.instances() == 3 })
	for range 3 {
		w.conditional()
	}
}

// instances counts the services that answer a ping.
func (w *world) instances() (n int) {
	inbox, err := w.nc.SubscribeSync(w.nc.NewInbox())
	if err != nil {
		w.t.Fatal(err)
	}
	defer inbox.Unsubscribe()
	if err := w.nc.PublishRequest("$SRV.PING.odoo", inbox.Subject, nil); err != nil {
		w.t.Fatal(err)
	}
	for ; ; n++ {
		if _, err := inbox.NextMsg(100 * time.Millisecond); err != nil {
			return n
		}
	}
}

// What is lost is the answer, not the change, and nobody is asked to guess: it is looked up, or the outcome is said to
// be unknown and the same request finds it out.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	sandboxed(t, func(t *testing.T, w *world) {
		s := w.target.sandbox
		sale, ref := w.order()
		for _, effect := range []odootest.Effect{odootest.BadGateway, odootest.Drop, odootest.CutConnection} {
			f := s.Fail(odootest.Fault{Model: "sale.order", Method: "write", Do: effect, Applied: true})
			got, _ := must[saleRecord](w, "sales", odooapi.Update, odooapi.Write{ID: ref.ID, Values: values(map[string]any{"lines": []any{
				map[string]any{"id": sale.Lines[0].ID}, map[string]any{"product": sale.Lines[0].Product, "qty": 7},
			}})})
			if len(got.Lines) != 2 || got.Lines[1].Qty != 7 || f.Hits() != 1 {
				t.Errorf("%s: %d hits, %+v", effect, f.Hits(), got.Lines)
			}
			for verb, method := range map[string]string{"confirm": "action_confirm", "cancel": "action_cancel"} {
				_, ref := w.order()
				f := s.Fail(odootest.Fault{Model: "sale.order", Method: method, Do: effect, Applied: true})
				if is, _ := must[saleRecord](w, "sales", verb, ref); is.State == "draft" || f.Hits() != 1 {
					t.Errorf("%s of %s: %d hits, %+v", effect, verb, f.Hits(), is)
				}
				if effect == odootest.CutConnection {
					continue // it cuts the answer of what is made
				}
				_, ref = w.order()
				s.Fail(odootest.Fault{Model: "sale.order", Method: method, Do: effect}) // it was not made
				if f := w.refuses("sales", verb, ref, fault.Unavailable); f.Detail != odooapi.OutcomeUnknown(nil).Detail {
					t.Errorf("%s of %s: %+v", effect, verb, f)
				}
			}
		}
	})
}

// A write changes the tag that it depends on: repeated with its key, at once or after its answer was lost, it is no
// conflict with itself.
func TestRepeatedConditionalWrite(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{})
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
	w := newWorld(t, o, func(c *odoobridge.Config) { c.Timeout = 100 * time.Millisecond })
	id := w.create("products", map[string]any{"name": w.tag})
	update := func(price float64, tag, key string) error {
		_, err := w.ask(odooapi.Subject("products", odooapi.Update), odooapi.Write{ID: id, IfMatch: tag, Key: key, Values: values(map[string]any{"list_price": price})})
		return err
	}
	_, h := must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: id})
	tag, key := h.Get(rpc.HeaderETag), nuid.Next()
	var together sync.WaitGroup
	for range 4 {
		together.Go(func() {
			if err := update(12.5, tag, key); err != nil {
				t.Errorf("at once: %s", full(err))
			}
		})
	}
	together.Wait()

	_, h = must[productRecord](w, "products", odooapi.Get, odooapi.RecordRef{ID: id})
	tag, key = h.Get(rpc.HeaderETag), nuid.Next()
	lost := s.Fail(odootest.Fault{Model: "product.product", Method: "write", Do: odootest.BadGateway, Applied: true, Times: -1})
	if err := update(13.999, tag, key); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("%v", err)
	}
	lost.Cancel()
	var err error
	for range 10 { // the lock is held until Odoo can't be working on the first one any more
		if err = update(13.999, tag, key); fault.CodeOf(err) != fault.Unavailable {
			break
		}
	}
	if err != nil {
		t.Errorf("after a lost answer: %s", full(err))
	}
	if err := update(15, tag, nuid.Next()); fault.CodeOf(err) != fault.Stale {
		t.Errorf("another write with the old tag: %v", err)
	}
}

// While the outcome of a write is unknown, its repetition finds it out at once, and other writes are told what they wait
// for, and no longer than until it is known.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{})
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
	w := newWorld(t, o, func(c *odoobridge.Config) { c.Timeout = time.Second })
	id := w.create("products", map[string]any{"name": w.tag})
	update := func(price float64, key string) error {
		_, err := w.ask(odooapi.Subject("products", odooapi.Update), odooapi.Write{ID: id, Key: key, Values: values(map[string]any{"list_price": price})})
		return err
	}
	unknown := func(price float64, key string, applied bool) {
		t.Helper()
		lost := s.Fail(odootest.Fault{Model: "product.product", Method: "write", Do: odootest.BadGateway, Applied: applied, Times: -1})
		defer lost.Cancel()
		if f := fault.From(update(price, key)); f.Detail != odooapi.OutcomeUnknown(nil).Detail {
			t.Fatalf("%+v", f)
		}
	}
	unknown(12, "not-made", false)
	if f := fault.From(update(13, "another")); f.Code != fault.Unavailable || !strings.Contains(f.Detail.EN, "not known yet whether Odoo made an earlier change") {
		t.Errorf("%+v", f)
	}
	if err := update(12, "not-made"); err != nil {
		t.Error(full(err))
	}
	servicetest.Eventually(t, "the lock is free", func() bool { return update(15, nuid.Next()) == nil })
	unknown(16, "made", true)
	began := time.Now()
	if err := update(17, nuid.Next()); err != nil || time.Since(began) > 900*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// A creation that Odoo answers too late is found by the same request.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{Version: 14})
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
	w := newWorld(t, o, func(c *odoobridge.Config) { c.Timeout = 200 * time.Millisecond })
	if _, err := w.ask(listProducts, odooapi.Query{Limit: 1}); err != nil {
		t.Fatal(full(err))
	}
	late := s.Fail(odootest.Fault{Model: "res.partner", Method: "load", Do: odootest.Slow, Delay: time.Second, Times: -1})
	request := odooapi.Write{Key: nuid.Next(), Values: values(map[string]any{"name": w.tag})}
	f := w.refuses("customers", odooapi.Create, request, fault.Unavailable)
	if f.Detail != odooapi.OutcomeUnknown(nil).Detail || f.RetryAfter == 0 {
		t.Errorf("%+v", f)
	}
	late.Cancel()
	var err error
	for range 10 { // the circuit may be open
		if _, err = w.ask(createPartner, request); err == nil {
			break
		}
		var unavailable *fault.Error
		if !errors.As(err, &unavailable) || unavailable.Code != fault.Unavailable {
			break
		}
		time.Sleep(min(unavailable.RetryAfter, 500*time.Millisecond))
	}
	for deadline := time.Now().Add(10 * time.Second); s.InFlight() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if n := w.count("res.partner", []any{"name", "=", w.tag}); err != nil || n != 1 {
		t.Errorf("%s: %d are there", full(err), n)
	}
}

// ownPartner: the contact of one of the companies is not to be archived, however it is asked for.
func (w *world) ownPartner() {
	companies, _ := w.call("res.company", "search_read", nil, odoo.Arg{Name: "domain", Value: []any{}}, odoo.Arg{Name: "fields", Value: []any{"partner_id"}}).([]any)
	company, _ := companies[0].(map[string]any)
	link, _ := company["partner_id"].([]any)
	id, _ := link[0].(int64)
	w.refuses("customers", odooapi.Archive, odooapi.RecordRef{ID: id}, fault.Conflict)
	w.refuses("suppliers", odooapi.Update, odooapi.Write{ID: id, Values: values(map[string]any{"active": false})}, fault.Conflict)
	if p, _ := must[partnerRecord](w, "customers", odooapi.Get, odooapi.RecordRef{ID: id}); !p.Active {
		w.t.Error("archived")
	}
}

// spacesAround: white space around what is searched for is no part of it.
func (w *world) spacesAround() {
	id := w.create("products", map[string]any{"name": w.tag + " Silla h8"})
	for _, search := range []string{" " + w.tag, w.tag + " ", "\u00a0" + w.tag + "\t"} {
		found, _ := must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 5, Search: search})
		if len(found) != 1 || found[0].ID != id {
			w.t.Errorf("%q finds %d", search, len(found))
		}
	}
	all, h := must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 1})
	if same, other := must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 1, Search: "  "}); len(same) != len(all) || h.Get(rpc.HeaderTotal) != other.Get(rpc.HeaderTotal) {
		w.t.Errorf("nothing but spaces finds %s of %s", other.Get(rpc.HeaderTotal), h.Get(rpc.HeaderTotal))
	}
}

// An Odoo that has just started tells early on what it has, and is ready when it answers reads, too.
func TestColdOdoo(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{Samples: true})
	cold := s.Fail(odootest.Fault{Model: "sale.order", Method: "web_search_read", Do: odootest.Unavailable, Times: -1})
	var lines syncBuffer
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
	newWorld(t, o, func(c *odoobridge.Config) { c.Log = slog.New(slog.NewTextHandler(&lines, nil)) })
	servicetest.Eventually(t, "it is waited for", func() bool { return strings.Contains(lines.String(), "waiting for Odoo") })
	if strings.Contains(lines.String(), "Odoo is ready") {
		t.Error(lines.String())
	}
	cold.Cancel()
	servicetest.Eventually(t, "it is ready", func() bool { return strings.Contains(lines.String(), "Odoo is ready") })
}
