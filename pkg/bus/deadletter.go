package bus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/i18n"
)

// Headers of a dead letter; those of the message follow with OriginalPrefix before their names.
const (
	HeaderDeadReason   = "Dead-Reason"
	HeaderDeadSequence = "Dead-Sequence" // in the message's own stream
	OriginalPrefix     = "Original-"
)

// Limits of a dead letter's headers. JetStream refuses a message with more than 64 KB of them (10097).
const (
	maxDeadReason   = 1 << 10
	maxDeadOriginal = 32 << 10
)

// Park records a message that no retry can make good, and returns when that is stored
// (invariant 5). Parking it again stores nothing more.
func Park(ctx context.Context, js jetstream.JetStream, consumer string, m jetstream.Msg, reason error) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("park a message of %s: %w", m.Subject(), err)
	}
	dead := &nats.Msg{Subject: event.DeadSubject(consumer, m.Subject()), Header: m.Headers(), Data: m.Data()}
	id := fmt.Sprintf("%s-%d-%d", consumer, meta.Timestamp.UnixNano(), meta.Sequence.Stream)
	return park(ctx, js, dead, id, meta.Sequence.Stream, reason)
}

// ParkUnpublished records a message that no stream can take, as Park does. Its Nats-Msg-Id tells it from others.
func ParkUnpublished(ctx context.Context, js jetstream.JetStream, publisher string, m *nats.Msg, reason error) error {
	dead := &nats.Msg{Subject: event.DeadSubject(publisher, m.Subject), Header: m.Header, Data: m.Data}
	return park(ctx, js, dead, publisher+"-"+m.Header.Get(nats.MsgIdHdr), 0, reason)
}

// park publishes dead, whose headers are the original's yet.
func park(ctx context.Context, js jetstream.JetStream, dead *nats.Msg, id string, seq uint64, reason error) error {
	stream, err := js.Stream(ctx, StreamDeadLetters)
	if err != nil {
		return fmt.Errorf("park on %s: %w", dead.Subject, err)
	}
	header, complete := originals(dead.Header)
	text := headerLine(reason.Error())
	if !complete {
		text += " (headers truncated)"
	}
	dead.Header = header
	header.Set(HeaderDeadReason, text)
	header.Set(nats.MsgIdHdr, id)
	if seq > 0 {
		header.Set(HeaderDeadSequence, strconv.FormatUint(seq, 10))
	}
	if spare := MaxMessage(js, stream) - 1024; dead.Size() > spare {
		dead.Data = dead.Data[:max(0, len(dead.Data)-(dead.Size()-spare))]
		header.Set(HeaderDeadReason, text+" (body truncated)")
	}
	if _, err := Publish(ctx, js, dead); err != nil {
		return fmt.Errorf("park on %s: %w", dead.Subject, err)
	}
	return nil
}

// originals gives the headers of a message under OriginalPrefix, the shortest first and as many as fit.
func originals(h nats.Header) (kept nats.Header, complete bool) {
	size := func(name string) (n int) {
		for _, v := range h[name] {
			n += len(OriginalPrefix) + len(name) + len(v) + len(": \r\n")
		}
		return n
	}
	names := slices.SortedFunc(maps.Keys(h), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(a), size(b)), cmp.Compare(a, b))
	})
	kept = nats.Header{}
	for spare := maxDeadOriginal; len(names) > 0; names = names[1:] {
		if spare -= size(names[0]); spare < 0 {
			return kept, false
		}
		kept[OriginalPrefix+names[0]] = h[names[0]]
	}
	return kept, true
}

// headerLine is a text as a header can hold it: one line without control characters.
func headerLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return i18n.Truncate(strings.Join(strings.Fields(s), " "), maxDeadReason)
}
