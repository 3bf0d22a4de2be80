package natstest

import (
	"context"
	"net"
	"sync"
	"testing"
)

// link is a TCP proxy between two servers of a Cluster, through which the first connects to the second.
type link struct {
	ends [2]*Server
	ln   net.Listener

	mu     sync.Mutex
	moved  sync.Cond // when paused or conns changes
	paused bool
	conns  map[net.Conn]struct{}
}

func newLink(tb testing.TB, from, to *Server) *link {
	tb.Helper()
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &link{ends: [2]*Server{from, to}, ln: ln, conns: map[net.Conn]struct{}{}}
	l.moved.L = &l.mu
	go l.accept()
	tb.Cleanup(func() { _ = ln.Close(); l.drop() })
	return l
}

func (l *link) addr() string { return l.ln.Addr().String() }

func (l *link) joins(s *Server) bool { return l.ends[0] == s || l.ends[1] == s }

func (l *link) accept() {
	for {
		in, err := l.ln.Accept()
		if err != nil {
			return
		}
		out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", l.ends[1].routeAddr)
		if err != nil {
			_ = in.Close()
			continue
		}
		l.mu.Lock()
		l.conns[in], l.conns[out] = struct{}{}, struct{}{}
		l.mu.Unlock()
		go l.copy(in, out)
		go l.copy(out, in)
	}
}

// copy passes on what src sends, when the link is not paused, until either end is closed.
func (l *link) copy(dst, src net.Conn) {
	defer l.close(dst, src)
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if err != nil || !l.open(src) {
			return
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// open waits while the link is paused, and reports whether c is still one of its connections.
func (l *link) open(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if _, there := l.conns[c]; !there || !l.paused {
			return there
		}
		l.moved.Wait()
	}
}

func (l *link) close(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // maybe not for the first time
		delete(l.conns, c)
	}
	l.moved.Broadcast()
}

func (l *link) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
}

func (l *link) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	l.moved.Broadcast()
}

// drop closes the connections, and with them what waited.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
	clear(l.conns)
	l.moved.Broadcast()
}
