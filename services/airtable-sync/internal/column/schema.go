package column

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Store is where the schema is remembered over restarts, and published.
type Store interface {
	Load(ctx context.Context) ([]byte, error) // nil for nothing
	Save(ctx context.Context, data []byte) error
	Publish(ctx context.Context, s columns.Source) error
}

// Schema is the mapper as it is now, shared by all who read and write records. It is safe for
// concurrent use.
type Schema struct {
	client *airtable.Client
	cfg    Config
	store  Store
	log    *slog.Logger
	mapper atomic.Pointer[Mapper]

	mu      sync.Mutex // held while the mapper is changed
	memory  memory
	retryAt time.Time     // when to ask again for metadata that was refused; zero if it was not
	retryIn time.Duration // the wait that ends then, doubled by each refusal
	usage   *usage        // of this scan; without metadata
	before  *usage        // of the scan before
	logged  map[fault.Text]bool
	mutable sync.Mutex // guards what follows
	extra   map[Column]fault.Text
}

// memory is what outlives a restart. It is a hint: without it columns are guessed anew.
type memory struct {
	Source string          `json:"source"`
	Table  airtable.Table  `json:"table"` // as the metadata last described it
	Kept   map[Column]Kept `json:"kept,omitempty"`
	// Missing are the fields of Table, by id, and their choices, by field/choice, that the metadata no longer lists, and
	// since when.
	Missing map[string]time.Time `json:"missing,omitempty"`
}

// NewSchema makes a schema that is not read yet.
func NewSchema(client *airtable.Client, cfg Config, store Store, log *slog.Logger) *Schema {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Schema{client: client, cfg: cfg, store: store, log: log, usage: newUsage(), before: newUsage(), logged: map[fault.Text]bool{}}
}

// Mapper is nil until the schema was read.
func (s *Schema) Mapper() *Mapper { return s.mapper.Load() }

// Load reads the schema if nobody has yet, and reports whether it did.
func (s *Schema) Load(ctx context.Context) (read bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mapper.Load() != nil {
		return false, nil
	}
	data, err := s.store.Load(ctx)
	if err != nil {
		return false, err
	}
	var m memory
	if json.Unmarshal(data, &m) == nil && m.Source == s.client.Source() {
		s.memory = m
	}
	return true, s.refresh(ctx)
}

// Refresh finds the columns anew by metadata, or by name where the token may not read that.
func (s *Schema) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refresh(ctx)
}

func (s *Schema) refresh(ctx context.Context) error {
	old := s.mapper.Load()
	table, err := s.describe(ctx)
	s.scheduleRetry(err)
	var fresh *Mapper
	switch {
	case err == nil:
		missing, err := s.retain(ctx, &table)
		if err != nil {
			return err
		}
		if fresh, err = s.read(ctx, table); err != nil {
			return err
		}
		fresh.noteMissing(missing)
		s.memory = memory{Source: s.client.Source(), Table: table, Kept: fresh.kept(s.memory.Kept), Missing: missing}
		s.remember(ctx)
	case !isRefusal(err):
		return err
	case s.memory.Table.ID != "": // invariant 11: what was known of the table stays so
		s.log.Warn("metadata refused, keeping the known schema", "error", err)
		fresh = WithSchema(s.memory.Table, s.cfg, s.memory.Kept, nil)
		fresh.frozen = true
	case !airtable.IsForbidden(err):
		return err
	case old == nil:
		s.log.Warn("columns are found by name: the token lacks the scope schema.bases:read", "error", err)
		fresh = WithoutSchema(s.cfg)
	default:
		fresh = old
	}
	if old == nil || old.Describe() != fresh.Describe() {
		s.log.Info("columns found", "table", fresh.table.Name, "columns", fresh.Describe())
	}
	s.before, s.usage = s.usage, newUsage()
	return s.use(ctx, fresh)
}

// Refused metadata is asked for again, as the refusals may have been a failure of Airtable's (invariant 11). A token
// that lacks the scope costs eleven calls on the first day and then one a day.
const (
	firstRetry = time.Minute
	lastRetry  = 24 * time.Hour
)

func (s *Schema) scheduleRetry(err error) {
	if err == nil || !isRefusal(err) {
		s.retryAt, s.retryIn = time.Time{}, 0
		return
	}
	s.retryIn = min(max(2*s.retryIn, firstRetry), lastRetry)
	s.retryAt = s.cfg.Now().Add(s.retryIn)
}

// isRefusal reports an answer that says the metadata or the table is not there, or not for us.
func isRefusal(err error) bool {
	_, missing := errors.AsType[*airtable.NoTableError](err)
	return missing || airtable.IsForbidden(err)
}

// confirmations are the waits before a first refusal of the metadata is believed.
var confirmations = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond}

// describe fetches the table's metadata. A token that nothing is known of yet lacks the scope only if it is refused
// repeatedly (invariant 11).
func (s *Schema) describe(ctx context.Context) (airtable.Table, error) {
	table, err := s.client.Schema(ctx)
	for _, wait := range confirmations {
		if !airtable.IsForbidden(err) || s.memory.Table.ID != "" || s.mapper.Load() != nil {
			break
		}
		select {
		case <-ctx.Done():
			return airtable.Table{}, ctx.Err()
		case <-time.After(wait):
		}
		table, err = s.client.Schema(ctx)
	}
	return table, err
}

// confirmAfter is how long the metadata must have lacked a field until that is believed. Meanwhile the field costs
// nothing: its cells, if it is gone, are in no record.
const confirmAfter = 10 * time.Minute

// retain adds to t, in their places, the known fields that t lacks and that may still be there (invariant 11): those
// that it lacks for less than confirmAfter, and those that records have cells of. It returns since when they miss.
func (s *Schema) retain(ctx context.Context, t *airtable.Table) (missing map[string]time.Time, err error) {
	now, filled := s.cfg.Now(), (*usage)(nil)
	if s.memory.Table.ID != t.ID {
		return nil, nil
	}
	missing = map[string]time.Time{}
	place := 0
	for _, f := range s.memory.Table.Fields {
		if i := slices.IndexFunc(t.Fields, func(o airtable.Field) bool { return o.ID == f.ID }); i >= 0 {
			place = i + 1
			s.retainChoices(f, &t.Fields[i], missing)
			continue
		}
		since := s.missingSince(f.ID)
		if now.Sub(since) >= confirmAfter {
			if filled == nil {
				if filled, err = s.sample(ctx); err != nil {
					return nil, err
				}
			}
			if filled.cells[f.ID] == nil {
				s.log.Warn("field removed", "field", f.Name, "id", f.ID)
				continue
			}
			since = now
		}
		missing[f.ID] = since
		t.Fields = slices.Insert(t.Fields, place, f)
		place++
	}
	if len(missing) > 0 {
		s.log.Warn("metadata incomplete, keeping what was known", "missing", len(missing))
	}
	return missing, nil
}

// retainChoices adds to now, in their places, the choices of known that it lacks, until it has lacked them for
// confirmAfter (invariant 11): without them, orders would show a choice's own word in place of its meaning. It notes
// since when they miss in missing.
func (s *Schema) retainChoices(known airtable.Field, now *airtable.Field, missing map[string]time.Time) {
	if known.Type != now.Type {
		return
	}
	places := make(map[string]int, len(now.Options.Choices)) // there may be thousands
	for i, c := range now.Options.Choices {
		places[choiceKey(known.ID, c)] = i
	}
	place, added := 0, 0
	for _, c := range known.Options.Choices {
		key := choiceKey(known.ID, c)
		if i, there := places[key]; there {
			place = i + added + 1
			continue
		}
		since := s.missingSince(key)
		if s.cfg.Now().Sub(since) >= confirmAfter {
			continue
		}
		missing[key] = since
		now.Options.Choices = slices.Insert(now.Options.Choices, place, c)
		place, added = place+1, added+1
	}
}

// missingSince is since when the metadata lacks a field or a choice: now, if that is new.
func (s *Schema) missingSince(key string) time.Time {
	if since, before := s.memory.Missing[key]; before {
		return since
	}
	return s.cfg.Now()
}

// ChoiceRefused notes that Airtable does not take a value in a column: if the metadata lacks that choice too, it is gone.
func (s *Schema) ChoiceRefused(ctx context.Context, c Column, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mapper.Load()
	field, word := s.memory.Kept[c].Field.ID, m.Word(c, value)
	i := slices.IndexFunc(s.memory.Table.Fields, func(f airtable.Field) bool { return f.ID == field })
	if !m.byID || i < 0 {
		return nil
	}
	table := s.memory.Table
	table.Fields = slices.Clone(table.Fields)
	options := &table.Fields[i].Options
	options.Choices = slices.DeleteFunc(slices.Clone(options.Choices), func(o airtable.Choice) bool {
		_, missing := s.memory.Missing[choiceKey(field, o)]
		return missing && o.Name == word
	})
	if len(options.Choices) == len(s.memory.Table.Fields[i].Options.Choices) {
		return nil
	}
	fresh, err := s.read(ctx, table)
	if err != nil {
		return err
	}
	s.memory.Table = table
	s.remember(ctx)
	return s.use(ctx, fresh)
}

// choiceKey names a choice of a field in memory.Missing.
func choiceKey(field string, c airtable.Choice) string { return field + "/" + cmp.Or(c.ID, c.Name) }

// sample reads what is in the cells of a page of records.
func (s *Schema) sample(ctx context.Context) (*usage, error) {
	p, err := s.client.Page(ctx, airtable.Query{ByFieldID: true}, "")
	if err != nil {
		return nil, err
	}
	u := newUsage()
	u.add(p.Records)
	return u, nil
}

// Removed notes that Airtable has said of fields, by their ids, that they were removed: metadata without them is right.
func (s *Schema) Removed(fields []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	missing := maps.Clone(s.memory.Missing)
	if missing == nil {
		missing = map[string]time.Time{}
	}
	for _, id := range fields {
		missing[id] = time.Time{}
	}
	s.memory.Missing = missing
}

// Due reports whether the metadata should be read again, as what it lacked may be gone by now, or as it was refused.
func (s *Schema) Due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.retryAt.IsZero() && !s.cfg.Now().Before(s.retryAt) {
		return true
	}
	for _, since := range s.memory.Missing {
		if s.cfg.Now().Sub(since) >= confirmAfter {
			return true
		}
	}
	return false
}

// noteMissing notes which columns have a field that the metadata lacks.
func (m *Mapper) noteMissing(missing map[string]time.Time) {
	for c, i := range m.columns {
		if f := m.table.Fields[i]; !missing[f.ID].IsZero() {
			m.note(c, "El esquema de Airtable ya no incluye «"+f.Name+"»: la columna se vacía si sigue faltando",
				"Airtable's schema no longer lists “"+f.Name+"”: the column becomes empty if it stays missing")
		}
	}
}

// read makes a mapper of the metadata. Where more than one field could be a column's, or where dates are
// texts, it looks at a page of records first.
func (s *Schema) read(ctx context.Context, t airtable.Table) (*Mapper, error) {
	m := WithSchema(t, s.cfg, s.memory.Kept, nil)
	date, _ := m.Field(OrderDate)
	if typ, _ := date.Value(); !m.rivals && !isText(typ) {
		return m, nil
	}
	u, err := s.sample(ctx)
	if err != nil {
		return nil, err
	}
	return WithSchema(t, s.cfg, s.memory.Kept, u), nil
}

// remember saves the memory. A schema with thousands of choices may be larger than a message, and must stop nothing.
func (s *Schema) remember(ctx context.Context) {
	small := s.memory
	small.Table.Fields = slices.Clone(small.Table.Fields)
	for i, f := range small.Table.Fields {
		if !s.holdsColumn(f.ID) { // choices of others are of no use
			small.Table.Fields[i].Options.Choices = nil
		}
	}
	data, err := json.Marshal(small)
	if err == nil {
		err = s.store.Save(ctx, data)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Warn("schema not saved", "error", err)
	}
}

// holdsColumn reports whether the field of an id is that of a column.
func (s *Schema) holdsColumn(id string) bool {
	for _, k := range s.memory.Kept {
		if k.Field.ID == id {
			return true
		}
	}
	return false
}

// use makes m the mapper, and publishes what it knows.
func (s *Schema) use(ctx context.Context, m *Mapper) error {
	s.mapper.Store(m)
	return s.store.Publish(ctx, columns.Source{Name: columns.Main, Columns: s.Columns()})
}

// Learn takes in a page's records. With metadata it reports whether all fields and choices in them are known:
// if not, the schema is out of date. Without, it returns the mapper that knows their fields' names too. The
// schema must have been read.
func (s *Schema) Learn(records []airtable.Record) (m *Mapper, known bool) {
	m = s.mapper.Load()
	if m.byID {
		return m, m.frozen || !m.unknown(records)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m = s.mapper.Load()
	next := m.learn(records, s.seen())
	s.usage.add(records)
	if next != m {
		s.log.Info("columns found", "columns", next.Describe())
		s.mapper.Store(next)
	}
	return next, true
}

// seen is the usage of the last whole scan, or of this one where there was none.
func (s *Schema) seen() *usage {
	if s.before.records > 0 {
		return s.before
	}
	return s.usage
}

// Scanned notes that all records were read: it logs what people should know and publishes it.
func (s *Schema) Scanned(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mapper.Load()
	s.mutable.Lock()
	s.extra = m.afterScan(s.usage, s.before)
	s.mutable.Unlock()
	for _, c := range s.Columns() {
		for _, note := range c.Notes {
			if !s.logged[note] {
				s.logged[note] = true
				s.log.Warn("column needs attention", "column", c.Name, "field", c.Title, "why", note.EN)
			}
		}
	}
	return s.use(ctx, m)
}

// afterScan says which columns had cells that could not be read, and which have lost all of theirs.
func (m *Mapper) afterScan(now, before *usage) map[Column]fault.Text {
	extra := map[Column]fault.Text{}
	for _, c := range Mapped {
		i, ok := m.columns[c]
		name := ""
		if ok {
			name = m.table.Fields[i].Name
		}
		example, misread := m.misread.example(c)
		share, known := now.share(name)
		was, _ := before.share(name)
		switch {
		case misread:
			extra[c] = fault.T("hay celdas de «"+name+"» que no se pueden leer y quedan vacías, como «"+example+"»",
				"there are cells of “"+name+"” that cannot be read and stay empty, such as “"+example+"”")
		case ok && !m.byID && known && share == 0 && was > 0:
			extra[c] = fault.T("«"+name+"» ya no tiene ninguna celda: ¿se llama ahora de otro modo? "+Variable(c)+" nombra el campo",
				"“"+name+"” has no cell any more: does it have another name now? "+Variable(c)+" names the field")
		}
	}
	return extra
}

// Columns describes the columns as they are read now. It is empty until the schema was read.
func (s *Schema) Columns() []columns.Column {
	m := s.mapper.Load()
	if m == nil {
		return nil
	}
	s.mutable.Lock()
	extra := maps.Clone(s.extra)
	s.mutable.Unlock()
	out := make([]columns.Column, 0, len(Mapped))
	for _, core := range event.Columns {
		c := Column(core.Name)
		d := columns.Column{Name: core.Name, Kind: core.Kind, Notes: slices.Clone(m.notes[c])}
		f, there := m.Field(c)
		if there {
			d.Title, d.Field = f.Name, f.ID
		}
		if note, ok := extra[c]; ok {
			d.Notes = append(d.Notes, note)
		}
		if c.chosen() {
			d.Kind = schema.Text
			if d.Offers = m.Offers(c); size(d.Offers) > maxOffers { // any text will do, and Airtable refuses what it does not offer
				d.Offers = nil
				d.Notes = append(d.Notes, fault.T("El campo tiene demasiadas opciones para enumerarlas", "The field has too many choices to list"))
			}
			if d.Offers != nil {
				d.Kind = schema.Choice
			}
			if f.Type == "multipleSelects" {
				d.Kind = schema.Choices
			}
		}
		d.Editable = core.Edit && m.cfg.Named[c] != None && (!m.byID || there && !computed[f.Type])
		out = append(out, d)
	}
	return out
}

// maxOffers is how many bytes the choices of a column may have: they travel in every status, which has to fit a message.
const maxOffers = 100 << 10

func size(offers []columns.Offer) (n int) {
	for _, o := range offers {
		n += len(o.Value) + len(o.Title) + len(`{"value":"","title":""},`)
	}
	return n
}

// Trouble says for people why the schema is not read as it is now, if it is not.
func (s *Schema) Trouble() fault.Text {
	switch m := s.mapper.Load(); {
	case m == nil || m.byID && !m.frozen:
		return fault.Text{}
	case m.frozen:
		return fault.T("Airtable no deja leer el esquema de la base: los campos y sus opciones son los últimos conocidos",
			"Airtable refuses to describe the base: fields and choices are as they were last known")
	default:
		return fault.T("La clave no tiene el permiso schema.bases:read: las columnas se buscan por su nombre y no se conocen las opciones",
			"The token lacks the scope schema.bases:read: columns are found by name, and choices are not known")
	}
}
