package airtabletest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/services/airtable-sync/airtabletest/internal/formula"
)

// change makes one change of the schema, as a person in Airtable would.
func (s *Server) change(do func(tx *transaction) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := s.begin(author{sourceClient, somebody})
	if err := do(tx); err != nil {
		return fmt.Errorf("airtable sandbox: %w", err)
	}
	tx.schema = true
	s.commit(tx)
	return nil
}

// changeField makes one change of the field found by its name or id.
func (s *Server) changeField(field string, do func(tx *transaction, c *column) error) error {
	return s.change(func(tx *transaction) error {
		i := s.table.lookup(field)
		if i < 0 {
			return fmt.Errorf("no field %q", field)
		}
		return do(tx, s.table.columns[i])
	})
}

// RenameTable gives the table another name.
func (s *Server) RenameTable(name string) {
	_ = s.change(func(tx *transaction) error { // cannot fail
		tx.previousName, s.table.name = s.table.name, name
		return nil
	})
}

// AddField adds a field and returns its id.
func (s *Server) AddField(f Field) (string, error) {
	id := ""
	err := s.change(func(tx *transaction) (err error) {
		if id, err = s.table.addField(f); err == nil {
			tx.createdFields = append(tx.createdFields, s.table.columns[len(s.table.columns)-1])
		}
		return err
	})
	return id, err
}

// RenameField gives a field, found by name or id, another name. Formulas keep referring to it.
func (s *Server) RenameField(field, name string) error {
	return s.changeField(field, func(tx *transaction, c *column) error {
		if i := s.table.lookup(name); i >= 0 && i != c.index {
			return fmt.Errorf("there is a field %q already", name)
		}
		tx.changedFields = append(tx.changedFields, fieldChange{c, c.Name, c.Type})
		c.rename(name)
		return nil
	})
}

// DeleteField removes a field, found by name or id, with all its cells.
func (s *Server) DeleteField(field string) error {
	return s.changeField(field, func(tx *transaction, c *column) error {
		tx.destroyedFields = append(tx.destroyedFields, c)
		c.deleted = true
		s.table.clear(c)
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
func (s *Server) AddChoice(field, name string) error {
	return s.changeField(field, func(_ *transaction, c *column) error {
		if c.Type != SingleSelect && c.Type != MultipleSelects {
			return errNoChoices
		}
		if c.choice(name) == nil {
			c.addChoice(name, s.table.newID("sel"))
		}
		return nil
	})
}

// RemoveChoice takes an option from a select field, and from the cells that have it.
func (s *Server) RemoveChoice(field, name string) error {
	return s.changeField(field, func(tx *transaction, c *column) error {
		gone := c.choice(name)
		if gone == nil {
			return fmt.Errorf("no choice %q", name)
		}
		now := s.second()
		for _, row := range s.table.rows {
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
			tx.touch(s.table, row)
			tx.set(row, c.index, left, now)
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
func (s *Server) ConvertToFormula(field, text string) error {
	return s.changeField(field, func(tx *transaction, c *column) error {
		was := c.Type
		for _, row := range s.table.rows {
			tx.touch(s.table, row)
		}
		if err := s.table.convert(c, text, s.table.resolve); err != nil {
			return err
		}
		tx.changed = slices.Clone(s.table.rows)
		tx.changedFields = append(tx.changedFields, fieldChange{c, c.Name, was})
		return nil
	})
}

// ConvertToText makes a field a text of one line, with its cells as Airtable writes them.
func (s *Server) ConvertToText(field string) error {
	return s.changeField(field, func(tx *transaction, c *column) error {
		was, now := c.Type, s.second()
		if was == Formula || c.computed() {
			return fmt.Errorf("%s is computed", was)
		}
		for _, row := range s.table.rows {
			if v := row.cell(c.index); v != nil {
				tx.touch(s.table, row)
				tx.set(row, c.index, c.written(v), now)
			}
		}
		c.Type, c.choices, c.Choices = SingleLineText, nil, nil
		tx.changedFields = append(tx.changedFields, fieldChange{c, c.Name, was})
		return nil
	})
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
	c.Type, c.Formula, c.prog, c.choices = Formula, text, prog, nil
	return nil
}

// LockField refuses API writes to a field with 403 INVALID_PERMISSIONS, as
// Airtable's field editing permissions do, or allows them again.
func (s *Server) LockField(field string, locked bool) error {
	return s.changeField(field, func(_ *transaction, c *column) error {
		c.Locked = locked
		return nil
	})
}
