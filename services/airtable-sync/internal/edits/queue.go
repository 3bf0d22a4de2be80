package edits

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
)

// edit is one that is not settled.
type edit struct {
	event.OrderEdit
	// tried says that an earlier attempt, of this process or of one before it, may have reached Airtable.
	tried    atomic.Bool
	messages map[uint64]jetstream.Msg // to be acknowledged, by sequence; guarded by the queue
}

// value is what the edit wants a column to hold.
func (e *edit) value(c column.Column) (string, bool) {
	v, ok := e.Values[string(c)]
	return v, ok
}

// newest is the newest message of an edit.
func (q *queue) newest(e *edit) jetstream.Msg {
	q.mu.Lock()
	defer q.mu.Unlock()
	return e.messages[slices.Max(slices.Collect(maps.Keys(e.messages)))]
}

// editable are the columns that edits change.
var editable = func() (columns []column.Column) {
	for _, name := range event.EditableColumns {
		columns = append(columns, column.Column(name))
	}
	return columns
}()

// line is the edits of one record, in the order they were accepted.
type line struct {
	id       string
	edits    []*edit
	failures int // how often Airtable failed, rather than refused, to write this record
}

// queue holds what is not settled, by record; the record that waits longest is first.
type queue struct {
	mu    sync.Mutex
	lines map[string]*line
	order []*line
	size  int
	news  chan struct{} // an edit was added
}

func newQueue() *queue { return &queue{lines: map[string]*line{}, news: make(chan struct{}, 1)} }

// add takes in a message; one of an edit that is here already only has to be acknowledged with it.
// It reports whether the record had no edit yet.
func (q *queue) add(e *event.OrderEdit, tried bool, seq uint64, m jetstream.Msg) (first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[e.RecordID]
	if l == nil {
		l = &line{id: e.RecordID}
		q.lines[l.id], first = l, true
		q.order = append(q.order, l)
	}
	i := slices.IndexFunc(l.edits, func(have *edit) bool { return have.ID == e.ID })
	if i < 0 {
		i = len(l.edits)
		l.edits = append(l.edits, &edit{OrderEdit: *e, messages: map[uint64]jetstream.Msg{}})
		q.size++
	}
	l.edits[i].messages[seq] = m
	if tried {
		l.edits[i].tried.Store(true)
	}
	select {
	case q.news <- struct{}{}:
	default:
	}
	return first
}

// front copies the first lines, n at most.
func (q *queue) front(n int) []*line {
	q.mu.Lock()
	defer q.mu.Unlock()
	lines := make([]*line, min(n, len(q.order)))
	for i := range lines {
		l := q.order[i]
		lines[i] = &line{id: l.id, edits: slices.Clone(l.edits), failures: l.failures}
	}
	return lines
}

// remove takes out edits of one record. It returns their messages, and whether the record has no
// more edits.
func (q *queue) remove(id string, edits []*edit) (messages []jetstream.Msg, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[id]
	if l == nil {
		return nil, false
	}
	for _, e := range edits {
		i := slices.Index(l.edits, e)
		if i < 0 {
			continue
		}
		l.edits = slices.Delete(l.edits, i, i+1)
		q.size--
		for _, m := range e.messages {
			messages = append(messages, m)
		}
	}
	if len(l.edits) > 0 {
		return messages, false
	}
	delete(q.lines, id)
	q.order = slices.DeleteFunc(q.order, func(other *line) bool { return other == l })
	return messages, true
}

// failed notes that writing these records failed, and lets the others go before them.
func (q *queue) failed(ids []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		l := q.lines[id]
		if l == nil {
			continue
		}
		l.failures++
		for _, e := range l.edits {
			e.tried.Store(true)
		}
		q.order = append(slices.DeleteFunc(q.order, func(other *line) bool { return other == l }), l)
	}
}

// stands tells how many edits there are, how many messages they came in, and when the oldest was
// requested.
func (q *queue) stands() (edits, messages int, oldest time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.order {
		for _, e := range l.edits {
			messages += len(e.messages)
			if oldest.IsZero() || e.RequestedAt.Before(oldest) {
				oldest = e.RequestedAt
			}
		}
	}
	return q.size, messages, oldest
}
