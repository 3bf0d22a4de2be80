package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
)

// Names of the streams and buckets.
const (
	StreamOrders      = "ORDERS"
	StreamEdits       = "EDITS"
	StreamOdoo        = "ODOO"
	StreamDeadLetters = "DEAD_LETTERS"

	BucketOdooCache = "odoo-cache"
	BucketSyncState = "sync-state"
	BucketSessions  = "sessions"
	BucketColumns   = "columns"

	// BucketOdooWrites has the records of Odoo that are being written, and the writes made by Idempotency-Key.
	BucketOdooWrites = "odoo-writes"
)

// HistoryPerOrder is how many messages of each subject ORDERS keeps.
const HistoryPerOrder = 16

// HistoryPerOdooRecord is how many messages of each subject ODOO keeps.
const HistoryPerOdooRecord = 4

// DedupeWindow is how long JetStream recognises a repeated Nats-Msg-Id.
const DedupeWindow = 2 * time.Minute

// Streams is every stream there is; nothing else creates one.
var Streams = []jetstream.StreamConfig{
	{
		Name:              StreamOrders,
		Description:       "What happened to every order; the newest message of each subject is its state",
		Subjects:          []string{event.OrdersChanged, event.OrdersEdited},
		Retention:         jetstream.LimitsPolicy,
		MaxMsgsPerSubject: HistoryPerOrder,
		Discard:           jetstream.DiscardOld,
		Duplicates:        DedupeWindow,
		AllowDirect:       true,
		// Airtable can tell it all again, and does when the tail is lost (invariant 8).
		PersistMode: jetstream.AsyncPersistMode,
	},
	{
		Name:        StreamEdits,
		Description: "Edits that people made and Airtable has not taken yet: their only copy",
		Subjects:    []string{event.OrderEdits},
		Retention:   jetstream.WorkQueuePolicy,
		Duplicates:  DedupeWindow,
		AllowDirect: true,
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
		AllowDirect:       true,
	},
	{
		Name:        StreamDeadLetters,
		Description: "Messages no consumer could use, with the reason",
		Subjects:    []string{event.AllDead},
		MaxAge:      30 * 24 * time.Hour,
		Duplicates:  DedupeWindow,
		AllowDirect: true,
	},
}

// Buckets is every key-value bucket there is.
var Buckets = []jetstream.KeyValueConfig{
	{Bucket: BucketOdooCache, Description: "What Odoo answered", TTL: 24 * time.Hour, MaxValueSize: 1 << 20},
	{Bucket: BucketSyncState, Description: "Who syncs, and how the last run went", History: 1},
	{
		Bucket: BucketOdooWrites, Description: "Records of Odoo that are being written, and writes by Idempotency-Key",
		TTL: 24 * time.Hour, LimitMarkerTTL: time.Minute, MaxBytes: 64 << 20, MaxValueSize: 1 << 10,
	},
	{Bucket: BucketColumns, Description: "What columns the orders of each source have", History: 1, MaxBytes: 16 << 20},
	{Bucket: BucketSessions, Description: "Refresh tokens, hashed", TTL: 30 * 24 * time.Hour, LimitMarkerTTL: time.Hour},
}

// ErrDrift is wrapped when a stream or bucket is not as declared here.
var ErrDrift = errors.New("JetStream differs from what this version declares")

// Ensure creates what is missing of the named streams and buckets, and checks the rest. Every
// difference in a setting that changes behaviour is named in an error that wraps ErrDrift;
// replicas (1, or 3 in a cluster) and size limits are the operator's to set.
func Ensure(ctx context.Context, js jetstream.JetStream, replicas int, names ...string) error {
	for _, name := range names {
		if err := ensure(ctx, js, replicas, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Persist calls work until it succeeds, once a second, and logs each failure as what. It returns an
// error that no waiting mends, which wraps ErrDrift, or ctx's when ctx ends.
func Persist(ctx context.Context, log *slog.Logger, what string, work func(context.Context) error) error {
	for {
		err := work(ctx)
		switch {
		case err == nil || errors.Is(err, ErrDrift):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		log.Warn(what, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
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
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		// CreateStream with an equal config is idempotent, so that services may race here.
		stream, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return err
	}
	have := stream.CachedInfo().Config
	var d drift
	d.add("subjects", strings.Join(have.Subjects, " "), strings.Join(want.Subjects, " "))
	d.add("retention", have.Retention, want.Retention)
	d.add("max messages per subject", max(have.MaxMsgsPerSubject, 0), want.MaxMsgsPerSubject)
	d.add("max age", have.MaxAge, want.MaxAge)
	d.add("discard", have.Discard, want.Discard)
	d.add("direct get", have.AllowDirect, want.AllowDirect)
	d.add("duplicate window", have.Duplicates, want.Duplicates)
	d.add("storage", have.Storage, want.Storage)
	d.add("no acknowledgements", have.NoAck, want.NoAck)
	if want.PersistMode == jetstream.DefaultPersistMode { // safer than declared is no drift
		d.add("persist mode", have.PersistMode, want.PersistMode)
	}
	return d.err()
}

func ensureBucket(ctx context.Context, js jetstream.JetStream, want jetstream.KeyValueConfig) error {
	kv, err := js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, want)
		if errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = js.KeyValue(ctx, want.Bucket)
		}
	}
	if err != nil {
		return err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return err
	}
	var d drift
	d.add("TTL", status.TTL(), want.TTL)
	d.add("history", status.History(), max(int64(want.History), 1))
	d.add("limit marker TTL", status.LimitMarkerTTL(), want.LimitMarkerTTL)
	if s, ok := status.(*jetstream.KeyValueBucketStatus); ok {
		d.add("storage", s.StreamInfo().Config.Storage, want.Storage)
	}
	return d.err()
}

// drift collects differences between what is and what is declared.
type drift []string

func (d *drift) add(setting string, have, want any) {
	if have != want {
		*d = append(*d, fmt.Sprintf("%s is %v, want %v", setting, have, want))
	}
}

func (d *drift) err() error {
	if len(*d) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrDrift, strings.Join(*d, "; "))
}
