package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
