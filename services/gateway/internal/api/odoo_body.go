package api

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

var (
	errNoBody    = fault.New(fault.Invalid, fault.T("Falta el cuerpo de la petición", "The body of the request is missing"))
	errNotJSON   = fault.New(fault.Invalid, fault.T("El cuerpo no es JSON válido", "The body is not valid JSON"))
	errNoObject  = fault.New(fault.Invalid, fault.T("El cuerpo debe ser un objeto JSON", "The body must be a JSON object"))
	errNoChanges = fault.New(fault.Invalid, fault.T("No hay nada que cambiar", "There is nothing to change"))
)

// values reads the fields to write, as they came. The error names every field at fault; lines.0.qty
// is one of a line.
func (o *odooResource) values(w http.ResponseWriter, r *http.Request, create bool) (map[string]json.RawMessage, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, errMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, translate(http.StatusBadRequest, "cannot read request body", []error{err})
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})                             // the body is read; else its deadline would end the wait
	_ = control.SetWriteDeadline(time.Now().Add(odooPatience + maxWait)) // not supported: no deadline
	values, err := object(body)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 && !create {
		return nil, errNoChanges
	}
	c := checker{}
	c.object("", o.table.columns, values, create)
	if f := invalid(c); f != nil {
		return nil, f
	}
	return values, nil
}

func object(body []byte) (values map[string]json.RawMessage, err error) {
	switch {
	case len(body) == 0:
		return nil, errNoBody
	case !utf8.Valid(body) || !json.Valid(body):
		return nil, errNotJSON
	case json.Unmarshal(body, &values) != nil || values == nil:
		return nil, errNoObject
	}
	return values, nil
}

// checker checks values against the fields of odooapi.Fields, and keeps what is wrong by field.
type checker map[string]fault.Text

var (
	isMissing   = fault.T("falta", "is missing")
	isReadOnly  = fault.T("es de solo lectura", "is read-only")
	isUnknown   = fault.T("no es un campo conocido", "is not a known field")
	cannotEmpty = fault.T("no puede quedar vacío", "cannot be empty")
	tooLong     = fault.T(fmt.Sprintf("tiene más de %d bytes", odooapi.MaxString), fmt.Sprintf("has more than %d bytes", odooapi.MaxString))
)

var mustBe = map[rpc.Kind]fault.Text{
	rpc.Text: fault.T("debe ser un texto", "must be a text"), rpc.Number: mustBeNumber, rpc.Date: mustBeDate, rpc.Time: mustBeTime,
	rpc.Bool: mustBeBool, rpc.List: fault.T("debe ser una lista", "must be a list"),
	rpc.Link: fault.T("debe ser un identificador o {id, name}", "must be an id or {id, name}"),
}

// object checks the fields of a record, or of a line; prefix comes before their names.
func (c checker) object(prefix string, fields []odooapi.Field, values map[string]json.RawMessage, create bool) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f, ok := fieldOf(fields, name)
		switch {
		case !ok:
			c[prefix+clip(name)] = isUnknown
		case !f.Has(odooapi.Written):
			c[prefix+name] = isReadOnly
		case name != f.Name && values[f.Name] != nil:
			c[prefix+name] = fault.T("no se combina con "+f.Name, "does not go with "+f.Name)
		default:
			c.value(prefix+name, f, values[name])
		}
	}
	if raw := values["display_type"]; raw != nil && string(raw) != "null" {
		create = false // a text between lines: the service knows what it needs
	}
	for _, f := range fields {
		if create && f.Has(odooapi.Required) && values[f.Name] == nil && values[f.Name+"_id"] == nil {
			c[prefix+f.Name] = isMissing
		}
	}
}

// fieldOf finds a field by the names it can be written by.
func fieldOf(fields []odooapi.Field, name string) (odooapi.Field, bool) {
	for _, f := range fields {
		if f.Name == name || f.Kind == rpc.Link && f.Name+"_id" == name {
			return f, true
		}
	}
	return odooapi.Field{}, false
}

func clip(name string) string {
	if len(name) > 50 {
		return strings.ToValidUTF8(name[:50], "") + "…"
	}
	return name
}

// value checks one value. Null, and a text of nothing, empty a field that need not be there.
func (c checker) value(name string, f odooapi.Field, raw json.RawMessage) {
	var v any
	if json.Unmarshal(raw, &v) != nil { // a number beyond any
		c[name] = mustBeNumber
		return
	}
	if f.Kind != rpc.List && hasLoneSurrogate(raw) {
		c[name] = notText
		return
	}
	right := true
	switch text, isText := v.(string); {
	case v == nil || isText && f.Kind == rpc.Text && strings.TrimSpace(text) == "":
		if f.Has(odooapi.Required) || f.Kind == rpc.Bool {
			c[name] = cannotEmpty
		}
	case f.Kind == rpc.List:
		c.list(name, f, raw)
	case f.Kind == rpc.Number:
		var n float64
		n, right = v.(float64)
		if least, most, ok := f.Bounds(); right && ok && (n < least || n > most) {
			c[name] = fault.T(fmt.Sprintf("debe estar entre %v y %v", least, most), fmt.Sprintf("must be between %v and %v", least, most))
		}
	case f.Kind == rpc.Bool:
		_, right = v.(bool)
	case f.Kind == rpc.Link:
		right = isLink(v)
	case len(text) > odooapi.MaxString:
		c[name] = tooLong
	case f.Kind == rpc.Date:
		right = event.ValidDate(text)
	case f.Kind == rpc.Time:
		_, err := time.Parse(time.RFC3339, text)
		right = err == nil
	default:
		right = isText
	}
	if !right {
		c[name] = mustBe[f.Kind]
	}
}

var notText = fault.T("no es texto válido", "is not valid text")

// hasLoneSurrogate reports an escape such as \ud83d without its other half, which the decoder of JSON turns into U+FFFD: the
// client would store a text that nobody wrote.
func hasLoneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if i >= len(raw) || raw[i] != 'u' {
			continue
		}
		first := escaped(raw, i+1)
		i += 4
		if !utf16.IsSurrogate(first) {
			continue
		}
		if i+2 >= len(raw) || raw[i+1] != '\\' || raw[i+2] != 'u' || utf16.DecodeRune(first, escaped(raw, i+3)) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// escaped reads the four digits of an escape.
func escaped(raw []byte, at int) rune {
	if at+4 > len(raw) {
		return 0
	}
	n, err := strconv.ParseUint(string(raw[at:at+4]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}

// list checks the lines of a sale, or the taxes of a line.
func (c checker) list(name string, f odooapi.Field, raw json.RawMessage) {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		c[name] = mustBe[rpc.List]
		return
	}
	if len(items) > odooapi.MaxLines {
		c[name] = atMost(odooapi.MaxLines)
		return
	}
	for i, item := range items {
		if f.Name != "lines" {
			c.value(name, odooapi.Field{Kind: rpc.Link, Can: odooapi.Required}, item)
			continue
		}
		at := fmt.Sprintf("%s.%d", name, i)
		var line map[string]json.RawMessage
		if json.Unmarshal(item, &line) != nil || line == nil {
			c[at] = fault.T("debe ser un objeto", "must be an object")
			continue
		}
		c.object(at+".", odooapi.LineFields, line, line["id"] == nil)
	}
}

// isLink reports whether v is 7 or {"id": 7}.
func isLink(v any) bool {
	if object, ok := v.(map[string]any); ok {
		v = object["id"]
	}
	id, ok := v.(float64)
	return ok && id >= 1 && id <= math.MaxInt32 && id == math.Trunc(id)
}
