package service

import (
	"context"
	"time"
)

// Supervise is Main with another time to drain; it returns the exit code.
func Supervise[C any, P interface {
	*C
	Validator
}](name string, run func(context.Context, C) error, drain time.Duration) int {
	return supervise[C, P](name, run, drain)
}

// ServeMetrics is what WithNATS serves meanwhile.
func (b *Base) ServeMetrics(ctx context.Context) error { return b.serveMetrics(ctx) }
