package event

import "strings"

// Event types: the ce-type header, and the first two tokens of the subject.
const (
	TypeOrderChanged = "order.changed"
	TypeOrderEdit    = "order.edit"
	TypeOrderEdited  = "order.edited"
	TypeOdooChanged  = "odoo.changed"
)

// Subjects to subscribe to.
const (
	OrdersChanged = "order.changed.*"  // every order's changes
	OrdersEdited  = "order.edited.*"   // edits, and how they settled
	OrderEdits    = "order.edit.*"     // edits on their way to Airtable
	OdooChanges   = "odoo.changed.*.*" // changes of Odoo's records: <resource>.<id>
	AllDead       = "dead.>"           // what was parked
)

// OrderChangedSubject is where the changes of one order are published.
func OrderChangedSubject(recordID string) string { return TypeOrderChanged + "." + recordID }

// OdooChangedSubject is where the changes of one of Odoo's records are published.
func OdooChangedSubject(resource string, id int64) string {
	return TypeOdooChanged + "." + resource + "." + OdooID(id)
}

// DeadSubject is where consumer parks a message of subject: dead.<consumer>.<subject>.
func DeadSubject(consumer, subject string) string { return "dead." + consumer + "." + subject }

// RecordIDOf gives the record id of an order.changed subject.
func RecordIDOf(subject string) (string, bool) {
	id, ok := strings.CutPrefix(subject, TypeOrderChanged+".")
	return id, ok && ValidRecordID(id)
}
