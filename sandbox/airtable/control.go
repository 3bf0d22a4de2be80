package airtabletest

import (
	"fmt"
	"time"
)

// Fields are cells by field name or id, in the values that JSON decodes to:
// string, float64, bool, []any or nil; other numbers and []string work too.
type Fields = map[string]any

// Record is a copy of one row.
type Record struct {
	ID           string    `json:"id"`
	CreatedTime  time.Time `json:"created_time"`
	ModifiedTime time.Time `json:"modified_time"`
	// Fields are the cells by name as the API gives them, computed ones included, empty ones left out.
	Fields Fields `json:"fields"`
}

// Calls counts the authenticated requests by kind. Throttled ones count in
// their kind too.
type Calls struct {
	List      int `json:"list"`
	Get       int `json:"get"`
	Write     int `json:"write"`
	Meta      int `json:"meta"`
	Webhooks  int `json:"webhooks"`
	Payloads  int `json:"payloads"`
	Throttled int `json:"throttled"`
	Comments  int `json:"comments,omitempty"`
	Downloads int `json:"downloads,omitempty"` // of attachments
}

// Total returns how many requests there were.
func (c Calls) Total() int {
	return c.List + c.Get + c.Write + c.Meta + c.Webhooks + c.Payloads + c.Comments
}

func (s *Server) count(k Kind) {
	s.callsMu.Lock()
	defer s.callsMu.Unlock()
	switch k {
	case List:
		s.calls.List++
	case Get:
		s.calls.Get++
	case Write:
		s.calls.Write++
	case Meta:
		s.calls.Meta++
	case Webhooks:
		s.calls.Webhooks++
	case Payloads:
		s.calls.Payloads++
	case Comments:
		s.calls.Comments++
	case Download:
		s.calls.Downloads++
	case throttled:
		s.calls.Throttled++
	}
}

// Calls returns the requests counted since the start or the last ResetCalls.
func (s *Server) Calls() Calls {
	s.callsMu.Lock()
	defer s.callsMu.Unlock()
	return s.calls
}

// ResetCalls starts counting anew, and returns what was counted.
func (s *Server) ResetCalls() Calls {
	s.callsMu.Lock()
	defer s.callsMu.Unlock()
	c := s.calls
	s.calls = Calls{}
	return c
}

// ExpireIterators makes every offset handed out so far stale.
func (s *Server) ExpireIterators() {
	s.iterMu.Lock()
	defer s.iterMu.Unlock()
	clear(s.iterators)
}

func (t *table) parseControl(f Fields) (map[int]cell, error) {
	values := make(Fields, len(f))
	for name, v := range f {
		values[name] = plain(v)
	}
	cells, fail := t.parseFields(values, false)
	if fail != nil {
		return nil, fmt.Errorf("airtable sandbox: %w", fail)
	}
	return cells, nil
}

// Record returns a copy of one record.
func (t *Table) Record(id string) (Record, bool) {
	t.s.mu.RLock()
	defer t.s.mu.RUnlock()
	rid, _ := parseID(id)
	row := t.t.byID[rid]
	if row == nil {
		return Record{}, false
	}
	return t.copyOf(row), true
}

// Records returns copies of all records, in the table's order.
func (t *Table) Records() []Record {
	t.s.mu.RLock()
	defer t.s.mu.RUnlock()
	out := make([]Record, len(t.t.rows))
	for i, row := range t.t.rows {
		out[i] = t.copyOf(row)
	}
	return out
}

// RecordIDs returns the ids of all records, in the table's order.
func (t *Table) RecordIDs() []string {
	t.s.mu.RLock()
	defer t.s.mu.RUnlock()
	ids := make([]string, len(t.t.rows))
	for i, row := range t.t.rows {
		ids[i] = string(row.id[:])
	}
	return ids
}

// Len returns how many records there are.
func (t *Table) Len() int {
	t.s.mu.RLock()
	defer t.s.mu.RUnlock()
	return len(t.t.rows)
}

func (t *Table) copyOf(row *record) Record {
	how := &rendering{now: t.s.now()}
	out := Record{
		ID:           string(row.id[:]),
		CreatedTime:  time.UnixMilli(row.created).UTC(),
		ModifiedTime: time.UnixMilli(row.modified).UTC(),
		Fields:       Fields{},
	}
	for _, c := range t.t.columns {
		if c.deleted {
			continue
		}
		if b, ok := t.t.appendCell(nil, row, c, how); ok {
			out.Fields[c.Name] = mustDecode(b)
		}
	}
	return out
}

// TableName returns the table's name.
func (t *Table) TableName() string {
	t.s.mu.RLock()
	defer t.s.mu.RUnlock()
	return t.t.name
}

// TableFields returns the table's fields; the first is the primary one.
func (t *Table) TableFields() []Field {
	t.s.mu.RLock()
	defer t.s.mu.RUnlock()
	var out []Field
	for _, c := range t.t.columns {
		if c.deleted {
			continue
		}
		out = append(out, c.describe())
	}
	return out
}
