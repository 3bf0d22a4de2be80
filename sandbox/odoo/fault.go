package odootest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fault is an exception in Odoo, as a client sees it.
type fault struct {
	class string // Python's name for it, such as odoo.exceptions.UserError
	text  string // English
	es    string // Spanish; as text if empty
}

func (f *fault) Error() string { return f.class + ": " + f.text }

// in is the text in a language.
func (f *fault) in(lang string) string {
	if f.es != "" && strings.HasPrefix(lang, "es") {
		return f.es
	}
	return f.text
}

// kinds are XML-RPC's code and JSON-2's status of what is no bug; the rest is
// code 1 with a traceback, and 500 (odoo/addons/rpc, odoo/http.py).
var kinds = map[string]struct{ code, status int }{
	"odoo.exceptions.AccessDenied":    {3, 403},
	"odoo.exceptions.AccessError":     {4, 403},
	"odoo.exceptions.MissingError":    {2, 404},
	"odoo.exceptions.UserError":       {2, 422},
	"odoo.exceptions.ValidationError": {2, 422},
	"odoo.exceptions.LockError":       {2, 409},
}

// code is the faultCode over XML-RPC.
func (f *fault) code() int {
	if k, ok := kinds[f.class]; ok {
		return k.code
	}
	return 1
}

// faultString is the text over XML-RPC.
func (f *fault) faultString(lang string) string {
	if _, ok := kinds[f.class]; ok {
		return f.in(lang)
	}
	return f.traceback()
}

func (f *fault) traceback() string {
	return "Traceback (most recent call last):\n" +
		"  File \"/usr/lib/python3/dist-packages/odoo/service/model.py\", line 93, in call_kw\n" +
		"    result = method(recs, *args, **kwargs)\n" + f.class + ": " + f.text + "\n"
}

// raise is a Python exception that Odoo does not expect.
func raise(class, text string) *fault { return &fault{class: class, text: text} }

func valueError(format string, args ...any) *fault {
	return raise("ValueError", fmt.Sprintf(format, args...))
}

func typeError(format string, args ...any) *fault {
	return raise("TypeError", fmt.Sprintf(format, args...))
}

// noAttribute is what happens to a value of a wrong type.
func noAttribute(v any, name string) *fault {
	return raise("AttributeError", "'"+pyType(v)+"' object has no attribute '"+name+"'")
}

// pyType is Python's name of a value's type.
func pyType(v any) string {
	switch v.(type) {
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case []any:
		return "list"
	case map[string]any:
		return "dict"
	}
	return "NoneType"
}

func userError(text, es string) *fault {
	return &fault{class: "odoo.exceptions.UserError", text: text, es: es}
}

func validationError(text, es string) *fault {
	return &fault{class: "odoo.exceptions.ValidationError", text: text, es: es}
}

func accessError(text, es string) *fault {
	return &fault{class: "odoo.exceptions.AccessError", text: text, es: es}
}

func accessDenied() *fault {
	return &fault{class: "odoo.exceptions.AccessDenied", text: "Access Denied"}
}

func missing(model string, id, uid int) *fault {
	record := fmt.Sprintf("%s(%d,), ", model, id)
	return &fault{
		class: "odoo.exceptions.MissingError",
		text:  fmt.Sprintf("Record does not exist or has been deleted.\n(Record: %sUser: %d)", record, uid),
		es:    fmt.Sprintf("El registro no existe o ha sido eliminado.\n(Registro: %sUsuario: %d)", record, uid),
	}
}

// repr writes a value as Python does, for Odoo's messages quote values so.
func repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int:
		return strconv.Itoa(v)
	case float64:
		return pyFloat(v)
	case time.Time:
		return "'" + v.Format(secondLayout) + "'"
	case string:
		if strings.Contains(v, "'") && !strings.Contains(v, `"`) {
			return `"` + v + `"`
		}
		q := strconv.Quote(v)
		return "'" + strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), "'", `\'`) + "'"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = repr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, repr(k)+": "+repr(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// pyFloat writes a float so that it reads back as one.
func pyFloat(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e16 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
