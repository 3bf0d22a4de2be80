package airtable

import (
	"context"
	"sync/atomic"
)

type counterKey struct{}

// Counting makes a context whose calls are counted, apart from what others call meanwhile.
func Counting(ctx context.Context) (context.Context, *atomic.Int64) {
	n := &atomic.Int64{}
	return context.WithValue(ctx, counterKey{}, n), n
}

func count(ctx context.Context) {
	if n, ok := ctx.Value(counterKey{}).(*atomic.Int64); ok {
		n.Add(1)
	}
}
