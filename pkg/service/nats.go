package service

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
)

// Link says how a service is connected to NATS.
type Link struct {
	Name        string // of the service, and of its connection
	Check       string // the name of the health check that the connection is there
	OnReconnect func() // called after each reconnection; nil for nothing
}

// WithNATS waits for NATS, then calls run with a connection that is drained when run returns. All
// the while it serves what MetricsAddr asks for; run's context ends when that is impossible. That
// ctx ended is no error.
func (b *Base) WithNATS(ctx context.Context, l Link, run func(context.Context, *nats.Conn) error) error {
	b.Health.Expect(l.Check)
	ctx, cancel := context.WithCancel(ctx)
	metrics := make(chan error, 1)
	go func() {
		err := b.serveMetrics(ctx)
		if err != nil {
			cancel()
		}
		metrics <- err
	}()
	err := b.withNATS(ctx, l, run)
	if ctx.Err() != nil {
		err = withoutCancellation(err)
	}
	cancel()
	return errors.Join(err, withoutCancellation(<-metrics))
}

func (b *Base) withNATS(ctx context.Context, l Link, run func(context.Context, *nats.Conn) error) (err error) {
	nc, err := bus.Connect(ctx, b.Log, bus.Options{
		URL: b.NATSURL, Name: l.Name, OnReconnect: l.OnReconnect,
		Creds: b.NATSCreds, Nkey: b.NATSNkey, CA: b.NATSCA, Cert: b.NATSCert, Key: b.NATSKey,
	})
	if err != nil {
		return err
	}
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err = errors.Join(err, bus.Drain(drain, nc))
	}()
	b.Health.Check(l.Check, func(context.Context) error {
		if !nc.IsConnected() {
			return nats.ErrDisconnected
		}
		return nil
	})
	return run(ctx, nc)
}
