package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/orders"
)

// spanish is a base in Spanish with a choice of its own, and no priority.
var spanish = columns.Source{Name: columns.Main, Columns: []columns.Column{
	{Name: "status", Field: "fld1", Title: "Estado", Kind: schema.Choice, Editable: true, Offers: []columns.Offer{
		{Value: "Pending", Title: "Pendiente"}, {Value: "Sent", Title: "Enviado "}, {Value: "Devuelto, sin cobrar", Title: "Devuelto, sin cobrar"},
	}},
	{Name: "priority", Kind: schema.Text, Notes: []fault.Text{fault.T("no hay", "there is none")}},
}}

// Edits take them too, and hand the canonical value on.
func TestEditOwnChoices(t *testing.T) {
	t.Parallel()
	r, e := editable(t)
	r.catalog.Set(spanish)
	for _, c := range []struct{ status, want string }{
		{"Enviado", "Sent"}, {" sent ", "Sent"}, {"DEVUELTO, SIN COBRAR", "Devuelto, sin cobrar"},
	} {
		r.patch("/api/orders/rec1", `{"status":"`+c.status+`"}`).want(http.StatusOK)
		asked := e.requests()
		if got := asked[len(asked)-1].Edits[0].Values["status"]; got != c.want {
			t.Errorf("%q: %q", c.status, got)
		}
	}
	for text, says := range map[string]string{
		`{"status":"Processing"}`:                        "must be one of: “Pending” (“Pendiente”), “Sent”",
		`{"status":""}`:                                  "must be one of",
		`{"priority":"High"}`:                            "has no field for this column",
		`{"status":"Sent","priority":"Alta"}`:            "has no field for this column",
		`{"status":"` + strings.Repeat("x", 2000) + `"}`: "must be one of",
	} {
		p := r.patch("/api/orders/rec1", text, header("Accept-Language", "en"))
		if p.StatusCode != http.StatusBadRequest || !strings.Contains(string(p.body), says) {
			t.Errorf("%.80s: %d %s", text, p.StatusCode, p.body)
		}
	}
	r.catalog.Set(columns.Source{Name: columns.Main, Columns: []columns.Column{{Name: "status", Kind: schema.Text, Field: "fld1", Editable: true}}})
	r.patch("/api/orders/rec1", `{"status":" Lo que sea "}`).want(http.StatusOK)
	for _, text := range []string{`{"status":" "}`, `{"status":"a\u0000b"}`, `{"status":"` + strings.Repeat("ñ", 1001) + `"}`} {
		r.patch("/api/orders/rec1", text).problem(http.StatusBadRequest, "status")
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.catalog.Set(spanish)
	var got orders.ColumnList
	r.get("/api/orders/columns", header("Accept-Language", "en")).decode(http.StatusOK, &got)
	byName := map[string]orders.Column{}
	for _, c := range got.Data {
		byName[c.Name] = c
	}
	if len(got.Data) != len(orderColumns) || byName["amount"].Kind != schema.Number {
		t.Errorf("%+v", got)
	}
	want := orders.Column{Name: "status", Title: "Estado", Kind: schema.Choice, Choices: spanish.Columns[0].Offers, Filterable: true, Sortable: true, Editable: true}
	if got := byName["status"]; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := byName["priority"]; got.Editable || len(got.Notes) != 1 || got.Notes[0] != "there is none" {
		t.Errorf("%+v", got)
	}
	r.get("/api/orders/columns?"+url.Values{"x": {"1"}}.Encode()).problem(http.StatusBadRequest, "x")
}

// A choice that was added in Airtable a moment ago is asked for before an edit to it is refused.
func TestEditToANewChoice(t *testing.T) {
	t.Parallel()
	r, _ := editable(t)
	r.catalog.Set(spanish)
	fresh := columns.Source{Name: columns.Main, Columns: slices.Clone(spanish.Columns)}
	fresh.Columns[0].Offers = append(slices.Clone(fresh.Columns[0].Offers), columns.Offer{Value: "En tránsito", Title: "En tránsito"})
	body, err := json.Marshal(fresh)
	if err != nil {
		t.Fatal(err)
	}
	asked := atomic.Int32{}
	r.serve("airtable-sync", map[string]bus.Handler{syncapi.SubjectColumns: func(context.Context, []byte) (bus.Reply, error) {
		asked.Add(1)
		return bus.Reply{Data: body}, nil
	}})
	r.patch("/api/orders/rec1", `{"status":"enviado"}`).decode(http.StatusOK, &map[string]any{})
	if got := asked.Load(); got != 0 {
		t.Errorf("asked %d times for a known choice", got)
	}
	r.patch("/api/orders/rec1", `{"status":"en tránsito"}`).decode(http.StatusOK, &map[string]any{})
	r.patch("/api/orders", `{"ids":["rec1"],"values":{"status":"En tránsito"}}`).decode(http.StatusOK, &map[string]any{})
	if got := asked.Load(); got != 1 {
		t.Errorf("asked %d times for one choice", got)
	}
	if resp := r.patch("/api/orders", `{"edits":[{"record_id":"rec1","status":"Lost"}]}`); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(resp.body), "En tránsito") {
		t.Errorf("%d %s", resp.StatusCode, resp.body)
	}
}
