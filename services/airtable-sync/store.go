package airtablesync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/columns"
)

// schemaKey is the key of the table's schema in the bucket sync-state.
const schemaKey = "schema"

// store is a column.Store in NATS. What exceeds max_payload, as thousands of choices do, is left out: it costs
// the benefits of having it, but ends no run.
type store struct {
	kv  jetstream.KeyValue // sync-state
	js  jetstream.JetStream
	log *slog.Logger
}

func (s *store) Load(ctx context.Context) ([]byte, error) {
	entry, err := s.kv.Get(ctx, schemaKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load the schema: %w", err)
	}
	return entry.Value(), nil
}

func (s *store) Save(ctx context.Context, data []byte) error {
	if _, err := s.kv.Put(ctx, schemaKey, data); err != nil {
		return s.fitting(fmt.Errorf("save the schema: %w", err))
	}
	return nil
}

func (s *store) Publish(ctx context.Context, source columns.Source) error {
	return s.fitting(columns.Publish(ctx, s.js, source))
}

func (s *store) fitting(err error) error {
	if !errors.Is(err, nats.ErrMaxPayload) {
		return err
	}
	s.log.Warn("schema too large for max_payload", "error", err)
	return nil
}
