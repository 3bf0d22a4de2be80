// Package odoobridge is the service between Resonance and Odoo. For now it only says that it is
// not connected: every request is answered with a 503 that tells people so.
package odoobridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/service"
)

// Version is this service's version, in SemVer.
const Version = "0.1.0"

// Config is the service's environment.
type Config struct {
	service.Base
}

// Run serves until ctx ends, waiting for NATS first.
func Run(ctx context.Context, cfg Config) error {
	log := cfg.Log.With("service", "odoo-bridge")
	nc, err := bus.Connect(ctx, log, bus.Options{URL: cfg.NATSURL, Creds: cfg.NATSCreds, Name: "odoo-bridge"})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	cfg.Health.Check("odoo-bridge", func(context.Context) error {
		if !nc.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	})
	endpoints := map[string]bus.Handler{}
	for _, resource := range rpc.OdooResources {
		endpoints[rpc.OdooSubject(resource, "list")] = notConnected
	}
	server, err := bus.Serve(nc, log, bus.Service{
		Name: "odoo", Description: "Products, suppliers, customers and sales", Version: Version,
		Endpoints: endpoints, Workers: 4, Timeout: time.Second,
	})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- cfg.ServeMetrics(ctx) }()
	select {
	case <-ctx.Done():
	case err = <-failed: // nil at once without METRICS_ADDR
		if err == nil {
			<-ctx.Done()
		}
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return errors.Join(err, server.Stop(stop), bus.Drain(stop, nc))
}

func notConnected(context.Context, []byte) (bus.Reply, error) {
	return bus.Reply{}, &fault.Error{
		Code:       fault.Unavailable,
		Detail:     fault.T("Odoo todavía no está conectado en esta versión", "Odoo is not connected yet in this version"),
		RetryAfter: time.Hour,
		Err:        fmt.Errorf("odoo-bridge %s has no connection to Odoo", Version),
	}
}
