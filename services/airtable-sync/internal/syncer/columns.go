package syncer

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
)

const (
	// rereadAfter is how soon after another the metadata is read for a choice that is not known. It doubles, up to
	// rereadSeldom, while that finds nothing new: people mistype, and programs insist.
	rereadAfter, rereadSeldom = 10 * time.Second, 10 * time.Minute
	// rereadTime bounds a read, as a person waits for it.
	rereadTime = 5 * time.Second
)

// rereads limits how often the metadata is read because somebody asks.
type rereads struct {
	mu   sync.Mutex
	last time.Time
	wait time.Duration
}

// serveColumns answers syncapi.SubjectColumns.
func (s *Syncer) serveColumns(ctx context.Context, _ []byte) (bus.Reply, error) {
	s.rereads.mu.Lock()
	defer s.rereads.mu.Unlock()
	if now := s.cfg.Now(); now.Sub(s.rereads.last) >= s.rereads.wait && s.cfg.Budget.Affords(1) {
		ctx, cancel := context.WithTimeout(ctx, rereadTime)
		defer cancel()
		before := s.schema.Columns()
		s.rereads.last = now
		if err := s.schema.Refresh(ctx); err != nil {
			s.cfg.Log.Warn("columns not read again", "error", err)
		}
		s.rereads.wait = min(max(2*s.rereads.wait, rereadAfter), rereadSeldom)
		if !reflect.DeepEqual(before, s.schema.Columns()) {
			s.rereads.wait = rereadAfter
		}
	}
	return reply(columns.Source{Name: columns.Main, Columns: s.schema.Columns()})
}
