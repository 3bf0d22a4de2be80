package resource

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// foreignTax is an Odoo 19 that refuses to read the taxes of sale 2's line, which are of another company.
type foreignTax struct{}

func (foreignTax) Call(_ context.Context, c odoo.Call) (any, error) {
	switch {
	case c.Method == "fields_get" && c.Model == "sale.order.line":
		return map[string]any{"name": map[string]any{"type": "text"}, "tax_ids": map[string]any{"type": "many2many"}, "order_id": map[string]any{"type": "many2one"}}, nil
	case c.Method == "fields_get":
		return map[string]any{"name": map[string]any{"type": "char"}}, nil
	case c.Method != "search_read":
		return nil, &odoo.RefusalError{Reason: odoo.Unknown}
	case c.Model == "account.tax":
		return []any{map[string]any{"id": int64(5), "name": "21%"}}, nil
	case c.Model == "sale.order", c.Model == "sale.order.line":
		ids, _ := c.Args[0].Value.([]any)[0].([]any)[2].([]int64)
		taxed := slices.Contains(c.Args[1].Value.([]any), any("tax_ids"))
		if taxed && slices.Contains(ids, 2) {
			return nil, &odoo.RefusalError{Reason: odoo.NoRight, Message: "top-secret records"}
		}
		var found []any
		for _, id := range ids {
			row := map[string]any{"id": id, "name": "x", "order_id": []any{id, "S"}}
			if taxed {
				row["tax_ids"] = []any{int64(5)}
			}
			found = append(found, row)
		}
		return found, nil
	}
	return []any{}, nil
}

func TestTaxOfAnotherCompany(t *testing.T) {
	t.Parallel()
	s := New(Config{ProbeTimeout: 1 << 40}, foreignTax{})
	records, err := s.Read(t.Context(), "sales", Scope{Company: 1}, []int64{1, 2, 3})
	if err != nil || len(records) != 3 {
		t.Fatalf("%d %v", len(records), err)
	}
	for _, r := range records {
		var sale struct {
			Lines []struct{ Taxes []odooapi.Ref }
		}
		if err := json.Unmarshal(r.Data, &sale); err != nil {
			t.Fatal(err)
		}
		want := 1
		if r.ID == 2 {
			want = 0
		}
		if len(sale.Lines) != 1 || len(sale.Lines[0].Taxes) != want {
			t.Errorf("%s", r.Data)
		}
	}
}
