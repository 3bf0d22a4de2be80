package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// check is how often a feed makes sure that its stream is the one it reads.
const check = 2 * time.Second

// feed is a Feed as far as it was read. The guard of what is mutable is the hub's.
type feed struct {
	Feed

	hub     *Hub
	reading *reading

	created time.Time // of the stream; zero while there is none
	start   uint64    // what is remembered begins after it
	before  uint64    // what was there when this feed first looked
	read    uint64
	told    uint64
	shown   uint64
	log     []entry // remembered, then waiting to be told: in the order of the stream
	waiting int     // how many at the end of log are not told yet
	lost    bool    // clients must read everything again
	looked  bool    // at the stream
	known   bool    // all of it that is to be remembered
}

type entry struct {
	seq     uint64
	arrived time.Time
	Change
}

// run reads the stream, whichever it is, until ctx ends.
func (f *feed) run(ctx context.Context, js jetstream.JetStream) {
	for ctx.Err() == nil {
		err := f.follow(ctx, js)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			f.hub.log.Info("live feed begins again", "stream", f.Stream, "reason", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500*time.Millisecond + rand.N(500*time.Millisecond)):
		}
	}
}

// follow reads until something is wrong.
func (f *feed) follow(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	setup, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	stream, err := js.Stream(setup, f.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		f.resume(time.Time{}, 0)
		f.caughtUp()
		return err
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", f.Stream, err)
	}
	info := stream.CachedInfo()
	from := f.resume(info.Created, info.State.LastSeq)
	cons, err := stream.OrderedConsumer(setup, jetstream.OrderedConsumerConfig{
		FilterSubjects: f.Subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, HeadersOnly: true,
	})
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Stream, err)
	}
	if cons.CachedInfo().NumPending == 0 {
		f.caughtUp()
	}
	messages, err := cons.Messages(jetstream.PullMaxMessages(500))
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Stream, err)
	}
	defer func() {
		messages.Stop()
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := stream.DeleteConsumer(leaving, cons.CachedInfo().Name); err != nil { // it ends by itself in five minutes
			f.hub.log.Debug("consumer not deleted", "stream", f.Stream, "error", err)
		}
	}()
	go f.watch(ctx, stream, cancel)
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", f.Stream, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read %s: %w", f.Stream, err)
		}
		change, ok := f.Read(msg.Subject(), msg.Headers())
		f.take(meta.Sequence.Stream, change, ok)
		if meta.NumPending == 0 {
			f.caughtUp()
		}
	}
}

var errReplaced = errors.New("the stream was replaced or lost its end")

// watch ends a reading when the stream is not any more what it was: an ordered consumer does not
// notice, and would wait for sequences that the new stream has had.
func (f *feed) watch(ctx context.Context, stream jetstream.Stream, end context.CancelCauseFunc) {
	created := stream.CachedInfo().Created
	tick := time.NewTicker(check)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		once, cancel := context.WithTimeout(ctx, check)
		info, err := stream.Info(once)
		cancel()
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			end(err)
		case err == nil && (!info.Created.Equal(created) || info.State.LastSeq < f.position()):
			end(errReplaced)
		}
	}
}

func (f *feed) position() uint64 {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	return f.read
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
		f.start = last - min(last, memory)
		f.read, f.told, f.before = f.start, f.start, last
	}
	f.looked = true
	if f.lost {
		f.hub.wake()
	}
	return f.read + 1
}

// caughtUp says that what is to be remembered is: clients can be told what they missed.
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
func (f *feed) take(seq uint64, c Change, ok bool) {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.read = seq
	if seq <= f.before && f.waiting == 0 && (!f.Shown || f.shown == 0 || seq <= f.shown) {
		f.told = seq
	}
	if !ok {
		return
	}
	f.log = append(f.log, entry{seq: seq, arrived: time.Now(), Change: c})
	if seq > f.told {
		f.waiting++
		f.hub.wake()
	}
	f.forget()
}

// forget drops the oldest of what was told.
func (f *feed) forget() {
	if extra := len(f.log) - f.waiting - memory; extra > memory/10 {
		f.start = f.log[extra-1].seq
		f.log = slices.Delete(f.log, 0, extra)
	}
}

// release tells what waits and is shown, and says how long to wait for the rest.
func (f *feed) release(now time.Time, tell func(Change)) (again time.Duration) {
	waiting := f.log[len(f.log)-f.waiting:]
	for _, e := range waiting {
		if age := now.Sub(e.arrived); f.Shown && e.seq > f.shown && age < patience {
			return patience - age
		}
		tell(e.Change)
		f.told = e.seq
		f.waiting--
	}
	return 0
}

// since tells what a client at a position has not seen; false when that is not known any more.
func (f *feed) since(p position, tell func(Change)) bool {
	if !f.created.Equal(p.created) || p.seq < f.start || p.seq > max(f.told, f.read, f.before) {
		return f.created.IsZero() && p.created.IsZero()
	}
	for _, e := range f.log[:len(f.log)-f.waiting] {
		if e.seq > p.seq {
			tell(e.Change)
		}
	}
	return true
}

// position is how far a client has seen a stream.
type position struct {
	created time.Time
	seq     uint64
}

// cursor is the positions of what was told, one for each feed.
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
		b.WriteString(strconv.FormatInt(created, 36) + "." + strconv.FormatUint(f.told, 36))
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
