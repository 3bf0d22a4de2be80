// Package orders projects the ORDERS stream into Postgres, answers queries about orders over NATS
// and accepts edits of them (pkg/rpc/orders.go).
package orders

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

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
	s, bad := store.Open(c.DatabaseURL)
	if bad != nil {
		return errors.Join(err, fmt.Errorf("DATABASE_URL: %w", bad))
	}
	s.Close()
	return err
}

// Run serves until ctx ends, then drains: requests are answered and the batch under way is
// committed. It waits for NATS and Postgres and survives losing them; it returns an error only for
// a configuration or a stream it cannot work with.
func Run(ctx context.Context, cfg Config) error {
	s, nc, p, err := start(ctx, &cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	endpoints, err := api.Service(s, nc, cfg.Log)
	if err != nil {
		nc.Close()
		return err
	}
	server, err := bus.Serve(nc, cfg.Log, endpoints)
	if err != nil {
		nc.Close()
		return err
	}
	cfg.Health.Check("nats", func(context.Context) error {
		if !nc.IsConnected() {
			return nats.ErrDisconnected
		}
		return nil
	})
	cfg.Health.Check("postgres", s.Ping)
	cfg.Health.Check("projection", p.Check)

	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return cfg.ServeMetrics(running) })
	group.Go(func() error { p.Run(running); return nil })
	<-running.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), service.DrainTime-2*time.Second)
	defer cancel()
	return errors.Join(server.Stop(drain), group.Wait(), bus.Drain(drain, nc))
}

// Rebuild makes the projection read the whole stream again and returns when the rows are settled,
// logging how it goes. Reads do not notice. The instance that projects does the work; where there
// is none, Rebuild does.
func Rebuild(ctx context.Context, cfg Config) error {
	s, nc, p, err := start(ctx, &cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	defer nc.Close()
	return projection.Rebuild(ctx, s, p, cfg.Log)
}

// start connects to what the service works with. Postgres is connected to when it is first used.
func start(ctx context.Context, cfg *Config) (*store.Store, *nats.Conn, *projection.Projector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, nil, err
	}
	cfg.Log = cfg.Log.With("service", "orders")
	s, err := store.Open(cfg.DatabaseURL)
	if err != nil {
		return nil, nil, nil, err
	}
	var projector atomic.Pointer[projection.Projector]
	nc, err := bus.Connect(ctx, cfg.Log, bus.Options{
		URL: cfg.NATSURL, Creds: cfg.NATSCreds, Name: "orders",
		OnReconnect: func() {
			if p := projector.Load(); p != nil {
				p.Reopen()
			}
		},
	})
	if err != nil {
		s.Close()
		return nil, nil, nil, err
	}
	p, err := projection.New(s, nc, cfg.NATSReplicas, cfg.Log)
	if err == nil {
		projector.Store(p)
		err = ensure(ctx, nc, cfg.NATSReplicas, cfg.Log)
	}
	if err != nil {
		nc.Close()
		s.Close()
		return nil, nil, nil, err
	}
	return s, nc, p, nil
}

// ensure waits until the streams are there. Only a stream that differs from what this version
// declares is an error.
func ensure(ctx context.Context, nc *nats.Conn, replicas int, log *slog.Logger) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for {
		err := bus.Ensure(ctx, js, replicas, bus.StreamOrders, bus.StreamEdits, bus.StreamDeadLetters)
		if err == nil || errors.Is(err, bus.ErrDrift) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		log.Info("waiting for JetStream", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
