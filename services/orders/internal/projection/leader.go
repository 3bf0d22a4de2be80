package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/orders/internal/store"
)

const (
	batchEvents = 2500            // at most: a batch is what has arrived while the last one was written
	pullEvents  = 500             // asked of NATS at a time
	inFlight    = 16 << 20        // bytes of messages read ahead of the commit
	ackWait     = 5 * time.Minute // far longer than a batch takes: a redelivery means trouble
	idleCheck   = time.Second     // how often checkpoint, stream and consumer are verified
	stallChecks = 3               // verifications without an event until a stall is suspected
	batchTime   = time.Minute
	bulk        = 20_000 // rows after which the planner needs new statistics
)

// leader is the one instance that projects, for one term.
type leader struct {
	*Projector
	w        *store.Writer
	stream   jetstream.Stream
	cp       *store.Checkpoint
	newest   sequences // during a replay: the events that rows take
	progress func()
	lastSeq  uint64           // of the stream, when it was last inspected
	loaded   int              // changes written since the last vacuum
	quiet    int              // verifications since the last event
	held     syncapi.ScanMark // the scan from which too many deletions would follow
}

// item is a message on its way to the store.
type item struct {
	msg    jetstream.Msg
	seq    uint64
	id     string
	weight int64
	change *store.Change // nil: poison
	poison error
}

// project writes batches until ctx or the term ends. It never waits for a batch to fill.
func (l *leader) project(ctx context.Context) error {
	read, stopReading := context.WithCancel(ctx)
	r, err := l.open(read)
	if err != nil {
		stopReading()
		return err
	}
	var background sync.WaitGroup
	defer background.Wait()
	defer r.stop()
	defer stopReading()
	work, cancel := grace(ctx, drainTime)
	defer cancel()

	marks := make(chan syncapi.ScanMark)
	if l.cp.ReplayUntil != nil && !l.cp.SameStream {
		background.Go(func() { l.pollScan(read, marks) })
	}
	background.Go(func() { l.reconcileEdits(read) })
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	if err := l.settle(work, syncapi.ScanMark{}); err != nil {
		return err
	}
	l.caughtUp()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.reopen:
			return errReopened
		case first, open := <-r.items:
			if !open {
				return r.err
			}
			if err := l.process(work, r, r.gather(first)); err != nil {
				return err
			}
		case mark := <-marks:
			if err := l.settle(work, mark); err != nil {
				return err
			}
		case <-tick.C:
			if err := l.verify(work); err != nil {
				return err
			}
			if l.loaded >= bulk && len(r.items) == 0 {
				l.loaded = 0
				background.Go(func() { l.vacuum(read) })
			}
		}
	}
}

// process writes a batch of r and acknowledges it.
func (l *leader) process(ctx context.Context, r *reader, batch []*item) error {
	l.quiet = 0
	if err := l.commit(ctx, batch); err != nil {
		return err
	}
	// The checkpoint, not the ack floor, decides where projection resumes. Acknowledging keeps `nats consumer report` meaningful.
	if err := batch[len(batch)-1].msg.Ack(); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	r.release(batch)
	l.announceCheckpoint()
	l.works()
	l.progress()
	return l.settle(ctx, syncapi.ScanMark{})
}

// announceCheckpoint publishes the committed sequence to requests that wait for their own writes.
// Delivery is best effort: a waiter that misses it polls the checkpoint instead.
func (l *leader) announceCheckpoint() {
	if err := l.js.Conn().Publish(ordersapi.SubjectProjected, strconv.AppendUint(nil, l.cp.Seq, 10)); err != nil {
		l.log.Debug("checkpoint announcement failed", "error", err)
	}
}

// caughtUp makes this instance ready where nothing is left to project; else the first batch does, so
// that a projection which stalls again and again is never ready.
func (l *leader) caughtUp() {
	if l.lastSeq <= l.cp.Seq {
		l.works()
		l.progress()
	}
}

func (l *leader) vacuum(ctx context.Context) {
	if err := l.store.Vacuum(ctx); err != nil && ctx.Err() == nil {
		l.log.Warn("tables not vacuumed after a bulk load", "error", err)
	}
}

// verify makes sure, while nothing arrives too, that the checkpoint is where this leader left it, that
// the stream is the one it is of, and that the consumer delivers every event.
func (l *leader) verify(ctx context.Context) error {
	reading, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := l.w.Leads(reading); err != nil {
		return fmt.Errorf("keep the lead: %w", err)
	}
	cp, err := l.w.Checkpoint(reading, l.cp.Stream)
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	if cp == nil || cp.Rebuild || cp.Epoch != l.cp.Epoch || cp.Seq != l.cp.Seq {
		return store.ErrFenced
	}
	info, err := l.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("inspect %s: %w", bus.StreamOrders, err)
	}
	if info.State.LastSeq < l.cp.Seq {
		return errReopened
	}
	l.lastSeq = info.State.LastSeq
	lag.Set(float64(l.lastSeq - l.cp.Seq))
	l.announceCheckpoint() // for who has started since the last commit
	l.caughtUp()
	if err := l.checkConsumer(ctx); err != nil {
		return err
	}
	if err := l.stalled(ctx, l.lastSeq); err != nil {
		return errors.Join(err, l.deleteConsumer(ctx))
	}
	return nil
}

var errStalled = errors.New("events wait in the stream and none arrives")

// stalled reports errStalled when nothing has arrived for a few verifications although the stream has
// an event after the checkpoint. What the consumer says is pending may be wrong both ways.
func (l *leader) stalled(ctx context.Context, lastSeq uint64) error {
	if l.quiet++; l.quiet < stallChecks || lastSeq <= l.cp.Seq {
		return nil
	}
	l.quiet = 0
	_, err := l.stream.GetMsg(ctx, l.cp.Seq+1, jetstream.WithGetMsgSubject(">")) // or the first one after it
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound): // deleted, all of them
		return nil
	case err != nil:
		return fmt.Errorf("read the event after the checkpoint: %w", err)
	}
	return errStalled
}

// commit writes a batch (invariant 3), parking what can never be written (invariant 5). A batch
// that Postgres refuses is split until the guilty event is alone.
func (l *leader) commit(ctx context.Context, batch []*item) error {
	changes := make([]*store.Change, 0, len(batch))
	for _, it := range batch {
		if it.change == nil {
			if err := l.park(ctx, it); err != nil {
				return err
			}
			continue
		}
		it.change.Current = l.newest == nil || it.seq > l.newest.last() || l.newest.contain(it.seq)
		changes = append(changes, it.change)
	}
	once, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	last := batch[len(batch)-1]
	start := time.Now()
	err := l.w.Apply(once, l.cp, changes, last.seq, last.id)
	switch {
	case err == nil:
		batchSeconds.Observe(time.Since(start).Seconds())
		projected.Add(float64(len(changes)))
		l.loaded += len(changes)
		return nil
	case !store.Refused(err) || len(changes) == 0:
		return err
	case len(batch) == 1:
		batch[0].change, batch[0].poison = nil, err
		return l.commit(ctx, batch)
	}
	middle := len(batch) / 2
	if err := l.commit(ctx, batch[:middle]); err != nil {
		return err
	}
	return l.commit(ctx, batch[middle:])
}

// hold reports whether so many rows would go that somebody must confirm it first: more than a fifth
// of at least fifty (invariant 6).
func (l *leader) hold(ctx context.Context, mark syncapi.ScanMark) (bool, error) {
	const share, from = 5, 50
	if mark == l.held {
		return true, nil // counted and logged already
	}
	gone, all, err := l.w.Untouched(ctx, l.cp)
	if err != nil || mark.Confirmed || all < from || gone*share <= all {
		return false, err
	}
	l.held = mark
	l.log.Error("deletions held",
		"gone", gone, "orders", all, "confirm", `POST /api/orders/sync {"confirm_deletions": true}`)
	return true, nil
}

// settle ends the replay when it is through and its rows are known to be all there are.
func (l *leader) settle(ctx context.Context, mark syncapi.ScanMark) error {
	if l.cp.ReplayUntil == nil || l.cp.Seq < *l.cp.ReplayUntil {
		return nil
	}
	if !l.cp.SameStream {
		if scanned, err := l.scanned(ctx, mark); !scanned || err != nil {
			return err
		}
		if held, err := l.hold(ctx, mark); held || err != nil {
			return err
		}
	}
	gone, err := l.w.Settle(ctx, l.cp)
	if err != nil {
		return err
	}
	l.newest = nil
	l.log.Info("replay finished", "epoch", l.cp.Epoch, "seq", l.cp.Seq, "gone", gone)
	return nil
}

// scanned reports whether what the scan found is projected: the stream is the one that the mark is of, and still has
// the message there.
func (l *leader) scanned(ctx context.Context, mark syncapi.ScanMark) (bool, error) {
	if !mark.StreamCreated.UTC().Truncate(time.Microsecond).Equal(l.cp.StreamCreated) || mark.Through > l.cp.Seq {
		return false, nil
	}
	if mark.Through == 0 { // the table is empty
		return true, nil
	}
	msg, err := l.stream.GetMsg(ctx, mark.Through)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the message at the scan's mark: %w", err)
	}
	return event.MessageID(msg.Header, msg.Time) == mark.MessageID, nil
}

// pollScan asks airtable-sync for its last complete scan until ctx ends. While nobody
// answers the rows stay (invariant 6).
func (l *leader) pollScan(ctx context.Context, marks chan<- syncapi.ScanMark) {
	l.log.Info("replay waits for a complete scan")
	for {
		if mark, err := l.askScan(ctx); err != nil {
			l.log.Debug("scan state unknown", "error", err)
		} else if mark != nil {
			select {
			case marks <- *mark:
			case <-ctx.Done():
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

func (l *leader) askScan(ctx context.Context) (*syncapi.ScanMark, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	reply, err := bus.Ask(ctx, l.js.Conn(), syncapi.SubjectStatus, syncapi.StatusRequest{})
	if err != nil {
		return nil, err
	}
	var state struct {
		Scan *syncapi.ScanMark `json:"scan"`
	}
	if err := json.Unmarshal(reply.Data, &state); err != nil {
		return nil, fmt.Errorf("read %s: %w", syncapi.SubjectStatus, err)
	}
	return state.Scan, nil
}

// reader reads and decodes ahead of the commits.
type reader struct {
	items  chan *item
	budget *semaphore.Weighted
	last   uint64 // consumer sequence
	err    error  // why items was closed
	stop   func()
}

// open puts the consumer to the checkpoint and starts to read. Consumer sequences begin at 1 with
// each reset, so that a message which went elsewhere shows as a gap.
func (l *leader) open(ctx context.Context) (*reader, error) {
	setup, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	cons, err := bus.Retry(setup, l.openConsumer)
	if err != nil {
		return nil, err
	}
	r := &reader{items: make(chan *item, batchEvents), budget: semaphore.NewWeighted(inFlight)}
	read, end := context.WithCancelCause(ctx)
	consuming, err := cons.Consume(func(msg jetstream.Msg) {
		if read.Err() != nil {
			return
		}
		if err := r.read(read, msg); err != nil {
			end(err)
		}
	}, jetstream.PullMaxMessagesWithBytesLimit(pullEvents, inFlight), jetstream.PullHeartbeat(2*time.Second),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { end(err) }))
	if err != nil {
		end(err)
		return nil, fmt.Errorf("read consumer %s: %w", l.cp.Consumer, err)
	}
	closed := consuming.Closed()
	r.stop = func() { end(context.Canceled); <-closed }
	go func() {
		<-read.Done()
		consuming.Stop()
		<-closed
		r.err = fmt.Errorf("read the consumer: %w", context.Cause(read))
		close(r.items)
	}()
	return r, nil
}

var errGap = errors.New("a message went elsewhere or came twice")

func (r *reader) read(ctx context.Context, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	if r.last++; meta.Sequence.Consumer != r.last || meta.NumDelivered != 1 {
		return errGap
	}
	it := &item{
		msg: msg, seq: meta.Sequence.Stream, id: messageID(msg.Headers(), meta.Timestamp),
		weight: min(int64(len(msg.Data())), inFlight),
	}
	if it.change, it.poison = decode(msg.Subject(), msg.Headers(), msg.Data()); it.change != nil {
		it.change.Seq = it.seq
	}
	if err := r.budget.Acquire(ctx, it.weight); err != nil {
		return err
	}
	select {
	case r.items <- it:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gather takes what has arrived, up to a batch.
func (r *reader) gather(first *item) []*item {
	batch := []*item{first}
	for len(batch) < batchEvents {
		select {
		case it, open := <-r.items:
			if !open {
				return batch
			}
			batch = append(batch, it)
		default:
			return batch
		}
	}
	return batch
}

func (r *reader) release(batch []*item) {
	for _, it := range batch {
		r.budget.Release(it.weight)
	}
}

// grace outlives ctx by d.
func grace(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	g, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return g, func() { stop(); cancel() }
}

// park records a message that no retry can make good, and returns when that is stored (invariant 5).
func (l *leader) park(ctx context.Context, it *item) error {
	if err := l.checkConsumer(ctx); err != nil { // one that delivers headers only makes every event look malformed
		return err
	}
	if err := bus.Park(ctx, l.js, "orders", it.msg, it.poison); err != nil {
		return err
	}
	deadLetters.Inc()
	l.log.Error("event parked", "subject", it.msg.Subject(), "seq", it.seq, "reason", it.poison)
	return nil
}
