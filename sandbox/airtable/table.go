package airtabletest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/resonance/resonance/sandbox/airtable/internal/formula"
)

// recordID is "rec" and 14 letters or digits.
type recordID [17]byte

func parseID(s string) (id recordID, ok bool) {
	if len(s) != len(id) || s[:3] != "rec" {
		return id, false
	}
	for _, c := range []byte(s[3:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return id, false
		}
	}
	copy(id[:], s)
	return id, true
}

// record is one row. Its cells line up with the table's columns, but may end
// earlier: what is beyond is empty.
type record struct {
	id       recordID
	deleted  bool
	number   uint32
	created  int64 // Unix milliseconds
	modified int64
	cells    []cell
	touched  []int64 // by column, once something changed after the creation
	comments []*comment
}

func (r *record) cell(i int) cell {
	if i < len(r.cells) {
		return r.cells[i]
	}
	return nil
}

// set changes a cell and reports whether that made a difference.
func (r *record) set(i int, v cell, now int64) bool {
	if sameCell(r.cell(i), v) {
		return false
	}
	if i >= len(r.cells) {
		r.cells = append(r.cells, make([]cell, i+1-len(r.cells))...)
	}
	r.cells[i] = v
	if i >= len(r.touched) {
		r.touched = append(r.touched, make([]int64, i+1-len(r.touched))...)
	}
	r.touched[i] = now
	r.modified = now
	return true
}

// modifiedOf returns the last change of the columns, of all if there are none; 0 if never.
func (r *record) modifiedOf(columns []int) int64 {
	if len(columns) == 0 {
		return r.modified
	}
	var last int64
	for _, i := range columns {
		switch {
		case i < len(r.touched) && r.touched[i] != 0:
			last = max(last, r.touched[i])
		case r.cell(i) != nil:
			last = max(last, r.created)
		}
	}
	return last
}

// table is one Airtable table. The Server's lock guards it.
type table struct {
	base     *base
	id, name string
	viewID   string
	columns  []*column // a deleted field stays, so that indexes hold
	byID     map[recordID]*record
	// rows is never changed in place but for appends, so that an iterator may
	// keep a slice of it as its frozen order.
	rows   []*record
	number uint32

	description string
}

const viewName = "Grid view"

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID makes up an id, as long as Airtable's.
func newID(rng *rand.Rand, prefix string) string {
	b := append(make([]byte, 0, 17), prefix...)
	for range 14 {
		b = append(b, alphanumeric[rng.IntN(len(alphanumeric))])
	}
	return string(b)
}

// lookup finds a field by its name or id; -1 if there is none.
func (t *table) lookup(ref string) int {
	for i, c := range t.columns {
		if !c.deleted && (c.Name == ref || c.ID == ref) {
			return i
		}
	}
	return -1
}

func (t *table) resolve(ref string) (int, bool) {
	i := t.lookup(ref)
	return i, i >= 0
}

func (t *table) addField(f Field) (string, error) {
	if t.lookup(f.Name) >= 0 {
		return "", fmt.Errorf("there is a field %q already", f.Name)
	}
	if f.ID == "" {
		f.ID = t.base.newID("fld")
	}
	choiceIDs := make([]string, len(f.Choices))
	for i := range choiceIDs {
		choiceIDs[i] = t.base.newID("sel")
	}
	return f.ID, t.addColumn(f, choiceIDs, t.resolve)
}

// addColumn adds a field whose watches and formula refer to others as resolve knows them.
func (t *table) addColumn(f Field, choiceIDs []string, resolve func(ref string) (int, bool)) error {
	if err := f.check(); err != nil {
		return err
	}
	c := &column{Field: f, owner: t, index: len(t.columns)}
	c.rename(f.Name)
	for i, name := range f.Choices {
		c.addChoice(name, choiceIDs[i])
	}
	for _, name := range f.Watches {
		i, ok := resolve(name)
		if !ok {
			return fmt.Errorf("no field %q to watch", name)
		}
		c.watches = append(c.watches, i)
	}
	if f.Type == Rollup {
		prog, err := formula.Compile(f.Formula, func(ref string) (int, bool) { return 0, ref == "values" })
		if err != nil {
			return fmt.Errorf("formula of rollup %q: %w", f.Name, err)
		}
		c.prog = prog
	}
	if f.Type == Formula {
		// A formula refers only to fields that exist by now, so there is no circle.
		prog, err := formula.Compile(f.Formula, resolve)
		if err != nil {
			return fmt.Errorf("formula of field %q: %w", f.Name, err)
		}
		c.prog = prog
	}
	t.columns = append(t.columns, c)
	return nil
}

func (t *table) insert(r *record) {
	t.number++
	r.number = t.number
	t.byID[r.id] = r
	t.rows = append(t.rows, r)
}

// remove deletes records and returns those there were; unknown ids are passed over.
func (t *table) remove(ids []recordID) (gone []recordID) {
	for _, id := range ids {
		if r := t.byID[id]; r != nil {
			r.deleted = true
			delete(t.byID, id)
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		t.sweep()
	}
	return gone
}

// sweep takes the deleted records out of the rows.
func (t *table) sweep() {
	kept := make([]*record, 0, len(t.byID))
	for _, r := range t.rows {
		if !r.deleted {
			kept = append(kept, r)
		}
	}
	t.rows = kept
}

// view reads a record for formulas and rendering.
type view struct {
	t   *table
	r   *record
	now time.Time
}

func (v *view) ID() string                  { return string(v.r.id[:]) }
func (v *view) Created() int64              { return v.r.created }
func (v *view) Modified(fields []int) int64 { return v.r.modifiedOf(fields) }

func (v *view) Field(i int) formula.Value {
	c := v.t.columns[i]
	if c.deleted {
		return formula.Failed
	}
	switch c.Type {
	case AutoNumber:
		return formula.Num(float64(v.r.number))
	case CreatedTime:
		return formula.Millis(v.r.created, false)
	case LastModifiedTime:
		if ms := v.r.modifiedOf(c.watches); ms != 0 {
			return formula.Millis(ms, false)
		}
		return formula.Value{}
	case Formula:
		return c.prog.Evaluator(v.now).Eval(v)
	case Count, Lookup, Rollup:
		return c.linkedValue(v.r, v.now)
	}
	switch x := v.r.cell(i).(type) {
	case string:
		return formula.Str(x)
	case float64:
		return formula.Num(x)
	case bool:
		return formula.Truth(x)
	case instant:
		return formula.Millis(int64(x), c.Type == DateField)
	case *choice:
		return formula.Str(x.name)
	case []*choice:
		names := make([]string, len(x))
		for i, ch := range x {
			names[i] = ch.name
		}
		return formula.Strings(names)
	case []*collaborator:
		names := make([]string, len(x))
		for i, p := range x {
			names[i] = p.Name
		}
		return formula.Strings(names)
	case []recordID:
		return formula.Strings(c.linkNames(x))
	case []*attachment:
		names := make([]string, len(x))
		for i, a := range x {
			names[i] = a.name + " (" + v.t.base.links.address(a, "full", v.now) + ")"
		}
		return formula.Strings(names)
	}
	return formula.Value{}
}

// sortKey is one key of a list request's sort.
type sortKey struct {
	column int
	desc   bool
}

// sortRows orders rows by keys; empty cells come first, choices go by their order.
func (t *table) sortRows(rows []*record, keys []sortKey, now time.Time) {
	values := make(map[*record][]formula.Value, len(rows))
	for _, r := range rows {
		v := view{t, r, now}
		vs := make([]formula.Value, len(keys))
		for i, k := range keys {
			if ch, ok := r.cell(k.column).(*choice); ok {
				vs[i] = formula.Num(float64(ch.index))
			} else {
				vs[i] = v.Field(k.column)
			}
		}
		values[r] = vs
	}
	slices.SortStableFunc(rows, func(a, b *record) int {
		va, vb := values[a], values[b]
		for i, k := range keys {
			if c := formula.Compare(va[i], vb[i]); c != 0 {
				if k.desc {
					return -c
				}
				return c
			}
		}
		return 0
	})
}
