package changes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// state is what has been seen of Odoo, and published. It is a value of the bucket sync-state.
type state struct {
	Cursors map[string]time.Time           `json:"cursors"` // by model: Odoo's time, at least, of the last look
	Seen    map[string]map[int64]time.Time `json:"seen"`    // by model and id: write_date of what the next look will find again
	Known   map[string]ids                 `json:"known"`   // by resource: the records there are
}

// ids is a set of ids, written as ranges: "1-40,42". Odoo's ids are dense.
type ids map[int64]struct{}

func setOf(list []int64) ids {
	s := make(ids, len(list))
	for _, id := range list {
		s[id] = struct{}{}
	}
	return s
}

func (s ids) has(id int64) bool {
	_, ok := s[id]
	return ok
}

// MarshalText writes ranges.
func (s ids) MarshalText() ([]byte, error) {
	var b []byte
	sorted := slices.Sorted(maps.Keys(s))
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, sorted[i], 10)
		if j > i {
			b = strconv.AppendInt(append(b, '-'), sorted[j], 10)
		}
		i = j + 1
	}
	return b, nil
}

// maxKnown bounds the records of a resource.
const maxKnown = 20_000_000

// UnmarshalText reads ranges.
func (s *ids) UnmarshalText(text []byte) error {
	*s = ids{}
	for part := range strings.SplitSeq(string(text), ",") {
		if part == "" {
			continue
		}
		low, high, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseInt(low, 10, 64)
		to := from
		if isRange && err == nil {
			to, err = strconv.ParseInt(high, 10, 64)
		}
		if err != nil || from < 1 || to < from || to-from+int64(len(*s)) > maxKnown {
			return fmt.Errorf("%q is no range of ids", part)
		}
		for id := from; id <= to; id++ {
			(*s)[id] = struct{}{}
		}
	}
	return nil
}

// load reads the state; nil when there is none, or none that can be read.
func load(ctx context.Context, kv jetstream.KeyValue, key string) (*state, uint64, error) {
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read poller state: %w", err)
	}
	s := &state{}
	if err := json.Unmarshal(entry.Value(), s); err != nil || s.Known == nil || s.Cursors == nil {
		return nil, entry.Revision(), nil //nolint:nilerr // an older version's: begin anew
	}
	return s, entry.Revision(), nil
}
