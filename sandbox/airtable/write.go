package airtabletest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxBatch is how many records one request may write.
const maxBatch = 10

type writeRecord struct {
	ID     string         `json:"id"`
	Fields map[string]any `json:"fields"`
}

type writeBody struct {
	Fields        map[string]any `json:"fields"`
	Records       *[]writeRecord `json:"records"`
	Typecast      bool           `json:"typecast"`
	ByFieldID     bool           `json:"returnFieldsByFieldId"`
	PerformUpsert *struct {
		FieldsToMergeOn []string `json:"fieldsToMergeOn"`
	} `json:"performUpsert"`
}

// change is one record's part of a request, validated but not yet made.
type change struct {
	record *record // nil: create
	cells  map[int]cell
	sent   map[string]any // the cells as they came in the request
}

func (s *Server) decodeWrite(r *request) (*writeBody, *apiError) {
	if ct := r.http.Header.Get("Content-Type"); !strings.Contains(strings.ToLower(ct), "application/json") {
		return nil, errBody
	}
	b := &writeBody{}
	if fail := decode(r.body, b); fail != nil {
		return nil, fail
	}
	if b.Records == nil && b.Fields == nil {
		return nil, unprocessable("INVALID_REQUEST_MISSING_FIELDS", `Could not find field "fields" in the request body`)
	}
	return b, nil
}

func (s *Server) create(r *request) reply {
	b, fail := s.decodeWrite(r)
	if fail != nil {
		return errorReply(fail)
	}
	single := b.Records == nil
	records := []writeRecord{{Fields: b.Fields}}
	if !single {
		records = *b.Records
	}
	if len(records) == 0 || len(records) > maxBatch {
		return errorReply(errRowsCreate)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := make([]change, len(records))
	for i, w := range records {
		if w.Fields == nil || w.ID != "" {
			return errorReply(errRowsCreate)
		}
		cells, fail := r.table.parseWrite(w.Fields, b.Typecast)
		if fail != nil {
			return errorReply(fail)
		}
		changes[i] = change{cells: cells, sent: w.Fields}
	}
	return s.written(r, "create", s.apply(r.table, s.api(), changes, false), b, single)
}

func (s *Server) update(r *request) reply {
	b, fail := s.decodeWrite(r)
	if fail != nil {
		return errorReply(fail)
	}
	replace := r.http.Method == http.MethodPut
	kind := "update"
	switch {
	case b.PerformUpsert != nil:
		kind = "upsert"
	case replace:
		kind = "replace"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := r.table
	if r.record != nil {
		row := t.byID[*r.record]
		if row == nil {
			return errorReply(errNotFound)
		}
		if b.Fields == nil {
			return errorReply(unprocessable("INVALID_REQUEST_MISSING_FIELDS", `Could not find field "fields" in the request body`))
		}
		cells, fail := t.parseWrite(b.Fields, b.Typecast)
		if fail != nil {
			return errorReply(fail)
		}
		return s.written(r, kind, s.apply(t, s.api(), []change{{row, cells, b.Fields}}, replace), b, true)
	}
	if b.Records == nil || len(*b.Records) == 0 || len(*b.Records) > maxBatch {
		return errorReply(errRowsUpdate)
	}
	changes, fail := t.changes(*b.Records, b)
	if fail != nil {
		return errorReply(fail)
	}
	return s.written(r, kind, s.apply(r.table, s.api(), changes, replace), b, false)
}

// changes validates a batch, finding by id or, in an upsert, by the fields to merge on.
func (t *table) changes(records []writeRecord, b *writeBody) ([]change, *apiError) {
	merge, fail := t.mergeOn(b)
	if fail != nil {
		return nil, fail
	}
	var changes []change
	seen := map[*record]bool{}
	for _, w := range records {
		if w.Fields == nil || w.ID == "" && merge == nil {
			return nil, errRowsUpdate
		}
		cells, fail := t.parseWrite(w.Fields, b.Typecast)
		if fail != nil {
			return nil, fail
		}
		row, fail := t.find(w.ID, cells, merge)
		if fail != nil {
			return nil, fail
		}
		if row == nil && slices.ContainsFunc(changes, func(c change) bool { return c.record == nil && sameKey(c.cells, cells, merge) }) || seen[row] {
			return nil, errRowTwice
		}
		if row != nil {
			seen[row] = true
		}
		changes = append(changes, change{row, cells, w.Fields})
	}
	return changes, nil
}

// mergeOn returns the columns an upsert finds records by; nil if it is none.
func (t *table) mergeOn(b *writeBody) ([]int, *apiError) {
	if b.PerformUpsert == nil {
		return nil, nil
	}
	on := b.PerformUpsert.FieldsToMergeOn
	if len(on) < 1 || len(on) > 3 {
		return nil, invalidRequest("Invalid request: performUpsert.fieldsToMergeOn takes 1 to 3 fields")
	}
	merge := make([]int, len(on))
	for k, name := range on {
		i, ok := t.resolve(name)
		if !ok {
			return nil, unknownField(name)
		}
		if c := t.columns[i]; c.computed() || c.Type == MultipleRecordLinks {
			return nil, invalidRequest("Invalid request: field %q cannot be merged on, for it is of type %s", name, c.Type)
		}
		merge[k] = i
	}
	return merge, nil
}

// find returns the record that id names or, without one, that has the same cells to merge on.
func (t *table) find(id string, cells map[int]cell, merge []int) (*record, *apiError) {
	if id == "" {
		return t.match(cells, merge)
	}
	rid, ok := parseID(id)
	if !ok {
		return nil, errRowsUpdate
	}
	row := t.byID[rid]
	if row == nil {
		return nil, rowMissing(id)
	}
	return row, nil
}

func sameKey(a, b map[int]cell, merge []int) bool {
	return !slices.ContainsFunc(merge, func(i int) bool {
		_, listed := a[i].([]any) // new choices of multipleSelects can't be compared
		return listed || !sameCell(a[i], b[i])
	})
}

// match returns the one record that has the same cells to merge on, nil if
// there is none; more than one is an error.
func (t *table) match(cells map[int]cell, merge []int) (*record, *apiError) {
	want := make([]cell, len(merge))
	for k, i := range merge {
		v, ok := cells[i]
		if !ok {
			return nil, invalidRequest("Invalid request: a record has no value for %q, which is to be merged on", t.columns[i].Name)
		}
		if list, ok := v.([]any); ok { // compare with what is stored
			stored := make([]*choice, 0, len(list))
			for _, e := range list {
				ch, known := e.(*choice)
				if !known {
					return nil, nil
				}
				stored = append(stored, ch)
			}
			v = stored
		}
		want[k] = v
	}
	var found *record
next:
	for _, r := range t.rows {
		for k, i := range merge {
			if !sameCell(r.cell(i), want[k]) {
				continue next
			}
		}
		if found != nil {
			return nil, invalidRequest("Invalid request: more than one record matches the fields to merge on")
		}
		found = r
	}
	return found, nil
}

// parseWrite is parseFields for who may not write to locked fields.
func (t *table) parseWrite(fields map[string]any, typecast bool) (map[int]cell, *apiError) {
	cells, fail := t.parseFields(fields, typecast)
	for i := range cells {
		if c := t.columns[i]; c.Locked {
			return nil, &apiError{http.StatusForbidden, "INVALID_PERMISSIONS", fmt.Sprintf("You are not permitted to update cells in field %s (%s)", c.Name, c.ID), false}
		}
	}
	return cells, fail
}

// parseFields validates cells by field name or id.
func (t *table) parseFields(fields map[string]any, typecast bool) (map[int]cell, *apiError) {
	cells := make(map[int]cell, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		i, ok := t.resolve(name)
		if !ok {
			return nil, unknownField(name)
		}
		v, fail := t.columns[i].parse(fields[name], typecast)
		if fail != nil {
			return nil, fail
		}
		cells[i] = v
	}
	return cells, nil
}

// applied is what a request has written.
type applied struct {
	record  *record
	created bool
	sent    map[string]any
}

// apply makes the changes in one transaction; replace clears the cells that a change doesn't name.
func (s *Server) apply(t *table, by author, changes []change, replace bool) []applied {
	tx := s.begin(by)
	now := s.second()
	done := make([]applied, len(changes))
	for k, c := range changes {
		row := c.record
		if row == nil {
			done[k] = applied{tx.create(t, c.cells, now), true, c.sent}
			continue
		}
		for i, col := range t.columns {
			v, named := c.cells[i]
			if named {
				tx.set(col, row, tx.settle(col, v, now), now)
			} else if replace && !col.computed() && !col.deleted {
				tx.set(col, row, nil, now)
			}
		}
		done[k] = applied{row, false, c.sent}
	}
	s.commit(tx)
	return done
}

// remove deletes records in one transaction and returns how many there were.
func (s *Server) remove(t *table, by author, ids []recordID) int {
	tx := s.begin(by)
	tx.unlink(t, ids)
	ch := tx.of(t)
	ch.destroyed = t.remove(ids)
	s.commit(tx)
	return len(ch.destroyed)
}

// written renders what a request has written, and notes what it asked for.
func (s *Server) written(r *request, kind string, done []applied, b *writeBody, single bool) reply {
	entry := WriteRequest{Time: s.now(), Kind: kind, Table: r.table.id, Hidden: r.hides(), Records: make([]WrittenRecord, 0, len(done))}
	for _, d := range done {
		entry.Records = append(entry.Records, WrittenRecord{string(d.record.id[:]), d.sent, d.created})
	}
	s.audit.add(entry)
	how := &rendering{byID: b.ByFieldID, now: s.now()}
	if single {
		return jsonReply(http.StatusOK, r.table.appendRecord(nil, done[0].record, how))
	}
	body := []byte(`{"records":[`)
	var created, updated []string
	for i, d := range done {
		if i > 0 {
			body = append(body, ',')
		}
		body = r.table.appendRecord(body, d.record, how)
		if id := string(d.record.id[:]); d.created {
			created = append(created, id)
		} else {
			updated = append(updated, id)
		}
	}
	body = append(body, ']')
	if b.PerformUpsert != nil {
		body = append(body, `,"updatedRecords":`...)
		body = appendStrings(body, updated)
		body = append(body, `,"createdRecords":`...)
		body = appendStrings(body, created)
	}
	return jsonReply(http.StatusOK, append(body, '}'))
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

func (s *Server) get(r *request) reply {
	p, fail := parseListQuery(r.http.URL.RawQuery)
	if fail != nil {
		return errorReply(fail)
	}
	how := &rendering{byID: p.ByFieldID, now: s.now()}
	if fail := how.format(p.CellFormat, p.TimeZone, p.UserLocale); fail != nil {
		return errorReply(fail)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	row := r.table.byID[*r.record]
	if row == nil {
		return errorReply(errNotFound)
	}
	return jsonReply(http.StatusOK, r.table.appendRecord(nil, row, how))
}

func (s *Server) deleteOne(r *request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroy(r, []recordID{*r.record}) == 0 {
		return errorReply(errNotFound)
	}
	return jsonReply(http.StatusOK, mustJSON(object{"id": string(r.record[:]), "deleted": true}))
}

// destroy removes records for the API, and notes it.
func (s *Server) destroy(r *request, ids []recordID) int {
	n := s.remove(r.table, s.api(), ids)
	if n > 0 {
		entry := WriteRequest{Time: s.now(), Kind: "delete", Table: r.table.id, Hidden: r.hides(), Records: make([]WrittenRecord, len(ids))}
		for i, id := range ids {
			entry.Records[i].ID = string(id[:])
		}
		s.audit.add(entry)
	}
	return n
}

func (s *Server) deleteMany(r *request) reply {
	values, err := url.ParseQuery(r.http.URL.RawQuery)
	if err != nil {
		return errorReply(errRowsDelete)
	}
	var names []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if name, _ := splitKey(key); name == "records" {
			names = append(names, values[key]...)
		}
	}
	if len(names) == 0 || len(names) > maxBatch {
		return errorReply(errRowsDelete)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]recordID, len(names))
	answer := make([]object, len(names))
	for i, name := range names {
		id, ok := parseID(name)
		if !ok {
			return errorReply(errRowsDelete)
		}
		if r.table.byID[id] == nil || slices.Contains(ids[:i], id) {
			return errorReply(rowMissing(name))
		}
		ids[i] = id
		answer[i] = object{"id": name, "deleted": true}
	}
	s.destroy(r, ids)
	return jsonReply(http.StatusOK, mustJSON(object{"records": answer}))
}
