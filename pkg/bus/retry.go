package bus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"
)

// RequestTimeout is how long one request to JetStream waits for its answer, which is lost when a server of a
// cluster ends. Whoever can wait longer asks again.
const RequestTimeout = 2 * time.Second

// JetStream is that of nc, whose requests wait for RequestTimeout where their context has no deadline.
func JetStream(nc *nats.Conn, opts ...jetstream.JetStreamOpt) (jetstream.JetStream, error) {
	return jetstream.New(nc, append(opts, jetstream.WithDefaultTimeout(RequestTimeout))...)
}

// Retry calls ask until it is answered, if by an error, or ctx ends. The context that ask gets has no
// deadline, so that each request it makes waits as long as its JetStream's default timeout, not as long as ctx.
func Retry[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	const pause = 100 * time.Millisecond // where nobody is there to answer
	for {
		answer, err := ask(withoutDeadline{ctx})
		if err == nil || ctx.Err() != nil || !unanswered(err) {
			return answer, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// Pace of Persist.
const (
	firstPause  = 250 * time.Millisecond
	longestWait = 2 * time.Second  // so that work resumes soon after an outage, however long that was
	steady      = 10 * time.Second // work that ran for so long was not part of the outage
	logInterval = 30 * time.Second
)

// Persist calls work, which may run for any time, until it succeeds. It waits after each failure, longer after each
// one in a row, and logs what failed: the first failure of an outage at once, then one every 30 s. It returns an
// error that no waiting mends, which wraps ErrDrift, or ctx's when ctx ends.
func Persist(ctx context.Context, log *slog.Logger, what string, work func(context.Context) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longestWait
	often := &rate.Sometimes{First: 1, Interval: logInterval}
	for {
		began := time.Now()
		err := work(ctx)
		switch {
		case err == nil || errors.Is(err, ErrDrift):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if time.Since(began) >= steady {
			pause.Reset()
			often = &rate.Sometimes{First: 1, Interval: logInterval}
		}
		often.Do(func() { log.WarnContext(ctx, what, "error", err) })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// unanswered reports that a request was lost, or that there is no leader to answer it yet.
func unanswered(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.Code == 503
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

type withoutDeadline struct{ context.Context } //nolint:containedctx // it is one

// Deadline says that there is none.
func (withoutDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }
