package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// From HTTP through the gateway and odoo-bridge to an Odoo and back: one of Odoo's users logs in,
// makes a product, sells it and cancels the sale; lists show each step at once.
func TestOdooEndToEnd(t *testing.T) {
	env := world(t)
	env["AUTH_PROVIDER"] = "odoo"
	p := launch(t, env)
	p.ready()
	token := p.login("admin") // Odoo's; that of the administrator of ours is in the banner
	send := func(want int, method, path, body string, out any) http.Header {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+env["HTTP_ADDR"]+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != want {
			t.Fatalf("%s %s: %s, want %d: %s %v", method, path, res.Status, want, data, err)
		}
		if out != nil {
			if err := json.Unmarshal(data, out); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
		}
		return res.Header
	}
	var me struct{ Provider, Role, Name string }
	send(http.StatusOK, http.MethodGet, "/api/me", "", &me)
	if me.Provider != "odoo" || me.Role != "admin" || me.Name == "" {
		t.Errorf("%+v", me)
	}

	type ref struct{ ID int64 }
	var product struct {
		ID        int64
		Name      string
		ListPrice float64 `json:"list_price"`
		Active    bool
	}
	h := send(http.StatusCreated, http.MethodPost, "/api/v1/products", `{"name":"Silla «ñ» 🪑","barcode":"E2E-1","list_price":12.10}`, &product)
	at := fmt.Sprintf("/api/v1/products/%d", product.ID)
	if product.Name != "Silla «ñ» 🪑" || product.ListPrice != 12.1 || h.Get("Location") != at {
		t.Errorf("%+v %v", product, h)
	}
	var problem struct{ Errors map[string]string }
	send(http.StatusConflict, http.MethodPost, "/api/v1/products", `{"name":"x","barcode":"E2E-1"}`, &problem)
	if problem.Errors["barcode"] == "" {
		t.Errorf("%+v", problem)
	}
	if tag := h.Get("ETag"); send(http.StatusOK, http.MethodGet, at, "", nil).Get("ETag") != tag {
		t.Errorf("read, it has another tag than %s", tag)
	}

	var customers struct{ Data []ref }
	send(http.StatusOK, http.MethodGet, "/api/v1/customers?limit=1", "", &customers)
	var sale struct {
		ID     int64
		State  string
		Amount float64 `json:"amount_untaxed"`
		Lines  []struct{ Product ref }
	}
	order := fmt.Sprintf(`{"partner":%d,"lines":[{"product":%d,"qty":3}]}`, customers.Data[0].ID, product.ID)
	send(http.StatusCreated, http.MethodPost, "/api/v1/sales", order, &sale)
	if sale.State != "draft" || sale.Amount != 36.3 || len(sale.Lines) != 1 || sale.Lines[0].Product.ID != product.ID {
		t.Errorf("%+v", sale)
	}
	for _, step := range [][2]string{{"confirm", "sale"}, {"cancel", "cancel"}} {
		send(http.StatusOK, http.MethodPost, fmt.Sprintf("/api/v1/sales/%d/%s", sale.ID, step[0]), "", &sale)
		var listed []struct{ State string }
		send(http.StatusOK, http.MethodGet, fmt.Sprintf("/api/v1/sales?id=%d", sale.ID), "", &listed)
		if sale.State != step[1] || len(listed) != 1 || listed[0].State != step[1] {
			t.Errorf("after %s: %+v, listed %+v", step[0], sale, listed)
		}
	}

	send(http.StatusOK, http.MethodDelete, at, "", &product)
	var found struct{ Total int }
	send(http.StatusOK, http.MethodGet, "/api/v1/products?q=E2E-1", "", &found)
	if product.Active || found.Total != 0 {
		t.Errorf("archived: %+v, %d listed", product, found.Total)
	}
	m := loginLine.FindStringSubmatch(p.read(&p.stdout))
	if m == nil || p.login(m[1]) == "" {
		t.Error("the administrator of ours cannot log in")
	}
	if log := p.read(&p.stderr); strings.Contains(log, m[1]) {
		t.Error("the log has the password")
	}
	if code, _ := p.signal(os.Interrupt); code != 0 {
		t.Errorf("exit %d", code)
	}
}
