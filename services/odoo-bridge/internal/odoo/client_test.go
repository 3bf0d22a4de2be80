package odoo

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/fault"
)

// speaks is a client of a server that answers each request by handler.
func speaks(t *testing.T, protocol Protocol, handler http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	c := New(Config{
		URL: srv.URL + "/", DB: "db", Username: "u", Password: "p", Protocol: protocol, Concurrency: 2, Timeout: 10 * time.Second,
		Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(c.Close)
	return c
}

func xmlAnswer(value string) string {
	return "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>" + value + "</value>\n</param>\n</params>\n</methodResponse>"
}

func xmlFault(code int, text string) string {
	return fmt.Sprintf("<?xml version='1.0'?>\n<methodResponse>\n<fault><value><struct><member><name>faultCode</name><value><int>%d</int></value></member>"+
		"<member><name>faultString</name><value><string>%s</string></value></member></struct></value></fault>\n</methodResponse>", code, text)
}

var count = Call{Model: "res.partner", Method: "search_count", Args: []Arg{{"domain", []any{}}}, Read: true}

// A user's id that Odoo no longer takes, after a restore, is asked for again, once.
func TestLogsInAgain(t *testing.T) {
	t.Parallel()
	var logins atomic.Int64
	c := speaks(t, XMLRPC, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "/common"):
			fmt.Fprint(w, xmlAnswer(fmt.Sprintf("<int>%d</int>", logins.Add(1))))
		case bytes.Contains(body, []byte("<int>1</int>")):
			fmt.Fprint(w, xmlFault(3, "Access Denied"))
		default:
			fmt.Fprint(w, xmlAnswer("<int>42</int>"))
		}
	})
	for range 3 {
		if answer, err := c.Call(t.Context(), count); err != nil || answer != int64(42) {
			t.Fatal(answer, err)
		}
	}
	if n := logins.Load(); n != 2 {
		t.Errorf("%d logins", n)
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	c := speaks(t, JSON2, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Header.Get("Authorization") != "bearer p" || r.Header.Get("X-Odoo-Database") != "db" {
			t.Error(r.Header)
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, `{"n": 9007199254740993, "f": 1e2, "x": null}`)
		z.Close()
	})
	answer, err := c.Call(t.Context(), count)
	m, _ := answer.(map[string]any)
	if err != nil || m["n"] != int64(9007199254740993) || m["f"] != 100.0 {
		t.Error(answer, err)
	}
}

// An answer that never ends is given up, not kept.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	var blanks bytes.Buffer // a MiB of them, once: gzip may follow gzip
	z := gzip.NewWriter(&blanks)
	if _, err := z.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	c := speaks(t, JSON2, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for range maxBody>>20 + 8 {
			if _, err := w.Write(blanks.Bytes()); err != nil {
				return
			}
		}
	})
	call := count
	call.Read = false
	if _, err := c.Call(t.Context(), call); fault.CodeOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}

// A redirect is not followed with the password; the operator is told where it leads.
func TestRedirect(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	c := speaks(t, XMLRPC, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		http.Redirect(w, r, "https://elsewhere.example/web/login", http.StatusSeeOther)
	})
	call := count
	call.Read = false
	_, err := c.Call(t.Context(), call)
	if fault.CodeOf(err) != fault.Unavailable || !strings.Contains(fmt.Sprint(err), "elsewhere.example") || requests.Load() != 1 {
		t.Error(err, requests.Load())
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const traceback = "Traceback (most recent call last):\n  File \"/x.py\", line 1\n"
	for name, c := range map[string]struct {
		code   int
		text   string
		reason Reason     // of a refusal
		fault  fault.Code // or of a fault; neither: a success
	}{
		"None after the commit": {1, traceback + "TypeError: cannot marshal None unless allow_none is enabled\n", "", 0},
		"missing":               {2, "Record does not exist or has been deleted.\n(Record: res.partner(7,), User: 2)", Missing, 0},
		"missing, in Spanish":   {2, "El registro no existe o se ha eliminado.\n(Registro: res.partner(7,), Usuario: 2)", Missing, 0},
		"with an action":        {2, `('Don\'t', {'type': 'x'}, 'Go', None)`, Invalid, 0},
		"user error":            {2, "You cannot cancel a locked order.", Invalid, 0},
		"SQL in a user error":   {2, "bad query: SELECT secret FROM res_users WHERE 1", Broken, 0},
		"no model":              {2, "Object no.model doesn't exist", Unknown, 0},
		"no method":             {1, traceback + "AttributeError: The method 'res.partner.x' does not exist\n", Unknown, 0},
		"no right":              {4, "You are not allowed", NoRight, 0},
		"serialization":         {1, traceback + "psycopg2.errors.SerializationFailure: could not serialize access due to concurrent update\n", "", fault.Unavailable},
		"Postgres away":         {1, traceback + "psycopg2.OperationalError: server closed the connection unexpectedly\n", "", fault.Unavailable},
		"a bug":                 {1, traceback + "ZeroDivisionError: division by zero\n", Broken, 0},
	} {
		err := refusal(c.code, c.text)
		var r *RefusalError
		switch {
		case c.reason != "":
			if !errors.As(err, &r) || r.Reason != c.reason || (r.ID == 7) != (c.reason == Missing) || strings.Contains(r.Message, "type") || strings.Contains(r.Message, "Traceback") {
				t.Errorf("%s: %v", name, err)
			}
		case c.fault != 0:
			if fault.CodeOf(err) != c.fault {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		}
	}
}
