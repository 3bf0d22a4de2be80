package resource

import (
	"context"
	"strings"

	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Summary is what Store.Summary gives.
type Summary struct {
	Freshness
	odooapi.SalesSummary
}

// Summary counts the records that match, by state, and by month and state, each by currency.
func (s *Store) Summary(ctx context.Context, name string, scope Scope, q odooapi.Query) (Summary, error) {
	sc, r, err := s.resource(ctx, name)
	if err != nil {
		return Summary{}, err
	}
	state, month, currency := r.field(r.Summary.State), r.field(r.Summary.Date)+":month", r.field(r.Summary.Currency)
	domain, err := r.domain(scope, q)
	if err != nil {
		return Summary{}, err
	}
	var sum Summary
	if sum.ByState, err = s.groups(ctx, sc, r, scope, domain, state, currency); err != nil {
		return Summary{}, s.failed(err)
	}
	if sum.ByMonth, err = s.groups(ctx, sc, r, scope, domain, month, state, currency); err != nil {
		return Summary{}, s.failed(err)
	}
	for _, t := range sum.ByState {
		sum.Total += t.Count
	}
	return sum, nil
}

// groups asks Odoo to add up. Before 17 a state that was merged since makes two groups of one.
func (s *Store) groups(ctx context.Context, sc *schema, r *resource, scope Scope, domain []any, by ...any) ([]odooapi.SalesTotal, error) {
	of := r.Summary
	untaxed, total := r.field(of.Untaxed), r.field(of.Total)
	call := odoo.Call{Model: r.Model, Method: "read_group", Context: scope.context(), Read: true, Args: []odoo.Arg{
		{Name: "domain", Value: domain}, {Name: "fields", Value: []any{untaxed, total}}, {Name: "groupby", Value: by},
		{Name: "offset", Value: 0}, {Name: "limit", Value: false}, {Name: "orderby", Value: false}, {Name: "lazy", Value: false},
	}}
	suffix := ""
	if sc.formatted {
		suffix = ":sum"
		call.Method, call.Args = "formatted_read_group", []odoo.Arg{
			{Name: "domain", Value: domain}, {Name: "groupby", Value: by},
			{Name: "aggregates", Value: []any{"__count", untaxed + ":sum", total + ":sum"}},
		}
	}
	answer, err := s.odoo.Call(ctx, call)
	if err != nil {
		return nil, err
	}
	totals := []odooapi.SalesTotal{}
	at := map[string]int{}
	for _, row := range rows(answer) {
		t := odooapi.SalesTotal{}
		t.State, _ = row[r.field(of.State)].(string)
		if t.State == r.was.Value {
			t.State = r.was.Now
		}
		if month := monthOf(row, r.field(of.Date)); month != "" && len(by) == 3 {
			t.Month = &month
		}
		if currency, ok := refOf(row[r.field(of.Currency)]); ok {
			t.Currency = &currency
		}
		t.Count, _ = row["__count"].(int64)
		t.AmountUntaxed, _ = number(row[untaxed+suffix])
		t.AmountTotal, _ = number(row[total+suffix])
		key := t.State
		if t.Month != nil {
			key = *t.Month + key
		}
		if t.Currency != nil {
			key += t.Currency.Name
		}
		if i, ok := at[key]; ok {
			totals[i].Count += t.Count
			totals[i].AmountUntaxed, _ = number(totals[i].AmountUntaxed + t.AmountUntaxed)
			totals[i].AmountTotal, _ = number(totals[i].AmountTotal + t.AmountTotal)
			continue
		}
		at[key] = len(totals)
		totals = append(totals, t)
	}
	return totals, nil
}

// monthOf reads the month of a group as YYYY-MM, never from its label, which is in a language.
func monthOf(row map[string]any, date string) string {
	var start string
	if pair, ok := row[date+":month"].([]any); ok && len(pair) > 0 { // formatted_read_group: [start, label]
		start, _ = pair[0].(string)
	}
	ranges, _ := row["__range"].(map[string]any) // read_group, from 15
	for _, v := range ranges {
		if bounds, ok := v.(map[string]any); ok && start == "" {
			start, _ = bounds["from"].(string)
		}
	}
	domain, _ := row["__domain"].([]any) // in 14 nothing but the condition of the group, before those asked for
	for _, v := range domain {
		if l, ok := v.([]any); ok && len(l) == 3 && l[0] == date && l[1] == ">=" && start == "" {
			start, _ = l[2].(string)
		}
	}
	if len(start) < len("2006-01") || strings.Count(start, "-") < 2 {
		return ""
	}
	return start[:len("2006-01")]
}
