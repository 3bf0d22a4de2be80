package airtabletest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/sandbox/airtable/internal/formula"
)

// change makes one change of the schema, as a person in Airtable would.
func (s *Server) change(do func(tx *transaction) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := s.begin(author{sourceClient, somebody})
	if err := do(tx); err != nil {
		return fmt.Errorf("airtable sandbox: %w", err)
	}
	s.commit(tx)
	return nil
}

// changeField makes one change of the field found by its name or id.
func (t *Table) changeField(field string, do func(tx *transaction, c *column) error) error {
	return t.s.change(func(tx *transaction) error {
		i := t.t.lookup(field)
		if i < 0 {
			return fmt.Errorf("no field %q", field)
		}
		tx.redescribes(t.t)
		return do(tx, t.t.columns[i])
	})
}

// RenameTable gives the table another name.
func (t *Table) RenameTable(name string) {
	_ = t.s.change(func(tx *transaction) error { // cannot fail
		tx.redescribes(t.t).previousName, t.t.name = t.t.name, name
		return nil
	})
}

// AddField adds a field and returns its id. A link field adds one to the linked table too, which links back.
func (t *Table) AddField(f Field) (string, error) {
	id := ""
	err := t.s.change(func(tx *transaction) error {
		c, err := tx.addField(t.t, f)
		if err == nil {
			id = c.ID
		}
		return err
	})
	return id, err
}

// addTable adds a table with its fields, the first of which is the primary one; all or nothing.
func (tx *transaction) addTable(name, description string, fields []Field) (*table, error) {
	switch b := tx.base; {
	case strings.TrimSpace(name) == "" || len(name) > 255:
		return nil, fmt.Errorf("a table's name takes 1 to 255 bytes, not %q", name)
	case slices.ContainsFunc(b.tables, func(t *table) bool { return strings.EqualFold(t.name, name) }):
		return nil, fmt.Errorf("there is a table %q already", name)
	case len(fields) == 0:
		return nil, errors.New("a table has at least one field")
	}
	t := tx.base.newTable(tx.base.newID("tbl"), name)
	t.description, t.viewID = description, tx.base.newID("viw")
	for _, f := range fields {
		if _, err := tx.addField(t, f); err != nil {
			tx.base.tables = tx.base.tables[:len(tx.base.tables)-1]
			for _, ch := range tx.tables { // the fields that would link back
				for _, c := range ch.createdFields {
					c.deleted = true
				}
			}
			return nil, err
		}
	}
	tx.redescribes(t).added = true
	return t, nil
}

// addField adds a field; with one that links to another table comes one there that links back.
func (tx *transaction) addField(t *table, f Field) (*column, error) {
	var linked *table
	var err error
	switch f.Type {
	case MultipleRecordLinks:
		if linked = tx.base.table(f.LinkedTable); linked == nil {
			return nil, fmt.Errorf("no table %q to link to", f.LinkedTable)
		}
		f.LinkedTable, f.Inverse = linked.id, ""
		if linked != t {
			f.Inverse = tx.base.newID("fld")
		}
	case Count, Lookup, Rollup:
		if err = t.resolveLink(&f); err != nil {
			return nil, err
		}
	}
	if f.ID, err = t.addField(f); err != nil {
		return nil, err
	}
	c := t.columns[len(t.columns)-1]
	tx.noteField(c)
	if c.Inverse != "" {
		back := Field{ID: c.Inverse, Name: linked.freeName(t.name), Type: MultipleRecordLinks, LinkedTable: t.id, Inverse: c.ID}
		if _, err := linked.addField(back); err != nil {
			return nil, err
		}
		tx.noteField(linked.columns[len(linked.columns)-1])
	}
	return c, nil
}

func (tx *transaction) noteField(c *column) {
	ch := tx.redescribes(c.owner)
	ch.createdFields = append(ch.createdFields, c)
}

// RenameField gives a field, found by name or id, another name. Formulas keep referring to it.
func (t *Table) RenameField(field, name string) error {
	return t.changeField(field, func(tx *transaction, c *column) error {
		if i := t.t.lookup(name); i >= 0 && i != c.index {
			return fmt.Errorf("there is a field %q already", name)
		}
		tx.rename(c, name)
		return nil
	})
}

func (tx *transaction) rename(c *column, name string) {
	ch := tx.redescribes(c.owner)
	ch.changedFields = append(ch.changedFields, fieldChange{c, c.Name, c.Type})
	c.rename(name)
}

// DeleteField removes a field, found by name or id, with all its cells. The inverse of a link becomes a text.
func (t *Table) DeleteField(field string) error {
	return t.changeField(field, func(tx *transaction, c *column) error {
		if c == t.t.primary() {
			return errors.New("a table keeps its primary field")
		}
		if inverse := c.inverse(); inverse != nil {
			tx.toText(inverse, t.s.second())
		}
		ch := tx.of(t.t)
		ch.destroyedFields = append(ch.destroyedFields, c)
		c.deleted = true
		t.t.clear(c)
		return nil
	})
}

// clear empties a column; nothing was modified by that.
func (t *table) clear(c *column) {
	for _, row := range t.rows {
		if c.index < len(row.cells) {
			row.cells[c.index] = nil
		}
	}
}

var errNoChoices = errors.New("the field has no choices")

// AddChoice adds an option to a select field.
func (t *Table) AddChoice(field, name string) error {
	return t.changeField(field, func(_ *transaction, c *column) error {
		if c.Type != SingleSelect && c.Type != MultipleSelects {
			return errNoChoices
		}
		if c.choice(name) == nil {
			c.addChoice(name, t.t.base.newID("sel"))
		}
		return nil
	})
}

// RemoveChoice takes an option from a select field, and from the cells that have it.
func (t *Table) RemoveChoice(field, name string) error {
	return t.changeField(field, func(tx *transaction, c *column) error {
		gone := c.choice(name)
		if gone == nil {
			return fmt.Errorf("no choice %q", name)
		}
		now := t.s.second()
		for _, row := range t.t.rows {
			var left cell
			switch v := row.cell(c.index).(type) {
			case *choice:
				if v != gone {
					continue
				}
			case []*choice:
				if !slices.Contains(v, gone) {
					continue
				}
				if kept := slices.DeleteFunc(slices.Clone(v), func(ch *choice) bool { return ch == gone }); len(kept) > 0 {
					left = kept
				}
			default:
				continue
			}
			tx.set(c, row, left, now)
		}
		c.choices = slices.DeleteFunc(slices.Clone(c.choices), func(ch *choice) bool { return ch == gone })
		for i, ch := range c.choices {
			ch.index = i
		}
		return nil
	})
}

// ConvertToFormula makes a field a computed one: what was in its cells is
// lost and writing to it is refused. The formula may refer to fields that
// stand before it.
func (t *Table) ConvertToFormula(field, text string) error {
	return t.changeField(field, func(tx *transaction, c *column) error {
		was, inverse := c.Type, c.inverse()
		for _, row := range t.t.rows {
			tx.touch(t.t, row)
		}
		if err := t.t.convert(c, text, t.t.resolve); err != nil {
			return err
		}
		if inverse != nil {
			tx.toText(inverse, t.s.second())
		}
		ch := tx.of(t.t)
		ch.changed = slices.Clone(t.t.rows)
		ch.changedFields = append(ch.changedFields, fieldChange{c, c.Name, was})
		return nil
	})
}

// ConvertToText makes a field a text of one line, with its cells as Airtable writes them.
func (t *Table) ConvertToText(field string) error {
	return t.changeField(field, func(tx *transaction, c *column) error {
		if c.computed() {
			return fmt.Errorf("%s is computed", c.Type)
		}
		inverse := c.inverse()
		tx.toText(c, t.s.second())
		if inverse != nil {
			tx.toText(inverse, t.s.second())
		}
		return nil
	})
}

func (tx *transaction) toText(c *column, now int64) {
	ch := tx.redescribes(c.owner)
	for _, row := range c.owner.rows {
		if v := row.cell(c.index); v != nil {
			tx.put(c, row, c.written(v), now)
		}
	}
	ch.changedFields = append(ch.changedFields, fieldChange{c, c.Name, c.Type})
	c.Type, c.choices, c.Choices, c.LinkedTable, c.Inverse = SingleLineText, nil, nil, "", ""
}

// written is a cell as a text.
func (c *column) written(v cell) cell {
	switch v := v.(type) {
	case *choice:
		return v.name
	case []*choice:
		names := make([]string, len(v))
		for i, ch := range v {
			names[i] = ch.name
		}
		return strings.Join(names, ", ")
	case instant:
		at := time.UnixMilli(int64(v)).UTC()
		if c.Type == DateField {
			return at.Format(time.DateOnly)
		}
		return at.Format("2006-01-02 15:04")
	case float64:
		return strings.TrimSpace(c.Symbol + strconv.FormatFloat(v, 'f', c.Precision, 64))
	case bool:
		return "checked"
	case []recordID:
		return strings.Join(c.linkNames(v), ", ")
	}
	return v
}

// convert makes a column a formula. One that stands behind it may refer to
// it, so that circles are impossible only if it refers to those before it.
func (t *table) convert(c *column, text string, resolve func(ref string) (int, bool)) error {
	prog, err := formula.Compile(text, func(ref string) (int, bool) {
		i, ok := resolve(ref)
		return i, ok && i < c.index
	})
	if err != nil {
		return err
	}
	t.clear(c)
	c.Type, c.Formula, c.prog, c.choices, c.LinkedTable, c.Inverse = Formula, text, prog, nil, "", ""
	return nil
}

// LockField refuses API writes to a field with 403 INVALID_PERMISSIONS, as
// Airtable's field editing permissions do, or allows them again.
func (t *Table) LockField(field string, locked bool) error {
	return t.changeField(field, func(_ *transaction, c *column) error {
		c.Locked = locked
		return nil
	})
}
