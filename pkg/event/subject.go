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

// DeadSubject is where consumer parks a message of subject: dead.<consumer>.<subject>. A very long subject is cut,
// as a server ends connections whose protocol lines exceed 4 KB.
func DeadSubject(consumer, subject string) string {
	const longest = 1 << 10
	return "dead." + consumer + "." + strings.TrimRight(subject[:min(len(subject), longest)], ".")
}

// RecordIDOf gives the record id of an order.changed subject.
func RecordIDOf(subject string) (string, bool) {
	id, ok := strings.CutPrefix(subject, TypeOrderChanged+".")
	return id, ok && ValidRecordID(id)
}
