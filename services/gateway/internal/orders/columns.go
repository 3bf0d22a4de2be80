package orders

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Column is columns.Column as the API shows it, with its notes in the caller's language.
type Column struct {
	Name       string          `json:"name" doc:"in orders, filters, sorts and edits"`
	Title      string          `json:"title,omitempty" doc:"the name of the field in Airtable that it is read from; absent if there is none"`
	Kind       schema.Kind     `json:"kind" enum:"text,number,date,time,choice,choices"`
	Choices    []columns.Offer `json:"choices,omitempty" doc:"what the field offers; absent where any text will do, or it is not known"`
	Filterable bool            `json:"filterable"`
	Sortable   bool            `json:"sortable"`
	Editable   bool            `json:"editable"`
	Notes      []string        `json:"notes,omitempty" doc:"what to know about where its values come from"`
}

// ColumnList answers GET /api/orders/columns.
type ColumnList struct {
	Data []Column `json:"data"`
}

var exampleColumn = columns.Column{
	Name: "status", Title: "Estado", Kind: schema.Choice, Editable: true,
	Offers: []columns.Offer{{Value: "Pending", Title: "Pendiente"}, {Value: "Devuelto", Title: "Devuelto"}},
	Notes: []fault.Text{fault.T("se lee de «Estado»; también podría ser «Situación» (AIRTABLE_FIELD_STATUS lo decide)",
		"it is read from “Estado”; it could also be “Situación” (AIRTABLE_FIELD_STATUS decides)")},
}

// ColumnIn gives a column with its notes in one language.
func ColumnIn(lang string, c *columns.Column) Column {
	out := Column{Name: c.Name, Title: c.Title, Kind: c.Kind, Choices: c.Offers, Editable: c.Editable}
	core, _ := schema.Find(c.Name)
	out.Filterable, out.Sortable = core.Filter, core.Sort
	for _, n := range c.Notes {
		out.Notes = append(out.Notes, n.In(lang))
	}
	return out
}

func (a *ordersAPI) columnRoutes() {
	a.Add(huma.Operation{
		OperationID: "orderColumns", Method: http.MethodGet, Path: "/api/orders/columns", Tags: []string{"orders"},
		Summary: "The columns of orders, and the choices they offer",
		Description: "A choice has a value and a title. The value is what orders show and filters compare with; the title is the base's own word. " +
			"Filters and edits take either; surrounding spaces, case and Unicode normalisation do not matter.",
		Responses: route.OK[ColumnList](a.Routes, "The columns", ColumnList{Data: []Column{ColumnIn("es", &exampleColumn)}}), Errors: []int{http.StatusBadRequest},
	}, auth.Viewer, func(w http.ResponseWriter, r *http.Request) error {
		if err := listquery.None(r); err != nil {
			return err
		}
		lang := problem.Language(r.Header.Get("Accept-Language"))
		var list ColumnList
		for _, core := range schema.Columns {
			c, known := a.catalog.Column(core.Name)
			if !known {
				c = columns.Column{Name: core.Name, Kind: core.Kind}
			}
			if c.Kind == schema.Choice && len(c.Offers) == 0 { // until it is known what it offers any text will do
				c.Kind = schema.Text
			}
			list.Data = append(list.Data, ColumnIn(lang, &c))
		}
		w.Header()["Content-Type"] = route.JSONType
		w.Header().Add("Vary", "Accept-Language")
		_ = json.NewEncoder(w).Encode(list) // the client has gone
		return nil
	})
}
