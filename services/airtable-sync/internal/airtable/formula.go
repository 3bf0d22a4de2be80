package airtable

import "strings"

// Among is the formula of the records with these ids. Airtable's are all of one length, so that
// none is found inside another.
func Among(ids []string) string { return "FIND(RECORD_ID(),'" + strings.Join(ids, ",") + "')" }
