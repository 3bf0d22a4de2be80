package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

// odooTime is how Odoo writes times, in UTC.
const odooTime = "2006-01-02 15:04:05"

// rows gives the records of an answer.
func rows(answer any) []map[string]any {
	list, _ := answer.([]any)
	records := make([]map[string]any, 0, len(list))
	for _, v := range list {
		if record, ok := v.(map[string]any); ok {
			records = append(records, record)
		}
	}
	return records
}

// record writes one of Odoo's records as the public JSON, fields in the order of its description.
func (r *resource) record(row map[string]any, extra ...member) (Record, error) {
	id, ok := row["id"].(int64)
	if !ok {
		return Record{}, fmt.Errorf("a record of %s without id", r.Model)
	}
	data, err := encode(append(r.members(row), extra...))
	return Record{ID: id, Data: data}, err
}

// member is a name and value of a JSON object whose order counts.
type member struct {
	name  string
	value any
}

func encode(members []member) (json.RawMessage, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		b.WriteString(`"` + m.name + `":`)
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (r *resource) members(row map[string]any) []member {
	members := make([]member, 0, len(r.Fields))
	for _, f := range r.Fields {
		if f.Lines == nil {
			members = append(members, member{f.Name, r.value(f, row)})
		}
	}
	return members
}

// convert gives a value of Odoo's as the public JSON has it. Odoo's False is null but in booleans,
// and in numbers, where it is 0.
func convert(v any, kind string) any {
	switch kind {
	case "boolean":
		return v == true
	case "integer", "float", "monetary":
		if n, ok := number(v); ok {
			if i, ok := v.(int64); ok {
				return i
			}
			return n
		}
		return 0
	case "many2one":
		if ref, ok := refOf(v); ok {
			return ref
		}
		return nil
	case "datetime":
		text, _ := v.(string)
		if at, err := time.Parse(odooTime, text); err == nil {
			return at.Format(time.RFC3339)
		}
		return nil
	}
	if text, ok := v.(string); ok && text != "" {
		return text
	}
	return nil
}

// number reads a number to the 15 digits that every decimal survives in a double: Odoo rounds 19.99 to
// 19.990000000000002, which 14 also says.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		n, err := strconv.ParseFloat(strconv.FormatFloat(n, 'g', 15, 64), 64)
		return n, err == nil
	case int64:
		return float64(n), true
	}
	return 0, false
}

// refOf reads a many2one: [id, name] from read, {id, display_name} from web_read.
func refOf(v any) (odooapi.Ref, bool) {
	var id, name any
	switch v := v.(type) {
	case []any:
		if len(v) == 2 {
			id, name = v[0], v[1]
		}
	case map[string]any:
		id, name = v["id"], v["display_name"]
	case int64:
		id = v
	}
	ref := odooapi.Ref{}
	ref.ID, _ = id.(int64)
	ref.Name, _ = name.(string)
	return ref, ref.ID != 0
}
