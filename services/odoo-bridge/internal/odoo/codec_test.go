package odoo

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// answer makes the answer that echoes the only argument of a call.
func answer(call []byte) []byte {
	_, params, _ := bytes.Cut(call, []byte("<params>"))
	params, _, _ = bytes.Cut(params, []byte("</methodCall>"))
	return append(append([]byte("<?xml version='1.0'?>\n<methodResponse>\n<params>"), params...), "</methodResponse>"...)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, out any }{
		"nil is False": {nil, false},
		"empty is nil": {"", nil},
		"texts":        {"<&>\"' ]]> 🪑 \t\n \x00\x1b\ufffe\xff|", "<&>\"' ]]> 🪑 \t\n |"},
		"numbers":      {[]any{1, int64(-2147483648), 0.1, 1e-7, 1234567.89, true}, []any{int64(1), int64(-2147483648), 0.1, 1e-7, 1234567.89, true}},
		"nested":       {map[string]any{"a": []int64{1}, "b": map[string]any{"c": []any{}}}, map[string]any{"a": []any{int64(1)}, "b": map[string]any{"c": []any{}}}},
	} {
		call, err := encodeXML("m", c.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out, err := decodeXML(answer(call))
		if diff := cmp.Diff(c.out, out); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	for _, in := range []any{int64(1) << 31, map[string]any{"<a>": 1}, struct{}{}, []any{make(chan int)}} {
		if call, err := encodeXML("m", in); err == nil {
			t.Errorf("%v: %s", in, call)
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("Ñandú <b>&amp;</b>\x00", "name", int64(7), 1.5)
	f.Fuzz(func(t *testing.T, text, key string, i int64, n float64) {
		call, err := encodeXML("m", map[string]any{key: text, "list": []any{i, n, nil}})
		if err != nil {
			return
		}
		out, err := decodeXML(answer(call))
		if err != nil {
			t.Fatalf("%v: %q", err, call)
		}
		got, _ := out.(map[string]any)
		if key == "list" {
			return
		}
		want := any(CleanText(text))
		if want == "" {
			want = nil
		}
		if got[key] != want {
			t.Fatalf("%q became %q", text, got[key])
		}
	})
}

func FuzzDecodeXML(f *testing.F) {
	for _, body := range []string{
		"", "<html>", "<methodResponse/>", "<methodResponse><params><param><value><nil/></value></param></params></methodResponse>",
		"<methodResponse><params><param><value><struct><member><name>a</name><value><int>1</int></value></member></struct></value></param></params></methodResponse>",
		"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>2</int></value></member><member><name>faultString</name><value><string>no</string></value></member></struct></value></fault></methodResponse>",
		"<methodResponse><value><array><data><value><string>\x01</string></value></data></array></value></methodResponse>",
		"<methodResponse>" + strings.Repeat("<value><array><data>", 100_000),
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := decodeXML(body)
		if err != nil {
			return
		}
		if bad := foreign(out); bad != nil {
			t.Fatalf("%T in %#v", bad, out)
		}
	})
}

// foreign finds a value of a type that decodeXML does not promise.
func foreign(v any) any {
	switch v := v.(type) {
	case nil, bool, int64, float64:
	case string:
		if !utf8.ValidString(v) {
			return v
		}
	case []any:
		for _, x := range v {
			if bad := foreign(x); bad != nil {
				return bad
			}
		}
	case map[string]any:
		for _, x := range v {
			if bad := foreign(x); bad != nil {
				return bad
			}
		}
	default:
		return v
	}
	return nil
}
