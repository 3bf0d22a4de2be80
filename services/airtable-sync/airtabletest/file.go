package airtabletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"
)

// Saving looks for changes every second, rests ten times as long as it took,
// so that a large table costs no more than a tenth of its time, and holds the
// table's lock for a thousand records at once.
const (
	saveEvery = time.Second
	saveRest  = 10
	saveChunk = 1000
)

// origin is what a table was made for: a file of another origin is not loaded,
// so that asking for other samples gives them.
type origin struct {
	BaseID   string `json:"base"`
	TableID  string `json:"table"`
	Language string `json:"language"`
	Orders   int    `json:"orders"`
	Seed     uint64 `json:"seed"`
}

func (cfg *Config) origin() origin {
	return origin{cfg.BaseID, cfg.TableID, cfg.Language, cfg.Orders, cfg.Seed}
}

// The file is {"table": savedTable, "records": [savedRecord, …]}.
type savedTable struct {
	Origin origin       `json:"origin"`
	Name   string       `json:"name"`
	View   string       `json:"view"`
	Number uint32       `json:"number"` // the last autonumber given
	Fields []savedField `json:"fields"`
}

// savedField refers to other fields by id, for they may have been renamed or
// deleted since. A deleted field is kept, as in table.columns.
type savedField struct {
	Field
	ChoiceIDs []string `json:"choice_ids,omitempty"`
	Deleted   bool     `json:"deleted,omitempty"`
}

// savedRecord has its times in Unix milliseconds and its cells, those that are
// not computed, by field id as the API gives them.
type savedRecord struct {
	ID       string         `json:"id"`
	Number   uint32         `json:"number"`
	Created  int64          `json:"created"`
	Modified int64          `json:"modified"`
	Touched  []int64        `json:"touched,omitempty"`
	Fields   map[string]any `json:"fields"`
}

// open returns the table of Config.File or else one of samples. A file that
// can't be read or is of another origin is set aside: it may hold work.
func open(cfg *Config) *table {
	if cfg.File == "" {
		return seed(*cfg)
	}
	t, err := load(cfg)
	switch {
	case err == nil:
		return t
	case !errors.Is(err, fs.ErrNotExist):
		aside := cfg.File + ".old"
		cfg.Log.Warn("airtable sandbox: starting with new samples, the file was set aside",
			"file", cfg.File, "as", aside, "error", errors.Join(err, os.Rename(cfg.File, aside)))
	}
	return seed(*cfg)
}

func load(cfg *Config) (*table, error) {
	f, err := os.Open(cfg.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	var head savedTable
	if err := expect(d, json.Delim('{'), "table"); err != nil {
		return nil, err
	}
	if err := d.Decode(&head); err != nil {
		return nil, fmt.Errorf("its table: %w", err)
	}
	if head.Origin != cfg.origin() {
		return nil, fmt.Errorf("it was made from %+v, not from %+v", head.Origin, cfg.origin())
	}
	l, err := newLoader(&head)
	if err != nil {
		return nil, err
	}
	if err := expect(d, "records", json.Delim('[')); err != nil {
		return nil, err
	}
	for d.More() {
		var r savedRecord
		if err := d.Decode(&r); err != nil {
			return nil, fmt.Errorf("record %d: %w", len(l.table.rows)+1, err)
		}
		if err := l.add(&r); err != nil {
			return nil, fmt.Errorf("record %d, %q: %w", len(l.table.rows)+1, r.ID, err)
		}
	}
	return l.table, expect(d, json.Delim(']'), json.Delim('}'))
}

func expect(d *json.Decoder, tokens ...json.Token) error {
	for _, want := range tokens {
		got, err := d.Token()
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%v where %v should be, at byte %d", got, want, d.InputOffset())
		}
	}
	return nil
}

// loader makes a table of what was saved.
type loader struct {
	table *table
	width int             // how many cells a record may have
	texts map[string]cell // shared by the records, as those of the samples are
}

// maxShared bounds the texts that are looked up to be shared.
const maxShared = 20_000

func newLoader(head *savedTable) (*loader, error) {
	t := &table{
		id: head.Origin.TableID, name: head.Name, viewID: head.View, number: head.Number,
		byID: map[recordID]*record{},
		// The ids made from here on must not be those of the run before.
		rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	l := &loader{table: t, texts: map[string]cell{}}
	for _, f := range head.Fields {
		if err := t.restoreField(f); err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Name, err)
		}
		if c := t.columns[len(t.columns)-1]; !c.deleted && !c.computed() {
			l.width = len(t.columns)
		}
	}
	return l, nil
}

func (t *table) restoreField(f savedField) error {
	byID := func(id string) (int, bool) {
		i := slices.IndexFunc(t.columns, func(c *column) bool { return c.ID == id })
		return i, i >= 0
	}
	_, twice := byID(f.ID)
	switch {
	case f.ID == "" || twice:
		return fmt.Errorf("id %q is empty or taken", f.ID)
	case f.Deleted:
		t.columns = append(t.columns, &column{Field: f.Field, index: len(t.columns), deleted: true})
		return nil
	case t.lookup(f.Name) >= 0:
		return errors.New("its name is taken")
	case len(f.ChoiceIDs) != len(f.Choices):
		return errors.New("not every choice has an id")
	}
	return t.addColumn(f.Field, f.ChoiceIDs, byID)
}

func (l *loader) add(r *savedRecord) error {
	t := l.table
	id, ok := parseID(r.ID)
	if !ok || t.byID[id] != nil {
		return errors.New("its id is none or taken")
	}
	row := &record{id: id, number: r.Number, created: r.Created, modified: r.Modified, touched: r.Touched}
	row.cells = make([]cell, l.width)
	known := 0
	for i, c := range t.columns[:l.width] {
		v, there := r.Fields[c.ID]
		if !there || c.deleted {
			continue
		}
		known++
		// The choices may be a moment older than the record, hence the typecast.
		v, fail := c.parse(v, true)
		if fail != nil {
			return fail
		}
		row.cells[i] = l.share(c.settle(v, func() string { return t.newID("sel") }))
	}
	if known < len(r.Fields) {
		return errors.New("it has a cell of no field that can be written")
	}
	t.number = max(t.number, r.Number)
	t.byID[id] = row
	t.rows = append(t.rows, row)
	return nil
}

func (l *loader) share(v cell) cell {
	s, ok := v.(string)
	if !ok {
		return v
	}
	if same, ok := l.texts[s]; ok {
		return same
	}
	if len(l.texts) < maxShared {
		l.texts[s] = v
	}
	return v
}

// persist keeps Config.File up to date until ctx ends, and brings it up to
// date once more then. It returns the error of that last time and logs others.
func (s *Server) persist(ctx context.Context) error {
	if s.cfg.File == "" {
		return nil
	}
	saved := s.pristine
	timer := time.NewTimer(saveEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.saveSince(&saved)
		case <-timer.C:
		}
		began := time.Now()
		err := s.saveSince(&saved)
		rest := max(saveEvery, saveRest*time.Since(began))
		if err != nil {
			s.cfg.Log.Error("airtable sandbox: changes are not saved yet", "file", s.cfg.File, "error", err)
			rest = max(rest, time.Minute)
		}
		timer.Reset(rest)
	}
}

// saveSince saves the table unless *saved is its version; then it sets *saved.
func (s *Server) saveSince(saved *uint64) error {
	s.mu.RLock()
	version := s.table.version
	s.mu.RUnlock()
	if version == *saved {
		return nil
	}
	if err := s.save(); err != nil {
		return fmt.Errorf("airtable sandbox: save: %w", err)
	}
	*saved = version
	return nil
}

// save replaces the file in one step, once the new one is on the disk.
func (s *Server) save() error {
	part := s.cfg.File + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = s.writeTo(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(part, s.cfg.File)
}

// writeTo writes the table with the records it has now. What changes meanwhile
// may or may not be in it, but every record is whole; the next save has it all.
func (s *Server) writeTo(w io.Writer) error {
	s.mu.RLock()
	head := s.table.saved(s.cfg.origin())
	rows := slices.Clip(s.table.rows)
	how := rendering{byID: true, columns: make([]*column, 0, len(s.table.columns))}
	for _, c := range s.table.columns {
		if !c.computed() {
			how.columns = append(how.columns, c)
		}
	}
	s.mu.RUnlock()

	buf := append([]byte(`{"table":`), mustJSON(head)...)
	buf = append(buf, `,"records":[`...)
	separator := "\n"
	for chunk := range slices.Chunk(rows, saveChunk) {
		s.mu.RLock()
		for _, r := range chunk {
			if !r.deleted {
				buf = append(buf, separator...)
				buf = s.table.appendSaved(buf, r, &how)
				separator = ",\n"
			}
		}
		s.mu.RUnlock()
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	_, err := w.Write(append(buf, "\n]}\n"...))
	return err
}

func (t *table) saved(from origin) savedTable {
	head := savedTable{Origin: from, Name: t.name, View: t.viewID, Number: t.number}
	for _, c := range t.columns {
		f := savedField{Field: c.describe(), Deleted: c.deleted}
		for _, ch := range c.choices {
			f.ChoiceIDs = append(f.ChoiceIDs, ch.id)
		}
		f.Watches = nil
		for _, i := range c.watches {
			f.Watches = append(f.Watches, t.columns[i].ID)
		}
		if c.prog != nil {
			f.Formula = c.prog.Rewrite(c.Formula, func(i int) string { return t.columns[i].ID })
		}
		head.Fields = append(head.Fields, f)
	}
	return head
}

// appendSaved appends r as a savedRecord.
func (t *table) appendSaved(dst []byte, r *record, how *rendering) []byte {
	dst = append(append(dst, `{"id":"`...), r.id[:]...)
	dst = append(dst, `","number":`...)
	dst = strconv.AppendUint(dst, uint64(r.number), 10)
	dst = append(dst, `,"created":`...)
	dst = strconv.AppendInt(dst, r.created, 10)
	dst = append(dst, `,"modified":`...)
	dst = strconv.AppendInt(dst, r.modified, 10)
	if len(r.touched) > 0 {
		dst = append(dst, `,"touched":`...)
		dst = append(dst, mustJSON(r.touched)...)
	}
	dst = append(dst, `,"fields":`...)
	return append(t.appendFields(dst, r, how), '}')
}
