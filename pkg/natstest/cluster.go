package natstest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "unsafe" // for linkname

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/porttest"
)

// Nodes is the size of a Cluster.
const Nodes = 3

// Cluster is three NATS servers with JetStream, of which one may be missing without loss of service.
type Cluster struct {
	Servers [Nodes]*Server

	tb    testing.TB
	links []*link // between each two servers
}

// The Raft timing of nats-server, which has no option for it. With its defaults a cluster takes 10 s to
// elect a leader, and as long again when that one is killed.
var (
	//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
	hbInterval time.Duration
	//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
	minElectionTimeout time.Duration
	//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
	maxElectionTimeout time.Duration
	//go:linkname lostQuorumInterval github.com/nats-io/nats-server/v2/server.lostQuorumInterval
	lostQuorumInterval time.Duration
	//go:linkname lostQuorumCheck github.com/nats-io/nats-server/v2/server.lostQuorumCheck
	lostQuorumCheck time.Duration
)

//nolint:gochecknoinits // before any server starts
func init() {
	hbInterval = 100 * time.Millisecond
	minElectionTimeout, maxElectionTimeout = 800*time.Millisecond, 1600*time.Millisecond // a busy machine must not cause elections
	lostQuorumInterval, lostQuorumCheck = 2*time.Second, time.Second
}

// StartCluster starts a cluster that is stopped when the test ends, and returns when JetStream has a leader.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	for i := range c.Servers {
		c.Servers[i] = &Server{tb: tb, dir: tb.TempDir(), addr: porttest.Addr(tb), routeAddr: porttest.Addr(tb)}
	}
	for i, s := range c.Servers {
		host, port, _ := strings.Cut(s.routeAddr, ":")
		n, err := strconv.Atoi(port)
		if err != nil {
			tb.Fatal(err)
		}
		var routes []string
		for _, other := range c.Servers {
			if other != s {
				l := newLink(tb, s, other)
				c.links = append(c.links, l)
				routes = append(routes, "nats-route://"+l.addr())
			}
		}
		s.customize = func(o *server.Options) {
			o.ServerName = fmt.Sprint("node", i)
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
			// Servers are to use the links, not an address that they learn from each other.
			o.Cluster = server.ClusterOpts{Name: "test", Host: host, Port: n, PoolSize: -1, Advertise: "127.0.0.1:1"}
		}
		s.Start()
		tb.Cleanup(s.Stop)
	}
	c.AwaitLeader()
	return c
}

// Isolate cuts s off from the other servers, as if they were suspended; its clients stay connected.
func (c *Cluster) Isolate(s *Server) {
	s.isolated = true
	for _, l := range c.links {
		if l.joins(s) {
			l.pause()
		}
	}
}

// Rejoin undoes Isolate: what the servers had to say to each other arrives now.
func (c *Cluster) Rejoin(s *Server) {
	s.isolated = false
	for _, l := range c.links {
		if !l.ends[0].isolated && !l.ends[1].isolated {
			l.resume()
		}
	}
}

// Kill stops s as SIGKILL does: it hands nothing over before, as it does on Stop. Start starts it again.
func (c *Cluster) Kill(s *Server) {
	c.Isolate(s)
	s.Stop()
	for _, l := range c.links {
		if l.joins(s) {
			l.drop()
		}
	}
	c.Rejoin(s)
}

// AwaitLeader returns when all servers that run and are not isolated are connected and follow a leader of JetStream.
func (c *Cluster) AwaitLeader() {
	c.tb.Helper()
	present := c.present()
	c.await("a leader of JetStream", func() bool {
		leader := false
		for _, s := range present {
			ns := s.ns.Server()
			if ns.NumRoutes() < len(present)-1 || !ns.JetStreamIsCurrent() {
				return false
			}
			leader = leader || len(ns.JetStreamClusterPeers()) >= len(present)
		}
		return leader
	})
}

// StreamLeader returns the server that leads a stream, when those of its replicas that can are up to date.
func (c *Cluster) StreamLeader(stream string) (leader *Server) {
	c.tb.Helper()
	c.AwaitLeader()
	c.await("a leader of "+stream, func() bool {
		for _, s := range c.present() {
			if s.ns.Server().JetStreamIsStreamLeader(account, stream) {
				leader = s
				return c.replicated(s.ns.Server(), stream)
			}
		}
		return false
	})
	return leader
}

// replicated reports whether all replicas on servers that are present have what the leader has.
func (c *Cluster) replicated(leader *server.Server, stream string) bool {
	c.tb.Helper()
	all, err := leader.Jsz(&server.JSzOptions{Account: account, Streams: true, Config: true})
	if err != nil {
		c.tb.Fatal(err)
	}
	for _, a := range all.AccountDetails {
		for _, s := range a.Streams {
			if s.Name != stream || s.Cluster == nil || len(s.Cluster.Replicas)+1 < s.Config.Replicas {
				continue
			}
			for _, r := range s.Cluster.Replicas {
				if !r.Current && slices.ContainsFunc(c.present(), func(p *Server) bool { return p.ns.Server().Name() == r.Name }) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// Follower returns a server that does not lead the stream.
func (c *Cluster) Follower(stream string) *Server {
	c.tb.Helper()
	leader := c.StreamLeader(stream)
	for _, s := range c.present() {
		if s != leader {
			return s
		}
	}
	c.tb.Fatalf("%s has no running follower", stream)
	return nil
}

const account = server.DEFAULT_GLOBAL_ACCOUNT

// present is the servers that run and see each other.
func (c *Cluster) present() []*Server {
	var all []*Server
	for _, s := range c.Servers {
		if s.ns.Server().Running() && !s.isolated {
			all = append(all, s)
		}
	}
	return all
}

func (c *Cluster) await(what string, done func() bool) {
	c.tb.Helper()
	for over := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(over) {
			c.tb.Fatalf("the cluster has not %s", what)
		}
	}
}

// URL lists all servers.
func (c *Cluster) URL() string {
	urls := make([]string, Nodes)
	for i, s := range c.Servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Connect returns a connection to any of the servers, closed when the test ends, and its JetStream context.
func (c *Cluster) Connect() (*nats.Conn, jetstream.JetStream) {
	c.tb.Helper()
	return connect(c.tb, c.URL())
}
