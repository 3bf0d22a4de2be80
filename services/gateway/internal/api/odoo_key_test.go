package api

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// A write carries its key, which is another for another user; a client that gives none is told the one it was given.
func TestOdooIdempotencyKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.serveOdoo(nil)
	for _, call := range []struct{ method, path, verb string }{
		{http.MethodPost, "/api/v1/sales", odooapi.Create}, {http.MethodPatch, "/api/v1/sales/7", odooapi.Update},
		{http.MethodDelete, "/api/v1/sales/7", odooapi.Archive}, {http.MethodPost, "/api/v1/sales/7/confirm", "confirm"},
		{http.MethodPost, "/api/v1/sales/7/cancel", "cancel"},
	} {
		sent := func(role auth.Role, options ...option) (key, told string) {
			t.Helper()
			resp := r.do(call.method, call.path, append(options, r.as(role), jsonBody(`{"partner":12}`))...)
			if resp.StatusCode >= http.StatusBadRequest {
				t.Fatalf("%d %s", resp.StatusCode, resp.body)
			}
			var w odooapi.Write
			b.last("sales", call.verb, &w)
			return w.Key, resp.Header.Get(keyName)
		}
		first, told := sent(auth.Operator, header(keyName, "k.1"))
		again, _ := sent(auth.Operator, header(keyName, `"k.1"`))
		other, _ := sent(auth.Admin, header(keyName, "k.1"))
		if first == "" || first != again || first == other || told != "k.1" || strings.ContainsAny(first, ".> *") {
			t.Errorf("%s: %q, %q, %q, told %q", call.verb, first, again, other, told)
		}
		made, told := sent(auth.Operator)
		if next, _ := sent(auth.Operator); told == "" || next == made {
			t.Errorf("%s: %q, %q, told %q", call.verb, made, next, told)
		}
		if again, _ := sent(auth.Operator, header(keyName, told)); again != made {
			t.Errorf("%s: %q does not stand for %q", call.verb, told, made)
		}
		r.do(call.method, call.path, r.as(auth.Operator), jsonBody(`{"partner":12}`), header(keyName, "a b")).problem(http.StatusBadRequest, keyName)
	}
}

// failing is a service whose answers do not come.
type failing struct{ err error }

func (f failing) Ask(context.Context, string, any) (bus.Reply, error) { return bus.Reply{}, f.err }

// A write whose answer does not come may have been made; one that nobody heard of, or that was answered, was not.
func TestOdooOutcomeUnknown(t *testing.T) {
	t.Parallel()
	for err, unknown := range map[error]bool{
		fault.Away("odoo", context.DeadlineExceeded):    true,
		fault.Away("odoo", context.Canceled):            true, // this process drains
		fault.Away("odoo", nats.ErrNoResponders):        false,
		fault.Away("NATS", nats.ErrDisconnected):        false,
		fault.New(fault.Unavailable, fault.T("x", "x")): false,
		fault.New(fault.Conflict, fault.T("x", "x")):    false,
	} {
		o := odooResource{API: &API{services: failing{err}}, Resource: erp.Sales}
		if _, got := o.write(t.Context(), odooapi.Create, odooapi.Write{}); (fault.From(got).Detail == odooapi.OutcomeUnknown(nil).Detail) != unknown {
			t.Errorf("%v became %v", err, got)
		}
	}
}
