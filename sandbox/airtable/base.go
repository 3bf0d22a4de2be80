package airtabletest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// base is an Airtable base: its tables, its webhooks and who has access to it. The Server's lock guards it.
type base struct {
	tables       []*table // the first one is the samples'
	hooks        []*hook
	people       map[string]*collaborator // by id
	transactions uint64                   // so many there were
	rng          *rand.Rand
	links        *links
	now          func() time.Time
}

func (b *base) newID(prefix string) string { return newID(b.rng, prefix) }

// table finds a table by its id or name; nil if there is none.
func (b *base) table(ref string) *table {
	for _, t := range b.tables {
		if t.id == ref || t.name == ref {
			return t
		}
	}
	return nil
}

// tableByID finds a table by its id alone; nil if there is none.
func (b *base) tableByID(id string) *table {
	if i := slices.IndexFunc(b.tables, func(t *table) bool { return t.id == id }); i >= 0 {
		return b.tables[i]
	}
	return nil
}

// newTable adds a table without fields.
func (b *base) newTable(id, name string) *table {
	t := &table{base: b, id: id, name: name, byID: map[recordID]*record{}}
	b.tables = append(b.tables, t)
	return t
}

// fieldByID finds a field of any table; nil if there is none.
func (b *base) fieldByID(id string) *column {
	for _, t := range b.tables {
		if c := t.fieldByID(id); c != nil {
			return c
		}
	}
	return nil
}

// record finds a record, and the table it is in; nil if there is none.
func (b *base) record(id recordID) (*table, *record) {
	for _, t := range b.tables {
		if r := t.byID[id]; r != nil {
			return t, r
		}
	}
	return nil, nil
}

// Table is a handle on one table of a sandbox, to look at it and to change it as a person in Airtable would.
// That of the sample orders is embedded in the Server; [Server.InTable] returns any.
type Table struct {
	s *Server
	t *table
}

// InTable returns the table of that name or id; nil if there is none.
func (s *Server) InTable(ref string) *Table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.base.table(ref); t != nil {
		return &Table{s, t}
	}
	return nil
}

// AddTable adds a table, as a person in Airtable would. Its first field is the primary one.
func (s *Server) AddTable(name string, fields ...Field) (*Table, error) {
	var made *table
	err := s.change(func(tx *transaction) (err error) {
		made, err = tx.addTable(name, "", fields)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Table{s, made}, nil
}

// TableID returns the table's id.
func (t *Table) TableID() string { return t.t.id }
