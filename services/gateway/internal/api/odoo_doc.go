package api

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// OdooPage is a page of Odoo's records. Total counts all that match.
type OdooPage[T any] struct {
	Data  []T `json:"data"`
	Total int `json:"total" minimum:"0"`
	Page  int `json:"page" minimum:"1"`
	Limit int `json:"limit" minimum:"1" maximum:"100"`
	Pages int `json:"pages" minimum:"0"`
}

var (
	exampleProduct = odooapi.Product{
		ID: 7, Name: "Silla de oficina", DefaultCode: new("SIL-01"), Barcode: new("8412345678905"), Type: "consu", IsStorable: new(true),
		ListPrice: 149.9, LstPrice: new(149.9), StandardPrice: new(80.25), Currency: &odooapi.Ref{ID: 1, Name: "EUR"},
		Category: &odooapi.Ref{ID: 4, Name: "Muebles"}, UoM: &odooapi.Ref{ID: 1, Name: "Unidades"}, Template: &odooapi.Ref{ID: 5, Name: "Silla de oficina"},
		SaleOK: new(true), PurchaseOK: new(true), Weight: new(7.5), Volume: new(0.0), QtyAvailable: new(3.0), VirtualAvailable: new(13.0),
		LowStockThreshold: new(5.0), LowStock: new(true), HasImage: new(true), Active: true, CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}
	examplePartner = odooapi.Partner{
		ID: 12, Name: new("Ferretería Núñez"), Email: new("compras@example.com"), Phone: new("+34 910 000 000"), VAT: new("ESB12345674"), IsCompany: true,
		Street: new("Calle Mayor 1"), Zip: new("28013"), City: new("Madrid"), State: &odooapi.Ref{ID: 448, Name: "Madrid"}, Country: &odooapi.Ref{ID: 68, Name: "España"},
		CustomerRank: new(int64(3)), SupplierRank: new(int64(0)), HasImage: new(false), Active: true, CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}
	exampleListed = odooapi.Sale{
		ID: 31, Name: "S00031", State: "draft", Locked: new(false), Partner: &odooapi.Ref{ID: 12, Name: "Ferretería Núñez"}, DateOrder: &exampleTime,
		PartnerShipping: &odooapi.Ref{ID: 12, Name: "Ferretería Núñez"}, Pricelist: &odooapi.Ref{ID: 1, Name: "Tarifa pública (EUR)"},
		PaymentTerm: &odooapi.Ref{ID: 3, Name: "30 días"}, FiscalPosition: &odooapi.Ref{ID: 1, Name: "Régimen nacional"}, Warehouse: &odooapi.Ref{ID: 1, Name: "Madrid"},
		AmountUntaxed: 299.8, AmountTax: 62.96, AmountTotal: 362.76, Currency: &odooapi.Ref{ID: 1, Name: "EUR"}, User: &odooapi.Ref{ID: 2, Name: "Ana Ruiz"},
		Company: &odooapi.Ref{ID: 1, Name: "Mi empresa"}, InvoiceStatus: new("no"), CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}
	exampleSale = func() odooapi.Sale {
		sale := exampleListed
		sale.Lines = []odooapi.SaleLine{{
			ID: 81, Product: &odooapi.Ref{ID: 7, Name: "[SIL-01] Silla de oficina"}, Name: "Silla de oficina", Qty: 2, UoM: &odooapi.Ref{ID: 1, Name: "Unidades"},
			PriceUnit: 149.9, Taxes: []odooapi.Ref{{ID: 1, Name: "21%"}}, Subtotal: 299.8, Total: 362.76,
		}}
		return sale
	}()
	exampleSalesSummary = odooapi.SalesSummary{
		Total:   2,
		ByState: []odooapi.SalesTotal{{State: "draft", Currency: &odooapi.Ref{ID: 1, Name: "EUR"}, Count: 2, AmountUntaxed: 599.6, AmountTotal: 725.52}},
		ByMonth: []odooapi.SalesTotal{{Month: new("2026-11"), State: "draft", Currency: &odooapi.Ref{ID: 1, Name: "EUR"}, Count: 2, AmountUntaxed: 599.6, AmountTotal: 725.52}},
	}
)

var exampleFields = []odooapi.FieldInfo{
	{Name: "id", Type: "number", Filter: true, Sort: true},
	{Name: "name", Type: "text", Filter: true, Sort: true, Write: true, Required: true},
	{Name: "category", Type: "link", Filter: true, Sort: true, Write: true, Options: "options/categories"},
}

// writing is an example of what creates a record and of what changes one.
type writing struct{ create, update map[string]any }

var exampleWriting = map[string]writing{
	"Product": {
		map[string]any{"name": "Silla de oficina", "default_code": "SIL-01", "list_price": 149.9, "category": 4},
		map[string]any{"list_price": 139.9, "description_sale": nil},
	},
	"Partner": {
		map[string]any{"name": "Ferretería Núñez", "is_company": true, "email": "compras@example.com", "country": map[string]any{"id": 68, "name": "España"}},
		map[string]any{"phone": "+34 910 000 001", "active": true},
	},
	"Sale": {
		map[string]any{"partner": 12, "client_order_ref": "P-1042", "payment_term": 3, "lines": []any{map[string]any{"display_type": "line_section", "name": "Oficina"}, map[string]any{"product": 7, "qty": 2}}},
		map[string]any{"lines": []any{map[string]any{"id": 81, "qty": 3}, map[string]any{"product": 9, "qty": 1}}},
	},
}

func (a *API) odooRoutes() {
	describeOdoo(a, newOdooResource(a, "products"), "product", "Product", exampleProduct, exampleProduct)
	describeOdoo(a, newOdooResource(a, "partners"), "partner", "Partner", examplePartner, examplePartner)
	describeOdoo(a, newOdooResource(a, "suppliers"), "supplier", "Partner", examplePartner, examplePartner)
	describeOdoo(a, newOdooResource(a, "customers"), "customer", "Partner", examplePartner, examplePartner)
	sales := newOdooResource(a, "sales")
	describeOdoo(a, sales, "sale", "Sale", exampleListed, exampleSale)
	sales.describeSales()
	a.describeOptions()
	for _, t := range []reflect.Type{
		reflect.TypeFor[odooapi.Product](), reflect.TypeFor[odooapi.Partner](), reflect.TypeFor[odooapi.Sale](), reflect.TypeFor[odooapi.SaleLine](), reflect.TypeFor[odooapi.SalesTotal](),
	} {
		a.nullableLinks(t)
	}
}

// describeOdoo adds the operations that all of Odoo's resources have. T is named kind in the document.
func describeOdoo[T any](a *API, o *odooResource, one, kind string, listed, example T) {
	upper := strings.ToUpper(one[:1]) + one[1:]
	plural := strings.ToUpper(o.name[:1]) + o.name[1:]
	path := "/api/v1/" + o.name

	list := o.listOperation()
	list.OperationID, list.Path, list.Summary, list.Responses = "list"+plural, path, "List "+o.name, pageOf(a, listed)
	list.Description += " Archived records are left out, unless a filter names `active`, or `id` is given."
	if odooapi.IsPartners(o.name) {
		list.Description += map[bool]string{
			true:  " Every partner there is, such as what the partner of a sale can be set to; `suppliers` and `customers` are filters of it.",
			false: " Those partners whose `" + strings.TrimSuffix(o.name, "s") + "_rank` is above 0; `partners` has all.",
		}[o.name == "partners"] + " Viewers do not see the partners that are internal users of Odoo."
	}
	o.reads(list, o.list, "X-Total-Count")
	o.reads(huma.Operation{
		OperationID: o.name + "Fields", Path: path + "/fields", Summary: "The fields that " + o.name + " have in this Odoo",
		Description: "In the order they are shown in. A field whose module is not installed is not among them: it is null in every record, and cannot be filtered, sorted or written by.",
		Responses:   ok[[]odooapi.FieldInfo](a, "The fields", exampleFields),
	}, o.fields)
	o.reads(huma.Operation{
		OperationID: "get" + upper, Path: path + "/{id}", Summary: "One " + one, Parameters: []*huma.Param{idParam},
		Responses: ok[T](a, "The "+one, example), Errors: []int{http.StatusNotFound},
	}, o.get)

	change := ok[T](a, "The "+one+" as Odoo has it now", example)
	change["200"].Headers = tagHeader
	made := ok[T](a, "", example)["200"]
	made.Description = "The " + one + " as Odoo completed it"
	made.Headers = map[string]*huma.Param{"ETag": tagHeader["ETag"], "Location": {Schema: &huma.Schema{Type: huma.TypeString}}}
	o.writes(huma.Operation{
		OperationID: "create" + upper, Method: http.MethodPost, Path: path, Summary: "Create a " + one,
		Description: map[string]string{"sales": "Lines of a new sale have no `id`: to duplicate a sale, post its lines without theirs."}[o.name],
		RequestBody: o.body(kind, true), Responses: map[string]*huma.Response{"201": made},
		Errors: []int{http.StatusConflict, http.StatusUnsupportedMediaType},
	}, o.create)
	o.writes(huma.Operation{
		OperationID: "update" + upper, Method: http.MethodPatch, Path: path + "/{id}", Summary: "Change fields of a " + one,
		Description: "What is not named stays; null empties a field. `lines` of a sale are the whole new set: a line with an `id` stays, others are added. " +
			"`active: true` brings back what is archived. With `If-Match` it is only made while the record has that ETag.",
		Parameters:  []*huma.Param{idParam, {Name: "If-Match", In: "header", Description: "the ETag of the record as it was read: 412 if it has changed since", Schema: &huma.Schema{Type: huma.TypeString}}},
		RequestBody: o.body(kind, false), Responses: change,
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnsupportedMediaType},
	}, o.update)
	archive, about := "Archive a "+one, "Nothing is ever deleted: lists leave it out from now on. Archived already, it stays so."
	if o.name == "sales" {
		archive, about = "Cancel a sale", "The same as /cancel: Odoo archives no sales."
	}
	o.acts("archive"+upper, http.MethodDelete, path+"/{id}", archive, about, change, odooapi.Archive)
	if o.name != "sales" {
		o.describeImage(path, one)
	}
}

// pageOf is a page of what are T, in each dialect.
func pageOf[T any](a *API, example T) map[string]*huma.Response {
	page := ok[OdooPage[T]](a, "A page, or with Refine's parameters a bare array", OdooPage[T]{Data: []T{example}, Total: 1, Page: 1, Limit: 10, Pages: 1})
	media := page["200"].Content["application/json"]
	media.Schema = &huma.Schema{OneOf: []*huma.Schema{media.Schema, {Type: huma.TypeArray, Items: schemaOf[T](a)}}}
	media.Examples = map[string]*huma.Example{
		"page":   {Summary: "page, limit", Value: media.Example},
		"refine": {Summary: "_start, _end", Value: asJSON([]T{example})},
	}
	media.Example = nil
	return page
}

// listOperation is what lists have in common.
func (o *odooResource) listOperation(params ...*huma.Param) huma.Operation {
	standard := "name"
	if o.name == "sales" {
		standard = "-date_order"
	}
	return huma.Operation{
		Description: "Takes its own parameters and those of Refine's simple-rest data provider, as the list of orders does; a link is compared by its id and searched by its name.",
		Parameters:  append(params, o.table.params(everything, standard, o.ownParams())...),
	}
}

// describeOptions adds the lists of what links can be set to.
func (a *API) describeOptions() {
	lists := map[string]*odooResource{}
	names := &huma.Schema{Type: huma.TypeString}
	for _, name := range slices.Sorted(maps.Keys(odooapi.Options)) {
		lists[name] = newOdooResource(a, name)
		names.Enum = append(names.Enum, name)
	}
	all := lists["states"] // has every field there is
	example := odooapi.LinkOption{ID: 448, Name: "Madrid", Country: &odooapi.Ref{ID: 68, Name: "España"}}
	op := all.listOperation(&huma.Param{Name: "list", In: "path", Required: true, Schema: names, Example: "states"})
	op.OperationID, op.Path, op.Summary = "listOptions", "/api/v1/options/{list}", "List what a link can be set to"
	op.Description = "Whether some record already is or not. " + op.Description + " `country` goes with `states` only."
	op.Errors = []int{http.StatusNotFound}
	op.Responses = pageOf(a, example)
	all.reads(op, func(w http.ResponseWriter, r *http.Request) error {
		o := lists[r.PathValue("list")]
		if o == nil {
			return errNoRoute
		}
		return o.list(w, r)
	}, "X-Total-Count")
}

func (o *odooResource) describeSales() {
	sale := func() map[string]*huma.Response {
		r := ok[odooapi.Sale](o.API, "The sale as Odoo has it now", exampleSale)
		r["200"].Headers = tagHeader
		return r
	}
	const path = "/api/v1/sales"
	o.acts("confirmSale", http.MethodPost, path+"/{id}/confirm", "Confirm a quotation", "409 for what is cancelled. What is confirmed already stays so.", sale(), odooapi.Confirm)
	o.acts("cancelSale", http.MethodPost, path+"/{id}/cancel", "Cancel a sale", "409 for what is locked. What is cancelled already stays so.", sale(), odooapi.Cancel)
	o.reads(huma.Operation{
		OperationID: "salesSummary", Path: path + "/summary", Summary: "Totals of sales by state and month",
		Description: "Takes the filters of the list. Amounts of different currencies are never added.",
		Parameters:  o.table.params(filters, "", o.ownParams()), Responses: ok[odooapi.SalesSummary](o.API, "The totals", exampleSalesSummary),
	}, o.summary)
}

func (o *odooResource) describeImage(path, one string) {
	content := map[string]*huma.MediaType{}
	for _, kind := range append([]string{"application/octet-stream"}, imageTypes...) {
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
		Parameters: []*huma.Param{idParam, param("size", "pixels of the longer side; default 128", sizes, 256)},
		Responses:  map[string]*huma.Response{"200": {Description: "The image", Content: content}},
		Errors:     []int{http.StatusNotFound},
	}, o.image)
}

// reads adds an operation whose answer can come from the cache.
func (o *odooResource) reads(op huma.Operation, handle func(http.ResponseWriter, *http.Request) error, headers ...string) {
	op.Method = http.MethodGet
	op = cached(op, append(headers, "Age")...)
	op.Responses["200"].Headers["Age"].Description = "seconds since Odoo said this"
	op.Responses["200"].Headers[staleName] = &huma.Param{
		Description: "true: Odoo does not answer, and this may be out of date; else absent", Schema: &huma.Schema{Type: huma.TypeString},
	}
	o.add(op, auth.Viewer, handle)
}

func (o *odooResource) writes(op huma.Operation, handle func(http.ResponseWriter, *http.Request) error) {
	op.Parameters = append(op.Parameters, keyParam)
	op.Description = strings.TrimSpace(op.Description + " A 503 whose outcome is unknown says so: repeat the request with the `Idempotency-Key` of that answer.")
	for _, response := range op.Responses {
		response.Headers = maps.Clone(response.Headers)
		response.Headers[keyName] = &huma.Param{Description: "that of the request, or the one that it was given", Schema: &huma.Schema{Type: huma.TypeString}}
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
	op.Errors = asking(append(op.Errors, http.StatusForbidden)...)
	op.Responses = maps.Clone(op.Responses)
	for _, code := range op.Errors {
		if example := odooFaults[fault.Code(code)]; example != nil {
			op.Responses[strconv.Itoa(code)] = o.problemResponse(example)
		}
	}
	o.route(op, role, handle)
}

// odooFaults are examples of what Odoo, and who asks for it, does wrong.
var odooFaults = map[fault.Code]*fault.Error{
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
	idParam       = &huma.Param{Name: "id", In: "path", Required: true, Schema: whole(1, math.MaxInt32), Example: 7}
	companyParam  = &huma.Param{Name: companyName, In: "header", Description: "the id of the company to work in; default: that of the user by whom Resonance is known to Odoo", Schema: whole(1, math.MaxInt32), Example: 1}
	languageParam = &huma.Param{Name: "Accept-Language", In: "header", Description: "the language of Odoo's texts, if Odoo has it, and of problems", Schema: &huma.Schema{Type: huma.TypeString}, Example: "es-ES, es;q=0.9"}
	keyParam      = &huma.Param{
		Name: keyName, In: "header", Example: "7c1f0e52-9d0b-4b7e", Schema: &huma.Schema{Type: huma.TypeString},
		Description: "1 to 255 ASCII characters that name this request, of the caller's choice: repeated within a day, by the same user, it is made once, and answered with the record as it is now. 409 for another request with the key",
	}
	tagHeader = map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}}
)

// ownParams documents o.table.own.
func (o *odooResource) ownParams() []*huma.Param {
	ids := &huma.Schema{Type: huma.TypeArray, Items: whole(1, math.MaxInt32), MaxItems: new(maxValues)}
	searched := "is part of any of these: " + strings.Join(o.table.names(odooapi.Searched), ", ")
	return []*huma.Param{
		param("search", searched, text(), "silla"), param("q", "the same as search", text(), "silla"),
		param("id", fmt.Sprintf("these records, up to %d, archived ones too; the answer is a bare array", maxValues), ids, []any{7}),
	}
}

// body documents what creates or changes a record: the shapes that values checks.
func (o *odooResource) body(kind string, create bool) *huma.RequestBody {
	name, example := kind+"Update", exampleWriting[kind].update
	if create {
		name, example = kind+"Create", exampleWriting[kind].create
	}
	o.huma.OpenAPI().Components.Schemas.Map()[name] = writtenSchema(o.table.columns, create)
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/" + name}, Example: asJSON(example)},
	}}
}

func writtenSchema(fields []odooapi.Field, create bool) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	if !create {
		s.MinProperties = new(1)
	}
	for _, f := range fields {
		if !f.Has(odooapi.Written) {
			continue
		}
		s.Properties[f.Name] = schemaOfField(f)
		if f.Kind == rpc.Link {
			s.Properties[f.Name+"_id"] = whole(1, math.MaxInt32)
			s.Properties[f.Name+"_id"].Nullable = !f.Has(odooapi.Required)
		}
		switch {
		case !create || !f.Has(odooapi.Required):
		case f.Kind == rpc.Link:
			s.AnyOf = []*huma.Schema{{Required: []string{f.Name}}, {Required: []string{f.Name + "_id"}}}
		default:
			s.Required = append(s.Required, f.Name)
		}
	}
	return s
}

// schemaOfField is that of a value to write.
func schemaOfField(f odooapi.Field) *huma.Schema {
	var s *huma.Schema
	switch f.Kind {
	case rpc.Number:
		s = &huma.Schema{Type: huma.TypeNumber}
		if least, most, ok := f.Bounds(); ok {
			s.Minimum, s.Maximum = new(least), new(most)
		}
	case rpc.Bool:
		return &huma.Schema{Type: huma.TypeBoolean}
	case rpc.Date:
		s = &huma.Schema{Type: huma.TypeString, Format: "date"}
	case rpc.Time:
		s = &huma.Schema{Type: huma.TypeString, Format: "date-time"}
	case rpc.Link:
		s = &huma.Schema{Description: "the id, or {id, name} as it is read", OneOf: []*huma.Schema{
			whole(1, math.MaxInt32),
			{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"id": whole(1, math.MaxInt32)}, Required: []string{"id"}},
		}}
		if !f.Has(odooapi.Required) {
			s.OneOf = append(s.OneOf, &huma.Schema{Type: "null"})
		}
		return s
	case rpc.List:
		item := schemaOfField(odooapi.Field{Kind: rpc.Link, Can: odooapi.Required})
		if f.Name == "lines" {
			item = writtenSchema(odooapi.LineFields, false)
			item.Description = "A line without an id needs its product, or with a display_type its name. In a new sale none has an id."
		}
		s = &huma.Schema{Type: huma.TypeArray, Items: item, MaxItems: new(odooapi.MaxLines)}
	default:
		s = &huma.Schema{Type: huma.TypeString, MaxLength: new(odooapi.MaxString)}
	}
	s.Nullable = !f.Has(odooapi.Required)
	return s
}

// nullableLinks says of T's links that they can be null: of pointers to structs huma does not.
func (a *API) nullableLinks(t reflect.Type) {
	s := a.huma.OpenAPI().Components.Schemas.SchemaFromRef(a.huma.OpenAPI().Components.Schemas.Schema(t, true, "").Ref)
	for f := range t.Fields() {
		if f.Type == reflect.TypeFor[*odooapi.Ref]() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			s.Properties[name] = &huma.Schema{Description: f.Tag.Get("doc"), OneOf: []*huma.Schema{s.Properties[name], {Type: "null"}}}
		}
	}
}
