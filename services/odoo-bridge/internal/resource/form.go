package resource

import (
	"context"
	"slices"
	"strings"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// fromForm gives what Odoo's form fills in, where values do not say otherwise. Until 15 Odoo does so by the form's onchange
// only; later versions compute it wherever the record comes from.
func (s *Store) fromForm(ctx context.Context, r *resource, scope Scope, id int64, values map[string]any) (map[string]any, error) {
	if r.Form == nil || r.has[r.Form.Computed].computed {
		return nil, nil
	}
	ids, header := []int64{}, map[string]any{}
	changed := []any{} // none: the form is opened with these values
	if id != 0 {
		ids, changed = []int64{id}, []any{r.Form.By}
	}
	spec := map[string]any{} // of fields with an onchange of their own, or it does not matter
	for _, name := range slices.Concat([]string{r.Form.By}, r.Form.With, r.Form.Fields) {
		spec[name] = "1"
	}
	for name, v := range values {
		if r.lines == nil || name != r.field(r.lines.Name) {
			header[name] = v
		}
	}
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: r.Model, Method: "onchange", IDs: ids, Context: scope.context(), Read: true, Args: []odoo.Arg{
			{Name: "values", Value: header}, {Name: "field_name", Value: changed}, {Name: "field_onchange", Value: spec},
		},
	})
	if err != nil {
		return nil, s.explain(ctx, r, scope, id, values, err, fault.Invalid)
	}
	result, _ := answer.(map[string]any)
	shown, _ := result["value"].(map[string]any)
	if by, told := shown[r.Form.By]; told && by == false { // a customer who is blocked
		warning, _ := result["warning"].(map[string]any)
		text, _ := warning["message"].(string)
		text = strings.TrimSpace("Odoo: " + text)
		return nil, fault.Field(r.named(r.Form.By), fault.T(text, text))
	}
	filled := map[string]any{}
	for _, name := range r.Form.Fields {
		v, told := shown[name]
		if _, given := values[name]; given || !told {
			continue
		}
		if ref, ok := refOf(v); ok {
			filled[name] = ref.ID
		} else if id != 0 {
			filled[name] = false
		}
	}
	return filled, nil
}

// named gives the field that Odoo has a name for.
func (r *resource) named(from string) string {
	for name, its := range r.from {
		if its == from {
			return name
		}
	}
	return from
}
