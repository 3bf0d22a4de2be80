package odoo

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Examples in the document.
var (
	ExampleSalesSummary = odooapi.SalesSummary{
		Total:   2,
		ByState: []odooapi.SalesTotal{{State: "draft", Currency: &odooapi.Ref{ID: 1, Name: "EUR"}, Count: 2, AmountUntaxed: 599.6, AmountTotal: 725.52}},
		ByMonth: []odooapi.SalesTotal{{Month: new("2026-11"), State: "draft", Currency: &odooapi.Ref{ID: 1, Name: "EUR"}, Count: 2, AmountUntaxed: 599.6, AmountTotal: 725.52}},
	}
)

// ExampleFields is the example of a resource's fields.
var ExampleFields = []odooapi.FieldInfo{
	{Name: "id", Type: "number", Filter: true, Sort: true},
	{Name: "name", Type: "text", Filter: true, Sort: true, Write: true, Required: true},
	{Name: "category", Type: "link", Filter: true, Sort: true, Write: true, Options: "options/categories"},
}

// Register adds the routes of Odoo's resources.
func Register(a *route.Routes) {
	defineSchema(a, "Ref", a.Huma.OpenAPI().Components.Schemas.SchemaFromRef(route.SchemaOf[odooapi.Ref](a).Ref))
	for _, r := range erp.Resources {
		newOdooResource(a, r).describe()
	}
	describeOptions(a)
	nullableLinks(a, reflect.TypeFor[odooapi.SalesTotal]())
}

// describe adds the operations that the resource has.
func (o *odooResource) describe() {
	upper := strings.ToUpper(o.One[:1]) + o.One[1:]
	plural := strings.ToUpper(o.Name[:1]) + o.Name[1:]
	path := "/api/v1/" + o.Name
	record := defineSchema(o.Routes, o.Type, recordSchema(o.Routes, o.Fields, ""))

	list := o.listOperation()
	list.OperationID, list.Path, list.Summary, list.Responses = "list"+plural, path, "List "+o.Name, o.page("OdooPage"+o.Type, record)
	if _, archivable := o.Field("active"); archivable {
		list.Description += " Archived records are left out, unless a filter names `active`, or `id` is given."
	}
	if o.Doc != "" {
		list.Description += " " + o.Doc
	}
	o.reads(list, o.list, "X-Total-Count")
	o.reads(huma.Operation{
		OperationID: o.Name + "Fields", Path: path + "/fields", Summary: "The fields that " + o.Name + " have in this Odoo",
		Description: "In the order they are shown in. A field whose module is not installed is not among them: it is null in every record, and cannot be filtered, sorted or written by.",
		Responses:   route.OK[[]odooapi.FieldInfo](o.Routes, "The fields", ExampleFields),
	}, o.listFields)
	one := func(description string) map[string]*huma.Response {
		return map[string]*huma.Response{"200": {
			Description: description, Content: map[string]*huma.MediaType{"application/json": {Schema: record, Example: o.Example(true)}},
		}}
	}
	o.reads(huma.Operation{
		OperationID: "get" + upper, Path: path + "/{id}", Summary: "One " + o.One, Parameters: []*huma.Param{idParam},
		Responses: one("The " + o.One), Errors: []int{http.StatusNotFound},
	}, o.get)

	change := one("The " + o.One + " as Odoo has it now")
	change["200"].Headers = tagHeader
	if o.Writable() {
		made := one("The " + o.One + " as Odoo completed it")["200"]
		made.Headers = map[string]*huma.Param{"ETag": tagHeader["ETag"], "Location": {Schema: &huma.Schema{Type: huma.TypeString}}}
		o.writes(huma.Operation{
			OperationID: "create" + upper, Method: http.MethodPost, Path: path, Summary: "Create a " + o.One, Description: o.Creating,
			RequestBody: o.body(true), Responses: map[string]*huma.Response{"201": made},
			Errors: []int{http.StatusConflict, http.StatusUnsupportedMediaType},
		}, o.create)
		o.writes(huma.Operation{
			OperationID: "update" + upper, Method: http.MethodPatch, Path: path + "/{id}", Summary: "Change fields of a " + o.One,
			Description: "What is not named stays; null empties a field. `lines` of a sale are the whole new set: a line with an `id` stays, others are added. " +
				"`active: true` brings back what is archived. With `If-Match` it is only made while the record has that ETag.",
			Parameters:  []*huma.Param{idParam, {Name: "If-Match", In: "header", Description: "the ETag of the record as it was read: 412 if it has changed since", Schema: &huma.Schema{Type: huma.TypeString}}},
			RequestBody: o.body(false), Responses: change,
			Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnsupportedMediaType},
		}, o.update)
	}
	switch o.Archive {
	case "":
	case erp.Archives:
		o.acts("archive"+upper, http.MethodDelete, path+"/{id}", "Archive a "+o.One, "Nothing is ever deleted: lists leave it out from now on. Archived already, it stays so.", change, odooapi.Archive)
	default:
		o.acts("archive"+upper, http.MethodDelete, path+"/{id}", o.Action(o.Archive).Summary, "The same as /"+o.Archive+": Odoo archives no "+o.Name+".", change, odooapi.Archive)
	}
	if o.Image {
		o.describeImage(path)
	}
	for _, action := range o.Actions {
		o.acts(action.Name+upper, http.MethodPost, path+"/{id}/"+action.Name, action.Summary, action.Doc, change, action.Name)
	}
	if o.Summary != nil {
		o.reads(huma.Operation{
			OperationID: o.Name + "Summary", Path: path + "/summary", Summary: "Totals of " + o.Name + " by state and month",
			Description: "Takes the filters of the list. Amounts of different currencies are never added.",
			Parameters:  o.table.Params(listquery.Filters, "", o.ownParams()), Responses: route.OK[odooapi.SalesSummary](o.Routes, "The totals", ExampleSalesSummary),
		}, o.totals)
	}
}

// defineSchema adds a schema to the document, and refers to it.
func defineSchema(a *route.Routes, name string, s *huma.Schema) *huma.Schema {
	a.Huma.OpenAPI().Components.Schemas.Map()[name] = s
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// recordSchema is that of a record, or of a line, as it is read.
func recordSchema(a *route.Routes, fields []erp.Field, optional string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	ref := func(doc string) *huma.Schema { return &huma.Schema{Ref: "#/components/schemas/Ref", Description: doc} }
	for _, f := range fields {
		is := &huma.Schema{Description: f.Doc, Nullable: !f.Always}
		switch f.Kind {
		case rpc.Number:
			is.Type, is.Format = huma.TypeNumber, "double"
			if f.Whole {
				is.Type, is.Format = huma.TypeInteger, "int64"
			}
		case rpc.Bool:
			is.Type = huma.TypeBoolean
		case rpc.Date, rpc.Time:
			is.Type, is.Format = huma.TypeString, map[rpc.Kind]string{rpc.Date: "date", rpc.Time: "date-time"}[f.Kind]
		case rpc.Link:
			is = &huma.Schema{Description: f.Doc, OneOf: []*huma.Schema{ref(f.Doc), {Type: "null"}}}
		case rpc.Links:
			is.Type, is.Items, is.Nullable = huma.TypeArray, ref(""), false
		case rpc.Lines:
			is.Type, is.Items, is.Nullable = huma.TypeArray, defineSchema(a, f.Lines.Type, recordSchema(a, f.Lines.Fields, "")), false
		default:
			is.Type = huma.TypeString
			for _, v := range f.Values {
				is.Enum = append(is.Enum, v)
			}
		}
		s.Properties[f.Name] = is
		if f.Kind != rpc.Lines && f.Name != optional {
			s.Required = append(s.Required, f.Name)
		}
	}
	return s
}

// page is a page of records, in each dialect.
func (o *odooResource) page(name string, record *huma.Schema) map[string]*huma.Response {
	whole := func(least float64) *huma.Schema {
		return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &least}
	}
	limit := whole(1)
	limit.Maximum = new(100.0)
	page := defineSchema(o.Routes, name, &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"data", "total", "page", "limit", "pages"},
		Properties: map[string]*huma.Schema{
			"data": {Type: huma.TypeArray, Items: record}, "total": whole(0), "page": whole(1), "limit": limit, "pages": whole(0),
		},
	})
	example := o.Example(false)
	return map[string]*huma.Response{"200": {
		Description: "A page, or with Refine's parameters a bare array",
		Content: map[string]*huma.MediaType{"application/json": {
			Schema: &huma.Schema{OneOf: []*huma.Schema{page, {Type: huma.TypeArray, Items: record}}},
			Examples: map[string]*huma.Example{
				"page":   {Summary: "page, limit", Value: map[string]any{"data": []any{example}, "total": 1, "page": 1, "limit": 10, "pages": 1}},
				"refine": {Summary: "_start, _end", Value: []any{example}},
			},
		}},
	}}
}

// listOperation is what lists have in common.
func (o *odooResource) listOperation(params ...*huma.Param) huma.Operation {
	return huma.Operation{
		Description: "Takes its own parameters and those of Refine's simple-rest data provider, as the list of orders does; a link is compared by its id and searched by its name.",
		Parameters:  append(params, o.table.Params(listquery.Everything, o.Sort, o.ownParams())...),
	}
}

// describeOptions adds the lists of what links can be set to.
func describeOptions(a *route.Routes) {
	lists := map[string]*odooResource{}
	names := &huma.Schema{Type: huma.TypeString}
	all := &erp.Resource{Name: "options", Sort: "name"} // with every field there is
	for _, r := range erp.Options {
		lists[r.Name] = newOdooResource(a, r)
		names.Enum = append(names.Enum, r.Name)
		if len(r.Fields) > len(all.Fields) {
			all.Fields = r.Fields
		}
	}
	options := newOdooResource(a, all)
	schema := recordSchema(a, all.Fields, "country")
	schema.Properties["country"] = &huma.Schema{Ref: "#/components/schemas/Ref", Description: schema.Properties["country"].Description}
	record := defineSchema(a, "LinkOption", schema)
	op := options.listOperation(&huma.Param{Name: "list", In: "path", Required: true, Schema: names, Example: "states"})
	op.OperationID, op.Path, op.Summary = "listOptions", "/api/v1/options/{list}", "List what a link can be set to"
	op.Description = "Whether some record already is or not. " + op.Description + " `country` goes with `states` only."
	op.Errors = []int{http.StatusNotFound}
	op.Responses = options.page("OdooPageLinkOption", record)
	options.reads(op, func(w http.ResponseWriter, r *http.Request) error {
		o := lists[r.PathValue("list")]
		if o == nil {
			return problem.ErrNoRoute
		}
		return o.list(w, r)
	}, "X-Total-Count")
}

func (o *odooResource) describeImage(path string) {
	one := o.One
	content := map[string]*huma.MediaType{}
	for _, kind := range append([]string{"application/octet-stream"}, route.ImageTypes...) {
		content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}, Example: "(bytes)"}
	}
	sizes := &huma.Schema{Type: huma.TypeInteger}
	for _, size := range odooapi.ImageSizes {
		sizes.Enum = append(sizes.Enum, size)
	}
	o.reads(huma.Operation{
		OperationID: one + "Image", Path: path + "/{id}/image", Summary: "A " + one + "'s image",
		Description: "The bytes. An <img> sends no token: fetch the image with `Authorization` and show it with URL.createObjectURL. " +
			"404 for a " + one + " without one, as `has_image` says. What is no picture of these types, SVG among them, comes as application/octet-stream.",
		Parameters: []*huma.Param{idParam, route.Param("size", "pixels of the longer side; default 128", sizes, 256)},
		Responses:  map[string]*huma.Response{"200": {Description: "The image", Content: content}},
		Errors:     []int{http.StatusNotFound},
	}, o.picture)
}

// reads adds an operation whose answer can come from the cache.
func (o *odooResource) reads(op huma.Operation, handle func(http.ResponseWriter, *http.Request) error, headers ...string) {
	op.Method = http.MethodGet
	op = route.Cached(op, append(headers, "Age")...)
	op.Responses["200"].Headers["Age"].Description = "seconds since Odoo said this"
	op.Responses["200"].Headers[HeaderStale] = &huma.Param{
		Description: "true: Odoo does not answer, and this may be out of date; else absent", Schema: &huma.Schema{Type: huma.TypeString},
	}
	o.add(op, auth.Viewer, handle)
}

func (o *odooResource) writes(op huma.Operation, handle func(http.ResponseWriter, *http.Request) error) {
	op.Parameters = append(op.Parameters, keyParam)
	op.Description = strings.TrimSpace(op.Description + " A 503 whose outcome is unknown says so: repeat the request with the `Idempotency-Key` of that answer.")
	for _, response := range op.Responses {
		response.Headers = maps.Clone(response.Headers)
		response.Headers[KeyName] = &huma.Param{Description: "that of the request, or the one that it was given", Schema: &huma.Schema{Type: huma.TypeString}}
	}
	op.Errors = append(op.Errors, http.StatusConflict)
	o.add(op, auth.Operator, handle)
}

func (o *odooResource) acts(id, method, path, summary, about string, responses map[string]*huma.Response, verb string) {
	o.writes(huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Description: about, Parameters: []*huma.Param{idParam},
		Responses: responses, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, o.act(verb))
}

// add adds an operation, with what all those on Odoo have in common. Odoo may forbid anything.
func (o *odooResource) add(op huma.Operation, role auth.Role, handle func(http.ResponseWriter, *http.Request) error) {
	op.Tags = []string{"odoo"}
	op.Parameters = append(op.Parameters, companyParam, languageParam)
	op.Errors = route.AskErrors(append(op.Errors, http.StatusForbidden)...)
	op.Responses = maps.Clone(op.Responses)
	for _, code := range op.Errors {
		if example := ExampleFaults[fault.Code(code)]; example != nil {
			op.Responses[strconv.Itoa(code)] = o.ProblemResponse(example)
		}
	}
	o.Add(op, role, handle)
}

// ExampleFaults are examples of what Odoo, and who asks for it, does wrong.
var ExampleFaults = map[fault.Code]*fault.Error{
	fault.Invalid:  {Code: fault.Invalid, Detail: errPaging, Fields: map[string]fault.Text{"limit": fault.T("debe estar entre 1 y 100", "must be between 1 and 100")}},
	fault.NotFound: fault.New(fault.NotFound, fault.T("No existe el registro 7 en Odoo", "There is no record 7 in Odoo")),
	fault.Conflict: {
		Code: fault.Conflict, Detail: fault.T("Otro producto tiene ya ese código de barras", "Another product has that barcode already"),
		Fields: map[string]fault.Text{"barcode": fault.T("ya lo tiene otro producto", "another product has it already")},
	},
	fault.Stale:       fault.New(fault.Stale, fault.T("Alguien cambió este registro mientras tanto; vuelva a leerlo", "Somebody changed this record meanwhile; read it again")),
	fault.Unavailable: fault.Away("Odoo", nil),
}

var (
	idParam       = &huma.Param{Name: "id", In: "path", Required: true, Schema: route.Whole(1, math.MaxInt32), Example: 7}
	companyParam  = &huma.Param{Name: HeaderCompany, In: "header", Description: "the id of the company to work in; default: that of the user by whom Resonance is known to Odoo", Schema: route.Whole(1, math.MaxInt32), Example: 1}
	languageParam = &huma.Param{Name: "Accept-Language", In: "header", Description: "the language of Odoo's texts, if Odoo has it, and of problems", Schema: &huma.Schema{Type: huma.TypeString}, Example: "es-ES, es;q=0.9"}
	keyParam      = &huma.Param{
		Name: KeyName, In: "header", Example: "7c1f0e52-9d0b-4b7e", Schema: &huma.Schema{Type: huma.TypeString},
		Description: "1 to 255 ASCII characters that name this request, of the caller's choice: repeated within a day, by the same user, it is made once, and answered with the record as it is now. 409 for another request with the key",
	}
	tagHeader = map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}}
)

// ownParams documents o.table.own.
func (o *odooResource) ownParams() []*huma.Param {
	ids := &huma.Schema{Type: huma.TypeArray, Items: route.Whole(1, math.MaxInt32), MaxItems: new(listquery.MaxValues)}
	searched := "is part of any of these: " + strings.Join(o.table.Names(rpc.Searched), ", ")
	return []*huma.Param{
		route.Param("search", searched, route.Text(), "silla"), route.Param("q", "the same as search", route.Text(), "silla"),
		route.Param("id", fmt.Sprintf("these records, up to %d, archived ones too; the answer is a bare array", listquery.MaxValues), ids, []any{7}),
	}
}

// body documents what creates or changes a record, as far as it does not depend on what Odoo has.
func (o *odooResource) body(create bool) *huma.RequestBody {
	name, example := o.Type+"Update", o.UpdateExample
	if create {
		name, example = o.Type+"Create", o.CreateExample
	}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: defineSchema(o.Routes, name, writtenSchema(o.Fields, create)), Example: route.AsJSON(example)},
	}}
}

func writtenSchema(fields []erp.Field, create bool) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	if !create {
		s.MinProperties = new(1)
	}
	for _, f := range fields {
		if !f.Has(rpc.Written) {
			continue
		}
		s.Properties[f.Name] = schemaOfField(f)
		if f.Kind == rpc.Link {
			s.Properties[f.Name+"_id"] = route.Whole(1, math.MaxInt32)
			s.Properties[f.Name+"_id"].Nullable = !f.Has(rpc.Required)
		}
		switch {
		case !create || !f.Has(rpc.Required):
		case f.Kind == rpc.Link:
			s.AnyOf = []*huma.Schema{{Required: []string{f.Name}}, {Required: []string{f.Name + "_id"}}}
		default:
			s.Required = append(s.Required, f.Name)
		}
	}
	return s
}

// schemaOfField is that of a value to write.
func schemaOfField(f erp.Field) *huma.Schema {
	var s *huma.Schema
	switch f.Kind {
	case rpc.Number:
		s = &huma.Schema{Type: huma.TypeNumber}
		if f.Range != nil {
			s.Minimum, s.Maximum = &f.Range.Min, &f.Range.Max
		}
	case rpc.Bool:
		return &huma.Schema{Type: huma.TypeBoolean}
	case rpc.Date:
		s = &huma.Schema{Type: huma.TypeString, Format: "date"}
	case rpc.Time:
		s = &huma.Schema{Type: huma.TypeString, Format: "date-time"}
	case rpc.Link:
		s = &huma.Schema{Description: "the id, or {id, name} as it is read", OneOf: []*huma.Schema{
			route.Whole(1, math.MaxInt32),
			{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"id": route.Whole(1, math.MaxInt32)}, Required: []string{"id"}},
		}}
		if !f.Has(rpc.Required) {
			s.OneOf = append(s.OneOf, &huma.Schema{Type: "null"})
		}
		return s
	case rpc.Links:
		s = &huma.Schema{Type: huma.TypeArray, Items: schemaOfField(erp.Field{Kind: rpc.Link, Can: rpc.Required}), MaxItems: new(odooapi.MaxLines)}
	case rpc.Lines:
		s = &huma.Schema{Type: huma.TypeArray, Items: writtenSchema(f.Lines.Fields, false), MaxItems: new(odooapi.MaxLines)}
		s.Items.Description = f.Lines.Doc
	default:
		s = &huma.Schema{Type: huma.TypeString, MaxLength: new(odooapi.MaxString)}
	}
	s.Nullable = !f.Has(rpc.Required)
	return s
}

// nullableLinks says of T's links that they can be null: of pointers to structs huma does not.
func nullableLinks(a *route.Routes, t reflect.Type) {
	s := a.Huma.OpenAPI().Components.Schemas.SchemaFromRef(a.Huma.OpenAPI().Components.Schemas.Schema(t, true, "").Ref)
	for f := range t.Fields() {
		if f.Type == reflect.TypeFor[*odooapi.Ref]() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			s.Properties[name] = &huma.Schema{Description: f.Tag.Get("doc"), OneOf: []*huma.Schema{s.Properties[name], {Type: "null"}}}
		}
	}
}
