package writes_test

import (
	"context"
	"strings"
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
				lock, err := c.Lock(t.Context(), "res.partner.7", "")
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				total.Add(1)
				inside.Add(-1)
				lock.Release(t.Context())
			})
		}
	}
	together.Wait()
	if total.Load() != 12 {
		t.Errorf("%d", total.Load())
	}
	if lock, err := all[0].Lock(t.Context(), "res.partner.8", ""); err != nil {
		t.Error(err)
	} else {
		lock.Release(t.Context())
	}
}

// A lock that is not given back keeps others out until it expires, and they are told why.
func TestLockExpires(t *testing.T) {
	t.Parallel()
	all, _ := coordinators(t, 2, time.Second) // JetStream's least
	began := time.Now()
	lock, err := all[0].Lock(t.Context(), "a.1", "k")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(c *writes.Coordinator, key, text string) {
		t.Helper()
		soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Lock(soon, "a.1", key)
		if f := fault.From(err); f.Code != fault.Unavailable || !strings.Contains(f.Detail.EN, text) {
			t.Errorf("%v", err)
		}
	}
	refused(all[0], "k", "Another change of this record is under way")
	lock.MarkUnknown(t.Context())
	for _, c := range all {
		refused(c, "l", "not known yet")
		again, err := c.Lock(t.Context(), "a.1", "k") // the same request
		if err != nil || !again.Shared() {
			t.Fatalf("%+v %v", again, err)
		}
		again.Release(t.Context()) // of no effect: the first attempt holds it
		refused(c, "", "not known yet")
	}
	lock, err = all[1].Lock(t.Context(), "a.1", "l")
	if err != nil || time.Since(began) < 900*time.Millisecond || lock.Shared() {
		t.Fatalf("%v after %s", err, time.Since(began))
	}
	lock.Release(t.Context())
	lock, err = all[0].Lock(t.Context(), "a.1", "k")
	if err != nil {
		t.Fatal(err)
	}
	lock.MarkUnknown(t.Context())
	lock.Release(t.Context()) // looked up before it expired
	if lock, err = all[1].Lock(t.Context(), "a.1", ""); err != nil {
		t.Fatal(err)
	}
	lock.Release(t.Context())
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
