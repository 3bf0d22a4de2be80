package column

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Schema is the mapper as it is now, shared by all who read and write records. It is safe for
// concurrent use.
type Schema struct {
	client *airtable.Client
	named  map[Column]string
	log    *slog.Logger

	reading sync.Mutex // held while the mapper is changed
	mapper  atomic.Pointer[Mapper]
}

// NewSchema makes a schema that is not read yet. named are field names set by the operator.
func NewSchema(client *airtable.Client, named map[Column]string, log *slog.Logger) *Schema {
	return &Schema{client: client, named: named, log: log}
}

// Mapper is nil until the schema was read.
func (s *Schema) Mapper() *Mapper { return s.mapper.Load() }

// Load reads the schema if nobody has yet, and reports whether it did.
func (s *Schema) Load(ctx context.Context) (read bool, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.mapper.Load() != nil {
		return false, nil
	}
	return true, s.refresh(ctx)
}

// Refresh finds the columns anew by metadata, or by name where the token may not read that.
func (s *Schema) Refresh(ctx context.Context) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.refresh(ctx)
}

func (s *Schema) refresh(ctx context.Context) error {
	old := s.mapper.Load()
	table, err := s.client.Schema(ctx)
	if airtable.IsForbidden(err) {
		if old == nil || old.ByID() {
			s.log.Warn("columns are found by name: the token lacks the scope schema.bases:read", "error", err)
			s.mapper.Store(WithoutSchema(s.named))
		}
		return nil
	}
	if err != nil {
		return err
	}
	fresh, err := WithSchema(table, s.named)
	if err != nil {
		return err
	}
	if old == nil || old.Describe() != fresh.Describe() {
		s.log.Info("columns found", "table", table.Name, "columns", fresh.Describe())
	}
	s.mapper.Store(fresh)
	return nil
}

// Learn takes in the field names of records, as Mapper.Learn does. The schema must have been read.
func (s *Schema) Learn(records []airtable.Record) (m *Mapper, known bool, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	m, known, err = s.mapper.Load().Learn(records)
	if err == nil {
		s.mapper.Store(m)
	}
	return m, known, err
}
