// Package api answers the requests of pkg/rpc/odoo.go on NATS.
package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
	"github.com/resonance/resonance/services/odoo-bridge/internal/writes"
)

// Bounds of a request, besides those in pkg/rpc.
const (
	maxOffset  = 10_000_000
	maxFilters = 50
	maxText    = 1000 // characters of a search and of a filter's value
	maxID      = 1<<31 - 1
)

// Source answers reads: a *resource.Store, or a cache before it.
type Source interface {
	List(ctx context.Context, name string, scope resource.Scope, q odooapi.Query) (resource.Page, error)
	Read(ctx context.Context, name string, scope resource.Scope, ids []int64) ([]resource.Record, error)
	Image(ctx context.Context, name string, scope resource.Scope, q odooapi.ImageRef) (resource.Image, error)
	Summary(ctx context.Context, name string, scope resource.Scope, q odooapi.Query) (resource.Summary, error)
}

// Config is what the API answers from.
type Config struct {
	Source Source
	Store  *resource.Store // for writes
	Writes *writes.Coordinator
	// Scope resolves a scope for reads; Store.Scope when nil.
	Scope func(ctx context.Context, asked odooapi.Scope) (resource.Scope, error)
	// Changed is told what a write changed, or may have changed when Odoo did not answer in time: ids
	// by resource. No ids: a record that is not known. It returns before the asker is answered. It may
	// be nil.
	Changed func(ctx context.Context, changed map[string][]int64)
	// Go runs what outlives its request, until the service stops.
	Go      func(func(ctx context.Context))
	Login   func(ctx context.Context, c odooapi.Credentials) (odooapi.User, error)
	Keys    *odooapi.KeyPair // that logins are sealed for; nil where nobody can log in
	Version string
	Timeout time.Duration // the longest a request may take
}

// Service describes the micro service.
func Service(c Config) bus.Service {
	a := api{c}
	if a.Changed == nil {
		a.Changed = func(context.Context, map[string][]int64) {}
	}
	if a.Scope == nil {
		a.Scope = c.Store.Scope
	}
	endpoints := map[string]bus.Handler{odooapi.SubjectLoginKey: a.loginKey}
	if c.Keys != nil {
		endpoints[odooapi.LoginSubject(c.Keys.Public)] = handle(a.login)
	}
	for _, r := range erp.Resources {
		verbs := map[string]bus.Handler{
			odooapi.List: handle(a.list(r)), odooapi.Get: handle(a.get(r)), odooapi.ListFields: handle(a.fields(r)),
		}
		if r.Writable() {
			verbs[odooapi.Create], verbs[odooapi.Update] = handle(a.create(r)), handle(a.update(r))
		}
		if r.Archive != "" {
			verbs[odooapi.Archive] = handle(a.onRef(r, odooapi.Archive, c.Store.Archive))
		}
		if r.Image {
			verbs[odooapi.Image] = handle(a.image(r))
		}
		if r.Summary != nil {
			verbs[odooapi.Summary] = handle(a.summary(r))
		}
		for _, action := range r.Actions {
			verbs[action.Name] = handle(a.onRef(r, action.Name, func(ctx context.Context, name string, scope resource.Scope, id int64, attempt resource.Attempt) (resource.Record, error) {
				return c.Store.Act(ctx, name, action.Name, scope, id, attempt)
			}))
		}
		for verb, h := range verbs {
			endpoints[odooapi.Subject(r.Name, verb)] = h
		}
	}
	for _, r := range erp.Options {
		endpoints[odooapi.Subject(r.Name, odooapi.List)] = handle(a.list(r))
	}
	return bus.Service{
		Name: "odoo", Description: "Records of Odoo", Version: c.Version,
		Endpoints: endpoints, Workers: 128, Timeout: c.Timeout, // most of them wait for Odoo
	}
}

type api struct{ Config }

// handle decodes a request before answer gets it.
func handle[Q any](answer func(context.Context, Q) (bus.Reply, error)) bus.Handler {
	return func(ctx context.Context, data []byte) (bus.Reply, error) {
		var q Q
		if err := json.Unmarshal(data, &q); err != nil {
			return bus.Reply{}, fault.Wrap(fault.Invalid, fault.T("La petición no es JSON válido", "The request is not valid JSON"), err)
		}
		return answer(ctx, q)
	}
}

func (a api) list(r *erp.Resource) func(context.Context, odooapi.Query) (bus.Reply, error) {
	return func(ctx context.Context, q odooapi.Query) (bus.Reply, error) {
		if q.Limit < 1 || q.Limit > odooapi.MaxLimit || q.Offset < 0 || q.Offset > maxOffset {
			return bus.Reply{}, fault.New(fault.Invalid, fault.T("Parámetros de paginación inválidos", "Invalid pagination parameters"))
		}
		if err := check(q); err != nil {
			return bus.Reply{}, err
		}
		scope, err := a.viewing(ctx, r, q.Scope)
		if err != nil {
			return bus.Reply{}, err
		}
		page, err := a.Source.List(ctx, r.Name, scope, q)
		if err != nil {
			return bus.Reply{}, err
		}
		var b bytes.Buffer
		b.WriteByte('[')
		for i, r := range page.Records {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(r.Data)
		}
		b.WriteByte(']')
		h := header(page.Freshness)
		h[rpc.HeaderTotal] = []string{strconv.FormatInt(page.Total, 10)}
		return bus.Reply{Header: h, Data: b.Bytes()}, nil
	}
}

// check bounds what a query carries; what its fields are is the resource's to know.
func check(q odooapi.Query) error {
	if len(q.IDs) > odooapi.MaxLimit || slices.ContainsFunc(q.IDs, func(id int64) bool { return id < 1 || id > maxID }) {
		return fault.Field("id", malformedID)
	}
	if !isText(q.Search) {
		return fault.Field("q", notText)
	}
	if len(q.Filters) > maxFilters || len(q.Sort) > maxFilters {
		return fault.New(fault.Invalid, fault.T("Hay demasiados filtros u órdenes", "There are too many filters or sorts"))
	}
	for _, f := range q.Filters {
		if slices.ContainsFunc(f.Values, func(v string) bool { return !isText(v) }) {
			return fault.Field(f.Field, notText)
		}
	}
	return nil
}

var (
	malformedID = fault.T("no es un identificador", "is not an id")
	notText     = fault.T(fmt.Sprintf("no es un texto de hasta %d caracteres", maxText), fmt.Sprintf("is not a text of up to %d characters", maxText))
)

func isText(s string) bool { return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxText }

func (a api) get(r *erp.Resource) func(context.Context, odooapi.RecordRef) (bus.Reply, error) {
	return func(ctx context.Context, q odooapi.RecordRef) (bus.Reply, error) {
		if !isID(q.ID) {
			return bus.Reply{}, noRecord(q.ID)
		}
		scope, err := a.viewing(ctx, r, q.Scope)
		if err != nil {
			return bus.Reply{}, err
		}
		records, err := a.Source.Read(ctx, r.Name, scope, []int64{q.ID})
		if err != nil {
			return bus.Reply{}, err
		}
		if len(records) == 0 {
			return bus.Reply{}, noRecord(q.ID)
		}
		return replyOf(records[0]), nil
	}
}

func noRecord(id int64) error {
	return fault.New(fault.NotFound, fault.T(fmt.Sprintf("No existe el registro %d en Odoo", id), fmt.Sprintf("There is no record %d in Odoo", id)))
}

func isID(id int64) bool { return id >= 1 && id <= maxID }

// scope resolves on whose terms one record is asked for. No id that is none reaches Odoo.
func (a api) scope(ctx context.Context, asked odooapi.Scope, id int64) (resource.Scope, error) {
	if !isID(id) {
		return resource.Scope{}, noRecord(id)
	}
	return a.Scope(ctx, asked)
}

// viewing resolves on whose terms a resource is read. Answers that do not depend on who reads them are
// the same for all, in the cache too.
func (a api) viewing(ctx context.Context, r *erp.Resource, asked odooapi.Scope) (resource.Scope, error) {
	scope, err := a.Scope(ctx, asked)
	scope.HideInternal = asked.HideInternal && r.HideInternal
	return scope, err
}

func (a api) create(r *erp.Resource) func(context.Context, odooapi.Write) (bus.Reply, error) {
	return func(ctx context.Context, w odooapi.Write) (bus.Reply, error) {
		if w.ID != 0 {
			return bus.Reply{}, fault.Field("id", fault.T("lo pone Odoo", "is given by Odoo"))
		}
		scope, err := a.Store.Scope(ctx, w.Scope)
		if err != nil {
			return bus.Reply{}, err
		}
		if w.Key == "" {
			w.Key = nuid.Next()
		}
		// Not of the language, in which a browser may ask again.
		request, err := digestOf(r.Name, odooapi.Create, scope.Company, w.Values)
		if err != nil {
			return bus.Reply{}, err
		}
		return a.once(ctx, w.Key, request, func(ctx context.Context, _ *writes.Claim) (bus.Reply, error) {
			record, err := a.Store.Create(ctx, r.Name, scope, w, referenceOf(w.Key, request))
			return a.written(ctx, r, 0, record, err)
		})
	}
}

func (a api) update(r *erp.Resource) func(context.Context, odooapi.Write) (bus.Reply, error) {
	return func(ctx context.Context, w odooapi.Write) (bus.Reply, error) {
		scope, err := a.scope(ctx, w.Scope, w.ID)
		if err != nil {
			return bus.Reply{}, err
		}
		request, err := digestOf(r.Name, odooapi.Update, scope.Company, w.ID, w.Values, w.IfMatch)
		if err != nil {
			return bus.Reply{}, err
		}
		return a.alone(ctx, r, w.ID, scope, w.Key, request, func(ctx context.Context, attempt resource.Attempt) (resource.Record, error) {
			return a.Store.Update(ctx, r.Name, scope, w, attempt)
		})
	}
}

// action is a write that needs nothing but a record.
type action func(ctx context.Context, name string, scope resource.Scope, id int64, attempt resource.Attempt) (resource.Record, error)

func (a api) onRef(r *erp.Resource, verb string, do action) func(context.Context, odooapi.RecordRef) (bus.Reply, error) {
	return func(ctx context.Context, q odooapi.RecordRef) (bus.Reply, error) {
		scope, err := a.scope(ctx, q.Scope, q.ID)
		if err != nil {
			return bus.Reply{}, err
		}
		request, err := digestOf(r.Name, verb, scope.Company, q.ID)
		if err != nil {
			return bus.Reply{}, err
		}
		return a.alone(ctx, r, q.ID, scope, q.Key, request, func(ctx context.Context, attempt resource.Attempt) (resource.Record, error) {
			return do(ctx, r.Name, scope, q.ID, attempt)
		})
	}
}

// alone changes a record while no one else does, once for its key if it has one.
func (a api) alone(ctx context.Context, r *erp.Resource, id int64, scope resource.Scope, key, request string, do func(context.Context, resource.Attempt) (resource.Record, error)) (bus.Reply, error) {
	return a.once(ctx, key, request, func(ctx context.Context, claim *writes.Claim) (bus.Reply, error) {
		if claim.Done() {
			record, err := a.Store.One(ctx, r.Name, scope, id)
			return replyOf(record), err
		}
		waiting, stop := context.WithTimeout(ctx, a.Timeout/2) // the rest is for the write itself
		lock, err := a.Writes.Lock(waiting, fmt.Sprintf("%s.%d", r.Model, id), key)
		stop()
		if err != nil {
			return bus.Reply{}, err
		}
		attempt := resource.First
		switch {
		case lock.Shared():
			attempt = resource.Pending
		case claim.Repeated():
			attempt = resource.Repeated
		}
		record, err := do(ctx, attempt)
		reply, err := a.written(ctx, r, id, record, err)
		if !errors.Is(err, odoo.ErrOutcomeUnknown) {
			lock.Release(ctx)
			return reply, err
		}
		if !lock.Shared() {
			lock.MarkUnknown(ctx)
			a.Go(func(ctx context.Context) {
				defer lock.Release(ctx)
				if a.wasMade(ctx, do) {
					claim.Finish(ctx)
					_, _ = a.written(ctx, r, id, record, nil)
				}
			})
		}
		return reply, err
	})
}

// wasMade looks up whether a write whose answer did not come was made, for as long as Odoo may work on it.
func (a api) wasMade(ctx context.Context, do func(context.Context, resource.Attempt) (resource.Record, error)) bool {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	every := backoff.NewExponentialBackOff()
	every.InitialInterval, every.MaxInterval = 100*time.Millisecond, time.Second
	_, err := backoff.Retry(ctx, func() (resource.Record, error) { return do(ctx, resource.LookUp) }, backoff.WithBackOff(every), backoff.WithMaxElapsedTime(0))
	return err == nil
}

// once makes a write with the claim of its key, which says what became of the same request before. Without a key it is
// always made.
func (a api) once(ctx context.Context, key, request string, do func(context.Context, *writes.Claim) (bus.Reply, error)) (bus.Reply, error) {
	if key == "" {
		return do(ctx, &writes.Claim{})
	}
	if !writes.ValidKey(key) {
		return bus.Reply{}, fault.Field("key", fault.T("no es válida", "is not valid"))
	}
	claim, err := a.Writes.Claim(ctx, key, request)
	if err != nil {
		return bus.Reply{}, err
	}
	reply, err := do(ctx, claim)
	switch {
	case err == nil:
		claim.Finish(ctx)
	case !mayHaveBeenMade(err):
		claim.Release(ctx)
	}
	return reply, err
}

// mayHaveBeenMade reports that an error does not prove that a write had no effect.
func mayHaveBeenMade(err error) bool {
	code := fault.CodeOf(err)
	return code == fault.Unavailable || code == fault.Internal
}

// digestOf stands for a request.
func digestOf(parts ...any) (string, error) {
	data, err := json.Marshal(parts) // which sorts the fields, and leaves out white space
	if err != nil {
		return "", fmt.Errorf("digest of a request: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// referenceOf names in Odoo what a request creates.
func referenceOf(key, request string) string {
	sum := sha256.Sum256([]byte(key + " " + request))
	return "api_" + hex.EncodeToString(sum[:16])
}

// written tells what changed, and answers with the record. A write that Odoo did not refuse may
// have been made, whatever became of its answer.
func (a api) written(ctx context.Context, r *erp.Resource, id int64, record resource.Record, err error) (bus.Reply, error) {
	if err != nil && !mayHaveBeenMade(err) {
		return bus.Reply{}, err
	}
	var ids []int64
	if id = max(id, record.ID); id != 0 {
		ids = []int64{id}
	}
	changed := map[string][]int64{}
	for _, other := range erp.Resources {
		if other.Model == r.Model {
			changed[other.Name] = ids
		}
	}
	for _, touches := range r.Touches {
		if linked := linkedBy(record, touches); len(linked) > 0 {
			changed[touches.Resource] = linked
		}
	}
	a.Changed(ctx, changed)
	if err != nil {
		return bus.Reply{}, err
	}
	return replyOf(record), nil
}

// linkedBy gives the records that the lines of one link to.
func linkedBy(record resource.Record, t erp.Touches) (ids []int64) {
	var members map[string]json.RawMessage
	var lines []map[string]json.RawMessage
	if json.Unmarshal(record.Data, &members) != nil || json.Unmarshal(members[t.Lines], &lines) != nil {
		return nil
	}
	for _, line := range lines {
		var ref odooapi.Ref
		if json.Unmarshal(line[t.Link], &ref) == nil && ref.ID != 0 {
			ids = append(ids, ref.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (a api) image(r *erp.Resource) func(context.Context, odooapi.ImageRef) (bus.Reply, error) {
	return func(ctx context.Context, q odooapi.ImageRef) (bus.Reply, error) {
		if q.Size == 0 {
			q.Size = odooapi.ImageSizes[0]
		}
		if !slices.Contains(odooapi.ImageSizes, q.Size) {
			return bus.Reply{}, fault.Field("size", fault.T(
				fmt.Sprintf("debe ser uno de %v", odooapi.ImageSizes), fmt.Sprintf("must be one of %v", odooapi.ImageSizes)))
		}
		if !isID(q.ID) {
			return bus.Reply{}, noRecord(q.ID)
		}
		scope, err := a.viewing(ctx, r, q.Scope)
		if err != nil {
			return bus.Reply{}, err
		}
		image, err := a.Source.Image(ctx, r.Name, scope, q)
		if err != nil {
			return bus.Reply{}, err
		}
		h := header(image.Freshness)
		h[rpc.HeaderETag], h[rpc.HeaderContentType] = []string{image.ETag()}, []string{image.Type}
		return bus.Reply{Header: h, Data: image.Data}, nil
	}
}

func (a api) summary(r *erp.Resource) func(context.Context, odooapi.Query) (bus.Reply, error) {
	return func(ctx context.Context, q odooapi.Query) (bus.Reply, error) {
		if err := check(q); err != nil {
			return bus.Reply{}, err
		}
		scope, err := a.Scope(ctx, q.Scope)
		if err != nil {
			return bus.Reply{}, err
		}
		sum, err := a.Source.Summary(ctx, r.Name, scope, q)
		if err != nil {
			return bus.Reply{}, err
		}
		data, err := json.Marshal(sum.SalesSummary)
		return bus.Reply{Header: header(sum.Freshness), Data: data}, err
	}
}

func (a api) fields(r *erp.Resource) func(context.Context, odooapi.Scope) (bus.Reply, error) {
	return func(ctx context.Context, _ odooapi.Scope) (bus.Reply, error) {
		fields, err := a.Store.Fields(ctx, r.Name)
		if err != nil {
			return bus.Reply{}, err
		}
		data, err := json.Marshal(fields)
		return bus.Reply{Data: data}, err
	}
}

func (a api) loginKey(context.Context, []byte) (bus.Reply, error) {
	data, err := json.Marshal(odooapi.LoginKey{Key: a.Keys.Public})
	return bus.Reply{Data: data}, err
}

func (a api) login(ctx context.Context, l odooapi.SealedLogin) (bus.Reply, error) {
	c, err := a.Keys.Open(l)
	if err != nil {
		return bus.Reply{}, fault.Wrap(fault.Invalid, fault.T("El acceso no está cifrado para esta instancia", "The login is not sealed for this instance"), err)
	}
	user, err := a.Login(ctx, c)
	if err != nil {
		return bus.Reply{}, err
	}
	data, err := json.Marshal(user)
	return bus.Reply{Data: data}, err
}

func replyOf(r resource.Record) bus.Reply {
	h := header(r.Freshness)
	h[rpc.HeaderETag] = []string{r.ETag()}
	return bus.Reply{Header: h, Data: r.Data}
}

// header says how fresh an answer is; nothing when Odoo was asked just now.
func header(f resource.Freshness) nats.Header {
	h := nats.Header{}
	if f.Age > 0 || f.Stale {
		h[odooapi.HeaderAge] = []string{strconv.FormatInt(int64(f.Age/time.Second), 10)}
	}
	if f.Stale {
		h[odooapi.HeaderStale] = []string{"true"}
	}
	return h
}
