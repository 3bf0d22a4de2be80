package admin

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func build() fstest.MapFS {
	file := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	return fstest.MapFS{
		".gitkeep": file(""), "index.html": file("<page>"), "index.html.br": file("page.br"), "index.html.gz": file("page.gz"),
		"assets/app-1a2b.js": file("app()"), "assets/app-1a2b.js.br": file("app.br"), "assets/app-1a2b.js.gz": file("app.gz"),
		"assets/logo-3c4d.svg": file("<svg/>"), "secret": file("not an asset"),
	}
}

// served mounts the admin as the gateway does, beside another route.
func served(t *testing.T, files fstest.MapFS) func(method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	a, err := newAdmin(files)
	if err != nil {
		t.Fatal(err)
	}
	r := chi.NewRouter()
	r.Use(middleware.GetHead)
	notFound := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
	r.NotFound(notFound)
	r.Get("/api/orders", func(http.ResponseWriter, *http.Request) {})
	a.Mount(r, notFound)
	return func(method, target string, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		req := httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody)
		req.URL.Path = target // as it came, not cleaned
		for i := 0; i < len(header); i += 2 {
			req.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w
	}
}

func TestThePageIsServedAtTheAdminsAddressesOnly(t *testing.T) {
	t.Parallel()
	get := served(t, build())
	for _, target := range []string{"/", "/login", "/orders", "/orders/board", "/orders/show/rec1", "/sales/edit/7", "/sync"} {
		if resp := get(http.MethodGet, target); resp.Code != http.StatusOK || resp.Body.String() != "<page>" ||
			resp.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", target, resp.Code, resp.Header())
		}
	}
	for _, target := range []string{"/api", "/api/order", "/token", "/ws", "/ordersx", "/index.html", "/secret", "/.gitkeep", "/favicon.ico"} {
		if resp := get(http.MethodGet, target); resp.Code != http.StatusTeapot {
			t.Errorf("%s: %d", target, resp.Code)
		}
	}
	if resp := get(http.MethodHead, "/orders", "Accept-Encoding", "gzip"); resp.Code != http.StatusOK ||
		resp.Header().Get("ETag") == "" || resp.Header().Get("Content-Encoding") != "gzip" || resp.Body.String() != "" {
		t.Errorf("HEAD: %d %s", resp.Code, resp.Header())
	}
	if resp := get(http.MethodPost, "/orders"); resp.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.Code)
	}
}

func TestBrowsersGetTheAppWhereThereIsNothing(t *testing.T) {
	t.Parallel()
	get := served(t, build())
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, target := range []string{"/nope", "/settings", "/Orders", "/orders-old/1", "/apiary"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if resp := get(method, target, "Accept", browser); resp.Code != http.StatusOK ||
				resp.Header().Get("Content-Type") != "text/html; charset=utf-8" || resp.Header().Get("Cache-Control") != "no-cache" {
				t.Errorf("%s %s: %d %s", method, target, resp.Code, resp.Header())
			}
		}
		for _, accept := range []string{"", "*/*", "application/json", "application/json, text/html;q=0", "text/*", ";"} {
			if resp := get(http.MethodGet, target, "Accept", accept); resp.Code != http.StatusTeapot {
				t.Errorf("%s as %q: %d", target, accept, resp.Code)
			}
		}
		if resp := get(http.MethodPost, target, "Accept", browser); resp.Code != http.StatusTeapot {
			t.Errorf("POST %s: %d", target, resp.Code)
		}
	}
	for _, target := range []string{"/api", "/api/nothing", "/assets/nothing.js"} {
		if resp := get(http.MethodGet, target, "Accept", browser); resp.Code != http.StatusTeapot {
			t.Errorf("%s: %d", target, resp.Code)
		}
	}
}

func TestThePageIsRevalidatedAndAssetsAreNot(t *testing.T) {
	t.Parallel()
	get := served(t, build())
	tags := map[string]bool{}
	for _, coding := range []string{"", "gzip", "br"} {
		page := get(http.MethodGet, "/", "Accept-Encoding", coding)
		tag := page.Header().Get("ETag")
		if page.Header().Get("Cache-Control") != "no-cache" || !strings.HasPrefix(tag, `"`) || tags[tag] {
			t.Errorf("%q: %s", coding, page.Header())
		}
		tags[tag] = true
		again := get(http.MethodGet, "/orders", "Accept-Encoding", coding, "If-None-Match", `"other", W/`+tag)
		if again.Code != http.StatusNotModified || again.Body.String() != "" || again.Header().Get("ETag") != tag {
			t.Errorf("%q again: %d %s", coding, again.Code, again.Header())
		}
	}
	asset := get(http.MethodGet, "/assets/app-1a2b.js")
	if got := asset.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("asset: %s", got)
	}
}

func TestTheSmallestFormThatIsTaken(t *testing.T) {
	t.Parallel()
	get := served(t, build())
	for _, c := range []struct{ accept, coding, body string }{
		{"gzip, deflate, br, zstd", "br", "app.br"},
		{"gzip", "gzip", "app.gz"},
		{"GZIP;q=0.5", "gzip", "app.gz"},
		{"br;q=0, gzip", "gzip", "app.gz"},
		{"*", "br", "app.br"},
		{"*;q=0, gzip", "gzip", "app.gz"},
		{"gzip ; q=0.000", "", "app()"},
		{"identity", "", "app()"},
		{"", "", "app()"},
	} {
		resp := get(http.MethodGet, "/assets/app-1a2b.js", "Accept-Encoding", c.accept)
		if got := resp.Body.String(); got != c.body || resp.Header().Get("Content-Encoding") != c.coding ||
			resp.Header().Get("Vary") != "Accept-Encoding" || resp.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%q: %q %s", c.accept, got, resp.Header())
		}
	}
	if resp := get(http.MethodGet, "/assets/logo-3c4d.svg", "Accept-Encoding", "gzip"); resp.Body.String() != "<svg/>" ||
		resp.Header().Get("Content-Encoding") != "" || resp.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("a file without other forms: %s", resp.Header())
	}
}

func TestOnlyAssetsAreReached(t *testing.T) {
	t.Parallel()
	get := served(t, build())
	for _, target := range []string{
		"/assets", "/assets/", "/assets/.", "/assets/..", "/assets/nothing.js", "/assets/../secret", "/assets/x/../../secret",
		"/assets/../../admin.go", "/assets//etc/passwd", `/assets/..\secret`, "/assets/app-1a2b.js\x00", "/assets/../index.html",
	} {
		if resp := get(http.MethodGet, target); resp.Code != http.StatusTeapot || resp.Body.String() != "" ||
			strings.Contains(resp.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d", target, resp.Code)
		}
	}
}

func TestWithoutABuildAPageSaysHowToGetIt(t *testing.T) {
	t.Parallel()
	get := served(t, fstest.MapFS{".gitkeep": {}})
	for _, target := range []string{"/", "/orders/show/rec1"} {
		resp := get(http.MethodGet, target)
		text := resp.Body.String()
		if resp.Code != http.StatusOK || resp.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %s", target, resp.Code, resp.Header())
		}
		for _, want := range []string{"Node", "make run", `href="/docs"`, `lang="es"`, `lang="en"`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in %s", target, want, text)
			}
		}
	}
	if resp := get(http.MethodGet, "/assets/app-1a2b.js"); resp.Code != http.StatusTeapot {
		t.Errorf("asset: %d", resp.Code)
	}
}

func TestWhatIsEmbeddedCanBeServed(t *testing.T) {
	t.Parallel()
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	r := chi.NewRouter()
	a.Mount(r, http.NotFound)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", http.NoBody))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Resonance") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, asset := range regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, asset[1], http.NoBody))
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", asset[1], w.Code)
		}
	}
}

// What the app has pages for and what is answered with the app must be the same.
func TestSectionsAreTheAppsOwn(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../../../web/admin/src/resources.tsx")
	if err != nil {
		t.Fatal(err)
	}
	ofApp := map[string]bool{"login": true}
	for _, m := range regexp.MustCompile(`"/([a-z]+)|crud\("([a-z]+)"\)`).FindAllSubmatch(source, -1) {
		ofApp[string(m[1])+string(m[2])] = true
	}
	for _, section := range sections {
		if !ofApp[section] {
			t.Errorf("the app has no page for %s", section)
		}
		delete(ofApp, section)
	}
	for section := range ofApp {
		t.Errorf("/%s of the app is not answered with the app", section)
	}
}
