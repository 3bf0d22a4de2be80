package column

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// usage is what was seen in the cells of records, by the field's key. A nil usage has seen nothing.
type usage struct {
	records int
	cells   map[string]*cells
}

type cells struct {
	filled  int
	numbers int
	ids     int // lists of record ids, as links have them
	days    dayOrder
}

func newUsage() *usage { return &usage{cells: map[string]*cells{}} }

func (u *usage) add(page []airtable.Record) {
	u.records += len(page)
	for _, r := range page {
		for _, cell := range r.Fields {
			c := u.cells[cell.Key]
			if c == nil {
				c = &cells{}
				u.cells[cell.Key] = c
			}
			c.add(cell.Value)
		}
	}
}

func (c *cells) add(value json.RawMessage) {
	if len(value) == 0 || value[0] == 'n' {
		return
	}
	c.filled++
	switch b := value[0]; {
	case b == '-' || b >= '0' && b <= '9':
		c.numbers++
	case b == '[' && isLinks(value):
		c.ids++
	case b == '"':
		c.days.see(text(value))
	}
}

// share is how much of the records have a cell of a field; known is false if none was seen.
func (u *usage) share(key string) (share float64, known bool) {
	if u == nil || u.records == 0 {
		return 0, false
	}
	if c := u.cells[key]; c != nil {
		return float64(c.filled) / float64(u.records), true
	}
	return 0, true
}

// onlyIDs reports whether all cells of a field are lists of record ids.
func (u *usage) onlyIDs(key string) bool {
	if u == nil || u.cells[key] == nil {
		return false
	}
	c := u.cells[key]
	return c.ids > 0 && c.ids == c.filled
}

func (u *usage) dayOrder(key string) dayOrder {
	if u == nil || u.cells[key] == nil {
		return dayOrder{}
	}
	return u.cells[key].days
}

// isLinks reports whether a cell is what a link field has: a list of nothing but record ids.
func isLinks(cell json.RawMessage) bool {
	if !bytes.HasPrefix(bytes.TrimLeft(cell, "[ \n\t\r"), []byte(`"rec`)) {
		return false
	}
	var ids []string
	if json.Unmarshal(cell, &ids) != nil || len(ids) == 0 {
		return false
	}
	for _, id := range ids {
		if !recordID.MatchString(id) {
			return false
		}
	}
	return true
}

var recordID = regexp.MustCompile(`^rec[A-Za-z0-9]{14}$`)

// dayOrder tells whether dates written with slashes begin with the day or the month.
type dayOrder struct{ dayFirst, monthFirst bool }

var slashed = regexp.MustCompile(`^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})(?:$|[ T,])`)

func (o *dayOrder) see(s string) {
	if m := slashed.FindStringSubmatch(s); m != nil {
		first, _ := strconv.Atoi(m[1]) // two digits
		second, _ := strconv.Atoi(m[2])
		o.dayFirst = o.dayFirst || first > 12
		o.monthFirst = o.monthFirst || second > 12
	}
}
