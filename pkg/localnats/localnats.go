// Package localnats runs a NATS server with JetStream inside this process, for `make run` and for
// tests.
package localnats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// MaxPayload is the largest message, in bytes: a page of a hundred orders with long texts fits.
const MaxPayload = 8 << 20

// Config says where the server listens and keeps its data.
type Config struct {
	Addr string // host:port; port 0 for a free one
	Dir  string // JetStream's store
	// SyncAlways flushes every message to disk before it is acknowledged, except on streams that
	// declare PersistMode async (invariant 1).
	SyncAlways bool
	// Customize changes the server's other options, as tests of clusters do; nil for nothing.
	Customize func(*server.Options)
}

// Server is a running NATS server.
type Server struct{ ns *server.Server }

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
	opts := &server.Options{
		ServerName: "resonance", Host: host, Port: n, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: cfg.Dir, SyncAlways: cfg.SyncAlways,
		NoSublistCache: true, // each order is a subject of its own, and a cache of 1,024 only turns over
		MaxPayload:     MaxPayload, MaxPending: 64 << 20,
	}
	if cfg.Customize != nil {
		cfg.Customize(opts)
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(20 * time.Second) {
		ns.Shutdown()
		return nil, errors.New("start NATS: not ready after 20 seconds")
	}
	return &Server{ns: ns}, nil
}

// Server is the running server itself.
func (s *Server) Server() *server.Server { return s.ns }

// URL is where clients connect.
func (s *Server) URL() string { return s.ns.ClientURL() }

// Stop shuts the server down and returns when its files are closed.
func (s *Server) Stop() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

func free(addr string) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("NATS cannot listen on %s: %w", addr, err)
	}
	return ln.Close()
}
