package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// values gives what Odoo is to write. The error names every field at fault.
func (r *resource) values(given map[string]json.RawMessage, create bool) (map[string]any, error) {
	values, mistakes := map[string]any{}, map[string]fault.Text{}
	r.fill(values, mistakes, "", given, create)
	if len(mistakes) == 0 && len(values) == 0 && !create {
		return nil, fault.New(fault.Invalid, fault.T("No hay nada que cambiar", "There is nothing to change"))
	}
	return values, invalid(mistakes)
}

func invalid(mistakes map[string]fault.Text) error {
	if len(mistakes) == 0 {
		return nil
	}
	first := slices.Sorted(maps.Keys(mistakes))[0]
	text := mistakes[first]
	return &fault.Error{Code: fault.Invalid, Detail: fault.T(first+": "+text.ES, first+": "+text.EN), Fields: mistakes}
}

var (
	textMissing  = fault.T("falta", "is missing")
	textReadOnly = fault.T("es de solo lectura", "is read-only")
	textUnknown  = fault.T("no es un campo conocido", "is not a known field")
	textNoModule = fault.T("el módulo de este campo no está instalado en Odoo", "the module of this field is not installed in Odoo")
	textNewLine  = fault.T("sobra: las líneas de un registro nuevo no tienen identificador", "does not belong here: the lines of a new record have no id")
	textEmpty    = fault.T("no puede quedar vacío", "cannot be empty")
)

// fill converts what is given into values, under Odoo's names; prefix is put before names in mistakes.
func (r *resource) fill(values map[string]any, mistakes map[string]fault.Text, prefix string, given map[string]json.RawMessage, create bool) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		raw := given[name]
		field, ok := erp.Written(r.Fields, name)
		from := r.field(field.Name)
		var err *fault.Text
		switch {
		case !ok:
			err = &textUnknown
			name = clipName(name)
		case !field.Has(rpc.Written):
			err = &textReadOnly
		case name != field.Name && given[field.Name] != nil:
			err = new(fault.T("no se combina con "+field.Name, "does not go with "+field.Name))
		case field.Was != nil && from == "" && r.merges():
			err = r.fillMerged(values, raw)
		case field.Kind == rpc.Links:
			err = fillLinks(values, from, raw)
		case from == "":
			err = &textNoModule
		case field.Kind == rpc.Lines:
			r.fillLines(values, mistakes, raw, create)
		default:
			var value any
			if value, err = r.has[from].parse(field, raw); err == nil && outOfRange(field.Range, value) {
				text := fmt.Sprintf("%v y %v", field.Range.Min, field.Range.Max)
				err = new(fault.T("debe estar entre "+text, "must be between "+strings.Replace(text, " y ", " and ", 1)))
			}
			if err == nil {
				if _, merged := values[from]; !merged || value != r.was.Now {
					values[from] = value
				}
			}
		}
		if err != nil {
			mistakes[prefix+name] = *err
		}
	}
	for _, f := range r.Fields {
		_, there := given[f.Name]
		_, byID := given[f.Name+"_id"]
		if create && f.Has(rpc.Required) && !there && !byID {
			mistakes[prefix+f.Name] = textMissing
		}
	}
}

func outOfRange(r *erp.Range, value any) bool {
	n, _ := number(value)
	return r != nil && !(n >= r.Min && n <= r.Max)
}

func clipName(name string) string {
	if len(name) > 50 {
		return strings.ToValidUTF8(name[:50], "") + "…"
	}
	return name
}

// fillMerged writes a flag that this Odoo expresses as a value of a selection.
func (r *resource) fillMerged(values map[string]any, raw json.RawMessage) *fault.Text {
	var flag bool
	if json.Unmarshal(raw, &flag) != nil || isNull(raw) {
		return &mustBeBool
	}
	values[r.field(r.was.Field)] = map[bool]string{true: r.was.Value, false: r.was.Now}[flag]
	return nil
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// parse reads a value to be written.
func (in info) parse(field erp.Field, raw json.RawMessage) (any, *fault.Text) {
	if isNull(raw) {
		switch {
		case in.required || field.Has(rpc.Required) || in.kind == "boolean":
			return nil, &textEmpty
		case field.Kind == rpc.Number:
			return 0, nil
		}
		return false, nil
	}
	switch in.kind {
	case "boolean":
		var v bool
		if json.Unmarshal(raw, &v) != nil {
			return nil, &mustBeBool
		}
		return v, nil
	case "integer", "float", "monetary":
		return in.parseNumber(raw)
	case "many2one":
		return parseLink(raw)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return nil, new(fault.T("debe ser un texto", "must be a text"))
	}
	if !jsontext.Value(raw).IsValid() { // half of a surrogate pair would become a character that nobody wrote
		return nil, new(fault.T("no es texto válido", "is not valid text"))
	}
	if text = odoo.CleanText(text); len(text) > odooapi.MaxString {
		return nil, new(fault.T(fmt.Sprintf("tiene más de %d bytes", odooapi.MaxString), fmt.Sprintf("has more than %d bytes", odooapi.MaxString)))
	}
	if strings.TrimSpace(text) == "" {
		if in.required || field.Has(rpc.Required) {
			return nil, &textEmpty
		}
		return false, nil
	}
	switch in.kind {
	case "datetime":
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.Year() < 1 || at.Year() > 9998 {
			return nil, &mustBeTime
		}
		return at.UTC().Format(odooTime), nil
	case "date":
		if at, err := time.Parse(time.DateOnly, text); err != nil || at.Year() < 1 {
			return nil, &mustBeDate
		}
	case "selection":
		if !slices.Contains(in.selection, text) {
			list := strings.Join(in.selection, ", ")
			return nil, new(fault.T("debe ser uno de: "+list, "must be one of: "+list))
		}
	}
	return text, nil
}

func (in info) parseNumber(raw json.RawMessage) (any, *fault.Text) {
	var n json.Number
	if len(raw) == 0 || raw[0] == '"' || json.Unmarshal(raw, &n) != nil {
		return nil, new(fault.T("debe ser un número", "must be a number"))
	}
	v, err := n.Float64()
	if err != nil || math.Abs(v) >= 1e15 {
		return nil, new(fault.T("es demasiado grande", "is too large"))
	}
	if in.kind != "integer" {
		return v, nil
	}
	if v != math.Trunc(v) || math.Abs(v) >= 1<<31 {
		return nil, new(fault.T("debe ser un número entero", "must be a whole number"))
	}
	return int64(v), nil
}

// parseLink reads 7 or {"id": 7}.
func parseLink(raw json.RawMessage) (any, *fault.Text) {
	var ref struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(raw, &ref) == nil && ref.ID != nil {
		raw = ref.ID
	}
	id, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 32)
	if err != nil || id <= 0 {
		return nil, new(fault.T("debe ser un identificador o {id, name}", "must be an id or {id, name}"))
	}
	return id, nil
}

// fillLinks reads a list of links; Odoo's command 6 replaces the whole set.
func fillLinks(values map[string]any, from string, raw json.RawMessage) *fault.Text {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) > odooapi.MaxLines {
		return new(fault.T("debe ser una lista de identificadores", "must be a list of ids"))
	}
	ids := []any{}
	for _, item := range list {
		id, err := parseLink(item)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	switch {
	case from != "":
		values[from] = []any{[]any{6, 0, ids}}
	case len(ids) > 0: // none are read as an empty list
		return &textNoModule
	}
	return nil
}

// fillLines reads lines as commands to Odoo: 1 changes one, 0 adds one. Command 1 reaches the line of any record, so the
// lines of a new one have no ids, and replaceLines checks those of another.
func (r *resource) fillLines(values map[string]any, mistakes map[string]fault.Text, raw json.RawMessage, isNew bool) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) > odooapi.MaxLines {
		mistakes[r.lines.Name] = fault.T(fmt.Sprintf("debe ser una lista de hasta %d líneas", odooapi.MaxLines), fmt.Sprintf("must be a list of up to %d lines", odooapi.MaxLines))
		return
	}
	commands := []any{}
	seen := map[any]bool{}
	for i, raw := range list {
		var given map[string]json.RawMessage
		if json.Unmarshal(raw, &given) != nil || given == nil {
			mistakes[fmt.Sprintf("%s.%d", r.lines.Name, i)] = fault.T("debe ser un objeto", "must be an object")
			continue
		}
		prefix := fmt.Sprintf("%s.%d.", r.lines.Name, i)
		line := map[string]any{}
		raw, changes := given["id"]
		id := any(int64(0))
		if changes {
			var mistake *fault.Text
			id, mistake = parseLink(raw)
			switch {
			case isNew:
				mistake = &textNewLine
			case mistake == nil && seen[id]:
				mistake = new(fault.T("está repetido", "is repeated"))
			}
			if seen[id] = true; mistake != nil {
				mistakes[prefix+"id"] = *mistake
			}
		}
		rest := maps.Clone(given)
		delete(rest, "id")
		r.lines.fill(line, mistakes, prefix, rest, !changes)
		if raw, ok := given[r.of.Text]; ok && !isNull(raw) && !changes {
			checkText(r.of, given, mistakes, prefix)
		}
		line[r.of.Order] = i + 1
		command := 0
		if changes {
			command = 1
		}
		commands = append(commands, []any{command, id, line})
	}
	values[r.field(r.lines.Name)] = commands
}

// checkText checks a section or a note among lines: a text, which has nothing of a product.
func checkText(of *erp.Lines, given map[string]json.RawMessage, mistakes map[string]fault.Text, prefix string) {
	for _, f := range of.Fields {
		raw, ok := given[f.Name]
		if !ok {
			raw, ok = given[f.Name+"_id"]
		}
		ok = ok && !isNull(raw)
		switch {
		case f.Name == of.Name && !ok:
			mistakes[prefix+f.Name] = textMissing
		case f.Name == of.Name || f.Name == of.Text:
		case ok:
			mistakes[prefix+f.Name] = fault.T("no va con "+of.Text, "does not go with "+of.Text)
		case mistakes[prefix+f.Name] == textMissing:
			delete(mistakes, prefix+f.Name)
		}
	}
}

// replaceLines adds the removal of the lines that are not among the new ones; one that is not this record's is a mistake.
func (r *resource) replaceLines(values map[string]any, is Record) error {
	var record map[string]json.RawMessage
	var lines []struct {
		ID int64 `json:"id"`
	}
	err := json.Unmarshal(is.Data, &record)
	if err == nil {
		err = json.Unmarshal(record[r.lines.Name], &lines)
	}
	if err != nil {
		return unexpected(err)
	}
	commands, _ := values[r.field(r.lines.Name)].([]any)
	kept := map[int64]bool{}
	for i, c := range commands {
		command, _ := c.([]any)
		if command[0] != 1 {
			continue
		}
		id, _ := command[1].(int64)
		kept[id] = true
		known := false
		for _, line := range lines {
			known = known || line.ID == id
		}
		if !known {
			return fault.Field(fmt.Sprintf("%s.%d.id", r.lines.Name, i), fault.T("no es una línea de este registro", "is not a line of this record"))
		}
	}
	for _, line := range lines {
		if !kept[line.ID] {
			commands = append(commands, []any{2, line.ID, 0})
		}
	}
	values[r.field(r.lines.Name)] = commands
	return nil
}
