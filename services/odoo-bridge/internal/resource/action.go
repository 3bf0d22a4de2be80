package resource

import (
	"context"
	"encoding/json"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Act does one of a resource's actions to a record; one that is done already changes nothing. Versions differ in what
// they say to that, so the record is read first. It is read again after it, since some buttons open a wizard instead.
func (s *Store) Act(ctx context.Context, name, action string, scope Scope, id int64, attempt Attempt) (Record, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return Record{}, err
	}
	a := r.Action(action)
	if a == nil {
		return Record{}, noModule(name)
	}
	was, err := s.One(ctx, name, scope, id)
	if err != nil || has(was, a.Field, a.To) {
		return was, err
	}
	if attempt == Pending || attempt == LookUp {
		return Record{}, errPending
	}
	for _, refusal := range a.Refusals {
		if has(was, refusal.Field, refusal.Value) {
			return Record{}, fault.New(fault.Conflict, refusal.Text)
		}
	}
	_, called := s.odoo.Call(ctx, odoo.Call{Model: r.Model, Method: a.Method, IDs: []int64{id}, Context: scope.context(a.Context...)})
	if called != nil && !outcomeUnknown(called) {
		return Record{}, s.explain(ctx, r, scope, id, nil, called, fault.Conflict)
	}
	is, err := s.One(ctx, name, scope, id)
	switch {
	case called != nil && (err != nil || !has(is, a.Field, a.To)):
		return Record{}, unexpected(called)
	case err != nil:
		return Record{}, done(id, err)
	case !has(is, a.Field, a.To):
		return Record{}, fault.New(fault.Conflict, fault.T(
			"Odoo pide más datos para esto; hágalo en Odoo", "Odoo asks for more to do this; do it in Odoo"))
	}
	return is, nil
}

// has reports whether a field of a record has a value.
func has(r Record, field string, value any) bool {
	var members map[string]any
	return json.Unmarshal(r.Data, &members) == nil && members[field] == value
}
