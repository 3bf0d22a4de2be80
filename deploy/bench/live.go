package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	liveClients = 1000
	liveChanges = 50
	liveSpacing = 200 * time.Millisecond // more than the window, so that each is a message of its own
)

// live measures what clients cost that wait for changes, and how soon all of them hear of one.
func (b *bench) live(ctx context.Context, p *product, nc *nats.Conn) error {
	before, err := p.resident()
	if err != nil {
		return err
	}
	w := &watchers{heard: map[string][]time.Time{}, all: make(chan string, liveChanges)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var open errgroup.Group
	open.SetLimit(50)
	for range liveClients {
		open.Go(func() error { return w.open(ctx, p) })
	}
	if err := open.Wait(); err != nil {
		return err
	}
	defer w.reading.Wait()
	defer cancel()
	idle, err := p.resident()
	if err != nil {
		return err
	}
	b.add("1,000 idle WebSockets", fmt.Sprintf("%.0f MiB", idle-before), "", "", "under 100 MiB", idle-before < 100)

	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	var took []time.Duration
	for i := range liveChanges {
		msg, err := synthetic(5_000_000+i, time.Now())
		if err != nil {
			return err
		}
		id, _ := strings.CutPrefix(msg.Subject, "order.changed.")
		at := time.Now()
		if _, err := js.PublishMsg(ctx, msg); err != nil {
			return err
		}
		select {
		case <-w.all:
		case <-time.After(10 * time.Second):
			return fmt.Errorf("not all of %d clients heard of %s", liveClients, id)
		}
		for _, heard := range w.of(id) {
			took = append(took, heard.Sub(at))
		}
		time.Sleep(liveSpacing)
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	b.add("a change heard by 1,000 clients", fmt.Sprintf("p50 %s, p99 %s", round(p50), round(p99)), "", "", "p99 under 250 ms", p99 < 250*time.Millisecond)
	return nil
}

// watchers note when each client heard of each change.
type watchers struct {
	reading sync.WaitGroup
	mu      sync.Mutex
	heard   map[string][]time.Time
	all     chan string // changes that every client has heard of
}

func (w *watchers) open(ctx context.Context, p *product) error {
	opening, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(opening, strings.Replace(p.base, "http", "ws", 1)+"/ws",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + p.token}}})
	if err != nil {
		return fmt.Errorf("open a WebSocket: %w", err)
	}
	if res.Body != nil {
		defer res.Body.Close()
	}
	if _, _, err := conn.Read(opening); err != nil { // ready
		return errors.Join(err, conn.CloseNow())
	}
	w.reading.Go(func() {
		defer conn.CloseNow() //nolint:errcheck // the end
		for {
			_, data, err := conn.Read(ctx)
			if err != nil {
				return
			}
			w.note(data, time.Now())
		}
	})
	return nil
}

func (w *watchers) note(data []byte, at time.Time) {
	var m struct {
		Changes []struct {
			Created []string `json:"created"`
		} `json:"changes"`
	}
	if json.Unmarshal(data, &m) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range m.Changes {
		for _, id := range c.Created {
			if w.heard[id] = append(w.heard[id], at); len(w.heard[id]) == liveClients {
				w.all <- id
			}
		}
	}
}

func (w *watchers) of(id string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard[id]
}
