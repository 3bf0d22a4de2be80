package changes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Bounds of publishing.
const (
	chunk       = 100             // records read at once, so that looks are not delayed
	natsTimeout = 2 * time.Second // with NATS, for one event; what fails is tried again after the next look
	maxRecord   = 512 << 10       // bytes of a record in an event
	conflicts   = 5
)

// publishSome publishes events of some records. What fails stays pending.
func (w *activePoller) publishSome(ctx context.Context) error {
	for _, name := range erp.Names() {
		if len(w.touched[name]) > 0 {
			if w.state.Known[name] == nil {
				delete(w.touched, name)
				continue
			}
			if err := w.resolveTouched(ctx, name); err != nil {
				return err
			}
		}
		if len(w.pending[name]) > 0 {
			return w.publishOf(ctx, name)
		}
	}
	clear(w.touched) // of no resource
	return nil
}

func (w *activePoller) publishOf(ctx context.Context, name string) error {
	pending := w.pending[name]
	var read []int64
	n := 0
	for id, what := range pending {
		if n++; n > chunk {
			break
		}
		if what != event.Deleted {
			read = append(read, id)
			continue
		}
		if err := w.publish(ctx, event.OdooChanged{Resource: name, ID: id, Change: what}, ""); err != nil {
			return err
		}
		delete(pending, id)
	}
	if len(read) == 0 {
		return nil
	}
	var records []resource.Record
	var failed error
	resource.Each(read, func(ids []int64) ([]resource.Record, error) {
		return w.odoo.Read(ctx, name, resource.Scope{}, ids)
	}, func(ids []int64, found []resource.Record, err error) {
		records = append(records, found...)
		switch {
		case resource.Refused(err): // one record, which does not hold the others up (invariant 5)
			w.cfg.Log.Warn("record unreadable", "resource", name, "ids", ids, "error", err)
		case err != nil:
			failed = err
		}
	})
	if failed != nil {
		return failed
	}
	for _, r := range records {
		c := event.OdooChanged{Resource: name, ID: r.ID, Change: pending[r.ID], Record: r.Data}
		if len(r.Data) > maxRecord {
			c.Record = nil
		}
		if err := w.publish(ctx, c, strings.Trim(r.ETag(), `"`)); err != nil {
			return err
		}
	}
	for _, id := range read { // those that are not there: the next count tells
		delete(pending, id)
	}
	return nil
}

// publish publishes an event on top of the newest of its record, unless that shows the same.
func (w *activePoller) publish(ctx context.Context, c event.OdooChanged, digest string) error {
	ctx, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	c.At = time.Now().UTC()
	what := c.Change
	for range conflicts {
		last, err := w.stream.GetLastMsgForSubject(ctx, event.OdooChangedSubject(c.Resource, c.ID))
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("newest event of %s %d: %w", c.Resource, c.ID, err)
		}
		var seq uint64
		c.Change = what
		if last != nil {
			seq = last.Sequence
			gone := event.Change(last.Header.Get(event.HeaderChange)) == event.Deleted
			switch {
			case what == event.Deleted && gone, what != event.Deleted && !gone && last.Header.Get(event.HeaderDigest) == digest:
				return nil
			case what == event.Updated && gone:
				c.Change = event.Created
			case what == event.Created && !gone:
				c.Change = event.Updated
			}
		}
		shows := digest
		if shows == "" {
			shows = string(event.Deleted)
		}
		msg, err := event.NewOdooChanged(event.Envelope{
			ID: fmt.Sprintf("%s-%d-%s-%d", c.Resource, c.ID, shows, seq), Source: w.cfg.Source, Time: c.At, Digest: digest,
		}, &c)
		if err != nil {
			return err
		}
		if err = w.send(ctx, msg, seq); err == nil {
			published.WithLabelValues(c.Resource, string(c.Change)).Inc()
			return nil
		}
		if !bus.IsConflict(err) {
			return err
		}
	}
	return fmt.Errorf("event of %s %d: published by others too", c.Resource, c.ID)
}

func (w *activePoller) send(ctx context.Context, msg *nats.Msg, seq uint64) error {
	bus.ExpectLast(msg, seq)
	_, err := bus.Publish(ctx, w.js, msg)
	return err
}
