package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

// stateKey holds state in the bucket sync-state.
const stateKey = "state"

// recentRuns is how many ended runs are remembered.
const recentRuns = 20

// state is what the next active syncer must know of the earlier runs. It is a hint: whatever of it
// is lost or contradicts the stream costs a full scan, never a change.
type state struct {
	Source   string    `json:"source"`
	Since    time.Time `json:"since,omitzero"` // by Airtable's clock: changes before it are in the stream
	LastFull time.Time `json:"last_full,omitzero"`
	// FullPage is how many records the last full scan listed if it ended on an exactly full page, else 0. Doubtful is
	// whether the one before ended otherwise: the end may have been lost.
	FullPage int               `json:"full_page,omitempty"`
	Doubtful bool              `json:"doubtful,omitempty"`
	Scan     *syncapi.ScanMark `json:"scan,omitempty"` // through the end of the last run
	Held     *syncapi.Held     `json:"held,omitempty"`
	Success  time.Time         `json:"success,omitzero"` // start of the last successful run
	Recent   []syncapi.Run     `json:"recent,omitempty"` // newest first
	Hook     hook              `json:"webhook,omitzero"`
	Columns  string            `json:"columns,omitempty"` // how the last full scan read records: its Fingerprint
	// Unconfirmed are records that the webhook says were touched, where no listing has shown that yet. The map
	// is replaced, never changed.
	Unconfirmed map[string]recheck `json:"unconfirmed,omitempty"`
}

// recheck is what is known of an unconfirmed record.
type recheck struct {
	Actor *event.Actor `json:"actor,omitempty"` // who touched it last
	API   bool         `json:"api,omitempty"`   // by Airtable's API, as our own edits are
	Since time.Time    `json:"since"`           // when a run first read it
	Asked int          `json:"asked"`           // so many runs have read it
	// Payloads is how many have named it that no change of what was listed accounts for.
	Payloads int `json:"payloads,omitempty"`
	// Shown is whether some change of it was listed since it was touched.
	Shown bool `json:"shown,omitempty"`
	// Next is when to read it again; before, runs leave it alone.
	Next time.Time `json:"next,omitzero"`
}

func loadState(ctx context.Context, kv jetstream.KeyValue, source string) (state, error) {
	fresh := state{Source: source}
	entry, err := kv.Get(ctx, stateKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return fresh, nil
	}
	if err != nil {
		return fresh, fmt.Errorf("load the sync state: %w", err)
	}
	var s state
	if json.Unmarshal(entry.Value(), &s) != nil || s.Source != source {
		return fresh, nil //nolint:nilerr // another version's, or of another table
	}
	return s, nil
}

func (s *state) save(ctx context.Context, kv jetstream.KeyValue) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("save the sync state: %w", err)
	}
	if _, err := kv.Put(ctx, stateKey, data); err != nil {
		return fmt.Errorf("save the sync state: %w", err)
	}
	return nil
}

// fits reports whether the stream that the ledger was read from is the one this state speaks of, with nothing lost at
// its end.
func (s *state) fits(ctx context.Context, l *ledger.Ledger) (bool, error) {
	if s.Scan == nil || !s.Scan.StreamCreated.Equal(l.Created()) {
		return false, nil
	}
	return l.Has(ctx, ledger.Position{Seq: s.Scan.Through, ID: s.Scan.MessageID})
}

// reach notes that what the scan found, and all that was found since, is in the stream up to p.
func (s *state) reach(p ledger.Position) {
	if s.Scan != nil {
		mark := *s.Scan // others may be reading it
		mark.Through, mark.MessageID = p.Seq, p.ID
		s.Scan = &mark
	}
}

// ended adds a run to the recent ones.
func (s *state) ended(r syncapi.Run) {
	s.Recent = append([]syncapi.Run{r}, s.Recent...)
	if len(s.Recent) > recentRuns {
		s.Recent = s.Recent[:recentRuns]
	}
}
