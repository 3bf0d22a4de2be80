package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
)

// setupTimeout bounds what it takes to find out what to read.
const setupTimeout = 3 * time.Second

// feed is a Feed as far as it was read. The guard of what is mutable is the hub's.
type feed struct {
	Feed

	hub     *Hub
	reading *reading

	created   time.Time // of the stream; zero while there is none
	start     uint64    // what is remembered begins after it
	before    uint64    // what was there when this feed first looked
	read      uint64
	readAt    time.Time // when the stream stored what has that sequence; zero if nothing was read yet
	announced uint64
	shown     uint64
	log       []entry // announced changes, then those that wait: in stream order
	waiting   int     // how many at the end of log are not announced yet
	lost      bool    // clients must read everything again
	looked    bool    // at the stream
	known     bool    // all of it that is to be remembered
}

type entry struct {
	seq     uint64
	arrived time.Time
	Change
}

// run reads the stream, whichever it is, until ctx ends.
func (f *feed) run(ctx context.Context, js jetstream.JetStream) {
	_ = bus.Persist(ctx, f.hub.log.With("stream", f.Stream), "live feed interrupted", func(ctx context.Context) error { // until ctx ends
		return f.follow(ctx, js)
	})
}

// follow reads until something is wrong.
func (f *feed) follow(ctx context.Context, js jetstream.JetStream) error {
	setup, done := context.WithTimeout(ctx, setupTimeout)
	defer done()
	stream, err := js.Stream(setup, f.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		f.resume(time.Time{}, 0)
		f.caughtUp()
		return err
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Stream, err)
	}
	same, err := f.continues(setup, stream)
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Stream, err)
	}
	info := stream.CachedInfo()
	if !same {
		f.resume(time.Time{}, 0) // its sequences are used again: forget it
	}
	from := f.resume(info.Created, info.State.LastSeq)
	reader, err := bus.Read(ctx, js.Conn(), stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: f.Subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, HeadersOnly: true,
	}, jetstream.PullMaxMessages(500))
	if err != nil {
		return err
	}
	defer reader.Close()
	if from > info.State.LastSeq || reader.Pending() == 0 {
		f.caughtUp()
	}
	for {
		msg, meta, err := reader.Next()
		if err != nil {
			return fmt.Errorf("read %s: %w", f.Stream, err)
		}
		change, ok := f.Read(msg.Subject(), msg.Headers())
		f.take(meta.Sequence.Stream, meta.Timestamp, change, ok)
		if meta.Sequence.Stream >= info.State.LastSeq || meta.NumPending == 0 {
			f.caughtUp()
		}
	}
}

// continues reports whether the last message that was read is still in the stream. A server that crashed may have lost
// it, and given its sequence to another.
func (f *feed) continues(ctx context.Context, stream jetstream.Stream) (bool, error) {
	f.hub.mu.Lock()
	seq, at := f.read, f.readAt
	f.hub.mu.Unlock()
	if at.IsZero() {
		return true, nil
	}
	msg, err := stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil // newer ones of its subject have replaced it, or sequences end before it, which resume sees
	}
	if err != nil {
		return false, err
	}
	return msg.Time.Equal(at), nil
}

// resume prepares to read the stream that is there, and says from which sequence. Of one that is
// new to this feed, the newest changes are read to be remembered.
func (f *feed) resume(created time.Time, last uint64) (from uint64) {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	if !f.created.Equal(created) || last < f.read || !f.looked {
		f.lost = f.looked
		if f.lost || last < f.shown || !f.created.IsZero() && !f.created.Equal(created) {
			f.shown = 0 // of another stream
		}
		f.created, f.log, f.waiting = created, nil, 0
		f.start = last - min(last, maxRemembered)
		f.read, f.announced, f.before = f.start, f.start, last
		f.readAt = time.Time{}
	}
	f.looked = true
	if f.lost {
		f.hub.wake()
	}
	return f.read + 1
}

// caughtUp marks the feed as read up to its end: clients can now receive what they missed.
func (f *feed) caughtUp() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	if f.known {
		return
	}
	f.known = true
	if f.reading.unready--; f.reading.unready == 0 {
		close(f.reading.ready)
	}
}

// take remembers a message. Of what was there before this feed looked for the first time, only what
// is known not to be shown yet is told.
func (f *feed) take(seq uint64, at time.Time, c Change, ok bool) {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.read, f.readAt = seq, at
	if seq <= f.before && f.waiting == 0 && (!f.Shown || f.shown == 0 || seq <= f.shown) {
		f.announced = seq
	}
	if !ok {
		return
	}
	f.log = append(f.log, entry{seq: seq, arrived: time.Now(), Change: c})
	if seq > f.announced {
		f.waiting++
		f.hub.wake()
	}
	f.forget()
}

// forget drops the oldest announced changes.
func (f *feed) forget() {
	if extra := len(f.log) - f.waiting - maxRemembered; extra > maxRemembered/10 {
		f.start = f.log[extra-1].seq
		f.log = slices.Delete(f.log, 0, extra)
	}
}

// release tells what waits and is shown, and says how long to wait for the rest.
func (f *feed) release(now time.Time, announce func(Change)) (again time.Duration) {
	waiting := f.log[len(f.log)-f.waiting:]
	for _, e := range waiting {
		if age := now.Sub(e.arrived); f.Shown && e.seq > f.shown && age < visibilityTimeout {
			return visibilityTimeout - age
		}
		announce(e.Change)
		f.announced = e.seq
		f.waiting--
	}
	return 0
}

// since tells what a client at a position has not seen; false when that is not known any more.
func (f *feed) since(p position, announce func(Change)) bool {
	if !f.created.Equal(p.created) || p.seq < f.start || p.seq > max(f.announced, f.read, f.before) {
		return f.created.IsZero() && p.created.IsZero()
	}
	for _, e := range f.log[:len(f.log)-f.waiting] {
		if e.seq > p.seq {
			announce(e.Change)
		}
	}
	return true
}

// position is how far a client has seen a stream.
type position struct {
	created time.Time
	seq     uint64
}

// cursor is the position of the last announced change of each feed.
func (h *Hub) cursor() string {
	var b strings.Builder
	for i, f := range h.reading.feeds {
		if i > 0 {
			b.WriteByte('_')
		}
		created := int64(0)
		if !f.created.IsZero() {
			created = f.created.UnixNano()
		}
		b.WriteString(strconv.FormatInt(created, 36) + "." + strconv.FormatUint(f.announced, 36))
	}
	return b.String()
}

// parseCursor is the inverse of cursor. What it cannot read is a position nobody knows.
func parseCursor(s string, feeds int) []position {
	all := make([]position, feeds)
	for i, part := range strings.SplitN(s, "_", feeds) {
		created, seq, _ := strings.Cut(part, ".")
		at, err1 := strconv.ParseInt(created, 36, 64)
		n, err2 := strconv.ParseUint(seq, 36, 64)
		switch {
		case err1 != nil || err2 != nil:
			all[i] = position{created: time.Unix(0, 1)}
		case at != 0:
			all[i] = position{created: time.Unix(0, at), seq: n}
		}
	}
	return all
}
