package api

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// progress follows how far the projection has come, in whatever instance it runs.
type progress struct {
	mu      sync.Mutex
	seq     uint64
	changed chan struct{} // closed when seq changes
}

func follow(nc *nats.Conn) (*progress, error) {
	p := &progress{changed: make(chan struct{})}
	_, err := nc.Subscribe(ordersapi.SubjectProjected, func(m *nats.Msg) {
		if seq, err := strconv.ParseUint(string(m.Data), 10, 64); err == nil {
			p.set(seq)
		}
	})
	return p, err
}

func (p *progress) set(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq = seq // lower than before when the stream is another
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *progress) get() (seq uint64, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seq, p.changed
}

// wait returns when seq is projected, as far as this instance knows, but no later than after d.
func (p *progress) wait(ctx context.Context, seq uint64, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		have, changed := p.get()
		if have >= seq {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
