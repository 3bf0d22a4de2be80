package odootest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Protocol is how a call came.
type Protocol string

// The protocols.
const (
	XMLRPC Protocol = "xmlrpc"
	JSON2  Protocol = "json2"
)

// Effect is what a fault does to a call.
type Effect string

// The effects. All but Slow and CutConnection leave the call undone, unless the
// fault is Applied.
const (
	// HTML answers 200 with an HTML page, as a proxy or a login page does.
	HTML Effect = "html"
	// BadGateway answers 502 with an HTML page.
	BadGateway Effect = "bad-gateway"
	// Unavailable answers 503 with an HTML page.
	Unavailable Effect = "unavailable"
	// Drop closes the connection without an answer.
	Drop Effect = "drop"
	// Hang answers nothing until the client gives up or the sandbox stops.
	Hang Effect = "hang"
	// Slow answers as it should, Delay later.
	Slow Effect = "slow"
	// CutConnection closes the connection in the middle of the answer.
	CutConnection Effect = "cut-connection"
	// Exception answers with a fault that has a traceback, as a bug in Odoo does, or an Odoo that is still loading.
	Exception Effect = "exception"
)

var effects = []Effect{HTML, BadGateway, Unavailable, Drop, Hang, Slow, CutConnection, Exception}

// Fault is a misbehaviour on demand.
type Fault struct {
	// Model and Method are those it concerns, any if empty. The calls version and
	// authenticate have the model "common".
	Model, Method string
	// Protocol it concerns; any if empty.
	Protocol Protocol
	// Do is what happens.
	Do Effect
	// Delay is how much later a Slow answer comes.
	Delay time.Duration
	// Times is how often: once if 0, until cancelled if negative.
	Times int
	// After is how many calls of the kind pass unharmed first.
	After int
	// Applied lets the call take effect before the fault hides its answer.
	Applied bool
}

// Injection is a fault at work.
type Injection struct {
	fault Fault
	c     *control
	hits  int // guarded by c.mu, as is what follows
	spent bool
	done  chan struct{}
}

// Call is what a count is of.
type Call struct{ Model, Method string }

// Calls counts the calls that named a model and a method, refused ones too.
type Calls map[Call]int

// Total returns how many calls there were.
func (c Calls) Total() int {
	n := 0
	for _, k := range c {
		n += k
	}
	return n
}

// control is what tests do to a sandbox and learn from it.
type control struct {
	mu       sync.Mutex
	calls    Calls
	inFlight int
	most     int
	faults   []*Injection
	closing  chan struct{} // closed while the sandbox stops

	addr string
	srv  *http.Server
	done chan struct{}
}

func (c *control) init() { c.calls, c.closing = Calls{}, make(chan struct{}) }

// release lets go of the calls that are held.
func (c *control) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closing:
	default:
		close(c.closing)
	}
}

func (c *control) stopping() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// Calls returns the calls counted since the start or the last ResetCalls.
func (s *Server) Calls() Calls {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	return maps.Clone(s.control.calls)
}

// ResetCalls starts counting anew, MaxInFlight too, and returns what was counted.
func (s *Server) ResetCalls() Calls {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	was := s.control.calls
	s.control.calls, s.control.most = Calls{}, s.control.inFlight
	return was
}

// MaxInFlight returns how many calls were answered at once at the most.
func (s *Server) MaxInFlight() int {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	return s.control.most
}

// InFlight returns how many calls are being answered.
func (s *Server) InFlight() int {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	return s.control.inFlight
}

// SetDelay changes Config.Delay.
func (s *Server) SetDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Delay = d
}

// Fail makes calls go wrong. Of several faults that match, the one that was
// asked for first strikes. It panics if f.Do is no Effect.
func (s *Server) Fail(f Fault) *Injection {
	if !slices.Contains(effects, f.Do) {
		panic("odootest: no such effect: " + string(f.Do))
	}
	if f.Times == 0 {
		f.Times = 1
	}
	inj := &Injection{fault: f, c: &s.control, done: make(chan struct{})}
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	s.control.faults = append(s.control.faults, inj)
	return inj
}

// Hits returns how often the fault has struck.
func (i *Injection) Hits() int {
	i.c.mu.Lock()
	defer i.c.mu.Unlock()
	return i.hits
}

// Done is closed once the fault has struck as often as it should, or is cancelled.
func (i *Injection) Done() <-chan struct{} { return i.done }

// Cancel ends the fault.
func (i *Injection) Cancel() {
	i.c.mu.Lock()
	defer i.c.mu.Unlock()
	i.retire()
}

func (i *Injection) retire() {
	if i.spent {
		return
	}
	i.spent = true
	i.c.faults = slices.DeleteFunc(i.c.faults, func(other *Injection) bool { return other == i })
	close(i.done)
}

// request is one call on its way through the sandbox.
type request struct {
	http          *http.Request
	protocol      Protocol
	model, method string
	began         time.Time
	fault         *Fault          // that decides what becomes of it
	stopping      <-chan struct{} // closed when the sandbox stops
}

// begin counts a call and waits as it should. It is false if the call is not to be done.
func (s *Server) begin(req *request) bool {
	req.began = time.Now()
	req.fault, req.stopping = s.control.enter(req), s.control.stopping()
	s.mu.RLock()
	delay := s.cfg.Delay
	s.mu.RUnlock()
	if req.model == "common" {
		delay = 0
	}
	if req.fault != nil && req.fault.Do == Slow {
		delay += req.fault.Delay
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.http.Context().Done():
		case <-req.stopping:
		}
	}
	return req.fault == nil || req.fault.Applied || req.fault.Do == Slow || req.fault.Do == CutConnection
}

func (c *control) enter(req *request) *Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[Call{req.model, req.method}]++
	c.inFlight++
	c.most = max(c.most, c.inFlight)
	for _, i := range c.faults {
		f := &i.fault
		if f.Model != "" && f.Model != req.model || f.Method != "" && f.Method != req.method || f.Protocol != "" && f.Protocol != req.protocol {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		i.hits++
		strike := *f
		if i.hits == f.Times {
			i.retire()
		}
		return &strike
	}
	return nil
}

func (s *Server) end(req *request) {
	if req.began.IsZero() {
		return
	}
	s.control.mu.Lock()
	s.control.inFlight--
	s.control.mu.Unlock()
	s.cfg.Log.Debug("odoo sandbox: call", "protocol", req.protocol, "model", req.model, "method", req.method, "took", time.Since(req.began))
}

// reply writes the answer, or what a fault makes of it.
func (req *request) reply(w http.ResponseWriter, status int, body []byte) {
	var do Effect
	if req.fault != nil {
		do = req.fault.Do
	}
	switch do {
	case HTML:
		writeHTML(w, http.StatusOK, "Odoo", "Log in")
	case BadGateway:
		writeHTML(w, http.StatusBadGateway, "Bad Gateway", "nginx")
	case Unavailable:
		writeHTML(w, http.StatusServiceUnavailable, "Service Unavailable", "nginx")
	case Hang:
		select {
		case <-req.http.Context().Done():
		case <-req.stopping:
		}
		panic(http.ErrAbortHandler)
	case Exception:
		f := raise("AttributeError", "'NoneType' object has no attribute 'browse'")
		if req.protocol == JSON2 {
			status, body = http.StatusInternalServerError, errorBody(f, "")
		} else {
			body = encodeFault(f.code(), f.traceback())
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body)
	case Drop:
		panic(http.ErrAbortHandler)
	case CutConnection:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush() // what is lost is lost on purpose
		panic(http.ErrAbortHandler)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client has gone, and there is nobody to tell
	}
}

// TB is the part of testing.TB that Start needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Start serves a sandbox on a free local port until the test ends, and returns
// its URL, as ODOO_URL takes it.
func Start(tb TB, cfg Config) (s *Server, url string) {
	tb.Helper()
	s = New(cfg)
	s.control.addr = "127.0.0.1:0"
	if err := s.Restart(context.Background()); err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(s.Stop)
	return s, "http://" + s.control.addr
}

// Stop closes the port that Start opened and every connection, as an Odoo that
// is going down does. What it holds stays.
func (s *Server) Stop() {
	s.control.release()
	s.control.mu.Lock()
	srv, done := s.control.srv, s.control.done
	s.control.srv = nil
	s.control.mu.Unlock()
	if srv == nil {
		return
	}
	_ = srv.Close() // cut connections are what is wanted
	<-done
}

// Restart listens again where Start did.
func (s *Server) Restart(ctx context.Context) error {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	if s.control.srv != nil {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.control.addr)
	if err != nil {
		return fmt.Errorf("odoo sandbox: %w", err)
	}
	s.control.closing = make(chan struct{})
	s.control.addr = ln.Addr().String()
	srv, done := newHTTPServer(s), make(chan struct{})
	s.control.srv, s.control.done = srv, done
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // ends by Close
	}()
	return nil
}

// Values are fields of a record by name, in the values that JSON decodes to;
// int, []int and x2many commands work too.
type Values = map[string]any

// inside runs f as the first user, in one transaction.
func (s *Server) inside(f func(*env) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.env(s.users[0])
	err := f(e)
	if err != nil {
		e.rollback()
		return fmt.Errorf("odoo sandbox: %w", err)
	}
	return nil
}

// Create adds a record, as a person in Odoo would, and returns its id.
func (s *Server) Create(model string, v Values) (id int, err error) {
	err = s.inside(func(e *env) error {
		m, err := e.known(model)
		if err != nil {
			return err
		}
		r, err := e.create(m, plainValues(v))
		if err == nil {
			id = r.id
		}
		return err
	})
	return id, err
}

// Write changes a record, which moves its write_date.
func (s *Server) Write(model string, id int, v Values) error {
	return s.inside(func(e *env) error {
		m, err := e.known(model)
		if err != nil {
			return err
		}
		return e.write(m, []int{id}, plainValues(v))
	})
}

// Delete removes records with what belongs to them, also those that Odoo would
// refuse to delete. It leaves no trace.
func (s *Server) Delete(model string, ids ...int) error {
	return s.inside(func(e *env) error {
		m, err := e.known(model)
		if err != nil {
			return err
		}
		e.force = true
		return e.unlink(m, ids)
	})
}

// SetStock sets what is on hand of a product.template. As in Odoo this moves no write_date of the
// product's, but that of a stock.quant.
func (s *Server) SetStock(product int, quantity float64) error {
	return s.inside(func(e *env) error {
		r := e.row("product.template", product)
		if r == nil {
			return missing("product.template", product, e.user.id)
		}
		variant := e.follow(r, "product_variant_id")
		e.put(variant, "qty_available", quantity)
		e.stock("stock.quant", variant.id, "quantity", quantity)
		return nil
	})
}

// Read returns fields of a record as Odoo answers them, all if none are named; nil if there is none.
func (s *Server) Read(model string, id int, fields ...string) Values {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.env(s.users[0])
	r := e.row(model, id)
	if r == nil {
		return nil
	}
	if len(fields) == 0 {
		fields = r.model.names
	}
	v := Values{}
	for _, name := range fields {
		if f := r.model.fields[name]; f != nil {
			v[name] = e.shown(r, f, false)
		}
	}
	return v
}

// IDs returns the ids of all records of a model, archived ones too, ascending.
func (s *Server) IDs(model string) []int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.db.tables[model]; t != nil {
		return slices.Clone(t.ids)
	}
	return nil
}

func (e *env) known(name string) (*model, error) {
	if m := e.models[name]; m != nil {
		return m, nil
	}
	return nil, userError("Object "+name+" doesn't exist", "")
}

// plainValues are values in the types that requests decode to.
func plainValues(v Values) Values {
	out := make(Values, len(v))
	for k, x := range v {
		out[k] = plainValue(x)
	}
	return out
}

func plainValue(v any) any {
	switch v := v.(type) {
	case []int:
		return list(v)
	case []string:
		return list(v)
	case time.Time:
		return v.UTC().Format(secondLayout)
	case map[string]any:
		return plainValues(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plainValue(x)
		}
		return out
	}
	return v
}
