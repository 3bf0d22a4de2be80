package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// DrainTime is how long a service has to finish what is under way once it is told to stop.
const DrainTime = 9 * time.Second

// Main loads C from the environment and runs until SIGINT or SIGTERM, or until run returns. The
// first signal cancels the context; a second one, or DrainTime, ends the process at once. It exits
// with 0, with 1 and one line an error on stderr, or with 130 after a second signal.
func Main[C any, P interface {
	*C
	Validator
}](name string, run func(context.Context, C) error) {
	if code := supervise[C, P](name, run, DrainTime); code != 0 {
		os.Exit(code)
	}
}

func supervise[C any, P interface {
	*C
	Validator
}](name string, run func(context.Context, C) error, drain time.Duration) int {
	cfg := new(C)
	if err := Load(P(cfg)); err != nil {
		return complain(name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		select {
		case <-signals:
			os.Exit(130)
		case <-time.After(drain):
			os.Exit(complain(name, fmt.Errorf("not drained after %s", drain)))
		}
	}()
	err := run(ctx, *cfg)
	if ctx.Err() != nil {
		err = withoutCancellation(err)
	}
	if err != nil {
		return complain(name, err)
	}
	return 0
}

// withoutCancellation leaves of joined errors those that do not just say that we were told to stop.
func withoutCancellation(err error) error {
	joined, ok := err.(interface{ Unwrap() []error }) // what is wrapped stays together
	if !ok {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		rest = append(rest, withoutCancellation(e))
	}
	return errors.Join(rest...)
}

// complain prints each joined error on a line of its own and returns the exit code.
func complain(name string, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, line)
	}
	return 1
}
