package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
)

func TestEnsureCreatesWhatIsDeclared(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	ctx := deadline(t, patience)
	var group sync.WaitGroup // services start at the same time
	for range 4 {
		group.Go(func() {
			if err := bus.Ensure(ctx, js, 1, names()...); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, want := range bus.Streams {
		s, err := js.Stream(ctx, want.Name)
		if err != nil {
			t.Fatal(err)
		}
		have := s.CachedInfo().Config
		if diff := cmp.Diff(want.Subjects, have.Subjects); diff != "" {
			t.Errorf("%s: subjects (-want +have):\n%s", want.Name, diff)
		}
		if have.PersistMode != want.PersistMode || have.Retention != want.Retention || have.Storage != jetstream.FileStorage {
			t.Errorf("%s is %+v", want.Name, have)
		}
	}
	if err := bus.Ensure(ctx, js, 1, names()...); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestEnsureNamesEachDrift(t *testing.T) {
	t.Parallel()
	declared := map[string]jetstream.StreamConfig{}
	for _, s := range bus.Streams {
		declared[s.Name] = s
	}
	for _, c := range []struct {
		name, says string
		change     func(*jetstream.StreamConfig)
	}{
		{bus.StreamOrders, "subjects is order.changed.*, want order.changed.* order.edited.*", func(s *jetstream.StreamConfig) { s.Subjects = []string{event.OrdersChanged} }},
		{bus.StreamOrders, "retention", func(s *jetstream.StreamConfig) { s.Retention = jetstream.InterestPolicy }},
		{bus.StreamOrders, "max messages per subject is 0, want 16", func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject = -1 }},
		{bus.StreamOrders, "max age is 24h0m0s, want 0s", func(s *jetstream.StreamConfig) { s.MaxAge = 24 * time.Hour }},
		{bus.StreamOrders, "duplicate window", func(s *jetstream.StreamConfig) { s.Duplicates = time.Second }},
		{bus.StreamOrders, "storage", func(s *jetstream.StreamConfig) {
			s.Storage, s.PersistMode = jetstream.MemoryStorage, jetstream.DefaultPersistMode
		}},
		{bus.StreamOrders, "no acknowledgements", func(s *jetstream.StreamConfig) { s.NoAck = true }},
		{bus.StreamEdits, "persist mode is Async, want Default", func(s *jetstream.StreamConfig) { s.PersistMode = jetstream.AsyncPersistMode }},
		{bus.StreamDeadLetters, "max age", func(s *jetstream.StreamConfig) { s.MaxAge = time.Hour }},
		// The operator's to set, or safer than declared.
		{bus.StreamOrders, "", func(s *jetstream.StreamConfig) { s.MaxBytes, s.Description = 1<<30, "ours" }},
		{bus.StreamOrders, "", func(s *jetstream.StreamConfig) { s.PersistMode = jetstream.DefaultPersistMode }},
	} {
		t.Run(c.name+" "+c.says, func(t *testing.T) {
			t.Parallel()
			_, js := natstest.Start(t).Connect()
			ctx := deadline(t, patience)
			cfg := declared[c.name]
			c.change(&cfg)
			if _, err := js.CreateStream(ctx, cfg); err != nil {
				t.Fatal(err)
			}
			err := bus.Ensure(ctx, js, 1, c.name)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, bus.ErrDrift) || !strings.Contains(err.Error(), c.name+": ") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q of %s", err, c.says, c.name)
			}
		})
	}
}

// What can be changed without losing anything is.
func TestEnsureRepairs(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	ctx := deadline(t, patience)
	for _, s := range bus.Streams {
		s.Discard, s.AllowDirect = jetstream.DiscardOld, true
		if _, err := js.CreateStream(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range bus.Buckets { // nats.go allows direct gets
		if _, err := js.CreateKeyValue(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := bus.Ensure(ctx, js, 1, names()...); err != nil {
		t.Fatal(err)
	}
	for _, name := range streamNames() {
		s, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if s.CachedInfo().Config.AllowDirect != (name == "KV_"+bus.BucketOdooCache) {
			t.Errorf("%s: direct gets %t", name, s.CachedInfo().Config.AllowDirect)
		}
	}
}

// A limit that is reached refuses what is new: it never drops an accepted edit, or the only state of an order.
func TestLimitsDropNothing(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	ctx := deadline(t, patience)
	for name, subject := range map[string]func(string) string{
		bus.StreamOrders: event.OrderChangedSubject, bus.StreamEdits: func(id string) string { return event.TypeOrderEdit + "." + id },
	} {
		if err := bus.Ensure(ctx, js, 1, name); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxMsgs = 2
		if _, err := js.UpdateStream(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		if err := bus.Ensure(ctx, js, 1, name); err != nil {
			t.Errorf("%s: a limit is the operator's to set: %v", name, err)
		}
		for i := range 4 {
			_, err := js.Publish(ctx, subject(fmt.Sprint("rec", i)), nil)
			if (err == nil) != (i < 2) {
				t.Errorf("%s: message %d: %v", name, i, err)
			}
		}
		if _, err := stream.GetLastMsgForSubject(ctx, subject("rec0")); err != nil {
			t.Errorf("%s: the first: %v", name, err)
		}
	}
}

// Replicas are raised where they are fewer than asked for, whatever was stored stays, and they are never lowered.
func TestReplicas(t *testing.T) {
	t.Parallel()
	cluster := natstest.StartCluster(t)
	_, js := cluster.Connect()
	ctx := deadline(t, patience)
	ensure := func(replicas int) {
		t.Helper()
		if err := bus.Ensure(ctx, js, replicas, names()...); err != nil {
			t.Fatalf("%d replicas: %v", replicas, err)
		}
	}
	want := func(name string, replicas int) jetstream.StreamConfig {
		t.Helper()
		s, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if have := s.CachedInfo().Config.Replicas; have != replicas {
			t.Errorf("%s has %d replicas, want %d", name, have, replicas)
		}
		return s.CachedInfo().Config
	}
	ensure(1)
	edit := &nats.Msg{Subject: event.TypeOrderEdit + ".rec1", Header: nats.Header{nats.MsgIdHdr: {"1"}}}
	if _, err := bus.Publish(ctx, js, edit); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, event.OrderChangedSubject("rec1"), nil); err != nil {
		t.Fatal(err)
	}
	if rebuilt, err := bus.RebuildOrders(ctx, js, 1); err != nil || rebuilt {
		t.Fatalf("rebuilt for as many replicas as there are: %t, %v", rebuilt, err)
	}
	ensure(3)
	for _, name := range streamNames() {
		if name != bus.StreamOrders {
			if lagging := notCurrent(ctx, t, js, name); len(lagging) > 0 { // without the first server there would be no leader
				t.Errorf("%s is said to be there, and its replicas are not current: %v", name, lagging)
			}
			want(name, 3)
		}
	}
	if rebuilt, err := bus.RebuildOrders(ctx, js, 5); err == nil || rebuilt {
		t.Fatalf("rebuilt for more servers than there are: %t, %v", rebuilt, err)
	}
	if have := want(bus.StreamOrders, 1); have.PersistMode != jetstream.AsyncPersistMode {
		t.Errorf("%s: %v", bus.StreamOrders, have.PersistMode)
	}
	if rebuilt, err := bus.RebuildOrders(ctx, js, 3); err != nil || !rebuilt {
		t.Fatalf("rebuilt %t, %v", rebuilt, err)
	}
	if have := want(bus.StreamOrders, 3); have.PersistMode != jetstream.DefaultPersistMode {
		t.Errorf("%s: %v", bus.StreamOrders, have.PersistMode)
	}
	if rebuilt, err := bus.RebuildOrders(ctx, js, 3); err != nil || rebuilt {
		t.Errorf("rebuilt again: %t, %v", rebuilt, err)
	}
	ensure(1)
	for _, name := range streamNames() {
		want(name, 3)
	}
	cluster.StreamLeader(bus.StreamEdits) // when all replicas have it
	stream, err := js.Stream(ctx, bus.StreamEdits)
	if err != nil || stream.CachedInfo().State.Msgs != 1 {
		t.Errorf("the edit: %v", err)
	}
}

func notCurrent(ctx context.Context, t *testing.T, js jetstream.JetStream, stream string) (lagging []string) {
	t.Helper()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	peers := s.CachedInfo().Cluster.Replicas
	for _, r := range peers {
		if !r.Current {
			lagging = append(lagging, r.Name)
		}
	}
	if missing := natstest.Nodes - 1 - len(peers); missing > 0 {
		lagging = append(lagging, fmt.Sprint(missing, " more"))
	}
	return lagging
}

func streamNames() []string {
	all := names()
	for i, b := range bus.Buckets {
		all[len(bus.Streams)+i] = "KV_" + b.Bucket
	}
	return all
}

func TestEnsureNamesAllDriftOfABucket(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	ctx := deadline(t, patience)
	_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bus.BucketSessions, TTL: time.Hour, History: 5, Storage: jetstream.MemoryStorage,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = bus.Ensure(ctx, js, 1, bus.BucketSyncState, bus.BucketSessions)
	if !errors.Is(err, bus.ErrDrift) {
		t.Fatal(err)
	}
	for _, setting := range []string{bus.BucketSessions, "TTL is 1h0m0s, want 720h0m0s", "history is 5, want 1", "limit marker TTL", "storage"} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%v does not say %q", err, setting)
		}
	}
	if _, err := js.KeyValue(ctx, bus.BucketSyncState); err != nil {
		t.Errorf("what came before was not created: %v", err)
	}
}

// What every bucket may take is bounded, one too that an older version made, and never by less than an
// operator chose.
func TestBucketsAreBounded(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	ctx := deadline(t, patience)
	const chosen = 1 << 30
	for name, bytes := range map[string]int64{bus.BucketOdooCache: 0, bus.BucketSyncState: chosen} {
		for _, cfg := range bus.Buckets {
			if cfg.Bucket == name {
				cfg.MaxBytes = bytes
				if _, err := js.CreateKeyValue(ctx, cfg); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, cfg := range bus.Buckets {
		if err := bus.Ensure(ctx, js, 1, cfg.Bucket); err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(ctx, "KV_"+cfg.Bucket)
		if err != nil {
			t.Fatal(err)
		}
		want := cfg.MaxBytes
		if cfg.Bucket == bus.BucketSyncState {
			want = chosen
		}
		if have := stream.CachedInfo().Config; want <= 0 || have.MaxBytes != want || have.Discard != jetstream.DiscardNew {
			t.Errorf("%s: %d bytes, want %d; discards %s", cfg.Bucket, have.MaxBytes, want, have.Discard)
		}
	}
}

func TestEnsureFailures(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	_, js := server.Connect()
	ctx := deadline(t, patience)
	if err := bus.Ensure(ctx, js, 1, "ORDER"); err == nil || !strings.Contains(err.Error(), "ORDER") {
		t.Errorf("undeclared: %v", err)
	}
	if err := bus.Ensure(ctx, js, 3, bus.StreamOrders); err == nil {
		t.Error("three replicas on one server")
	}
	if _, err := js.Stream(ctx, bus.StreamOrders); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("created with fewer replicas than asked: %v", err)
	}
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"order.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Ensure(ctx, js, 1, bus.StreamOrders); err == nil {
		t.Error("the subjects belong to another stream")
	}
	server.Stop()
	if err := bus.Ensure(deadline(t, 200*time.Millisecond), js, 1, bus.StreamEdits); err == nil {
		t.Error("NATS is away")
	}
}

// The newest state of every order is always there, whatever happened to others.
func TestOrdersKeepsTheNewestOfEachSubject(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	ctx := deadline(t, patience)
	if err := bus.Ensure(ctx, js, 1, bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	subjects := []string{event.OrderChangedSubject("recBusy"), event.OrderChangedSubject("recCalm")}
	publish := func(subject string, i int) {
		id := fmt.Sprint(subject, i)
		msg := &nats.Msg{Subject: subject, Data: []byte(id), Header: nats.Header{nats.MsgIdHdr: {id}}}
		if _, err := bus.Publish(ctx, js, msg); err != nil {
			t.Fatal(err)
		}
	}
	publish(subjects[1], 1)
	for i := range 3 * bus.HistoryPerOrder {
		publish(subjects[0], i)
	}
	stream, err := js.Stream(ctx, bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != bus.HistoryPerOrder+1 {
		t.Errorf("%d messages are kept", n)
	}
	for subject, want := range map[string]string{
		subjects[0]: fmt.Sprint(subjects[0], 3*bus.HistoryPerOrder-1), subjects[1]: fmt.Sprint(subjects[1], 1),
	} {
		msg, err := stream.GetLastMsgForSubject(ctx, subject)
		if err != nil || string(msg.Data) != want {
			t.Errorf("%s: %v, %v", subject, msg, err)
		}
	}
}

func TestPersist(t *testing.T) {
	t.Parallel()
	said, log := newJournal()
	away, tries := errors.New("JetStream is away"), 0
	if err := bus.Persist(deadline(t, patience), log, "waiting", func(context.Context) error {
		if tries++; tries < 3 {
			return away
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	said.wait(t, "waiting", 1) // the rest is throttled
	drifted := fmt.Errorf("ORDERS: %w", bus.ErrDrift)
	if err := bus.Persist(t.Context(), log, "waiting", func(context.Context) error { return drifted }); !errors.Is(err, drifted) {
		t.Errorf("drift: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := bus.Persist(ctx, log, "waiting", func(context.Context) error { cancel(); return away }); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
}
