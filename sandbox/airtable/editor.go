package airtabletest

import "fmt"

// Editor changes a table as a person does in Airtable's own clients. Each
// call is one transaction.
type Editor struct {
	s  *Server
	t  *table
	by author
}

// somebody edits where a test does not say who.
var somebody = User{ID: "usrResonanceAdmin", Email: "admin@resonance.example", PermissionLevel: "owner", Name: "Admin"}

// As returns the editor who makes changes as u.
func (t *Table) As(u User) *Editor {
	t.s.AddCollaborator(u)
	return &Editor{t.s, t.t, author{sourceClient, u}}
}

// CreateRecord adds a record, as a person in Airtable would, and returns its id.
func (t *Table) CreateRecord(f Fields) (string, error) { return t.As(somebody).CreateRecord(f) }

// UpdateRecord changes the cells named; nil clears one.
func (t *Table) UpdateRecord(id string, f Fields) error { return t.As(somebody).UpdateRecord(id, f) }

// DeleteRecords removes records in one step and returns how many there were.
func (t *Table) DeleteRecords(ids ...string) int { return t.As(somebody).DeleteRecords(ids...) }

// CreateRecord adds a record and returns its id.
func (e *Editor) CreateRecord(f Fields) (string, error) {
	ids, err := e.CreateRecords(f)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// CreateRecords adds records, all or none, and returns their ids.
func (e *Editor) CreateRecords(list ...Fields) ([]string, error) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	changes := make([]change, len(list))
	for i, f := range list {
		cells, err := e.t.parseControl(f)
		if err != nil {
			return nil, err
		}
		changes[i] = change{cells: cells}
	}
	done := e.s.apply(e.t, e.by, changes, false)
	ids := make([]string, len(done))
	for i, d := range done {
		ids[i] = string(d.record.id[:])
	}
	return ids, nil
}

// UpdateRecord changes the cells named; nil clears one.
func (e *Editor) UpdateRecord(id string, f Fields) error { return e.UpdateRecords([]string{id}, f) }

// UpdateRecords gives many records the same cells, all or none, as pasting does.
func (e *Editor) UpdateRecords(ids []string, f Fields) error {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	cells, err := e.t.parseControl(f)
	if err != nil {
		return err
	}
	changes := make([]change, len(ids))
	for i, id := range ids {
		rid, _ := parseID(id)
		row := e.t.byID[rid]
		if row == nil {
			return fmt.Errorf("airtable sandbox: no record %q", id)
		}
		changes[i] = change{record: row, cells: cells}
	}
	e.s.apply(e.t, e.by, changes, false)
	return nil
}

// DeleteRecords removes records and returns how many there were.
func (e *Editor) DeleteRecords(ids ...string) int {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	rids := make([]recordID, 0, len(ids))
	for _, id := range ids {
		if rid, ok := parseID(id); ok {
			rids = append(rids, rid)
		}
	}
	return e.s.remove(e.t, e.by, rids)
}
