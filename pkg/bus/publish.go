package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publish stores msg and returns its stream sequence once JetStream has acknowledged it
// (invariant 1). Time-outs and lost connections are retried with jitter until ctx ends, when the
// error tells both; repeating is safe because msg carries a Nats-Msg-Id, which it must.
func Publish(ctx context.Context, js jetstream.JetStream, msg *nats.Msg) (uint64, error) {
	ack, err := PublishAck(ctx, js, msg)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// PublishAck is Publish, and also tells whether a message with this id had been stored before, perhaps in an earlier
// attempt of its own.
func PublishAck(ctx context.Context, js jetstream.JetStream, msg *nats.Msg) (*jetstream.PubAck, error) {
	if msg.Header.Get(nats.MsgIdHdr) == "" {
		return nil, fmt.Errorf("publish on %s: no %s", msg.Subject, nats.MsgIdHdr)
	}
	var last error
	ack, err := backoff.Retry(ctx, func() (*jetstream.PubAck, error) {
		once, cancel := context.WithTimeout(ctx, RequestTimeout)
		defer cancel()
		ack, err := js.PublishMsg(once, msg)
		if err == nil {
			return ack, nil
		}
		if last != nil && IsConflict(err) {
			// A single server checks the expected sequence before the id, so that a message whose
			// acknowledgement got lost conflicts with itself.
			if seq, lookup := newest(once, js, msg); lookup != nil || seq > 0 {
				return &jetstream.PubAck{Sequence: seq, Duplicate: true}, lookup
			}
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		var api *jetstream.APIError
		if errors.As(err, &api) && api.Code < 500 || hopeless(err) {
			return nil, backoff.Permanent(err) // refused, not lost
		}
		return nil, err
	}, backoff.WithMaxElapsedTime(0))
	if err != nil && !errors.Is(last, err) {
		err = errors.Join(err, last)
	}
	return ack, err
}

// newest gives the sequence of msg if it is the newest of its subject, else 0.
func newest(ctx context.Context, js jetstream.JetStream, msg *nats.Msg) (uint64, error) {
	name, err := js.StreamNameBySubject(ctx, msg.Subject)
	if err != nil {
		return 0, err
	}
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return 0, err
	}
	last, err := stream.GetLastMsgForSubject(ctx, msg.Subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil || last.Header.Get(nats.MsgIdHdr) != msg.Header.Get(nats.MsgIdHdr) {
		return 0, err
	}
	return last.Sequence, nil
}

// hopeless reports whether err comes before the network and always will.
func hopeless(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubject)
}

// MaxMessage is how large a message of the stream may be, as nats.Msg.Size counts: what the server that js is
// connected to takes, or less where the operator has set a limit of the stream.
func MaxMessage(js jetstream.JetStream, stream jetstream.Stream) int {
	size := int(js.Conn().MaxPayload())
	if limit := int(stream.CachedInfo().Config.MaxMsgSize); limit > 0 {
		size = min(size, limit)
	}
	return size
}

// ExpectLast makes msg's publication fail unless seq is the last sequence of its subject; 0 means
// that the subject is new (invariant 4).
func ExpectLast(msg *nats.Msg, seq uint64) {
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(seq, 10))
}

// IsConflict reports whether err says that somebody else published on the subject first.
func IsConflict(err error) bool {
	const wrongLastSequence, wrongLastSequenceCluster = 10071, 10164 // R1, R>1
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceCluster)
}
