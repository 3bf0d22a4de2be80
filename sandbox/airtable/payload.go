package airtabletest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Payloads are kept for a week and listed fifty at a time, as Airtable does.
// It splits large changes over several payloads, at a size it does not tell;
// the bound on how many are kept is the sandbox's own.
const (
	payloadTTL        = 7 * 24 * time.Hour
	maxPayloadPage    = 50
	recordsPerPayload = 100
	maxPayloads       = 50_000
)

// payload is one message of a webhook, found by its cursor.
type payload struct {
	Cursor int64           `json:"cursor"`
	At     time.Time       `json:"at"`
	Body   json.RawMessage `json:"body"`
}

// append adds a payload under the next cursor.
func (h *hook) append(at time.Time, body []byte) {
	p := payload{h.Next, at, body}
	h.payloads, h.unsaved = append(h.payloads, p), append(h.unsaved, p)
	h.Next++
	h.fresh = true
}

// forget drops what is too old to be kept.
func (h *hook) forget(now time.Time) {
	n := max(0, len(h.payloads)-maxPayloads)
	for n < len(h.payloads) && now.Sub(h.payloads[n].At) >= payloadTTL {
		n++
	}
	h.payloads = h.payloads[n:]
}

func (s *Server) listPayloads(r *request) reply {
	query := r.http.URL.Query()
	cursor, limit := int64(1), maxPayloadPage
	if v := query.Get("cursor"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			return errorReply(invalidRequest("Invalid request: cursor must be a positive whole number"))
		}
		cursor = n
	}
	if v := query.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxPayloadPage {
			return errorReply(invalidRequest("Invalid request: limit must be a whole number from 1 to %d", maxPayloadPage))
		}
		limit = n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hook(r.webhook)
	if h == nil {
		return errorReply(errNotFound)
	}
	if fail := s.mayWatch(&h.spec.Options.Filters); fail != nil {
		return errorReply(fail)
	}
	now := s.now()
	if h.active(now) {
		h.Expires = now.Add(hookTTL)
	}
	h.forget(now)
	at, _ := slices.BinarySearchFunc(h.payloads, cursor, func(p payload, c int64) int { return int(p.Cursor - c) })
	page := h.payloads[at:min(at+limit, len(h.payloads))]
	body := []byte(`{"payloads":[`)
	for i, p := range page {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, p.Body...)
		cursor = p.Cursor + 1
	}
	body = append(body, `],"cursor":`...)
	body = strconv.AppendInt(body, cursor, 10)
	body = append(body, `,"mightHaveMore":`...)
	body = strconv.AppendBool(body, at+len(page) < len(h.payloads))
	s.keepHook(h)
	return jsonReply(http.StatusOK, append(body, `,"payloadFormat":"v0"}`...))
}

// webhookCells returns the cells by column as webhooks show them; nil is an empty one.
func (t *table) webhookCells(r *record, now time.Time) []json.RawMessage {
	cells := make([]json.RawMessage, len(t.columns))
	how := &rendering{now: now}
	for i, c := range t.columns {
		if !c.deleted {
			cells[i] = t.webhookCell(r, c, how)
		}
	}
	return cells
}

// webhookCell is the cell in the format of webhooks, which differs from that
// of records: choices are objects. https://airtable.com/developers/web/api/field-model
func (t *table) webhookCell(r *record, c *column, how *rendering) json.RawMessage {
	if c.Type == MultipleRecordLinks || c.Type == Lookup {
		return c.webhookLinks(r, how)
	}
	if !c.computed() {
		switch v := r.cell(c.index).(type) {
		case *choice:
			return v.object()
		case []*choice:
			list := []byte{'['}
			for i, ch := range v {
				if i > 0 {
					list = append(list, ',')
				}
				list = append(list, ch.object()...)
			}
			return append(list, ']')
		}
	}
	b, ok := t.appendCell(nil, r, c, how)
	if !ok {
		return nil
	}
	return b
}

func (ch *choice) object() []byte {
	return mustJSON(struct {
		ID    string `json:"id"`
		Name  string `json:"name"`
		Color string `json:"color"`
	}{ch.id, ch.name, ch.color})
}

// cellValues are cells by field id; a nil one is written as null.
type cellValues map[string]json.RawMessage

func (v cellValues) wrapped() object { return object{"cellValuesByFieldId": v} }

// payloadsOf returns the payloads that tell this webhook of tx, none if it is not concerned.
func (h *hook) payloadsOf(tx *transaction) [][]byte {
	f := &h.spec.Options.Filters
	if !h.active(tx.at) {
		return nil
	}
	if tx.loses(f) {
		// The documentation has the stream end in an error payload; that its code
		// is INVALID_HOOK is what users of the real service report.
		h.Failed = CodeInvalidHook
		return [][]byte{errorPayload(tx.at, tx.number, CodeInvalidHook)}
	}
	if !f.sees(tx.source) {
		return nil
	}
	var records []recordChange
	changed, created := object{}, object{} // tables
	for _, ch := range tx.tables {
		t := ch.table
		if scope := f.RecordChangeScope; scope != "" && scope != t.id && scope != t.viewID {
			continue
		}
		records = append(records, h.recordChanges(ch, tx.at)...)
		if ch.added {
			if what := h.tableCreated(ch); len(what) > 0 {
				created[t.id] = what
			}
			continue
		}
		what := h.fieldChanges(ch)
		if ch.previousName != "" && f.wants("tableMetadata", "update") {
			what["changedMetadata"] = object{"current": object{"name": t.name}, "previous": object{"name": ch.previousName}}
		}
		if len(what) > 0 {
			changed[t.id] = what
		}
	}
	var bodies [][]byte
	for part := range slices.Chunk(records, recordsPerPayload) {
		bodies = append(bodies, tx.payload(f, created, changed, part))
		created, changed = object{}, object{}
	}
	if len(created)+len(changed) > 0 {
		bodies = append(bodies, tx.payload(f, created, changed, nil))
	}
	return bodies
}

// tableCreated is what a payload says about a new table.
func (h *hook) tableCreated(ch *tableChange) object {
	f := &h.spec.Options.Filters
	what := object{}
	if f.wants("tableMetadata", "add") {
		what["metadata"] = object{"name": ch.table.name, "description": ch.table.description}
	}
	if f.wants("tableFields", "add") {
		what["fieldsById"] = described(ch.createdFields)
	}
	return what
}

func described(fields []*column) object {
	o := object{}
	for _, c := range fields {
		o[c.ID] = object{"name": c.Name, "type": c.Type}
	}
	return o
}

// loses reports whether a field was deleted that the filters watch.
func (tx *transaction) loses(f *filters) bool {
	return slices.ContainsFunc(tx.tables, func(ch *tableChange) bool {
		return slices.ContainsFunc(ch.destroyedFields, func(c *column) bool {
			return slices.Contains(f.WatchData, c.ID) || slices.Contains(f.WatchSchemas, c.ID)
		})
	})
}

// recordChange is what a payload says about one record.
type recordChange struct {
	table *table
	under string // the key of the table's change that it belongs to
	id    string
	what  object // nil for a destroyed record
}

func (h *hook) recordChanges(ch *tableChange, at time.Time) []recordChange {
	f, t := &h.spec.Options.Filters, ch.table
	var changes []recordChange
	if len(f.WatchData) > 0 && !slices.ContainsFunc(t.columns, func(c *column) bool { return slices.Contains(f.WatchData, c.ID) }) {
		return nil
	}
	if f.wants("tableData", "add") {
		for _, r := range ch.created {
			what := h.visible(t, t.webhookCells(r, at)).wrapped()
			what["createdTime"] = json.RawMessage(appendTime(nil, r.created))
			changes = append(changes, recordChange{t, "createdRecordsById", string(r.id[:]), what})
		}
	}
	if f.wants("tableData", "update") {
		for _, r := range ch.touched {
			if r.deleted {
				continue
			}
			if what := h.recordChange(t, ch.before[r], t.webhookCells(r, at)); what != nil {
				changes = append(changes, recordChange{t, "changedRecordsById", string(r.id[:]), what})
			}
		}
	}
	if f.wants("tableData", "remove") {
		for _, id := range ch.destroyed {
			changes = append(changes, recordChange{t, "destroyedRecordIds", string(id[:]), nil})
		}
	}
	return changes
}

// visible returns the non-empty cells of a new record that the webhook watches or includes.
func (h *hook) visible(t *table, cells []json.RawMessage) cellValues {
	shown := cellValues{}
	for i, c := range t.columns {
		if cells[i] != nil && (watches(h.spec.Options.Filters.WatchData, c.ID) || h.spec.Options.Includes.CellValues.contains(c.ID)) {
			shown[c.ID] = cells[i]
		}
	}
	return shown
}

// recordChange compares the cells of a record before and after; nil if nothing watched differs.
func (h *hook) recordChange(t *table, before, after []json.RawMessage) object {
	f, inc := &h.spec.Options.Filters, &h.spec.Options.Includes
	current, previous, unchanged := cellValues{}, cellValues{}, cellValues{}
	concerned := false
	for i, c := range t.columns {
		watched := watches(f.WatchData, c.ID)
		included := inc.CellValues.contains(c.ID)
		var was json.RawMessage
		if i < len(before) {
			was = before[i]
		}
		switch {
		case c.deleted || !watched && !included:
		case !c.sameShown(was, after[i]):
			current[c.ID], previous[c.ID] = after[i], was
			concerned = concerned || watched
		case included && after[i] != nil:
			unchanged[c.ID] = after[i]
		}
	}
	if !concerned {
		return nil
	}
	what := object{"current": current.wrapped()}
	if inc.PreviousCells {
		what["previous"] = previous.wrapped()
	}
	if inc.CellValues.given() {
		what["unchanged"] = unchanged.wrapped()
	}
	return what
}

// sameShown compares cells as webhooks show them. Links are compared by id: another name of the linked
// record is a change of that record alone.
func (c *column) sameShown(a, b json.RawMessage) bool {
	if c.Type != MultipleRecordLinks || a == nil || b == nil {
		return bytes.Equal(a, b)
	}
	var was, is []struct{ ID string }
	return json.Unmarshal(a, &was) == nil && json.Unmarshal(b, &is) == nil && slices.Equal(was, is)
}

// fieldChanges returns the part of the table's change that is about its fields.
func (h *hook) fieldChanges(ch *tableChange) object {
	f := &h.spec.Options.Filters
	part := object{}
	if len(ch.createdFields) > 0 && f.wants("tableFields", "add") {
		part["createdFieldsById"] = described(ch.createdFields)
	}
	if len(ch.destroyedFields) > 0 && f.wants("tableFields", "remove") {
		var ids []string
		for _, c := range ch.destroyedFields {
			ids = append(ids, c.ID)
		}
		part["destroyedFieldIds"] = ids
	}
	if f.wants("tableFields", "update") {
		changed := object{}
		for _, fc := range ch.changedFields {
			if !watches(f.WatchSchemas, fc.column.ID) {
				continue
			}
			current, previous := object{}, object{}
			if fc.column.Name != fc.previousName {
				current["name"], previous["name"] = fc.column.Name, fc.previousName
			}
			if fc.column.Type != fc.previousType {
				current["type"], previous["type"] = fc.column.Type, fc.previousType
			}
			what := object{"current": current}
			if h.spec.Options.Includes.PreviousFields {
				what["previous"] = previous
			}
			changed[fc.column.ID] = what
		}
		if len(changed) > 0 {
			part["changedFieldsById"] = changed
		}
	}
	return part
}

// payload writes one payload: what changed of the tables themselves, and of some records.
func (tx *transaction) payload(f *filters, created, changed object, records []recordChange) []byte {
	for _, ch := range records {
		part := inner(changed, ch.table.id)
		if f.RecordChangeScope == ch.table.viewID {
			part = inner(inner(part, "changedViewsById"), ch.table.viewID)
		}
		if ch.what == nil {
			ids, _ := part[ch.under].([]string)
			part[ch.under] = append(ids, ch.id)
			continue
		}
		inner(part, ch.under)[ch.id] = ch.what
	}
	body := object{
		"timestamp":             json.RawMessage(appendTime(nil, tx.at.UnixMilli())),
		"baseTransactionNumber": tx.number,
		"payloadFormat":         "v0",
		"actionMetadata":        object{"source": tx.source, "sourceMetadata": object{"user": tx.user}},
	}
	if len(changed) > 0 {
		body["changedTablesById"] = changed
	}
	if len(created) > 0 {
		body["createdTablesById"] = created
	}
	return mustJSON(body)
}

// inner is the object under a key, which is made if there is none.
func inner(o object, key string) object {
	in, ok := o[key].(object)
	if !ok {
		in = object{}
		o[key] = in
	}
	return in
}

func errorPayload(at time.Time, number uint64, code string) []byte {
	return mustJSON(object{
		"timestamp":             json.RawMessage(appendTime(nil, at.UnixMilli())),
		"baseTransactionNumber": number,
		"payloadFormat":         "v0",
		"error":                 true,
		"code":                  code,
	})
}
