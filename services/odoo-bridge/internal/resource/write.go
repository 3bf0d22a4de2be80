package resource

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

var errChanged = fault.New(fault.Stale, fault.T(
	"Alguien cambió este registro mientras tanto; vuelva a leerlo", "Somebody changed this record meanwhile; read it again"))

// Attempt says what is known of earlier attempts of a write.
type Attempt int

// Attempts. LookUp makes no write: it gives the record if the write was made, and else an error that wraps
// odoo.ErrOutcomeUnknown.
const (
	First    Attempt = iota
	Repeated         // it may have been made
	Pending          // it may have been made, or still be made
	LookUp
)

// errPending is the error of a write that may still be made.
var errPending = odooapi.OutcomeUnknown(odoo.ErrOutcomeUnknown)

// Update changes the fields that w names. A repeated write that the record shows already is not made again, whatever
// IfMatch says: it changed the tag itself.
func (s *Store) Update(ctx context.Context, name string, scope Scope, w odooapi.Write, attempt Attempt) (Record, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return Record{}, err
	}
	values, err := r.values(w.Values, false)
	if err != nil {
		return Record{}, err
	}
	linesGiven := r.lines != nil && w.Values[r.lines.Name] != nil
	var before Record
	if w.IfMatch != "" || linesGiven || attempt != First {
		if before, err = s.One(ctx, name, scope, w.ID); err != nil {
			return Record{}, err
		}
		switch {
		case attempt != First && isApplied(before, w.Values):
			return before, nil
		case attempt == LookUp, attempt == Pending && linesGiven: // lines would be added twice
			return Record{}, errPending
		}
		if w.IfMatch != "" && w.IfMatch != before.ETag() {
			return Record{}, errChanged
		}
	}
	if linesGiven {
		if err := r.replaceLines(values, before); err != nil {
			return Record{}, err
		}
	}
	if r.Form != nil && values[r.Form.By] != nil {
		filled, err := s.fromForm(ctx, r, scope, w.ID, values)
		if err != nil {
			return Record{}, err
		}
		maps.Copy(values, filled)
	}
	if err := s.write(ctx, r, scope, w.ID, values, before, linesGiven); err != nil {
		return Record{}, err
	}
	record, err := s.One(ctx, name, scope, w.ID)
	return record, doneUnlessMissing(w.ID, err)
}

// write writes values to a record, which was as given before if lines are among them.
func (s *Store) write(ctx context.Context, r *resource, scope Scope, id int64, values map[string]any, before Record, lines bool) error {
	active, hasActive := values["active"]
	if hasActive = hasActive && r.Archive == erp.Archives; hasActive {
		delete(values, "active")
	}
	if len(values) > 0 || !hasActive {
		_, err := s.odoo.Call(ctx, odoo.Call{
			Model: r.Model, Method: "write", IDs: []int64{id}, Context: scope.context(), Repeatable: !lines,
			Args: []odoo.Arg{{Name: "vals", Value: values}},
		})
		if err != nil && lines && outcomeUnknown(err) && s.hasChanged(ctx, r.Name, scope, before) {
			err = nil
		}
		if err != nil {
			return s.explain(ctx, r, scope, id, values, err, fault.Invalid)
		}
	}
	if hasActive {
		return s.setActive(ctx, r, scope, id, active == true)
	}
	return nil
}

// hasChanged reports that a record is not as it was before a write whose answer got lost. Nobody else writes it through
// Resonance meanwhile, so the write was made.
func (s *Store) hasChanged(ctx context.Context, name string, scope Scope, before Record) bool {
	now, err := s.One(ctx, name, scope, before.ID)
	return err == nil && now.ETag() != before.ETag()
}

// doneUnlessMissing is done, but for a record that there never was: Odoo writes nothing to it without complaint.
func doneUnlessMissing(id int64, err error) error {
	if fault.CodeOf(err) == fault.NotFound {
		return err
	}
	return done(id, err)
}

// Archive hides a record from lists, or does what its resource says instead.
func (s *Store) Archive(ctx context.Context, name string, scope Scope, id int64, attempt Attempt) (Record, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return Record{}, err
	}
	if r.Archive != erp.Archives {
		return s.Act(ctx, name, r.Archive, scope, id, attempt)
	}
	if attempt == LookUp {
		record, err := s.One(ctx, name, scope, id)
		if err == nil && !isApplied(record, map[string]json.RawMessage{"active": json.RawMessage("false")}) {
			err = errPending
		}
		return record, err
	}
	if err := s.setActive(ctx, r, scope, id, false); err != nil {
		return Record{}, err
	}
	record, err := s.One(ctx, name, scope, id)
	return record, doneUnlessMissing(id, err)
}

// setActive archives or restores, by the methods that take a product's template along.
func (s *Store) setActive(ctx context.Context, r *resource, scope Scope, id int64, active bool) error {
	if r.Protected != nil && !active {
		if err := s.checkProtected(ctx, r.Protected, id); err != nil {
			return err
		}
	}
	method := "action_archive"
	if active {
		method = "action_unarchive"
	}
	_, err := s.odoo.Call(ctx, odoo.Call{Model: r.Model, Method: method, IDs: []int64{id}, Context: everything(scope.context()), Repeatable: true})
	if err != nil {
		return s.explain(ctx, r, scope, id, nil, err, fault.Conflict)
	}
	return nil
}

// checkProtected refuses a record that others stand on.
func (s *Store) checkProtected(ctx context.Context, p *erp.Protected, id int64) error {
	n, err := s.countOf(ctx, p.By, one(leaf(p.Field, "=", id)))
	if err != nil || n == 0 {
		return err
	}
	return fault.New(fault.Conflict, p.Text)
}
