package odootest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxDepth bounds how deep values nest in a request, of either protocol.
const maxDepth = 50

// decodeCall reads an XML-RPC methodCall. Values come as nil, bool, int,
// float64, string, []any and map[string]any; dateTime.iso8601 as Odoo writes
// times, base64 as its text.
func decodeCall(body []byte) (method string, params []any, err error) {
	d := decoder{xml: xml.NewDecoder(bytes.NewReader(body))}
	if err := d.open("methodCall"); err != nil {
		return "", nil, err
	}
	if err := d.open("methodName"); err != nil {
		return "", nil, err
	}
	if method, err = d.text("methodName"); err != nil {
		return "", nil, err
	}
	if params, err = d.params(); err != nil {
		return "", nil, err
	}
	if tok, err := d.next(); !errors.Is(err, io.EOF) {
		return "", nil, fmt.Errorf("junk after document element: %v", tok)
	}
	return strings.TrimSpace(method), params, nil
}

type decoder struct {
	xml   *xml.Decoder
	depth int
}

// next returns the next start, end or non-blank text.
func (d *decoder) next() (xml.Token, error) {
	for {
		tok, err := d.xml.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement, xml.EndElement:
			return tok, nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, fmt.Errorf("unexpected text %.40q", t)
			}
		case xml.Directive:
			return nil, errors.New("document type declarations are refused")
		}
	}
}

func (d *decoder) open(name string) error {
	tok, err := d.next()
	if err != nil {
		return err
	}
	if start, ok := tok.(xml.StartElement); !ok || start.Name.Local != name {
		return fmt.Errorf("expected <%s>", name)
	}
	return nil
}

func (d *decoder) end(name string) error {
	tok, err := d.next()
	if err != nil {
		return err
	}
	if end, ok := tok.(xml.EndElement); !ok || end.Name.Local != name {
		return fmt.Errorf("expected </%s>", name)
	}
	return nil
}

// text reads characters up to the end of the element that is open.
func (d *decoder) text(name string) (string, error) {
	var sb strings.Builder
	for {
		tok, err := d.xml.Token()
		if err != nil {
			return "", err
		}
		switch t := tok.(type) {
		case xml.CharData:
			sb.Write(t)
		case xml.EndElement:
			return sb.String(), nil
		case xml.StartElement:
			return "", fmt.Errorf("<%s> inside <%s>", t.Name.Local, name)
		}
	}
}

func (d *decoder) params() ([]any, error) {
	tok, err := d.next()
	if err != nil {
		return nil, err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return nil, nil // a call without parameters
	}
	if start.Name.Local != "params" {
		return nil, fmt.Errorf("unexpected <%s>", start.Name.Local)
	}
	params := []any{}
	for {
		tok, err := d.next()
		if err != nil {
			return nil, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			return params, d.end("methodCall")
		}
		if start.Name.Local != "param" {
			return nil, fmt.Errorf("unexpected <%s>", start.Name.Local)
		}
		if err := d.open("value"); err != nil {
			return nil, err
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		params = append(params, v)
		if err := d.end("param"); err != nil {
			return nil, err
		}
	}
}

// value reads what follows <value>, its end included.
func (d *decoder) value() (any, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, errors.New("values nest too deep")
	}
	defer func() { d.depth-- }()
	var sb strings.Builder
	for {
		tok, err := d.xml.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.CharData:
			sb.Write(t)
		case xml.EndElement: // no type: a string
			return sb.String(), nil
		case xml.StartElement:
			if strings.TrimSpace(sb.String()) != "" {
				return nil, errors.New("text beside a typed value")
			}
			v, err := d.typed(t.Name.Local)
			if err != nil {
				return nil, err
			}
			return v, d.end("value")
		}
	}
}

func (d *decoder) typed(kind string) (any, error) {
	switch kind {
	case "array":
		return d.array()
	case "struct":
		return d.structure()
	}
	s, err := d.text(kind)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "string", "base64":
		return s, nil
	case "nil":
		return nil, nil
	case "boolean":
		if s != "0" && s != "1" {
			return nil, fmt.Errorf("bad boolean value %.40q", s)
		}
		return s == "1", nil
	case "int", "i4", "i8":
		return strconv.Atoi(strings.TrimSpace(s))
	case "double":
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("could not convert string to float: %.40q", s)
		}
		return f, nil
	case "dateTime.iso8601":
		at, err := time.Parse("20060102T15:04:05", strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("bad time %.40q", s)
		}
		return at.Format(secondLayout), nil
	}
	return nil, fmt.Errorf("unknown tag %.40q", kind)
}

func (d *decoder) array() (any, error) {
	if err := d.open("data"); err != nil {
		return nil, err
	}
	list := []any{}
	for {
		tok, err := d.next()
		if err != nil {
			return nil, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			return list, d.end("array")
		}
		if start.Name.Local != "value" {
			return nil, fmt.Errorf("unexpected <%s>", start.Name.Local)
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

func (d *decoder) structure() (any, error) {
	m := map[string]any{}
	for {
		tok, err := d.next()
		if err != nil {
			return nil, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			return m, nil
		}
		if start.Name.Local != "member" {
			return nil, fmt.Errorf("unexpected <%s>", start.Name.Local)
		}
		if err := d.open("name"); err != nil {
			return nil, err
		}
		name, err := d.text("name")
		if err != nil {
			return nil, err
		}
		if err := d.open("value"); err != nil {
			return nil, err
		}
		if m[name], err = d.value(); err != nil {
			return nil, err
		}
		if err := d.end("member"); err != nil {
			return nil, err
		}
	}
}

const xmlHead = "<?xml version=\"1.0\"?>\n<methodResponse>\n"

// encodeResponse writes a result. As Python's marshaller without allow_none,
// it refuses None and integers beyond 32 bits.
func encodeResponse(v any) ([]byte, error) {
	b, err := appendValue([]byte(xmlHead+"<params>\n<param>\n"), v)
	if err != nil {
		return nil, err
	}
	return append(b, "</param>\n</params>\n\n</methodResponse>\n"...), nil
}

func encodeFault(code int, text string) []byte {
	b, _ := appendValue([]byte(xmlHead+"<fault>\n"), map[string]any{"faultCode": code, "faultString": text}) // both kinds can always be written
	return append(b, "</fault>\n\n</methodResponse>\n"...)
}

func appendValue(b []byte, v any) ([]byte, error) {
	var err error
	b = append(b, "<value>"...)
	switch v := v.(type) {
	case nil:
		return nil, raise("TypeError", "cannot marshal None unless allow_none is enabled")
	case bool:
		digit := byte('0')
		if v {
			digit = '1'
		}
		b = append(append(append(b, "<boolean>"...), digit), "</boolean>"...)
	case int:
		if v > math.MaxInt32 || v < math.MinInt32 {
			return nil, raise("OverflowError", "int exceeds XML-RPC limits")
		}
		b = append(strconv.AppendInt(append(b, "<int>"...), int64(v), 10), "</int>"...)
	case float64:
		b = append(append(append(b, "<double>"...), pyFloat(v)...), "</double>"...)
	case string:
		b = append(appendText(append(b, "<string>"...), v), "</string>"...)
	case map[string]any:
		b = append(b, "<struct>\n"...)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = append(appendText(append(b, "<member>\n<name>"...), k), "</name>\n"...)
			if b, err = appendValue(b, v[k]); err != nil {
				return nil, err
			}
			b = append(b, "</member>\n"...)
		}
		b = append(b, "</struct>"...)
	case []any:
		b = append(b, "<array><data>\n"...)
		for _, e := range v {
			if b, err = appendValue(b, e); err != nil {
				return nil, err
			}
		}
		b = append(b, "</data></array>"...)
	default:
		return nil, raise("TypeError", fmt.Sprintf("cannot marshal %T objects", v))
	}
	return append(b, "</value>\n"...), nil
}

// appendText escapes as Python's xmlrpc does and drops the control characters
// that XML 1.0 has no way to write, as Odoo does.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '&':
			b = append(b, "&amp;"...)
		case c == '<':
			b = append(b, "&lt;"...)
		case c == '>':
			b = append(b, "&gt;"...)
		case c < ' ' && c != '\t' && c != '\n' && c != '\r':
		default:
			b = append(b, c)
		}
	}
	return b
}
