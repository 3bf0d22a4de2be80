package airtabletest

import (
	"encoding/json"
	"slices"
	"time"
)

// User is who made a change, as webhook payloads name them.
type User struct {
	ID              string `json:"id"`
	Email           string `json:"email"`
	PermissionLevel string `json:"permissionLevel"`
	Name            string `json:"name,omitempty"`
}

// The sources of a change that the sandbox knows, as Airtable's webhooks name them.
const (
	sourceClient = "client"    // a person in the web or mobile client
	sourceAPI    = "publicApi" // a request to the API
)

// author is where a change comes from.
type author struct {
	source string
	user   User
}

// transaction is one action on the base: what it changes, for webhooks and the journal.
type transaction struct {
	author
	base    *base
	number  uint64
	at      time.Time
	watched bool // there are webhooks, so before-images are wanted
	tables  []*tableChange
}

// tableChange is what a transaction changes of one table.
type tableChange struct {
	table     *table
	created   []*record
	changed   []*record
	destroyed []recordID

	touched []*record                     // what is there and may show something else afterwards
	before  map[*record][]json.RawMessage // by column, in the webhooks' cell format

	added           bool // the table is new
	schema          bool // its description differs from the saved one
	createdFields   []*column
	destroyedFields []*column
	changedFields   []fieldChange
	previousName    string // of the table, if it was renamed
}

type fieldChange struct {
	column                     *column
	previousName, previousType string
}

// begin starts a transaction. The caller holds s.mu until it has committed.
func (s *Server) begin(by author) *transaction {
	s.base.transactions++
	return &transaction{author: by, base: s.base, number: s.base.transactions, at: s.now(), watched: len(s.base.hooks) > 0}
}

// of returns the part of the transaction that is about t.
func (tx *transaction) of(t *table) *tableChange {
	for _, ch := range tx.tables {
		if ch.table == t {
			return ch
		}
	}
	ch := &tableChange{table: t, before: map[*record][]json.RawMessage{}}
	tx.tables = append(tx.tables, ch)
	return ch
}

// redescribes notes that the table's description changes.
func (tx *transaction) redescribes(t *table) *tableChange {
	ch := tx.of(t)
	ch.schema = true
	return ch
}

// touch is called before a record is changed: it and those that look its cells up may look different then.
func (tx *transaction) touch(t *table, r *record) {
	if !tx.watched {
		return
	}
	ch := tx.of(t)
	if _, done := ch.before[r]; done {
		return
	}
	ch.before[r] = t.webhookCells(r, tx.at)
	ch.touched = append(ch.touched, r)
	tx.base.dependents(t, r, tx.touch)
}

// create adds a record.
func (tx *transaction) create(t *table, cells map[int]cell, now int64) *record {
	r := &record{created: now, modified: now, cells: make([]cell, len(t.columns))}
	copy(r.id[:], tx.base.newID("rec"))
	t.insert(r)
	ch := tx.of(t)
	ch.created = append(ch.created, r)
	ch.before[r] = nil // never touched
	for i, v := range cells {
		v = tx.settle(t.columns[i], v, now)
		r.cells[i] = v
		tx.mirror(t.columns[i], r, nil, v, now)
	}
	return r
}

// set changes a cell, and the other side of its links.
func (tx *transaction) set(c *column, r *record, v cell, now int64) {
	was := r.cell(c.index)
	tx.put(c, r, v, now)
	tx.mirror(c, r, was, v, now)
}

// put changes a cell and notes the record if that made a difference.
func (tx *transaction) put(c *column, r *record, v cell, now int64) {
	tx.touch(c.owner, r)
	ch := tx.of(c.owner)
	if n := len(ch.changed); r.set(c.index, v, now) && (n == 0 || ch.changed[n-1] != r) {
		ch.changed = append(ch.changed, r)
	}
}

// settle gives a cell its final form, with the choices and the linked records that it asks for.
func (tx *transaction) settle(c *column, v cell, now int64) cell {
	if list, ok := v.([]any); ok && c.Type == MultipleRecordLinks {
		return tx.settleLinks(c, list, now)
	}
	return c.settle(v, func(prefix string) string {
		if prefix == "sel" {
			tx.redescribes(c.owner)
		}
		return tx.base.newID(prefix)
	})
}

func (ch *tableChange) empty() bool {
	return !ch.schema && len(ch.created)+len(ch.changed)+len(ch.destroyed) == 0
}

// commit tells webhooks of the transaction and makes it durable.
func (s *Server) commit(tx *transaction) {
	if !slices.ContainsFunc(tx.tables, func(ch *tableChange) bool { return !ch.empty() }) {
		return
	}
	for _, h := range s.base.hooks {
		h.forget(tx.at)
		for _, body := range h.payloadsOf(tx) {
			h.append(tx.at, body)
		}
		s.notify(h)
	}
	s.keepTransaction(tx)
}
