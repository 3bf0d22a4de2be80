// Package odoo serves Odoo's records over HTTP, as odoo-bridge has them.
package odoo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Headers of requests and answers.
const (
	HeaderCompany = "X-Company-Id"
	HeaderStale   = "X-Resonance-Stale"
)

// odooResource is one of erp.Resources, or of erp.Options.
type odooResource struct {
	*route.Routes
	*erp.Resource

	table *listquery.Table
}

func newOdooResource(a *route.Routes, r *erp.Resource) *odooResource {
	t := &listquery.Table{
		Size: "limit", Choices: map[string][]string{},
		Own: map[string]func(*listquery.Query, *listquery.Listing, string){
			"id": func(q *listquery.Query, l *listquery.Listing, _ string) { odooIDs(q, l) },
			"q":  search, "search": search,
		},
	}
	for _, f := range r.Fields {
		t.Columns = append(t.Columns, listquery.Column{Name: f.Name, Kind: f.Kind, Can: f.Can})
		if f.Values != nil {
			t.Choices[f.Name] = f.Values
		}
	}
	return &odooResource{Routes: a, Resource: r, table: t}
}

// odooIDs reads id=1&id=2, which Refine's getMany sends.
func odooIDs(q *listquery.Query, l *listquery.Listing) {
	texts := q.Values["id"]
	if len(texts) > listquery.MaxValues {
		q.Wrong("id", listquery.AtMost(listquery.MaxValues))
		return
	}
	for _, text := range texts {
		if !listquery.ValidID(text) {
			q.Wrong("id", listquery.MalformedID)
			return
		}
		id, _ := strconv.ParseInt(text, 10, 64) // valid
		l.IDs = append(l.IDs, id)
	}
	slices.Sort(l.IDs)
	l.IDs = slices.Compact(l.IDs)
}

// search reads q or search, which are the same.
func search(q *listquery.Query, l *listquery.Listing, name string) {
	if name == "search" && q.Values.Has("q") {
		q.Wrong(name, fault.T("no se combina con q", "does not go with q"))
		return
	}
	l.Search = q.Text(name)
}

var errPaging = fault.T("Parámetros de paginación inválidos", "Invalid pagination parameters")

// parse reads the query of a list. What is wrong with paging alone has a sentence of its own.
func (o *odooResource) parse(r *http.Request, allow listquery.Allowed) (listquery.Listing, error) {
	l, err := o.table.Parse(r.URL.RawQuery, allow)
	if err == nil {
		return l, nil
	}
	f := fault.From(err)
	for name := range f.Fields {
		if !slices.Contains([]string{"page", "limit", "_start", "_end"}, name) {
			return l, f
		}
	}
	if len(f.Fields) > 0 {
		f.Detail = errPaging
	}
	return l, f
}

// scopeOf reads on whose terms Odoo is to answer, and tells caches that it matters.
func scopeOf(w http.ResponseWriter, r *http.Request) (odooapi.Scope, error) {
	w.Header().Add("Vary", "Accept-Language, "+HeaderCompany)
	var scope odooapi.Scope
	if lang := r.Header.Get("Accept-Language"); len(lang) <= problem.MaxAcceptLanguage {
		scope.Lang = strings.ToValidUTF8(lang, "")
	}
	if company := r.Header.Get(HeaderCompany); company != "" {
		if !listquery.ValidID(company) {
			return scope, fault.Field(HeaderCompany, listquery.MalformedID)
		}
		scope.Company, _ = strconv.ParseInt(company, 10, 64) // valid
	}
	return scope, nil
}

// hidesInternal reports whether the caller may not see which partners are internal users of Odoo.
func (o *odooResource) hidesInternal(r *http.Request) bool {
	return o.HideInternal && !access.Of(r.Context()).Who.Role.Includes(auth.Operator)
}

// ref reads which record of Odoo's a request is about.
func ref(w http.ResponseWriter, r *http.Request) (odooapi.RecordRef, error) {
	scope, err := scopeOf(w, r)
	if err != nil {
		return odooapi.RecordRef{}, err
	}
	text := r.PathValue("id")
	if !listquery.ValidID(text) {
		return odooapi.RecordRef{}, fault.Field("id", listquery.MalformedID)
	}
	id, _ := strconv.ParseInt(text, 10, 64) // valid
	return odooapi.RecordRef{Scope: scope, ID: id}, nil
}

// askOdoo asks odoo-bridge, which may have to wait for Odoo.
func (o *odooResource) askOdoo(ctx context.Context, verb string, req any) (bus.Reply, error) {
	return o.AskSlow(ctx, odooapi.Subject(o.Name, verb), req)
}

// write asks for a change, which key makes once. It tells a change that may have been made from one that was not.
func (o *odooResource) write(ctx context.Context, verb string, req any) (bus.Reply, error) {
	reply, err := o.askOdoo(ctx, verb, req)
	f := fault.From(err)
	// A cause is of this side: the service was asked, and its answer did not come.
	if err != nil && f.Code == fault.Unavailable && f.Err != nil && !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, nats.ErrDisconnected) {
		return reply, odooapi.OutcomeUnknown(err)
	}
	return reply, err
}

// KeyName is the header that makes repetitions of a write one.
const KeyName = "Idempotency-Key"

// keyOf reads the Idempotency-Key of a write, or makes one. The client is told it, so that it can repeat a request
// whose outcome it does not know. For the service it is one with the user.
func keyOf(w http.ResponseWriter, r *http.Request) (string, error) {
	key, err := route.IdempotencyKey(r.Header[KeyName])
	if err != nil {
		return "", err
	}
	if key == "" {
		key = rand.Text()
	}
	w.Header().Set(KeyName, key)
	who := access.Of(r.Context()).Who
	sum := sha256.Sum256([]byte(who.Provider() + "\n" + who.Username + "\n" + key))
	return hex.EncodeToString(sum[:16]), nil
}

// read asks for something that may come from the cache, and says how old it is. What is out of date
// is for nobody to keep, so that nothing fresh is taken for it later.
func (o *odooResource) read(w http.ResponseWriter, r *http.Request, verb string, req any) (bus.Reply, error) {
	reply, err := o.askOdoo(r.Context(), verb, req)
	if err != nil {
		return reply, err
	}
	h := w.Header()
	h["Age"] = []string{"0"}
	if age, err := strconv.ParseUint(reply.Header.Get(odooapi.HeaderAge), 10, 31); err == nil {
		h["Age"] = []string{strconv.FormatUint(age, 10)}
	}
	if reply.Header.Get(odooapi.HeaderStale) == "true" {
		h.Set(HeaderStale, "true")
		h["Cache-Control"] = route.NoStore
		r.Header.Del("If-None-Match")
	}
	return reply, nil
}

func (o *odooResource) list(w http.ResponseWriter, r *http.Request) error {
	scope, err := scopeOf(w, r)
	if err != nil {
		return err
	}
	l, err := o.parse(r, listquery.Everything)
	if err != nil {
		return err
	}
	scope.HideInternal = o.hidesInternal(r)
	reply, err := o.read(w, r, odooapi.List, odooapi.Query{
		Scope: scope, Offset: l.Offset, Limit: l.Limit, Sort: l.Sort, Filters: l.Filters, Search: l.Search, IDs: l.IDs,
	})
	if err != nil {
		return err
	}
	return listquery.WritePage(w, r, reply, l, asItIs, nil)
}

func (o *odooResource) get(w http.ResponseWriter, r *http.Request) error {
	which, err := ref(w, r)
	if err != nil {
		return err
	}
	if err := listquery.None(r); err != nil {
		return err
	}
	which.HideInternal = o.hidesInternal(r)
	reply, err := o.read(w, r, odooapi.Get, which)
	if err != nil {
		return err
	}
	w.Header().Set(gzhttp.HeaderNoCompression, "1") // as getOrder: the tag is strong
	route.WriteJSON(w, r, route.TagOf(reply), reply.Data)
	return nil
}

func (o *odooResource) listFields(w http.ResponseWriter, r *http.Request) error {
	scope, err := scopeOf(w, r)
	if err != nil {
		return err
	}
	if err := listquery.None(r); err != nil {
		return err
	}
	reply, err := o.read(w, r, odooapi.ListFields, scope)
	if err != nil {
		return err
	}
	route.WriteJSON(w, r, route.WeakETag(reply.Data, ""), reply.Data)
	return nil
}

func (o *odooResource) totals(w http.ResponseWriter, r *http.Request) error {
	scope, err := scopeOf(w, r)
	if err != nil {
		return err
	}
	l, err := o.parse(r, listquery.Filters)
	if err != nil {
		return err
	}
	if len(l.IDs) > 0 {
		only := rpc.Filter{Field: "id", Op: rpc.In}
		for _, id := range l.IDs {
			only.Values = append(only.Values, strconv.FormatInt(id, 10))
		}
		l.Filters = append(l.Filters, only)
	}
	reply, err := o.read(w, r, odooapi.Summary, odooapi.Query{Scope: scope, Filters: l.Filters, Search: l.Search})
	if err != nil {
		return err
	}
	route.WriteJSON(w, r, route.WeakETag(reply.Data, ""), reply.Data)
	return nil
}

// picture answers a picture's bytes. What is none that browsers merely show is a file to keep.
func (o *odooResource) picture(w http.ResponseWriter, r *http.Request) error {
	which, err := ref(w, r)
	if err != nil {
		return err
	}
	size, err := imageSize(r)
	if err != nil {
		return err
	}
	which.HideInternal = o.hidesInternal(r)
	reply, err := o.read(w, r, odooapi.Image, odooapi.ImageRef{Scope: which.Scope, ID: which.ID, Size: size})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set(gzhttp.HeaderNoCompression, "1") // as getOrder: the tag is strong
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	kind := reply.Header.Get(rpc.HeaderContentType)
	if !slices.Contains(route.ImageTypes, kind) {
		kind = "application/octet-stream"
		h.Set("Content-Disposition", "attachment")
	}
	route.WriteBody(w, r, []string{kind}, route.TagOf(reply), reply.Data)
	return nil
}

// imageSize reads size, in pixels.
func imageSize(r *http.Request) (int, error) {
	q, err := listquery.Only(r, "size")
	if err != nil {
		return 0, err
	}
	size := q.Number("size", odooapi.ImageSizes[0], 1, math.MaxInt)
	if !slices.Contains(odooapi.ImageSizes, size) {
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(odooapi.ImageSizes), " ", ", "), "[]")
		q.Wrong("size", fault.T("debe ser uno de: "+list, "must be one of: "+list))
	}
	return size, q.Err()
}

func (o *odooResource) create(w http.ResponseWriter, r *http.Request) error {
	scope, err := scopeOf(w, r)
	if err != nil {
		return err
	}
	if err := unconditional(r); err != nil {
		return err
	}
	key, err := keyOf(w, r)
	if err != nil {
		return err
	}
	values, err := o.values(w, r, true)
	if err != nil {
		return err
	}
	reply, err := o.write(r.Context(), odooapi.Create, odooapi.Write{Scope: scope, Values: values, Key: key})
	if err != nil {
		return err
	}
	var made struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(reply.Data, &made); err != nil || made.ID == 0 {
		return route.Unreadable(fmt.Errorf("a record without an id: %w", err))
	}
	w.Header().Set("Location", fmt.Sprintf("/api/v1/%s/%d", o.Name, made.ID))
	writeRecord(w, http.StatusCreated, reply)
	return nil
}

func (o *odooResource) update(w http.ResponseWriter, r *http.Request) error {
	which, err := ref(w, r)
	if err != nil {
		return err
	}
	if err := listquery.None(r); err != nil {
		return err
	}
	tag, err := route.IfMatch("If-Match", r.Header["If-Match"])
	if err != nil {
		return err
	}
	if strings.Contains(tag, ",") {
		return fault.Field("If-Match", fault.T("admite una sola etiqueta", "takes only one tag"))
	}
	key, err := keyOf(w, r)
	if err != nil {
		return err
	}
	values, err := o.values(w, r, false)
	if err != nil {
		return err
	}
	reply, err := o.write(r.Context(), odooapi.Update, odooapi.Write{
		Scope: which.Scope, ID: which.ID, Values: values, IfMatch: strings.TrimPrefix(tag, "*"), Key: key,
	})
	if err != nil {
		return err
	}
	writeRecord(w, http.StatusOK, reply)
	return nil
}

// act makes a handler for a verb that needs nothing but the record.
func (o *odooResource) act(verb string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		which, err := ref(w, r)
		if err != nil {
			return err
		}
		if err := unconditional(r); err != nil {
			return err
		}
		if which.Key, err = keyOf(w, r); err != nil {
			return err
		}
		reply, err := o.write(r.Context(), verb, which)
		if err != nil {
			return err
		}
		writeRecord(w, http.StatusOK, reply)
		return nil
	}
}

// unconditional refuses query parameters, and a condition that nobody would check.
func unconditional(r *http.Request) error {
	if _, ok := r.Header["If-Match"]; ok {
		return fault.Field("If-Match", fault.T("solo vale con PATCH", "goes with PATCH only"))
	}
	return listquery.None(r)
}

// writeRecord answers a record that was just written.
func writeRecord(w http.ResponseWriter, status int, reply bus.Reply) {
	h := w.Header()
	h["Etag"] = []string{route.TagOf(reply)}
	h["Content-Type"] = route.JSONType
	h["Content-Length"] = []string{strconv.Itoa(len(reply.Data))}
	h.Set(gzhttp.HeaderNoCompression, "1") // as getOrder: the tag is strong
	w.WriteHeader(status)
	_, _ = w.Write(reply.Data) // the client has gone
}

// asItIs presents records of Odoo's, which need nothing done to them.
func asItIs(_ string, data []byte) ([]byte, bool, error) { return data, false, nil }
