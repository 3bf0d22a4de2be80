package odoobridge_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"testing"
)

// apiKey makes a key for JSON-2 as a person in the browser does, since Odoo has no other way; ""
// when this Odoo has none to give.
func apiKey(t *testing.T, o target) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	call := func(path string, params map[string]any) any {
		body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": "call", "params": params})
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Post(o.url+path, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var answer struct{ Result any }
		json.NewDecoder(res.Body).Decode(&answer)
		return answer.Result
	}
	method := func(model, name string, args []any, context map[string]any) any {
		return call("/web/dataset/call_kw/"+model+"/"+name, map[string]any{
			"model": model, "method": name, "args": args, "kwargs": map[string]any{"context": context},
		})
	}
	call("/web/session/authenticate", map[string]any{"db": o.db, "login": o.user, "password": o.pass})
	wizard, ok := method("res.users.apikeys.description", "create", []any{map[string]any{"name": "contract suite", "duration": "1"}}, nil).(float64)
	if !ok {
		return ""
	}
	// The first call asks who is there, the second makes the key.
	asked, _ := method("res.users.apikeys.description", "make_key", []any{[]any{wizard}}, nil).(map[string]any)
	if check, ok := asked["res_id"].(float64); ok {
		asked, _ = method("res.users.identitycheck", "run_check", []any{[]any{check}}, map[string]any{"password": o.pass}).(map[string]any)
	}
	given, _ := asked["context"].(map[string]any)
	key, _ := given["default_key"].(string)
	return key
}
