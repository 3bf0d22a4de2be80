package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/klauspost/compress/gzhttp"
	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

const (
	editsTogether = 100             // edits of one question: the answer holds their orders, as a page does
	asksAtOnce    = 4               // questions of one request
	editsAtOnce   = 2               // of those that edit: more would only wait for each other's locks, and too long for a busy disk
	editsPatience = 5 * time.Second // for a question with more than one edit
)

// Wanted is a text that may be left out but not be null, which huma takes for the same.
type Wanted struct {
	text *string
	null bool
}

// UnmarshalJSON remembers a null.
func (v *Wanted) UnmarshalJSON(data []byte) error {
	if v.null = string(data) == "null"; v.null {
		return nil
	}
	return json.Unmarshal(data, &v.text)
}

// Schema is what huma checks and documents.
func (Wanted) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }

func (v Wanted) String() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// values gives what is wanted, in the columns' own values. What is wrong goes into mistakes, by field under
// the prefix at.
func (v OrderValues) values(catalog *columns.Catalog, at string, mistakes map[string]fault.Text) event.EditValues {
	if v == (OrderValues{}) {
		mistakes[strings.TrimSuffix(at, ".")] = NoValues
	}
	all := event.EditValues{}
	for name, v := range v.byColumn() {
		if v == (Wanted{}) {
			continue
		}
		column, known := catalog.Column(name)
		found, offered := column.Find(v.String())
		switch {
		case known && !column.Editable:
			mistakes[at+name] = notEditable
		case v.null, !offered, !event.ValidEditValue(found):
			mistakes[at+name] = listquery.MustBeOffered(&column)
		}
		all[name] = found
	}
	return all
}

// all are the values that are wanted of any order.
func (m *ManyEdits) all() (values []OrderValues) {
	for _, e := range m.Edits {
		values = append(values, e.OrderValues)
	}
	if m.Values != nil {
		values = append(values, *m.Values)
	}
	return values
}

// learnTime bounds how long a request waits for the columns to be read again.
const learnTime = 6 * time.Second

// learnChoices has airtable-sync read the columns again if values has one that its column does not offer: it may have
// been added in Airtable a moment ago. If that fails the known columns decide.
func (a *ordersAPI) learnChoices(ctx context.Context, values ...OrderValues) {
	if !slices.ContainsFunc(values, func(v OrderValues) bool { return v.unknown(a.catalog) }) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	var source columns.Source
	reply, err := a.Services.Ask(ctx, syncapi.SubjectColumns, struct{}{})
	if err == nil {
		err = json.Unmarshal(reply.Data, &source)
	}
	if err == nil && len(source.Columns) > 0 {
		a.catalog.Set(source)
	}
}

// unknown reports whether a column does not offer its value.
func (v OrderValues) unknown(catalog *columns.Catalog) bool {
	for name, wanted := range v.byColumn() {
		column, known := catalog.Column(name)
		if _, offered := column.Find(wanted.String()); known && column.Editable && wanted.text != nil && !offered {
			return true
		}
	}
	return false
}

var notEditable = fault.T("la tabla de Airtable no tiene un campo para esta columna en el que se pueda escribir",
	"the table in Airtable has no field for this column that can be written to")

// OrderEdit is one of many edits.
type OrderEdit struct {
	RecordID string `json:"record_id"`
	OrderValues
	IfMatch Wanted `json:"if_match,omitzero" doc:"as the header If-Match: the order's ETag, in its quotes"`
}

// ManyEdits is what PATCH /api/orders takes: edits, or ids with values.
type ManyEdits struct {
	Edits  []OrderEdit  `json:"edits,omitempty" maxItems:"1000" doc:"one of each order, with at least one column"`
	IDs    []string     `json:"ids,omitempty" maxItems:"1000" doc:"record ids that are all to have values, as Refine's updateMany gives them"`
	Values *OrderValues `json:"values,omitempty" doc:"of ids; at least one column"`
}

// EditResult is what became of one of many edits: the order, or the problem.
type EditResult struct {
	RecordID string           `json:"record_id"`
	Status   int              `json:"status" minimum:"200" maximum:"599" doc:"what the edit alone would have been answered with; 202: accepted, but reads do not show it yet"`
	EditID   string           `json:"edit_id,omitempty"`
	ETag     string           `json:"etag,omitempty" doc:"of the order, for If-Match"`
	Order    *Order           `json:"order,omitempty" doc:"with the edit in its member edit"`
	Problem  *problem.Problem `json:"problem,omitempty"`
}

// EditResults answers PATCH /api/orders, in the order of the request.
type EditResults struct {
	Results  []EditResult `json:"results"`
	Accepted int          `json:"accepted" minimum:"0"`
	Failed   int          `json:"failed" minimum:"0"`
}

// servedResult and servedResults are EditResult and EditResults with the order as the service wrote it.
type servedResult struct {
	EditResult
	Order json.RawMessage `json:"order,omitempty"`
}

type servedResults struct {
	EditResults
	Results []servedResult `json:"results"`
}

func (a *ordersAPI) editRoutes() {
	const about = "Accepted, an edit is safe on disk and shows in every read at once (200) or, while a part of the system is out, soon (202), with `edit.state` pending until Airtable has taken it " +
		"(applied) or refused it (rejected, with a reason; the values before it are back). " +
		"`Prefer: wait=N` waits up to N seconds, 30 at most, for that. Made again with the same `Idempotency-Key` it is the same edit."
	for _, path := range []string{"/api/orders/id/{record_id}", "/api/orders/{record_id}"} {
		suffix, note := "", ""
		if path == "/api/orders/{record_id}" {
			suffix, note = "Plain", " (for clients that build the address themselves)"
		}
		responses := route.OK[Order](a.Routes, "The order with the edit", exampleEdited)
		responses["200"].Headers = map[string]*huma.Param{
			"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}, "Preference-Applied": {Schema: &huma.Schema{Type: huma.TypeString}},
		}
		later := *responses["200"]
		later.Description = "The order with the edit, which is accepted and safe; reads do not show it yet"
		responses["202"] = &later
		route.Register(a.Routes, huma.Operation{
			OperationID: "editOrder" + suffix, Method: http.MethodPatch, Path: path, Tags: []string{"orders"},
			Summary:     "Edit an order's " + someOf(event.EditableColumns).EN + note,
			Description: about + " With `If-Match` it is only made while the order has one of those ETags, as reading the order or editing it gives them; `W/` before one does not matter.",
			Responses:   responses, MaxBodyBytes: -1, // limitBody limits it
			Errors: route.AskErrors(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnsupportedMediaType),
		}, auth.Operator, a.editOrder)
	}
	responses := route.OK[EditResults](a.Routes, "A result for each edit, in their order", EditResults{Results: []EditResult{
		{RecordID: exampleEdited.RecordID, Status: http.StatusOK, EditID: exampleEdited.Edit.ID, ETag: `"5f2c9a"`, Order: &exampleEdited},
		{RecordID: "recZ9y8X7w6V5u4T", Status: http.StatusNotFound, Problem: problem.Of(route.ExampleFault(http.StatusNotFound), "es", "")},
	}, Accepted: 1, Failed: 1})
	responses["200"].Headers = map[string]*huma.Param{"Preference-Applied": {Schema: &huma.Schema{Type: huma.TypeString}}}
	route.Register(a.Routes, huma.Operation{
		OperationID: "editOrders", Method: http.MethodPatch, Path: "/api/orders", Tags: []string{"orders"},
		Summary: fmt.Sprintf("Edit up to %d orders", ordersapi.MaxEdits),
		Description: about + " Each edit is accepted or refused by itself; the request as a whole is refused when something in it is invalid. " +
			"In place of `If-Match` each of the `edits` can have its `if_match`.",
		Responses: responses, MaxBodyBytes: -1, // limitBody limits it
		Errors: route.AskErrors(http.StatusConflict, http.StatusUnsupportedMediaType),
	}, auth.Operator, a.editOrders)
}

// editing is what single and many edits have in common. huma reads the headers into it for the
// document; their lines are read from the request.
type editing struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"1 to 255 ASCII characters that name this request, of the caller's choice: when it is repeated nothing is edited twice" example:"7c1f0e52-9d0b-4b7e"`
	Prefer         string `header:"Prefer" doc:"wait=N: wait up to N seconds, 30 at most, until Airtable has taken or refused the edit" example:"wait=5"`

	w http.ResponseWriter
	r *http.Request
}

// Resolve is called by huma.
func (in *editing) Resolve(ctx huma.Context) []error {
	in.r, in.w = humachi.Unwrap(ctx)
	if err := listquery.None(in.r); err != nil {
		return []error{err}
	}
	return nil
}

// editInput is a request for one edit.
type editInput struct {
	RecordID string `path:"record_id" pattern:"^[A-Za-z0-9_-]{1,64}$" example:"recA1b2C3d4E5f6G7"`
	IfMatch  string `header:"If-Match" doc:"ETags of the order with commas between, or *: 412 if it has another" example:"\"5f2c9a\""`
	editing
	Body OrderValues
}

type editOutput struct {
	Status int
	Body   []byte
}

func (a *ordersAPI) editOrder(ctx context.Context, in *editInput) (*editOutput, error) {
	mistakes := map[string]fault.Text{}
	a.learnChoices(ctx, in.Body)
	values := in.Body.values(a.catalog, "", mistakes)
	if f := problem.Invalid(mistakes); f != nil {
		return nil, f
	}
	tags, err := route.IfMatch("If-Match", in.r.Header["If-Match"])
	if err != nil {
		return nil, err
	}
	results, err := a.edit(ctx, &in.editing, []ordersapi.EditOrder{{RecordID: in.RecordID, Values: values, IfMatch: tags}})
	if err != nil {
		return nil, err
	}
	result := results[0]
	if result.Fault != nil {
		return nil, faultOf(result.Fault)
	}
	if len(result.Order) == 0 {
		return nil, fault.New(fault.Unavailable, acceptedUnseen)
	}
	body, tag, err := localisedOrder(in.w, in.r, result.Order, result.ETag)
	if err != nil {
		return nil, err
	}
	h := in.w.Header()
	h["Content-Type"] = route.JSONType
	h["Etag"] = []string{tag}
	h.Set(gzhttp.HeaderNoCompression, "1") // as getOrder: the tag is strong
	return &editOutput{statusOf(&result), body}, nil
}

var acceptedUnseen = fault.T("La edición está guardada, pero ahora no se puede mostrar el pedido",
	"The edit is stored, but the order cannot be shown now")

// statusOf is what an accepted edit is answered with.
func statusOf(r *ordersapi.EditResult) int {
	if r.Lagging {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// manyInput is a request for many edits.
type manyInput struct {
	editing
	Body ManyEdits
}

type manyOutput struct{ Body servedResults }

func (a *ordersAPI) editOrders(ctx context.Context, in *manyInput) (*manyOutput, error) {
	if _, ok := in.r.Header["If-Match"]; ok {
		return nil, fault.Field("If-Match", fault.T("aquí no vale; use if_match en cada edición", "does not go here; use if_match in each edit"))
	}
	a.learnChoices(ctx, in.Body.all()...)
	edits, err := in.Body.edits(a.catalog)
	if err != nil {
		return nil, err
	}
	results, err := a.edit(ctx, &in.editing, edits)
	if err != nil {
		return nil, err
	}
	lang := problem.Language(in.r.Header.Get("Accept-Language"))
	in.w.Header().Add("Vary", "Accept-Language")
	var out servedResults
	for _, result := range results {
		served := servedResult{EditResult: EditResult{RecordID: result.RecordID, Status: statusOf(&result)}}
		if result.Fault != nil {
			served.Problem = problem.Of(faultOf(result.Fault), lang, "")
			served.Status = served.Problem.Status
			out.Failed++
		} else {
			served.EditID, served.ETag = result.EditID, result.ETag
			if served.Order, _, err = presented(lang, result.Order); err != nil {
				return nil, err
			}
			out.Accepted++
		}
		out.Results = append(out.Results, served)
	}
	return &manyOutput{out}, nil
}

// NoValues is said of an edit that changes nothing.
var NoValues = func() fault.Text {
	some := someOf(event.EditableColumns)
	return fault.T("falta "+some.ES, some.EN+" are missing")
}()

// someOf lists columns of which one or several may be given.
func someOf(names []string) fault.Text {
	switch len(names) {
	case 1:
		return fault.T(names[0], names[0])
	case 2:
		both := strings.Join(names, ", ")
		return fault.T(both+" o ambos", both+" or both")
	default:
		list := strings.Join(names, ", ")
		return fault.T(list+" o varios de ellos", list+" or several of them")
	}
}

// edits gives what is to be edited, whichever form it came in. The error names every field at fault.
func (m *ManyEdits) edits(catalog *columns.Catalog) ([]ordersapi.EditOrder, error) {
	mistakes := map[string]fault.Text{}
	var edits []ordersapi.EditOrder
	switch {
	case len(m.Edits) > 0 && (m.IDs != nil || m.Values != nil):
		mistakes["edits"] = fault.T("no se combina con ids ni values", "does not go with ids or values")
	case len(m.Edits) > 0:
		edits = m.single(catalog, mistakes)
	case len(m.IDs) > 0 && m.Values == nil:
		mistakes["values"] = NoValues
	case len(m.IDs) > 0:
		values := m.Values.values(catalog, "values.", mistakes)
		for _, id := range m.IDs {
			edits = append(edits, ordersapi.EditOrder{RecordID: id, Values: values})
		}
	default:
		return nil, fault.New(fault.Invalid, fault.T("Falta edits, o ids con values", "Edits, or ids with values, are missing"))
	}
	seen := make(map[string]bool, len(edits))
	for i, e := range edits {
		at := fmt.Sprintf("ids[%d]", i)
		if len(m.Edits) > 0 {
			at = fmt.Sprintf("edits[%d].record_id", i)
		}
		if !event.ValidRecordID(e.RecordID) {
			mistakes[at] = listquery.MalformedID
		} else if seen[e.RecordID] {
			mistakes[at] = fault.T(e.RecordID+" está repetido", e.RecordID+" is repeated")
		}
		seen[e.RecordID] = true
	}
	if f := problem.Invalid(mistakes); f != nil {
		return nil, f
	}
	return edits, nil
}

func (m *ManyEdits) single(catalog *columns.Catalog, mistakes map[string]fault.Text) (edits []ordersapi.EditOrder) {
	for i, e := range m.Edits {
		at := fmt.Sprintf("edits[%d]", i)
		edit := ordersapi.EditOrder{RecordID: e.RecordID, Values: e.values(catalog, at+".", mistakes)}
		if e.IfMatch != (Wanted{}) {
			tags, err := route.IfMatch(at+".if_match", []string{e.IfMatch.String()})
			if err != nil {
				maps.Copy(mistakes, fault.From(err).Fields)
			}
			edit.IfMatch = tags
		}
		edits = append(edits, edit)
	}
	return edits
}

// edit makes the edits, and waits for their outcome if the caller prefers so. The error is for all
// of them; what concerns one is in its result.
func (a *ordersAPI) edit(ctx context.Context, in *editing, edits []ordersapi.EditOrder) ([]ordersapi.EditResult, error) {
	key, err := route.IdempotencyKey(in.r.Header["Idempotency-Key"])
	if err != nil {
		return nil, err
	}
	wait := route.PreferredWait(in.r.Header["Prefer"])
	control := http.NewResponseController(in.w)
	_ = control.SetReadDeadline(time.Time{})                                        // the body is read; else its deadline would end the wait
	_ = control.SetWriteDeadline(time.Now().Add(wait + exportWait + route.MaxWait)) // not supported: no deadline

	who := access.Of(ctx).Who.Username
	req := ordersapi.EditRequest{Edits: edits, IdempotencyKey: key, Actor: event.Actor{ID: who}}
	if strings.Contains(who, "@") {
		req.Actor.Email = who
	}
	results, err := a.makeEdits(ctx, req)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		in.w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait.Seconds())))
		a.awaitEdits(ctx, results, wait)
	}
	return results, nil
}

// makeEdits asks for them part by part. The error is that of the first part when none was answered.
func (a *ordersAPI) makeEdits(ctx context.Context, req ordersapi.EditRequest) ([]ordersapi.EditResult, error) {
	parts := slices.Collect(slices.Chunk(req.Edits, editsTogether))
	answers := make([][]ordersapi.EditResult, len(parts))
	errs := make([]error, len(parts))
	var group errgroup.Group
	group.SetLimit(editsAtOnce)
	for i, part := range parts {
		group.Go(func() error {
			of := req
			of.Edits = part
			answers[i], errs[i] = a.askEdits(ctx, of)
			return nil
		})
	}
	_ = group.Wait() // errs has the errors
	if !slices.Contains(errs, nil) {
		return nil, errs[0]
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		f := fault.From(err)
		for _, e := range parts[i] {
			answers[i] = append(answers[i], ordersapi.EditResult{
				RecordID: e.RecordID, Fault: &ordersapi.EditFault{Code: f.Code, Detail: f.Detail, Fields: f.Fields},
			})
		}
	}
	results := slices.Concat(answers...)
	var omitted []*ordersapi.EditResult
	for i := range results {
		if r := &results[i]; r.Fault == nil && len(r.Order) == 0 {
			omitted = append(omitted, r)
		}
	}
	a.readAgain(ctx, omitted)
	return results, nil
}

func (a *ordersAPI) askEdits(ctx context.Context, req ordersapi.EditRequest) ([]ordersapi.EditResult, error) {
	limit := route.Timeout
	if len(req.Edits) > 1 {
		limit = editsPatience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := a.Services.Ask(ctx, ordersapi.SubjectEdit, req)
	if err != nil {
		return nil, err
	}
	var results []ordersapi.EditResult
	if err := json.Unmarshal(reply.Data, &results); err != nil {
		return nil, route.Unreadable(err)
	}
	if !slices.EqualFunc(results, req.Edits, func(r ordersapi.EditResult, e ordersapi.EditOrder) bool {
		return r.RecordID == e.RecordID && (r.Fault != nil || r.EditID != "")
	}) {
		return nil, route.Unreadable(errors.New("the results are not those of the edits"))
	}
	return results, nil
}

func faultOf(f *ordersapi.EditFault) *fault.Error {
	e := &fault.Error{Code: f.Code, Detail: f.Detail, Fields: f.Fields}
	if f.Code.Temporary() {
		e.RetryAfter = time.Second
	}
	return e
}

// awaitEdits waits until no edit of results is pending, the time is over, the client goes or this
// process drains; then it puts the orders of those that have settled as they are now into results.
func (a *ordersAPI) awaitEdits(ctx context.Context, results []ordersapi.EditResult, wait time.Duration) {
	waiting, cancel := a.UntilDraining(ctx)
	defer cancel()
	waiting, stop := context.WithTimeout(waiting, wait)
	defer stop()
	pending := map[string]*ordersapi.EditResult{}
	for i := range results {
		if results[i].Fault == nil {
			pending[results[i].EditID] = &results[i]
		}
	}
	var settled []*ordersapi.EditResult
	for delay := 50 * time.Millisecond; len(pending) > 0; delay = min(delay*3/2, 500*time.Millisecond) {
		for _, e := range a.editsOf(waiting, slices.Collect(maps.Keys(pending))) {
			result := pending[e.ID]
			if result == nil {
				continue
			}
			result.Lagging = false // what is known is shown
			if e.State != event.Pending {
				settled = append(settled, result)
				delete(pending, e.ID)
			}
		}
		if len(pending) == 0 {
			break
		}
		select {
		case <-waiting.Done():
			clear(pending)
		case <-time.After(delay + rand.N(delay/4)):
		}
	}
	a.readAgain(ctx, settled)
}

// editsOf gives those of the edits that are known. An error says nothing of any: the edits are accepted
// whatever becomes of this question.
func (a *ordersAPI) editsOf(ctx context.Context, ids []string) (edits []ordersapi.Edit) {
	for part := range slices.Chunk(ids, editsTogether) { // the replies to more might be too large
		var some []ordersapi.Edit
		reply, err := a.Ask(ctx, ordersapi.SubjectEdits, ordersapi.EditsQuery{IDs: part})
		if err == nil && json.Unmarshal(reply.Data, &some) == nil {
			edits = append(edits, some...)
		}
	}
	return edits
}

// readAgain puts the orders as they are now into results. An order that has gone is a fault; what else
// fails leaves its result as it is, for the edit is accepted.
func (a *ordersAPI) readAgain(ctx context.Context, results []*ordersapi.EditResult) {
	var group errgroup.Group
	group.SetLimit(asksAtOnce)
	for _, result := range results {
		group.Go(func() error {
			a.readOrder(ctx, result)
			return nil
		})
	}
	_ = group.Wait() // never an error
}

func (a *ordersAPI) readOrder(ctx context.Context, result *ordersapi.EditResult) {
	reply, err := a.Ask(ctx, ordersapi.SubjectGet, ordersapi.Ref{RecordID: result.RecordID})
	if err == nil {
		result.Order, result.ETag = reply.Data, reply.Header.Get(rpc.HeaderETag)
		return
	}
	if f := fault.From(err); f.Code == fault.NotFound {
		result.Fault = &ordersapi.EditFault{Code: f.Code, Detail: f.Detail}
	}
}
