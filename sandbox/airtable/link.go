package airtabletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/sandbox/airtable/internal/formula"
)

// This file is what goes from table to table: links, and the fields that are computed along them.
// A field refers only to fields that were there before it, so there are no circles.

// MarshalText makes texts of the ids of a link cell.
func (id recordID) MarshalText() ([]byte, error) { return id[:], nil }

// newLink is the name of a record that typecast will add if the whole request succeeds.
type newLink string

// linked is the table that a link field links to.
func (c *column) linked() *table { return c.owner.base.tableByID(c.LinkedTable) }

// inverse is the field that links back; nil if there is none.
func (c *column) inverse() *column {
	if c.Type != MultipleRecordLinks || c.Inverse == "" {
		return nil
	}
	return c.linked().fieldByID(c.Inverse)
}

// via is the link field that a count, lookup or rollup goes by; nil if it is no more.
func (c *column) via() *column {
	if link := c.owner.fieldByID(c.Link); link != nil && link.Type == MultipleRecordLinks {
		return link
	}
	return nil
}

// target is the field of the linked table that a lookup or rollup shows; nil if it is no more.
func (c *column) target() *column {
	if via := c.via(); via != nil {
		return via.linked().fieldByID(c.Target)
	}
	return nil
}

// primary is the field that names the records.
func (t *table) primary() *column {
	for _, c := range t.columns {
		if !c.deleted {
			return c
		}
	}
	return nil
}

// title is the name of a record.
func (t *table) title(r *record) string {
	p, v := t.primary(), view{t, r, t.base.now()}
	return p.display(v.Field(p.index), time.UTC)
}

// records are those that a cell of a link field links to.
func (c *column) records(v cell) []*record {
	ids, _ := v.([]recordID) // nil if it is empty
	list := make([]*record, 0, len(ids))
	for _, id := range ids {
		if r := c.linked().byID[id]; r != nil {
			list = append(list, r)
		}
	}
	return list
}

func (c *column) linkNames(ids []recordID) []string {
	records := c.records(ids)
	names := make([]string, len(records))
	for i, r := range records {
		names[i] = c.linked().title(r)
	}
	return names
}

// freeName is name, or the name with the first number that no field has.
func (t *table) freeName(name string) string {
	free := name
	for n := 2; t.lookup(free) >= 0; n++ {
		free = name + " " + strconv.Itoa(n)
	}
	return free
}

// resolveLink turns what a count, lookup or rollup refers to into ids.
func (t *table) resolveLink(f *Field) error {
	i := t.lookup(f.Link)
	if i < 0 || t.columns[i].Type != MultipleRecordLinks {
		return fmt.Errorf("no link field %q", f.Link)
	}
	f.Link = t.columns[i].ID
	if f.Type == Count {
		return nil
	}
	linked := t.columns[i].linked()
	if i = linked.lookup(f.Target); i < 0 {
		return fmt.Errorf("no field %q in table %q", f.Target, linked.name)
	}
	f.Target = linked.columns[i].ID
	return nil
}

// parseLinks reads record ids or, with typecast, names of records.
func (c *column) parseLinks(v any, typecast bool) (cell, *apiError) {
	list, ok := v.([]any)
	if s, isText := v.(string); isText && typecast {
		for part := range strings.SplitSeq(s, ",") {
			list = append(list, strings.TrimSpace(part))
		}
		ok = true
	}
	if !ok {
		return nil, unprocessable("INVALID_VALUE_FOR_COLUMN", "Value is not an array of record IDs.")
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		s, _ := e.(string)
		id, fail := c.parseLink(s, typecast)
		if fail != nil {
			return nil, fail
		}
		if id != nil && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// parseLink returns a recordID, a newLink or, for an empty name, nil.
func (c *column) parseLink(s string, typecast bool) (any, *apiError) {
	linked := c.linked()
	id, ok := parseID(s)
	if ok && linked.byID[id] != nil {
		return id, nil
	}
	if typecast {
		if s == "" {
			return nil, nil
		}
		if r := linked.titled(s); r != nil {
			return r.id, nil
		}
		if _, fail := linked.primary().parse(s, true); fail != nil {
			return nil, fail
		}
		return newLink(s), nil
	}
	if !ok {
		return nil, unprocessable("INVALID_RECORD_ID", `Value "%s" is not a valid record ID.`, s)
	}
	if other, _ := c.owner.base.record(id); other != nil {
		return nil, unprocessable("ROW_TABLE_DOES_NOT_MATCH_LINKED_TABLE",
			"Record ID %s belongs to table %s, but the field links to table %s", s, other.id, linked.id)
	}
	return nil, rowMissing(s)
}

// titled finds the first record of that name; nil if there is none.
func (t *table) titled(name string) *record {
	for _, r := range t.rows {
		if t.title(r) == name {
			return r
		}
	}
	return nil
}

// settleLinks adds the records that were asked for by name.
func (tx *transaction) settleLinks(c *column, list []any, now int64) cell {
	ids := make([]recordID, 0, len(list))
	linked := c.linked()
	for _, e := range list {
		if name, isNew := e.(newLink); isNew {
			r := linked.titled(string(name))
			if r == nil {
				p := linked.primary()
				v, _ := p.parse(string(name), true) // parsed once before
				r = tx.create(linked, map[int]cell{p.index: v}, now)
			}
			e = r.id
		}
		if id, ok := e.(recordID); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// mirror brings the inverse of a link field in step with a cell that changed.
func (tx *transaction) mirror(c *column, r *record, was, is cell, now int64) {
	inverse := c.inverse()
	if inverse == nil {
		return
	}
	before, after := c.records(was), c.records(is)
	for _, other := range before {
		if !slices.Contains(after, other) {
			tx.put(inverse, other, without(other.cell(inverse.index), r.id), now)
		}
	}
	for _, other := range after {
		if !slices.Contains(before, other) {
			ids, _ := other.cell(inverse.index).([]recordID) // nil if it is empty
			tx.put(inverse, other, append(slices.Clip(ids), r.id), now)
		}
	}
}

// without is a link cell without the links to some records.
func without(v cell, gone ...recordID) cell {
	ids, _ := v.([]recordID) // nil if it is empty
	ids = slices.DeleteFunc(slices.Clone(ids), func(id recordID) bool { return slices.Contains(gone, id) })
	if len(ids) == 0 {
		return nil
	}
	return ids
}

// unlink takes the links to records out that are about to be deleted.
func (tx *transaction) unlink(t *table, gone []recordID) {
	now := tx.at.Unix() * 1000
	for _, other := range tx.base.tables {
		for _, c := range other.columns {
			if c.deleted || c.Type != MultipleRecordLinks || c.LinkedTable != t.id {
				continue
			}
			for _, id := range gone {
				for _, row := range c.linking(id) {
					if other != t || !slices.Contains(gone, row.id) {
						tx.put(c, row, without(row.cell(c.index), gone...), now)
					}
				}
			}
		}
	}
}

// linking returns the records whose cell of a link field links to the one of that id.
func (c *column) linking(id recordID) []*record {
	if inverse := c.inverse(); inverse != nil {
		if r := inverse.owner.byID[id]; r != nil {
			return inverse.records(r.cell(inverse.index))
		}
		return nil
	}
	var list []*record
	for _, r := range c.owner.rows {
		if ids, _ := r.cell(c.index).([]recordID); slices.Contains(ids, id) {
			list = append(list, r)
		}
	}
	return list
}

// dependents calls f with the records that show cells of r in computed fields.
func (b *base) dependents(t *table, r *record, f func(*table, *record)) {
	for _, other := range b.tables {
		for _, c := range other.columns {
			for _, link := range c.through() {
				if link.LinkedTable != t.id {
					continue
				}
				for _, row := range link.linking(r.id) {
					f(other, row)
				}
			}
		}
	}
}

// through are the link fields by which a computed field reads other records.
func (c *column) through() (links []*column) {
	switch {
	case c.deleted:
	case c.Type == Lookup || c.Type == Rollup:
		if via := c.via(); via != nil {
			links = append(links, via)
		}
	case c.Type == Formula:
		for _, i := range c.prog.Fields() {
			if link := c.owner.columns[i]; !link.deleted && link.Type == MultipleRecordLinks {
				links = append(links, link)
			}
		}
	}
	return links
}

// linkedValue computes a count, lookup or rollup.
func (c *column) linkedValue(r *record, now time.Time) formula.Value {
	via, target := c.via(), c.target()
	if via == nil || target == nil && c.Type != Count {
		return formula.Failed
	}
	records := via.records(r.cell(via.index))
	if c.Type == Count {
		return formula.Num(float64(len(records)))
	}
	var texts []string
	for _, other := range records {
		v := view{target.owner, other, now}
		switch value := v.Field(target.index); value.Kind() {
		case formula.Blank:
		case formula.List:
			texts = append(texts, value.List()...)
		default:
			texts = append(texts, value.Text())
		}
	}
	if c.Type == Lookup {
		if len(texts) == 0 {
			return formula.Value{}
		}
		return formula.Strings(texts)
	}
	return c.prog.Evaluator(now).Eval(rolled{&view{c.owner, r, now}, texts})
}

// rolled is the row that a rollup's formula reads: its only field is values.
type rolled struct {
	*view
	values []string
}

func (r rolled) Field(int) formula.Value { return formula.Strings(r.values) }

// appendLookup appends the looked-up cells as one list; false if all are empty.
func (c *column) appendLookup(dst []byte, r *record, how *rendering) ([]byte, bool) {
	values := []byte{}
	filled := false
	for _, list := range c.lookedUp(r, how) {
		for _, v := range list {
			filled = filled || string(v) != "null"
			values = append(append(values, v...), ',')
		}
	}
	if !filled {
		return dst, false
	}
	return append(append(append(dst, '['), values[:len(values)-1]...), ']'), true
}

// lookedUp returns the values of a lookup for each linked record: the elements of a list, null for an empty cell.
func (c *column) lookedUp(r *record, how *rendering) [][]json.RawMessage {
	via, target := c.via(), c.target()
	if target == nil {
		return nil
	}
	records := via.records(r.cell(via.index))
	lists := make([][]json.RawMessage, len(records))
	for i, other := range records {
		lists[i] = []json.RawMessage{json.RawMessage("null")}
		cell, ok := target.owner.appendCell(nil, other, target, how)
		if !ok {
			continue
		}
		if cell[0] == '[' {
			_ = json.Unmarshal(cell, &lists[i]) // it was made here
		} else {
			lists[i][0] = cell
		}
	}
	return lists
}

// webhookLinks is a link cell, or a lookup, as webhooks show it; nil if it is empty.
// https://airtable.com/developers/web/api/field-model
func (c *column) webhookLinks(r *record, how *rendering) json.RawMessage {
	via := c
	if c.Type == Lookup {
		if via = c.via(); via == nil {
			return nil
		}
	}
	records := via.records(r.cell(via.index))
	if len(records) == 0 {
		return nil
	}
	if c.Type != Lookup {
		list := make([]linkCell, len(records))
		for i, other := range records {
			list[i] = linkCell{other.id, c.linked().title(other)}
		}
		return mustJSON(list)
	}
	ids := make([]recordID, len(records))
	values := map[recordID][]json.RawMessage{}
	for i, list := range c.lookedUp(r, how) {
		ids[i], values[records[i].id] = records[i].id, list
	}
	return mustJSON(object{"linkedRecordIds": ids, "valuesByLinkedRecordId": values})
}

type linkCell struct {
	ID   recordID `json:"id"`
	Name string   `json:"name"`
}

// restoreLinks reads a cell of Config.File; the records may come later in it.
func (c *column) restoreLinks(v any) (cell, error) {
	list, _ := v.([]any)
	ids := make([]recordID, len(list))
	for i, e := range list {
		s, _ := e.(string)
		id, ok := parseID(s)
		if !ok {
			return nil, fmt.Errorf("links of field %q: %v is no record id", c.Name, e)
		}
		ids[i] = id
	}
	return ids, nil
}

// linkOptions are the options of a field that goes by links.
func (c *column) linkOptions() object {
	if c.Type == MultipleRecordLinks {
		o := object{"linkedTableId": c.LinkedTable, "isReversed": false, "prefersSingleRecordLink": c.SingleLink}
		if c.Inverse != "" {
			o["inverseLinkFieldId"] = c.Inverse
		}
		return o
	}
	target := c.target()
	o := object{"isValid": c.via() != nil && (target != nil || c.Type == Count), "recordLinkFieldId": c.Link}
	if c.Type == Count {
		return o
	}
	o["fieldIdInLinkedTable"], o["result"] = c.Target, nil
	if c.Type == Rollup {
		o["referencedFieldIds"] = []string{}
	}
	if target != nil {
		o["result"] = c.result(target)
	}
	return o
}

// result is the type of what a lookup or rollup gives.
func (c *column) result(target *column) object {
	if c.Type == Rollup {
		switch name, _, _ := strings.Cut(strings.ToUpper(c.Formula), "("); strings.TrimSpace(name) {
		case "SUM", "MIN", "MAX", "AVERAGE":
		case "COUNT", "COUNTA", "COUNTALL":
			return object{"type": Number, "options": object{"precision": 0}}
		default:
			return object{"type": SingleLineText}
		}
	}
	result := object{"type": target.Type}
	if options := target.owner.options(target); options != nil {
		result["options"] = options
	}
	return result
}
