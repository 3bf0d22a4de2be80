package airtabletest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// api is a bare client of one sandbox.
type api struct {
	t   *testing.T
	s   *airtabletest.Server
	url string
}

func start(t *testing.T, cfg airtabletest.Config) *api {
	t.Helper()
	if cfg.RatePerSecond == 0 {
		cfg.RatePerSecond = -1
	}
	s, endpoint := airtabletest.Start(t, cfg)
	return &api{t, s, endpoint}
}

type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

// errorType returns the type of an error in any of Airtable's three forms.
func (a answer) errorType() string {
	switch e := a.json["error"].(type) {
	case string:
		return e
	case map[string]any:
		return fmt.Sprint(e["type"])
	}
	if list, ok := a.json["errors"].([]any); ok {
		return fmt.Sprint(list[0].(map[string]any)["error"])
	}
	return ""
}

func (a answer) records() []map[string]any {
	list, _ := a.json["records"].([]any)
	out := make([]map[string]any, len(list))
	for i, r := range list {
		out[i], _ = r.(map[string]any)
	}
	return out
}

func (c *api) try(method, path string, body any) (answer, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.s.Config().APIKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(raw)}
	_ = json.Unmarshal(raw, &a.json) // some answers are no JSON on purpose
	return a, nil
}

func (c *api) do(method, path string, body any) answer {
	c.t.Helper()
	a, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// table is the path of the sandbox's table.
func (c *api) table() string {
	cfg := c.s.Config()
	return "/v0/" + cfg.BaseID + "/" + cfg.TableID
}

func (c *api) list(query url.Values) answer {
	c.t.Helper()
	a := c.do(http.MethodGet, c.table()+"?"+query.Encode(), nil)
	if a.status != http.StatusOK {
		c.t.Fatalf("list %v: %d %s", query, a.status, a.text)
	}
	return a
}

func ids(records []map[string]any) []string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = fmt.Sprint(r["id"])
	}
	return out
}

// refused checks an error's status and type.
func refused(t *testing.T, a answer, status int, kind string) {
	t.Helper()
	if a.status != status || a.errorType() != kind {
		t.Errorf("%d %s, want %d %s", a.status, a.text, status, kind)
	}
}

// clock is a fake clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 3})
	base := "/v0/" + c.s.Config().BaseID
	id := c.s.RecordIDs()[0]
	c.s.RenameTable("Pedidos / año")
	name := base + "/" + url.PathEscape("Pedidos / año")
	for _, path := range []string{c.table(), c.table() + "/", c.table() + "/?", name, name + "/?", base + "/Pedidos%20%2F%20a%C3%B1o?limit=2&offset="} {
		if a := c.do(http.MethodGet, path, nil); a.status != http.StatusOK || len(a.records()) < 2 {
			t.Errorf("GET %s: %d %s", path, a.status, a.text)
		}
	}
	if a := c.do(http.MethodPost, name+"/?", `{"fields":{"Order":"x"}}`); a.status != http.StatusOK {
		t.Errorf("create at /?: %d %s", a.status, a.text)
	}
	a := c.do(http.MethodGet, name+"/"+id, nil)
	if a.status != http.StatusOK || a.json["id"] != id {
		t.Errorf("get: %d %s", a.status, a.text)
	}
	if a.header.Get("Date") == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		t.Errorf("headers %v", a.header)
	}
	for _, path := range []string{"/", "/v0", "/v0/", base, base + "//" + id, c.table() + "/rec", c.table() + "/" + id + "/remarks", "/v0/meta", "/v0/meta/bases/x", "/v1" + c.table()} {
		refused(t, c.do(http.MethodGet, path, nil), http.StatusNotFound, "NOT_FOUND")
	}
	refused(t, c.do(http.MethodGet, c.table()+"?filterByFormula="+strings.Repeat("1", 16_000), nil), http.StatusRequestURITooLong, "REQUEST_URI_TOO_LONG")
	refused(t, c.do(http.MethodPost, c.table(), strings.Repeat(" ", 9<<20)), http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE")
}

func TestAccess(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1})
	for _, token := range []string{"", "Bearer", "Bearer patWrong", "Basic " + c.s.Config().APIKey, c.s.Config().APIKey} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+c.table(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if want := `{"error":{"type":"AUTHENTICATION_REQUIRED","message":"Authentication required"}}`; res.StatusCode != http.StatusUnauthorized || string(body) != want {
			t.Errorf("token %q: %d %s", token, res.StatusCode, body)
		}
	}
	if n := c.s.Calls().Total(); n != 0 {
		t.Errorf("%d refused calls were counted", n)
	}
	a := c.do(http.MethodGet, "/v0/appAAAAAAAAAAAAAA/Orders", nil)
	if a.status != http.StatusNotFound || a.text != `{"error":"NOT_FOUND"}` {
		t.Errorf("unknown base: %d %s", a.status, a.text)
	}
	refused(t, c.do(http.MethodGet, "/v0/"+c.s.Config().BaseID+"/Nothing", nil), http.StatusForbidden, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
	refused(t, c.do(http.MethodGet, "/v0/meta/bases/appAAAAAAAAAAAAAA/tables", nil), http.StatusForbidden, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
}

func TestSchema(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Language: "es"})
	if _, err := c.s.AddField(airtabletest.Field{Name: "Doble", Type: airtabletest.Formula, Formula: "{Importe} * 2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.s.AddField(airtabletest.Field{Name: "Cambio de estado", Type: airtabletest.LastModifiedTime, Watches: []string{"Estado"}}); err != nil {
		t.Fatal(err)
	}
	tables := func() (table map[string]any, fields map[string]map[string]any) {
		a := c.do(http.MethodGet, "/v0/meta/bases/"+c.s.Config().BaseID+"/tables", nil)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
		table = a.json["tables"].([]any)[0].(map[string]any)
		fields = map[string]map[string]any{}
		for _, f := range table["fields"].([]any) {
			field := f.(map[string]any)
			fields[field["name"].(string)] = field
		}
		return table, fields
	}
	table, fields := tables()
	if table["id"] != c.s.Config().TableID || table["name"] != "Pedidos" || table["primaryFieldId"] != fields["Pedido"]["id"] {
		t.Errorf("table %v", table)
	}
	if views := table["views"].([]any); views[0].(map[string]any)["type"] != "grid" {
		t.Errorf("views %v", views)
	}
	types := map[string]string{
		"Pedido": "singleLineText", "Cliente": "singleLineText", "Estado": "singleSelect", "Prioridad": "singleSelect", "Importe": "currency",
		"Fecha de pedido": "date", "Notas": "multilineText", "Correo": "email", "Etiquetas": "multipleSelects", "Pagado": "checkbox",
		"Número": "autoNumber", "Creado": "createdTime", "Última modificación": "lastModifiedTime", "Doble": "formula", "Cambio de estado": "lastModifiedTime",
	}
	for name, want := range types {
		if fields[name]["type"] != want {
			t.Errorf("field %q: %v, want %s", name, fields[name], want)
		}
	}
	options := func(name string) map[string]any { return fields[name]["options"].(map[string]any) }
	first := options("Estado")["choices"].([]any)[0].(map[string]any)
	if first["name"] != "Pending" || !strings.HasPrefix(first["id"].(string), "sel") || first["color"] == "" {
		t.Errorf("choice %v", first)
	}
	if got, want := options("Doble")["formula"], "{"+fields["Importe"]["id"].(string)+"} * 2"; got != want {
		t.Errorf("formula %v, want %s", got, want)
	}
	if all := options("Última modificación")["referencedFieldIds"].([]any); len(all) != 0 {
		t.Errorf("the last modification watches %v", all)
	}
	if watched := options("Cambio de estado")["referencedFieldIds"].([]any); len(watched) != 1 || watched[0] != fields["Estado"]["id"] {
		t.Errorf("watches %v", watched)
	}

	id := fields["Estado"]["id"]
	if err := c.s.RenameField("Estado", "Situación"); err != nil {
		t.Fatal(err)
	}
	if _, fields := tables(); fields["Situación"]["id"] != id || fields["Estado"] != nil {
		t.Errorf("renamed: %v", fields)
	}
	who := c.do(http.MethodGet, "/v0/meta/whoami", nil)
	if !strings.HasPrefix(fmt.Sprint(who.json["id"]), "usr") {
		t.Errorf("whoami %s", who.text)
	}
	bases := c.do(http.MethodGet, "/v0/meta/bases", nil).json["bases"].([]any)
	if bases[0].(map[string]any)["id"] != c.s.Config().BaseID {
		t.Errorf("bases %v", bases)
	}
	if got := c.s.Calls().Meta; got != 4 {
		t.Errorf("%d calls on meta", got)
	}
}

func TestNoSchemaScope(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{NoSchemaScope: true, Orders: 1})
	refused(t, c.do(http.MethodGet, "/v0/meta/bases/"+c.s.Config().BaseID+"/tables", nil), http.StatusForbidden, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
	if a := c.list(nil); len(a.records()) != 1 {
		t.Errorf("reading records: %s", a.text)
	}
}

func TestFrozenOrderLiveCells(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 25})
	all := c.s.RecordIDs()
	first := c.list(url.Values{"pageSize": {"10"}})
	offset := first.json["offset"].(string)
	if want := "/" + all[10]; !strings.HasPrefix(offset, "itr") || !strings.HasSuffix(offset, want) {
		t.Fatalf("offset %q", offset)
	}
	// Behind the scan's back: one row gone, one changed, one added.
	c.s.DeleteRecords(all[12])
	if err := c.s.UpdateRecord(all[11], airtabletest.Fields{"Customer": "Changed"}); err != nil {
		t.Fatal(err)
	}
	added := must(c.s.CreateRecord(airtabletest.Fields{"Order": "Added"}))(t)

	second := c.list(url.Values{"pageSize": {"10"}, "offset": {offset}})
	again := c.list(url.Values{"pageSize": {"10"}, "offset": {offset}})
	if second.text != again.text {
		t.Error("the same offset gave another page")
	}
	if got := second.records()[1]["fields"].(map[string]any)["Customer"]; got != "Changed" {
		t.Errorf("the cell is %v", got)
	}
	seen := append(ids(first.records()), ids(second.records())...)
	last := c.list(url.Values{"offset": {second.json["offset"].(string)}})
	seen = append(seen, ids(last.records())...)
	if last.json["offset"] != nil {
		t.Error("the last page has an offset")
	}
	want := slices.Delete(slices.Clone(all), 12, 13)
	if !slices.Equal(seen, want) || slices.Contains(seen, added) {
		t.Errorf("saw %d rows, want the %d of the start that are left", len(seen), len(want))
	}
}

func TestIterators(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := start(t, airtabletest.Config{Orders: 25, Now: clk.now})
	offset := func() string { return c.list(url.Values{"pageSize": {"10"}}).json["offset"].(string) }
	get := func(offset string) answer {
		return c.do(http.MethodGet, c.table()+"?offset="+url.QueryEscape(offset), nil)
	}
	for _, bad := range []string{"5", "itr/rec", "itrAAAAAAAAAAAAAA", "recAAAAAAAAAAAAAA/itrAAAAAAAAAAAAAA"} {
		refused(t, get(bad), http.StatusUnprocessableEntity, "INVALID_OFFSET_VALUE")
	}
	unknown := get("itrAAAAAAAAAAAAAA/recAAAAAAAAAAAAAA")
	if want := `{"error":{"type":"LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}}`; unknown.status != 422 || unknown.text != want {
		t.Errorf("unknown iterator: %d %s", unknown.status, unknown.text)
	}
	idle := offset()
	clk.advance(4 * time.Minute)
	if a := get(idle); a.status != http.StatusOK {
		t.Errorf("after four minutes: %s", a.text)
	}
	clk.advance(5 * time.Minute)
	refused(t, get(idle), 422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
	forced := offset()
	c.s.ExpireIterators()
	refused(t, get(forced), 422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")

	// The number of scans kept is bounded; the newest survive.
	oldest := offset()
	clk.advance(time.Second)
	for range 127 {
		offset()
	}
	clk.advance(time.Second)
	newest := offset()
	refused(t, get(oldest), 422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
	if a := get(newest); a.status != http.StatusOK {
		t.Errorf("the newest: %s", a.text)
	}
}

func TestListParameters(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 120})
	all := c.s.RecordIDs()
	for name, q := range map[string]url.Values{
		"pageSize":      {"pageSize": {"7"}},
		"limit":         {"limit": {"7"}},
		"maxRecords":    {"maxRecords": {"7"}},
		"view":          {"maxRecords": {"7"}, "view": {"Grid view"}},
		"unknown ones":  {"maxRecords": {"7"}, "whatever": {"1"}},
		"empty ones":    {"maxRecords": {"7"}, "offset": {""}, "view": {""}, "pageSize": {""}, "filterByFormula": {""}},
		"blank formula": {"maxRecords": {"7"}, "filterByFormula": {" "}},
	} {
		if got := ids(c.list(q).records()); !slices.Equal(got, all[:7]) {
			t.Errorf("%s: %d rows", name, len(got))
		}
	}
	// maxRecords bounds the whole scan.
	page := c.list(url.Values{"maxRecords": {"15"}, "pageSize": {"10"}})
	page = c.list(url.Values{"maxRecords": {"15"}, "pageSize": {"10"}, "offset": {page.json["offset"].(string)}})
	if len(page.records()) != 5 || page.json["offset"] != nil {
		t.Errorf("the second page of fifteen: %s", page.text)
	}
	for _, key := range []string{"fields[]", "fields", "fields[0]"} {
		r := c.list(url.Values{key: {"Status"}, "maxRecords": {"1"}}).records()[0]
		if got := r["fields"].(map[string]any); len(got) != 1 || got["Status"] == nil {
			t.Errorf("%s: %v", key, got)
		}
	}
	comments := c.list(url.Values{"recordMetadata[]": {"commentCount"}, "maxRecords": {"1"}}).records()[0]
	if comments["commentCount"] != float64(0) {
		t.Errorf("metadata: %v", comments)
	}
	descending := ids(c.list(url.Values{"sort[0][field]": {"Number"}, "sort[0][direction]": {"desc"}, "maxRecords": {"3"}}).records())
	if want := []string{all[119], all[118], all[117]}; !slices.Equal(descending, want) {
		t.Errorf("descending: %v, want %v", descending, want)
	}
	byID := c.list(url.Values{"returnFieldsByFieldId": {"true"}, "maxRecords": {"1"}}).records()[0]
	for name := range byID["fields"].(map[string]any) {
		if !strings.HasPrefix(name, "fld") {
			t.Errorf("field %q by id", name)
		}
	}
	for query, kind := range map[string]string{
		"pageSize=0":             "INVALID_PAGE_SIZE_ARGUMENT",
		"pageSize=101":           "INVALID_PAGE_SIZE_ARGUMENT",
		"pageSize=ten":           "INVALID_PAGE_SIZE_ARGUMENT",
		"pageSize=NaN":           "INVALID_PAGE_SIZE_ARGUMENT",
		"pageSize=1.5":           "INVALID_PAGE_SIZE_ARGUMENT",
		"maxRecords=0":           "INVALID_REQUEST_UNKNOWN",
		"view=Nothing":           "VIEW_NAME_NOT_FOUND",
		"view=viwAAAAAAAAAAAAAA": "VIEW_ID_NOT_FOUND",
		"fields[]=Nothing":       "UNKNOWN_FIELD_NAME",
		"sort[0][field]=Nothing": "UNKNOWN_FIELD_NAME",
		"sort[0][direction]=asc": "UNKNOWN_FIELD_NAME",
		"sort[x][field]=Order":   "INVALID_REQUEST_UNKNOWN",
		"sort=Order":             "INVALID_REQUEST_UNKNOWN",
		"sort[0][field]=Order&sort[0][direction]=up": "INVALID_REQUEST_UNKNOWN",
		"cellFormat=xml":    "INVALID_REQUEST_UNKNOWN",
		"cellFormat=string": "INVALID_REQUEST_UNKNOWN",
		"cellFormat=string&timeZone=Mars&userLocale=es": "INVALID_REQUEST_UNKNOWN",
		"recordMetadata[]=likes":                        "INVALID_REQUEST_UNKNOWN",
		"filterByFormula=AND(":                          "INVALID_FILTER_BY_FORMULA",
		"filterByFormula={Nothing}":                     "INVALID_FILTER_BY_FORMULA",
		"filterByFormula=%":                             "INVALID_REQUEST_UNKNOWN",
	} {
		refused(t, c.do(http.MethodGet, c.table()+"?"+query, nil), http.StatusUnprocessableEntity, kind)
	}
	a := c.do(http.MethodGet, c.table()+"?filterByFormula={Nothing}", nil)
	if want := "The formula for filtering records is invalid: Unknown field names: nothing"; a.json["error"].(map[string]any)["message"] != want {
		t.Errorf("message %s", a.text)
	}
}

func TestListByPost(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 20})
	all := c.s.RecordIDs()
	post := func(body any) answer { return c.do(http.MethodPost, c.table()+"/listRecords/?", body) }
	first := post(map[string]any{
		"pageSize": 5, "fields": []string{"Order"}, "method": "post", "view": "Grid view",
		"sort": []map[string]string{{"field": "Number", "direction": "desc"}}, "filterByFormula": "{Number}", "recordMetadata": []string{"commentCount"},
	})
	if first.status != http.StatusOK || len(first.records()) != 5 || first.records()[0]["id"] != all[19] {
		t.Fatalf("%d %s", first.status, first.text)
	}
	second := post(map[string]any{"pageSize": 5, "offset": first.json["offset"]})
	if second.records()[0]["id"] != all[14] {
		t.Errorf("second page: %s", second.text)
	}
	if a := post(nil); len(a.records()) != 20 {
		t.Errorf("no body: %s", a.text)
	}
	refused(t, post("{"), 422, "INVALID_REQUEST_BODY")
	refused(t, post(`{"fields":"Order"}`), 422, "INVALID_REQUEST_UNKNOWN")
	refused(t, post(`{"pageSize":1000}`), 422, "INVALID_PAGE_SIZE_ARGUMENT")
	if c.s.Calls().List != 6 || c.s.Calls().Write != 0 {
		t.Errorf("calls %+v", c.s.Calls())
	}
}

// TestCells writes and reads every type of field.
func TestCells(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := start(t, airtabletest.Config{Now: clk.now})
	for _, f := range []airtabletest.Field{
		{Name: "Phone", Type: airtabletest.PhoneNumber},
		{Name: "Site", Type: airtabletest.URL},
		{Name: "Count", Type: airtabletest.Number},
		{Name: "Share", Type: airtabletest.Percent, Precision: 1},
		{Name: "Due", Type: airtabletest.DateTime},
		{Name: "Net", Type: airtabletest.Formula, Formula: "ROUND({Amount} / 1.21, 2)"},
		{Name: "Wrong", Type: airtabletest.Formula, Formula: "{Amount} / 0"},
		{Name: "Late", Type: airtabletest.Formula, Formula: "IF({Net} > 100, 'big')"},
	} {
		if _, err := c.s.AddField(f); err != nil {
			t.Fatal(err)
		}
	}
	write := func(fields map[string]any, typecast bool) answer {
		return c.do(http.MethodPost, c.table(), map[string]any{"fields": fields, "typecast": typecast})
	}
	full := map[string]any{
		"Order": "Ñandú \"7\"\n\u2028\x01", "Status": "Sent", "Tags": []string{"Web", "Export"}, "Amount": 1210.0, "Order date": "2026-11-03",
		"Paid": true, "Phone": "+34 600 000 000", "Site": "https://a.example/?a=1&b=<2>", "Count": 1e21, "Share": 0.125, "Due": "2026-12-24T19:30:00+01:00",
	}
	made := write(full, false)
	if made.status != http.StatusOK {
		t.Fatalf("%d %s", made.status, made.text)
	}
	want := map[string]any{
		"Order": full["Order"], "Status": "Sent", "Tags": []any{"Web", "Export"}, "Amount": 1210.0, "Order date": "2026-11-03",
		"Paid": true, "Phone": full["Phone"], "Site": full["Site"], "Count": 1e21, "Share": 0.125, "Due": "2026-12-24T18:30:00.000Z",
		"Number": 1.0, "Created": "2026-11-21T12:00:00.000Z", "Last modified": "2026-11-21T12:00:00.000Z",
		"Net": 1000.0, "Wrong": map[string]any{"error": "#ERROR!"}, "Late": "big",
	}
	if got := made.json["fields"]; !reflect.DeepEqual(got, any(want)) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	path := c.table() + "/" + made.json["id"].(string)
	display := c.do(http.MethodGet, path+"?cellFormat=string&timeZone=Europe/Madrid&userLocale=es", nil).json["fields"].(map[string]any)
	for name, want := range map[string]string{"Amount": "€1,210.00", "Share": "12.5%", "Paid": "checked", "Tags": "Web, Export", "Due": "2026-12-24 19:30", "Order date": "2026-11-03", "Number": "1", "Net": "1000"} {
		if display[name] != want {
			t.Errorf("display of %s: %v, want %s", name, display[name], want)
		}
	}

	// Whatever means empty clears the cell and leaves it out.
	cleared := c.do(http.MethodPatch, path, map[string]any{"fields": map[string]any{
		"Order": "", "Status": nil, "Tags": []string{}, "Amount": nil, "Order date": nil, "Paid": false, "Phone": "", "Site": nil, "Count": 0, "Share": nil, "Due": "",
	}})
	want = map[string]any{"Count": 0.0, "Number": 1.0, "Created": want["Created"], "Last modified": want["Last modified"], "Net": 0.0, "Wrong": map[string]any{"specialValue": "NaN"}}
	if got := cleared.json["fields"]; !reflect.DeepEqual(got, any(want)) {
		t.Errorf("cleared: %v", got)
	}

	for name, bad := range map[string]any{
		"Order": 5, "Amount": "12", "Count": true, "Paid": "yes", "Order date": "soon", "Due": 5, "Tags": "Web", "Status": []string{"Sent"},
		"Number": 7, "Created": "2026-01-01", "Last modified": nil, "Net": 5, "Notes": strings.Repeat("x", 100_001),
	} {
		refused(t, write(map[string]any{name: bad}, false), 422, "INVALID_VALUE_FOR_COLUMN")
	}
	refused(t, write(map[string]any{"Status": "Lost"}, false), 422, "INVALID_MULTIPLE_CHOICE_OPTIONS")
	refused(t, write(map[string]any{"Tags": []string{"Web", "Lost"}}, false), 422, "INVALID_MULTIPLE_CHOICE_OPTIONS")
	refused(t, write(map[string]any{"Number": 7}, true), 422, "INVALID_VALUE_FOR_COLUMN")
	if c.s.Len() != 1 {
		t.Errorf("refused records were kept: %d", c.s.Len())
	}

	cast := write(map[string]any{"Order": 5, "Amount": "€1,250.50", "Share": "12.5 %", "Count": "n/a", "Paid": "checked", "Tags": "Web, Odd", "Status": "Lost"}, true)
	want = map[string]any{"Order": "5", "Amount": 1250.5, "Share": 0.125, "Paid": true, "Tags": []any{"Web", "Odd"}, "Status": "Lost"}
	for name, v := range want {
		if got := cast.json["fields"].(map[string]any)[name]; !reflect.DeepEqual(got, v) {
			t.Errorf("typecast %s: %v, want %v", name, got, v)
		}
	}
	for _, f := range c.s.TableFields() {
		if f.Name == "Status" && !slices.Equal(f.Choices, []string{"Pending", "Processing", "Sent", "Delivered", "Cancelled", "Lost"}) {
			t.Errorf("choices %v", f.Choices)
		}
	}
}

func TestModifiedTimes(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := start(t, airtabletest.Config{Now: clk.now})
	if _, err := c.s.AddField(airtabletest.Field{Name: "Status changed", Type: airtabletest.LastModifiedTime, Watches: []string{"Status"}}); err != nil {
		t.Fatal(err)
	}
	id := must(c.s.CreateRecord(airtabletest.Fields{"Order": "A"}))(t)
	get := func(field string) any {
		return c.do(http.MethodGet, c.table()+"/"+id, nil).json["fields"].(map[string]any)[field]
	}
	clk.advance(90*time.Second + 700*time.Millisecond)
	if err := c.s.UpdateRecord(id, airtabletest.Fields{"Order": "A"}); err != nil {
		t.Fatal(err)
	}
	if got := get("Last modified"); got != "2026-11-21T12:00:00.000Z" {
		t.Errorf("writing the same value made it modified at %v", got)
	}
	if got := get("Status changed"); got != nil {
		t.Errorf("the untouched status changed at %v", got)
	}
	if a := c.do(http.MethodPatch, c.table()+"/"+id, `{"fields":{"Status":"Sent"}}`); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	if got := get("Status changed"); got != "2026-11-21T12:01:30.000Z" {
		t.Errorf("the status changed at %v", got)
	}
	clk.advance(time.Minute)
	if err := c.s.UpdateRecord(id, airtabletest.Fields{"Amount": 5}); err != nil {
		t.Fatal(err)
	}
	if a, b := get("Status changed"), get("Last modified"); a != "2026-11-21T12:01:30.000Z" || b != "2026-11-21T12:02:30.000Z" {
		t.Errorf("status %v, record %v", a, b)
	}
	for formula, want := range map[string]int{
		"IS_AFTER(LAST_MODIFIED_TIME(), '2026-11-21T12:02:29.000Z')":         1,
		"IS_AFTER(LAST_MODIFIED_TIME(), '2026-11-21T12:02:30.000Z')":         0,
		"LAST_MODIFIED_TIME() >= '2026-11-21T12:02:30.000Z'":                 1,
		"IS_AFTER(LAST_MODIFIED_TIME({Status}), '2026-11-21T12:01:30.000Z')": 0,
		"IS_SAME(CREATED_TIME(), '2026-11-21', 'day')":                       1,
		"DATETIME_DIFF(NOW(), {Status changed}, 'seconds') = 60":             1,
	} {
		if got := len(c.list(url.Values{"filterByFormula": {formula}}).records()); got != want {
			t.Errorf("%s keeps %d, want %d", formula, got, want)
		}
	}
}

func TestWriting(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 3})
	all := c.s.RecordIDs()
	batch := func(method string, body string) answer { return c.do(method, c.table(), body) }

	refused(t, batch("POST", ``), 422, "INVALID_REQUEST_MISSING_FIELDS")
	refused(t, batch("POST", `{"records":[]}`), 422, "INVALID_RECORDS")
	refused(t, batch("POST", `{"records":[{}]}`), 422, "INVALID_RECORDS")
	refused(t, batch("POST", `{"records":{}}`), 422, "INVALID_REQUEST_UNKNOWN")
	refused(t, batch("POST", `{"fields":`), 422, "INVALID_REQUEST_BODY")
	refused(t, batch("PATCH", `{"records":[{"fields":{}}]}`), 422, "INVALID_RECORDS")
	refused(t, batch("PATCH", `{"records":[{"id":"nonsense","fields":{}}]}`), 422, "INVALID_RECORDS")
	refused(t, batch("PATCH", fmt.Sprintf(`{"records":[{"id":%q,"fields":{}},{"id":%q,"fields":{}}]}`, all[0], all[0])), 422, "INVALID_RECORDS")
	refused(t, batch("PATCH", `{"fields":{}}`), 422, "INVALID_RECORDS")
	missing := batch("PATCH", fmt.Sprintf(`{"records":[{"id":%q,"fields":{"Order":"X"}},{"id":"recAAAAAAAAAAAAAA","fields":{}}]}`, all[0]))
	refused(t, missing, 422, "ROW_DOES_NOT_EXIST")
	if r, _ := c.s.Record(all[0]); r.Fields["Order"] == "X" {
		t.Error("a refused batch was written in part")
	}
	plain, err := http.Post(c.url+c.table(), "text/plain", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = plain.Body.Close()
	if plain.StatusCode != http.StatusUnauthorized {
		t.Errorf("no token: %d", plain.StatusCode)
	}

	byID := batch("PATCH", fmt.Sprintf(`{"returnFieldsByFieldId":true,"records":[{"id":%q,"fields":{%q:"By id"}}]}`, all[0], c.s.TableFields()[0].ID))
	if got := byID.records()[0]["fields"].(map[string]any)[c.s.TableFields()[0].ID]; got != "By id" {
		t.Errorf("by id: %s", byID.text)
	}
	if byID.json["createdRecords"] != nil {
		t.Errorf("not an upsert: %s", byID.text)
	}
	put := batch("PUT", fmt.Sprintf(`{"records":[{"id":%q,"fields":{"Order":"Alone"}}]}`, all[1]))
	fields := put.records()[0]["fields"].(map[string]any)
	for _, computed := range []string{"Number", "Created", "Last modified"} {
		delete(fields, computed)
	}
	if len(fields) != 1 || fields["Order"] != "Alone" {
		t.Errorf("PUT left %v", fields)
	}

	gone := c.do(http.MethodDelete, c.table()+"?records[]="+all[0]+"&records[]="+all[1], nil)
	if want := fmt.Sprintf(`{"records":[{"deleted":true,"id":%q},{"deleted":true,"id":%q}]}`, all[0], all[1]); gone.text != want {
		t.Errorf("%s, want %s", gone.text, want)
	}
	refused(t, c.do(http.MethodDelete, c.table()+"?records[]="+all[2]+"&records[]="+all[0], nil), 422, "ROW_DOES_NOT_EXIST")
	refused(t, c.do(http.MethodDelete, c.table(), nil), 422, "INVALID_RECORDS")
	one := c.do(http.MethodDelete, c.table()+"/"+all[2], nil)
	if want := fmt.Sprintf(`{"deleted":true,"id":%q}`, all[2]); one.text != want {
		t.Errorf("%s, want %s", one.text, want)
	}
	refused(t, c.do(http.MethodDelete, c.table()+"/"+all[2], nil), 404, "NOT_FOUND")
	refused(t, c.do(http.MethodPatch, c.table()+"/"+all[2], `{"fields":{}}`), 404, "NOT_FOUND")
	if c.s.Len() != 0 {
		t.Errorf("%d records left", c.s.Len())
	}
}

func TestUpsert(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{})
	a := must(c.s.CreateRecord(airtabletest.Fields{"Order": "A", "Status": "Sent", "Amount": 1, "Tags": []string{"Web"}}))(t)
	upsert := func(on string, records string) answer {
		return c.do(http.MethodPatch, c.table(), fmt.Sprintf(`{"performUpsert":{"fieldsToMergeOn":%s},"records":%s}`, on, records))
	}
	both := upsert(`["Order"]`, `[{"fields":{"Order":"B"}},{"fields":{"Order":"A","Amount":2}}]`)
	if both.status != http.StatusOK || c.s.Len() != 2 {
		t.Fatalf("%d %s", both.status, both.text)
	}
	b := both.records()[0]["id"].(string)
	if !reflect.DeepEqual(both.json["createdRecords"], []any{b}) || !reflect.DeepEqual(both.json["updatedRecords"], []any{a}) {
		t.Errorf("%s", both.text)
	}
	if again := upsert(`["Order","Status","Tags"]`, `[{"fields":{"Order":"A","Status":"Sent","Tags":["Web"],"Amount":3}}]`); again.records()[0]["id"] != a {
		t.Errorf("by three fields: %s", again.text)
	}
	if withID := upsert(`["Order"]`, fmt.Sprintf(`[{"id":%q,"fields":{"Order":"A"}}]`, b)); withID.records()[0]["id"] != b {
		t.Errorf("an id goes first: %s", withID.text)
	}
	// Now two records match.
	refused(t, upsert(`["Order"]`, `[{"fields":{"Order":"A"}}]`), 422, "INVALID_REQUEST_UNKNOWN")
	refused(t, upsert(`["Order"]`, `[{"fields":{"Amount":1}}]`), 422, "INVALID_REQUEST_UNKNOWN")
	refused(t, upsert(`[]`, `[{"fields":{}}]`), 422, "INVALID_REQUEST_UNKNOWN")
	refused(t, upsert(`["Number"]`, `[{"fields":{}}]`), 422, "INVALID_REQUEST_UNKNOWN")
	refused(t, upsert(`["Nothing"]`, `[{"fields":{}}]`), 422, "UNKNOWN_FIELD_NAME")
	refused(t, upsert(`["Order"]`, `[{"id":"recAAAAAAAAAAAAAA","fields":{"Order":"Z"}}]`), 422, "ROW_DOES_NOT_EXIST")
	refused(t, upsert(`["Order"]`, `[{"fields":{"Order":"Z"}},{"fields":{"Order":"Z"}}]`), 422, "INVALID_RECORDS")
	if c.s.Len() != 2 {
		t.Errorf("%d records", c.s.Len())
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := start(t, airtabletest.Config{Orders: 1, RatePerSecond: 5, Now: clk.now})
	get := func() answer { return c.do(http.MethodGet, c.table(), nil) }
	for range 3 { // five in any second may go on for ever
		for i := range 5 {
			if a := get(); a.status != http.StatusOK {
				t.Fatalf("request %d: %d %s", i, a.status, a.text)
			}
		}
		clk.advance(time.Second)
	}
	for range 5 {
		get()
	}
	a := get()
	refused(t, a, http.StatusTooManyRequests, "RATE_LIMIT_REACHED")
	if a.json["errors"] == nil {
		t.Errorf("not the plural form: %s", a.text)
	}
	clk.advance(29 * time.Second)
	refused(t, c.do(http.MethodPost, c.table(), `{"fields":{}}`), http.StatusTooManyRequests, "RATE_LIMIT_REACHED")
	clk.advance(time.Second)
	if a := get(); a.status != http.StatusOK {
		t.Errorf("after the silence: %d %s", a.status, a.text)
	}
	if got := c.s.Calls(); got.Throttled != 2 || got.Total() != 23 || c.s.Len() != 1 {
		t.Errorf("calls %+v, %d records", got, c.s.Len())
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 5})
	id := must(c.s.CreateRecord(airtabletest.Fields{"Order": "A", "Amount": 5, "Tags": []string{"Web"}}))(t)
	for _, bad := range []airtabletest.Fields{{"Nothing": 1}, {"Status": "Lost"}, {"Number": 1}, {"Order": func() {}}} {
		if _, err := c.s.CreateRecord(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
		if err := c.s.UpdateRecord(id, bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	if err := c.s.UpdateRecord("recAAAAAAAAAAAAAA", nil); err == nil {
		t.Error("an unknown record was updated")
	}
	if err := c.s.AddChoice("Status", "Lost"); err != nil {
		t.Fatal(err)
	}
	if err := c.s.UpdateRecord(id, airtabletest.Fields{"Status": "Lost", "Amount": nil}); err != nil {
		t.Fatal(err)
	}
	r, ok := c.s.Record(id)
	if !ok || r.Fields["Status"] != "Lost" || r.Fields["Amount"] != nil || r.ModifiedTime.Before(r.CreatedTime) {
		t.Errorf("record %+v", r)
	}
	if all := c.s.Records(); len(all) != 6 || all[5].ID != id {
		t.Errorf("%d records", len(all))
	}
	if err := c.s.DeleteField("Status"); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.list(nil).records()[0]["fields"].(map[string]any)["Status"]; ok {
		t.Error("a deleted field is still there")
	}
	refused(t, c.do(http.MethodPost, c.table(), `{"fields":{"Status":"Lost"}}`), 422, "UNKNOWN_FIELD_NAME")
	for _, err := range []error{c.s.RenameField("Status", "x"), c.s.RenameField("Order", "Customer"), c.s.DeleteField("x"), c.s.AddChoice("Order", "x")} {
		if err == nil {
			t.Error("a mistake was taken")
		}
	}
	for _, f := range []airtabletest.Field{{Name: "Order", Type: "number"}, {Name: "x", Type: "rollup"}, {Type: "number"}, {Name: "x", Type: "formula", Formula: "{x}"}, {Name: "x", Type: "lastModifiedTime", Watches: []string{"x"}}, {Name: "x", Type: "number", Precision: 9}} {
		if _, err := c.s.AddField(f); err == nil {
			t.Errorf("field %+v was taken", f)
		}
	}
	if n := c.s.DeleteRecords(append(c.s.RecordIDs(), "recAAAAAAAAAAAAAA", "x")...); n != 6 || c.s.Len() != 0 {
		t.Errorf("deleted %d, left %d", n, c.s.Len())
	}
	if calls := c.s.ResetCalls(); calls.List != 1 || calls.Write != 1 || c.s.Calls().Total() != 0 {
		t.Errorf("calls %+v", calls)
	}
}

// TestSamples: the same seed gives the same orders, and another day most of them.
func TestSamples(t *testing.T) {
	t.Parallel()
	clk := newClock()
	cfg := airtabletest.Config{Orders: 2000, Now: clk.now}
	a, b := airtabletest.New(cfg), airtabletest.New(cfg)
	if !reflect.DeepEqual(a.Records(), b.Records()) {
		t.Error("the same seed gave other orders")
	}
	cfg.Seed = 7
	if other := airtabletest.New(cfg).RecordIDs(); other[0] == a.RecordIDs()[0] {
		t.Error("another seed gave the same ids")
	}
	customers, empty := map[any]bool{}, 0
	today := clk.now()
	for _, r := range a.Records() {
		customers[r.Fields["Customer"]] = true
		if r.Fields["Amount"] == nil {
			empty++
		}
		if r.CreatedTime.After(today) || r.CreatedTime.Before(today.AddDate(-1, 0, -1)) {
			t.Fatalf("created %v", r.CreatedTime)
		}
		if day, ok := r.Fields["Order date"].(string); ok && (day > today.Format(time.DateOnly) || day < today.AddDate(-1, 0, -4).Format(time.DateOnly)) {
			t.Fatalf("order date %v", day)
		}
	}
	if len(customers) < 300 || empty == 0 {
		t.Errorf("%d customers, %d empty amounts", len(customers), empty)
	}
	before := map[string]airtabletest.Record{}
	for _, r := range a.Records() {
		before[r.ID] = r
	}
	clk.advance(24 * time.Hour)
	cfg.Seed = 0
	same := 0
	for _, r := range airtabletest.New(cfg).Records() {
		old, ok := before[r.ID]
		if !ok {
			continue
		}
		if same++; !reflect.DeepEqual(r.Fields, old.Fields) {
			t.Fatalf("a day later %v is %v", old.Fields, r.Fields)
		}
	}
	if same < 1990 {
		t.Errorf("only %d orders are the same a day later", same)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 300})
	all := c.s.RecordIDs()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				id := all[w*25+i]
				if err := c.s.UpdateRecord(id, airtabletest.Fields{"Notes": fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
				c.s.DeleteRecords(id)
			}
		})
		wg.Go(func() {
			q := url.Values{"pageSize": {"20"}, "filterByFormula": {"{Number} > 0"}}
			for {
				a, err := c.try(http.MethodGet, c.table()+"?"+q.Encode(), nil)
				if err != nil || a.status != http.StatusOK {
					t.Errorf("%v %d %s", err, a.status, a.text)
					return
				}
				offset, more := a.json["offset"].(string)
				if !more {
					return
				}
				q.Set("offset", offset)
			}
		})
	}
	wg.Wait()
	if c.s.Len() != 200 {
		t.Errorf("%d records left", c.s.Len())
	}
}

func TestServeStops(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1})
	hang := c.s.Fail(airtabletest.Fault{Do: airtabletest.Hang})
	failed := make(chan error, 1)
	go func() {
		_, err := c.try(http.MethodGet, c.table(), nil)
		failed <- err
	}()
	<-hang.Done()
	c.s.Close()
	if err := <-failed; err == nil {
		t.Error("a request that hung was answered")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	type want struct {
		status     int
		kind       string
		retryAfter string
	}
	for effect, w := range map[airtabletest.Effect]want{
		airtabletest.RateLimited:         {429, "RATE_LIMIT_REACHED", "2"},
		airtabletest.RateLimitedSingular: {429, "RATE_LIMIT_REACHED", "2"},
		airtabletest.BillingLimit:        {429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED", ""},
		airtabletest.Unavailable:         {503, "RETRIABLE_ERROR", "2"},
		airtabletest.InternalError:       {500, "SERVER_ERROR", ""},
		airtabletest.Forbidden:           {403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", ""},
		airtabletest.Unauthorized:        {401, "AUTHENTICATION_REQUIRED", ""},
		airtabletest.NotFound:            {404, "NOT_FOUND", ""},
	} {
		c := start(t, airtabletest.Config{Orders: 1})
		f := c.s.Fail(airtabletest.Fault{On: airtabletest.Write, Do: effect, RetryAfter: 1500 * time.Millisecond})
		if a := c.list(nil); len(a.records()) != 1 {
			t.Errorf("%s: a read was struck: %s", effect, a.text)
		}
		a := c.do(http.MethodPost, c.table(), `{"fields":{}}`)
		refused(t, a, w.status, w.kind)
		if retry := a.header.Get("Retry-After"); retry != w.retryAfter {
			t.Errorf("%s: Retry-After %q", effect, retry)
		}
		if c.s.Len() != 1 || f.Hits() != 1 {
			t.Errorf("%s: %d records, %d hits", effect, c.s.Len(), f.Hits())
		}
		if a := c.do(http.MethodPost, c.table(), `{"fields":{}}`); a.status != http.StatusOK {
			t.Errorf("%s struck twice", effect)
		}
	}
}

func TestFaultsOfTheConnection(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 5})
	create := func() error {
		_, err := c.try(http.MethodPost, c.table(), `{"fields":{"Order":"x"}}`)
		return err
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Drop})
	if err := create(); err == nil || c.s.Len() != 5 {
		t.Errorf("dropped: %v, %d records", err, c.s.Len())
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Drop, Applied: true})
	if err := create(); err == nil || c.s.Len() != 6 {
		t.Errorf("dropped after it was applied: %v, %d records", err, c.s.Len())
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.CutConnection})
	if err := create(); err == nil || c.s.Len() != 7 {
		t.Errorf("cut: %v, %d records", err, c.s.Len())
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.Write, Do: airtabletest.Hang, Applied: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.url+c.table()+"/"+c.s.RecordIDs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.s.Config().APIKey)
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
		t.Errorf("it hung and answered %d", res.StatusCode)
	}
	if c.s.Len() != 6 {
		t.Errorf("hung after it was applied: %d records", c.s.Len())
	}
}

func TestFaultsOfLists(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 30})
	page := func(offset any) answer {
		q := url.Values{"pageSize": {"10"}}
		if offset != nil {
			q.Set("offset", offset.(string))
		}
		return c.do(http.MethodGet, c.table()+"?"+q.Encode(), nil)
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.BadGateway})
	if a := page(nil); a.status != 502 || !strings.Contains(a.text, "<html>") {
		t.Errorf("%d %s", a.status, a.text)
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.HTML})
	if a := page(nil); a.status != 200 || a.json != nil {
		t.Errorf("%d %s", a.status, a.text)
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.TruncatedJSON})
	if a := page(nil); a.status != 200 || a.json != nil || !strings.HasPrefix(a.text, `{"records":[`) {
		t.Errorf("%d %s", a.status, a.text)
	}
	c.s.Fail(airtabletest.Fault{On: airtabletest.List, Do: airtabletest.EmptyPage, After: 1})
	first := page(nil)
	if a := page(first.json["offset"]); a.text != `{"records":[]}` {
		t.Errorf("%s", a.text)
	}
	repeat := c.s.Fail(airtabletest.Fault{Do: airtabletest.RepeatedOffset})
	expire := c.s.Fail(airtabletest.Fault{Do: airtabletest.ExpiredIterator})
	first = page(nil)
	if repeat.Hits()+expire.Hits() != 0 {
		t.Error("a first page was struck")
	}
	if a := page(first.json["offset"]); a.json["offset"] != first.json["offset"] || len(a.records()) != 10 {
		t.Errorf("%s", a.text)
	}
	refused(t, page(first.json["offset"]), 422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
	byPost := c.s.Fail(airtabletest.Fault{Do: airtabletest.RepeatedOffset})
	if a := c.do(http.MethodPost, c.table()+"/listRecords", map[string]any{"pageSize": 10, "offset": first.json["offset"]}); a.json["offset"] != first.json["offset"] || byPost.Hits() != 1 {
		t.Errorf("%s", a.text)
	}
}

func TestFaultsByChance(t *testing.T) {
	t.Parallel()
	hits := func(seed uint64) string {
		c := start(t, airtabletest.Config{Orders: 1, Seed: seed})
		f := c.s.Fail(airtabletest.Fault{Do: airtabletest.Unavailable, Times: -1, Probability: .3})
		var seen strings.Builder
		for range 100 {
			fmt.Fprint(&seen, c.do(http.MethodGet, c.table(), nil).status/100, " ")
		}
		if n := f.Hits(); n < 15 || n > 45 {
			t.Errorf("seed %d: %d hits of 100", seed, n)
		}
		f.Cancel()
		<-f.Done()
		c.s.Fail(airtabletest.Fault{Do: airtabletest.Unavailable, Times: -1})
		c.s.Heal()
		if a := c.do(http.MethodGet, c.table(), nil); a.status != http.StatusOK {
			t.Errorf("after it was healed: %d", a.status)
		}
		return seen.String()
	}
	if first, again, other := hits(1), hits(1), hits(2); first != again || first == other {
		t.Error("chance does not follow the seed")
	}
}

func TestControlOverHTTP(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 30})
	first := c.do(http.MethodGet, c.table()+"?pageSize=10", nil)
	if a := c.do(http.MethodGet, "/_sandbox/calls", nil); a.text != `{"list":1,"get":0,"write":0,"meta":0,"webhooks":0,"payloads":0,"throttled":0}` {
		t.Errorf("calls: %s", a.text)
	}
	if a := c.do(http.MethodPost, "/_sandbox/faults", `{"on":"list","do":"unavailable","times":-1,"retry_after":3}`); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	struck := c.do(http.MethodGet, c.table(), nil)
	refused(t, struck, http.StatusServiceUnavailable, "RETRIABLE_ERROR")
	if struck.header.Get("Retry-After") != "3" {
		t.Errorf("headers %v", struck.header)
	}
	c.do(http.MethodDelete, "/_sandbox/faults", nil)
	c.do(http.MethodDelete, "/_sandbox/iterators", nil)
	refused(t, c.do(http.MethodGet, c.table()+"?offset="+first.json["offset"].(string), nil), 422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
	for _, bad := range []string{``, `{"do":"explode"}`, `{"do":"hang","foo":1}`} {
		refused(t, c.do(http.MethodPost, "/_sandbox/faults", bad), 422, "INVALID_REQUEST_UNKNOWN")
	}
	refused(t, c.do(http.MethodPut, "/_sandbox/faults", nil), http.StatusNotFound, "NOT_FOUND")

	for remote, want := range map[string]int{"127.0.0.1:5": 401, "[::1]:5": 401, "192.0.2.1:5": 404, "nonsense": 404} {
		w := &recorder{header: http.Header{}}
		c.s.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/_sandbox/calls"}, RemoteAddr: remote, Body: http.NoBody})
		if w.status != want {
			t.Errorf("from %s without a token: %d, want %d", remote, w.status, want)
		}
	}
}

// TestCORS: a page of any origin may call the API, as with Airtable.
func TestCORS(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1})
	a := c.do(http.MethodOptions, c.table(), nil)
	if a.status != http.StatusNoContent || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "authorization") {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	if got := c.list(nil).header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("allowed origin %q", got)
	}
}

// FuzzList: no query or body breaks the list, and every answer is a JSON object.
func FuzzList(f *testing.F) {
	for _, seed := range []string{
		"pageSize=5&maxRecords=7&view=Grid+view&fields[]=Order&fields%5B1%5D=Status",
		"sort[0][field]=Amount&sort[0][direction]=desc&sort[99999999999][field]=x",
		"filterByFormula=AND({Amount}>1,'a')&cellFormat=string&timeZone=Europe/Madrid&userLocale=es",
		"offset=itrAAAAAAAAAAAAAA/recAAAAAAAAAAAAAA&recordMetadata[]=commentCount&returnFieldsByFieldId=true",
		"limit=-1&offset=&pageSize=1e400", "%zz", "sort[][]=&fields[=1&a]b[c", "timeZone=../../etc/passwd&cellFormat=string&userLocale=x",
		`{"pageSize":5,"sort":[{"field":"Order"}],"fields":["Amount"],"offset":null}`, `[]`, `{"fields":{"a":1}}`, "\x00",
	} {
		f.Add(seed)
	}
	s := airtabletest.New(airtabletest.Config{Orders: 8, RatePerSecond: -1})
	cfg := s.Config()
	path := "/v0/" + cfg.BaseID + "/" + cfg.TableID
	f.Fuzz(func(t *testing.T, in string) {
		get := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path, RawQuery: in}, Body: http.NoBody}
		post := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path + "/listRecords"}, Body: io.NopCloser(strings.NewReader(in))}
		for _, r := range []*http.Request{get, post} {
			r.Header = http.Header{"Authorization": {"Bearer " + cfg.APIKey}}
			w := &recorder{header: http.Header{}}
			s.ServeHTTP(w, r)
			var body map[string]any
			if err := json.Unmarshal(w.body.Bytes(), &body); err != nil {
				t.Fatalf("%d %s: %v", w.status, w.body.Bytes(), err)
			}
			if list, ok := body["records"].([]any); w.status == http.StatusOK && (!ok || len(list) > 8) || w.status != http.StatusOK && w.status/100 != 4 {
				t.Fatalf("%d %s", w.status, w.body.Bytes())
			}
		}
	})
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
