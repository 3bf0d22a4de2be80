package orders

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// columnNames are the columns there are.
var columnNames = schema.Names(func(schema.Column) bool { return true })

// english are those of a base in English.
var english = columns.Source{Name: columns.Main, Columns: []columns.Column{
	{Name: "status", Field: "fld1", Title: "Status", Kind: schema.Choice, Editable: true, Offers: offering(event.Statuses)},
	{Name: "priority", Field: "fld2", Title: "Priority", Kind: schema.Choice, Editable: true, Offers: offering(event.Priorities)},
}}

func offering(values []string) (list []columns.Offer) {
	for _, v := range values {
		list = append(list, columns.Offer{Value: v, Title: v})
	}
	return list
}

// ownChoices is a base in Spanish with a choice of its own, and no priority.
var ownChoices = columns.Source{Name: columns.Main, Columns: []columns.Column{
	{Name: "status", Field: "fld1", Title: "Estado", Kind: schema.Choice, Editable: true, Offers: []columns.Offer{
		{Value: "Pending", Title: "Pendiente"}, {Value: "Sent", Title: "Enviado "}, {Value: "Devuelto, sin cobrar", Title: "Devuelto, sin cobrar"},
	}},
	{Name: "priority", Kind: schema.Text, Notes: []fault.Text{fault.T("no hay", "there is none")}},
}}

func where(field string, op rpc.Op, values ...string) rpc.Filter {
	return rpc.Filter{Field: field, Op: op, Values: values}
}

// seeded is the table of orders of a base in English.
func seeded() *listquery.Table {
	catalog := &columns.Catalog{}
	catalog.Set(english)
	return ordersTable(catalog)
}

func TestColumnsAreAllOfThem(t *testing.T) {
	t.Parallel()
	if got, want := slices.Sorted(slices.Values(columnNames)), slices.Sorted(slices.Values(ordersTable(nil).Names(rpc.Filtered|rpc.Sorted))); !slices.Equal(got, want) {
		t.Errorf("columns %v, rpc has %v", got, want)
	}
}

func TestParseListing(t *testing.T) {
	t.Parallel()
	page := func(limit, offset, page int, f ...rpc.Filter) listquery.Listing {
		return listquery.Listing{Limit: limit, Offset: offset, Filters: f, Page: page, Size: "page_size"}
	}
	bare := func(limit, offset int, f ...rpc.Filter) listquery.Listing {
		return listquery.Listing{Limit: limit, Offset: offset, Filters: f, Bare: true, Size: "page_size"}
	}
	with := func(l listquery.Listing, change func(*listquery.Listing)) listquery.Listing { change(&l); return l }
	for raw, want := range map[string]listquery.Listing{
		// Classic.
		"":                          page(10, 0, 1),
		"page=3&page_size=20":       page(20, 40, 3),
		"page_size=100":             page(100, 0, 1),
		"page=100001":               page(10, 1_000_000, 100_001),
		"status=Pending":            page(10, 0, 1, where("status", rpc.Eq, "Pending")),
		"status=pending,%20SENT%20": page(10, 0, 1, where("status", rpc.In, "Pending", "Sent")),
		"status_ne=%20sent":         bare(100, 0, where("status", rpc.Ne, "Sent")),
		"status=Pending,Sent":       page(10, 0, 1, where("status", rpc.In, "Pending", "Sent")),
		"status=Pending&status=Sent&priority=Low": page(10, 0, 1, where("priority", rpc.Eq, "Low"), where("status", rpc.In, "Pending", "Sent")),
		"status=&customer=&q=&start_date=&name=":  page(10, 0, 1),
		"customer=N%C3%BA%C3%B1ez%25":             page(10, 0, 1, where("customer", rpc.Contains, "Núñez%")),
		"start_date=2026-11-01&end_date=2026-11-01": page(10, 0, 1,
			where("order_date", rpc.Lte, "2026-11-01"), where("order_date", rpc.Gte, "2026-11-01")),
		"sort=-amount,customer": with(page(10, 0, 1), func(l *listquery.Listing) { l.Sort = []rpc.Sort{{Field: "amount", Desc: true}, {Field: "customer"}} }),
		"q=abc":                 with(page(10, 0, 1), func(l *listquery.Listing) { l.Search = "abc" }),
		// Refine simple-rest.
		"_start=0&_end=10":        bare(10, 0),
		"_start=30&_end=45":       bare(15, 30),
		"_end=25":                 bare(25, 0),
		"_start=5":                bare(10, 5),
		"id=rec1":                 bare(100, 0, where("record_id", rpc.In, "rec1")),
		"id=rec2&id=rec1&id=rec2": bare(100, 0, where("record_id", rpc.In, "rec1", "rec2")),
		"id=rec1&page=1":          with(page(10, 0, 1, where("record_id", rpc.In, "rec1")), func(l *listquery.Listing) { l.Bare = true }),
		"_sort=amount,name&_order=desc,asc&_start=0&_end=5": with(bare(5, 0), func(l *listquery.Listing) {
			l.Sort = []rpc.Sort{{Field: "amount", Desc: true}, {Field: "name"}}
		}),
		"_sort=amount&_order=DESC":                  with(bare(100, 0), func(l *listquery.Listing) { l.Sort = []rpc.Sort{{Field: "amount", Desc: true}} }),
		"_sort=amount&page=2":                       with(page(10, 10, 2), func(l *listquery.Listing) { l.Sort = []rpc.Sort{{Field: "amount"}} }),
		"customer_like=fer":                         bare(100, 0, where("customer", rpc.Contains, "fer")),
		"customer_like=fer&page=1":                  page(10, 0, 1, where("customer", rpc.Contains, "fer")),
		"amount_gte=10.5&amount_lte=-2e3":           bare(100, 0, where("amount", rpc.Gte, "10.5"), where("amount", rpc.Lte, "-2e3")),
		"status_ne=Sent&_start=0&_end=10":           bare(10, 0, where("status", rpc.Ne, "Sent")),
		"name=a&name=b":                             page(10, 0, 1, where("name", rpc.In, "a", "b")),
		"name=a,b":                                  page(10, 0, 1, where("name", rpc.Eq, "a,b")),
		"name_in=a,b":                               bare(100, 0, where("name", rpc.In, "a", "b")),
		"order_date_between=2026-01-01,2026-02-01":  bare(100, 0, where("order_date", rpc.Between, "2026-01-01", "2026-02-01")),
		"priority_null=true":                        bare(100, 0, where("priority", rpc.Null)),
		"priority_null=false":                       bare(100, 0, where("priority", rpc.Nnull)),
		"created_at_gt=2026-11-03T09:00:00%2B01:00": bare(100, 0, where("created_at", rpc.Gt, "2026-11-03T09:00:00+01:00")),
		"status_startswith=Pe":                      bare(100, 0, where("status", rpc.StartsWith, "Pe")),
		"amount=12.5":                               page(10, 0, 1, where("amount", rpc.Eq, "12.5")),
	} {
		got, err := seeded().Parse(raw, listquery.Everything)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s:\n got %+v\nwant %+v", raw, got, want)
		}
	}
}

func TestParseListingRefuses(t *testing.T) {
	t.Parallel()
	many := func(name, value string, n int) string { return strings.Repeat("&"+name+"="+value, n)[1:] }
	ids := make([]string, 101)
	for i := range ids {
		ids[i] = fmt.Sprintf("id=rec%d", i)
	}
	for raw, field := range map[string]string{
		"page=0":                                 "page",
		"page=-1":                                "page",
		"page=x":                                 "page",
		"page=":                                  "page",
		"page=1.5":                               "page",
		"page=%2B1":                              "page",
		"page=1&page=2":                          "page",
		"page=1000002":                           "page",
		"page=9223372036854775807&page_size=100": "page",
		"page=92233720368547758079223372036854":  "page",
		"page_size=0":                            "page_size",
		"page_size=101":                          "page_size",
		"status=Foo":                             "status",
		"status=Pending,foo":                     "status",
		"status=pendingg":                        "status",
		"status_ne=Foo":                          "status_ne",
		"priority_in=Low,Urgent":                 "priority_in",
		"start_date=2026-13-01":                  "start_date",
		"start_date=2026-02-30":                  "start_date",
		"end_date=01/02/2026":                    "end_date",
		"end_date=2026-11-01T00:00:00Z":          "end_date",
		"start_date=2026-02-02&end_date=2026-02-01": "start_date",
		"sort=color":                                "sort",
		"sort=-":                                    "sort",
		"sort=amount,-amount":                       "sort",
		"sort=amount&_sort=name":                    "sort",
		"_sort=color":                               "_sort",
		"_sort=amount&_order=up":                    "_order",
		"_start=0&_end=101":                         "_end",
		"_start=10&_end=10":                         "_end",
		"_start=-1&_end=10":                         "_start",
		"_start=10000001&_end=10000002":             "_start",
		"_start=9223372036854775807":                "_start",
		"_start=0&page=1":                           "_start",
		"color=red":                                 "color",
		"amount_gt=many":                            "amount_gt",
		"amount_gt=NaN":                             "amount_gt",
		"amount_gt=Inf":                             "amount_gt",
		"amount_gt=0x10":                            "amount_gt",
		"amount_gt=1e999":                           "amount_gt",
		"amount_like=1":                             "amount_like",
		"amount_almost=1":                           "amount_almost",
		"color_like=1":                              "color_like",
		"order_date_gte=today":                      "order_date_gte",
		"order_date_between=2026-01-01":             "order_date_between",
		"created_at_lt=2026-01-01":                  "created_at_lt",
		"customer_like=a&customer_like=b":           "customer_like",
		"priority_null=maybe":                       "priority_null",
		"customer=" + strings.Repeat("%C3%B1", 201): "customer",
		"q=" + strings.Repeat("x", 201):             "q",
		"q=a%00b":                                   "q",
		"customer=%FF":                              "customer",
		"id=a.b":                                    "id",
		"id=":                                       "id",
		strings.Join(ids, "&"):                      "id",
		many("name", "x", 101):                      "name",
		"_limit=3":                                  "_limit",
	} {
		_, err := seeded().Parse(raw, listquery.Everything)
		f := fault.From(err)
		if err == nil || f.Code != fault.Invalid || f.Fields[field].ES == "" || f.Fields[field].EN == "" || len(f.Fields) != 1 {
			t.Errorf("%s: want an error about %s, got %v %+v", raw[:min(len(raw), 80)], field, err, f)
		}
	}
	for _, raw := range []string{"a=%zz", "page=1;x=2", "q=" + strings.Repeat("x", listquery.MaxQuery)} {
		if _, err := seeded().Parse(raw, listquery.Everything); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", raw[:min(len(raw), 80)], err)
		}
	}
	for allow, refused := range map[listquery.Allowed][]string{
		listquery.Filters: {"page=1", "sort=amount", "_sort=amount", "_start=0"}, listquery.FiltersAndSort: {"page=1", "page_size=10", "_end=5"},
	} {
		for _, raw := range refused {
			if _, err := seeded().Parse(raw, allow); fault.CodeOf(err) != fault.Invalid {
				t.Errorf("%s is taken (%d)", raw, allow)
			}
		}
	}
}

func TestTooManyFilters(t *testing.T) {
	t.Parallel()
	var params []string
	for _, op := range []string{"gt", "gte", "lt", "lte", "eq", "ne", "in"} {
		for _, column := range []string{"name", "customer", "record_id"} {
			params = append(params, column+"_"+op+"=x")
		}
	}
	if _, err := seeded().Parse(strings.Join(params[:listquery.MaxFilters], "&"), listquery.Everything); err != nil {
		t.Fatal(err)
	}
	if _, err := seeded().Parse(strings.Join(params[:listquery.MaxFilters+1], "&"), listquery.Everything); fault.CodeOf(err) != fault.Invalid {
		t.Fatalf("%d filters: %v", listquery.MaxFilters+1, err)
	}
}

// Every mistake is named at once, so that a form can show them all.
func TestAllMistakesAreNamed(t *testing.T) {
	t.Parallel()
	_, err := seeded().Parse("page=0&status=Foo&end_date=x&color=red", listquery.Everything)
	f := fault.From(err)
	if got := slices.Sorted(maps.Keys(f.Fields)); !reflect.DeepEqual(got, []string{"color", "end_date", "page", "status"}) {
		t.Errorf("fields %v", got)
	}
	if want := "status: debe ser uno de: «Pending», «Processing», «Sent», «Delivered», «Cancelled»"; !strings.Contains(f.Detail.ES, want) {
		t.Errorf("detail %q", f.Detail.ES)
	}
}

// Whatever is asked, what reaches the services is within bounds.
func FuzzParseListing(f *testing.F) {
	for _, seed := range []string{
		"", "page=2&page_size=5", "status=Pending&customer=a&start_date=2026-01-01", "_start=0&_end=10&_sort=a,b&_order=asc,desc",
		"id=rec1&id=rec2", "amount_between=1,2&priority_null=&name_nstartswiths=x", "page=99999999999999999999", "sort=-order_date", "%zz", "a=1;b=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		l, err := seeded().Parse(raw, listquery.Everything)
		if err != nil {
			if e := fault.From(err); e.Code != fault.Invalid || e.Detail.ES == "" || e.Detail.EN == "" {
				t.Fatalf("%q: %+v", raw, e)
			}
			return
		}
		if l.Limit < 1 || l.Limit > listquery.MaxPageSize || l.Offset < 0 || l.Offset > listquery.MaxOffset || len(l.Filters) > listquery.MaxFilters || len([]rune(l.Search)) > route.MaxValue {
			t.Fatalf("%q: %+v", raw, l)
		}
		if !l.Bare && l.Page < 1 {
			t.Fatalf("%q: page %d", raw, l.Page)
		}
		for _, s := range l.Sort {
			if !slices.Contains(columnNames, s.Field) {
				t.Fatalf("%q sorts by %q", raw, s.Field)
			}
		}
		for _, c := range l.Filters {
			if !slices.Contains(columnNames, c.Field) || len(c.Values) > listquery.MaxValues {
				t.Fatalf("%q: %+v", raw, c)
			}
			for _, v := range c.Values {
				if len([]rune(v)) > route.MaxValue || strings.ToValidUTF8(v, "") != v || strings.Contains(v, "\x00") {
					t.Fatalf("%q: value %q", raw, v)
				}
			}
		}
		if _, err := url.ParseQuery(raw); err != nil {
			t.Fatalf("%q is taken", raw)
		}
	})
}

// Whatever the base offers can be filtered by, in its own words and in the canonical ones.
func TestFilterByOwnChoices(t *testing.T) {
	t.Parallel()
	catalog := &columns.Catalog{}
	catalog.Set(ownChoices)
	for query, want := range map[string]rpc.Filter{
		"status=Pendiente":                                 where("status", rpc.Eq, "Pending"),
		"status=pending":                                   where("status", rpc.Eq, "Pending"),
		"status= ENVIADO ,pendiente":                       where("status", rpc.In, "Sent", "Pending"),
		"status=devuelto, sin cobrar":                      where("status", rpc.Eq, "Devuelto, sin cobrar"),
		"status_in=Devuelto, sin cobrar&status_in=Enviado": where("status", rpc.In, "Devuelto, sin cobrar", "Sent"),
		"status_ne=Enviado":                                where("status", rpc.Ne, "Sent"),
		"priority=Alta":                                    where("priority", rpc.Eq, "Alta"), // of a column that offers nothing, all there is
		"status_contains=evuel":                            where("status", rpc.Contains, "evuel"),
	} {
		l, err := ordersTable(catalog).Parse(strings.NewReplacer(" ", "%20").Replace(query), listquery.Everything)
		if err != nil || !reflect.DeepEqual(l.Filters, []rpc.Filter{want}) {
			t.Errorf("%s: %+v, %v", query, l.Filters, err)
		}
	}
	// What has a meaning everywhere can be asked for everywhere, also where the base has no such choice.
	if l, err := ordersTable(catalog).Parse("status_nin=Sent,Delivered", listquery.Everything); err != nil || !reflect.DeepEqual(l.Filters, []rpc.Filter{where("status", rpc.Nin, "Sent", "Delivered")}) {
		t.Errorf("%+v, %v", l.Filters, err)
	}
	for _, query := range []string{"status=Lost", "status_ne=Entregado", "status=Pendiente,Lost"} {
		_, err := ordersTable(catalog).Parse(query, listquery.Everything)
		if f := fault.From(err); err == nil || !strings.Contains(f.Detail.ES, "«Pending» («Pendiente»), «Sent» («Enviado »), «Devuelto, sin cobrar»") {
			t.Errorf("%s: %v", query, err)
		}
	}
	// While nobody has said what there is, nothing is refused.
	if l, err := ordersTable(&columns.Catalog{}).Parse("status=Nuevo", listquery.Everything); err != nil || !reflect.DeepEqual(l.Filters, []rpc.Filter{where("status", rpc.Eq, "Nuevo")}) {
		t.Errorf("%+v, %v", l.Filters, err)
	}
}
