package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/telemetry"
)

// shortRequest is how long a request may take that is left to its deadline when the connection is lost. To end it
// earlier would cost every request a tenth more (BenchmarkAsk).
const shortRequest = 2 * time.Second

// Ask sends req as JSON to subject and returns the answer. Every error is a fault.Error: the one
// the service sent, or Unavailable when NATS is away or lost meanwhile, nobody serves the subject, or
// ctx (which must have a deadline) ends first. Of these, only nats.ErrDisconnected and nats.ErrNoResponders
// mean that nobody was asked.
func Ask(ctx context.Context, nc *nats.Conn, subject string, req any) (Reply, error) {
	data, err := json.Marshal(req)
	if err != nil {
		return Reply{}, fault.From(fmt.Errorf("ask %s: %w", subject, err))
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		msg.Header.Set(HeaderTimeout, strconv.FormatInt(left.Milliseconds(), 10))
		if left > shortRequest {
			waiting := pendingOf(nc)
			var cancel context.CancelCauseFunc
			ctx, cancel = context.WithCancelCause(ctx)
			defer cancel(nil)
			defer waiting.remove(waiting.add(cancel))
		}
	}
	if !nc.IsConnected() { // asked once its loss would be noticed
		return Reply{}, fault.Away("NATS", nats.ErrDisconnected)
	}
	telemetry.Inject(ctx, HeaderCarrier(msg.Header))
	answer, err := nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return Reply{}, fault.Away(serviceOf(subject), err)
	case errors.Is(err, nats.ErrConnectionClosed), context.Cause(ctx) == errLost: //nolint:errorlint // set by pending
		return Reply{}, fault.Away("NATS", fmt.Errorf("ask %s: %w", subject, errLost))
	case errors.Is(err, nats.ErrMaxPayload):
		return Reply{}, fault.Wrap(fault.TooLarge,
			fault.T("La petición es demasiado grande", "The request is too large"), fmt.Errorf("ask %s: %w", subject, err))
	case err != nil:
		return Reply{}, fault.Away(serviceOf(subject), fmt.Errorf("ask %s: %w", subject, err))
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return Reply{}, fault.Decode(code, answer.Data)
	}
	return Reply{Header: answer.Header, Data: answer.Data}, nil
}

// serviceOf is the first token of a subject, the service's name.
func serviceOf(subject string) string {
	for i := range len(subject) {
		if subject[i] == '.' {
			return subject[:i]
		}
	}
	return subject
}
