package airtable_test

import (
	"fmt"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

func TestFields(t *testing.T) {
	t.Parallel()
	for object, want := range map[string]string{
		`{"A": [1, {"b":2}] ,"Caf\u00e9":"x","":null}`: `[{A [1, {"b":2}]} {Café "x"} { null}]`,
		`{}`:          `[]`,
		`null`:        `[]`,
		`[]`:          "",
		`"text"`:      "",
		`{"A":}`:      "",
		`{"A":1,"B":`: "",
	} {
		var r airtable.Record
		err := jsonv2.Unmarshal([]byte(`{"id":"rec1","fields":`+object+`}`), &r)
		if got := said(r.Fields); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: %s, %v", object, got, err)
		}
	}
}

func said(f airtable.Fields) string {
	all := []string{}
	for _, c := range f {
		all = append(all, fmt.Sprintf("{%s %s}", c.Key, c.Value))
	}
	return fmt.Sprint(all)
}
