package odootest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client calls an Odoo, a sandbox or a real one.
type client struct {
	url, db, password, key string
	uid                    int
}

// rpcError is a fault over XML-RPC, or an error over JSON-2 with its status as code.
type rpcError struct {
	code       int
	text, name string
}

func (f *rpcError) Error() string { return fmt.Sprintf("%d %s", f.code, f.text) }

func dial(t testing.TB, cfg Config) (*Server, *client) {
	t.Helper()
	s, url := Start(t, cfg)
	u := s.users[0]
	return s, &client{url: url, db: s.cfg.Database, password: u.Password, key: u.APIKey, uid: u.id}
}

func (c *client) as(u *User) *client {
	other := *c
	other.uid, other.password, other.key = u.id, u.Password, u.APIKey
	return &other
}

var testClient = &http.Client{Timeout: 30 * time.Second}

// raw calls a method of a service.
func (c *client) raw(service, method string, params ...any) (any, error) {
	body := []byte("<?xml version='1.0'?><methodCall><methodName>" + method + "</methodName><params>")
	var err error
	for _, p := range params {
		body = append(body, "<param>"...)
		if body, err = appendValue(body, p); err != nil {
			return nil, err
		}
		body = append(body, "</param>"...)
	}
	res, err := testClient.Post(c.url+"/xmlrpc/2/"+service, "text/xml", bytes.NewReader(append(body, "</params></methodCall>"...)))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/xml") {
		return nil, fmt.Errorf("status %d, %s: %.80s", res.StatusCode, res.Header.Get("Content-Type"), answer)
	}
	return decodeAnswer(answer)
}

func decodeAnswer(body []byte) (any, error) {
	d := decoder{xml: xml.NewDecoder(bytes.NewReader(body))}
	if err := d.open("methodResponse"); err != nil {
		return nil, err
	}
	tok, err := d.next()
	if err != nil {
		return nil, err
	}
	start, _ := tok.(xml.StartElement)
	if start.Name.Local == "params" {
		if err := d.open("param"); err != nil {
			return nil, err
		}
	}
	if err := d.open("value"); err != nil {
		return nil, err
	}
	v, err := d.value()
	if err == nil && start.Name.Local == "fault" {
		m := v.(map[string]any)
		return nil, &rpcError{code: m["faultCode"].(int), text: m["faultString"].(string)}
	}
	return v, err
}

// call is execute_kw.
func (c *client) call(model, method string, args []any, kw Values) (any, error) {
	if args == nil {
		args = []any{}
	}
	if kw == nil {
		kw = Values{}
	}
	return c.raw("object", "execute_kw", c.db, c.uid, c.password, model, method, plainValue(args), plainValues(kw))
}

// json calls over JSON-2.
func (c *client) json(model, method string, body Values) (any, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, c.url+"/json/2/"+model+"/"+method, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "bearer "+c.key)
	req.Header.Set("X-Odoo-Database", c.db)
	res, err := testClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		var v any
		d := json.NewDecoder(bytes.NewReader(answer))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		return numbers(v, 0)
	}
	var e struct {
		Name, Message string
		Arguments     []any
		Context       map[string]any
		Debug         string
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		return nil, fmt.Errorf("status %d: %.80s", res.StatusCode, answer)
	}
	if e.Arguments == nil || e.Context == nil || e.Debug == "" {
		return nil, errors.New("an error without arguments, context or debug")
	}
	return nil, &rpcError{code: res.StatusCode, text: e.Message, name: e.Name}
}
