package resource

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Touched gives the ids, at most limit, of records written since, oldest first, archived ones
// included, and when the last of them was written. What else changes how a record looks counts too:
// a product's template, its stock. A record of another resource that is only linked does not.
func (s *Store) Touched(ctx context.Context, name string, since time.Time, limit int) (ids []int64, last time.Time, err error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, time.Time{}, err
	}
	at := since.UTC().Format(odooTime)
	terms := [][]any{one(leaf("write_date", ">=", at))}
	for _, path := range r.touched {
		if field, _, _ := strings.Cut(path, "."); r.has[field].kind != "" {
			terms = append(terms, one(leaf(path, ">=", at)))
		}
	}
	answer, err := s.odoo.Call(ctx, odoo.Call{Model: r.model, Method: "search_read", Context: everything(map[string]any{}), Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: append(either(terms...), r.belonging()...)}, {Name: "fields", Value: []any{"write_date"}},
		{Name: "offset", Value: 0}, {Name: "limit", Value: limit}, {Name: "order", Value: "write_date, id"},
	}})
	if err != nil {
		return nil, time.Time{}, s.failed(err)
	}
	for _, row := range rows(answer) {
		id, _ := row["id"].(int64)
		text, _ := row["write_date"].(string)
		if at, err := time.Parse(odooTime, text); err == nil && at.After(last) {
			last = at
		}
		ids = append(ids, id)
	}
	return ids, last, nil
}

// IDs gives the ids of all records, archived ones included, in ascending order: deletions leave no
// other trace in Odoo.
func (s *Store) IDs(ctx context.Context, name string) ([]int64, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	answer, err := s.odoo.Call(ctx, odoo.Call{Model: r.model, Method: "search", Context: everything(map[string]any{}), Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: append([]any{}, r.belonging()...)}, {Name: "offset", Value: 0}, {Name: "limit", Value: false}, {Name: "order", Value: "id"},
	}})
	if err != nil {
		return nil, s.failed(err)
	}
	list, _ := answer.([]any)
	ids := make([]int64, 0, len(list))
	for _, v := range list {
		if id, ok := v.(int64); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
