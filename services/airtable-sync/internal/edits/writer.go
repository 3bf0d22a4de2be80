// Package edits writes people's edits into Airtable. It takes them from the stream EDITS, folds
// those of one record into the newest value of each column, writes ten records a request, and says
// in the stream ORDERS what became of them. A message is acknowledged last, and may come again after
// any failure in between:
//
//  1. The record is claimed in the ledger: what the syncer sees of it meanwhile is not its to publish.
//  2. Unless the edit is fresh, Airtable is asked which of the edited cells hold the wanted value or
//     were modified since. A value that is there needs no writing: an earlier attempt, whose answer
//     got lost, may have put it there. One that somebody else put there later wins.
//  3. The cells are written. An answer that is no verdict leaves everything as it is, to be tried
//     again from 2; a refused batch is split until the guilty record stands alone.
//  4. order.changed is published with what Airtable answered, if that is news, then order.edited. What
//     others changed in the record meanwhile has an order.changed of its own, before.
//  5. The record is released, and the messages are acknowledged.
//
// What an earlier attempt has published already is looked up in ORDERS and not done again.
package edits

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

// Config says how to write.
type Config struct {
	Replicas int
	// Held returns an error if this instance is not the active one. It is asked before each write,
	// which cannot be fenced otherwise.
	Held func(context.Context) error
	// After is the clock by which failures are waited out; time.After if nil.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
}

// Writer writes while its instance holds the lease.
type Writer struct {
	cfg    Config
	client *airtable.Client
	schema *column.Schema
	ledger *ledger.Ledger
	out    *ledger.Publisher
	nc     *nats.Conn
	js     jetstream.JetStream

	queue  *queue
	reader *reader
	behind atomic.Uint64 // edits in the stream that were not delivered yet

	mu      sync.Mutex // guards what follows
	trouble fault.Text // why edits are not being written, if they are not
}

// New makes a writer that is not open.
func New(cfg Config, client *airtable.Client, schema *column.Schema, book *ledger.Ledger, nc *nats.Conn, js jetstream.JetStream) *Writer {
	if cfg.After == nil {
		cfg.After = time.After
	}
	w := &Writer{
		cfg: cfg, client: client, schema: schema, ledger: book, out: book.Writer(), nc: nc, js: js, queue: newQueue(),
	}
	w.reader = &reader{Writer: w}
	return w
}

// Open claims the records that have edits. The syncer must not publish before.
func (w *Writer) Open(ctx context.Context) error { return w.reader.open(ctx) }

// Run writes until ctx ends. The writer is open. What is being written then is finished first.
func (w *Writer) Run(ctx context.Context) {
	var reading sync.WaitGroup
	reading.Go(func() { w.reader.run(ctx) })
	defer reading.Wait()
	failures := 0
	for {
		if n, _, _ := w.queue.stands(); n == 0 {
			select {
			case <-ctx.Done():
				return
			case <-w.queue.news:
				continue
			}
		}
		err := w.round(ctx)
		if ctx.Err() != nil {
			return
		}
		w.note(err)
		if err == nil {
			failures = 0
			continue
		}
		failures++
		w.cfg.Log.Warn("edits are not written, trying again", "failures", failures, "error", err)
		w.pause(ctx, err, failures)
	}
}

// pause waits the longer the more often it failed. Where nothing can be reached or asked, an answer
// to anybody else's call ends it early.
func (w *Writer) pause(ctx context.Context, err error, failures int) {
	const shortest, longest, exhausted = 250 * time.Millisecond, 30 * time.Second, time.Hour
	var refused *airtable.Error
	if errors.As(err, &refused) && refused.RateLimited() {
		return // the client waits
	}
	wait := min(shortest<<min(failures, 10), longest)
	wait = wait/2 + rand.N(wait/2)
	soonest := w.cfg.After(min(wait, time.Second))
	var answered <-chan struct{}
	switch {
	case airtable.IsBillingLimit(err):
		wait, answered = exhausted, w.client.Answered()
	case refused == nil, !airtable.IsVerdict(err) && refused.Status < 500:
		answered = w.client.Answered()
	}
	select {
	case <-ctx.Done():
	case <-answered:
	case <-w.cfg.After(wait):
	}
	select {
	case <-ctx.Done():
	case <-soonest:
	}
}

func (w *Writer) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var later *unclearError
	switch {
	case err == nil:
		w.trouble = fault.Text{}
	case errors.As(err, &later):
		w.trouble = airtable.Reason(later.cause)
	default:
		w.trouble = airtable.Reason(err)
	}
}

// State is how the edits stand.
func (w *Writer) State() syncapi.EditsState {
	n, _, oldest := w.queue.stands()
	w.mu.Lock()
	defer w.mu.Unlock()
	st := syncapi.EditsState{Pending: n + int(w.behind.Load()), Error: w.trouble}
	if !oldest.IsZero() {
		age := time.Since(oldest).Seconds()
		st.OldestSeconds = &age
	}
	return st
}
