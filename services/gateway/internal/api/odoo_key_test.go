package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/odoo"
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
			return w.Key, resp.Header.Get(odoo.KeyName)
		}
		first, told := sent(auth.Operator, header(odoo.KeyName, "k.1"))
		again, _ := sent(auth.Operator, header(odoo.KeyName, `"k.1"`))
		other, _ := sent(auth.Admin, header(odoo.KeyName, "k.1"))
		if first == "" || first != again || first == other || told != "k.1" || strings.ContainsAny(first, ".> *") {
			t.Errorf("%s: %q, %q, %q, told %q", call.verb, first, again, other, told)
		}
		made, told := sent(auth.Operator)
		if next, _ := sent(auth.Operator); told == "" || next == made {
			t.Errorf("%s: %q, %q, told %q", call.verb, made, next, told)
		}
		if again, _ := sent(auth.Operator, header(odoo.KeyName, told)); again != made {
			t.Errorf("%s: %q does not stand for %q", call.verb, told, made)
		}
		r.do(call.method, call.path, r.as(auth.Operator), jsonBody(`{"partner":12}`), header(odoo.KeyName, "a b")).problem(http.StatusBadRequest, odoo.KeyName)
	}
}
