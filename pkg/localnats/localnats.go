// Package localnats runs a NATS server with JetStream inside this process, for `make run` and for
// tests.
package localnats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/time/rate"
)

// MaxPayload is the largest message, in bytes: a page of a hundred orders with long texts fits.
const MaxPayload = 8 << 20

// maxStore is beyond any disk. By default it is three quarters of what was free at the start, of which bounded streams
// reserve their bounds: on a small disk, or after it was full, they could not be opened.
const maxStore = 1 << 50

// Config says where the server listens and keeps its data.
type Config struct {
	Addr string // host:port; port 0 for a free one
	Dir  string // JetStream's store
	// SyncAlways flushes every message to disk before it is acknowledged, except on streams that
	// declare PersistMode async (invariant 1).
	SyncAlways bool
	// Log gets what the server warns of. With it the server is started again when its disk had no room and has some
	// again: nats-server writes nothing more to a stream after a failed write. nil for neither.
	Log *slog.Logger
	// Customize changes the server's other options, as tests of clusters do; nil for nothing.
	Customize func(*server.Options)
}

// Server is a running NATS server.
type Server struct {
	cfg     Config
	options server.Options
	stop    context.CancelFunc
	stopped chan struct{}

	mu sync.Mutex
	ns *server.Server
}

// Start returns when clients can connect.
func Start(cfg Config) (*Server, error) {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("NATS address %q is not host:port", cfg.Addr)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("NATS address %q is not host:port", cfg.Addr)
	}
	if n == 0 {
		n = server.RANDOM_PORT
	} else if err := free(cfg.Addr); err != nil { // the server itself would end the process
		return nil, err
	}
	s := &Server{cfg: cfg, stopped: make(chan struct{}), options: server.Options{
		ServerName: "resonance", Host: host, Port: n, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: cfg.Dir, SyncAlways: cfg.SyncAlways,
		JetStreamMaxStore: maxStore,
		NoSublistCache:    true, // each order is a subject of its own, and a cache of 1,024 only turns over
		MaxPayload:        MaxPayload, MaxPending: 64 << 20,
	}}
	if err := s.start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() {
		defer close(s.stopped)
		if cfg.Log != nil {
			s.supervise(ctx)
		}
	}()
	return s, nil
}

func (s *Server) start() error {
	options := s.options
	if s.cfg.Customize != nil { // each time, since accounts belong to one run
		s.cfg.Customize(&options)
	}
	ns, err := server.NewServer(&options)
	if err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	if s.cfg.Log != nil {
		ns.SetLogger(&logger{log: s.cfg.Log, often: rate.Sometimes{First: 10, Interval: 10 * time.Second}}, false, false)
	}
	ns.Start()
	if !ns.ReadyForConnections(20 * time.Second) {
		ns.Shutdown()
		return errors.New("start NATS: not ready after 20 seconds")
	}
	if a, ok := ns.Addr().(*net.TCPAddr); ok {
		s.options.Port = a.Port // also of the next start
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ns = ns
	return nil
}

// Server is the running server itself.
func (s *Server) Server() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ns
}

// URL is where clients connect.
func (s *Server) URL() string { return s.Server().ClientURL() }

// Stop shuts the server down and returns when its files are closed.
func (s *Server) Stop() {
	s.stop()
	<-s.stopped
	ns := s.Server()
	ns.Shutdown()
	ns.WaitForShutdown()
}

func free(addr string) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("NATS cannot listen on %s: %w", addr, err)
	}
	return ln.Close()
}
