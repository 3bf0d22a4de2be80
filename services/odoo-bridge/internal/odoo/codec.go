package odoo

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	kolo "github.com/kolo/xmlrpc"
)

// maxDepth bounds how deep an answer nests: the decoder recurses, and no answer of Odoo's that is
// asked for here is deeper than about eight arrays or structs.
const maxDepth = 64

// encodeXML writes a method call. kolo's encoder neither escapes the keys of maps nor refuses what
// XML or Python cannot take, so the values are made safe first.
func encodeXML(method string, args ...any) ([]byte, error) {
	safe := make([]any, len(args))
	for i, a := range args {
		var err error
		if safe[i], err = forXML(a); err != nil {
			return nil, err
		}
	}
	return kolo.EncodeMethodCall(method, safe...)
}

// safeKey is what names of fields and of context keys are made of.
var safeKey = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// forXML gives v as values that kolo's encoder writes correctly. nil becomes False, as Odoo has it.
func forXML(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is not a number for XML-RPC", v)
		}
		return v, nil
	case int:
		return forXML(int64(v))
	case int64:
		if v != int64(int32(v)) {
			return nil, fmt.Errorf("%d does not fit an XML-RPC integer", v)
		}
		return v, nil
	case string:
		return CleanText(v), nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !safeKey.MatchString(k) {
				return nil, fmt.Errorf("%q cannot be a key", k)
			}
			var err error
			if out[k], err = forXML(v[k]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice {
		return nil, fmt.Errorf("%T cannot be sent to Odoo", v)
	}
	out := make([]any, list.Len())
	for i := range out {
		var err error
		if out[i], err = forXML(list.Index(i).Interface()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CleanText leaves out what XML 1.0 has no way to write: control characters, and bytes that are no text.
func CleanText(s string) string {
	clean := func(r rune) bool {
		return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r != 0xFFFE && r != 0xFFFF
	}
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if !clean(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

var errNotXML = errors.New("the answer is not XML-RPC")

// decodeXML reads an answer: nil, bool, int64, float64, string, []any or map[string]any. A fault is
// returned as kolo's FaultError. Odoo before 15 writes control characters as they are, which no
// decoder of XML takes.
func decodeXML(body []byte) (answer any, err error) {
	if !bytes.Contains(body, []byte("<methodResponse")) {
		return nil, errNotXML
	}
	if deep(body) {
		return nil, fmt.Errorf("%w: it nests too deep", errNotXML)
	}
	if i := bytes.IndexFunc(body, func(r rune) bool {
		return r < 0x20 && r != '\n' && r != '\t' && r != '\r' || r >= 0xFFFD && r <= 0xFFFF
	}); i >= 0 {
		body = []byte(CleanText(string(body)))
	}
	r := kolo.Response(body)
	// Its own search for a fault is a regular expression over the whole body.
	if head, _, _ := bytes.Cut(body, []byte("<params")); bytes.Contains(head, []byte("<fault>")) {
		if err := r.Err(); err != nil {
			return nil, err
		}
	}
	if err := r.Unmarshal(&answer); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotXML, err)
	}
	return answer, nil
}

// deep reports more than maxDepth values within values.
func deep(body []byte) bool {
	depth := 0
	for len(body) > 0 {
		i := bytes.IndexByte(body, '<')
		if i < 0 {
			return false
		}
		body = body[i+1:]
		switch {
		case bytes.HasPrefix(body, []byte("value/>")):
		case bytes.HasPrefix(body, []byte("value")): // with attributes too, which kolo's decoder takes
			if depth++; depth > maxDepth {
				return true
			}
		case bytes.HasPrefix(body, []byte("/value")):
			depth--
		}
	}
	return false
}

// plain gives the values of a JSON answer the types that decodeXML gives.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case interface {
		Int64() (int64, error)
		Float64() (float64, error)
		String() string
	}: // json.Number
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return nil
		}
		return f
	}
	return v
}
