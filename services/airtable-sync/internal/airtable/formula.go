package airtable

import (
	"strings"
	"time"
)

// Among is the formula of the records with these ids.
func Among(ids []string) string {
	terms := make([]string, len(ids))
	for i, id := range ids {
		terms[i] = "RECORD_ID()='" + id + "'"
	}
	return "OR(" + strings.Join(terms, ",") + ")"
}

// Since is the formula of the records whose field, by its name, was modified in the second of t or
// after it: Airtable's times of modification are whole seconds.
func Since(field string, t time.Time) string {
	edge := t.UTC().Truncate(time.Second).Add(-time.Millisecond)
	return "IS_AFTER(LAST_MODIFIED_TIME(" + reference(field) + "),'" + edge.Format("2006-01-02T15:04:05.000Z") + "')"
}

// Holds is the formula of the records whose field, by its name, holds value.
func Holds(field, value string) string {
	return reference(field) + "='" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(value) + "'"
}

// reference names a field in a formula.
func reference(field string) string {
	return "{" + strings.NewReplacer(`\`, `\\`, "}", `\}`).Replace(field) + "}"
}
