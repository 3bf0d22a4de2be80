package resource

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// lineRows reads the lines of records. Some builds of Odoo 19 refuse to read a line whose tax is of a company that is not
// active (odoo#235277), and every other line of the call with it: then the lines of each record are read by themselves,
// and without such links if that is refused too.
func (s *Store) lineRows(ctx context.Context, r *resource, scope Scope, parents []int64) ([]map[string]any, error) {
	read := func(parents []int64, fields []any) ([]map[string]any, error) {
		answer, err := s.odoo.Call(ctx, odoo.Call{
			Model: r.lines.Model, Method: "search_read", Context: scope.context(), Read: true, Args: []odoo.Arg{
				{Name: "domain", Value: []any{leaf(r.of.Parent, "in", parents)}}, {Name: "fields", Value: fields},
				{Name: "offset", Value: 0}, {Name: "limit", Value: false}, {Name: "order", Value: r.of.Parent + ", " + r.of.Order + ", id"},
			},
		})
		return rows(answer), err
	}
	fields := append(r.lines.reads(), r.of.Parent)
	found, err := read(parents, fields)
	if !odoo.IsReason(err, odoo.NoRight) || len(r.lines.links()) == 0 {
		return found, err
	}
	plain := slices.DeleteFunc(slices.Clone(fields), func(name any) bool {
		return slices.ContainsFunc(r.lines.links(), func(f erp.Field) bool { return name == r.lines.field(f.Name) })
	})
	found = nil
	for _, parent := range parents {
		of, err := read([]int64{parent}, fields)
		if odoo.IsReason(err, odoo.NoRight) {
			of, err = read([]int64{parent}, plain)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	return found, nil
}

// linesOf reads the lines of records, by record, with the names of what they link to.
func (s *Store) linesOf(ctx context.Context, r *resource, scope Scope, parents []int64) (map[int64][]json.RawMessage, error) {
	found, err := s.lineRows(ctx, r, scope, parents)
	if err != nil {
		return nil, err
	}
	refs := map[string]map[int64]odooapi.Ref{} // of Links, by field and id
	for _, f := range r.lines.links() {
		if refs[f.Name], err = s.refs(ctx, f.Model, scope, found, r.lines.field(f.Name)); err != nil {
			return nil, err
		}
	}
	byParent := map[int64][]json.RawMessage{}
	for _, row := range found {
		members := r.lines.members(row)
		for i, m := range members {
			f, _ := r.lines.Field(m.name)
			if f.Kind != rpc.Links {
				continue
			}
			links := []odooapi.Ref{}
			for _, id := range idsOf(row[r.lines.field(f.Name)]) {
				links = append(links, odooapi.Ref{ID: id, Name: refs[f.Name][id].Name})
			}
			members[i].value = links
		}
		line, err := encode(members)
		if err != nil {
			return nil, err
		}
		if parent, ok := refOf(row[r.of.Parent]); ok {
			byParent[parent.ID] = append(byParent[parent.ID], line)
		}
	}
	return byParent, nil
}

// refs reads the names of all records that a field of rows lists; none when our user may not.
func (s *Store) refs(ctx context.Context, model string, scope Scope, found []map[string]any, field string) (map[int64]odooapi.Ref, error) {
	var ids []int64
	for _, row := range found {
		ids = append(ids, idsOf(row[field])...)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: model, Method: "search_read", Context: everything(scope.context()), Read: true, Args: []odoo.Arg{
			{Name: "domain", Value: []any{leaf("id", "in", slices.Compact(ids))}}, {Name: "fields", Value: []any{"name"}},
		},
	})
	if err != nil && !odoo.IsReason(err, odoo.NoRight) {
		return nil, err
	}
	named := map[int64]odooapi.Ref{}
	for _, row := range rows(answer) {
		id, _ := row["id"].(int64)
		name, _ := row["name"].(string)
		named[id] = odooapi.Ref{ID: id, Name: name}
	}
	return named, nil
}
