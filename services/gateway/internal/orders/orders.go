// Package orders serves orders over HTTP: lists, single orders, history, totals, exports, files and edits.
package orders

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/klauspost/compress/gzhttp"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// ordersAPI serves orders.
type ordersAPI struct {
	*route.Routes
	catalog *columns.Catalog
	table   *listquery.Table
}

// Register adds the routes of orders, their columns, files and edits.
func Register(r *route.Routes, catalog *columns.Catalog) {
	a := &ordersAPI{r, catalog, ordersTable(catalog)}
	a.orderRoutes()
	a.columnRoutes()
	a.editRoutes()
}

func (a *ordersAPI) orderRoutes() {
	listed := route.OK[OrderPage](a.Routes, "A page, or with Refine's parameters a bare array", OrderPage{
		Data: []Order{exampleOrder}, Total: 1, Page: 1, PageSize: 10, Pages: 1,
	})
	media := listed["200"].Content["application/json"]
	media.Schema = &huma.Schema{OneOf: []*huma.Schema{media.Schema, {Type: huma.TypeArray, Items: route.SchemaOf[Order](a.Routes)}}}
	media.Examples = map[string]*huma.Example{
		"page":   {Summary: "page, page_size", Value: media.Example},
		"refine": {Summary: "_start, _end", Value: route.AsJSON([]Order{exampleOrder})},
	}
	media.Example = nil
	a.Add(route.Cached(huma.Operation{
		OperationID: "listOrders", Method: http.MethodGet, Path: "/api/orders", Tags: []string{"orders"},
		Summary: "List orders",
		Description: "Takes its own parameters and those of Refine's simple-rest data provider. Filters are joined by AND; one without a value is no filter. " +
			"Every column also takes the suffixes of Refine's other operators: _lt, _gt, _in, _nin, _between, _nbetween, _null, _nnull, and texts " +
			"_contains, _startswith, _endswith, with n before it for the opposite and s after it where case counts.",
		Parameters: listParams(listquery.Everything), Responses: listed, Errors: route.AskErrors(),
	}, "X-Total-Count"), auth.Viewer, a.listOrders)

	for _, path := range []string{"/api/orders/id/{record_id}", "/api/orders/{record_id}"} {
		suffix, note := "", ""
		if path == "/api/orders/{record_id}" {
			suffix, note = "Plain", " (for clients that build the address themselves)"
		}
		a.Add(route.Cached(huma.Operation{
			OperationID: "getOrder" + suffix, Method: http.MethodGet, Path: path, Tags: []string{"orders"},
			Summary: "One order" + note, Parameters: []*huma.Param{recordParam},
			Responses: route.OK[Order](a.Routes, "The order", exampleOrder), Errors: route.AskErrors(http.StatusNotFound),
		}), auth.Viewer, a.getOrder)
		a.Add(route.Cached(huma.Operation{
			OperationID: "orderHistory" + suffix, Method: http.MethodGet, Path: path + "/history", Tags: []string{"orders"},
			Summary: "What happened to an order, newest first" + note, Parameters: append([]*huma.Param{recordParam}, pageParams...),
			Responses: route.OK[HistoryPage](a.Routes, "A page", HistoryPage{Data: []HistoryEntry{exampleHistory, exampleRejected}, Total: 2, Page: 1, PageSize: 10, Pages: 1}),
			Errors:    route.AskErrors(http.StatusNotFound),
		}, "X-Total-Count"), auth.Viewer, a.history)
		a.fileRoute(path, suffix, note)
	}

	a.Add(route.Cached(huma.Operation{
		OperationID: "ordersSummary", Method: http.MethodGet, Path: "/api/orders/summary", Tags: []string{"orders"},
		Summary: "Totals by status, priority and day", Description: "Takes the filters of the list.",
		Parameters: listParams(listquery.Filters), Responses: route.OK[ordersapi.Summary](a.Routes, "The totals", exampleSummary), Errors: route.AskErrors(),
	}), auth.Viewer, a.summary)

	a.Add(huma.Operation{
		OperationID: "exportOrders", Method: http.MethodGet, Path: "/api/orders/export.csv", Tags: []string{"orders"},
		Summary: "All orders that match, as CSV",
		Description: "Takes the filters and the order of the list. RFC 4180, UTF-8 with a byte order mark: without it Excel garbles accents, " +
			"and CSV readers skip it. For Spanish, by `lang` or else by `Accept-Language`, it is what spreadsheets in Spanish open: semicolons, decimal commas " +
			"(points and commas for Mexico and other regions that write so), and the names of columns, states and priorities translated. Cells that a spreadsheet would run as a formula start with an apostrophe. " +
			"If something fails half-way the connection is cut, so that a part is never taken for the whole.",
		Parameters: append(listParams(listquery.FiltersAndSort), route.Param("lang", "en: commas, points and the API's own names; es: a file for spreadsheets in Spanish. Default: Accept-Language, or else en",
			&huma.Schema{Type: huma.TypeString, Enum: []any{"en", "es"}}, "es")), Errors: route.AskErrors(),
		Responses: map[string]*huma.Response{"200": {
			Description: "The orders",
			Content: map[string]*huma.MediaType{"text/csv": {
				Schema: &huma.Schema{Type: huma.TypeString}, Example: bom + strings.Join(plainCSV.heads, ",") + "\r\n",
			}},
			Headers: map[string]*huma.Param{"Content-Disposition": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, auth.Viewer, a.export)
}

func (a *ordersAPI) listOrders(w http.ResponseWriter, r *http.Request) error {
	l, err := a.table.Parse(r.URL.RawQuery, listquery.Everything)
	if err != nil {
		return err
	}
	query := ordersQuery(&l)
	reply, err := a.Ask(r.Context(), ordersapi.SubjectList, query)
	if err != nil {
		return err
	}
	return listquery.WritePage(w, r, reply, l, presented, func(last bus.Reply, rest int) (bus.Reply, error) {
		query.Offset, query.Limit, query.After, query.NoTotal = 0, rest, last.Header.Get(ordersapi.HeaderNext), true
		return a.Ask(r.Context(), ordersapi.SubjectList, query)
	})
}

func (a *ordersAPI) history(w http.ResponseWriter, r *http.Request) error {
	id, err := recordID(r)
	if err != nil {
		return err
	}
	l, err := a.table.ParsePage(r.URL.RawQuery)
	if err != nil {
		return err
	}
	query := ordersapi.HistoryQuery{RecordID: id, Offset: l.Offset, Limit: l.Limit}
	reply, err := a.Ask(r.Context(), ordersapi.SubjectHistory, query)
	if err != nil {
		return err
	}
	return listquery.WritePage(w, r, reply, l, presented, func(_ bus.Reply, rest int) (bus.Reply, error) {
		query.Offset, query.Limit = query.Offset+query.Limit-rest, rest
		return a.Ask(r.Context(), ordersapi.SubjectHistory, query)
	})
}

func (a *ordersAPI) getOrder(w http.ResponseWriter, r *http.Request) error {
	id, err := recordID(r)
	if err != nil {
		return err
	}
	if err := listquery.None(r); err != nil {
		return err
	}
	reply, err := a.Ask(r.Context(), ordersapi.SubjectGet, ordersapi.Ref{RecordID: id})
	if err != nil {
		return err
	}
	tag := reply.Header.Get(rpc.HeaderETag)
	if tag == "" {
		tag = route.WeakETag(reply.Data, "")
	}
	data, tag, err := localisedOrder(w, r, reply.Data, tag)
	if err != nil {
		return err
	}
	w.Header().Set(gzhttp.HeaderNoCompression, "1") // the tag is strong: it names these very bytes
	route.WriteJSON(w, r, tag, data)
	return nil
}

func (a *ordersAPI) summary(w http.ResponseWriter, r *http.Request) error {
	l, err := a.table.Parse(r.URL.RawQuery, listquery.Filters)
	if err != nil {
		return err
	}
	reply, err := a.Ask(r.Context(), ordersapi.SubjectSummary, ordersQuery(&l))
	if err != nil {
		return err
	}
	route.WriteJSON(w, r, route.WeakETag(reply.Data, ""), reply.Data)
	return nil
}

// recordID gives the record id of the path.
func recordID(r *http.Request) (string, error) {
	id := r.PathValue("record_id")
	if !event.ValidRecordID(id) {
		return "", fault.Field("record_id", listquery.MalformedID)
	}
	return id, nil
}
