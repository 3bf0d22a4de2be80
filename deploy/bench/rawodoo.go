package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/kolo/xmlrpc"
)

// rawOdoo calls Odoo over XML-RPC and does not even read what it answers.
type rawOdoo struct {
	url          string
	rowsAndCount []byte   // what a cold page asks
	two          [][]byte // what asking afresh for each page takes: the rows, then their number
}

func newRawOdoo(ctx context.Context, o odooLogin) (*rawOdoo, error) {
	login, err := xmlrpc.EncodeMethodCall("authenticate", o.db, o.user, o.password, map[string]any{})
	if err != nil {
		return nil, err
	}
	body, err := post(ctx, o.url+"/xmlrpc/2/common", login)
	if err != nil {
		return nil, err
	}
	var uid int64
	if err := xmlrpc.Response(body).Unmarshal(&uid); err != nil {
		return nil, fmt.Errorf("log in to Odoo: %w", err)
	}
	names := []any{
		"name", "default_code", "barcode", "type", "is_storable", "list_price", "lst_price", "standard_price", "description_sale", "sale_ok", "purchase_ok",
		"weight", "volume", "qty_available", "virtual_available", "image_128", "active", "create_date", "write_date",
	}
	links := []any{"currency_id", "categ_id", "uom_id", "product_tmpl_id", "company_id"}
	spec := map[string]any{}
	for _, n := range names {
		spec[n.(string)] = map[string]any{} //nolint:forcetypeassert // the list above
	}
	for _, n := range links {
		spec[n.(string)] = map[string]any{"fields": map[string]any{"display_name": map[string]any{}}} //nolint:forcetypeassert // the list above
	}
	small := map[string]any{"lang": "en_US", "bin_size": true} // an image's size instead of the image
	encode := func(method string, args []any, kw map[string]any) []byte {
		kw["context"] = small
		call, bad := xmlrpc.EncodeMethodCall("execute_kw", o.db, uid, o.password, "product.product", method, args, kw)
		if bad != nil {
			err = bad
		}
		return call
	}
	none := []any{[]any{}}
	r := &rawOdoo{url: o.url + "/xmlrpc/2/object"}
	r.rowsAndCount = encode("web_search_read", []any{[]any{[]any{"id", ">", -1}}}, map[string]any{"specification": spec, "offset": 0, "limit": 10, "order": "name, id"})
	r.two = [][]byte{
		encode("search_read", none, map[string]any{"fields": append(names, links...), "offset": 0, "limit": 10, "order": "name, id"}),
		encode("search_count", none, map[string]any{}),
	}
	return r, err
}

func (r *rawOdoo) one(ctx context.Context) error {
	_, err := post(ctx, r.url, r.rowsAndCount)
	return err
}

func (r *rawOdoo) page(ctx context.Context) error {
	for _, call := range r.two {
		if _, err := post(ctx, r.url, call); err != nil {
			return err
		}
	}
	return nil
}

func post(ctx context.Context, url string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/xml")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || bytes.Contains(answer, []byte("<fault>"))) {
		err = fmt.Errorf("Odoo answers %s %.300s", res.Status, answer)
	}
	return answer, err
}
