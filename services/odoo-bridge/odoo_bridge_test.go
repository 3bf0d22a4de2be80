package odoobridge_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/pkg/servicetest"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
)

func TestSaysThatOdooIsNotConnected(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	nc, _ := n.Connect()
	cfg := odoobridge.Config{Base: service.Base{NATSURL: n.URL(), NATSReplicas: 1, LogFormat: "text", Log: slog.New(slog.DiscardHandler)}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	servicetest.Run(t, func(ctx context.Context) error { return odoobridge.Run(ctx, cfg) })
	for _, resource := range erp.Names() {
		var f *fault.Error
		for f == nil || f.Detail.EN == "odoo is not available right now" { // not listening yet
			ask, stop := context.WithTimeout(t.Context(), 5*time.Second)
			_, err := bus.Ask(ask, nc, odooapi.Subject(resource, "list"), struct{}{})
			stop()
			if !errors.As(err, &f) {
				t.Fatal(err)
			}
		}
		if f.Code != fault.Unavailable || f.RetryAfter == 0 || f.Detail.ES == "" {
			t.Fatalf("%s: %+v", resource, f)
		}
	}
}
