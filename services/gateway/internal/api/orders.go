package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/danielgtaylor/huma/v2"
	"github.com/klauspost/compress/gzhttp"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

func (a *API) orderRoutes() {
	listed := ok[OrderPage](a, "A page, or with Refine's parameters a bare array", OrderPage{
		Data: []Order{exampleOrder}, Total: 1, Page: 1, PageSize: 10, Pages: 1,
	})
	media := listed["200"].Content["application/json"]
	media.Schema = &huma.Schema{OneOf: []*huma.Schema{media.Schema, {Type: huma.TypeArray, Items: schemaOf[Order](a)}}}
	media.Examples = map[string]*huma.Example{
		"page":   {Summary: "page, page_size", Value: media.Example},
		"refine": {Summary: "_start, _end", Value: asJSON([]Order{exampleOrder})},
	}
	media.Example = nil
	a.route(cached(huma.Operation{
		OperationID: "listOrders", Method: http.MethodGet, Path: "/api/orders", Tags: []string{"orders"},
		Summary: "List orders",
		Description: "Takes its own parameters and those of Refine's simple-rest data provider. Filters are joined by AND; one without a value is no filter. " +
			"Every column also takes the suffixes of Refine's other operators: _lt, _gt, _in, _nin, _between, _nbetween, _null, _nnull, and texts " +
			"_contains, _startswith, _endswith, with n before it for the opposite and s after it where case counts.",
		Parameters: listParams(everything), Responses: listed, Errors: asking(),
	}, "X-Total-Count"), auth.Viewer, a.listOrders)

	for _, path := range []string{"/api/orders/id/{record_id}", "/api/orders/{record_id}"} {
		suffix, note := "", ""
		if path == "/api/orders/{record_id}" {
			suffix, note = "Plain", " (for clients that build the address themselves)"
		}
		a.route(cached(huma.Operation{
			OperationID: "getOrder" + suffix, Method: http.MethodGet, Path: path, Tags: []string{"orders"},
			Summary: "One order" + note, Parameters: []*huma.Param{recordParam},
			Responses: ok[Order](a, "The order", exampleOrder), Errors: asking(http.StatusNotFound),
		}), auth.Viewer, a.getOrder)
		a.route(cached(huma.Operation{
			OperationID: "orderHistory" + suffix, Method: http.MethodGet, Path: path + "/history", Tags: []string{"orders"},
			Summary: "What happened to an order, newest first" + note, Parameters: append([]*huma.Param{recordParam}, pageParams...),
			Responses: ok[HistoryPage](a, "A page", HistoryPage{Data: []HistoryEntry{exampleHistory, exampleRejected}, Total: 2, Page: 1, PageSize: 10, Pages: 1}),
			Errors:    asking(http.StatusNotFound),
		}, "X-Total-Count"), auth.Viewer, a.history)
		a.fileRoute(path, suffix, note)
	}

	a.route(cached(huma.Operation{
		OperationID: "ordersSummary", Method: http.MethodGet, Path: "/api/orders/summary", Tags: []string{"orders"},
		Summary: "Totals by status, priority and day", Description: "Takes the filters of the list.",
		Parameters: listParams(filters), Responses: ok[ordersapi.Summary](a, "The totals", exampleSummary), Errors: asking(),
	}), auth.Viewer, a.summary)

	a.route(huma.Operation{
		OperationID: "exportOrders", Method: http.MethodGet, Path: "/api/orders/export.csv", Tags: []string{"orders"},
		Summary: "All orders that match, as CSV",
		Description: "Takes the filters and the order of the list. RFC 4180, UTF-8 with a byte order mark: without it Excel garbles accents, " +
			"and CSV readers skip it. For Spanish, by `lang` or else by `Accept-Language`, it is what spreadsheets in Spanish open: semicolons, decimal commas " +
			"(points and commas for Mexico and other regions that write so), and the names of columns, states and priorities translated. Cells that a spreadsheet would run as a formula start with an apostrophe. " +
			"If something fails half-way the connection is cut, so that a part is never taken for the whole.",
		Parameters: append(listParams(filtersAndSort), param("lang", "en: commas, points and the API's own names; es: a file for spreadsheets in Spanish. Default: Accept-Language, or else en",
			&huma.Schema{Type: huma.TypeString, Enum: []any{"en", "es"}}, "es")), Errors: asking(),
		Responses: map[string]*huma.Response{"200": {
			Description: "The orders",
			Content: map[string]*huma.MediaType{"text/csv": {
				Schema: &huma.Schema{Type: huma.TypeString}, Example: bom + strings.Join(plainCSV.heads, ",") + "\r\n",
			}},
			Headers: map[string]*huma.Param{"Content-Disposition": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, auth.Viewer, a.export)
}

// asking lists the errors of an operation that asks a service.
func asking(more ...int) []int {
	return append(more, http.StatusBadRequest, http.StatusServiceUnavailable)
}

// cached documents an operation that answers If-None-Match, and the headers of its answer.
func cached(op huma.Operation, headers ...string) huma.Operation {
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "If-None-Match", In: "header", Description: "an ETag: 304 if nothing has changed since", Schema: &huma.Schema{Type: huma.TypeString},
	})
	r := op.Responses["200"]
	r.Headers = map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}}
	for _, h := range headers {
		r.Headers[h] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeInteger}}
	}
	op.Responses["304"] = &huma.Response{
		Description: http.StatusText(http.StatusNotModified),
		Headers:     map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	return op
}

func (a *API) listOrders(w http.ResponseWriter, r *http.Request) error {
	l, err := a.orders.parse(r.URL.RawQuery, everything)
	if err != nil {
		return err
	}
	query := l.orders()
	reply, err := a.ask(r.Context(), ordersapi.SubjectList, query)
	if err != nil {
		return err
	}
	return writePage(w, r, reply, l, func(last bus.Reply, rest int) (bus.Reply, error) {
		query.Offset, query.Limit, query.After, query.NoTotal = 0, rest, last.Header.Get(ordersapi.HeaderNext), true
		return a.ask(r.Context(), ordersapi.SubjectList, query)
	})
}

func (a *API) history(w http.ResponseWriter, r *http.Request) error {
	id, err := recordID(r)
	if err != nil {
		return err
	}
	l, err := a.orders.parsePage(r.URL.RawQuery)
	if err != nil {
		return err
	}
	query := ordersapi.HistoryQuery{RecordID: id, Offset: l.Offset, Limit: l.Limit}
	reply, err := a.ask(r.Context(), ordersapi.SubjectHistory, query)
	if err != nil {
		return err
	}
	return writePage(w, r, reply, l, func(_ bus.Reply, rest int) (bus.Reply, error) {
		query.Offset, query.Limit = query.Offset+query.Limit-rest, rest
		return a.ask(r.Context(), ordersapi.SubjectHistory, query)
	})
}

func (a *API) getOrder(w http.ResponseWriter, r *http.Request) error {
	id, err := recordID(r)
	if err != nil {
		return err
	}
	if err := noParams(r); err != nil {
		return err
	}
	reply, err := a.ask(r.Context(), ordersapi.SubjectGet, ordersapi.Ref{RecordID: id})
	if err != nil {
		return err
	}
	tag := reply.Header.Get(rpc.HeaderETag)
	if tag == "" {
		tag = weakETag(reply.Data, "")
	}
	data, tag, err := localisedOrder(w, r, reply.Data, tag)
	if err != nil {
		return err
	}
	w.Header().Set(gzhttp.HeaderNoCompression, "1") // the tag is strong: it names these very bytes
	writeJSON(w, r, tag, data)
	return nil
}

func (a *API) summary(w http.ResponseWriter, r *http.Request) error {
	l, err := a.orders.parse(r.URL.RawQuery, filters)
	if err != nil {
		return err
	}
	reply, err := a.ask(r.Context(), ordersapi.SubjectSummary, l.orders())
	if err != nil {
		return err
	}
	writeJSON(w, r, weakETag(reply.Data, ""), reply.Data)
	return nil
}

// recordID gives the record id of the path.
func recordID(r *http.Request) (string, error) {
	id := r.PathValue("record_id")
	if !event.ValidRecordID(id) {
		return "", fault.Field("record_id", malformedID)
	}
	return id, nil
}

// noParams refuses any query parameter.
func noParams(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	q, err := newQuery(r.URL.RawQuery, &table{})
	if err != nil {
		return err
	}
	for name := range q.values {
		q.unknown(name)
	}
	if f := invalid(q.mistake); f != nil {
		return f
	}
	return nil
}

// writePage writes a JSON array that a service sent, bare or in an envelope, as it came. A page that is larger than a
// NATS message comes in pieces, each of which tells how many rows are left; next fetches the one after it.
func writePage(w http.ResponseWriter, r *http.Request, reply bus.Reply, l listing, next func(last bus.Reply, rest int) (bus.Reply, error)) error {
	totals := reply.Header[rpc.HeaderTotal]
	if len(totals) != 1 || !isArray(reply.Data) {
		return fault.Wrap(fault.Internal, errInternal, fmt.Errorf("the reply to a list has no array or no %s", rpc.HeaderTotal))
	}
	total, err := strconv.Atoi(totals[0])
	if err != nil {
		return fault.Wrap(fault.Internal, errInternal, err)
	}
	data, _, err := localised(w, r, reply.Data)
	if err != nil {
		return err
	}
	w.Header()["X-Total-Count"] = totals
	var head, tail []byte
	if !l.bare {
		head, tail = envelope, l.tail(total)
	}
	if reply.Header[ordersapi.HeaderRest] == nil {
		writeJSON(w, r, weakETag(data, totals[0]), head, data, tail)
		return nil
	}
	streamPage(w, r, reply, next, head, data, tail)
	return nil
}

// streamPage writes a page piece after piece, so that no more than one of them is in memory. Once it has begun, only
// cutting the connection tells that something failed. It has no tag: that would follow from all pieces.
func streamPage(w http.ResponseWriter, r *http.Request, reply bus.Reply, next func(bus.Reply, int) (bus.Reply, error), head, data, tail []byte) {
	fail := func(err error) {
		exchangeOf(r.Context()).cause = fmt.Errorf("page cut off: %w", err)
		panic(http.ErrAbortHandler)
	}
	w.Header()["Content-Type"] = jsonType
	w.Header().Set("Vary", "Accept-Language") // a later piece may have texts
	control := http.NewResponseController(w)
	_, _ = w.Write(head) // what fails here fails again below
	for {
		_ = control.SetWriteDeadline(time.Now().Add(exportWait)) // not supported: no deadline
		if _, err := w.Write(data[:len(data)-1]); err != nil {   //nolint:gosec // G705: as in writeBody
			panic(http.ErrAbortHandler) // the client has gone
		}
		rest, _ := strconv.Atoi(reply.Header.Get(ordersapi.HeaderRest)) // absent: 0
		if rest <= 0 {
			break
		}
		var err error
		if reply, err = next(reply, rest); err != nil {
			fail(err)
		}
		if !isArray(reply.Data) {
			fail(errors.New("a piece of the page is no array"))
		}
		if data, _, err = presented(preferred(r.Header.Get("Accept-Language")), reply.Data); err != nil {
			fail(err)
		}
		if len(data) == 2 { // what was left has gone
			break
		}
		data[0] = ','
	}
	_, _ = w.Write([]byte{']'}) // a client that has gone is noticed by the server
	_, _ = w.Write(tail)        //nolint:gosec // G705: as in writeBody
}

func isArray(data []byte) bool { return len(data) >= 2 && data[0] == '[' && data[len(data)-1] == ']' }

// tail is what an envelope has after the page.
func (l *listing) tail(total int) []byte {
	tail := make([]byte, 0, 80)
	tail = strconv.AppendInt(append(tail, `,"total":`...), int64(total), 10)
	tail = strconv.AppendInt(append(tail, `,"page":`...), int64(l.page), 10)
	tail = strconv.AppendInt(append(append(append(tail, `,"`...), l.size...), `":`...), int64(l.Limit), 10)
	tail = strconv.AppendInt(append(tail, `,"pages":`...), int64((total+l.Limit-1)/l.Limit), 10)
	return append(tail, '}')
}

var envelope = []byte(`{"data":`)

// writeJSON answers with the parts of a body, or with 304 if the client has it already.
func writeJSON(w http.ResponseWriter, r *http.Request, tag string, parts ...[]byte) {
	writeBody(w, r, jsonType, tag, parts...)
}

func writeBody(w http.ResponseWriter, r *http.Request, kind []string, tag string, parts ...[]byte) {
	h := w.Header()
	h["Etag"] = []string{tag}
	if has(r.Header["If-None-Match"], tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	h["Content-Type"] = kind
	h["Content-Length"] = []string{strconv.Itoa(size)}
	for _, p := range parts {
		if len(p) == 0 {
			continue // gzhttp takes an empty first part for a body too small to compress, and names gzip all the same
		}
		if _, err := w.Write(p); err != nil { //nolint:gosec // G705: it is JSON, says so, and may not be guessed to be else
			return // the client has gone
		}
	}
}

// weakETag tags a body and what is said beside it. It is weak: the body may travel compressed.
func weakETag(body []byte, beside string) string {
	sum := xxhash.Sum64(body)
	if beside != "" {
		sum = sum*31 + xxhash.Sum64String(beside)
	}
	return `W/"` + strconv.FormatUint(sum, 36) + `"`
}

// has reports whether If-None-Match names tag, by the weak comparison of RFC 9110, section 13.1.2.
func has(ifNoneMatch []string, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for _, line := range ifNoneMatch {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}
