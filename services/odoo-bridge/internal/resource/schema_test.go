package resource

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// spoken is an Odoo 14 without the module of sales, whose user speaks Spanish: it cannot tell the
// user's context, and says in Spanish that there is no model.
type spoken struct{ newCompany *atomic.Bool }

func (o spoken) Call(_ context.Context, c odoo.Call) (any, error) {
	switch {
	case c.Method == "context_get":
		return nil, &odoo.RefusalError{Reason: odoo.Broken, Message: "TypeError: cannot marshal <class 'odoo.tools.misc.frozendict'> objects"}
	case c.Model == "sale.order" || c.Model == "sale.order.line" || c.Model == "account.tax":
		return nil, &odoo.RefusalError{Reason: odoo.Invalid, Message: "El objeto " + c.Model + " no existe"}
	case c.Method == "fields_get":
		return map[string]any{"name": map[string]any{"type": "char"}}, nil
	case c.Model == "res.users" && slices.Equal(c.Args[0].Value.([]any)[0].([]any), []any{"login", "=", "ana"}):
		companies := []any{int64(1), int64(3)}
		if o.newCompany.Load() {
			companies = append(companies, int64(2))
		}
		return []any{map[string]any{"id": int64(2), "lang": "es_ES", "company_ids": companies}}, nil
	case c.Model == "res.lang":
		return []any{map[string]any{"code": "en_US"}, map[string]any{"code": "es_ES"}}, nil
	}
	return nil, &odoo.RefusalError{Reason: odoo.Unknown, Message: "no such method"}
}

func TestOdooThatTellsLittle(t *testing.T) {
	t.Parallel()
	o := spoken{&atomic.Bool{}}
	s := New(Config{Username: "ana", ProbeTimeout: 1 << 40}, o)
	scope, err := s.Scope(t.Context(), odooapi.Scope{Company: 3})
	if err != nil || scope != (Scope{Lang: "es_ES", Company: 3}) {
		t.Errorf("%+v %v", scope, err)
	}
	if scope, err = s.Scope(t.Context(), odooapi.Scope{Lang: "en"}); err != nil || scope.Lang != "en_US" {
		t.Errorf("%+v %v", scope, err)
	}
	if _, err = s.Scope(t.Context(), odooapi.Scope{Company: 2}); fault.CodeOf(err) != fault.Forbidden {
		t.Error(err)
	}
	o.newCompany.Store(true)
	aged := *s.probed.Load()
	aged.at = aged.at.Add(-probeAgain)
	s.probed.Store(&aged)
	if _, err = s.Scope(t.Context(), odooapi.Scope{Company: 2}); err != nil {
		t.Errorf("a company that is new: %v", err)
	}
	for _, name := range []string{"sales", "taxes"} {
		if _, err = s.List(t.Context(), name, scope, odooapi.Query{Limit: 1}); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	fields, err := s.Fields(t.Context(), "customers")
	if err != nil || !slices.ContainsFunc(fields, func(f odooapi.FieldInfo) bool { return f.Name == "name" && f.Sort && f.Write }) ||
		slices.ContainsFunc(fields, func(f odooapi.FieldInfo) bool { return f.Name == "mobile" }) {
		t.Errorf("%+v %v", fields, err)
	}
}
