package resource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Watch is a model of Odoo's whose records, when written, change how records of resources look.
type Watch struct {
	Model     string
	Resources []string // whose records are touched
	Linked    []string // of which any record may look different: they show its name
	Own       bool     // its records are those of Resources
	Lines     bool     // its records are the lines of those of Resources, whose deletion they do not show
	link      string   // leads to the touched record; "" when it is the record itself
	reached   []reach
}

// reach is a way from the records of a root to those of a watched model: every record that is shown is one of a root's, or
// belongs to one.
type reach struct{ root, path string }

// treeDepth is how deep records may be nested for a short poll to see all that the full name of one is made of.
const treeDepth = 8

// watchList collects watches by model.
type watchList []Watch

func (l *watchList) at(model string) *Watch {
	i := slices.IndexFunc(*l, func(w Watch) bool { return w.Model == model })
	if i < 0 {
		i = len(*l)
		*l = append(*l, Watch{Model: model})
	}
	return &(*l)[i]
}

// reach adds ways to a model from the records of a resource.
func (w *Watch) reach(r *erp.Resource, paths ...string) {
	root := erp.Path{Model: r.Model}
	if r.Via != nil {
		root = *r.Via
	}
	for _, path := range paths {
		way := reach{root.Model, root.Path + path}
		if !slices.Contains(w.reached, way) {
			w.reached = append(w.reached, way)
		}
	}
}

// Watches gives the models to watch in this Odoo.
func (s *Store) Watches(ctx context.Context) ([]Watch, error) {
	sc, err := s.schema(ctx)
	if err != nil {
		return nil, err
	}
	var all watchList
	for _, d := range erp.Resources {
		r := sc.resources[d.Name]
		if r == nil {
			continue
		}
		own := all.at(d.Model)
		own.Own, own.Resources = true, append(own.Resources, d.Name)
		own.reach(d, "")
		if r.lines != nil {
			lines := all.at(r.of.Model)
			lines.Lines, lines.link, lines.Resources = true, r.of.Parent, append(lines.Resources, d.Name)
			lines.reach(d, r.field(r.lines.Name)+".")
		}
		for _, watch := range d.Watches {
			if watch.Needs != "" && r.field(watch.Needs) == "" {
				continue
			}
			paths := r.paths(watch)
			w := all.at(watch.Model)
			w.reach(d, paths...)
			if watch.Link == "" {
				w.Linked = append(w.Linked, d.Name)
			} else {
				w.link, w.Resources = watch.Link, append(w.Resources, d.Name)
			}
		}
	}
	return all, nil
}

// paths are the ways from a record to those of a watched model.
func (r *resource) paths(w erp.Watch) []string {
	path := w.Path
	if r.lines != nil {
		for _, f := range r.lines.Fields {
			path = strings.ReplaceAll(path, "{"+f.Name+"}", r.lines.field(f.Name))
		}
	}
	if path == "" || strings.Contains(path, "..") { // of another resource, or of a field that this Odoo has not
		return nil
	}
	paths := []string{path}
	for w.Parent != "" && len(paths) < treeDepth {
		paths = append(paths, paths[len(paths)-1]+w.Parent)
	}
	return paths
}

// Linked are the resources of which any record may look different once one of a resource was written: they show its name,
// or share fields with it, as the variants of a product do.
func Linked(name string) (names []string) {
	written := erp.Named(name)
	for _, r := range erp.Resources {
		shows := slices.ContainsFunc(r.Watches, func(w erp.Watch) bool { return w.Link == "" && w.Model == written.Model })
		if shows || r == written && r.Siblings {
			names = append(names, r.Name)
		}
	}
	return names
}

// Resources gives the names of the resources this Odoo has.
func (s *Store) Resources(ctx context.Context) ([]string, error) {
	sc, err := s.schema(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(erp.Names(), func(name string) bool { return sc.resources[name] == nil }), nil
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
		if w.Own {
			t.Touched = []int64{t.ID}
		} else {
			t.Touched = linkedIDs(row[w.link])
		}
		touches = append(touches, t)
	}
	return touches, nil
}

// linkedIDs gives the ids of a link, many2one or of many.
func linkedIDs(v any) []int64 {
	if list, _ := v.([]any); len(list) == 2 {
		if _, named := list[1].(string); named {
			return idsOf(list[:1])
		}
	}
	return idsOf(v)
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
	return s.ids(ctx, r.Model, r.belonging())
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

// Members gives those of ids that are records of the resource, ascending.
func (s *Store) Members(ctx context.Context, name string, ids []int64) ([]int64, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.ids(ctx, r.Model, append(one(leaf("id", "in", ids)), r.belonging()...))
}

// Written reports whether any record of the watched models was written since, as far as it belongs to a record of a root:
// in one call for each root, however many models are watched.
func (s *Store) Written(ctx context.Context, watches []Watch, since time.Time) (bool, error) {
	at := since.UTC().Format(odooTime)
	terms := map[string][][]any{}
	for _, w := range watches {
		for _, r := range w.reached {
			terms[r.root] = append(terms[r.root], one(leaf(r.path+"write_date", ">=", at)))
		}
	}
	for _, root := range slices.Sorted(maps.Keys(terms)) {
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
	for _, d := range erp.Resources {
		if r := sc.resources[d.Name]; r != nil {
			models = append(models, d.Model)
			if r.lines != nil {
				models = append(models, r.of.Model)
			}
		}
	}
	slices.Sort(models)
	models = slices.Compact(models)
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
