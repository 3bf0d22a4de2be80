package odoo

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

type failing struct{ err error }

func (f failing) Ask(context.Context, string, any) (bus.Reply, error) { return bus.Reply{}, f.err }

// failing is a service whose answers do not come.
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
		o := odooResource{Routes: &route.Routes{Services: failing{err}}, Resource: erp.Sales}
		if _, got := o.write(t.Context(), odooapi.Create, odooapi.Write{}); (fault.From(got).Detail == odooapi.OutcomeUnknown(nil).Detail) != unknown {
			t.Errorf("%v became %v", err, got)
		}
	}
}
