package airtabletest

import (
	"encoding/json"
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
	number  uint64
	at      time.Time
	watched bool // there are webhooks, so before-images are wanted

	created   []*record
	changed   []*record
	destroyed []recordID
	before    map[*record][]json.RawMessage // by column, in the webhooks' cell format

	schema          bool // the table's description differs from the saved one
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
	s.transactions++
	tx := &transaction{author: by, number: s.transactions, at: s.now(), watched: len(s.hooks) > 0}
	if tx.watched {
		tx.before = map[*record][]json.RawMessage{}
	}
	return tx
}

// touch is called before a record is changed.
func (tx *transaction) touch(t *table, r *record) {
	if tx.watched && tx.before[r] == nil {
		tx.before[r] = t.webhookCells(r, tx.at)
	}
}

// set changes a cell and notes the record if that made a difference.
func (tx *transaction) set(r *record, i int, v cell, now int64) {
	if n := len(tx.changed); r.set(i, v, now) && (n == 0 || tx.changed[n-1] != r) {
		tx.changed = append(tx.changed, r)
	}
}

func (tx *transaction) empty() bool {
	return !tx.schema && len(tx.created)+len(tx.changed)+len(tx.destroyed) == 0
}

// commit tells webhooks of the transaction and makes it durable.
func (s *Server) commit(tx *transaction) {
	if tx.empty() {
		return
	}
	for _, h := range s.hooks {
		h.forget(tx.at)
		for _, body := range h.payloadsOf(s.table, tx) {
			h.append(tx.at, body)
		}
		s.notify(h)
	}
	s.keepTransaction(tx)
}
