// Package columns is the contract about what the orders of a source look like: airtable-sync publishes a
// Source in the bucket bus.BucketColumns, and whoever has to know which values a column offers watches that.
package columns

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
)

// Main is the name of the source where there is only one.
const Main = "main"

// Source describes the columns of the orders of one source.
type Source struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
}

// Column describes one column. Field is empty where the table has no field for it: its cells are all null.
type Column struct {
	Name     string       `json:"name"`            // status
	Title    string       `json:"title,omitempty"` // the name of the field in Airtable
	Field    string       `json:"field,omitempty"` // its id in Airtable, where known
	Kind     schema.Kind  `json:"kind"`
	Offers   []Offer      `json:"choices,omitempty"` // empty where any text will do
	Editable bool         `json:"editable"`
	Notes    []fault.Text `json:"notes,omitempty"` // what people should know about where its values come from
}

// Offer is one choice of a column.
type Offer struct {
	Value string `json:"value"` // in events and in the API: canonical where it has that meaning
	Title string `json:"title"` // in the base
}

// Find gives the column's value that s stands for: a value or the base's own word for it. Surrounding
// spaces, case and Unicode normalisation do not matter. It reports false where the column does not offer s.
func (c *Column) Find(s string) (value string, ok bool) {
	if len(c.Offers) == 0 {
		return norm.NFC.String(strings.TrimSpace(s)), true
	}
	for _, same := range []func(Offer) bool{
		func(o Offer) bool { return o.Value == s },
		func(o Offer) bool { return o.Title == s },
		func(o Offer) bool { return Fold(o.Value) == Fold(s) },
		func(o Offer) bool { return Fold(o.Title) == Fold(s) },
	} {
		if i := slices.IndexFunc(c.Offers, same); i >= 0 {
			return c.Offers[i].Value, true
		}
	}
	return "", false
}

// mostQuoted bounds how many choices a sentence lists.
const mostQuoted = 50

// Quoted lists the choices for people, in quotes, with the base's own word where that is another.
func (c *Column) Quoted() fault.Text {
	var es, en []string
	for i, o := range c.Offers {
		if i == mostQuoted {
			es, en = append(es, "…"), append(en, "…")
			break
		}
		own := ""
		if Fold(o.Title) != Fold(o.Value) {
			own = o.Title
		}
		es, en = append(es, quote("«", o.Value, "»", own)), append(en, quote("“", o.Value, "”", own))
	}
	return fault.T(strings.Join(es, ", "), strings.Join(en, ", "))
}

func quote(open, value, end, own string) string {
	if own == "" {
		return open + value + end
	}
	return open + value + end + " (" + open + own + end + ")"
}

// Fold is the form in which choices are compared: without surrounding spaces, case and differences of
// Unicode normalisation.
func Fold(s string) string {
	return strings.ToLower(strings.ToUpper(norm.NFC.String(strings.TrimSpace(s))))
}
