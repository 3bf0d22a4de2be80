package resource

import (
	"encoding/json"
	"testing"
)

func TestIsApplied(t *testing.T) {
	t.Parallel()
	record := Record{Data: []byte(`{"name": "Silla", "list_price": 1.24, "barcode": null, "active": true, "partner": {"id": 7, "name": "Ana"},
		"commitment_date": "2026-11-29T10:00:00Z", "note": "<p>A &amp; B</p>", "lines": [
			{"id": 1, "product": {"id": 5, "name": "x"}, "qty": 2, "taxes": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]},
			{"id": 2, "display_type": "line_note", "name": "Frágil", "product": null, "taxes": []}]}`)}
	for values, applied := range map[string]bool{
		`{"name": " Silla ", "list_price": 1.239, "barcode": "", "active": true}`:              true,
		`{"barcode": null, "partner_id": 7, "commitment_date": "2026-11-29T11:00:00.5+01:00"}`: true,
		`{"partner": {"id": 7, "name": "Another name"}, "note": "A & B"}`:                      true,
		`{"lines": [{"id": 2}, {"product": 5, "qty": 2, "taxes": [2, 1]}]}`:                    true,
		`{"lines": [{"id": 1}]}`:                           false,
		`{"lines": [{"id": 1}, {"product": 5, "qty": 2}]}`: false,
		`{"lines": [{"id": 1, "taxes": [1]}, {"id": 2}]}`:  false,
		`{"list_price": 1.25}`:                             false,
		`{"name": "Silla", "active": false}`:               false,
		`{"partner": 8}`:                                   false,
		`{"partner": null}`:                                false,
		`{"commitment_date": "2026-11-29T11:00:00Z"}`:      false,
		`{"note": "A"}`:                                    false,
		`{"barcode": "1"}`:                                 false,
		`{"a field of no record": 1}`:                      false,
	} {
		var given map[string]json.RawMessage
		if err := json.Unmarshal([]byte(values), &given); err != nil {
			t.Fatal(err)
		}
		if isApplied(record, given) != applied {
			t.Errorf("%s: %t", values, !applied)
		}
	}
}
