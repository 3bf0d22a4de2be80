package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Watch is a model of Odoo's whose records, when written, change how records of resources look.
type Watch struct {
	Model     string
	Resources []string // whose records are touched
	Linked    []string // whose records only show the name: nobody can tell which of them
	link      string   // leads to the touched record; "" when it is the record itself
	needs     string   // only where products have this field
	reached   []reach
}

// reach is a way from the records of a root to those of a watched model.
type reach struct{ root, path string }

// The roots: every record that is shown is one of these, or belongs to one.
const (
	ofProduct = "product.product"
	ofPartner = "res.partner"
)

// watches are what a real Odoo 19 was seen to need: stock moves without a word in the product's
// write_date, and so do the texts of a sale's lines. {uom} and {taxes} stand for what lines call them.
var watches = []Watch{
	{Model: ofProduct, Resources: []string{"products"}, Linked: []string{"sales"}, reached: []reach{{ofProduct, ""}}},
	{Model: "product.template", Resources: []string{"products"}, Linked: []string{"sales"}, link: "product_variant_ids", reached: []reach{{ofProduct, "product_tmpl_id."}}},
	{Model: "stock.quant", Resources: []string{"products"}, link: "product_id", needs: "qty_available", reached: []reach{{ofProduct, "stock_quant_ids."}}},
	{Model: "stock.move", Resources: []string{"products"}, link: "product_id", needs: "virtual_available", reached: []reach{{ofProduct, "stock_move_ids."}}},
	{Model: "product.category", Linked: []string{"products"}, reached: categories()},
	{Model: "uom.uom", Linked: []string{"products", "sales"}, reached: []reach{{ofProduct, "uom_id."}, {ofPartner, "sale_order_ids.order_line.{uom}."}}},
	{Model: ofPartner, Resources: partners, Linked: append(slices.Clone(partners), "sales"), reached: []reach{{ofPartner, ""}}},
	{Model: ordersModel, Resources: []string{"sales"}, reached: []reach{{ofPartner, "sale_order_ids."}}},
	{Model: LinesModel, Resources: []string{"sales"}, link: "order_id", reached: []reach{{ofPartner, "sale_order_ids.order_line."}}},
	{Model: "account.tax", Linked: []string{"sales"}, reached: []reach{{ofPartner, "sale_order_ids.order_line.{taxes}."}}},
}

// maxCategories is how deep categories may be nested for a short look to see all that the full name of a
// product's category is made of.
const maxCategories = 8

func categories() []reach {
	all := []reach{{ofProduct, "categ_id."}}
	for range maxCategories - 1 {
		all = append(all, reach{ofProduct, all[len(all)-1].path + "parent_id."})
	}
	return all
}

// partners are the resources of res.partner.
var partners = []string{"partners", "suppliers", "customers"}

const ordersModel = "sale.order"

// LinesModel has the lines of sales.
const LinesModel = "sale.order.line"

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
	return slices.DeleteFunc(slices.Clone(odooapi.Resources), func(name string) bool { return sc.resources[name] == nil }), nil
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
func (w Watch) Lines() bool { return w.Model == LinesModel }

// Own reports that the records of the model are those of a resource, the first of Resources.
func (w Watch) Own() bool { return w.link == "" && len(w.Resources) > 0 }

// ModelOf gives the model whose records a resource has.
func ModelOf(name string) string { return tables[name].model }

// Members gives those of ids that are records of the resource, ascending.
func (s *Store) Members(ctx context.Context, name string, ids []int64) ([]int64, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.ids(ctx, r.model, append(one(leaf("id", "in", ids)), r.belonging()...))
}

// Written reports whether any record of the watched models was written since, as far as it belongs to a
// product or a partner: in one call for each of the two, however many models are watched.
func (s *Store) Written(ctx context.Context, watches []Watch, since time.Time) (bool, error) {
	sc, err := s.schema(ctx)
	if err != nil {
		return false, err
	}
	names := strings.NewReplacer("{uom}", sc.lines.field("uom"), "{taxes}", sc.lines.field("taxes"))
	at := since.UTC().Format(odooTime)
	terms := map[string][][]any{}
	for _, w := range watches {
		for _, r := range w.reached {
			if path := names.Replace(r.path); !strings.Contains(path, "..") && (path == "" || r.root == ofProduct || sc.resources["sales"] != nil) {
				terms[r.root] = append(terms[r.root], one(leaf(path+"write_date", ">=", at)))
			}
		}
	}
	for _, root := range []string{ofProduct, ofPartner} {
		if len(terms[root]) == 0 {
			continue
		}
		answer, err := s.odoo.Call(ctx, odoo.Call{Model: root, Method: "search", Context: everything(map[string]any{}), Read: true, Args: []odoo.Arg{
			{Name: "domain", Value: either(terms[root]...)}, {Name: "offset", Value: 0}, {Name: "limit", Value: 1},
		}})
		if err != nil {
			return false, s.failed(err)
		}
		if len(idsOf(answer)) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Totals gives the number of records, archived ones included, of each model whose records can be deleted
// from a resource. Odoo counts them in one call for a user who may read ir.model, and then also what that
// user cannot see: only differences mean something.
func (s *Store) Totals(ctx context.Context) (map[string]int, error) {
	sc, err := s.schema(ctx)
	if err != nil {
		return nil, err
	}
	var models []string
	for name, model := range map[string]string{"products": ofProduct, "partners": ofPartner, "sales": ordersModel} {
		if sc.resources[name] != nil {
			models = append(models, model)
		}
	}
	if sc.resources["sales"] != nil {
		models = append(models, LinesModel)
	}
	totals := map[string]int{}
	if sc.counts {
		answer, err := s.odoo.Call(ctx, odoo.Call{Model: "ir.model", Method: "search_read", Read: true, Args: []odoo.Arg{
			{Name: "domain", Value: one(leaf("model", "in", models))}, {Name: "fields", Value: []any{"model", "count"}},
		}})
		if err != nil {
			return nil, s.failed(err)
		}
		for _, row := range rows(answer) {
			model, _ := row["model"].(string)
			n, _ := row["count"].(int64)
			totals[model] = int(n)
		}
		return totals, nil
	}
	for _, model := range models {
		if totals[model], err = s.countOf(ctx, model, []any{}); err != nil {
			return nil, err
		}
	}
	return totals, nil
}

// CountsApart reports that Totals takes a call for each model: our user may not read ir.model.
func (s *Store) CountsApart(ctx context.Context) (bool, error) {
	sc, err := s.schema(ctx)
	return err == nil && !sc.counts, err
}

// IsFilter reports whether a resource has only some of the records of its model: a record can leave it
// without being deleted.
func IsFilter(name string) bool { return name == "suppliers" || name == "customers" }

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
