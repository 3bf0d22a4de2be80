package cache

import (
	"slices"
	"time"
)

// maxChanges is how many changed records a journal tells of; records older than that are asked for
// again.
const maxChanges = 2000

// journal tells what of a resource has changed. It is a value of the bucket; a new one replaces it.
type journal struct {
	Epoch string   `json:"epoch"` // of another bucket, numbers mean nothing
	N     uint64   `json:"n"`     // of the last change
	Floor uint64   `json:"floor"` // any record may have changed with or before this
	Last  []change `json:"last"`  // oldest first
}

// change is that of one record.
type change struct {
	ID    int64  `json:"id"`
	N     uint64 `json:"n"`
	Found bool   `json:"found,omitempty"` // by the poller, which knows of it
}

// with gives the journal after one more change.
func (j journal) with(c Change, found bool) journal {
	j.N++
	if c.All {
		j.Floor = j.N
	}
	last := slices.Clone(j.Last)
	for _, id := range c.IDs {
		last = slices.DeleteFunc(last, func(was change) bool { return was.ID == id })
		last = append(last, change{ID: id, N: j.N, Found: found})
	}
	if over := len(last) - maxChanges; over > 0 {
		j.Floor = max(j.Floor, last[over-1].N)
		last = last[over:]
	}
	j.Last = last
	return j
}

// view is a journal indexed by record.
type view struct {
	journal

	revision uint64
	changed  map[int64]uint64
}

func newView(j journal, revision uint64) *view {
	v := &view{journal: j, revision: revision, changed: make(map[int64]uint64, len(j.Last))}
	for _, c := range j.Last {
		v.changed[c.ID] = c.N
	}
	return v
}

// version names a state of a resource.
type version struct {
	Epoch string `json:"epoch"`
	N     uint64 `json:"n"`
}

// holds reports that nothing is known to have changed since a version: of one record, or of all
// with id 0.
func (v *view) holds(was version, session string, id int64) bool {
	switch {
	case v == nil || was.Epoch != v.Epoch+session:
		return false
	case id == 0:
		return was.N == v.N
	}
	return was.N >= v.Floor && was.N >= v.changed[id]
}

// Change is what changed of a resource.
type Change struct {
	IDs []int64
	All bool // any record of it may look different
}

// mark is what the poller writes after each poll of Odoo.
type mark struct {
	Session     string   `json:"session"`
	TookMS      int64    `json:"took_ms"`     // since the poll began
	Unwatched   []string `json:"unwatched"`   // resources it could not see all changes of
	Unavailable bool     `json:"unavailable"` // Odoo did not answer
}

func (m mark) took() time.Duration { return time.Duration(m.TookMS) * time.Millisecond }
