package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/swaggest/swgui/v5emb"

	"github.com/resonance/resonance/services/gateway/internal/admin"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

func humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Resonance", Version: "1.0.0",
				Description: "Orders from Airtable; products, partners, suppliers, customers and sales from Odoo. Errors are RFC 9457 problems; `detail` is Spanish, or English with `Accept-Language: en`. " +
					"Lists answer an envelope, or with Refine simple-rest's parameters a bare array.",
				License: &huma.License{Name: "MIT", Identifier: "MIT"},
			},
			Servers: []*huma.Server{{URL: "/"}},
			Tags: []*huma.Tag{
				{Name: "session", Description: "Logging in and out"}, {Name: "orders", Description: "Orders, as they are in Airtable"},
				{Name: "sync", Description: "The sync with Airtable"}, {Name: "odoo", Description: "Products, partners, suppliers, customers and sales, as they are in Odoo"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"password": {Type: "oauth2", Flows: &huma.OAuthFlows{
						Password: &huma.OAuthFlow{TokenURL: "/token", RefreshURL: "/token/refresh", Scopes: map[string]string{}},
					}},
					"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
				},
			},
		},
		Formats:       huma.DefaultFormats,
		DefaultFormat: "application/json",
	}
}

// docRoutes serves the document, and Swagger UI from this binary.
func (a *API) docRoutes() error {
	document, err := json.Marshal(a.Huma.OpenAPI())
	if err != nil {
		return fmt.Errorf("OpenAPI document: %w", err)
	}
	tag := route.WeakETag(document, "")
	a.Router.Get("/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		route.WriteJSON(w, r, tag, document)
	})
	ui := v5emb.New("Resonance", "/openapi.json", "/docs")
	docs := func(w http.ResponseWriter, r *http.Request) {
		protectPage(w, "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:")
		ui.ServeHTTP(w, r)
	}
	a.Router.Get("/docs", docs)
	a.Router.Get("/docs/*", docs)
	return nil
}

// adminRoutes serves the web admin.
func (a *API) adminRoutes() error {
	app, err := admin.New()
	if err != nil {
		return err
	}
	a.Router.Group(func(r chi.Router) {
		r.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				protectPage(w, admin.Policy)
				next.ServeHTTP(w, req)
			})
		})
		app.Mount(r, func(w http.ResponseWriter, req *http.Request) { problem.Write(w, req, problem.ErrNoRoute) })
	})
	return nil
}

// protectPage says what a page may load, and that no other site may frame it.
func protectPage(w http.ResponseWriter, policy string) {
	w.Header().Set("Content-Security-Policy", policy+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("X-Frame-Options", "DENY")
	w.Header().Set("Referrer-Policy", "no-referrer")
}
