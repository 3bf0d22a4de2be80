package column

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Mapper reads records as orders. With metadata it knows every field by id, so that a rename in
// Airtable breaks nothing; without, it learns the names as they turn up in records. It never changes.
type Mapper struct {
	named   map[Column]string
	byID    bool
	table   string // its id, "" without metadata
	fields  []airtable.Field
	columns map[Column]int
	index   map[string]int // by id and by name
	quoted  [][]byte       // the fields' names as JSON
	primary string
}

// WithSchema makes a mapper from the table's metadata. Columns that cannot be found are a *MissingError.
func WithSchema(t airtable.Table, named map[Column]string) (*Mapper, error) {
	m := &Mapper{named: named, byID: true, table: t.ID, fields: t.Fields, primary: t.PrimaryFieldID}
	var missing []Column
	m.columns, missing = Resolve(t.Fields, t.PrimaryFieldID, named)
	if len(missing) > 0 {
		return nil, &MissingError{Columns: missing, Fields: Names(t.Fields)}
	}
	m.reindex()
	return m, nil
}

// WithoutSchema makes a mapper that learns field names from records.
func WithoutSchema(named map[Column]string) *Mapper {
	return &Mapper{named: named, columns: map[Column]int{}, index: map[string]int{}}
}

// ByID reports whether records should be asked for with cells keyed by field id.
func (m *Mapper) ByID() bool { return m.byID }

// TableID is the table's id, "" without metadata.
func (m *Mapper) TableID() string { return m.table }

// Learn takes in a page's field names. With metadata, it reports whether all of them are known: if
// not, the schema is out of date. Without, it returns the mapper that knows them too, and not those
// that have another name by now; a page that has cells but no column is a *MissingError.
func (m *Mapper) Learn(page []airtable.Record) (next *Mapper, known bool, err error) {
	news := false
	for _, r := range page {
		for _, cell := range r.Fields {
			if _, known := m.index[cell.Key]; !known {
				news = true
			}
		}
	}
	if !news || m.byID {
		return m, !news, nil
	}
	here := map[string]bool{}
	for _, r := range page {
		for _, cell := range r.Fields {
			here[cell.Key] = true
		}
	}
	next = WithoutSchema(m.named)
	for _, name := range slices.Sorted(maps.Keys(here)) {
		next.fields = append(next.fields, airtable.Field{Name: name})
	}
	found, _ := Resolve(next.fields, "", m.named)
	for i, f := range m.fields {
		if !here[f.Name] && !m.renamed(i, next.fields, found) {
			next.fields = append(next.fields, f)
		}
	}
	slices.SortFunc(next.fields, func(a, b airtable.Field) int { return strings.Compare(a.Name, b.Name) })
	var missing []Column
	next.columns, missing = Resolve(next.fields, "", next.named)
	next.reindex()
	if len(next.columns) == 0 {
		return m, true, &MissingError{Columns: missing, Fields: Names(next.fields)}
	}
	return next, true, nil
}

// renamed reports whether the field at i, of which a page has no cell, seems to have another name by
// now: the page has a field for its column, told by its whole name, that was not known.
func (m *Mapper) renamed(i int, page []airtable.Field, found map[Column]int) bool {
	for c, at := range m.columns {
		if j, ok := found[c]; at == i && ok {
			_, known := m.index[page[j].Name]
			return !known && slices.Contains(rules[c].names, fold(page[j].Name))
		}
	}
	return false
}

// Unseen are the columns no record has shown a cell of: empty everywhere, or named unexpectedly.
// Without metadata nobody can tell.
func (m *Mapper) Unseen() []Column {
	var unseen []Column
	for _, c := range Mapped {
		if _, ok := m.columns[c]; !ok && m.named[c] != None {
			unseen = append(unseen, c)
		}
	}
	return unseen
}

// Field is the field of a column. Without metadata it is known by what was seen of it, or by the
// name that the operator set.
func (m *Mapper) Field(c Column) (f airtable.Field, ok bool) {
	if i, ok := m.columns[c]; ok {
		return m.fields[i], true
	}
	if name := m.named[c]; !m.byID && name != "" && name != None {
		return airtable.Field{Name: name}, true
	}
	return airtable.Field{}, false
}

// Describe lists which field each column is read from.
func (m *Mapper) Describe() string {
	parts := make([]string, 0, len(m.columns))
	for _, c := range append(slices.Clone(Mapped), UpdatedAt) {
		if i, ok := m.columns[c]; ok {
			parts = append(parts, fmt.Sprintf("%s=%q", c, m.fields[i].Name))
		}
	}
	return strings.Join(parts, " ")
}

func (m *Mapper) reindex() {
	m.index = make(map[string]int, 2*len(m.fields))
	m.quoted = make([][]byte, len(m.fields))
	for i, f := range m.fields {
		m.quoted[i] = quote(f.Name)
		m.index[f.Name] = i
	}
	for i, f := range m.fields {
		if f.ID != "" {
			m.index[f.ID] = i
		}
	}
}

// Order reads a record. found is the time to show as updated_at where the table has none; it is
// no part of the digest. A cell that does not fit its column leaves it empty and stays in Fields.
func (m *Mapper) Order(r airtable.Record, found time.Time) (event.Order, Digest) {
	o := event.Order{RecordID: r.ID, CreatedAt: r.CreatedTime.UTC(), UpdatedAt: found.UTC()}
	var room [32]json.RawMessage // on the stack: few tables have more fields
	cells := append(room[:0], make([]json.RawMessage, len(m.fields))...)
	size := len("{}")
	var news airtable.Fields // of fields made after the schema was read
	for _, cell := range r.Fields {
		if i, ok := m.index[cell.Key]; ok {
			cells[i] = cell.Value
			size += len(m.quoted[i]) + len(cell.Value) + len(":,")
		} else {
			news = append(news, cell)
		}
	}
	o.Fields = append(make(json.RawMessage, 0, size), '{')
	for i, cell := range cells {
		if len(cell) > 0 {
			o.Fields = member(o.Fields, m.quoted[i], cell)
		}
	}
	for _, cell := range byKey(news) {
		o.Fields = member(o.Fields, quote(cell.Key), cell.Value)
	}
	o.Fields = append(o.Fields, '}')
	cell := func(c Column) json.RawMessage {
		if i, ok := m.columns[c]; ok {
			return cells[i]
		}
		return nil
	}
	texts := make([]string, 0, len(Mapped)) // one allocation: each order passes here on each sync
	filled := func(s string) *string {
		if s == "" {
			return nil
		}
		texts = append(texts, s)
		return &texts[len(texts)-1]
	}
	o.Name, o.Customer = filled(text(cell(Name))), filled(text(cell(Customer)))
	o.Status, o.Priority = filled(text(cell(Status))), filled(text(cell(Priority)))
	o.Amount, o.OrderDate = (*json.Number)(filled(number(cell(Amount)))), filled(date(cell(OrderDate)))
	if at := text(cell(UpdatedAt)); at != "" {
		if t, err := time.Parse(time.RFC3339, at); err == nil {
			o.UpdatedAt = t.UTC()
		}
	}
	return o, m.digest(&o, cells, r)
}

// Undo is r as it was before written were: their cells, and those of mapped columns that Airtable
// computes and may have computed from them, are as last has them. undone are the columns of these.
func (m *Mapper) Undo(r airtable.Record, written []Column, last *event.Order) (was airtable.Record, undone []Column) {
	var cells map[string]json.RawMessage
	if json.Unmarshal(last.Fields, &cells) != nil {
		return r, written
	}
	was = r
	was.Fields = slices.Clone(r.Fields)
	for _, c := range Mapped {
		i, ok := m.columns[c]
		if !ok || !computed[m.fields[i].Type] && !slices.Contains(written, c) {
			continue
		}
		f := m.fields[i]
		undone = append(undone, c)
		was.Fields = slices.DeleteFunc(was.Fields, func(cell airtable.Cell) bool { return cell.Key == f.Key() })
		if value, had := cells[f.Name]; had {
			was.Fields = append(was.Fields, airtable.Cell{Key: f.Key(), Value: value})
		}
	}
	return was, undone
}

// byKey sorts the cells.
func byKey(cells airtable.Fields) airtable.Fields {
	slices.SortFunc(cells, func(a, b airtable.Cell) int { return strings.Compare(a.Key, b.Key) })
	return cells
}

// member appends one more member to an object.
func member(object, quoted, value []byte) []byte {
	if len(object) > 1 {
		object = append(object, ',')
	}
	return append(append(append(object, quoted...), ':'), value...)
}

func quote(name string) []byte {
	quoted, err := json.Marshal(name)
	if err != nil {
		panic(err) // a string always encodes
	}
	return quoted
}

// Digest identifies the content of an order as far as a change of it is news.
type Digest [16]byte

// String is the digest as it travels in the ce-digest header.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest is the inverse of String; anything else gives the zero Digest, which no order has.
func ParseDigest(s string) (d Digest) {
	if len(s) == 2*len(d) {
		if _, err := hex.Decode(d[:], []byte(s)); err != nil {
			return Digest{}
		}
	}
	return d
}

// computed are the field types whose cells Airtable works out: they change without anybody
// changing the record (NOW() in a formula would make every scan news of every order).
var computed = map[string]bool{
	"formula": true, "rollup": true, "count": true, "lookup": true, "multipleLookupValues": true,
	"createdTime": true, "lastModifiedTime": true, "createdBy": true, "lastModifiedBy": true,
	"autoNumber": true, "button": true, "aiText": true,
}

// digest covers the mapped columns and every stored cell; without metadata, which tells those that
// Airtable computes, every cell: an order that is told too often is better than one that is out of date.
func (m *Mapper) digest(o *event.Order, cells []json.RawMessage, r airtable.Record) Digest {
	h := make([]byte, 0, 512)
	part := func(key string, value []byte) {
		h = append(append(append(append(h, key...), 0), value...), 0)
	}
	for _, v := range []*string{o.Name, o.Customer, o.Status, o.Priority, (*string)(o.Amount), o.OrderDate} {
		if v != nil {
			h = append(append(h, 1), *v...)
		}
		h = append(h, 0)
	}
	if m.byID {
		for i, f := range m.fields {
			if len(cells[i]) > 0 && !computed[f.Type] {
				part(f.ID, canonical(f.Type, cells[i]))
			}
		}
	} else {
		for _, cell := range byKey(slices.Clone(r.Fields)) {
			part(cell.Key, canonical("", cell.Value))
		}
	}
	sum := sha256.Sum256(h)
	return Digest(sum[:16])
}

// canonical is a cell without what varies between two readings of the same content: white space,
// order of keys, escapes, and the URLs of attachments, which Airtable renews every few hours. typ is
// "" where it is not known.
func canonical(typ string, cell json.RawMessage) []byte {
	if c := cell[0]; c != '{' && c != '[' && bytes.IndexByte(cell, '\\') < 0 {
		return cell
	}
	if typ == "multipleAttachments" || typ == "" {
		var files []struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(cell, &files) == nil && (typ != "" || len(files) > 0 && strings.HasPrefix(files[0].ID, "att")) {
			return fmt.Append(nil, files)
		}
	}
	var v any
	if json.Unmarshal(cell, &v) != nil {
		return cell
	}
	out, err := json.Marshal(v) // sorts keys
	if err != nil {
		return cell
	}
	return out
}

// text reads a cell as one line: a string, number or boolean as it is, an object by its name or
// text, a list by its elements. Of anything else it is "".
func text(cell json.RawMessage) string {
	if len(cell) == 0 {
		return ""
	}
	switch cell[0] {
	case '"':
		if plain := cell[1 : len(cell)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
			return string(plain)
		}
		var s string
		if json.Unmarshal(cell, &s) != nil {
			return ""
		}
		return s
	case '{':
		var object struct {
			Name  *string `json:"name"`
			Text  *string `json:"text"`
			Label *string `json:"label"`
			Email *string `json:"email"`
		}
		if json.Unmarshal(cell, &object) != nil {
			return ""
		}
		for _, v := range []*string{object.Name, object.Text, object.Label, object.Email} {
			if v != nil {
				return *v
			}
		}
		return ""
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(cell, &list) != nil {
			return ""
		}
		var parts []string
		for _, e := range list {
			if t := text(e); t != "" {
				parts = append(parts, t)
			}
		}
		return strings.Join(parts, ", ")
	case 'n': // null
		return ""
	default:
		return string(cell)
	}
}

// number reads a cell as a decimal, digit for digit; a lookup of one number counts as that number.
// What is none is "".
func number(cell json.RawMessage) string {
	if len(cell) == 0 || cell[0] == '{' {
		return ""
	}
	n := text(cell)
	if cell[0] == '[' || cell[0] == '"' {
		// ParseFloat also takes hex, infinities and underscores, which JSON does not.
		if n = strings.TrimSpace(n); !json.Valid([]byte(n)) {
			return ""
		}
	}
	if f, err := strconv.ParseFloat(n, 64); err != nil || f > 1e15 || f < -1e15 {
		return ""
	}
	return n
}

// date reads a cell as a calendar date; of a date with a time it takes the date in UTC. What is none
// is "".
func date(cell json.RawMessage) string {
	day := text(cell)
	if len(day) > len(time.DateOnly) {
		if at, err := time.Parse(time.RFC3339, day); err == nil {
			day = at.UTC().Format(time.DateOnly)
		}
	}
	if day == "" || !event.ValidDate(day) {
		return ""
	}
	return day
}
