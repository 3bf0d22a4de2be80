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

// Ask sends req as JSON to subject and returns the answer. Every error is a fault.Error: the one
// the service sent, or Unavailable when NATS is away, nobody serves the subject, or ctx (which
// must have a deadline) ends first.
func Ask(ctx context.Context, nc *nats.Conn, subject string, req any) (Reply, error) {
	data, err := json.Marshal(req)
	if err != nil {
		return Reply{}, fault.From(fmt.Errorf("ask %s: %w", subject, err))
	}
	if !nc.IsConnected() {
		return Reply{}, fault.Away("NATS", nats.ErrDisconnected)
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if deadline, ok := ctx.Deadline(); ok {
		msg.Header.Set(HeaderTimeout, strconv.FormatInt(time.Until(deadline).Milliseconds(), 10))
	}
	telemetry.Inject(ctx, HeaderCarrier(msg.Header))
	answer, err := nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return Reply{}, fault.Away(serviceOf(subject), err)
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
