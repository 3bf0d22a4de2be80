package resource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Odoo is called by a Store; *odoo.Client is one.
type Odoo interface {
	Call(ctx context.Context, c odoo.Call) (any, error)
}

// Config tunes a Store.
type Config struct {
	LowStock     float64       // a tracked product is low on stock at this quantity or below
	ProbeTimeout time.Duration // of finding out what Odoo has
	Username     string        // our user, for versions that do not tell whom they talk to
}

// Store reads and writes resources in Odoo. It is safe for concurrent use. Every error of its
// methods is a fault.Error.
type Store struct {
	cfg     Config
	odoo    Odoo
	probed  atomic.Pointer[schema]
	probing singleflight.Group
}

// New makes a Store.
func New(cfg Config, o Odoo) *Store { return &Store{cfg: cfg, odoo: o} }

// WarmUp finds out what Odoo has, and then asks for a page of each resource. It succeeds when Odoo has answered them all: one
// that has just started answers what it has in some process early on, and takes long over everything else.
func (s *Store) WarmUp(ctx context.Context) error {
	scope, err := s.Scope(ctx, odooapi.Scope{})
	if err != nil {
		return err
	}
	names, err := s.Resources(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			_, err := s.List(ctx, name, scope, odooapi.Query{Limit: 1})
			if fault.CodeOf(err) == fault.Forbidden { // of our user, which no waiting mends
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// Freshness is how far an answer can be trusted. The zero value: Odoo was asked just now.
type Freshness struct {
	Age   time.Duration // since Odoo said this
	Stale bool          // Odoo does not answer, and this may be out of date
}

// Record is one record as clients see it: a JSON object.
type Record struct {
	Freshness

	ID   int64
	Data json.RawMessage
}

// ETag is a strong entity tag of the record as it is shown.
func (r Record) ETag() string { return etag(r.Data) }

func etag(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// Page is a page of records. Total counts all that match.
type Page struct {
	Freshness

	Records []Record
	Total   int64
}

// List gives a page.
func (s *Store) List(ctx context.Context, name string, scope Scope, q odooapi.Query) (Page, error) {
	sc, r, err := s.resource(ctx, name)
	if err != nil {
		return Page{}, err
	}
	domain, err := r.domain(scope, q)
	if err != nil {
		return Page{}, err
	}
	order, err := r.sortBy(q.Sort)
	if err != nil {
		return Page{}, err
	}
	vals := scope.context("bin_size")
	if len(q.IDs) > 0 {
		everything(vals)
	}
	found, total, err := s.search(ctx, sc.search, r, domain, order, q.Offset, q.Limit, vals)
	if r.IsOption() && noModel(err) {
		return Page{}, noModule(name)
	}
	if err != nil {
		return Page{}, s.failed(err)
	}
	page := Page{Records: make([]Record, len(found)), Total: total}
	for i, row := range found {
		if page.Records[i], err = r.record(row); err != nil {
			return Page{}, unexpected(err)
		}
	}
	return page, nil
}

// search asks for rows and how many there are in all, in one call where this Odoo can.
func (s *Store) search(ctx context.Context, form searchForm, r *resource, domain []any, order string, offset, limit int, vals map[string]any) ([]map[string]any, int64, error) {
	method, parameter := "search_read", "fields"
	if form != separately {
		method, parameter = "web_search_read", form.parameter()
	}
	answer, err := s.odoo.Call(ctx, odoo.Call{Model: r.Model, Method: method, Context: vals, Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: domain}, {Name: parameter, Value: form.fields(r.reads(), r.has)},
		{Name: "offset", Value: offset}, {Name: "limit", Value: limit}, {Name: "order", Value: order},
	}})
	if err != nil {
		return nil, 0, err
	}
	if page, ok := answer.(map[string]any); ok && form != separately {
		found := rows(page["records"])
		if total, ok := page["length"].(int64); ok && (len(found) > 0 || offset == 0) { // past the end it says 0
			return found, total, nil
		}
		answer = page["records"]
	}
	found := rows(answer)
	if len(found) > 0 && len(found) < limit {
		return found, int64(offset + len(found)), nil
	}
	count, err := s.odoo.Call(ctx, odoo.Call{
		Model: r.Model, Method: "search_count", Context: vals, Read: true, Args: []odoo.Arg{{Name: "domain", Value: domain}},
	})
	if err != nil {
		return nil, 0, err
	}
	total, ok := count.(int64)
	if !ok {
		return nil, 0, fmt.Errorf("search_count of %s gave %T", r.Model, count)
	}
	return found, total, nil
}

// Read gives those of the records that exist, archived ones too, in no particular order, with their lines. It takes one
// call of Odoo, with lines up to three, however many ids there are.
func (s *Store) Read(ctx context.Context, name string, scope Scope, ids []int64) ([]Record, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return nil, err
	}
	found, err := s.rowsOf(ctx, r, scope, leaf("id", "in", ids), "id")
	if err != nil {
		return nil, s.failed(err)
	}
	var lines map[int64][]json.RawMessage
	if r.lines != nil {
		if lines, err = s.linesOf(ctx, r, scope, ids); err != nil {
			return nil, s.failed(err)
		}
	}
	records := make([]Record, len(found))
	for i, row := range found {
		var extra []member
		if r.lines != nil {
			id, _ := row["id"].(int64)
			extra = []member{{r.lines.Name, append([]json.RawMessage{}, lines[id]...)}}
		}
		if records[i], err = r.record(row, extra...); err != nil {
			return nil, unexpected(err)
		}
	}
	return records, nil
}

// Each calls read with all ids or, when Odoo refuses that, with halves of them, so that one record that
// cannot be read does not keep others from those who ask for them. It hands on every answer with the ids
// it is for.
func Each(ids []int64, read func(ids []int64) ([]Record, error), answer func(ids []int64, found []Record, err error)) {
	found, err := read(ids)
	if len(ids) > 1 && Refused(err) {
		half := len(ids) / 2
		Each(ids[:half], read, answer)
		Each(ids[half:], read, answer)
		return
	}
	answer(ids, found, err)
}

// One gives one record, or NotFound.
func (s *Store) One(ctx context.Context, name string, scope Scope, id int64) (Record, error) {
	records, err := s.Read(ctx, name, scope, []int64{id})
	if err != nil {
		return Record{}, err
	}
	if len(records) == 0 {
		return Record{}, notFound(id)
	}
	return records[0], nil
}

func notFound(id int64) error {
	return fault.New(fault.NotFound, fault.T(fmt.Sprintf("No existe el registro %d en Odoo", id), fmt.Sprintf("There is no record %d in Odoo", id)))
}

// rowsOf reads every record under a condition, archived or not, by the method every Odoo has.
func (s *Store) rowsOf(ctx context.Context, r *resource, scope Scope, condition []any, order string) ([]map[string]any, error) {
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: r.Model, Method: "search_read", Context: everything(scope.context("bin_size")), Read: true, Args: []odoo.Arg{
			{Name: "domain", Value: append(one(condition), r.visible(scope)...)}, {Name: "fields", Value: r.reads()},
			{Name: "offset", Value: 0}, {Name: "limit", Value: false}, {Name: "order", Value: order},
		},
	})
	return rows(answer), err
}

// resource gives a resource as this Odoo has it.
func (s *Store) resource(ctx context.Context, name string) (*schema, *resource, error) {
	sc, err := s.schema(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := sc.resources[name]
	if r == nil {
		r = option(name)
	}
	if r == nil {
		return nil, nil, noModule(name)
	}
	return sc, r, nil
}

func noModule(name string) error {
	return fault.Wrap(fault.NotFound, fault.T(
		"Este Odoo no tiene instalado el módulo de este recurso", "This Odoo has not installed the module of this resource"),
		fmt.Errorf("no model for %s", name))
}

// Refused reports that Odoo answered, but not with what was asked for.
func Refused(err error) bool {
	var r *odoo.RefusalError
	return errors.As(err, &r)
}

// noModel reports that a read was refused since there is no such model: until 18, Odoo says so in our
// user's language. Nothing else that is wrong with a read is a person's fault to it.
func noModel(err error) bool {
	var r *odoo.RefusalError
	return errors.As(err, &r) && (r.Reason == odoo.Unknown && !strings.Contains(r.Message, "AttributeError") || r.Reason == odoo.Invalid)
}

// failed is the error of a read. What Odoo no longer knows is probed again.
func (s *Store) failed(err error) error {
	if odoo.IsReason(err, odoo.Unknown) {
		s.forget()
	}
	return unexpected(err)
}

var odooFailed = fault.T("Odoo falló al responder; inténtelo más tarde", "Odoo failed to answer; try again later")

// unexpected gives the fault for an error that the values of a request do not explain.
func unexpected(err error) error {
	var f *fault.Error
	var r *odoo.RefusalError
	switch {
	case err == nil:
		return nil
	case outcomeUnknown(err):
		return odooapi.OutcomeUnknown(err)
	case errors.As(err, &f):
		return f
	case !errors.As(err, &r):
	case r.Reason == odoo.NoRight:
		return fault.Wrap(fault.Forbidden, fault.T(
			"El usuario de Resonance en Odoo no tiene permiso para esto", "Resonance's user in Odoo has no right to this"), err)
	case r.Reason == odoo.Missing:
		return fault.Wrap(fault.NotFound, fault.T("No existe en Odoo", "There is no such record in Odoo"), err)
	}
	return &fault.Error{Code: fault.Unavailable, Detail: odooFailed, RetryAfter: 5 * time.Second, Err: err}
}
