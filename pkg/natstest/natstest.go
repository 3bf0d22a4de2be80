// Package natstest gives each test its own real NATS server with JetStream.
package natstest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/localnats"
	"github.com/resonance/resonance/pkg/natsauth"
	"github.com/resonance/resonance/pkg/porttest"
)

// Server is a test's own NATS server, which it may stop, start, wipe and set back.
type Server struct {
	tb   testing.TB
	dir  string
	addr string
	ns   *localnats.Server

	customize func(*server.Options)

	// Of a Cluster's.
	routeAddr string // where it listens for the other servers
	isolated  bool
}

// Start starts a server that is stopped when the test ends, with options changed by customize. Services that connect to
// it have the permissions of their users (package natsauth) by the names of their connections, and everybody else all.
func Start(tb testing.TB, customize ...func(*server.Options)) *Server {
	tb.Helper()
	s := &Server{tb: tb, dir: tb.TempDir(), addr: porttest.Addr(tb)}
	s.customize = func(o *server.Options) {
		o.CustomClientAuthentication = byName{}
		for _, change := range customize {
			change(o)
		}
	}
	s.Start()
	tb.Cleanup(s.Stop)
	return s
}

// URL is where clients connect; it stays the same across Stop and Start.
func (s *Server) URL() string { return s.ns.URL() }

// Start starts the server again after Stop, on the same port and store.
func (s *Server) Start() {
	s.tb.Helper()
	for deadline := time.Now().Add(startTime); ; time.Sleep(time.Millisecond) { // poll
		ns, err := localnats.Start(localnats.Config{Addr: s.addr, Dir: s.dir, Customize: s.customize})
		if err == nil {
			s.ns = ns
			return
		}
		// A process that this one has just forked holds copies of its sockets until it executes its program.
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			s.tb.Fatal(err)
		}
	}
}

// startTime is how long a port may still be in use after the server on it was stopped.
const startTime = 30 * time.Second

// Stop stops the server. Stopping twice does nothing.
func (s *Server) Stop() { s.ns.Stop() }

// Wipe removes everything stored. The server must be stopped.
func (s *Server) Wipe() {
	s.tb.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "jetstream")); err != nil {
		s.tb.Fatal(err)
	}
}

// Backup copies the store and returns a function that puts the copy back, as an operator restoring
// a snapshot would, or a crash that loses the tail. The server must be stopped for both.
func (s *Server) Backup() (restore func()) {
	s.tb.Helper()
	copied := filepath.Join(s.tb.TempDir(), "jetstream")
	store := filepath.Join(s.dir, "jetstream")
	if err := os.CopyFS(copied, os.DirFS(store)); err != nil {
		s.tb.Fatal(err)
	}
	return func() {
		s.tb.Helper()
		s.Wipe()
		if err := os.CopyFS(store, os.DirFS(copied)); err != nil {
			s.tb.Fatal(err)
		}
	}
}

// Connect returns a connection, closed when the test ends, and its JetStream context.
func (s *Server) Connect() (*nats.Conn, jetstream.JetStream) {
	s.tb.Helper()
	return connect(s.tb, s.URL())
}

func connect(tb testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	tb.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return nc, js
}

// byName gives each connection the permissions of the service whose name it has.
type byName struct{}

func (byName) Check(c server.ClientAuthentication) bool {
	user := &server.User{}
	if p, ok := natsauth.Of(c.GetOpts().Name); ok {
		user.Permissions = &server.Permissions{
			Publish: &server.SubjectPermission{Allow: p.Publish}, Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
			Response: &server.ResponsePermission{MaxMsgs: 1, Expires: time.Minute},
		}
	}
	c.RegisterUser(user)
	return true
}
