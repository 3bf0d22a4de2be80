package resource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// externalModule is the namespace of our external identifiers in Odoo. No module of that name is installed, so no
// upgrade of one removes them.
const externalModule = "resonance"

// Create makes a record and gives it as Odoo completed it. Called again with the same reference it makes no other one,
// and gives the record as it is now. The reference is of letters, digits and "_".
func (s *Store) Create(ctx context.Context, name string, scope Scope, w odooapi.Write, reference string) (Record, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return Record{}, err
	}
	values, err := r.values(w.Values, true)
	if err != nil {
		return Record{}, err
	}
	if r.Rank != "" && r.has[r.Rank].kind != "" {
		values[r.Rank] = int64(1)
	}
	defaults, err := s.fromForm(ctx, r, scope, 0, values)
	if err != nil {
		return Record{}, err
	}
	id, err := s.createOnce(ctx, r, scope, values, defaults, externalModule+"."+reference)
	if err != nil {
		return Record{}, s.explainCreate(ctx, r, scope, values, err)
	}
	record, err := s.One(ctx, name, scope, id)
	return record, done(id, err)
}

// createOnce creates a record together with an external identifier, which Odoo keeps unique, in one transaction. The
// method load can do both, in all versions and for users without a right to external identifiers; its mode "update"
// with noupdate leaves a record alone that already has the identifier. It takes texts, so what a text cannot say (many
// lines with fields of their own, times in UTC) is given as defaults in the context.
func (s *Store) createOnce(ctx context.Context, r *resource, scope Scope, values, defaults map[string]any, externalID string) (int64, error) {
	vals := scope.context()
	for name, v := range defaults {
		vals["default_"+name] = v
	}
	vals["mode"], vals["noupdate"] = "update", true
	columns, row := []any{"id"}, []any{externalID}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text, ok := cell(values[name])
		switch kind := r.has[name].kind; {
		case !ok || kind == "datetime" && text != "":
			vals["default_"+name] = values[name]
			continue
		case kind == "many2one":
			name += "/.id"
		}
		columns, row = append(columns, name), append(row, text)
	}
	call := odoo.Call{
		Model: r.Model, Method: "load", Context: vals, Repeatable: true,
		Args: []odoo.Arg{{Name: "fields", Value: columns}, {Name: "data", Value: []any{row}}},
	}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		answer, err := s.odoo.Call(ctx, call)
		var id int64
		if err == nil {
			id, err = loaded(answer)
		}
		if !odoo.IsContended(err) { // with a twin of this request
			return id, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// cell writes a value as load reads it; not ok when a text cannot say it. An empty text is Odoo's False.
func cell(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		if v {
			return "1", true
		}
		return "", true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// loaded reads the answer of load: {"ids": [7], "messages": []}, or ids False and messages that say why.
func loaded(answer any) (int64, error) {
	result, _ := answer.(map[string]any)
	if ids := idsOf(result["ids"]); len(ids) == 1 {
		return ids[0], nil
	}
	messages, _ := result["messages"].([]any)
	for _, m := range messages {
		message, _ := m.(map[string]any)
		if text, ok := message["message"].(string); ok && message["type"] == "error" {
			field, _ := message["field"].(string)
			return 0, odoo.Refusal(text, field)
		}
	}
	return 0, unexpected(fmt.Errorf("load gave %v", answer))
}

// explainCreate is explain, for a refusal of load: it does not tell a missing right from other refusals.
func (s *Store) explainCreate(ctx context.Context, r *resource, scope Scope, values map[string]any, err error) error {
	if odoo.IsReason(err, odoo.Invalid) {
		may, failed := s.odoo.Call(ctx, odoo.Call{Model: r.Model, Method: "check_access_rights", Read: true, Args: []odoo.Arg{
			{Name: "operation", Value: "create"}, {Name: "raise_exception", Value: false},
		}})
		if failed == nil && may == false {
			err = &odoo.RefusalError{Reason: odoo.NoRight, Message: err.Error()}
		}
	}
	return s.explain(ctx, r, scope, 0, values, err, fault.Invalid)
}

// done is the error of reading a record back that has been written: the change was made all the same.
func done(id int64, err error) error {
	if err == nil {
		return nil
	}
	f := *fault.From(err)
	f.Detail = fault.T(
		fmt.Sprintf("El cambio se hizo en Odoo (registro %d), pero no se pudo leer el resultado", id),
		fmt.Sprintf("The change was made in Odoo (record %d), but the result could not be read", id))
	return &f
}

// outcomeUnknown reports that a write may have been made.
func outcomeUnknown(err error) bool { return errors.Is(err, odoo.ErrOutcomeUnknown) }
