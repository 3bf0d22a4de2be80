package resource

import (
	"cmp"
	"context"
	"slices"

	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

// Fields tells which fields of a resource this Odoo has, and what can be done with them in it.
func (s *Store) Fields(ctx context.Context, name string) ([]odooapi.FieldInfo, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.about(), nil
}

// kindNames are what clients are told of kinds.
var kindNames = map[rpc.Kind]string{rpc.Links: "list", rpc.Lines: "list"}

func (r *resource) about() []odooapi.FieldInfo {
	fields := []odooapi.FieldInfo{}
	for _, f := range r.Fields {
		from := r.field(f.Name)
		if where, apart := r.where(f); from == "" && (!apart || where(true) == nil) {
			continue
		}
		is := odooapi.FieldInfo{
			Name: f.Name, Type: cmp.Or(kindNames[f.Kind], string(f.Kind)), Filter: f.Has(rpc.Filtered), Sort: f.Has(rpc.Sorted) && r.has[from].sortable,
			Write: f.Has(rpc.Written) && (f.Was == nil || from != "" || r.merges()), Required: f.Has(rpc.Required), Options: f.Options,
		}
		if f.Lines != nil {
			is.Fields = r.lines.about()
		}
		for _, value := range r.has[from].selection {
			if f.Name != r.was.Field || value != r.was.Value {
				is.Values = append(is.Values, value)
			}
		}
		fields = append(fields, is)
	}
	return slices.Clip(fields)
}
