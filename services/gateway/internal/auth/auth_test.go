package auth

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

var testSecret = []byte("a secret of tests, 32 bytes or more")

// newTestAuth has the users ana (operator) and the administrator admin, both with password "correct".
func newTestAuth(t *testing.T) (*Authenticator, *clock) {
	t.Helper()
	_, js := natstest.Start(t).Connect()
	return newTestAuthOn(t, js, 1)
}

func newTestAuthOn(t *testing.T, js jetstream.JetStream, replicas int) (*Authenticator, *clock) {
	t.Helper()
	if err := bus.Ensure(t.Context(), js, replicas, bus.BucketSessions); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), bus.BucketSessions)
	if err != nil {
		t.Fatal(err)
	}
	users := NewUsers(filepath.Join(t.TempDir(), "users"), "admin", "correct")
	if err := users.Set("ana", Operator, "correct"); err != nil {
		t.Fatal(err)
	}
	c := newClock()
	return New(Config{
		Secret: testSecret, Users: users, Log: slog.New(slog.DiscardHandler), Now: c.Now,
		Sessions: func() (jetstream.KeyValue, error) { return kv, nil },
	}), c
}

func login(t *testing.T, a *Authenticator) Grant {
	t.Helper()
	g, err := a.Login(t.Context(), "ana", "correct", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func wantCode(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != want {
		t.Fatalf("code %d, want %d: %v", got, want, err)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	g := login(t, a)
	id, err := a.Identify("Bearer " + g.AccessToken)
	if err != nil || id != (Identity{Username: "ana", Role: Operator}) {
		t.Fatalf("identity %+v, %v", id, err)
	}
	g, err = a.Login(t.Context(), "admin", "correct", "192.0.2.1")
	if err != nil || g.Role != Admin {
		t.Fatalf("administrator: %+v, %v", g, err)
	}
	for _, c := range [][2]string{{"ana", "wrong"}, {"nobody", "correct"}, {"ana", ""}, {"", ""}, {"ana", string(bytes.Repeat([]byte("x"), 2000))}} {
		_, err := a.Login(t.Context(), c[0], c[1], "192.0.2.9")
		wantCode(t, err, fault.Unauthenticated)
		a.perUser.GiveBack("192.0.2.9 " + c[0])
	}
}

// An unknown user must not be told from a wrong password by the time the answer takes.
func TestUnknownUserCostsTheSame(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	known, unknown := time.Hour, time.Hour
	check := func(name string, fastest *time.Duration) {
		began := time.Now()
		if _, err := a.check(t.Context(), name, "wrong"); !errors.Is(err, errLogin) {
			t.Fatal(err)
		}
		*fastest = min(*fastest, time.Since(began))
	}
	for range 30 { // in turn, since a busy machine is slow for a while; what is skipped never gets there
		check("ana", &known)
		check("nobody", &unknown)
		if unknown >= known/3 {
			return
		}
	}
	t.Errorf("a wrong password takes %s, an unknown user %s", known, unknown)
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	a, c := newTestAuth(t)
	const here, elsewhere = "192.0.2.1", "198.51.100.7"
	for range 5 {
		_, err := a.Login(t.Context(), "ana", "guess", here)
		wantCode(t, err, fault.Unauthenticated)
	}
	_, err := a.Login(t.Context(), "ana", "correct", here)
	wantCode(t, err, fault.TooMany)
	if wait := fault.From(err).RetryAfter; wait <= 0 || wait > 5*time.Second {
		t.Errorf("retry after %s", wait)
	}
	if _, err := a.Login(t.Context(), "ana", "correct", elsewhere); err != nil {
		t.Errorf("the same user elsewhere: %v", err)
	}
	if _, err := a.Login(t.Context(), "admin", "correct", here); err != nil {
		t.Errorf("another user here: %v", err)
	}
	c.Add(5 * time.Second)
	if _, err := a.Login(t.Context(), "ana", "correct", here); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	for range 20 { // being right costs nothing
		if wait := a.perUser.Take("x"); wait != 0 {
			t.Fatalf("wait %s", wait)
		}
		a.perUser.GiveBack("x")
	}
}

func TestBrakeIsBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := NewBrake(c.Now, 2, time.Second)
	b.maxKeys = 100
	for i := range 1000 {
		b.Take(string(rune(i)))
	}
	if len(b.buckets) > 100 {
		t.Errorf("%d keys", len(b.buckets))
	}
	c.Add(time.Hour)
	b.Take("one more")
	if len(b.buckets) != 1 {
		t.Errorf("%d keys remembered after an hour", len(b.buckets))
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "?": "?",
	} {
		if got := Network(addr); got != want {
			t.Errorf("Network(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	a, c := newTestAuth(t)
	first := login(t, a)
	c.Add(AccessLife + time.Second)
	if _, err := a.Identify("Bearer " + first.AccessToken); !errors.Is(err, ErrToken) {
		t.Fatalf("expired token: %v", err)
	}
	second, err := a.Refresh(t.Context(), first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken == first.RefreshToken {
		t.Fatal("the refresh token did not change")
	}
	if id, err := a.Identify("Bearer " + second.AccessToken); err != nil || id.Username != "ana" {
		t.Fatalf("%+v, %v", id, err)
	}
	// Within the grace the old one gives the very same successor.
	c.Add(RefreshGrace)
	again, err := a.Refresh(t.Context(), first.RefreshToken)
	if err != nil || again.RefreshToken != second.RefreshToken {
		t.Fatalf("in the grace: same %t, %v", again.RefreshToken == second.RefreshToken, err)
	}
	// After it, a replay ends the session for whoever holds it.
	c.Add(time.Second)
	_, err = a.Refresh(t.Context(), first.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)
	_, err = a.Refresh(t.Context(), second.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)
}

// A token two generations old is a replay too, however long ago.
func TestReplayOfAnOldTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	tokens := []string{login(t, a).RefreshToken}
	for range 3 {
		g, err := a.Refresh(t.Context(), tokens[len(tokens)-1])
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, g.RefreshToken)
	}
	_, err := a.Refresh(t.Context(), tokens[0])
	wantCode(t, err, fault.Unauthenticated)
	_, err = a.Refresh(t.Context(), tokens[3])
	wantCode(t, err, fault.Unauthenticated)
}

func TestParallelRefresh(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	first := login(t, a).RefreshToken
	next := make([]string, 8)
	var wg sync.WaitGroup
	for i := range next {
		wg.Go(func() {
			g, err := a.Refresh(t.Context(), first)
			if err != nil {
				t.Error(err)
			}
			next[i] = g.RefreshToken
		})
	}
	wg.Wait()
	for _, n := range next {
		if n != next[0] || n == first {
			t.Fatal("parallel calls got different tokens")
		}
	}
	if _, err := a.Refresh(t.Context(), next[0]); err != nil {
		t.Fatal(err)
	}
}

// Whichever server of a cluster a gateway is connected to, and however far that is behind, a good token is not taken for
// a stolen one.
func TestRefreshInACluster(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t)
	var gateways [natstest.Nodes]*Authenticator
	for i, s := range cluster.Servers {
		_, js := s.Connect()
		gateways[i], _ = newTestAuthOn(t, js, natstest.Nodes)
	}
	g := login(t, gateways[0])
	refresh := func(a *Authenticator) {
		t.Helper()
		next, err := a.Refresh(t.Context(), g.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		g = next
	}
	for i := range 60 {
		refresh(gateways[i%natstest.Nodes])
	}
	var behind, ahead *Authenticator
	follower := cluster.Follower("KV_" + bus.BucketSessions)
	for i, s := range cluster.Servers {
		if s == follower {
			behind = gateways[i]
		} else {
			ahead = gateways[i]
		}
	}
	cluster.Isolate(follower)
	refresh(ahead)
	refresh(ahead)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := behind.Refresh(ctx, g.RefreshToken)
	wantCode(t, err, fault.Unavailable)
	cluster.Rejoin(follower)
	cluster.StreamLeader("KV_" + bus.BucketSessions)
	refresh(behind)
}

func TestRefreshRefuses(t *testing.T) {
	t.Parallel()
	a, c := newTestAuth(t)
	good := login(t, a).RefreshToken
	tampered := []byte(good)
	tampered[30] ^= 3 // within the random part
	for _, token := range []string{"", "x", good + "x", string(tampered), good[:len(good)-1], good[:85] + "\n"} {
		_, err := a.Refresh(t.Context(), token)
		wantCode(t, err, fault.Unauthenticated)
	}
	next, err := a.Refresh(t.Context(), good) // what was never issued ends nothing
	if err != nil {
		t.Fatal(err)
	}
	if err := a.users.Set("ana", Viewer, "other"); err != nil {
		t.Fatal(err)
	}
	if next, err = a.Refresh(t.Context(), next.RefreshToken); err != nil || next.Role != Viewer {
		t.Fatalf("a changed role: %+v, %v", next.Role, err)
	}
	c.Add(RefreshLife + time.Second)
	_, err = a.Refresh(t.Context(), next.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)
}

func TestRefreshOfARemovedUser(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	g := login(t, a)
	if err := writeFile(a.users.path, nil); err != nil {
		t.Fatal(err)
	}
	_, err := a.Refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	g, other := login(t, a), login(t, a)
	for _, token := range []string{g.RefreshToken, g.RefreshToken, "nonsense"} {
		if err := a.Revoke(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.Refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)
	if _, err := a.Refresh(t.Context(), other.RefreshToken); err != nil {
		t.Errorf("the other session: %v", err)
	}
}

// What is stored must not be enough to refresh with.
func TestStoreHoldsNoToken(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	g := login(t, a)
	next, err := a.Refresh(t.Context(), g.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	kv, _ := a.sessions.bucket()
	keys, err := kv.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	entry, _, err := load(t.Context(), kv, keys[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{g.RefreshToken, next.RefreshToken} {
		_, random, ok := a.sessions.parse(token)
		if !ok {
			t.Fatal("a token of ours does not parse")
		}
		for _, stored := range [][]byte{entry.Current, entry.Previous, entry.Sealed} {
			if bytes.Equal(stored, random) {
				t.Error("the store holds a token")
			}
		}
	}
}

func TestSessionsAway(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	g := login(t, a)
	a.sessions.bucket = func() (jetstream.KeyValue, error) { return nil, fault.Away("NATS", nil) }
	_, err := a.Login(t.Context(), "ana", "correct", "192.0.2.1")
	wantCode(t, err, fault.Unavailable)
	_, err = a.Refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, fault.Unavailable)
	wantCode(t, a.Revoke(t.Context(), g.RefreshToken), fault.Unavailable)
}

// Logins beyond those being hashed wait, and are told so when their time is up.
func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuth(t)
	for range hashers {
		a.hashers <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := a.Login(ctx, "ana", "correct", "192.0.2.1")
	wantCode(t, err, fault.TooMany)
}

func FuzzRefreshToken(f *testing.F) {
	s := &sessions{macKey: derive(testSecret, "refresh tokens")}
	good := s.token(randomBytes(idSize), randomBytes(randomSize))
	f.Add(good)
	f.Add(good[:85])
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		id, random, ok := s.parse(token)
		if ok && s.token(id, random) != token {
			t.Errorf("%q has a second form", token)
		}
	})
}
