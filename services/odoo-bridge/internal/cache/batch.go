package cache

import (
	"context"
	"sync"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Bounds of gathering. A read that is alone waits for nothing.
const (
	gatherGap = 5 * time.Millisecond // a burst is over when nothing came for so long
	maxGather = 30 * time.Millisecond
	maxBatch  = 500
)

// batcher joins reads of single records into few calls: while one is under way, and shortly after
// it, others gather.
type batcher struct {
	read    func(ctx context.Context, name string, scope resource.Scope, ids []int64) ([]resource.Record, error)
	timeout time.Duration

	mu     sync.Mutex
	queues map[batchKey]*queue
}

type batchKey struct {
	name  string
	scope resource.Scope
}

type queue struct{ waiting []waiter }

type waiter struct {
	id     int64
	answer chan<- answer
}

type answer struct {
	record *resource.Record // nil: there is none
	err    error
}

// one reads a record, by a call that begins after one is called; nil when there is none.
func (b *batcher) one(ctx context.Context, name string, scope resource.Scope, id int64) (*resource.Record, error) {
	got := make(chan answer, 1)
	k := batchKey{name, scope}
	b.mu.Lock()
	q := b.queues[k]
	if q == nil {
		q = &queue{}
		b.queues[k] = q
		go b.run(context.WithoutCancel(ctx), k, q)
	}
	q.waiting = append(q.waiting, waiter{id, got})
	b.mu.Unlock()
	select {
	case a := <-got:
		return a.record, a.err
	case <-ctx.Done():
		return nil, fault.Away("Odoo", ctx.Err())
	}
}

// run calls Odoo until no request waits any more.
func (b *batcher) run(ctx context.Context, k batchKey, q *queue) {
	for {
		b.mu.Lock()
		n := min(len(q.waiting), maxBatch)
		if n == 0 {
			delete(b.queues, k)
			b.mu.Unlock()
			return
		}
		now := q.waiting[:n:n]
		q.waiting = q.waiting[n:]
		b.mu.Unlock()
		b.call(ctx, k, now)
		b.gather(q)
	}
}

// gather returns when a burst of reads seems over.
func (b *batcher) gather(q *queue) {
	began, waiting := time.Now(), -1
	for time.Since(began) < maxGather {
		b.mu.Lock()
		n := len(q.waiting)
		b.mu.Unlock()
		if n == waiting || n >= maxBatch {
			return
		}
		waiting = n
		time.Sleep(gatherGap)
	}
}

func (b *batcher) call(ctx context.Context, k batchKey, waiting []waiter) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	waiters := map[int64][]chan<- answer{}
	var ids []int64
	for _, w := range waiting {
		if waiters[w.id] == nil {
			ids = append(ids, w.id)
		}
		waiters[w.id] = append(waiters[w.id], w.answer)
	}
	resource.Each(ids, func(ids []int64) ([]resource.Record, error) {
		return b.read(ctx, k.name, k.scope, ids)
	}, func(ids []int64, found []resource.Record, err error) {
		records := map[int64]*resource.Record{}
		for i := range found {
			records[found[i].ID] = &found[i]
		}
		for _, id := range ids {
			for _, w := range waiters[id] {
				w <- answer{records[id], err}
			}
		}
	})
}
