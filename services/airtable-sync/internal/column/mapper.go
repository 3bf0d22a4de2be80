package column

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Mapper reads records as orders. With metadata it knows every field by id, so that a rename in
// Airtable breaks nothing; without, it learns the names as they turn up in records. It never changes.
type Mapper struct {
	cfg     Config
	byID    bool
	pinned  map[Column]string // without metadata: names that columns stay with
	frozen  bool              // the metadata cannot be read any more: this is how it was
	table   airtable.Table
	columns map[Column]int
	notes   map[Column][]fault.Text
	index   map[string]int // by id and by name
	quoted  [][]byte       // the fields' names as JSON
	words   map[Column]*vocabulary
	offered map[Column]map[string]bool // the choices of selects; nil of other fields
	dates   map[Column]dates
	misread *misread
	close   map[Column]string // fields that were almost chosen instead, by their keys
	rivals  bool              // some column had more than one candidate
}

// Config says what the operator has settled.
type Config struct {
	Named map[Column]string // fields of columns, by name or id
	Zone  *time.Location    // of dates whose field leaves it to the reader; nil for UTC
	Now   func() time.Time  // time.Now if nil
}

func (c Config) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// WithSchema makes a mapper from the table's metadata. kept are the columns' fields as they were before,
// and u is what is in the cells, nil if nobody has seen any.
func WithSchema(t airtable.Table, cfg Config, kept map[Column]Kept, u *usage) *Mapper {
	m := newMapper(t, cfg, resolve(t, u, cfg.Named, kept), kept, u)
	m.byID = true
	return m
}

// WithoutSchema makes a mapper that learns field names from records.
func WithoutSchema(cfg Config) *Mapper { return named(cfg, nil, nil, nil) }

// named makes a mapper of fields of which only the names are known. pinned are names that columns stay with.
func named(cfg Config, names []string, pinned map[Column]string, u *usage) *Mapper {
	slices.Sort(names)
	t, kept := airtable.Table{}, map[Column]Kept{}
	for _, name := range names {
		t.Fields = append(t.Fields, airtable.Field{Name: name})
	}
	for c, name := range pinned {
		kept[c] = Kept{Field: airtable.Field{Name: name}, Named: cfg.Named[c]}
	}
	m := newMapper(t, cfg, resolve(t, u, cfg.Named, kept), nil, u)
	m.pinned = pinned
	return m
}

const (
	// usual is the share of records with a cell from which on a page without one is remarkable.
	usual = 0.5
	// telling is how many records such a page must have.
	telling = 5
)

// learn returns the mapper that knows the names of a page's fields too, and not those that have another
// name by now: of a column whose cells are missing in the page while a new name has some. u is what was
// seen before.
func (m *Mapper) learn(page []airtable.Record, u *usage) *Mapper {
	here := newUsage()
	here.add(page)
	var fresh []string
	for name := range here.cells {
		if _, known := m.index[name]; !known {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) == 0 {
		return m
	}
	slices.Sort(fresh)
	pinned, gone := maps.Clone(m.pinned), map[string]bool{}
	if pinned == nil {
		pinned = map[Column]string{}
	}
	var missing []Column // in the page
	for _, c := range all {
		if i, ok := m.columns[c]; ok && here.cells[m.table.Fields[i].Name] == nil {
			missing = append(missing, c)
		}
	}
	for _, c := range missing {
		old := m.table.Fields[m.columns[c]].Name
		share, _ := u.share(old)
		remarkable := share >= usual && len(page) >= telling
		score := func(name string) int {
			g := guesser{}
			s := g.wordsOf(c, &airtable.Field{Name: name})
			switch {
			case here.onlyIDs(name):
				return 0
			case slices.Contains(ruleOf(c).names, fold(name)):
				return s
			case !remarkable:
				return 0
			case s == 0 && len(fresh) == 1 && m.alone(c, missing, u):
				return 1
			}
			return s
		}
		best := slices.MaxFunc(fresh, func(a, b string) int { return score(a) - score(b) })
		if score(best) > 0 {
			gone[old], pinned[c] = true, best
		}
	}
	names := fresh
	for _, f := range m.table.Fields {
		if !gone[f.Name] {
			names = append(names, f.Name)
		}
	}
	for c, name := range pinned { // a whole name that turns up again is as good
		if slices.Contains(ruleOf(c).names, fold(name)) || !slices.Contains(names, name) {
			delete(pinned, c)
		}
	}
	here.records = 0 // a page says little about the share of filled cells
	return named(m.cfg, names, pinned, here)
}

// alone reports whether no other column that usually has cells misses them too.
func (m *Mapper) alone(c Column, missing []Column, u *usage) bool {
	for _, other := range missing {
		if share, _ := u.share(m.table.Fields[m.columns[other]].Name); other != c && share >= usual {
			return false
		}
	}
	return true
}

func newMapper(t airtable.Table, cfg Config, g *guesser, kept map[Column]Kept, u *usage) *Mapper {
	m := &Mapper{
		cfg: cfg, table: t, columns: g.found, notes: g.notes, close: g.close, rivals: g.rivals,
		words: map[Column]*vocabulary{}, dates: map[Column]dates{}, offered: map[Column]map[string]bool{}, misread: &misread{},
	}
	for _, c := range Mapped {
		i, ok := m.columns[c]
		if !ok || !c.chosen() {
			continue
		}
		f := &t.Fields[i]
		_, options := f.Value()
		choices, was := options.Choices, false
		if isSelect(f.Type) {
			m.offered[c] = map[string]bool{}
			for _, choice := range choices {
				m.offered[c][choice.Name] = true
			}
		} else if len(choices) == 0 && f.ID != "" && kept[c].Field.ID == f.ID {
			choices, was = kept[c].Select.Options.Choices, true // the words are still those of the select that it was
		}
		if len(choices) > 0 {
			m.words[c] = newVocabulary(c, choices)
			if was {
				m.words[c].loosen()
			}
		}
		if f.Type == "multipleSelects" {
			m.note(c, "«"+f.Name+"» admite varias opciones a la vez: se muestran todas, y una edición las sustituye por una",
				"“"+f.Name+"” takes several choices at once: all are shown, and an edit replaces them by one")
		}
	}
	for _, c := range Mapped {
		if i, ok := m.columns[c]; ok && c.kind() == schema.Date {
			m.dates[c] = m.readDates(c, &m.table.Fields[i], kept[c].Field, u)
		}
	}
	m.reindex()
	return m
}

func (m *Mapper) note(c Column, es, en string) { m.notes[c] = append(m.notes[c], fault.T(es, en)) }

// readDates settles how the cells of a date's field are read; was is the field as it was before.
func (m *Mapper) readDates(c Column, f *airtable.Field, was airtable.Field, u *usage) dates {
	d := dates{zone: m.cfg.zone()}
	typ, options := f.Value()
	switch name := options.TimeZone; name {
	case "utc":
		d.zone = time.UTC
	case "", "client":
		if m.cfg.Zone == nil && (typ == "dateTime" || f.Type == "createdTime") {
			m.note(c, "«"+f.Name+"» muestra las horas en la zona de cada usuario: el día se lee en UTC; TIME_ZONE lo cambia",
				"“"+f.Name+"” shows times in the zone of each user: the day is read in UTC; TIME_ZONE changes that")
		}
	default:
		if zone, err := time.LoadLocation(name); err == nil {
			d.zone = zone
		} else {
			m.note(c, "«"+f.Name+"» está en la zona horaria desconocida «"+name+"»: el día se lee en "+d.zone.String(),
				"“"+f.Name+"” is in the unknown time zone “"+name+"”: the day is read in "+d.zone.String())
		}
	}
	if !isText(typ) && typ != "" {
		return d
	}
	format := ""
	if was.ID == f.ID {
		_, options := was.Value()
		format = options.DateFormat.Name
	}
	order := u.dayOrder(f.Key())
	d.monthFirst = format == "us" || format != "european" && order.monthFirst && !order.dayFirst
	if isText(typ) {
		first, es := "day", "día"
		if d.monthFirst {
			first, es = "month", "mes"
		}
		m.note(c, "«"+f.Name+"» es un texto: las fechas con barras se leen con el "+es+" primero",
			"“"+f.Name+"” is a text: dates with slashes are read with the "+first+" first")
	}
	return d
}

// ByID reports whether records should be asked for with cells keyed by field id.
func (m *Mapper) ByID() bool { return m.byID }

// TableID is the table's id, "" without metadata.
func (m *Mapper) TableID() string { return m.table.ID }

// unknown reports whether records have fields, or choices of mapped fields, that the metadata has not.
func (m *Mapper) unknown(page []airtable.Record) bool {
	for _, r := range page {
		for _, cell := range r.Fields {
			i, known := m.index[cell.Key]
			if !known {
				return true
			}
			for c, offered := range m.offered {
				if m.columns[c] == i && !offers(offered, cell.Value) {
					return true
				}
			}
		}
	}
	return false
}

func offers(offered map[string]bool, cell json.RawMessage) bool {
	if cell[0] != '[' {
		word := text(cell)
		return word == "" || offered[word]
	}
	return !slices.ContainsFunc(elements(cell), func(word string) bool { return !offered[word] })
}

// Field is the field of a column. Without metadata it is known by what was seen of it, or by the
// name that the operator set.
func (m *Mapper) Field(c Column) (f airtable.Field, ok bool) {
	if i, ok := m.columns[c]; ok {
		return m.table.Fields[i], true
	}
	if name := m.cfg.Named[c]; !m.byID && name != "" && name != None {
		return airtable.Field{Name: name}, true
	}
	return airtable.Field{}, false
}

// Word is the base's own word for a value of a column.
func (m *Mapper) Word(c Column, value string) string { return m.words[c].word(value) }

// Cell is what is to be written for a value of a column.
func (m *Mapper) Cell(c Column, value string) any {
	if f, _ := m.Field(c); f.Type == "multipleSelects" {
		return []string{m.Word(c, value)}
	}
	return m.Word(c, value)
}

// Offers lists the choices of a column, nil where any text will do or it is not known.
func (m *Mapper) Offers(c Column) []columns.Offer {
	if m.offered[c] == nil {
		return nil
	}
	return m.words[c].offersOrNone()
}

// Describe lists which field each column is read from.
func (m *Mapper) Describe() string {
	parts := make([]string, 0, len(m.columns))
	for _, c := range all {
		if i, ok := m.columns[c]; ok {
			parts = append(parts, fmt.Sprintf("%s=%q", c, m.table.Fields[i].Name))
		}
	}
	return strings.Join(parts, " ")
}

// Fingerprint differs where the same records would be read as other orders: another field for a column,
// another value for a choice, another day for a moment.
func (m *Mapper) Fingerprint() string {
	h := sha256.New()
	for _, c := range all {
		if i, ok := m.columns[c]; ok {
			fmt.Fprintf(h, "%s %q %q\n", c, m.table.Fields[i].Key(), m.table.Fields[i].Type)
		}
		if d, ok := m.dates[c]; ok {
			fmt.Fprintln(h, d.zone, d.monthFirst, datesVersion)
		}
		if v := m.words[c]; v != nil {
			fmt.Fprintln(h, v.folded != nil)
			for _, o := range v.offers {
				if o.Value != tidy(o.Title) {
					fmt.Fprintf(h, "%q %q\n", o.Title, o.Value)
				}
			}
		}
	}
	fmt.Fprintln(h, m.byID)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// kept is what to remember of the columns' fields; of those without one, what was remembered.
func (m *Mapper) kept(before map[Column]Kept) map[Column]Kept {
	kept := maps.Clone(before)
	if kept == nil {
		kept = map[Column]Kept{}
	}
	for c, i := range m.columns {
		f, was := m.table.Fields[i], before[c]
		k := Kept{Field: f, Named: m.cfg.Named[c], Rival: m.close[c]}
		if was.Field.ID == f.ID {
			k.Select = was.Select
			if isText(f.Type) {
				k.Was = was.Was
				if !isText(was.Field.Type) {
					k.Was = was.Field.Type
				}
			}
			if isText(f.Type) {
				_, options := was.Field.Value()
				k.Field.Options.DateFormat = options.DateFormat // of the date that it was
			}
		}
		if isSelect(f.Type) {
			k.Select = f
		}
		kept[c] = k
	}
	return kept
}

func (m *Mapper) reindex() {
	m.index = make(map[string]int, 2*len(m.table.Fields))
	m.quoted = make([][]byte, len(m.table.Fields))
	for i, f := range m.table.Fields {
		m.quoted[i] = quote(f.Name)
		m.index[f.Name] = i
	}
	for i, f := range m.table.Fields {
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
	cells := append(room[:0], make([]json.RawMessage, len(m.table.Fields))...)
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
	filled := func(c Column, s string) *string {
		if s == "" {
			m.misread.see(c, cell(c))
			return nil
		}
		texts = append(texts, s)
		return &texts[len(texts)-1]
	}
	for i := range event.Columns {
		column := &event.Columns[i]
		c := Column(column.Name)
		column.Set(&o, filled(c, m.read(column.Kind, c, cell(c))))
	}
	if at := text(cell(UpdatedAt)); at != "" {
		if t, err := time.Parse(time.RFC3339, at); err == nil {
			o.UpdatedAt = t.UTC()
		}
	}
	digest := m.digest(&o, cells, r) // of the whole
	m.truncate(&o, r)
	return o, digest
}

// truncate names the fields whose cells were cut when they were read, and cuts the values that orders are grouped by.
func (m *Mapper) truncate(o *event.Order, r airtable.Record) {
	if r.Cut > 0 {
		for _, cell := range r.Fields {
			if len(cell.Value) > r.Cut {
				o.Truncated = append(o.Truncated, m.nameOf(cell.Key))
			}
		}
	}
	for i := range event.Columns {
		column := &event.Columns[i]
		v := column.Value(o)
		if v == nil || len(*v) <= maxChoice {
			continue
		}
		if c := Column(column.Name); column.Kind == schema.Choice {
			bounded := Bounded(c, *v)
			column.Set(o, &bounded)
			if field := m.table.Fields[m.columns[c]].Name; !slices.Contains(o.Truncated, field) {
				o.Truncated = append(o.Truncated, field)
			}
		}
	}
}

// nameOf is the name of the field that a cell's key stands for.
func (m *Mapper) nameOf(key string) string {
	if i, ok := m.index[key]; ok {
		return m.table.Fields[i].Name
	}
	return key
}

// maxChoice is how many bytes a value of the columns may have that orders are grouped by: a text field may be mapped
// to them, and Postgres indexes them together, which must not exceed 2,704 bytes.
const maxChoice = 1000

// Bounded is s as Order shows it in the column: where that has choices, longer values are cut and end in "…".
func Bounded(c Column, s string) string {
	if len(s) <= maxChoice || c.kind() != schema.Choice {
		return s
	}
	end := maxChoice - len("…")
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// read reads a cell as the text of a column's value, "" for none.
func (m *Mapper) read(kind schema.Kind, c Column, cell json.RawMessage) string {
	switch {
	case kind == schema.Number:
		return number(cell)
	case kind == schema.Date:
		return m.dates[c].date(cell)
	case c.chosen():
		return m.choice(c, cell)
	default:
		return text(cell)
	}
}

// choice reads a cell as the values of the column that its choices have.
func (m *Mapper) choice(c Column, cell json.RawMessage) string {
	if len(cell) == 0 || cell[0] != '[' {
		return m.words[c].value(text(cell))
	}
	words := elements(cell)
	for i, word := range words {
		words[i] = m.words[c].value(word)
	}
	return strings.Join(words, ", ")
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
		if !ok || !computed[m.table.Fields[i].Type] && !slices.Contains(written, c) {
			continue
		}
		f := m.table.Fields[i]
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

// digest covers the mapped columns and every stored cell; without metadata, which tells those that
// Airtable computes, every cell: an order that is told too often is better than one that is out of date.
func (m *Mapper) digest(o *event.Order, cells []json.RawMessage, r airtable.Record) Digest {
	h := make([]byte, 0, 512)
	part := func(key string, value []byte) {
		h = append(append(append(append(h, key...), 0), value...), 0)
	}
	for i := range event.Columns {
		column := &event.Columns[i]
		v := column.Value(o)
		if column.Since > 1 { // empty ones are no news: orders that were published before it have no such column
			if v != nil {
				part(column.Name, []byte(*v))
			}
			continue
		}
		if v != nil {
			h = append(append(h, 1), *v...)
		}
		h = append(h, 0)
	}
	if m.byID {
		for i, f := range m.table.Fields {
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
// "" where it is not known. Its output is part of published digests: changing it republishes orders.
func canonical(typ string, cell json.RawMessage) []byte {
	if c := cell[0]; c != '{' && c != '[' {
		if bytes.IndexByte(cell, '\\') < 0 {
			return cell
		}
		// encoding/json escapes more than JSON requires, such as &: a text that requires no escape has none.
		if s := `"` + text(cell) + `"`; json.Valid([]byte(s)) && strings.IndexByte(s, '\\') < 0 {
			return []byte(s)
		}
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
