package resource

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

// complete is a resource as an Odoo with every module has it.
func complete(d *erp.Resource) *resource {
	kinds := map[rpc.Kind]string{
		rpc.Text: "char", rpc.Number: "float", rpc.Date: "date", rpc.Time: "datetime", rpc.Bool: "boolean", rpc.Link: "many2one",
		rpc.Links: "many2many", rpc.Lines: "one2many",
	}
	models := map[string]map[string]info{}
	add := func(model string, fields []erp.Field) {
		models[model] = map[string]info{}
		for _, f := range fields {
			models[model][odooNames(f)[0]] = info{kind: kinds[f.Kind], sortable: true}
		}
	}
	add(d.Model, d.Fields)
	if _, lines := d.Lines(); lines != nil {
		add(lines.Model, lines.Fields)
	}
	return fitted(d, models, 5)
}

// faults names the fields of a body that are at fault.
func faults(t *testing.T, name, body string, create bool) []string {
	t.Helper()
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &given); err != nil {
		t.Fatal(err)
	}
	_, err := complete(erp.Named(name)).values(given, create)
	if err == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(fault.From(err).Fields))
}

// What is written is checked here, and here only; every field at fault is named.
func TestBodies(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../../pkg/erp/testdata/bodies.json")
	if err != nil {
		t.Fatal(err)
	}
	type body struct {
		Method, Resource, Body string
		Fields                 []string
	}
	var cases []body
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	const post = "POST"
	for _, c := range append(cases,
		body{post, "products", `{"name":"` + strings.Repeat("x", odooapi.MaxString+1) + `"}`, []string{"name"}},
		body{post, "sales", `{"partner":12,"lines":[` + strings.Repeat(`{"product":7},`, odooapi.MaxLines) + `{"product":7}]}`, []string{"lines"}},
		body{post, "sales", `{"partner":12,"lines":[{"qty":1},{}]}`, []string{"lines.0.product", "lines.1.product"}},
		body{post, "sales", `{"partner":12,"lines":[{"product":null}]}`, []string{"lines.0.product"}},
		body{post, "sales", `{"partner":12,"partner_id":12}`, []string{"partner_id"}},
		body{post, "sales", `{"partner":12,"client_order_ref":1e999}`, []string{"client_order_ref"}},
		body{post, "sales", `{"partner":12,"amount_total":1e999}`, []string{"amount_total"}},
		body{post, "sales", `{"partner":` + strings.Repeat("1", 400) + `}`, []string{"partner"}},
		body{post, "sales", `{"partner":12,"` + strings.Repeat("x", 90) + `":1}`, []string{strings.Repeat("x", 50) + "…"}},
	) {
		if got := faults(t, c.Resource, c.Body, c.Method == post); !slices.Equal(got, c.Fields) && len(got)+len(c.Fields) > 0 {
			t.Errorf("%s %s: %v, want %v", c.Resource, c.Body[:min(len(c.Body), 200)], got, c.Fields)
		}
	}
}

// Every writable field takes values of its kind, and no others.
func TestKinds(t *testing.T) {
	t.Parallel()
	samples := map[rpc.Kind]string{
		rpc.Text: `"x"`, rpc.Number: `1.5`, rpc.Bool: `true`, rpc.Link: `7`, rpc.Date: `"2026-11-03"`, rpc.Time: `"2026-11-03T09:00:00Z"`, rpc.Links: `[]`,
	}
	for _, d := range erp.Resources {
		for _, f := range d.Fields {
			if f.Kind == rpc.Lines {
				continue
			}
			if wrong := faults(t, d.Name, `{"`+f.Name+`":`+samples[f.Kind]+`}`, false); (wrong == nil) != f.Has(rpc.Written) {
				t.Errorf("%s.%s: %v", d.Name, f.Name, wrong)
			}
			for kind, sample := range samples {
				if kind == f.Kind || kind == rpc.Number || f.Kind == rpc.Text && (kind == rpc.Date || kind == rpc.Time) || f.Kind == rpc.Number && kind == rpc.Link {
					continue
				}
				if wrong := faults(t, d.Name, `{"`+f.Name+`":`+sample+`}`, false); len(wrong) != 1 {
					t.Errorf("%s.%s takes %s", d.Name, f.Name, sample)
				}
			}
		}
	}
}

// Half of a surrogate pair is no text; a whole one is.
func TestLoneSurrogates(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`\ud83d`, `a\ud83d b`, `\udc00x`, `\ud83d\ud83d`, `\\\ud83d`, `\ud83dA`} {
		if got := faults(t, "products", `{"name":"`+name+`"}`, true); !slices.Equal(got, []string{"name"}) {
			t.Errorf("%s: %v", name, got)
		}
		if got := faults(t, "sales", `{"partner":12,"lines":[{"product":7,"name":"`+name+`"}]}`, true); !slices.Equal(got, []string{"lines.0.name"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, name := range []string{`\ud83e\ude91`, `\\ud83d`, `🪑`, `\u00f1`, `\\\\ud83d`} {
		if got := faults(t, "products", `{"name":"`+name+`"}`, true); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}
