package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
)

// Names of the streams and buckets.
const (
	StreamOrders      = "ORDERS"
	StreamEdits       = "EDITS"
	StreamOdoo        = "ODOO"
	StreamDeadLetters = "DEAD_LETTERS"

	BucketOdooCache   = "odoo-cache"
	BucketOdooJournal = "odoo-journal"
	BucketSyncState   = "sync-state"
	BucketSessions    = "sessions"
	BucketColumns     = "columns"

	// BucketOdooWrites has the records of Odoo that are being written, and the writes made by Idempotency-Key.
	BucketOdooWrites = "odoo-writes"
)

// HistoryPerOrder is how many messages of each subject ORDERS keeps.
const HistoryPerOrder = 16

// HistoryPerOdooRecord is how many messages of each subject ODOO keeps.
const HistoryPerOdooRecord = 4

// DedupeWindow is how long JetStream recognises a repeated Nats-Msg-Id.
const DedupeWindow = 2 * time.Minute

// Streams is every stream there is; nothing else creates one. None allows direct gets, which any replica answers,
// however far it is behind: the stream's leader does.
var Streams = []jetstream.StreamConfig{
	{
		Name:              StreamOrders,
		Description:       "What happened to every order; the newest message of each subject is its state",
		Subjects:          []string{event.OrdersChanged, event.OrdersEdited},
		Retention:         jetstream.LimitsPolicy,
		MaxMsgsPerSubject: HistoryPerOrder,
		// A limit that the operator sets refuses new events, instead of dropping the only state of a calm order.
		Discard:    jetstream.DiscardNew,
		Duplicates: DedupeWindow,
		// Airtable can tell it all again, and does when the tail is lost (invariant 8).
		PersistMode: jetstream.AsyncPersistMode,
	},
	{
		Name:        StreamEdits,
		Description: "Edits that people made and Airtable has not taken yet: their only copy",
		Subjects:    []string{event.OrderEdits},
		Retention:   jetstream.WorkQueuePolicy,
		Discard:     jetstream.DiscardNew, // a limit refuses new edits, instead of dropping accepted ones
		Duplicates:  DedupeWindow,
	},
	{
		Name:              StreamOdoo,
		Description:       "What changed in Odoo lately",
		Subjects:          []string{event.OdooChanges},
		Retention:         jetstream.LimitsPolicy,
		MaxMsgsPerSubject: HistoryPerOdooRecord,
		MaxAge:            30 * 24 * time.Hour,
		Discard:           jetstream.DiscardOld,
		Duplicates:        DedupeWindow,
	},
	{
		Name:        StreamDeadLetters,
		Description: "Messages no consumer could use, with the reason",
		Subjects:    []string{event.AllDead},
		MaxAge:      30 * 24 * time.Hour,
		Duplicates:  DedupeWindow,
	},
}

// Buckets is every key-value bucket there is.
//
// Each is bounded in bytes, since they share the store with edits and leases. What only saves time has a
// bucket to itself, which may be full.
var Buckets = []jetstream.KeyValueConfig{
	{Bucket: BucketOdooCache, Description: "What Odoo answered", TTL: 24 * time.Hour, MaxValueSize: 1 << 20, MaxBytes: 64 << 20},
	{Bucket: BucketOdooJournal, Description: "What changed in Odoo, for caches of its answers", MaxBytes: 32 << 20},
	{Bucket: BucketSyncState, Description: "Who syncs, and how the last run went", History: 1, MaxBytes: 32 << 20},
	{
		Bucket: BucketOdooWrites, Description: "Records of Odoo that are being written, and writes by Idempotency-Key",
		TTL: 24 * time.Hour, LimitMarkerTTL: time.Minute, MaxBytes: 64 << 20, MaxValueSize: 1 << 10,
	},
	{Bucket: BucketColumns, Description: "What columns the orders of each source have", History: 1, MaxBytes: 16 << 20},
	{Bucket: BucketSessions, Description: "Refresh tokens, hashed", TTL: 30 * 24 * time.Hour, LimitMarkerTTL: time.Hour, MaxBytes: 64 << 20},
}

// staleReads are the buckets whose values tell by themselves how old they are, so that any replica may answer.
var staleReads = []string{BucketOdooCache}

// ErrDrift is wrapped when a stream or bucket is not as declared here.
var ErrDrift = errors.New("JetStream differs from what this version declares")

// Ensure creates what is missing of the named streams and buckets, and checks the rest. What can be changed without
// losing anything is changed: replicas (1, or 3 in a cluster) are raised to what is asked for, and never lowered, but for
// those of ORDERS, which RebuildOrders raises; Ensure then waits up to 30 s for the new ones to be current. Every other difference in a setting that changes behaviour is named in an
// error that wraps ErrDrift. Size limits are the operator's to set.
func Ensure(ctx context.Context, js jetstream.JetStream, replicas int, names ...string) error {
	for _, name := range names {
		err := ensure(withoutDeadline{ctx}, js, replicas, name)
		for errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // lost with the server that led a cluster
			err = ensure(withoutDeadline{ctx}, js, replicas, name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// RebuildOrders makes ORDERS anew, empty, with more replicas than it has, and reports whether it did: a stream with
// asynchronous persistence can't be given any. Airtable has all of its events (invariant 8). Only the active syncer
// calls it. Nothing is deleted before the cluster has shown that it can hold so many replicas.
func RebuildOrders(ctx context.Context, js jetstream.JetStream, replicas int) (rebuilt bool, err error) {
	stream, err := js.Stream(ctx, StreamOrders)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open %s: %w", StreamOrders, err)
	}
	have := stream.CachedInfo().Config
	if have.Replicas >= replicas || have.PersistMode != jetstream.AsyncPersistMode {
		return false, nil
	}
	const probe = StreamOrders + "_REPLICAS"
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: probe, Replicas: replicas}); err != nil {
		return false, fmt.Errorf("place %d replicas: %w", replicas, err)
	}
	if err := js.DeleteStream(ctx, probe); err != nil {
		return false, fmt.Errorf("delete %s: %w", probe, err)
	}
	if err := js.DeleteStream(ctx, StreamOrders); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, fmt.Errorf("delete %s: %w", StreamOrders, err)
	}
	return true, Ensure(ctx, js, replicas, StreamOrders)
}

func ensure(ctx context.Context, js jetstream.JetStream, replicas int, name string) error {
	for _, want := range Streams {
		if want.Name == name {
			want.Replicas = replicas
			if replicas > 1 {
				want.PersistMode = jetstream.DefaultPersistMode // Raft keeps the tail there
			}
			return ensureStream(ctx, js, want)
		}
	}
	for _, want := range Buckets {
		if want.Bucket == name {
			want.Replicas = replicas
			return ensureBucket(ctx, js, want)
		}
	}
	return errors.New("no stream or bucket of that name is declared")
}

func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	have, err := open(ctx, js, want)
	if err != nil {
		return err
	}
	d := DriftError{Name: want.Name}
	d.add("subjects", strings.Join(have.Subjects, " "), strings.Join(want.Subjects, " "))
	d.add("retention", have.Retention, want.Retention)
	d.add("max messages per subject", max(have.MaxMsgsPerSubject, 0), want.MaxMsgsPerSubject)
	d.add("max age", have.MaxAge, want.MaxAge)
	d.add("duplicate window", have.Duplicates, want.Duplicates)
	d.add("storage", have.Storage, want.Storage)
	d.add("no acknowledgements", have.NoAck, want.NoAck)
	if want.Name != StreamOrders { // there, safer than declared is no drift, and RebuildOrders mends the contrary
		d.add("persist mode", have.PersistMode, want.PersistMode)
	}
	if err := d.err(); err != nil {
		return err
	}
	return repair(ctx, js, have, want)
}

func ensureBucket(ctx context.Context, js jetstream.JetStream, bucket jetstream.KeyValueConfig) error {
	want := bucketStream(bucket)
	have, err := open(ctx, js, want)
	if err != nil {
		return err
	}
	d := DriftError{Name: bucket.Bucket}
	d.add("TTL", have.MaxAge, want.MaxAge)
	d.add("history", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	d.add("limit marker TTL", have.SubjectDeleteMarkerTTL, want.SubjectDeleteMarkerTTL)
	d.add("storage", have.Storage, want.Storage)
	if err := d.err(); err != nil {
		return err
	}
	return repair(ctx, js, have, want)
}

// bucketStream is the stream of a bucket, as ADR-8 has it and nats.go makes it; but that always allows direct gets.
func bucketStream(b jetstream.KeyValueConfig) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_" + b.Bucket, Description: b.Description, Subjects: []string{"$KV." + b.Bucket + ".>"},
		MaxMsgsPerSubject: max(int64(b.History), 1), MaxAge: b.TTL, Duplicates: DedupeWindow, Storage: b.Storage, Replicas: b.Replicas,
		MaxBytes: cmp.Or(b.MaxBytes, -1), MaxMsgSize: cmp.Or(b.MaxValueSize, -1), MaxMsgs: -1, MaxConsumers: -1,
		Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true, AllowDirect: slices.Contains(staleReads, b.Bucket),
		AllowMsgTTL: b.LimitMarkerTTL > 0, SubjectDeleteMarkerTTL: b.LimitMarkerTTL,
	}
}

// open gives the configuration of a stream, which it creates if it is missing.
func open(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (jetstream.StreamConfig, error) {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		// CreateStream with an equal config is idempotent, so that services may race here.
		stream, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return stream.CachedInfo().Config, nil
}

// repair changes what a stream may be changed in at any time.
func repair(ctx context.Context, js jetstream.JetStream, have, want jetstream.StreamConfig) error {
	next := have
	next.Discard, next.AllowDirect = want.Discard, want.AllowDirect
	if have.PersistMode != jetstream.AsyncPersistMode {
		next.Replicas = max(have.Replicas, want.Replicas)
	}
	if have.MaxBytes <= 0 && want.MaxBytes > 0 { // made by a version that set no bound
		next.MaxBytes = want.MaxBytes
	}
	if next.Discard == have.Discard && next.AllowDirect == have.AllowDirect && next.Replicas == have.Replicas && next.MaxBytes == have.MaxBytes {
		return nil
	}
	if _, err := js.UpdateStream(ctx, next); err != nil {
		return err
	}
	if next.Replicas > have.Replicas {
		return awaitReplicas(ctx, js, next.Name)
	}
	return nil
}

// How long awaitReplicas waits at most. A server that is down must not keep services from starting.
const (
	replicaTimeout  = 30 * time.Second
	replicaInterval = 100 * time.Millisecond
)

// awaitReplicas returns when every replica of a stream is current. Before that the server that had the stream alone
// still has the only complete copy: without it the others elect no leader, however long they wait.
func awaitReplicas(ctx context.Context, js jetstream.JetStream, name string) error {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		stream, err := js.Stream(withoutDeadline{ctx}, name)
		if err != nil {
			return struct{}{}, err
		}
		info := stream.CachedInfo()
		if info.Cluster == nil || len(info.Cluster.Replicas)+1 < info.Config.Replicas ||
			slices.ContainsFunc(info.Cluster.Replicas, func(p *jetstream.PeerInfo) bool { return !p.Current }) {
			return struct{}{}, errors.New("replicas are not current")
		}
		return struct{}{}, nil
	}, backoff.WithBackOff(backoff.NewConstantBackOff(replicaInterval)))
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// DriftError says which settings of a stream or bucket are not as declared here. It wraps ErrDrift.
type DriftError struct {
	Name        string
	Differences []Difference
}

// Difference is a setting that is not as it should be.
type Difference struct {
	Setting    string
	Have, Want any
}

// Error names each setting.
func (d *DriftError) Error() string {
	parts := make([]string, len(d.Differences))
	for i, diff := range d.Differences {
		parts[i] = fmt.Sprintf("%s is %v, want %v", diff.Setting, diff.Have, diff.Want)
	}
	return ErrDrift.Error() + ": " + strings.Join(parts, "; ")
}

// Unwrap returns ErrDrift.
func (d *DriftError) Unwrap() error { return ErrDrift }

func (d *DriftError) add(setting string, have, want any) {
	if have != want {
		d.Differences = append(d.Differences, Difference{Setting: setting, Have: have, Want: want})
	}
}

func (d *DriftError) err() error {
	if len(d.Differences) == 0 {
		return nil
	}
	return d
}
