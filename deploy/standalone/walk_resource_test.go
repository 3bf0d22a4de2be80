package main_test

import (
	"net/http"
	"path/filepath"
	"testing"
)

// The walk that adds a resource of Odoo's leads to a product that serves it.
func TestAddAnOdooResource(t *testing.T) {
	env := world(t)
	dir := walk(t, "add-an-odoo-resource.md")
	product := filepath.Join(dir, "resonance")
	run(t, dir, "go build -o "+product+" ./deploy/standalone")

	env["ADMIN_PASSWORD"] = "correct horse battery"
	p := launchAt(t, product, env)
	p.ready()
	c := client{p, p.login(env["ADMIN_PASSWORD"])}
	type invoice struct {
		ID      int64
		Number  string
		State   string
		Partner struct{ Name string }
		Date    string
		Total   float64 `json:"amount_total"`
	}
	var page struct {
		Data  []invoice
		Total int
	}
	p.until("invoices", func() bool {
		return p.get(c.token, "/api/v1/invoices", &page) == http.StatusOK && page.Total == 3
	})
	newest := page.Data[0]
	if newest.Number != "INV/3" || newest.State != "posted" || newest.Partner.Name == "" || newest.Date == "" || newest.Total != 301.5 {
		t.Errorf("%+v", newest)
	}
	for query, want := range map[string]int{
		"search=inv%2F2": 1, "amount_total_gte=200": 2, "state=draft": 0, "state=posted&sort=number": 3, "partner_like=zzz": 0,
	} {
		if c.decode("/api/v1/invoices?page=1&limit=5&"+query, &page); page.Total != want {
			t.Errorf("%s: %d", query, page.Total)
		}
	}
	var one invoice
	if c.decode("/api/v1/invoices/2", &one); one.ID != 2 || one.Number != "INV/1" {
		t.Errorf("%+v", one)
	}
	var fields []struct{ Name, Type string }
	if c.decode("/api/v1/invoices/fields", &fields); len(fields) != 9 || fields[4].Name != "date" || fields[4].Type != "date" {
		t.Errorf("%+v", fields)
	}
	for _, refused := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/api/v1/invoices/1", http.StatusNotFound}, // an entry that is no invoice
		{http.MethodGet, "/api/v1/invoices?state=paid", http.StatusBadRequest},
		{http.MethodPost, "/api/v1/invoices", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/api/v1/invoices/2", http.StatusMethodNotAllowed},
	} {
		if got := c.do(refused.method, refused.path, "{}"); got.status != refused.status {
			t.Errorf("%s %s: %d %s", refused.method, refused.path, got.status, got.body)
		}
	}
	var document struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
		Paths map[string]map[string]any
	}
	c.decode("/openapi.json", &document)
	if document.Components.Schemas["Invoice"].Properties["amount_total"] == nil || len(document.Paths["/api/v1/invoices"]) != 1 {
		t.Errorf("%+v", document.Paths["/api/v1/invoices"])
	}
}
