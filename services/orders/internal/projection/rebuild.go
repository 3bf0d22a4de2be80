package projection

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// Rebuild asks for a replay and returns when its rows are settled. It runs p meanwhile, which
// stands by where another instance projects.
func Rebuild(ctx context.Context, s *store.Store, p *Projector, log *slog.Logger) error {
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	before, err := s.Checkpoint(ctx, bus.StreamOrders)
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	var epoch int64
	if before != nil {
		epoch = before.Epoch
		if err := s.AskRebuild(ctx, bus.StreamOrders); err != nil {
			return fmt.Errorf("ask for a rebuild: %w", err)
		}
	}
	running, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	var projector sync.WaitGroup
	defer projector.Wait()
	defer stop()
	projector.Go(func() { failed <- p.Run(running) })
	logged, unknown := time.Now(), rate.Sometimes{First: 1, Interval: logInterval}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case <-time.After(100 * time.Millisecond):
		}
		cp, err := s.Checkpoint(ctx, bus.StreamOrders)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			unknown.Do(func() { log.Warn("progress unknown", "error", err) }) // the projector survives it too
		case cp == nil || cp.Epoch <= epoch || cp.Rebuild:
		case cp.ReplayUntil == nil:
			log.Info("rebuilt", "epoch", cp.Epoch, "seq", cp.Seq)
			return nil
		case time.Since(logged) > time.Second:
			logged = time.Now()
			log.Info("rebuilding", "seq", cp.Seq, "until", *cp.ReplayUntil)
		}
	}
}
