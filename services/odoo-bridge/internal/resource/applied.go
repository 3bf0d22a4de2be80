package resource

import (
	"encoding/json"
	"html"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// isApplied reports whether a record has all the values of a write already, so that a repetition whose first answer was
// lost needs no second one. It errs on the side of false.
func isApplied(record Record, values map[string]json.RawMessage) bool {
	var got map[string]any
	want := make(map[string]any, len(values))
	for name, raw := range values {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			return false
		}
		want[name] = v
	}
	return json.Unmarshal(record.Data, &got) == nil && shows(got, want)
}

// shows compares a value as it is read with one as it is written: a link by its id, a price as Odoo rounds it.
func shows(got, want any) bool {
	switch want := want.(type) {
	case nil:
		return got == nil || got == "" || got == 0.0 || got == false
	case bool:
		return got == want
	case float64:
		if link, ok := got.(map[string]any); ok {
			got = link["id"]
		}
		n, ok := got.(float64)
		return ok && math.Abs(n-want) <= 0.005+1e-9
	case string:
		text, _ := got.(string)
		return sameText(text, want)
	case []any:
		return showsAll(got, want)
	case map[string]any:
		there, ok := got.(map[string]any)
		if id, isLink := want["id"]; isLink && want["name"] != nil && len(want) == 2 {
			return ok && there["id"] == id // the name is not written
		}
		for name, v := range want {
			is, known := there[name]
			if !known {
				is = there[strings.TrimSuffix(name, "_id")]
			}
			if !shows(is, v) {
				return false
			}
		}
		return ok
	}
	return false
}

// showsAll finds each of a list in another of the same length, whatever the order.
func showsAll(got any, want []any) bool {
	there, _ := got.([]any)
	if len(there) != len(want) {
		return false
	}
	rest := slices.Clone(there)
	for _, v := range want {
		i := slices.IndexFunc(rest, func(is any) bool { return shows(is, v) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}

// sameText compares texts, times, and a text with what Odoo makes of it in a field of HTML.
func sameText(got, want string) bool {
	want = strings.TrimSpace(odoo.CleanText(want))
	if strings.TrimSpace(got) == want {
		return true
	}
	a, err := time.Parse(time.RFC3339, got)
	if b, wrong := time.Parse(time.RFC3339, want); err == nil && wrong == nil {
		return a.Equal(b.Truncate(time.Second))
	}
	inside, isHTML := strings.CutPrefix(got, "<p>")
	inside, closed := strings.CutSuffix(inside, "</p>")
	return isHTML && closed && !strings.Contains(inside, "<") && html.UnescapeString(inside) == want
}
