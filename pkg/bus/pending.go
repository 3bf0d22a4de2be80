package bus

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// errLost ends a request whose answer went with the connection. The request may have been served.
var errLost = errors.New("the connection was lost before the answer came")

// pending holds the requests that wait for an answer on a connection, and ends them when that is lost. nats.go does so
// only when the connection is closed for good, and else leaves them to their deadline.
type pending struct {
	mu   sync.Mutex
	next uint64
	ends map[uint64]context.CancelCauseFunc
}

var connections = struct {
	mu      sync.Mutex
	pending map[*nats.Conn]*pending // until it is closed
}{pending: map[*nats.Conn]*pending{}}

func pendingOf(nc *nats.Conn) *pending {
	connections.mu.Lock()
	defer connections.mu.Unlock()
	p := connections.pending[nc]
	if p == nil {
		p = &pending{ends: map[uint64]context.CancelCauseFunc{}}
		connections.pending[nc] = p
		go p.watch(nc, nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED))
	}
	return p
}

func (p *pending) watch(nc *nats.Conn, changes <-chan nats.Status) {
	for !nc.IsClosed() {
		<-changes
		p.mu.Lock()
		for _, end := range p.ends {
			end(errLost)
		}
		p.mu.Unlock()
	}
	connections.mu.Lock()
	defer connections.mu.Unlock()
	delete(connections.pending, nc)
}

// add has end called when the connection is lost from now on, until remove.
func (p *pending) add(end context.CancelCauseFunc) (id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	p.ends[p.next] = end
	return p.next
}

func (p *pending) remove(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ends, id)
}
