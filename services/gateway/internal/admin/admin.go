// Package admin serves the web admin, as its build left it in dist: one page for all of the admin's
// addresses, and assets that are named by what is in them, compressed once and for all.
package admin

import (
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/resonance/resonance/pkg/erp"
)

//go:embed all:dist
var dist embed.FS

//go:embed missing.html
var missing []byte

const (
	// Policy is the content security policy of the pages. Ant Design writes its styles into the page.
	Policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
		"font-src 'self'; connect-src 'self'"

	index = "index.html"
)

// sections are the first parts of the admin's own addresses, besides /.
var sections = func() []string {
	all := []string{"login", "sync", "orders"}
	for _, r := range erp.Resources {
		if r.Page != "" {
			all = append(all, r.Page)
		}
	}
	return all
}()

// Admin is the build, or what stands in for it.
type Admin struct {
	files fs.FS
	tags  map[string]string // of the variants of the page, by name
}

// New takes the build that is in this binary.
func New() (*Admin, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return newAdmin(files)
}

func newAdmin(files fs.FS) (*Admin, error) {
	a := &Admin{files: files, tags: map[string]string{}}
	for _, v := range append(variants, variant{}) {
		content, err := fs.ReadFile(files, index+v.extension)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		sum := fnv.New64a()
		_, _ = sum.Write(content) // never fails
		a.tags[index+v.extension] = `"` + strconv.FormatUint(sum.Sum64(), 36) + `"`
	}
	return a, nil
}

// Built reports whether there is a build.
func (a *Admin) Built() bool { return a.tags[index] != "" }

// Mount adds the admin's addresses to r. An address that nobody serves is answered with the app, which has a
// page for it, where a browser asks for one; anyone else, and everyone below /api and /assets, gets notFound.
func (a *Admin) Mount(r chi.Router, notFound http.HandlerFunc) {
	r.Get("/", a.page)
	for _, section := range sections {
		r.Get("/"+section, a.page)
		r.Get("/"+section+"/*", a.page)
	}
	r.Get("/assets/*", func(w http.ResponseWriter, req *http.Request) {
		name := "assets/" + chi.URLParam(req, "*") // fs takes no path with .. in it
		if info, err := fs.Stat(a.files, name); err != nil || info.IsDir() {
			notFound(w, req)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		a.serve(w, req, name)
	})
	r.NotFound(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Add("Vary", "Accept")
		if !acceptsHTML(req) || strings.HasPrefix(req.URL.Path+"/", "/api/") || strings.HasPrefix(req.URL.Path, "/assets/") {
			notFound(w, req)
			return
		}
		a.page(w, req)
	})
}

// acceptsHTML reports whether a page is asked for by name, as browsers do for what stands in their address bar.
// A wildcard is not enough: programs send it too.
func acceptsHTML(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			mediaType, params, err := mime.ParseMediaType(part)
			if err != nil || mediaType != "text/html" {
				continue
			}
			q, err := strconv.ParseFloat(params["q"], 64)
			return err != nil || q > 0
		}
	}
	return false
}

// page answers with the app, which shows what the address says.
func (a *Admin) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	if !a.Built() {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(missing) // the client has gone
		return
	}
	a.serve(w, r, index)
}

// variant is a compressed form that a file may have beside it.
type variant struct{ coding, extension string }

// variants are in order of preference.
var variants = []variant{{"br", ".br"}, {"gzip", ".gz"}}

// serve answers with a file that is there, in the smallest form that the client takes.
func (a *Admin) serve(w http.ResponseWriter, r *http.Request, name string) {
	header := w.Header()
	if vary := "Accept-Encoding"; !slices.Contains(header.Values("Vary"), vary) {
		header.Add("Vary", vary)
	}
	header.Set("Content-Type", contentType(name))
	file, form := a.open(r, name)
	if file == nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	defer file.Close()
	if form.coding != "" {
		header.Set("Content-Encoding", form.coding)
	}
	if tag := a.tags[name+form.extension]; tag != "" {
		header.Set("ETag", tag)
	}
	http.ServeContent(w, r, name, time.Time{}, file)
}

// open gives the first form of a file that the client takes and that is there.
func (a *Admin) open(r *http.Request, name string) (io.ReadSeekCloser, variant) {
	for _, v := range append(accepted(r.Header.Values("Accept-Encoding")), variant{}) {
		if f, err := a.files.Open(name + v.extension); err == nil {
			if file, ok := f.(io.ReadSeekCloser); ok {
				return file, v
			}
			_ = f.Close() // of an embedded file: never fails
		}
	}
	return nil, variant{}
}

// accepted gives the variants that the lines of Accept-Encoding allow (RFC 9110, section 12.5.3).
func accepted(lines []string) []variant {
	refused := map[string]bool{}
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(part, ";")
			weight = strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			refused[strings.ToLower(strings.TrimSpace(coding))] = err == nil && q == 0
		}
	}
	var taken []variant
	for _, v := range variants {
		no, named := refused[v.coding]
		if !named {
			no, named = refused["*"]
		}
		if named && !no {
			taken = append(taken, v)
		}
	}
	return taken
}

// contentType does not ask the machine about what the build makes: its answer would differ from one to the next.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		if byExtension := mime.TypeByExtension(ext); byExtension != "" {
			return byExtension
		}
		return "application/octet-stream"
	}
}
