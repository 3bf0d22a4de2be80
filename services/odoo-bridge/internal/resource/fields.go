package resource

import (
	"context"
	"slices"

	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

// Fields tells which fields of a resource this Odoo has, and what can be done with them in it.
func (s *Store) Fields(ctx context.Context, name string) ([]odooapi.FieldInfo, error) {
	sc, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.about(sc), nil
}

var kindNames = map[rpc.Kind]string{
	rpc.Text: "text", rpc.Number: "number", rpc.Date: "date", rpc.Time: "time", rpc.Bool: "bool", rpc.Link: "link", rpc.List: "list",
}

func (r *resource) about(sc *schema) []odooapi.FieldInfo {
	fields := []odooapi.FieldInfo{}
	for _, f := range r.fields {
		c, _, _ := r.column(f.Name)
		from := r.field(f.Name)
		if from == "" && f.Name != "lines" && (c.where == nil || c.where(r, true) == nil) {
			continue
		}
		is := odooapi.FieldInfo{
			Name: f.Name, Type: kindNames[f.Kind], Filter: f.Has(odooapi.Filtered), Sort: f.Has(odooapi.Sorted) && r.has[from].sortable,
			Write: f.Has(odooapi.Written), Required: f.Has(odooapi.Required), Options: f.Options(),
		}
		if f.Name == r.merged.flag && from == "" {
			is.Write = is.Write && r.merges()
		}
		if f.Name == "lines" {
			is.Fields = sc.lines.about(sc)
		}
		for _, value := range r.has[from].selection {
			if f.Name != r.merged.column || value != r.merged.value {
				is.Values = append(is.Values, value)
			}
		}
		fields = append(fields, is)
	}
	return slices.Clip(fields)
}
