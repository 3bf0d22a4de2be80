package resource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"golang.org/x/text/language"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

const (
	fresh      = 5 * time.Minute  // how long what was probed is believed: modules and languages are installed meanwhile
	probeAgain = 10 * time.Second // how long after a probe it is not repeated for a company that it did not find
)

// info is what fields_get says of a field.
type info struct {
	kind               string // char, many2one, …
	sortable, readonly bool
	required           bool
	computed           bool   // from other fields, when they are written
	relation           string // the model it links to
	selection          []string
}

// schema is what a given Odoo has, for our user.
type schema struct {
	at        time.Time
	resources map[string]*resource
	terms     Terms
	search    searchForm
	formatted bool // has formatted_read_group
	counts    bool // our user may read how many records a model has
}

// searchForm is how rows and their count are asked for.
type searchForm int

const (
	separately    searchForm = iota // search_read and search_count
	fieldList                       // web_search_read, with a list of fields
	specification                   // web_search_read, with a specification
)

// Scope is on whose terms Odoo is asked, resolved. It is comparable: a key for caches.
type Scope struct {
	Lang    string // Odoo's code, such as es_ES
	Company int64  // 0: all of our user's
	// HideInternal leaves out partners that are internal users of Odoo.
	HideInternal bool
}

func (s Scope) context(more ...string) map[string]any {
	c := map[string]any{}
	if s.Lang != "" {
		c["lang"] = s.Lang
	}
	if s.Company != 0 {
		c["allowed_company_ids"] = []any{s.Company}
	}
	for _, name := range more {
		c[name] = true
	}
	return c
}

// everything makes Odoo show archived records too.
func everything(c map[string]any) map[string]any {
	c["active_test"] = false
	return c
}

// Terms are the languages and companies that Scopes are made of.
type Terms struct {
	Codes     []string `json:"codes"` // Odoo's, of languages; the first is our user's own
	Companies []int64  `json:"companies"`

	matcher language.Matcher // by index of Codes; nil until it is needed
}

// Equal reports whether both make the same Scopes.
func (t Terms) Equal(other Terms) bool {
	return slices.Equal(t.Codes, other.Codes) && slices.Equal(t.Companies, other.Companies)
}

// Terms gives what scopes this Odoo has. A company that is not among them is looked for again, as it may be new.
func (s *Store) Terms(ctx context.Context, company int64) (Terms, error) {
	sc, err := s.schema(ctx)
	if err == nil && sc.terms.lacks(company) && time.Since(sc.at) > probeAgain {
		sc, err = s.probeNow(ctx)
	}
	if err != nil {
		return Terms{}, err
	}
	return sc.terms, nil
}

// lacks reports that our user has no access to a company.
func (t Terms) lacks(company int64) bool {
	return company != 0 && len(t.Companies) > 0 && !slices.Contains(t.Companies, company)
}

// Scope finds the language that Odoo has for an Accept-Language, and checks the company.
func (s *Store) Scope(ctx context.Context, asked odooapi.Scope) (Scope, error) {
	terms, err := s.Terms(ctx, asked.Company)
	if err != nil {
		return Scope{}, err
	}
	return terms.Scope(asked)
}

// Scope is Store.Scope for terms that are known.
func (t Terms) Scope(asked odooapi.Scope) (Scope, error) {
	scope := Scope{Company: asked.Company}
	if len(t.Codes) > 0 {
		if t.matcher == nil {
			t.matcher = matcherOf(t.Codes)
		}
		_, i := language.MatchStrings(t.matcher, asked.Lang)
		scope.Lang = t.Codes[i]
	}
	if t.lacks(asked.Company) {
		return Scope{}, &fault.Error{
			Code:   fault.Forbidden,
			Detail: fault.T(fmt.Sprintf("No hay acceso a la empresa %d", asked.Company), fmt.Sprintf("There is no access to company %d", asked.Company)),
		}
	}
	return scope, nil
}

// schema gives what was probed; the first caller, and one every while, waits for the probing.
func (s *Store) schema(ctx context.Context) (*schema, error) {
	last := s.probed.Load()
	if last != nil && time.Since(last.at) < fresh {
		return last, nil
	}
	if last != nil {
		s.startProbe(ctx)
		return last, nil // until the new one is there
	}
	return s.probeNow(ctx)
}

func (s *Store) startProbe(ctx context.Context) <-chan singleflight.Result {
	return s.probing.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ProbeTimeout)
		defer cancel()
		sc, err := s.probe(ctx)
		if err == nil {
			s.probed.Store(sc)
		}
		return sc, err
	})
}

func (s *Store) probeNow(ctx context.Context) (*schema, error) {
	select {
	case r := <-s.startProbe(ctx):
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*schema), nil //nolint:forcetypeassert // by startProbe
	case <-ctx.Done():
		return nil, fault.Away("Odoo", ctx.Err())
	}
}

// forget makes the next caller begin to probe again: Odoo did not know something that it had.
func (s *Store) forget() {
	if last := s.probed.Load(); last != nil {
		old := *last
		old.at = time.Time{}
		s.probed.CompareAndSwap(last, &old)
	}
}

func (s *Store) probe(ctx context.Context) (*schema, error) {
	sc := &schema{at: time.Now(), resources: map[string]*resource{}}
	names := map[string][]any{} // of fields, by model
	for _, d := range erp.Resources {
		names[d.Model] = append(names[d.Model], allNames(d.Fields)...)
		if _, lines := d.Lines(); lines != nil {
			names[lines.Model] = append(names[lines.Model], allNames(lines.Fields)...)
		}
	}
	models := map[string]map[string]info{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for model, names := range names {
		group.Go(func() error {
			has, err := s.fieldsOf(ctx, model, names)
			mu.Lock()
			defer mu.Unlock()
			models[model] = has
			return err
		})
	}
	group.Go(func() error { return s.probeUser(ctx, sc) })
	group.Go(func() error { return s.probeMethods(ctx, sc) })
	if err := group.Wait(); err != nil {
		return nil, unexpected(err)
	}
	if models[basic] == nil {
		return nil, unexpected(fmt.Errorf("Odoo has no %s yet", basic))
	}
	for _, d := range erp.Resources {
		if models[d.Model] != nil {
			sc.resources[d.Name] = fitted(d, models, s.cfg.LowStock)
		}
	}
	return sc, nil
}

// basic is a model that every Odoo has.
const basic = "res.partner"

// allNames are the names that fields have in any version.
func allNames(fields []erp.Field) (names []any) {
	for _, f := range fields {
		for _, name := range odooNames(f) {
			names = append(names, name)
		}
	}
	return names
}

// fieldsOf asks what a model has of the named fields; nil when there is no such model.
func (s *Store) fieldsOf(ctx context.Context, model string, names []any) (map[string]info, error) {
	answer, err := s.odoo.Call(ctx, odoo.Call{Model: model, Method: "fields_get", Read: true, Args: []odoo.Arg{
		{Name: "allfields", Value: names},
		{Name: "attributes", Value: []any{"type", "sortable", "readonly", "required", "relation", "selection", "depends"}},
	}})
	if noModel(err) {
		return nil, nil
	}
	fields, ok := answer.(map[string]any)
	if err == nil && !ok {
		err = fmt.Errorf("fields_get of %s gave %T", model, answer)
	}
	if err != nil {
		return nil, err
	}
	infos := map[string]info{"id": {kind: "integer", sortable: true, readonly: true}}
	for name, v := range fields {
		attributes, _ := v.(map[string]any)
		in := info{
			sortable: attributes["sortable"] != false, readonly: attributes["readonly"] == true, required: attributes["required"] == true,
		}
		depends, _ := attributes["depends"].([]any)
		in.computed = len(depends) > 0
		in.kind, _ = attributes["type"].(string)
		in.relation, _ = attributes["relation"].(string)
		choices, _ := attributes["selection"].([]any)
		for _, choice := range choices {
			if pair, ok := choice.([]any); ok && len(pair) > 0 {
				if value, ok := pair[0].(string); ok {
					in.selection = append(in.selection, value)
				}
			}
		}
		if in.kind != "" && name != "id" {
			infos[name] = in
		}
	}
	return infos, nil
}

// probeUser learns the languages there are, and our user's language and companies. What Odoo does not
// tell is left to it: texts then come in our user's language, and Odoo checks the company.
func (s *Store) probeUser(ctx context.Context, sc *schema) error {
	// It has no uid before 17, and before 15 XML-RPC cannot even write it.
	own, err := s.odoo.Call(ctx, odoo.Call{Model: "res.users", Method: "context_get", Read: true})
	if err != nil && !Refused(err) {
		return err
	}
	about, _ := own.(map[string]any)
	who := leaf("login", "=", s.cfg.Username)
	if uid, ok := about["uid"].(int64); ok {
		who = leaf("id", "=", uid)
	}
	users, err := s.listed(ctx, "res.users", who, "lang", "company_ids")
	if err != nil {
		return err
	}
	langs, err := s.listed(ctx, "res.lang", leaf("active", "=", true), "code")
	if err != nil {
		return err
	}
	var codes []string
	know := func(code any) {
		if code, ok := code.(string); ok && code != "" && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	know(about["lang"])
	for _, user := range users {
		know(user["lang"])
		sc.terms.Companies = append(sc.terms.Companies, idsOf(user["company_ids"])...)
	}
	for _, lang := range langs {
		know(lang["code"])
	}
	sc.terms.Codes = codes
	if len(codes) > 0 {
		sc.terms.matcher = matcherOf(codes)
	}
	return nil
}

// matcherOf chooses among Odoo's codes of languages.
func matcherOf(codes []string) language.Matcher {
	var tags []language.Tag
	for _, code := range codes {
		base, variant, _ := strings.Cut(code, "@")
		tag := language.Make(strings.ReplaceAll(base, "_", "-"))
		if variant == "latin" {
			tag = language.Make(strings.SplitN(base, "_", 2)[0] + "-Latn")
		}
		tags = append(tags, tag)
	}
	return language.NewMatcher(tags)
}

// listed gives fields of the records under a condition; none where Odoo refuses.
func (s *Store) listed(ctx context.Context, model string, condition []any, fields ...string) ([]map[string]any, error) {
	answer, err := s.odoo.Call(ctx, odoo.Call{Model: model, Method: "search_read", Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: []any{condition}}, {Name: "fields", Value: fields},
	}})
	if err != nil && !Refused(err) {
		return nil, err
	}
	return rows(answer), nil
}

// probeMethods finds the best way to ask for rows with their count, and for groups.
func (s *Store) probeMethods(ctx context.Context, sc *schema) error {
	for _, form := range []searchForm{specification, fieldList} {
		_, err := s.odoo.Call(ctx, odoo.Call{Model: basic, Method: "web_search_read", Read: true, Args: []odoo.Arg{
			{Name: "domain", Value: []any{}}, {Name: form.parameter(), Value: form.fields([]any{"name", "parent_id"}, map[string]info{"parent_id": {kind: "many2one"}})},
			{Name: "offset", Value: 0}, {Name: "limit", Value: 1},
		}})
		if err == nil {
			sc.search = form
			break
		}
		if !Refused(err) {
			return err
		}
	}
	_, err := s.odoo.Call(ctx, odoo.Call{Model: basic, Method: "formatted_read_group", Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: []any{leaf("id", "=", 0)}}, {Name: "groupby", Value: []any{}}, {Name: "aggregates", Value: []any{"__count"}},
	}})
	sc.formatted = err == nil
	if err != nil && !Refused(err) {
		return err
	}
	counted, err := s.odoo.Call(ctx, odoo.Call{Model: "ir.model", Method: "search_read", Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: one(leaf("model", "=", basic))}, {Name: "fields", Value: []any{"count"}},
	}})
	if err != nil && !Refused(err) {
		return err
	}
	for _, row := range rows(counted) {
		_, sc.counts = row["count"].(int64)
	}
	return nil
}

func (f searchForm) parameter() string {
	if f == specification {
		return "specification"
	}
	return "fields"
}

// fields gives what to read in the way f wants it.
func (f searchForm) fields(names []any, has map[string]info) any {
	if f != specification {
		return names
	}
	spec := map[string]any{}
	for _, name := range names {
		name, _ := name.(string)
		spec[name] = map[string]any{}
		if has[name].kind == "many2one" {
			spec[name] = map[string]any{"fields": map[string]any{"display_name": map[string]any{}}}
		}
	}
	return spec
}
