package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
)

// Headers of a dead letter; those of the message follow with OriginalPrefix before their names.
const (
	HeaderDeadReason   = "Dead-Reason"
	HeaderDeadSequence = "Dead-Sequence" // in the message's own stream
	OriginalPrefix     = "Original-"
)

// Park records a message that no retry can make good, and returns when that is stored
// (invariant 5). Parking it again stores nothing more.
func Park(ctx context.Context, js jetstream.JetStream, consumer string, m jetstream.Msg, reason error) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("park a message of %s: %w", m.Subject(), err)
	}
	text := strings.Join(strings.Fields(reason.Error()), " ") // a header is one line
	dead := &nats.Msg{Subject: event.DeadSubject(consumer, m.Subject()), Header: nats.Header{}, Data: m.Data()}
	for name, values := range m.Headers() {
		dead.Header[OriginalPrefix+name] = values
	}
	dead.Header.Set(HeaderDeadReason, text)
	dead.Header.Set(HeaderDeadSequence, strconv.FormatUint(meta.Sequence.Stream, 10))
	dead.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%s-%d-%d", consumer, meta.Timestamp.UnixNano(), meta.Sequence.Stream))
	if spare := int(js.Conn().MaxPayload()) - 1024; dead.Size() > spare { // its own headers may be what is too much
		dead.Data = dead.Data[:max(0, min(len(dead.Data), spare-(dead.Size()-len(dead.Data))))]
		dead.Header.Set(HeaderDeadReason, text+" (body cut short)")
	}
	if _, err := Publish(ctx, js, dead); err != nil {
		return fmt.Errorf("park message %d of %s: %w", meta.Sequence.Stream, m.Subject(), err)
	}
	return nil
}
