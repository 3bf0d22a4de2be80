package listquery

import (
	"fmt"
	"math"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Params documents what parse reads. own describes the parameters of t.own; standard is the default sort.
func (t *Table) Params(allow Allowed, standard string, own []*huma.Param) []*huma.Param {
	var params []*huma.Param
	if allow == Everything {
		params = append(params, route.Param("page", "default 1", route.Whole(1, 0), 1),
			route.Param(t.Size, fmt.Sprintf("default %d", DefaultSize), route.Whole(1, MaxPageSize), 10))
	}
	params = append(params, own...)
	if allow >= FiltersAndSort {
		sorted := t.Names(rpc.Sorted)
		some := strings.Join(sorted[1:min(3, len(sorted))], ",")
		params = append(params,
			route.Param("sort", "columns with commas between; - before one for descending. Default: "+standard, route.Text(), "-"+some),
			route.Param("_sort", "columns with commas between, as Refine sends them", route.Text(), some),
			route.Param("_order", "asc or desc for each column of _sort", route.Text(), "desc,asc"))
	}
	if allow == Everything {
		params = append(params,
			route.Param("_start", "the first row, counted from 0; the answer is a bare array", route.Whole(0, MaxOffset), 0),
			route.Param("_end", fmt.Sprintf("the row after the last, at most %d after _start", MaxPageSize), route.Whole(1, 0), 10))
	}
	for _, c := range t.Columns {
		if c.Has(rpc.Filtered) && t.Own[c.Name] == nil {
			params = append(params, route.Param(c.Name, "equals; repeat it for any of several", t.schema(c), nil))
		}
	}
	for _, c := range t.Columns {
		if !c.Has(rpc.Filtered) {
			continue
		}
		suffixes := []string{"ne", "gte", "lte"}
		switch c.Kind {
		case schema.Text, schema.Choice:
			suffixes = append(suffixes, "like")
		case rpc.Link:
			suffixes = []string{"ne", "like"}
		case rpc.Bool:
			suffixes = suffixes[:1]
		default:
		}
		for _, suffix := range suffixes {
			schema := route.Text()
			if suffix != "like" {
				schema = t.schema(c)
			}
			params = append(params, route.Param(c.Name+"_"+suffix, suffixNotes[suffix], schema, nil))
		}
	}
	return params
}

var suffixNotes = map[string]string{
	"ne": "differs from", "gte": "is at least", "lte": "is at most", "like": "contains, in any case",
}

// schema is that of a value to compare a column with.
func (t *Table) schema(c Column) *huma.Schema {
	switch c.Kind {
	case rpc.Number:
		return &huma.Schema{Type: huma.TypeNumber}
	case rpc.Date:
		return &huma.Schema{Type: huma.TypeString, Format: "date"}
	case rpc.Time:
		return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
	case rpc.Bool:
		return &huma.Schema{Type: huma.TypeBoolean}
	case rpc.Link:
		return route.Whole(1, math.MaxInt32)
	default:
		return route.Text()
	}
}
