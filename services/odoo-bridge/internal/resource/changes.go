package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Watch is a model of Odoo's whose records, when written, change how records of resources look.
type Watch struct {
	Model     string
	Resources []string // whose records are touched
	Linked    []string // whose records only show the name: nobody can tell which of them
	link      string   // leads to the touched record; "" when it is the record itself
	needs     string   // only where products have this field
}

// watches are what a real Odoo 19 was seen to need: stock moves without a word in the product's
// write_date, and so do the texts of a sale's lines.
var watches = []Watch{
	{Model: "product.product", Resources: []string{"products"}, Linked: []string{"sales"}},
	{Model: "product.template", Resources: []string{"products"}, Linked: []string{"sales"}, link: "product_variant_ids"},
	{Model: "stock.quant", Resources: []string{"products"}, link: "product_id", needs: "qty_available"},
	{Model: "stock.move", Resources: []string{"products"}, link: "product_id", needs: "virtual_available"},
	{Model: "product.category", Linked: []string{"products"}},
	{Model: "uom.uom", Linked: []string{"products", "sales"}},
	{Model: "res.partner", Resources: partners, Linked: append(slices.Clone(partners), "sales")},
	{Model: "sale.order", Resources: []string{"sales"}},
	{Model: linesModel, Resources: []string{"sales"}, link: "order_id"},
	{Model: "account.tax", Linked: []string{"sales"}},
}

// partners are the resources of res.partner.
var partners = []string{"partners", "suppliers", "customers"}

const linesModel = "sale.order.line"

// Linked are the resources of which any record may look different once one of a resource was written:
// they show its name, or share fields with it, as the variants of a product do.
func Linked(name string) []string {
	if name == "products" {
		return []string{"products", "sales"}
	}
	for _, w := range watches {
		if w.link == "" && slices.Contains(w.Resources, name) {
			return w.Linked
		}
	}
	return nil
}

// Watches gives the models to watch in this Odoo.
func (s *Store) Watches(ctx context.Context) ([]Watch, error) {
	sc, err := s.schema(ctx)
	if err != nil {
		return nil, err
	}
	products := sc.resources["products"]
	var all []Watch
	for _, w := range watches {
		there := slices.ContainsFunc(slices.Concat(w.Resources, w.Linked), func(name string) bool { return sc.resources[name] != nil })
		if there && (w.needs == "" || products != nil && products.field(w.needs) != "") {
			all = append(all, w)
		}
	}
	return all, nil
}

// Resources gives the names of the resources this Odoo has.
func (s *Store) Resources(ctx context.Context) ([]string, error) {
	sc, err := s.schema(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(rpc.OdooResources), func(name string) bool { return sc.resources[name] == nil }), nil
}

// ErrUnwatchable is returned for a model that our user may not read, or that there is not.
var ErrUnwatchable = errors.New("cannot be watched")

// Touch is a record of a watched model that was written.
type Touch struct {
	ID      int64
	At      time.Time // its write_date, to the second: when the transaction began that wrote it
	Touched []int64   // records of Watch.Resources
}

// Touched gives the records of a watched model written since, oldest first and at most limit of
// them, archived ones included. Odoo dates a write by the begin of its transaction and by its own
// clock (odoo.Client.Now): look back by more than the longest transaction takes.
func (s *Store) Touched(ctx context.Context, w Watch, since time.Time, limit int) ([]Touch, error) {
	fields := []any{"write_date"}
	if w.link != "" {
		fields = append(fields, w.link)
	}
	answer, err := s.odoo.Call(ctx, odoo.Call{Model: w.Model, Method: "search_read", Context: everything(map[string]any{}), Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: []any{leaf("write_date", ">=", since.UTC().Format(odooTime))}}, {Name: "fields", Value: fields},
		{Name: "offset", Value: 0}, {Name: "limit", Value: limit}, {Name: "order", Value: "write_date, id"},
	}})
	if odoo.IsReason(err, odoo.NoRight) || noModel(err) {
		return nil, fmt.Errorf("%s: %w: %w", w.Model, ErrUnwatchable, err)
	}
	if err != nil {
		return nil, s.failed(err)
	}
	var touches []Touch
	for _, row := range rows(answer) {
		t := Touch{}
		t.ID, _ = row["id"].(int64)
		text, _ := row["write_date"].(string)
		t.At, _ = time.Parse(odooTime, text)
		switch w.link {
		case "":
			t.Touched = []int64{t.ID}
		case "product_variant_ids":
			t.Touched = idsOf(row[w.link])
		default:
			if ref, ok := refOf(row[w.link]); ok {
				t.Touched = []int64{ref.ID}
			}
		}
		touches = append(touches, t)
	}
	return touches, nil
}

func idsOf(answer any) []int64 {
	list, _ := answer.([]any)
	ids := make([]int64, 0, len(list))
	for _, v := range list {
		if id, ok := v.(int64); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// IDs gives the ids of all records, archived ones included: deletions leave no other trace in Odoo.
func (s *Store) IDs(ctx context.Context, name string) ([]int64, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.ids(ctx, r.model, r.belonging())
}

// ids gives the ids in a domain, ascending.
func (s *Store) ids(ctx context.Context, model string, domain []any) ([]int64, error) {
	answer, err := s.odoo.Call(ctx, odoo.Call{Model: model, Method: "search", Context: everything(map[string]any{}), Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: append([]any{}, domain...)}, {Name: "offset", Value: 0}, {Name: "limit", Value: false}, {Name: "order", Value: "id"},
	}})
	if err != nil {
		return nil, s.failed(err)
	}
	return idsOf(answer), nil
}

// Lines reports that these are the lines of sales, whose deletion the sale does not tell of.
func (w Watch) Lines() bool { return w.Model == linesModel }

// Members gives those of ids that are records of the resource, ascending.
func (s *Store) Members(ctx context.Context, name string, ids []int64) ([]int64, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.ids(ctx, r.model, append(one(leaf("id", "in", ids)), r.belonging()...))
}

// Count gives the number of records that IDs would give.
func (s *Store) Count(ctx context.Context, name string) (int, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return 0, err
	}
	return s.countOf(ctx, r.model, append([]any{}, r.belonging()...))
}

// CountLines gives the number of lines of all sales.
func (s *Store) CountLines(ctx context.Context) (int, error) {
	return s.countOf(ctx, linesModel, []any{})
}

func (s *Store) countOf(ctx context.Context, model string, domain []any) (int, error) {
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: model, Method: "search_count", Context: everything(map[string]any{}), Read: true, Args: []odoo.Arg{{Name: "domain", Value: domain}},
	})
	if err != nil {
		return 0, s.failed(err)
	}
	n, ok := answer.(int64)
	if !ok {
		return 0, unexpected(fmt.Errorf("search_count of %s gave %T", model, answer))
	}
	return int(n), nil
}
