// Package servicetest runs services inside a test, and waits for what they do.
package servicetest

import (
	"context"
	"sync"
	"testing"
	"time"
)

// Patience bounds what should happen soon; only a failing test waits that long.
const Patience = time.Minute

// drained is within what a service ends once it is told to.
const drained = 10 * time.Second

// Run runs a service until the test ends or stop is called, which waits for its end: within ten
// seconds, and without an error.
func Run(tb testing.TB, service func(context.Context) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- service(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("the service ended with %v", err)
			}
		case <-time.After(drained):
			tb.Errorf("the service did not end within %s", drained)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// Eventually looks until what is so, and ends the test when it is not so within Patience.
func Eventually(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	for over := time.Now().Add(Patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(over) {
			tb.Fatalf("not within %s: %s", Patience, what)
		}
	}
}
