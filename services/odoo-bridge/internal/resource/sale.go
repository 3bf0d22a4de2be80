package resource

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// lineRows reads the lines of sales. Some builds of Odoo 19 refuse to read a line whose tax is of a
// company that is not active (odoo#235277), and every other line of the call with it: then each sale is
// read by itself, and without its taxes if that is refused too.
func (s *Store) lineRows(ctx context.Context, r *resource, scope Scope, sales []int64) ([]map[string]any, error) {
	read := func(sales []int64, fields []any) ([]map[string]any, error) {
		answer, err := s.odoo.Call(ctx, odoo.Call{
			Model: r.model, Method: "search_read", Context: scope.context(), Read: true, Args: []odoo.Arg{
				{Name: "domain", Value: []any{leaf("order_id", "in", sales)}}, {Name: "fields", Value: fields},
				{Name: "offset", Value: 0}, {Name: "limit", Value: false}, {Name: "order", Value: "order_id, sequence, id"},
			},
		})
		return rows(answer), err
	}
	fields := append(r.reads(), "order_id")
	found, err := read(sales, fields)
	if !odoo.IsReason(err, odoo.NoRight) || r.field("taxes") == "" {
		return found, err
	}
	untaxed := slices.DeleteFunc(slices.Clone(fields), func(name any) bool { return name == r.field("taxes") })
	found = nil
	for _, sale := range sales {
		of, err := read([]int64{sale}, fields)
		if odoo.IsReason(err, odoo.NoRight) {
			of, err = read([]int64{sale}, untaxed)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	return found, nil
}

// linesOf reads the lines of sales, by sale, with the names of their taxes.
func (s *Store) linesOf(ctx context.Context, sc *schema, scope Scope, sales []int64) (map[int64][]json.RawMessage, error) {
	r := sc.lines
	found, err := s.lineRows(ctx, r, scope, sales)
	if err != nil {
		return nil, err
	}
	names, err := s.taxNames(ctx, r, scope, found)
	if err != nil {
		return nil, err
	}
	bySale := map[int64][]json.RawMessage{}
	for _, row := range found {
		members := r.members(row)
		i := slices.IndexFunc(members, func(m member) bool { return m.name == "taxes" })
		taxes := []odooapi.Ref{}
		for _, id := range taxesOf(r, row) {
			taxes = append(taxes, odooapi.Ref{ID: id, Name: names[id]})
		}
		members[i].value = taxes
		line, err := encode(members)
		if err != nil {
			return nil, err
		}
		if sale, ok := refOf(row["order_id"]); ok {
			bySale[sale.ID] = append(bySale[sale.ID], line)
		}
	}
	return bySale, nil
}

func taxesOf(r *resource, row map[string]any) (ids []int64) {
	list, _ := row[r.field("taxes")].([]any)
	for _, v := range list {
		if id, ok := v.(int64); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// taxNames reads the names of all taxes on the lines; none when our user may not.
func (s *Store) taxNames(ctx context.Context, r *resource, scope Scope, found []map[string]any) (map[int64]string, error) {
	var ids []int64
	for _, row := range found {
		ids = append(ids, taxesOf(r, row)...)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	slices.Sort(ids)
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: "account.tax", Method: "search_read", Context: everything(scope.context()), Read: true, Args: []odoo.Arg{
			{Name: "domain", Value: []any{leaf("id", "in", slices.Compact(ids))}}, {Name: "fields", Value: []any{"name"}},
		},
	})
	if err != nil && !odoo.IsReason(err, odoo.NoRight) {
		return nil, err
	}
	names := map[int64]string{}
	for _, row := range rows(answer) {
		id, _ := row["id"].(int64)
		names[id], _ = row["name"].(string)
	}
	return names, nil
}

// formFields are those that the form of a sale fills in by its customer.
var formFields = []string{
	"partner_invoice_id", "partner_shipping_id", "pricelist_id", "payment_term_id", "fiscal_position_id", "user_id", "team_id",
}

// fromForm gives what the form of a sale fills in by its customer, where values do not say otherwise. Until 15 Odoo does
// so by the form's onchange only; later versions compute it wherever the sale comes from.
func (s *Store) fromForm(ctx context.Context, r *resource, scope Scope, id int64, values map[string]any) (map[string]any, error) {
	if r.name != "sales" || r.has["user_id"].computed {
		return nil, nil
	}
	ids, header := []int64{}, map[string]any{}
	changed := []any{} // none: the form is opened with these values
	if id != 0 {
		ids, changed = []int64{id}, []any{"partner_id"}
	}
	spec := map[string]any{"partner_id": "1", "company_id": "1"} // with an onchange of their own, or it does not matter
	for _, name := range formFields {
		spec[name] = "1"
	}
	for name, v := range values {
		if name != "order_line" {
			header[name] = v
		}
	}
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: r.model, Method: "onchange", IDs: ids, Context: scope.context(), Read: true, Args: []odoo.Arg{
			{Name: "values", Value: header}, {Name: "field_name", Value: changed}, {Name: "field_onchange", Value: spec},
		},
	})
	if err != nil {
		return nil, s.explain(ctx, r, scope, id, values, err, fault.Invalid)
	}
	result, _ := answer.(map[string]any)
	shown, _ := result["value"].(map[string]any)
	if partner, told := shown["partner_id"]; told && partner == false { // a customer who is blocked
		warning, _ := result["warning"].(map[string]any)
		text, _ := warning["message"].(string)
		text = strings.TrimSpace("Odoo: " + text)
		return nil, fault.Field("partner", fault.T(text, text))
	}
	filled := map[string]any{}
	for _, name := range formFields {
		v, told := shown[name]
		if _, given := values[name]; given || !told {
			continue
		}
		if ref, ok := refOf(v); ok {
			filled[name] = ref.ID
		} else if id != 0 {
			filled[name] = false
		}
	}
	return filled, nil
}

// saleState is where a sale stands, whatever the version calls it.
type saleState struct {
	State  string `json:"state"`
	Locked bool   `json:"locked"`
}

func (s *Store) stateOf(ctx context.Context, r *resource, scope Scope, id int64) (saleState, error) {
	found, err := s.rowsOf(ctx, r, scope, leaf("id", "=", id), "id")
	switch {
	case err != nil:
		return saleState{}, s.failed(err)
	case len(found) == 0:
		return saleState{}, notFound(id)
	}
	record, err := r.record(found[0])
	if err != nil {
		return saleState{}, unexpected(err)
	}
	var state saleState
	if err := json.Unmarshal(record.Data, &state); err != nil {
		return saleState{}, unexpected(err)
	}
	return state, nil
}

// Confirm makes a quotation an order; what is one already stays it. Versions differ in what they say to that, so the
// state is read first.
func (s *Store) Confirm(ctx context.Context, scope Scope, id int64, attempt Attempt) (Record, error) {
	return s.transition(ctx, scope, id, attempt, "action_confirm", "sale", func(was saleState) *fault.Text {
		if was.State == "cancel" {
			return new(fault.T("El pedido está cancelado", "The order is cancelled"))
		}
		return nil
	})
}

// Cancel cancels a sale; what is cancelled already stays it. It is Conflict when the sale is locked.
func (s *Store) Cancel(ctx context.Context, scope Scope, id int64, attempt Attempt) (Record, error) {
	return s.transition(ctx, scope, id, attempt, "action_cancel", "cancel", func(was saleState) *fault.Text {
		if was.Locked {
			return new(fault.T("El pedido está bloqueado; desbloquéelo en Odoo antes de cancelarlo", "The order is locked; unlock it in Odoo before cancelling it"))
		}
		return nil
	})
}

// transition calls a button of a sale that is not in the state to yet, and checks that it had its effect: some open a
// wizard instead.
func (s *Store) transition(ctx context.Context, scope Scope, id int64, attempt Attempt, method, to string, obstacle func(saleState) *fault.Text) (Record, error) {
	_, r, err := s.resource(ctx, "sales")
	if err != nil {
		return Record{}, err
	}
	was, err := s.stateOf(ctx, r, scope, id)
	if err != nil {
		return Record{}, err
	}
	if was.State == to {
		return s.One(ctx, r.name, scope, id)
	}
	if attempt == Pending || attempt == LookUp {
		return Record{}, errPending
	}
	if text := obstacle(was); text != nil {
		return Record{}, fault.New(fault.Conflict, *text)
	}
	_, called := s.odoo.Call(ctx, odoo.Call{
		Model: r.model, Method: method, IDs: []int64{id}, Context: scope.context("disable_cancel_warning"),
	})
	if called != nil && !outcomeUnknown(called) {
		return Record{}, s.explain(ctx, r, scope, id, nil, called, fault.Conflict)
	}
	record, err := s.One(ctx, r.name, scope, id)
	if err != nil && called != nil {
		return Record{}, unexpected(called)
	}
	if err != nil {
		return Record{}, done(id, err)
	}
	var is saleState
	if err := json.Unmarshal(record.Data, &is); err != nil || is.State != to {
		if called != nil {
			return Record{}, unexpected(called)
		}
		return Record{}, fault.New(fault.Conflict, fault.T(
			"Odoo pide más datos para esto; hágalo en Odoo", "Odoo asks for more to do this; do it in Odoo"))
	}
	return record, nil
}
