package odoobridge_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

var ana = odootest.User{Login: "ana", Password: "pw", Role: odootest.Sales}

func (w *world) login(user, password string) error {
	_, err := w.user(user, password)
	return err
}

func (w *world) user(user, password string) (odooapi.User, error) {
	return odooapi.Login(odooapi.Credentials{Username: user, Password: password}, func(subject string, req any) ([]byte, error) {
		reply, err := w.ask(subject, req)
		return reply.Data, err
	})
}

// Wrong passwords of some do not lock the others out: Odoo counts all of them as ours.
func TestWrongPasswordsLockNobodyOut(t *testing.T) {
	t.Parallel()
	for _, version := range []int{14, 19} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			t.Parallel()
			s, url := odootest.Start(t, odootest.Config{Version: version, Users: []odootest.User{{Login: "admin", Password: "admin"}, ana}})
			w := newWorld(t, target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}, nil)
			for i := range 12 {
				if err := w.login("ana", fmt.Sprint(i)); fault.CodeOf(err) != fault.Unauthenticated {
					t.Fatalf("%d: %s", i, full(err))
				}
			}
			if err := w.login("ana", "pw"); err != nil {
				t.Error(full(err))
			}
			var code fault.Code // however many are tried, Odoo is not asked them all
			for range 40 {
				if code = fault.CodeOf(w.login("ana", "x")); code != fault.Unauthenticated {
					break
				}
			}
			if code != fault.TooMany {
				t.Errorf("%d", code)
			}
		})
	}
}

// Where Odoo has locked our address all the same, nobody is told that a password is wrong, and a service that starts
// meanwhile waits.
func TestLockedByOdoo(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	s, url := odootest.Start(t, odootest.Config{
		Version: 14, Users: []odootest.User{{Login: "admin", Password: "admin"}, ana}, Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
	})
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
	w := newWorld(t, o, nil)
	if _, err := w.ask(listProducts, odooapi.Query{Limit: 1}); err != nil {
		t.Fatal(full(err))
	}
	s.LockLogins() // as another program behind the same address may do
	var f *fault.Error
	for range 3 {
		if f = fault.From(w.login("ana", "pw")); f == nil || f.Code != fault.TooMany || f.RetryAfter < 50*time.Second {
			t.Fatalf("%+v", f)
		}
	}
	if _, err := w.ask(listProducts, odooapi.Query{Limit: 1}); err != nil { // who is logged in stays so
		t.Error(full(err))
	}
	var lines syncBuffer
	second := newWorld(t, o, func(c *odoobridge.Config) { c.Log = slog.New(slog.NewTextHandler(&lines, nil)) })
	g := second.refuses("products", odooapi.List, odooapi.Query{Limit: 1}, fault.Unavailable)
	if g.Detail != f.Detail || g.RetryAfter == 0 || strings.Contains(lines.String(), "ODOO_USERNAME") || !strings.Contains(lines.String(), "locked logins") {
		t.Errorf("%+v\n%s", g, lines.String())
	}
}

// An exception while Odoo logs in says nothing of what it has, nor of our credentials.
func TestExceptionAtLogin(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{})
	s.Fail(odootest.Fault{Model: "common", Method: "authenticate", Do: odootest.Exception, Times: -1})
	var lines syncBuffer
	o := target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}
	w := newWorld(t, o, func(c *odoobridge.Config) { c.Log = slog.New(slog.NewTextHandler(&lines, nil)) })
	w.refuses("products", odooapi.List, odooapi.Query{Limit: 1}, fault.Unavailable)
	if text := lines.String(); strings.Contains(text, "res.partner") || strings.Contains(text, "ODOO_USERNAME") || !strings.Contains(text, "AttributeError") {
		t.Error(text)
	}
}

// Nobody who hears everything on NATS reads a password (invariant 9).
func TestPasswordsAreSealed(t *testing.T) {
	t.Parallel()
	s, url := odootest.Start(t, odootest.Config{Users: []odootest.User{{Login: "admin", Password: "admin"}, {Login: "ana", Password: "s3cret password"}}})
	w := newWorld(t, target{url: url, db: s.Config().Database, user: "admin", pass: "admin", protocol: odoo.XMLRPC, sandbox: s}, nil)
	heard, err := w.nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.login("ana", "s3cret password"); err != nil {
		t.Fatal(full(err))
	}
	logins := 0
	for {
		msg, err := heard.NextMsg(10 * time.Millisecond)
		if err != nil {
			break
		}
		if strings.HasPrefix(msg.Subject, "odoo.session.login") {
			logins++
		}
		for _, secret := range []string{"s3cret password", base64.StdEncoding.EncodeToString([]byte("s3cret password"))} {
			if bytes.Contains(msg.Data, []byte(secret)) {
				t.Errorf("%s has the password: %s", msg.Subject, msg.Data)
			}
		}
	}
	if logins != 1 {
		t.Errorf("%d requests to log in", logins)
	}
	other, err := odooapi.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := odooapi.Seal(other.Public, odooapi.Credentials{Username: "ana", Password: "s3cret password"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := w.ask(odooapi.SubjectLoginKey, struct{}{})
	if err != nil {
		t.Fatal(full(err))
	}
	public := strict[odooapi.LoginKey](t, key.Data).Key
	for name, l := range map[string]odooapi.SealedLogin{"for another": sealed, "by nobody": {Sealed: sealed.Sealed}, "nothing": {Sender: other.Public}, "no key": {Sender: "X", Sealed: []byte("xkv1")}} {
		if _, err := w.ask(odooapi.LoginSubject(public), l); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
