// Package live notifies clients of which orders, edits and Odoo records changed, not of their new state. While
// clients are connected it reads the streams, once for all of them and in stream order, batches changes that are close
// together into one message, and sends it to every client. A client that reads too slowly is disconnected and resumes
// with the cursor of the last message it saw: the newest changes are remembered, so that nothing is missed or sent
// twice. A cursor that is too old, or of a stream that no longer exists, is answered with the resources to read again.
package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	window            = 50 * time.Millisecond // changes this close together are one message
	visibilityTimeout = time.Second           // a change is announced after this even if no one says that reads show it
	maxRemembered     = 10_000                // changes of a feed that are remembered
	maxNamed          = 500                   // changes of a resource in one message, beyond which ids help nobody
	backlog           = 64                    // messages a client may be behind
)

// Feed is a stream whose changes are announced.
type Feed struct {
	Stream   string
	Subjects []string
	// Resources are those that must be read again when changes were missed.
	Resources []string
	// Read says what a message is about; false if clients need not know. Bodies are not read.
	Read func(subject string, h nats.Header) (Change, bool)
	// Shown says that clients see changes only later: see Hub.Shown.
	Shown bool
}

// Change is what one message of a feed is about.
type Change struct {
	Resource string
	ID       string
	Kind     string // created, updated or deleted; "" for an edit
	EditID   string
	State    string // of the edit
}

// Message is what clients get, as JSON.
type Message struct {
	Type    string          `json:"type" enum:"ready,changes,sync"`
	Cursor  string          `json:"cursor,omitempty" doc:"to come back with"`
	Reset   []string        `json:"reset,omitempty" doc:"resources to read again as a whole: changes were missed"`
	Changes []Changed       `json:"changes,omitempty"`
	Edits   []Edited        `json:"edits,omitempty"`
	Sync    json.RawMessage `json:"sync,omitempty"`
}

// Changed is what changed of one resource; the last change of a record counts.
type Changed struct {
	Resource string   `json:"resource"`
	Created  []string `json:"created,omitempty"`
	Updated  []string `json:"updated,omitempty"`
	Deleted  []string `json:"deleted,omitempty"`
	Many     bool     `json:"many,omitempty" doc:"so many that they are not named"`
}

// Edited is how far an edit has come.
type Edited struct {
	RecordID string `json:"record_id"`
	ID       string `json:"id"`
	State    string `json:"state" enum:"pending,applied,rejected"`
}

// Hub serves the clients of one process.
type Hub struct {
	log       *slog.Logger
	linger    time.Duration
	feeds     []Feed
	requested chan struct{}
	wakeup    chan struct{}

	mu       sync.Mutex
	clients  map[*Client]struct{}
	reading  *reading  // under way, or to come
	lastUsed time.Time // when somebody last asked for it
	sync     json.RawMessage
}

// reading is the feeds, from when somebody listens to when nobody does any more.
type reading struct {
	feeds   []*feed
	ready   chan struct{} // closed when every feed has been looked at once
	unready int
}

// Client is one subscription.
type Client struct {
	// First is the message to begin with: ready, with what was missed since the client's cursor.
	First Frame
	// C gives the messages that follow. It is closed when the client was too slow.
	C <-chan Frame

	hub *Hub
	out chan Frame
}

// Frame is a Message as it is sent; all clients share its bytes.
type Frame struct {
	Type   string
	Cursor string
	Data   []byte
}

// New makes a hub, which reads on for linger when the last client has gone: longer than anybody
// waits to be Ready. It tells nothing until it runs.
func New(log *slog.Logger, linger time.Duration, feeds ...Feed) *Hub {
	h := &Hub{
		log: log, linger: linger, feeds: feeds, requested: make(chan struct{}, 1), wakeup: make(chan struct{}, 1),
		clients: map[*Client]struct{}{},
	}
	h.begin()
	return h
}

// begin makes the next reading, which knows of the last one no more than what is shown.
func (h *Hub) begin() {
	r := &reading{ready: make(chan struct{}), unready: len(h.feeds)}
	for i, f := range h.feeds {
		next := &feed{Feed: f, hub: h, reading: r}
		if h.reading != nil {
			last := h.reading.feeds[i]
			next.created, next.shown = last.created, last.shown
		}
		r.feeds = append(r.feeds, next)
	}
	h.reading = r
}

// Run reads the feeds while somebody listens, whatever fails, until ctx ends.
func (h *Hub) Run(ctx context.Context, js jetstream.JetStream) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.requested:
			h.read(ctx, js)
		}
	}
}

func (h *Hub) read(ctx context.Context, js jetstream.JetStream) {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	h.mu.Lock()
	feeds := h.reading.feeds
	h.mu.Unlock()
	for _, f := range feeds {
		all.Go(func() { f.run(ctx, js) })
	}
	all.Go(func() { h.broadcast(ctx) })
	for wait := h.linger; wait > 0; wait = h.rest(time.Now()) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// rest is how long to read on at least. At 0 what was read is forgotten: who comes next begins anew.
func (h *Hub) rest(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) > 0 {
		h.lastUsed = now
	}
	if left := h.linger - now.Sub(h.lastUsed); left > 0 {
		return left
	}
	h.begin()
	select {
	case <-h.requested: // by somebody who has gone
	default:
	}
	return 0
}

// Clients is how many there are.
func (h *Hub) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
}

// Ready has the feeds read, and waits for them to be known.
func (h *Hub) Ready(ctx context.Context) error {
	h.mu.Lock()
	h.lastUsed = time.Now()
	ready := h.reading.ready
	select {
	case h.requested <- struct{}{}:
	default: // asked already
	}
	h.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Subscribe adds a client that saw everything up to cursor, "" for one that saw nothing. It waits
// until it is Ready, so that changes from before this process started are announced too.
func (h *Hub) Subscribe(ctx context.Context, cursor string) (*Client, error) {
	if err := h.Ready(ctx); err != nil { // and for linger the reading stays
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := Message{Type: "ready", Cursor: h.cursor(), Sync: h.sync}
	if cursor != "" {
		g := gathered{}
		seen := parseCursor(cursor, len(h.feeds))
		for i, f := range h.reading.feeds {
			if !f.since(seen[i], g.add) {
				m.Reset = append(m.Reset, f.Resources...)
			}
		}
		g.into(&m)
	}
	c := &Client{First: encode(m), hub: h, out: make(chan Frame, backlog)}
	c.C = c.out
	h.clients[c] = struct{}{}
	return c, nil
}

// Close removes the client.
func (c *Client) Close() {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if _, there := c.hub.clients[c]; there {
		delete(c.hub.clients, c)
		close(c.out)
	}
}

// Shown says that reads show everything of a stream up to seq.
func (h *Hub) Shown(stream string, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.reading.feeds {
		if f.Stream == stream && f.shown < seq {
			f.shown = seq
			h.wake()
		}
	}
}

// Sync announces the state of the sync; new clients receive the newest one.
func (h *Hub) Sync(state json.RawMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sync = state
	h.send(encode(Message{Type: "sync", Sync: state}))
}

func (h *Hub) wake() {
	select {
	case h.wakeup <- struct{}{}:
	default:
	}
}

// broadcast sends what the feeds have to every client, at most once per window.
func (h *Hub) broadcast(ctx context.Context) {
	timer := time.NewTimer(window)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wakeup:
		}
		timer.Reset(window)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if again := h.flush(time.Now()); again > 0 {
			time.AfterFunc(again, h.wake)
		}
	}
}

// flush sends what reads show already, and returns when to check again for the rest.
func (h *Hub) flush(now time.Time) (again time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g, m := gathered{}, Message{Type: "changes"}
	for _, f := range h.reading.feeds {
		if f.lost {
			f.lost = false
			m.Reset = append(m.Reset, f.Resources...)
		}
		again = max(again, f.release(now, g.add))
	}
	if len(g) == 0 && len(m.Reset) == 0 {
		return again
	}
	m.Cursor = h.cursor()
	g.into(&m)
	h.send(encode(m))
	return again
}

// send hands a message to every client; who is full of them is cut off.
func (h *Hub) send(message Frame) {
	for c := range h.clients {
		select {
		case c.out <- message:
		default:
			delete(h.clients, c)
			close(c.out)
		}
	}
}

func encode(m Message) Frame {
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, and JSON that was checked
	}
	return Frame{Type: m.Type, Cursor: m.Cursor, Data: data}
}

// gathered is changes by resource and record; the last one of a record counts.
type gathered map[string]*group

type group struct {
	kinds map[string]string
	edits map[string]Edited
	order []string // of edits
}

func (g gathered) add(c Change) {
	r := g[c.Resource]
	if r == nil {
		r = &group{kinds: map[string]string{}, edits: map[string]Edited{}}
		g[c.Resource] = r
	}
	if c.Kind == "" {
		if _, there := r.edits[c.EditID]; !there {
			r.order = append(r.order, c.EditID)
		}
		r.edits[c.EditID] = Edited{RecordID: c.ID, ID: c.EditID, State: c.State}
		c.Kind = "updated"
	}
	if before := r.kinds[c.ID]; before == "created" && c.Kind == "updated" {
		return
	}
	r.kinds[c.ID] = c.Kind
}

func (g gathered) into(m *Message) {
	for resource, r := range g {
		changed := Changed{Resource: resource, Many: len(r.kinds) > maxNamed}
		if !changed.Many {
			lists := map[string]*[]string{"created": &changed.Created, "updated": &changed.Updated, "deleted": &changed.Deleted}
			for id, kind := range r.kinds {
				if list := lists[kind]; list != nil {
					*list = append(*list, id)
				}
			}
			for _, list := range lists {
				slices.Sort(*list)
			}
			for _, id := range r.order {
				m.Edits = append(m.Edits, r.edits[id])
			}
		}
		m.Changes = append(m.Changes, changed)
	}
	slices.SortFunc(m.Changes, func(a, b Changed) int { return strings.Compare(a.Resource, b.Resource) })
}
