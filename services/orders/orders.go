// Package orders projects the ORDERS stream into Postgres, answers queries about orders over NATS
// and accepts edits of them (pkg/rpc/ordersapi).
package orders

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/orders/internal/api"
	"github.com/resonance/resonance/services/orders/internal/projection"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// Config is what the orders service needs to know.
type Config struct {
	service.Base
	// DatabaseURL is of a Postgres 15 or later; the service keeps to its own schema, orders.
	DatabaseURL string `env:"DATABASE_URL"`
}

// Validate checks the configuration; the error joins every mistake.
func (c *Config) Validate() error {
	err := c.Base.Validate()
	if c.DatabaseURL == "" {
		return errors.Join(err, errors.New("DATABASE_URL: is required"))
	}
	if bad := store.CheckDSN(c.DatabaseURL); bad != nil {
		return errors.Join(err, fmt.Errorf("DATABASE_URL: %w", bad))
	}
	return err
}

// Run serves until ctx ends, then drains: requests are answered and the batch under way is
// committed. It waits for NATS and Postgres and survives losing them; it returns an error only for
// a configuration, a stream or a database it cannot work with.
func Run(ctx context.Context, cfg Config) error {
	return cfg.open(ctx, func(ctx context.Context, s *store.Store, js jetstream.JetStream, p *projection.Projector) error {
		endpoints, err := api.Service(s, js, cfg.Log)
		if err != nil {
			return err
		}
		server, err := bus.Serve(js.Conn(), cfg.Log, endpoints)
		if err != nil {
			return err
		}
		cfg.Health.Check("postgres", s.Ping)
		cfg.Health.Check("projection", p.Check)
		failed := make(chan error, 1)
		go func() { failed <- p.Run(ctx) }()
		select {
		case err = <-failed:
			failed <- nil
		case <-ctx.Done():
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), service.DrainTime-3*time.Second)
		defer cancel()
		return errors.Join(err, server.Stop(drain), <-failed)
	})
}

// Rebuild makes the projection read the whole stream again and returns when the rows are settled,
// logging how it goes. Reads do not notice. The instance that projects does the work; where there
// is none, Rebuild does.
func Rebuild(ctx context.Context, cfg Config) error {
	cfg.MetricsAddr = "" // the service's
	return cfg.open(ctx, func(ctx context.Context, s *store.Store, _ jetstream.JetStream, p *projection.Projector) error {
		return projection.Rebuild(ctx, s, p, cfg.Log)
	})
}

// open calls run with what the service works with, once the streams are there. Postgres is
// connected to when it is first used.
func (c *Config) open(ctx context.Context, run func(context.Context, *store.Store, jetstream.JetStream, *projection.Projector) error) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c.Log = c.Log.With("service", "orders")
	s, err := store.Open(c.DatabaseURL)
	if err != nil {
		return err
	}
	defer s.Close()
	var projector atomic.Pointer[projection.Projector]
	link := service.Link{Name: "orders", Check: "nats", OnReconnect: func() {
		if p := projector.Load(); p != nil {
			p.Reopen()
		}
	}}
	return c.WithNATS(ctx, link, func(ctx context.Context, nc *nats.Conn) error {
		js, err := bus.JetStream(nc)
		if err != nil {
			return fmt.Errorf("JetStream: %w", err)
		}
		p := projection.New(s, js, c.NATSReplicas, c.Log)
		projector.Store(p)
		err = bus.Persist(ctx, c.Log, "waiting for JetStream", func(ctx context.Context) error {
			return bus.Ensure(ctx, js, c.NATSReplicas, bus.StreamOrders, bus.StreamEdits, bus.StreamDeadLetters)
		})
		if err != nil {
			return err
		}
		return run(ctx, s, js, p)
	})
}
