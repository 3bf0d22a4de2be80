package api

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/route"
	"github.com/resonance/resonance/services/gateway/internal/session"
)

func TestListIsPassedThrough(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	asked := make(chan ordersapi.Query, 10)
	list := "[" + orderJSON("rec1") + "]"
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: func(ctx context.Context, data []byte) (bus.Reply, error) {
		var q ordersapi.Query
		if err := json.Unmarshal(data, &q); err != nil {
			return bus.Reply{}, err
		}
		asked <- q
		return answer(list, rpc.HeaderTotal, "23")(ctx, data)
	}})
	resp := r.get("/api/orders?page=2&page_size=5&status=Sent,Pending&sort=-amount&q=x").want(http.StatusOK)
	if want := `{"data":` + list + `,"total":23,"page":2,"page_size":5,"pages":5}`; string(resp.body) != want {
		t.Errorf("got  %s\nwant %s", resp.body, want)
	}
	if q := <-asked; q.Offset != 5 || q.Limit != 5 || q.Search != "x" || len(q.Filters) != 1 || len(q.Sort) != 1 {
		t.Errorf("asked %+v", q)
	}
	for name, want := range map[string]string{"X-Total-Count": "23", "Cache-Control": "private, no-cache", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	resp = r.get("/api/orders?_start=0&_end=10&_sort=amount&_order=desc").want(http.StatusOK)
	if string(resp.body) != list || resp.Header.Get("X-Total-Count") != "23" {
		t.Errorf("bare: %s, %v", resp.body, resp.Header)
	}
	<-asked
	r.get("/api/orders/summary?customer=x&start_date=2026-01-01").want(http.StatusOK)
	r.get("/api/orders/summary?page=1").problem(http.StatusBadRequest, "page")
	r.get("/api/orders/export.csv?page=1").problem(http.StatusBadRequest, "page")
	r.get("/api/orders/rec1/history?page=1&status=Sent").problem(http.StatusBadRequest, "status")
	r.get("/api/orders?status=Foo&page=0").problem(http.StatusBadRequest, "status", "page")
}

func TestSingleOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders()
	for _, path := range []string{"/api/orders/rec1", "/api/orders/id/rec1"} {
		resp := r.get(path, header("Accept-Encoding", "gzip")).want(http.StatusOK)
		if string(resp.body) != orderJSON("rec1") || resp.Header.Get("ETag") != `"strong"` || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %s %v", path, resp.body, resp.Header)
		}
		r.get(path + "/history?page_size=5").want(http.StatusOK)
		r.get(strings.Replace(path, "rec1", "rec2", 1)).problem(http.StatusNotFound)
		r.get(strings.Replace(path, "rec1", "a%20b", 1)).problem(http.StatusBadRequest, "record_id")
		r.get(strings.Replace(path, "rec1", strings.Repeat("x", 65), 1)).problem(http.StatusBadRequest, "record_id")
		r.get(strings.Replace(path, "rec1", "..%2F..", 1)).problem(http.StatusBadRequest, "record_id")
	}
}

func TestETags(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders()
	for _, path := range []string{"/api/orders", "/api/orders?_start=0&_end=1", "/api/orders/rec1", "/api/orders/summary", "/api/orders/rec1/history", "/openapi.json"} {
		tag := r.get(path).want(http.StatusOK).Header.Get("ETag")
		if tag == "" {
			t.Fatalf("%s has none", path)
		}
		for _, same := range []string{tag, "W/" + strings.TrimPrefix(tag, "W/"), `"x", ` + tag, "*"} {
			resp := r.get(path, header("If-None-Match", same)).want(http.StatusNotModified)
			if len(resp.body) > 0 || resp.Header.Get("ETag") != tag {
				t.Errorf("%s: %q %q", path, resp.body, resp.Header.Get("ETag"))
			}
		}
		r.get(path, header("If-None-Match", `"other"`)).want(http.StatusOK)
	}
	// The total is part of what a tag covers, though not of a bare array.
	if route.WeakETag([]byte("[]"), "1") == route.WeakETag([]byte("[]"), "2") {
		t.Error("another total has the same tag")
	}
}

// A service that answers nonsense is our fault, and the client learns no more.
func TestServiceAnswersNonsense(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{
		ordersapi.SubjectList:    answer(`{"not":"a list"}`, rpc.HeaderTotal, "1"),
		ordersapi.SubjectHistory: answer("[]", rpc.HeaderTotal, "many"),
		ordersapi.SubjectSummary: refuse(errors.New("pq: syntax error in SELECT secret")),
		ordersapi.SubjectGet:     func(context.Context, []byte) (bus.Reply, error) { panic("secret") },
	})
	for _, path := range []string{"/api/orders", "/api/orders/rec1/history", "/api/orders/summary", "/api/orders/rec1", "/api/orders/export.csv"} {
		p := r.get(path, header("Accept-Language", "en")).problem(http.StatusInternalServerError)
		if p.Detail != "Internal error" {
			t.Errorf("%s: %q", path, p.Detail)
		}
	}
}

func TestErrorsOfServicesKeepTheirCode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{
		ordersapi.SubjectSummary: refuse(fault.Away("Postgres", errors.New("dial tcp 10.0.0.1: secret"))),
		ordersapi.SubjectList:    refuse(fault.Field("after", fault.T("caducado", "expired"))),
	})
	resp := r.get("/api/orders/summary")
	p := resp.problem(http.StatusServiceUnavailable)
	if p.Detail != "Postgres no está disponible en este momento" || resp.Header.Get("Retry-After") != "1" || strings.Contains(string(resp.body), "secret") {
		t.Errorf("%+v %v", p, resp.Header)
	}
	if p := r.get("/api/orders", header("Accept-Language", "en")).problem(http.StatusBadRequest, "after"); p.Errors["after"] != "expired" {
		t.Errorf("%+v", p)
	}
}

func TestTokenIsDemanded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders()
	for _, token := range []option{func(*http.Request) {}, bearer("x.y.z"), header("Authorization", "Basic YTpi"), bearer("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiIsImV4cCI6NDEwMjQ0NDgwMH0.")} {
		for _, path := range []string{"/api/orders", "/api/orders/rec1", "/api/me", "/api/orders/sync", "/api/orders/export.csv"} {
			resp := r.do(http.MethodGet, path, token)
			p := resp.problem(http.StatusUnauthorized)
			if p.Detail != "No se pudo validar el token" || resp.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: %+v %v", path, p, resp.Header)
			}
		}
	}
	var me session.Me
	r.get("/api/me").decode(http.StatusOK, &me)
	if me != (session.Me{Username: "viewer", Name: "viewer", Role: auth.Viewer, Provider: "local"}) {
		t.Errorf("%+v", me)
	}
	if p := r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Viewer)).problem(http.StatusForbidden); p.Detail != "No tiene permiso para esto" {
		t.Errorf("%+v", p)
	}
}

func TestLoginForms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, good := range []option{
		form("username=viewer&password=correct%20horse"),
		form("grant_type=password&username=viewer&password=correct+horse&scope=&client_id="),
		jsonBody(`{"username":"viewer","password":"correct horse"}`),
		body("application/json; charset=utf-8", `{"username":"viewer","password":"correct horse","remember":true}`),
	} {
		resp := r.do(http.MethodPost, "/token", good)
		var tokens session.Tokens
		resp.decode(http.StatusOK, &tokens)
		if tokens.TokenType != "bearer" || tokens.ExpiresIn != 900 || tokens.Role != auth.Viewer || tokens.RefreshToken == "" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%+v %v", tokens, resp.Header)
		}
	}
	for _, bad := range []struct {
		body   option
		fields []string
	}{
		{form("grant_type=client_credentials&username=viewer&password=x"), []string{"grant_type"}},
		{form("username=viewer"), []string{"password"}},
		{form(""), []string{"password", "username"}},
		{form("username=%zz"), nil},
		{jsonBody(`{"username":"viewer","password":1}`), []string{"password"}},
		{jsonBody(`["viewer"]`), nil},
		{jsonBody(`{"username":`), nil},
	} {
		r.do(http.MethodPost, "/token", bad.body).problem(http.StatusBadRequest, bad.fields...)
	}
	r.do(http.MethodPost, "/token", body("multipart/form-data; boundary=x", "--x--")).problem(http.StatusUnsupportedMediaType)
	if p := r.do(http.MethodPost, "/token", form("username=viewer&password=wrong")).problem(http.StatusUnauthorized); p.Detail != "Usuario o contraseña incorrectos" {
		t.Errorf("%+v", p)
	}
	for range 4 {
		r.do(http.MethodPost, "/token", form("username=viewer&password=wrong")).problem(http.StatusUnauthorized)
	}
	resp := r.do(http.MethodPost, "/token", form("username=viewer&password=correct+horse"))
	resp.problem(http.StatusTooManyRequests)
	if s := resp.Header.Get("Retry-After"); s == "" || s > "5" || len(s) != 1 {
		t.Errorf("Retry-After %q", s)
	}
}

func TestRefreshOverHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var first, second, again session.Tokens
	r.do(http.MethodPost, "/token", form("username=operator&password=correct+horse")).decode(http.StatusOK, &first)
	r.do(http.MethodPost, "/token/refresh", jsonBody(`{"refresh_token":"`+first.RefreshToken+`"}`)).decode(http.StatusOK, &second)
	r.do(http.MethodPost, "/token/refresh", form("grant_type=refresh_token&refresh_token="+first.RefreshToken)).decode(http.StatusOK, &again)
	if second.RefreshToken == first.RefreshToken || again.RefreshToken != second.RefreshToken || second.Role != auth.Operator {
		t.Errorf("first %+v\nsecond %+v\nagain %+v", first, second, again)
	}
	var me session.Me
	r.do(http.MethodGet, "/api/me", bearer(second.AccessToken)).decode(http.StatusOK, &me)
	r.do(http.MethodPost, "/token/revoke", form("refresh_token="+second.RefreshToken)).want(http.StatusNoContent)
	r.do(http.MethodPost, "/token/refresh", form("refresh_token="+second.RefreshToken)).problem(http.StatusUnauthorized)
	r.do(http.MethodPost, "/token/refresh", form("refresh_token=x")).problem(http.StatusUnauthorized)
	r.do(http.MethodPost, "/token/refresh", form("grant_type=password&refresh_token=x")).problem(http.StatusBadRequest, "grant_type")
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	chunked := func(size int) option {
		return func(q *http.Request) {
			q.Header.Set("Content-Type", "application/json")
			q.ContentLength = -1
			q.Body = io.NopCloser(io.LimitReader(spaces{}, int64(size)))
		}
	}
	for _, path := range []string{"/token", "/token/refresh", "/token/revoke", "/api/orders/sync"} {
		r.do(http.MethodPost, path, r.as(auth.Operator), jsonBody(strings.Repeat(" ", maxBody+1))).problem(http.StatusRequestEntityTooLarge)
		r.do(http.MethodPost, path, r.as(auth.Operator), chunked(maxBody+1)).problem(http.StatusRequestEntityTooLarge)
		r.do(http.MethodPost, path, r.as(auth.Operator), chunked(maxBody)).problem(http.StatusBadRequest)
	}
}

// spaces never ends.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestUnknownAddressesAndMethods(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders()
	for _, path := range []string{"/nothing", "/api/orders/", "/api/orders/rec1/what", "/api"} {
		if p := r.do(http.MethodGet, path, header("Accept-Language", "en")).problem(http.StatusNotFound); p.Detail != "There is no such address" {
			t.Errorf("%s: %+v", path, p)
		}
	}
	for path, want := range map[string]string{"/api/orders": "GET, HEAD, PATCH", "/api/orders/rec1": "GET, HEAD, PATCH", "/webhooks/airtable": "POST", "/token": "POST", "/api/orders/sync": "GET, HEAD, POST, PATCH"} {
		resp := r.do(http.MethodDelete, path)
		resp.problem(http.StatusMethodNotAllowed)
		if got := resp.Header.Get("Allow"); got != want {
			t.Errorf("%s: Allow %q", path, got)
		}
	}
	r.do("BREW", "/api/orders").want(http.StatusMethodNotAllowed)
	head := r.do(http.MethodHead, "/api/orders", r.as(auth.Viewer)).want(http.StatusOK)
	if len(head.body) != 0 || head.Header.Get("X-Total-Count") != "23" || head.ContentLength <= 0 {
		t.Errorf("%v %d", head.Header, head.ContentLength)
	}
	// Nobody's Accept is refused: there is JSON only.
	r.get("/api/orders", header("Accept", "text/html")).want(http.StatusOK)
	r.get("/api/orders/rec2", header("Accept", "text/html")).problem(http.StatusNotFound)
	r.get("/api/me", header("Accept", "application/cbor")).want(http.StatusOK)
}

func TestBadJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for text, fields := range map[string][]string{
		`{`: {}, `[]`: {}, `{"mode":"full"} x`: {}, `{"mode":1}`: {"mode"}, `{"mode":"slow"}`: {"mode"}, `{"color":"red"}`: {"color"}, `{"confirm_deletions":"yes"}`: {"confirm_deletions"},
	} {
		p := r.do(http.MethodPost, "/api/orders/sync", r.as(auth.Operator), jsonBody(text)).problem(http.StatusBadRequest, fields...)
		if strings.Contains(p.Detail, "expected") || strings.Contains(p.Detail, "invalid character") {
			t.Errorf("%s: %q is not for people", text, p.Detail)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders()
	origin := header("Origin", "https://admin.example.com")
	pre := r.do(http.MethodOptions, "/api/orders", origin, header("Access-Control-Request-Method", "GET"), header("Access-Control-Request-Headers", "authorization,if-none-match"))
	if pre.StatusCode/100 != 2 || pre.Header.Get("Access-Control-Allow-Origin") != "https://admin.example.com" || !strings.EqualFold(pre.Header.Get("Access-Control-Allow-Headers"), "Authorization, If-None-Match") {
		t.Errorf("%d %v", pre.StatusCode, pre.Header)
	}
	edit := r.do(http.MethodOptions, "/api/orders/rec1", origin, header("Access-Control-Request-Method", "PATCH"),
		header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key,if-match,prefer"))
	if edit.StatusCode/100 != 2 || !strings.Contains(edit.Header.Get("Access-Control-Allow-Methods"), "PATCH") ||
		!strings.EqualFold(edit.Header.Get("Access-Control-Allow-Headers"), "Authorization, Content-Type, Idempotency-Key, If-Match, Prefer") {
		t.Errorf("%d %v", edit.StatusCode, edit.Header)
	}
	for _, resp := range []response{r.get("/api/orders", origin), r.do(http.MethodGet, "/api/orders", origin)} {
		exposed := resp.Header.Get("Access-Control-Expose-Headers")
		for _, name := range []string{"X-Total-Count", "Etag", "Retry-After", "Location", "Preference-Applied"} {
			if !strings.Contains(strings.ToLower(exposed), strings.ToLower(name)) {
				t.Errorf("%d: %s is not exposed: %s", resp.StatusCode, name, exposed)
			}
		}
		if resp.Header.Get("Access-Control-Allow-Origin") == "" || !slices.Contains(resp.Header.Values("Vary"), "Origin") {
			t.Errorf("%d: %v", resp.StatusCode, resp.Header)
		}
	}
	if other := r.get("/api/orders", header("Origin", "https://evil.example.com")); other.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", other.Header)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := "[" + strings.Repeat(orderJSON("rec1")+",", 100) + orderJSON("rec1") + "]"
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectHistory: answer(long, rpc.HeaderTotal, "101")})
	if small := r.get("/api/orders", header("Accept-Encoding", "gzip")).want(http.StatusOK); small.Header.Get("Content-Encoding") != "" {
		t.Error("a small body is compressed")
	}
	big := r.get("/api/orders/rec1/history?page_size=100", header("Accept-Encoding", "gzip")).want(http.StatusOK)
	if big.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v", big.Header)
	}
	zr, err := gzip.NewReader(strings.NewReader(string(big.body)))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(zr); err != nil || !strings.HasPrefix(string(plain), `{"data":[{"record_id"`) {
		t.Errorf("%v %.80s", err, plain)
	}
	if plain := r.get("/api/orders/rec1/history?page_size=100", header("Accept-Encoding", "identity")); plain.Header.Get("Content-Encoding") != "" || plain.ContentLength < 20_000 {
		t.Errorf("%v", plain.Header)
	}
}

func TestConnectionClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.nc.Close()
	r.get("/api/orders").problem(http.StatusServiceUnavailable)
}

// panicker is an Asker with a bug.
type panicker struct{}

func (panicker) Ask(context.Context, string, any) (bus.Reply, error) { panic("a secret of the inside") }

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.api.Services = panicker{}
	resp := r.get("/api/orders")
	resp.problem(http.StatusInternalServerError)
	if strings.Contains(string(resp.body), "secret") {
		t.Errorf("%s", resp.body)
	}
	if log := r.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "a secret of the inside") {
		t.Errorf("the log does not say why: %s", log)
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	page := r.do(http.MethodGet, "/docs").want(http.StatusOK)
	for _, asset := range []string{"/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui-standalone-preset.js"} {
		if !strings.Contains(string(page.body), asset) {
			t.Errorf("%s is not used", asset)
		}
		if got := r.do(http.MethodGet, asset).want(http.StatusOK); len(got.body) < 1000 {
			t.Errorf("%s has %d bytes", asset, len(got.body))
		}
	}
	if regexp.MustCompile(`(src|href)="(https?:)?//`).Match(page.body) {
		t.Error("the page needs the network")
	}
}

func TestTheAdminAndTheAPIDoNotMeet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, path := range []string{"/", "/orders/show/rec1", "/login"} {
		page := r.do(http.MethodGet, path).want(http.StatusOK)
		policy := page.Header.Get("Content-Security-Policy")
		if !strings.Contains(string(page.body), `href="/docs"`) || !strings.Contains(policy, "script-src 'self';") ||
			!strings.Contains(policy, "frame-ancestors 'none'") || page.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %s %s", path, page.Header, page.body)
		}
		r.do(http.MethodHead, path).want(http.StatusOK)
		r.do(http.MethodPost, path).want(http.StatusMethodNotAllowed)
	}
	for _, path := range []string{"/api/nothing", "/nothing", "/assets/nothing.js", "/index.html", "/token/nothing"} {
		if got := r.do(http.MethodGet, path).want(http.StatusNotFound); got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", path, got.Header)
		}
	}
}

func TestLogAndMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectSummary: refuse(fault.Away("Postgres", nil))})
	r.get("/api/orders?customer=Confidencial", header("X-Request-ID", "abc-1")).want(http.StatusOK)
	if got := r.get("/api/orders", header("X-Request-ID", "a b\"")).Header.Get("X-Request-ID"); strings.Contains(got, " ") || got == "" {
		t.Errorf("request id %q", got)
	}
	r.get("/api/orders/summary").want(http.StatusServiceUnavailable)
	r.do(http.MethodPost, "/token", form("username=viewer&password=hunter2")).want(http.StatusUnauthorized)
	log := r.log.String()
	for _, want := range []string{"request_id=abc-1", "path=/api/orders status=200", "user=viewer", "status=503", "Postgres is not available"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	for _, secret := range []string{"Confidencial", "hunter2", r.tokens[auth.Viewer], "Bearer"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	metrics := string(r.do(http.MethodGet, "/metrics").want(http.StatusOK).body)
	for _, want := range []string{
		`http_requests_total{code="200",method="GET",route="/api/orders"}`, `http_requests_total{code="503",method="GET",route="/api/orders/summary"}`,
		`http_request_duration_seconds_bucket{route="/api/orders",le="0.005"}`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	r.do(http.MethodGet, "/healthz").want(http.StatusOK)
	r.do(http.MethodGet, "/readyz").want(http.StatusOK)
}
