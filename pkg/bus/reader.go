package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	readSetup     = 5 * time.Second // for each request that opening or closing a Reader takes
	readHeartbeat = 2 * time.Second // two missed ones end a Reader
	readExpiry    = 10 * time.Second
	readRetention = time.Minute // of a consumer whose Reader was not closed
)

// Errors after which a stream must be read anew, from where the reader was.
var (
	ErrReplaced    = errors.New("the stream was replaced or lost its end")
	errReconnected = errors.New("the connection was restored")
	errMissed      = errors.New("a message was missed")
)

// Reader reads the messages of a stream in order, without acknowledging them, by a consumer of its own. It takes the
// place of nats.go's ordered consumer, which recovers by itself, but retries without limit while the stream is
// missing, when neither its context nor Stop end Next, and does not notice that the stream was replaced. A Reader
// fails instead whenever messages may have been missed, and its caller opens the next one.
type Reader struct {
	ctx      context.Context //nolint:containedctx // of all calls of Next
	end      context.CancelCauseFunc
	stream   jetstream.Stream
	name     string
	messages jetstream.MessagesContext
	pending  uint64
	last     uint64 // consumer sequence
	closed   chan struct{}
}

// Read opens a Reader of the stream that stream's cached info describes. It ends with ctx, and must be closed. The
// error wraps ErrReplaced when the stream is not that one anymore.
func Read(
	ctx context.Context, nc *nats.Conn, stream jetstream.Stream, cfg jetstream.OrderedConsumerConfig, opts ...jetstream.PullMessagesOpt,
) (*Reader, error) {
	setup, cancel := context.WithTimeout(ctx, readSetup)
	defer cancel()
	name, known := stream.CachedInfo().Config.Name, stream.CachedInfo()
	restored := nc.StatusChanged(nats.CONNECTED)
	cons, err := stream.CreateConsumer(setup, jetstream.ConsumerConfig{
		FilterSubjects: cfg.FilterSubjects, DeliverPolicy: cfg.DeliverPolicy, OptStartSeq: cfg.OptStartSeq, OptStartTime: cfg.OptStartTime,
		HeadersOnly: cfg.HeadersOnly, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: readRetention,
	})
	if err != nil {
		nc.RemoveStatusListener(restored)
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	r := &Reader{stream: stream, name: cons.CachedInfo().Name, pending: cons.CachedInfo().NumPending, closed: make(chan struct{})}
	r.ctx, r.end = context.WithCancelCause(ctx)
	go func() {
		defer close(r.closed)
		defer nc.RemoveStatusListener(restored)
		select {
		case <-restored: // what was on its way is lost
			r.end(errReconnected)
		case <-r.ctx.Done():
		}
	}()
	// From here on a replaced stream takes the consumer with it.
	info, err := stream.Info(setup)
	if err == nil && (!info.Created.Equal(known.Created) || info.State.LastSeq < known.State.LastSeq) {
		err = ErrReplaced
	}
	if err == nil {
		r.messages, err = cons.Messages(append(opts, jetstream.PullExpiry(readExpiry), jetstream.PullHeartbeat(readHeartbeat))...)
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	context.AfterFunc(r.ctx, r.messages.Stop)
	return r, nil
}

// Pending is how many messages there were to read when the Reader was opened, as far as the server knew.
func (r *Reader) Pending() uint64 { return r.pending }

// Next waits for the next message. Its error is final: the Reader's context has ended, or messages may be missing.
func (r *Reader) Next() (jetstream.Msg, *jetstream.MsgMetadata, error) {
	msg, err := r.messages.Next(jetstream.NextContext(r.ctx))
	if cause := context.Cause(r.ctx); cause != nil {
		return nil, nil, cause
	}
	if err != nil {
		return nil, nil, err
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, nil, err
	}
	if r.last++; meta.Sequence.Consumer != r.last {
		return nil, nil, errMissed
	}
	return msg, meta, nil
}

// Close ends the Reader and removes its consumer, which the server else keeps for a minute.
func (r *Reader) Close() {
	leave, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), time.Second)
	defer cancel()
	r.end(context.Canceled)
	<-r.closed
	_ = r.stream.DeleteConsumer(leave, r.name)
}
