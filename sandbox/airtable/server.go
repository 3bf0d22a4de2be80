package airtabletest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config is what a sandbox starts from. The zero value is an empty table in
// English, behind Airtable's own limits.
type Config struct {
	// APIKey, BaseID and TableID are made up, and always the same, if empty.
	APIKey, BaseID, TableID string
	// Orders is how many sample orders the table starts with.
	Orders int
	// Language of the table's name and fields: "en" or "es".
	Language string
	// RatePerSecond is how many requests a second the base takes: 5 if 0, any number if negative.
	RatePerSecond float64
	// Penalty is how long everything is refused after a 429: 30 s if 0.
	Penalty time.Duration
	// MonthlyLimit is how many requests a month the workspace may make: any number if 0.
	MonthlyLimit int
	// AttachmentTTL is how long the address of an attachment is good: 2 hours if 0.
	AttachmentTTL time.Duration
	// IteratorTTL is how long an unused offset stays valid: 5 minutes if 0.
	IteratorTTL time.Duration
	// NoSchemaScope makes a token without schema.bases:read: 403 on the schema.
	NoSchemaScope bool
	// NoWebhookScope makes a token without webhook:manage: 403 on webhooks.
	NoWebhookScope bool
	// PingRetry is the wait after a webhook's first failed ping, doubled each time: 10 s if 0.
	PingRetry time.Duration
	// PingGiveUp is after how long of failing pings they are switched off: a day if 0.
	PingGiveUp time.Duration
	// File, if set, keeps the base from one sandbox to the next: New loads it, and Serve
	// keeps every change before it is answered, in a journal beside it. A file that can't be
	// read, or that began with other samples, is renamed to File + ".old".
	File string
	// Log gets what goes wrong with File; slog.Default() if nil.
	Log *slog.Logger
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Seed makes another, equally repeatable set of ids, samples and probabilities.
	Seed uint64
}

// Bounds on requests. A URL of 16,000 characters is Airtable's limit, the
// body's is ours: an upload of 5 MB in base64.
const (
	maxURL  = 16_000
	maxBody = 8 << 20
)

// Server is the sandbox. It is an http.Handler and safe for concurrent use.
type Server struct {
	cfg   Config
	user  User // whose token it is
	links *links

	*Table // of the sample orders

	mu   sync.RWMutex // guards the base, with all in it
	base *base

	journal journal
	saving  sync.Mutex // held while the file is written
	unsaved bool       // there was no file at the start

	scopeMu sync.RWMutex
	revoked []Scope

	iterMu    sync.Mutex
	iterators map[string]*iterator
	iterRand  *rand.Rand

	limit limiter
	meter meter
	audit audit

	faultMu   sync.Mutex
	faults    []*Injection
	faultRand *rand.Rand

	callsMu sync.Mutex
	calls   Calls

	pings     sync.WaitGroup
	closing   chan struct{}
	closeOnce sync.Once
}

// New returns a sandbox with its sample orders, or with what Config.File kept.
func New(cfg Config) *Server {
	cfg.APIKey = cmp.Or(cfg.APIKey, "patSandboxSandbox."+strings.Repeat("0123456789abcdef", 4))
	cfg.BaseID = cmp.Or(cfg.BaseID, "appResonanceOrder")
	cfg.TableID = cmp.Or(cfg.TableID, "tblResonanceOrder")
	cfg.Language = cmp.Or(cfg.Language, "en")
	cfg.RatePerSecond = cmp.Or(cfg.RatePerSecond, 5)
	cfg.Penalty = cmp.Or(cfg.Penalty, 30*time.Second)
	cfg.AttachmentTTL = cmp.Or(cfg.AttachmentTTL, 2*time.Hour)
	cfg.IteratorTTL = cmp.Or(cfg.IteratorTTL, 5*time.Minute)
	cfg.PingRetry = cmp.Or(cfg.PingRetry, 10*time.Second)
	cfg.PingGiveUp = cmp.Or(cfg.PingGiveUp, 24*time.Hour)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Server{
		cfg: cfg,
		user: User{
			ID: newID(rand.New(rand.NewPCG(cfg.Seed, 3)), "usr"), Email: "integration@resonance.example",
			PermissionLevel: "create", Name: "Integration",
		},
		links:     &links{key: []byte(cfg.APIKey)},
		iterators: map[string]*iterator{},
		iterRand:  rand.New(rand.NewPCG(cfg.Seed, 1)),
		faultRand: rand.New(rand.NewPCG(cfg.Seed, 2)),
		limit:     limiter{rate: cfg.RatePerSecond, penalty: cfg.Penalty},
		closing:   make(chan struct{}),
	}
	if cfg.NoSchemaScope {
		s.Revoke(SchemaRead)
	}
	if cfg.NoWebhookScope {
		s.Revoke(WebhooksManage)
	}
	l := open(&cfg)
	s.base, s.unsaved = l.base, l.unsaved
	s.base.links, s.base.now = s.links, cfg.Now
	s.Table = &Table{s, s.base.tables[0]}
	s.SetAttachmentTTL(cfg.AttachmentTTL)
	s.base.person(collaboratorOf(s.user))
	s.base.person(collaboratorOf(somebody))
	s.journal.last, s.journal.size = l.last, l.replayed
	s.meter.q = l.quota
	s.meter.q.Limit = cfg.MonthlyLimit
	return s
}

// Config returns the configuration in force, with the defaults filled in.
func (s *Server) Config() Config { return s.cfg }

func (s *Server) now() time.Time { return s.cfg.Now() }

// APIUser is whose token the API's requests carry, and so who made their changes.
func (s *Server) APIUser() User { return s.user }

func (s *Server) api() author { return author{sourceAPI, s.user} }

// second is the time in Unix milliseconds at Airtable's precision for
// created and modified times, which is a second.
func (s *Server) second() int64 { return s.now().Unix() * 1000 }

// Serve answers on ln until ctx is done, then drains for up to two seconds.
// It closes ln and the sandbox. Meanwhile it keeps Config.File.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	saving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	saved := make(chan error, 1)
	if s.cfg.File != "" {
		s.keepFile()
	}
	s.resumePings()
	go func() { saved <- s.persist(saving) }()
	err := s.listen(ctx, ln)
	s.pings.Wait()
	stop()
	return errors.Join(err, <-saved)
}

func (s *Server) listen(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		s.Close()
		return fmt.Errorf("airtable sandbox: %w", err)
	case <-ctx.Done():
	}
	s.Close()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("airtable sandbox: %w", err), srv.Close())
	}
	return nil
}

// Close lets go of the requests that a Hang fault holds, and ends the pings.
func (s *Server) Close() {
	s.mu.Lock() // so that no ping begins any more
	defer s.mu.Unlock()
	s.closeOnce.Do(func() { close(s.closing) })
}

// TB is the part of testing.TB that Start needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Start serves a sandbox on a free local port until the test ends, and returns
// its URL, as AIRTABLE_ENDPOINT_URL takes it.
func Start(tb TB, cfg Config) (s *Server, endpoint string) {
	tb.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("airtable sandbox: %v", err)
	}
	s = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ctx, ln) // a client that still holds a connection is its own test's matter
	}()
	tb.Cleanup(func() {
		cancel()
		<-done
	})
	return s, "http://" + ln.Addr().String()
}

// request is one call on its way through the sandbox.
type request struct {
	http    *http.Request
	body    []byte
	kind    Kind
	base    string
	ref     string // the table as the path names it, by id or name
	table   *table
	record  *recordID
	field   string     // its id or name
	meta    string     // the table of a request to the metadata API, by id
	comment string     // its id
	writes  bool       // changes comments
	webhook string     // its id
	fault   *Injection // strikes once the request is carried out
	handle  func(*request) reply
}

// ServeHTTP answers as https://api.airtable.com does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	if len(r.RequestURI) >= maxURL {
		errorReply(errURLTooLong).write(w)
		return
	}
	if r.Method == http.MethodOptions {
		preflight(w)
		return
	}
	s.links.reached(r.Host)
	if strings.HasPrefix(r.URL.Path, attachmentPath) {
		s.serveAttachment(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, controlPath) {
		s.control(w, r)
		return
	}
	req, ok := s.route(r)
	if !ok {
		errorReply(errNotFound).write(w)
		return
	}
	rep, inj := s.serve(w, req)
	if inj == nil {
		rep.write(w)
		return
	}
	inj.strike(w, req, rep)
}

// serve returns the answer, and the fault that decides what becomes of it.
func (s *Server) serve(w http.ResponseWriter, req *request) (reply, *Injection) {
	r := req.http
	if !s.authorized(r) {
		return errorReply(errAuthentication), nil
	}
	s.count(req.kind)
	if req.base != "" {
		if req.kind != Meta && req.base != s.cfg.BaseID {
			return errorReply(errNotFound), nil
		}
		if !s.limit.allow(s.now()) {
			s.count(throttled)
			return rateLimitReply(), nil
		}
		if !s.allow(req.kind) {
			return billingLimitReply(), nil
		}
	}
	if need := req.scope(); need != "" && !s.may(need) {
		return errorReply(errModel), nil
	}
	if req.ref != "" && !s.resolve(req) {
		return errorReply(errModel), nil
	}
	var err error
	if req.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return errorReply(errBodyTooBig), nil
		}
		return errorReply(errBody), nil
	}
	inj := s.inject(req)
	if inj != nil && !inj.processes() {
		return reply{}, inj
	}
	req.fault = inj
	return req.handle(req), inj
}

func (s *Server) authorized(r *http.Request) bool {
	return r.Header.Get("Authorization") == "Bearer "+s.cfg.APIKey
}

// resolve finds the table that the request is about.
func (s *Server) resolve(r *request) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r.table = s.base.table(r.ref)
	return r.table != nil
}

func (rep reply) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", rep.contentType)
	h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	if rep.retryAfter != "" {
		h.Set("Retry-After", rep.retryAfter)
	}
	w.WriteHeader(rep.status)
	_, _ = w.Write(rep.body) // the client has gone, and there is nobody to tell
}

// preflight lets pages of any origin use the API, as Airtable does.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "DELETE,GET,OPTIONS,PATCH,POST,PUT")
	h.Set("Access-Control-Allow-Headers", "authorization,content-type,user-agent,x-airtable-application-id,x-airtable-user-agent,x-api-version,x-requested-with")
	w.WriteHeader(http.StatusNoContent)
}

// route finds what a request is about. The path's parts are unescaped one by
// one, for a table's name may hold a slash; one slash at the end is ignored,
// for the official client sends it.
func (s *Server) route(r *http.Request) (*request, bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v0/")
	if !ok {
		return nil, false
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil || parts[i] == "" {
			return nil, false
		}
	}
	req := &request{http: r}
	if parts[0] == "meta" {
		req.kind = Meta
		s.metadata(req, parts[1:])
		return req, req.handle != nil
	}
	if parts[0] == "bases" && len(parts) > 2 && parts[2] == "webhooks" {
		req.base = parts[1]
		s.webhooks(req, parts[3:])
		return req, req.handle != nil
	}
	if len(parts) == 4 && parts[3] == "uploadAttachment" && r.Method == http.MethodPost {
		id, ok := parseID(parts[1])
		req.base, req.record, req.field, req.kind, req.handle = parts[0], &id, parts[2], Write, s.upload
		return req, ok
	}
	if len(parts) > 3 && parts[3] == "comments" {
		id, ok := parseID(parts[2])
		req.base, req.ref, req.record = parts[0], parts[1], &id
		s.comments(req, parts[4:])
		return req, ok && req.handle != nil
	}
	if len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	req.base, req.ref = parts[0], parts[1]
	req.kind = Write
	switch {
	case len(parts) == 2:
		switch r.Method {
		case http.MethodGet:
			req.kind, req.handle = List, s.list
		case http.MethodPost:
			req.handle = s.create
		case http.MethodPatch, http.MethodPut:
			req.handle = s.update
		case http.MethodDelete:
			req.handle = s.deleteMany
		}
	case parts[2] == "listRecords":
		if r.Method == http.MethodPost {
			req.kind, req.handle = List, s.list
		}
	default:
		id, ok := parseID(parts[2])
		if !ok {
			return nil, false
		}
		req.record = &id
		switch r.Method {
		case http.MethodGet:
			req.kind, req.handle = Get, s.get
		case http.MethodPatch, http.MethodPut:
			req.handle = s.update
		case http.MethodDelete:
			req.handle = s.deleteOne
		}
	}
	return req, req.handle != nil
}

// SetRate changes how many requests a second the base takes, any number if
// negative, and how long all are refused after one too many. It ends a silence.
func (s *Server) SetRate(perSecond float64, penalty time.Duration) {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.limit.rate, s.limit.penalty, s.limit.until = cmp.Or(perSecond, 5), cmp.Or(penalty, 30*time.Second), time.Time{}
	s.limit.recent = nil
}

// limiter is Airtable's: so many requests in any second, then silence.
type limiter struct {
	rate    float64
	penalty time.Duration

	mu     sync.Mutex
	recent []time.Time // the last requests let through, oldest first
	until  time.Time   // end of the silence
}

func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate < 0 {
		return true
	}
	if now.Before(l.until) {
		return false
	}
	n := max(1, int(l.rate))
	window := time.Duration(float64(n) / l.rate * float64(time.Second))
	if len(l.recent) >= n {
		if now.Sub(l.recent[0]) < window {
			l.until = now.Add(l.penalty)
			l.recent = l.recent[:0]
			return false
		}
		l.recent = append(l.recent[:0], l.recent[1:]...)
	}
	l.recent = append(l.recent, now)
	return true
}
