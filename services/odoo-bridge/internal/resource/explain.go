package resource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// parenthesized finds the technical names of fields that Odoo puts into its sentences, in any
// language: "Missing required value for the field 'Customer' (partner_id)".
var parenthesized = regexp.MustCompile(`\((\w+)\)`)

// explain finds out what a refused write was refused for. Odoo's sentences come in the client's
// language, so what can be asked is asked: whether the record exists, whether a barcode is taken.
func (s *Store) explain(ctx context.Context, r *resource, scope Scope, id int64, values map[string]any, err error, code fault.Code) error {
	var refusal *odoo.RefusalError
	if !errors.As(err, &refusal) {
		return unexpected(err)
	}
	if names := s.brokenLinks(ctx, r, values); len(names) > 0 {
		mistakes := map[string]fault.Text{}
		for _, name := range names {
			mistakes[name] = fault.T("no existe en Odoo", "does not exist in Odoo")
		}
		return invalid(mistakes)
	}
	if refusal.Reason == odoo.Missing && id != 0 {
		return notFound(id)
	}
	if refusal.Reason != odoo.Invalid {
		return s.failed(err)
	}
	if id != 0 && s.count(ctx, r, scope, leaf("id", "=", id)) == 0 {
		return notFound(id)
	}
	f := &fault.Error{
		Code: code, Err: err, Fields: map[string]fault.Text{},
		Detail: fault.T("Odoo no lo acepta: "+refusal.Message, "Odoo does not accept it: "+refusal.Message),
	}
	for _, field := range r.Fields {
		from := r.field(field.Name)
		value, ok := values[from].(string)
		if field.Unique != nil && ok && s.count(ctx, r, Scope{}, leaf(from, "=", value), leaf("id", "!=", id)) > 0 {
			f.Code, f.Detail, f.Fields[field.Name] = fault.Conflict, field.Unique.Detail, field.Unique.Field
			return f
		}
	}
	named := append(parenthesized.FindAllStringSubmatch(refusal.Message, -1), []string{"", refusal.Field})
	for _, match := range named {
		for name, from := range r.from {
			if from == match[1] {
				f.Fields[name] = fault.T(refusal.Message, refusal.Message)
			}
		}
	}
	for name, from := range r.from { // "The VAT number [ES1] does not seem to be valid"
		text, ok := values[from].(string)
		if len(f.Fields) == 0 && ok && len(text) > 2 && r.has[from].kind == "char" && strings.Contains(refusal.Message, text) {
			f.Fields[name] = fault.T(refusal.Message, refusal.Message)
		}
	}
	return f
}

// brokenLinks names the fields, of lines too, that are to hold a link to a record that there is not.
// Odoo tells so in as many ways as it has layers: a missing record, a constraint of the database's,
// a company that our user has no right to.
func (s *Store) brokenLinks(ctx context.Context, r *resource, values map[string]any) (names []string) {
	links := map[string]map[int64][]string{} // by model and id, the fields
	collect := func(r *resource, prefix string, values map[string]any) {
		for name, from := range r.from {
			for _, id := range linkedBy(values[from]) {
				model := r.has[from].relation
				if links[model] == nil {
					links[model] = map[int64][]string{}
				}
				links[model][id] = append(links[model][id], prefix+name)
			}
		}
	}
	collect(r, "", values)
	if r.lines != nil {
		commands, _ := values[r.field(r.lines.Name)].([]any)
		for i, c := range commands {
			if command, _ := c.([]any); len(command) == 3 {
				if line, ok := command[2].(map[string]any); ok {
					collect(r.lines, fmt.Sprintf("%s.%d.", r.lines.Name, i), line)
				}
			}
		}
	}
	delete(links, "") // no links, or of an Odoo that does not tell
	for model, byID := range links {
		there, err := s.ids(ctx, model, one(leaf("id", "in", slices.Collect(maps.Keys(byID)))))
		if err != nil {
			continue
		}
		for id, fields := range byID {
			if !slices.Contains(there, id) {
				names = append(names, fields...)
			}
		}
	}
	return names
}

// linkedBy gives the ids in a value to be written: an id, or the command that sets a list of them.
func linkedBy(value any) (ids []int64) {
	if id, ok := value.(int64); ok {
		return []int64{id}
	}
	commands, _ := value.([]any)
	for _, c := range commands {
		if command, _ := c.([]any); len(command) == 3 && command[0] == 6 {
			ids = append(ids, idsOf(command[2])...)
		}
	}
	return ids
}

// count counts records, archived ones too; -1 when Odoo does not say.
func (s *Store) count(ctx context.Context, r *resource, scope Scope, conditions ...any) int64 {
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: r.Model, Method: "search_count", Context: everything(scope.context()), Read: true, Args: []odoo.Arg{{Name: "domain", Value: conditions}},
	})
	if n, ok := answer.(int64); ok && err == nil {
		return n
	}
	return -1
}
