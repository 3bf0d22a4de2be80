package writes_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/services/odoo-bridge/internal/writes"
)

// coordinators are instances on one server.
func coordinators(t *testing.T, n int, ttl time.Duration) (all []*writes.Coordinator, s *natstest.Server) {
	t.Helper()
	s = natstest.Start(t)
	for range n {
		_, js := s.Connect()
		all = append(all, writes.New(writes.Config{LockTTL: ttl, Replicas: 1}, js))
	}
	return all, s
}

func TestOneWriterOfARecord(t *testing.T) {
	t.Parallel()
	all, _ := coordinators(t, 3, time.Minute)
	var together sync.WaitGroup
	var inside, total atomic.Int32
	for _, c := range all {
		for range 4 {
			together.Go(func() {
				release, err := c.Lock(t.Context(), "res.partner.7")
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				total.Add(1)
				inside.Add(-1)
				release(true)
			})
		}
	}
	together.Wait()
	if total.Load() != 12 {
		t.Errorf("%d", total.Load())
	}
	if release, err := all[0].Lock(t.Context(), "res.partner.8"); err != nil {
		t.Error(err)
	} else {
		release(true)
	}
}

// A lock that is not given back keeps others out until it expires.
func TestLockExpires(t *testing.T) {
	t.Parallel()
	all, _ := coordinators(t, 2, time.Second) // JetStream's least
	began := time.Now()
	release, err := all[0].Lock(t.Context(), "a.1")
	if err != nil {
		t.Fatal(err)
	}
	release(false) // its write may still be made
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := all[1].Lock(soon, "a.1"); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
	release, err = all[1].Lock(t.Context(), "a.1")
	if err != nil || time.Since(began) < 900*time.Millisecond {
		t.Fatalf("%v after %s", err, time.Since(began))
	}
	release(true)
}

func TestClaims(t *testing.T) {
	t.Parallel()
	all, s := coordinators(t, 2, time.Minute)
	claim := func(c *writes.Coordinator, digest string) *writes.Claim {
		t.Helper()
		claim, err := c.Claim(t.Context(), "k", digest)
		if err != nil {
			t.Fatal(err)
		}
		return claim
	}
	first := claim(all[0], "one")
	if first.Done() || claim(all[1], "one").Done() {
		t.Error("done before it is")
	}
	if _, err := all[1].Claim(t.Context(), "k", "two"); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	first.Finish(t.Context())
	if !claim(all[1], "one").Done() {
		t.Error("not done")
	}
	if _, err := all[0].Claim(t.Context(), "k", "two"); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	// What had no effect leaves the key to others, but not what a repetition has done.
	second, err := all[0].Claim(t.Context(), "l", "one")
	if err != nil {
		t.Fatal(err)
	}
	twin, err := all[1].Claim(t.Context(), "l", "one")
	if err != nil {
		t.Fatal(err)
	}
	twin.Finish(t.Context())
	second.Release(t.Context())
	if _, err := all[0].Claim(t.Context(), "l", "two"); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("%v", err)
	}
	third, err := all[0].Claim(t.Context(), "m", "one")
	if err != nil {
		t.Fatal(err)
	}
	third.Release(t.Context())
	if _, err := all[1].Claim(t.Context(), "m", "two"); err != nil {
		t.Error(err)
	}
	// A bucket that is gone is made anew (invariant 8).
	_, js := s.Connect()
	if err := js.DeleteKeyValue(t.Context(), "odoo-writes"); err != nil {
		t.Fatal(err)
	}
	if _, err := all[0].Claim(t.Context(), "k", "two"); err != nil {
		t.Error(err)
	}
}

func TestValidKey(t *testing.T) {
	t.Parallel()
	for key, valid := range map[string]bool{"": false, "a.b": false, "a b": false, ">": false, "7c1f0e52-9d0b_4B": true} {
		if writes.ValidKey(key) != valid {
			t.Errorf("%q", key)
		}
	}
}
