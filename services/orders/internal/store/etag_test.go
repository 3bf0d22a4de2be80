package store

import (
	"strings"
	"testing"
)

// Whatever place a column has in the JSON, another value of it is another order to who edits it; what is no
// column is not, nor is a column of a later version that is empty.
func TestETagCoversTheColumns(t *testing.T) {
	t.Parallel()
	const edit = `,"edit":{"id":"e1","state":"pending","values":{"status":"Sent"}}}`
	const doc = `{"record_id":"rec1","name":"a","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","status":"Sent","fields":{"x":1}` + edit
	tag := ETag([]byte(doc))
	for change, matches := range map[string]bool{
		`"status":"Sent","fields"→"status":"Lost","fields"`: false,
		`"name":"a"→"name":"b"`:                             false,
		`"id":"e1"→"id":"e2"`:                               false,
		`"pending"→"applied"`:                               true,
		`"fields":{"x":1}→"fields":{"x":2}`:                 true,
		`"updated_at":"2026→"updated_at":"2027`:             true,
		`"name":"a"→"name":"a","priority":null`:             true,
		`"name":"a"→"name":"a","later":"b"`:                 true,
	} {
		old, now, _ := strings.Cut(change, "→")
		changed := strings.Replace(doc, old, now, 1)
		if changed == doc {
			t.Fatalf("%s: nothing to replace", change)
		}
		if got := Matches(tag, []byte(changed)); got != matches {
			t.Errorf("%s: matches %t", change, got)
		}
	}
	unedited := strings.TrimSuffix(doc, edit) + "}"
	nested := strings.Replace(unedited, `{"x":1}`, `{"x":1,"edit":{"id":"e1","state":"pending"}}`, 1)
	if a, b := ETag([]byte(unedited)), ETag([]byte(nested)); a[:17] != b[:17] || strings.HasSuffix(b, pendingTag) {
		t.Errorf("a field called edit counts as an edit: %s, %s", a, b)
	}
}
