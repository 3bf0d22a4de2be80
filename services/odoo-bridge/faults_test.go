package odoobridge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

var (
	listProducts  = odooapi.Subject("products", odooapi.List)
	createPartner = odooapi.Subject("customers", odooapi.Create)
)

// sandboxed is a world before a sandbox, over each protocol.
func sandboxed(t *testing.T, check func(t *testing.T, w *world)) {
	t.Helper()
	for _, protocol := range []odoo.Protocol{odoo.XMLRPC, odoo.JSON2} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			s, url := odootest.Start(t, odootest.Config{Samples: true})
			o := target{url: url, db: s.Config().Database, user: "admin", pass: "key-admin", protocol: protocol, sandbox: s}
			w := newWorld(t, o, nil)
			if _, err := w.ask(listProducts, odooapi.Query{Limit: 1}); err != nil { // what Odoo has is probed
				t.Fatal(full(err))
			}
			check(t, w)
		})
	}
}

// within asks as somebody who gives the service patience to answer, and tells how long it took.
func (w *world) within(patience time.Duration, subject string, req any) (*fault.Error, time.Duration) {
	w.t.Helper()
	data, err := json.Marshal(req)
	if err != nil {
		w.t.Fatal(err)
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{bus.HeaderTimeout: {strconv.FormatInt(patience.Milliseconds(), 10)}}}
	began := time.Now()
	answer, err := w.nc.RequestMsg(msg, time.Minute)
	if err != nil {
		w.t.Error(err)
		return fault.From(err), time.Since(began)
	}
	if code := answer.Header.Get(micro.ErrorCodeHeader); code != "" {
		return fault.Decode(code, answer.Data), time.Since(began)
	}
	return nil, time.Since(began)
}

// A client whose deadline is shorter than Odoo's answer is told in time, and Odoo is never asked
// more at once than it may be, not even by those who have left.
func TestSlowOdoo(t *testing.T) {
	t.Parallel()
	sandboxed(t, func(t *testing.T, w *world) {
		w.target.sandbox.SetDelay(1500 * time.Millisecond)
		w.target.sandbox.ResetCalls()
		var clients sync.WaitGroup
		for range 20 {
			clients.Go(func() {
				f, took := w.within(300*time.Millisecond, listProducts, odooapi.Query{Limit: 1})
				if f == nil || f.Code != fault.Unavailable || f.RetryAfter == 0 || took > time.Second {
					t.Errorf("%v after %s", f, took)
				}
			})
		}
		clients.Wait()
		if n := w.target.sandbox.InFlight(); n == 0 || n > 4 {
			t.Errorf("%d calls under way", n)
		}
		f, _ := w.within(300*time.Millisecond, createPartner, odooapi.Write{Values: values(map[string]any{"name": "x"})})
		if f == nil || f.Code != fault.Unavailable {
			t.Error(f)
		}
		w.target.sandbox.SetDelay(0)
		if _, err := w.ask(listProducts, odooapi.Query{Limit: 1}); err != nil {
			t.Error(full(err))
		}
		if n := w.target.sandbox.MaxInFlight(); n != 4 {
			t.Errorf("%d calls at once", n)
		}
	})
}

// Eight slow calls take the time of two: four at a time, not one after another.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	sandboxed(t, func(t *testing.T, w *world) {
		const delay = time.Second
		w.target.sandbox.ResetCalls()
		w.target.sandbox.SetDelay(delay)
		began := time.Now()
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				if f, _ := w.within(30*time.Second, listProducts, odooapi.Query{Limit: 1, Offset: i}); f != nil {
					t.Error(f)
				}
			})
		}
		clients.Wait()
		if took := time.Since(began); took < 2*delay || took > 6*delay || w.target.sandbox.MaxInFlight() != 4 {
			t.Errorf("%s, %d at once", took, w.target.sandbox.MaxInFlight())
		}
	})
}

// What comes instead of an answer is no answer: the call is made again, where that makes no difference.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	sandboxed(t, func(t *testing.T, w *world) {
		s := w.target.sandbox
		for _, effect := range []odootest.Effect{odootest.HTML, odootest.BadGateway, odootest.Unavailable, odootest.Drop, odootest.CutConnection} {
			f := s.Fail(odootest.Fault{Do: effect})
			if _, err := w.ask(listProducts, odooapi.Query{Limit: 1}); err != nil || f.Hits() != 1 {
				t.Errorf("%s once: %s, %d hits", effect, full(err), f.Hits())
			}
			name := w.tag + string(effect)
			f = s.Fail(odootest.Fault{Model: "res.partner", Method: "load", Do: effect, Applied: true})
			id := w.create("customers", map[string]any{"name": name})
			if n := w.count("res.partner", []any{"name", "=", name}); n != 1 || f.Hits() != 1 {
				t.Errorf("%s: %d are there, %d hits", effect, n, f.Hits())
			}
			f = s.Fail(odootest.Fault{Model: "res.partner", Method: "write", Do: effect, Applied: true})
			must[partnerRecord](w, "customers", odooapi.Update, odooapi.Write{ID: id, Values: values(map[string]any{"city": "Lugo"})})
			if f.Hits() != 1 {
				t.Errorf("%s: %d hits", effect, f.Hits())
			}
		}
	})
}

// While Odoo does not answer it is left alone, but for one call now and then, and found again.
func TestBreaker(t *testing.T) {
	t.Parallel()
	sandboxed(t, func(t *testing.T, w *world) {
		s := w.target.sandbox
		outage := s.Fail(odootest.Fault{Do: odootest.Unavailable, Times: -1})
		s.ResetCalls()
		for range 100 {
			if f := w.refuses("products", odooapi.List, odooapi.Query{Limit: 1}, fault.Unavailable); f.RetryAfter == 0 {
				t.Error("no Retry-After")
			}
		}
		if n := s.Calls().Total(); n > 10 {
			t.Errorf("%d calls of an Odoo that is away", n)
		}
		outage.Cancel()
		w.recovers()
	})
}

// recovers waits until a read succeeds.
func (w *world) recovers() {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		f, _ := w.within(5*time.Second, listProducts, odooapi.Query{Limit: 1})
		if f == nil {
			return
		}
		if f.Code != fault.Unavailable || time.Now().After(deadline) {
			w.t.Fatal(f)
		}
	}
}

// Odoo restarted under load: nobody waits beyond their deadline, nobody is told anything but 503,
// and what was accepted is there.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	sandboxed(t, func(t *testing.T, w *world) {
		s := w.target.sandbox
		stop := make(chan struct{})
		var clients sync.WaitGroup
		var mu sync.Mutex
		made, refused := 0, 0
		for range 6 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					f, took := w.within(2*time.Second, listProducts, odooapi.Query{Limit: 20})
					if f != nil && f.Code != fault.Unavailable || took > 4*time.Second {
						t.Errorf("%v after %s", f, took)
					}
					f, took = w.within(2*time.Second, createPartner, odooapi.Write{Values: values(map[string]any{"name": w.tag})})
					if f != nil && f.Code != fault.Unavailable || took > 4*time.Second {
						t.Errorf("%v after %s", f, took)
					}
					mu.Lock()
					if f == nil {
						made++
					} else {
						refused++
					}
					mu.Unlock()
				}
			})
		}
		counts := func(enough func() bool) {
			t.Helper()
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				mu.Lock()
				ok := enough()
				mu.Unlock()
				if ok {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("nothing happens")
				}
			}
		}
		counts(func() bool { return made > 10 })
		s.Stop()
		counts(func() bool { return refused > 10 })
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := 0
		counts(func() bool { before = made; return true })
		counts(func() bool { return made > before+10 })
		close(stop)
		clients.Wait()
		found, h := must[[]partnerRecord](w, "customers", odooapi.List, odooapi.Query{Limit: 1000, Search: w.tag})
		if len(found) < made {
			t.Errorf("%d are there, %d were accepted (%s)", len(found), made, h.Get(rpc.HeaderTotal))
		}
	})
}

// Our own credentials are no business of the client's: a 503, and a line for the operator.
func TestOwnCredentials(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{})
	for name, change := range map[string]func(*odoobridge.Config){
		"password": func(c *odoobridge.Config) { c.Password = "s3cret" },
		"key":      func(c *odoobridge.Config) { c.Password, c.Protocol = "s3cret", "json2" },
		"database": func(c *odoobridge.Config) { c.DB = "s3cret" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines syncBuffer
			o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
			w := newWorld(t, o, func(c *odoobridge.Config) {
				change(c)
				c.Log = slog.New(slog.NewTextHandler(&lines, nil))
			})
			for range 8 {
				f := w.refuses("products", odooapi.List, odooapi.Query{Limit: 1}, fault.Unavailable)
				if text := f.Detail.ES + f.Detail.EN; f.RetryAfter == 0 || strings.Contains(text, "s3cret") || strings.Contains(strings.ToLower(text), "password") {
					t.Errorf("%+v", f)
				}
			}
			if text := lines.String(); !strings.Contains(text, "ODOO_") || name != "database" && strings.Contains(text, "s3cret") {
				t.Errorf("the log:\n%s", text)
			}
		})
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// What our user may not do in Odoo is a 403; what Odoo's users are is their role.
func TestRights(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 19} {
		s, url := odootest.Start(t, odootest.Config{Version: version, Users: []odootest.User{
			{Login: "admin", Password: "admin", Role: odootest.Admin}, {Login: "sales", Password: "pw", Role: odootest.Sales},
			{Login: "reader", Password: "pw", Role: odootest.ReadOnly},
		}})
		w := newWorld(t, target{url: url, db: s.Config().Database, user: "reader", pass: "pw", protocol: odoo.Auto, sandbox: s}, nil)
		must[[]productRecord](w, "products", odooapi.List, odooapi.Query{Limit: 1})
		w.refuses("products", odooapi.Create, odooapi.Write{Values: values(map[string]any{"name": "x"})}, fault.Forbidden)
		for login, role := range map[string]string{"admin": "admin", "sales": "operator", "reader": "viewer"} {
			password := "pw"
			if login == "admin" {
				password = login
			}
			u, err := w.user(login, password)
			if err != nil {
				t.Fatal(full(err))
			}
			if u.Role != role {
				t.Errorf("%d: %+v, want %s", version, u, role)
			}
		}
	}
}

// The service starts before Odoo does, and answers as soon as that is there.
func TestOdooComesLater(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{Samples: true})
	s.Stop()
	w := newWorld(t, target{url: url, db: s.Config().Database, user: "admin", pass: "key-admin", protocol: odoo.Auto, sandbox: s}, nil)
	if f, took := w.within(time.Second, listProducts, odooapi.Query{Limit: 1}); f == nil || f.Code != fault.Unavailable || took > 3*time.Second {
		t.Errorf("%v after %s", f, took)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.recovers()
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	cfg := odoobridge.Config{URL: "erp.example.com", Protocol: "soap"}
	cfg.LogFormat, cfg.NATSReplicas, cfg.NATSURL = "text", 1, "nats://127.0.0.1:4222"
	err := cfg.Validate()
	for _, variable := range []string{"ODOO_URL", "ODOO_DB", "ODOO_USERNAME", "ODOO_PASSWORD", "ODOO_PROTOCOL", "ODOO_MAX_CONCURRENCY", "ODOO_TIMEOUT"} {
		if !strings.Contains(fmt.Sprint(err), variable+": ") {
			t.Errorf("%s is not complained of: %v", variable, err)
		}
	}
}
