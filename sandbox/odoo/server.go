package odootest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config is what a sandbox starts from. The zero value is an empty Odoo 19 with
// all modules and one administrator, admin with the password admin.
type Config struct {
	// Version of Odoo, 14 to 19: 19 if 0.
	Version int
	// Database is the only one there is: "odootest" if empty.
	Database string
	// Without names modules that are not installed: "stock", "purchase", "account".
	Without []string
	// Users who can log in: an administrator admin with the password admin if nil.
	Users []User
	// Samples fills it with products, partners and sales.
	Samples bool
	// Seed makes other, equally repeatable samples.
	Seed uint64
	// Delay is how long every answer of a model's method takes at least.
	Delay time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Log gets a line for every call, at debug level; nothing if nil.
	Log *slog.Logger
}

// Role is what a user may do.
type Role string

// The roles. Administrators may do everything; sales people read everything and
// change partners and sales; readers change nothing.
const (
	Admin    Role = "admin"
	Sales    Role = "sales"
	ReadOnly Role = "readonly"
)

// may tells whether a role has a right: read, write, create or unlink.
func (r Role) may(op, model string) bool {
	switch {
	case r == Admin:
		return true
	case op == "read":
		return model != "ir.model"
	case r == Sales:
		return model == "res.partner" || model == "sale.order" || model == "sale.order.line"
	}
	return false
}

// User is someone who can log in.
type User struct {
	Login, Password string
	// TwoFactor makes the password good in a browser only: over RPC it takes the key.
	TwoFactor bool
	// APIKey works over JSON-2 and as a password: "key-" and the login if empty.
	APIKey string
	// Name is the login if empty.
	Name string
	// Role is Admin if empty.
	Role Role
	id   int
}

// maxBody bounds a request: an image of 50 megapixels is not for a sandbox.
const maxBody = 16 << 20

// Server is the sandbox. It is an http.Handler and safe for concurrent use.
type Server struct {
	cfg Config

	mu     sync.RWMutex // guards db and all in it
	db     *database
	users  []*User
	groups map[string]int // ids of res.groups by external id; never changes

	logins  logins
	control control
}

// New returns a sandbox. It panics on a version it does not know.
func New(cfg Config) *Server {
	cfg.Version = cmp.Or(cfg.Version, 19)
	if cfg.Version < 14 || cfg.Version > 19 {
		panic(fmt.Sprintf("odootest: no Odoo %d here", cfg.Version))
	}
	cfg.Database = cmp.Or(cfg.Database, "odootest")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Users == nil {
		cfg.Users = []User{{Login: "admin", Password: "admin", Name: "Administrator", Role: Admin}}
	}
	cfg.Users = slices.Clone(cfg.Users)
	for i := range cfg.Users {
		u := &cfg.Users[i]
		u.APIKey, u.Name, u.Role = cmp.Or(u.APIKey, "key-"+u.Login), cmp.Or(u.Name, u.Login), cmp.Or(u.Role, Admin)
	}
	modules := map[string]bool{"stock": true, "purchase": true, "account": true}
	for _, name := range cfg.Without {
		delete(modules, name)
	}
	s := &Server{cfg: cfg, db: newDatabase(newSchema(cfg.Version, modules)), groups: map[string]int{}}
	s.control.init()
	s.seed()
	return s
}

// Config returns the configuration in force, with the defaults filled in.
func (s *Server) Config() Config {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cfg
}

// env begins a transaction.
func (s *Server) env(user *User) *env {
	return &env{
		database: s.db, groups: s.groups, user: user, lang: "en_US", companies: s.companiesOf(user), activeTest: true,
		now: s.cfg.Now().UTC().Truncate(time.Microsecond),
	}
}

func (s *Server) companiesOf(user *User) []int {
	if r := s.db.tables["res.users"].rows[user.id]; r != nil {
		ids, _ := r.values["company_ids"].([]int)
		return slices.Clone(ids)
	}
	return []int{1}
}

// ServeHTTP answers as Odoo does on /xmlrpc/2/common, /xmlrpc/2/object,
// /json/2/<model>/<method> from 19 on, and /web/version.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case path == "/web/version" || path == "/json/version":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = fmt.Fprintf(w, `{"version_info": [%d, 0, 0, "final", 0, ""], "version": %q}`, s.cfg.Version, s.serie())
	case path == "/xmlrpc/2/common" || path == "/xmlrpc/2/object":
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "POST, OPTIONS")
			writeHTML(w, http.StatusMethodNotAllowed, "Method Not Allowed", "The method is not allowed for the requested URL.")
			return
		}
		s.xmlrpc(w, r, strings.TrimPrefix(path, "/xmlrpc/2/"))
	case strings.HasPrefix(path, "/json/2/") && s.cfg.Version >= 19:
		s.json2(w, r, strings.TrimPrefix(path, "/json/2/"))
	default:
		writeHTML(w, http.StatusNotFound, "Not Found", "The requested URL was not found on the server.")
	}
}

func (s *Server) serie() string { return strconv.Itoa(s.cfg.Version) + ".0" }

func (s *Server) versionInfo() []any { return []any{s.cfg.Version, 0, 0, "final", 0, ""} }

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		return body, true
	}
	if _, big := errors.AsType[*http.MaxBytesError](err); big {
		writeHTML(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large", "The data value transmitted exceeds the capacity limit.")
	}
	return nil, false
}

func (s *Server) xmlrpc(w http.ResponseWriter, r *http.Request, service string) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	req := &request{http: r, protocol: XMLRPC}
	defer s.end(req)
	lang := "en_US"
	result, err := s.dispatch(req, service, body, &lang)
	var answer []byte
	if err == nil {
		answer, err = encodeResponse(result)
	}
	if err != nil {
		f := asFault(err)
		answer = encodeFault(f.code(), f.faultString(lang))
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	req.reply(w, http.StatusOK, answer)
}

func asFault(err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	return raise("RuntimeError", err.Error())
}

// dispatch runs one XML-RPC call. lang becomes the language of its context.
func (s *Server) dispatch(req *request, service string, body []byte, lang *string) (any, error) {
	name, params, err := decodeCall(body)
	if err != nil {
		return nil, raise("xml.parsers.expat.ExpatError", err.Error())
	}
	if service == "common" {
		req.model, req.method = "common", name
		if !s.begin(req) {
			return nil, nil
		}
		return s.common(name, params)
	}
	if name != "execute_kw" && name != "execute" {
		return nil, raise("NameError", "Method not available "+name)
	}
	if len(params) < 5 {
		return nil, valueError("not enough values to unpack (expected at least 5, got %d)", len(params))
	}
	req.model, _ = params[3].(string)
	req.method, _ = params[4].(string)
	if !s.begin(req) {
		return nil, nil
	}
	if params[0] != s.cfg.Database {
		return nil, s.noDatabase(params[0])
	}
	user := s.authenticate(params[1], params[2])
	if user == nil {
		if s.logins.cooling(s.cfg) {
			return nil, &fault{class: "odoo.exceptions.AccessDenied", text: "Too many login failures, please wait a bit before trying again."}
		}
		s.logins.fail(s.cfg)
		return nil, accessDenied()
	}
	args, kw := params[5:], map[string]any(nil)
	if name == "execute_kw" {
		if args, kw, err = arguments(args); err != nil {
			return nil, err
		}
	}
	return s.execute(req, user, func(c *call, m method) error {
		c.args = maps.Clone(kw)
		c.context, _ = c.args["context"].(map[string]any)
		delete(c.args, "context")
		if *lang = c.wish(); *lang == "" {
			*lang = "en_US"
		}
		if !m.static {
			if len(args) == 0 {
				return raise("IndexError", "list index out of range")
			}
			var ok bool
			if c.ids, ok = toIDs(args[0]); !ok {
				return typeError("unhashable type or not an id: %s", repr(args[0]))
			}
			args = args[1:]
		}
		var err error
		c.args, err = bind(className(req.model)+"."+req.method+"()", m.params, args, c.args)
		return err
	})
}

// arguments are execute_kw's last two: a list and, if need be, a dict.
func arguments(params []any) (args []any, kw map[string]any, err error) {
	if len(params) == 0 || len(params) > 2 {
		return nil, nil, valueError("too many values to unpack (expected 2)")
	}
	args, ok := params[0].([]any)
	if !ok {
		return nil, nil, typeError("Value after * must be an iterable, not %s", pyType(params[0]))
	}
	if len(params) == 2 {
		if kw, ok = params[1].(map[string]any); !ok && truth(params[1]) {
			return nil, nil, typeError("'%s' object is not a mapping", pyType(params[1]))
		}
	}
	return args, kw, nil
}

// className is the Python class of a model: res.partner's is ResPartner.
func className(model string) string {
	var sb strings.Builder
	for word := range strings.SplitSeq(model, ".") {
		sb.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return sb.String()
}

func (s *Server) noDatabase(name any) *fault {
	return raise("psycopg2.OperationalError", fmt.Sprintf("connection to server on socket \"/var/run/postgresql/.s.PGSQL.5432\" failed: FATAL:  database \"%v\" does not exist\n", name))
}

func (s *Server) common(name string, params []any) (any, error) {
	switch name {
	case "version":
		return map[string]any{"server_version": s.serie(), "server_version_info": s.versionInfo(), "server_serie": s.serie(), "protocol_version": 1}, nil
	case "authenticate", "login":
		if len(params) < 3 {
			return nil, typeError("exp_%s() missing %d required positional arguments", name, 3-len(params))
		}
		if params[0] != s.cfg.Database {
			return nil, s.noDatabase(params[0])
		}
		login, _ := params[1].(string)
		if s.logins.cooling(s.cfg) {
			return false, nil
		}
		for _, u := range s.users {
			if u.Login == login && u.knows(params[2]) {
				s.logins.succeed()
				return u.id, nil
			}
		}
		s.logins.fail(s.cfg)
		return false, nil
	}
	return nil, raise("Exception", "Method not found: "+name)
}

func (u *User) knows(secret any) bool {
	return secret == u.Password && !u.TwoFactor || secret == u.APIKey
}

func (s *Server) authenticate(uid, secret any) *User {
	for _, u := range s.users {
		if u.id == uid && u.knows(secret) {
			return u
		}
	}
	return nil
}

// execute runs a method in a transaction of its own, which a fault takes back.
// set fills in what the protocol carries.
func (s *Server) execute(req *request, user *User, set func(*call, method) error) (result any, err error) {
	m := s.db.models[req.model]
	if m == nil {
		return nil, userError("Object "+req.model+" doesn't exist", "")
	}
	c := &call{model: m}
	s.mu.RLock()
	c.env = s.env(user)
	s.mu.RUnlock()
	found, f := c.find(m, req.method)
	if f != nil {
		return nil, f
	}
	op := cmp.Or(found.op, "write")
	if op == "read" {
		s.mu.RLock()
		defer s.mu.RUnlock()
	} else {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	c.env = s.env(user) // its time is that of the lock, so that write_date never goes back
	if err := set(c, found); err != nil {
		return nil, err
	}
	if err := c.adopt(); err != nil {
		return nil, err
	}
	if !found.ownRights && !user.Role.may(op, m.name) {
		return nil, notAllowed(op, m)
	}
	defer func() {
		if err != nil {
			c.rollback()
		}
	}()
	return found.run(c)
}

// wish is the language that the context asks for.
func (c *call) wish() string {
	lang, _ := c.context["lang"].(string)
	return lang
}

// adopt takes over the context, as environments do when it is first used.
func (c *call) adopt() error {
	if lang := c.wish(); lang != "" {
		known := false
		for _, r := range c.tables["res.lang"].rows {
			known = known || r.values["code"] == lang && r.values["active"] == true
		}
		if !known && c.version >= 16 {
			return userError("Invalid language code: "+lang, "")
		}
		c.lang, c.langAsked = lang, true
	}
	if v, ok := c.context["active_test"]; ok {
		c.activeTest = truth(v)
	}
	c.binSize = truth(c.context["bin_size"])
	asked, ok := toIDs(c.context["allowed_company_ids"])
	if !ok {
		return typeError("allowed_company_ids: %s", repr(c.context["allowed_company_ids"]))
	}
	for _, id := range asked {
		if !slices.Contains(c.companies, id) {
			return accessError("Access to unauthorized or invalid companies.", "Acceso a empresas no autorizadas o inválidas.")
		}
	}
	if len(asked) > 0 {
		c.companies = asked
	}
	return nil
}

var verbs = map[string][2]string{
	"write":  {"modify", "No puede modificar registros"},
	"create": {"create", "No puede crear registros"},
	"unlink": {"delete", "No puede borrar registros"},
	"read":   {"access", "No puede ingresar a los registros"},
}

func notAllowed(op string, m *model) *fault {
	verb := verbs[op]
	return accessError(
		fmt.Sprintf("You are not allowed to %s '%s' (%s) records.\n\nThis operation is allowed for the following groups:\n\t- Administration/Settings\n\nContact your administrator to request access if necessary.", verb[0], m.label, m.name),
		fmt.Sprintf("%s '%s' (%s).\n\nEsta operación está permitida para los siguientes grupos:\n\t- Administración/Ajustes\n\nPóngase en contacto con su administrador para solicitar acceso si es necesario.", verb[1], m.es, m.name))
}

func forbidden(r *record, user *User) *fault {
	return accessError(
		fmt.Sprintf("Uh-oh! Looks like you have stumbled upon some top-secret records.\n\nSorry, %s (id=%d) doesn't have 'read' access to:\n- %s (%s)\n\nIf you really, really need access, perhaps you can win over your friendly administrator with a batch of freshly baked cookies.", user.Name, user.id, r.model.label, r.model.name),
		fmt.Sprintf("¡Vaya! Parece que ha encontrado algunos registros ultrasecretos.\n\nLo sentimos, %s (id=%d) no tiene permiso de 'read' sobre:\n- %s (%s)", user.Name, user.id, r.model.es, r.model.name))
}

// json2 answers POST /json/2/<model>/<method>.
func (s *Server) json2(w http.ResponseWriter, r *http.Request, rest string) {
	model, name, ok := strings.Cut(rest, "/")
	if !ok || r.Method != http.MethodPost || strings.Contains(name, "/") {
		writeError(w, http.StatusNotFound, raise("werkzeug.exceptions.NotFound", "Did you mean POST /json/2/<model>/<method>?"), "")
		return
	}
	if db := r.Header.Get("X-Odoo-Database"); db != "" && db != s.cfg.Database {
		writeHTML(w, http.StatusNotFound, "Not Found", "No database is selected and the requested URL was not found in the server-wide controllers.")
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	user, why := s.bearer(r)
	if user == nil {
		w.Header().Set("WWW-Authenticate", "Bearer ")
		writeError(w, http.StatusUnauthorized, raise("werkzeug.exceptions.Unauthorized", why), "")
		return
	}
	req := &request{http: r, protocol: JSON2, model: model, method: name}
	defer s.end(req)
	if !s.begin(req) {
		req.reply(w, http.StatusOK, nil)
		return
	}
	lang := "en_US"
	result, status, err := s.callJSON(req, user, body, &lang)
	if err != nil {
		f := asFault(err)
		if status == 0 {
			status = http.StatusInternalServerError
			if k, ok := kinds[f.class]; ok {
				status = k.status
			}
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		req.reply(w, status, errorBody(f, lang))
		return
	}
	answer, err := json.Marshal(result)
	if err != nil {
		writeError(w, http.StatusInternalServerError, raise("TypeError", err.Error()), lang)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	req.reply(w, http.StatusOK, answer)
}

func (s *Server) bearer(r *http.Request) (*User, string) {
	header := r.Header.Get("Authorization")
	if len(header) < len("bearer ") || !strings.EqualFold(header[:len("bearer ")], "bearer ") {
		return nil, "User not authenticated, use an API Key with a Bearer Authorization header."
	}
	for _, u := range s.users {
		if u.APIKey == strings.TrimSpace(header[len("bearer "):]) {
			return u, ""
		}
	}
	return nil, "Invalid apikey"
}

// callJSON runs one call. A status beside an error is that of the protocol's own errors.
func (s *Server) callJSON(req *request, user *User, body []byte, lang *string) (result any, status int, err error) {
	args := map[string]any{}
	if len(bytes.TrimSpace(body)) > 0 {
		if args, err = decodeObject(body); err != nil {
			return nil, http.StatusBadRequest, raise("werkzeug.exceptions.BadRequest", "Invalid JSON data: "+err.Error())
		}
	}
	if s.db.models[req.model] == nil {
		return nil, http.StatusNotFound, raise("werkzeug.exceptions.NotFound", fmt.Sprintf("the model %s does not exist", repr(req.model)))
	}
	result, err = s.execute(req, user, func(c *call, m method) error {
		ids, ok := toIDs(args["ids"])
		if !ok {
			return typeError("ids: %s", repr(args["ids"]))
		}
		c.context, _ = args["context"].(map[string]any)
		if *lang = c.wish(); *lang == "" {
			*lang = "en_US"
		}
		delete(args, "ids")
		delete(args, "context")
		if m.static && len(ids) > 0 {
			status = http.StatusUnprocessableEntity
			return raise("werkzeug.exceptions.UnprocessableEntity", fmt.Sprintf("cannot call %s.%s with ids", req.model, req.method))
		}
		c.ids = ids
		if c.args, err = bind("", m.params, nil, args); err != nil {
			status = http.StatusUnprocessableEntity
			return raise("werkzeug.exceptions.UnprocessableEntity", asFault(err).text)
		}
		return nil
	})
	if err == nil && req.method == "create" { // ids also for a single dict
		if id, one := result.(int); one {
			result = []any{id}
		}
	}
	if f, ok := errors.AsType[*fault](err); ok && f.class == "AttributeError" && strings.HasSuffix(f.text, "does not exist") {
		return nil, http.StatusNotFound, raise("werkzeug.exceptions.NotFound", f.text)
	}
	return result, status, err
}

// decodeObject reads a JSON object; whole numbers become int.
func decodeObject(body []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	if d.More() || m == nil {
		return nil, errors.New("expected one object")
	}
	for k := range m {
		var err error
		if m[k], err = numbers(m[k], 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func numbers(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("values nest too deep")
	}
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil || math.IsInf(f, 0) {
			return nil, fmt.Errorf("number out of range: %s", v)
		}
		return f, nil
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k], depth+1); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i], depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func errorBody(f *fault, lang string) []byte {
	text := f.in(lang)
	b, err := json.Marshal(struct {
		Name      string   `json:"name"`
		Message   string   `json:"message"`
		Arguments []string `json:"arguments"`
		Context   struct{} `json:"context"`
		Debug     string   `json:"debug"`
	}{pythonName(f.class), text, []string{text}, struct{}{}, f.traceback()})
	if err != nil {
		panic(err) // strings can always be written
	}
	return b
}

// pythonName gives built-in exceptions the module that Odoo writes.
func pythonName(class string) string {
	if strings.Contains(class, ".") {
		return class
	}
	return "builtins." + class
}

func writeError(w http.ResponseWriter, status int, f *fault, lang string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(errorBody(f, lang))
}

func writeHTML(w http.ResponseWriter, status int, title, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!doctype html>\n<html lang=en>\n<title>%d %s</title>\n<h1>%s</h1>\n<p>%s</p>\n", status, title, title, text)
}

// Serve answers on ln until ctx is done, then drains for up to two seconds.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := newHTTPServer(s)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("odoo sandbox: %w", err)
	case <-ctx.Done():
	}
	s.control.release()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("odoo sandbox: %w", err), srv.Close())
	}
	return nil
}

func newHTTPServer(s *Server) *http.Server {
	return &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}
