package natstest_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/natstest"
)

// A cluster goes on without the leader of a stream, or without a follower, and takes them back.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := natstest.StartCluster(t)
	_, js := c.Connect()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: natstest.Nodes}); err != nil {
		t.Fatal(err)
	}
	publish := func(s *natstest.Server) {
		t.Helper()
		_, js := s.Connect()
		if _, err := js.Publish(t.Context(), "s", nil, jetstream.WithRetryAttempts(100)); err != nil {
			t.Fatal(err)
		}
	}
	leader := c.StreamLeader("S")
	c.Kill(leader)
	next := c.StreamLeader("S")
	if next == leader {
		t.Fatal("the killed server leads")
	}
	publish(next)
	leader.Start()

	follower := c.Follower("S")
	_, js = follower.Connect()
	c.Isolate(follower)
	publish(c.StreamLeader("S"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if ack, err := js.Publish(ctx, "s", nil); err == nil {
		t.Errorf("an isolated server acknowledged %+v", ack)
	}
	c.Rejoin(follower)
	c.StreamLeader("S")
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n < 2 {
		t.Errorf("%d messages", n)
	}
}
