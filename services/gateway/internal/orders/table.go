package orders

import (
	"fmt"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// ordersQuery asks the orders service for what is listed.
func ordersQuery(l *listquery.Listing) ordersapi.Query {
	return ordersapi.Query{Offset: l.Offset, Limit: l.Limit, Sort: l.Sort, Filters: l.Filters, Search: l.Search}
}

// ordersTable is the table of orders, whose choices catalog knows.
func ordersTable(catalog *columns.Catalog) *listquery.Table {
	t := &listquery.Table{
		Catalog: catalog, Size: "page_size",
		Own: map[string]func(*listquery.Query, *listquery.Listing, string){
			"id": func(q *listquery.Query, _ *listquery.Listing, _ string) { recordIDs(q) },
			"q":  func(q *listquery.Query, l *listquery.Listing, name string) { l.Search = q.Text(name) },
		},
	}
	classic := []string{"customer", "start_date", "end_date"}
	for _, c := range schema.Columns {
		of := listquery.Column{Name: c.Name, Kind: c.Kind}
		if c.Filter {
			of.Can |= rpc.Filtered
		}
		if c.Sort {
			of.Can |= rpc.Sorted
		}
		t.Columns = append(t.Columns, of)
		if c.Kind == schema.Choice {
			classic = append(classic, c.Name)
		}
	}
	for _, name := range classic {
		t.Own[name] = func(q *listquery.Query, _ *listquery.Listing, name string) { classicFilter(q, name) }
	}
	return t
}

// recordIDs reads id=1&id=2, which Refine's getMany sends.
func recordIDs(q *listquery.Query) {
	ids := slices.Compact(slices.Sorted(slices.Values(q.Values["id"])))
	switch {
	case len(ids) > listquery.MaxValues:
		q.Wrong("id", listquery.AtMost(listquery.MaxValues))
	case !slices.ContainsFunc(ids, func(id string) bool { return !event.ValidRecordID(id) }):
		q.Filters = append(q.Filters, rpc.Filter{Field: "record_id", Op: rpc.In, Values: ids})
	default:
		q.Wrong("id", listquery.MalformedID)
	}
}

// classicFilter reads one of the parameters that have a meaning of their own.
func classicFilter(q *listquery.Query, name string) {
	switch name {
	case "customer":
		if v := q.Text(name); v != "" {
			q.Filters = append(q.Filters, rpc.Filter{Field: name, Op: rpc.Contains, Values: []string{v}})
		}
	case "start_date", "end_date":
		op := rpc.Gte
		if name == "end_date" {
			op = rpc.Lte
		}
		c, _ := q.Column("order_date", rpc.Filtered)
		if v := q.One(name); v != "" && q.CheckValue(name, c, listquery.Operator{Op: op}, v) {
			q.Filters = append(q.Filters, rpc.Filter{Field: c.Name, Op: op, Values: []string{v}})
		}
		dateRange(q)
	default: // any of a column's choices
		c, _ := q.Column(name, rpc.Filtered)
		q.Add(name, c, listquery.Operator{Op: rpc.In, Arity: -1}, q.List(c.Name, q.Values[name]))
	}
}

func dateRange(q *listquery.Query) {
	start, end := q.Values.Get("start_date"), q.Values.Get("end_date")
	if event.ValidDate(start) && event.ValidDate(end) && start > end {
		q.Wrong("start_date", fault.T("no puede ser posterior a end_date", "cannot be after end_date"))
	}
}

// listParams documents the query of a list of orders.
func listParams(allow listquery.Allowed) []*huma.Param {
	date := func() *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: "date"} }
	var own []*huma.Param
	for _, c := range schema.Columns {
		if c.Kind == schema.Choice {
			own = append(own, route.Param(c.Name, "any of these choices of the column, by value or by title (GET /api/orders/columns); repeat it or put commas between",
				route.Texts(), []any{c.Values[0].Name}))
		}
	}
	return ordersTable(nil).Params(allow, "-order_date", append(own, []*huma.Param{
		route.Param("customer", "is part of the customer's name, in any case", route.Text(), "ferre"),
		route.Param("start_date", "the first order date", date(), "2026-11-01"),
		route.Param("end_date", "the last order date", date(), "2026-11-30"),
		route.Param("q", "is part of the name, the customer or the record id", route.Text(), "1042"),
		route.Param("id", fmt.Sprintf("these records, up to %d; the answer is a bare array", listquery.MaxValues),
			&huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, MaxItems: new(listquery.MaxValues)}, []any{"recA1b2C3d4E5f6G7"}),
	}...))
}
