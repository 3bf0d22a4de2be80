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
	ID           string
	CreatedTime  time.Time
	ModifiedTime time.Time
	// Fields are the cells by name as the API gives them, computed ones included, empty ones left out.
	Fields Fields
}

// Calls counts the authenticated requests by kind. Throttled ones count in
// their kind too.
type Calls struct {
	List      int `json:"list"`
	Get       int `json:"get"`
	Write     int `json:"write"`
	Meta      int `json:"meta"`
	Throttled int `json:"throttled"`
}

// Total returns how many requests there were.
func (c Calls) Total() int { return c.List + c.Get + c.Write + c.Meta }

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

// CreateRecord adds a record, as a person in Airtable would, and returns its id.
func (s *Server) CreateRecord(f Fields) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cells, err := s.parseControl(f)
	if err != nil {
		return "", err
	}
	done := s.apply([]change{{cells: cells}}, false)
	return string(done[0].record.id[:]), nil
}

// UpdateRecord changes the cells named; nil clears one.
func (s *Server) UpdateRecord(id string, f Fields) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rid, _ := parseID(id)
	row := s.table.byID[rid]
	if row == nil {
		return fmt.Errorf("airtable sandbox: no record %q", id)
	}
	cells, err := s.parseControl(f)
	if err != nil {
		return err
	}
	s.apply([]change{{row, cells}}, false)
	return nil
}

func (s *Server) parseControl(f Fields) (map[int]cell, error) {
	values := make(Fields, len(f))
	for name, v := range f {
		values[name] = plain(v)
	}
	cells, fail := s.table.parseFields(values, false)
	if fail != nil {
		return nil, fmt.Errorf("airtable sandbox: %w", fail)
	}
	return cells, nil
}

// DeleteRecords removes records in one step and returns how many there were.
func (s *Server) DeleteRecords(ids ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	rids := make([]recordID, 0, len(ids))
	for _, id := range ids {
		if rid, ok := parseID(id); ok {
			rids = append(rids, rid)
		}
	}
	return s.table.remove(rids)
}

// Record returns a copy of one record.
func (s *Server) Record(id string) (Record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rid, _ := parseID(id)
	row := s.table.byID[rid]
	if row == nil {
		return Record{}, false
	}
	return s.copyOf(row), true
}

// Records returns copies of all records, in the table's order.
func (s *Server) Records() []Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Record, len(s.table.rows))
	for i, row := range s.table.rows {
		out[i] = s.copyOf(row)
	}
	return out
}

// RecordIDs returns the ids of all records, in the table's order.
func (s *Server) RecordIDs() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := make([]string, len(s.table.rows))
	for i, row := range s.table.rows {
		ids[i] = string(row.id[:])
	}
	return ids
}

// Len returns how many records there are.
func (s *Server) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.table.rows)
}

func (s *Server) copyOf(row *record) Record {
	how := &rendering{now: s.now()}
	out := Record{
		ID:           string(row.id[:]),
		CreatedTime:  time.UnixMilli(row.created).UTC(),
		ModifiedTime: time.UnixMilli(row.modified).UTC(),
		Fields:       Fields{},
	}
	for _, c := range s.table.columns {
		if c.deleted {
			continue
		}
		if b, ok := s.table.appendCell(nil, row, c, how); ok {
			out.Fields[c.Name] = mustDecode(b)
		}
	}
	return out
}

// TableName returns the table's name.
func (s *Server) TableName() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.name
}

// RenameTable gives the table another name.
func (s *Server) RenameTable(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.name = name
	s.table.version++
}

// TableFields returns the table's fields; the first is the primary one.
func (s *Server) TableFields() []Field {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Field
	for _, c := range s.table.columns {
		if c.deleted {
			continue
		}
		out = append(out, c.describe())
	}
	return out
}

// AddField adds a field and returns its id.
func (s *Server) AddField(f Field) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := s.table.addField(f)
	if err != nil {
		return "", fmt.Errorf("airtable sandbox: %w", err)
	}
	return id, nil
}

// RenameField gives a field, found by name or id, another name. Formulas keep referring to it.
func (s *Server) RenameField(field, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.column(field)
	if err != nil {
		return err
	}
	if i := s.table.lookup(name); i >= 0 && i != c.index {
		return fmt.Errorf("airtable sandbox: there is a field %q already", name)
	}
	c.rename(name)
	s.table.version++
	return nil
}

// DeleteField removes a field, found by name or id, with all its cells.
func (s *Server) DeleteField(field string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.column(field)
	if err != nil {
		return err
	}
	c.deleted = true
	s.table.version++
	for _, row := range s.table.rows {
		if c.index < len(row.cells) {
			row.cells[c.index] = nil
		}
	}
	return nil
}

// AddChoice adds an option to a select field.
func (s *Server) AddChoice(field, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.column(field)
	if err != nil {
		return err
	}
	if c.Type != SingleSelect && c.Type != MultipleSelects {
		return fmt.Errorf("airtable sandbox: field %q has no choices", field)
	}
	if c.choice(name) == nil {
		c.addChoice(name, s.table.newID("sel"))
		s.table.version++
	}
	return nil
}

func (s *Server) column(field string) (*column, error) {
	i := s.table.lookup(field)
	if i < 0 {
		return nil, fmt.Errorf("airtable sandbox: no field %q", field)
	}
	return s.table.columns[i], nil
}
