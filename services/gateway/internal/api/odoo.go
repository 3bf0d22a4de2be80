package api

import (
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// odooRoutes asks odoo-bridge, which in this version has no connection to Odoo and says so: a 503
// is all there is to document.
func (a *API) odooRoutes() {
	for _, resource := range rpc.OdooResources {
		a.route(huma.Operation{
			OperationID: "list-" + resource, Method: http.MethodGet, Path: "/api/v1/" + resource, Tags: []string{"odoo"},
			Summary: "List Odoo's " + resource, Description: "Not connected yet in this version.",
			Errors: []int{http.StatusServiceUnavailable},
		}, auth.Viewer, func(w http.ResponseWriter, r *http.Request) error {
			reply, err := a.ask(r.Context(), rpc.OdooSubject(resource, "list"), struct{}{})
			if err != nil {
				return err
			}
			writeJSON(w, r, weakETag(reply.Data, ""), reply.Data)
			return nil
		})
	}
}

// validID reports whether s is the id of one of Odoo's records.
func validID(s string) bool {
	id, err := strconv.ParseInt(s, 10, 32)
	return err == nil && id > 0 && s[0] != '+'
}
