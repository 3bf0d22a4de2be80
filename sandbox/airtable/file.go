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

// Whether to save is asked every second. Saving rests ten times as long as it
// took, so that a large table costs no more than a tenth of its time, and holds
// the table's lock for a thousand records at once.
const (
	saveEvery = time.Second
	saveRest  = 10
	saveChunk = 1000
)

// origin is what a base was made for: a file of another origin is not loaded,
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

// The file is {"base": savedBase, "records": [savedRecord, …]}.
type savedTable struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Description string       `json:"description,omitempty"`
	View        string       `json:"view"`
	Number      uint32       `json:"number"` // the last autonumber given
	Fields      []savedField `json:"fields"`
}

// savedBase is what there is besides the records.
type savedBase struct {
	Origin       origin       `json:"origin"`
	Journal      int          `json:"journal"` // the segment to go on with
	Transactions uint64       `json:"transactions"`
	Quota        Quota        `json:"quota"`
	Hooks        []savedHook  `json:"hooks"`
	Tables       []savedTable `json:"tables"`
}

type savedHook struct {
	hook
	Payloads []payload `json:"payloads"`
}

// savedField refers to other fields by id, for they may have been renamed or
// deleted since. A deleted field is kept, as in table.columns.
type savedField struct {
	Field
	ChoiceIDs    []string `json:"choice_ids,omitempty"`
	ChoiceColors []string `json:"choice_colors,omitempty"`
	Deleted      bool     `json:"deleted,omitempty"`
}

// color is that of the i-th choice, if it was saved.
func (f *savedField) color(i int, otherwise string) string {
	if i < len(f.ChoiceColors) {
		return f.ChoiceColors[i]
	}
	return otherwise
}

// savedRecord has its times in Unix milliseconds and its cells, those that are
// not computed, by field id as the API gives them.
type savedRecord struct {
	Table    string         `json:"table"`
	ID       string         `json:"id"`
	Number   uint32         `json:"number"`
	Created  int64          `json:"created"`
	Modified int64          `json:"modified"`
	Touched  []int64        `json:"touched,omitempty"`
	Comments []*comment     `json:"comments,omitempty"`
	Fields   map[string]any `json:"fields"`
}

// open returns what Config.File and its journal have, or else a table of
// samples. What can't be read or is of another origin is set aside: it may hold work.
func open(cfg *Config) *loader {
	if cfg.File == "" {
		return &loader{base: seed(*cfg)}
	}
	l, err := load(cfg)
	if err == nil {
		return l
	}
	numbers, _ := segments(cfg.File) // none, if there is no such directory
	if !errors.Is(err, fs.ErrNotExist) {
		aside := cfg.File + ".old"
		errs := []error{err, os.Rename(cfg.File, aside)}
		for _, n := range numbers {
			errs = append(errs, os.Rename(segment(cfg.File, n), segment(aside, n)))
		}
		cfg.Log.Warn("airtable sandbox: starting with new samples, the file was set aside",
			"file", cfg.File, "as", aside, "error", errors.Join(errs...))
	}
	l = &loader{base: seed(*cfg), unsaved: true}
	if len(numbers) > 0 {
		l.last = numbers[len(numbers)-1]
	}
	return l
}

func load(cfg *Config) (*loader, error) {
	f, err := os.Open(cfg.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	var head savedBase
	if err := expect(d, json.Delim('{'), "base"); err != nil {
		return nil, err
	}
	if err := d.Decode(&head); err != nil {
		return nil, fmt.Errorf("its base: %w", err)
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
	for n := 1; d.More(); n++ {
		var r savedRecord
		if err := d.Decode(&r); err != nil {
			return nil, fmt.Errorf("record %d: %w", n, err)
		}
		if err := l.add(&r); err != nil {
			return nil, fmt.Errorf("record %d, %q: %w", n, r.ID, err)
		}
	}
	if err := expect(d, json.Delim(']'), json.Delim('}')); err != nil {
		return nil, err
	}
	if err := l.replay(cfg.File, head.Journal); err != nil {
		return nil, err
	}
	return l, l.base.checkLinks()
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

// loader makes a base of what was saved.
type loader struct {
	base     *base
	quota    Quota
	last     int             // the newest segment of the journal
	replayed int64           // bytes of the journal that the file does not have
	unsaved  bool            // there is no file yet
	texts    map[string]cell // shared by the records, as those of the samples are
}

// maxShared bounds the texts that are looked up to be shared.
const maxShared = 20_000

func newLoader(head *savedBase) (*loader, error) {
	l := &loader{texts: map[string]cell{}, quota: head.Quota, base: &base{
		transactions: head.Transactions,
		// The ids made from here on must not be those of the run before.
		rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}}
	for i := range head.Tables {
		if err := l.putTable(&head.Tables[i]); err != nil {
			return nil, err
		}
	}
	if len(l.base.tables) == 0 {
		return nil, errors.New("it has no table")
	}
	for i := range head.Hooks {
		h := &head.Hooks[i]
		if err := l.putHook(&h.hook); err != nil {
			return nil, err
		}
		h.add(h.Payloads)
	}
	return l, nil
}

// checkLinks returns an error if a link field is to a table that there is not.
func (b *base) checkLinks() error {
	for _, t := range b.tables {
		for _, c := range t.columns {
			if c.Type == MultipleRecordLinks && !c.deleted && c.linked() == nil {
				return fmt.Errorf("field %q links to no table", c.Name)
			}
		}
	}
	return nil
}

// width is how many cells a record may have.
func (t *table) width() int {
	n := len(t.columns)
	for n > 0 && (t.columns[n-1].deleted || t.columns[n-1].computed()) {
		n--
	}
	return n
}

func (t *table) byFieldID(id string) (int, bool) {
	i := slices.IndexFunc(t.columns, func(c *column) bool { return c.ID == id })
	return i, i >= 0
}

func (t *table) restoreField(f savedField) error {
	_, twice := t.byFieldID(f.ID)
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
	if err := t.addColumn(f.Field, f.ChoiceIDs, t.byFieldID); err != nil {
		return err
	}
	for i, ch := range t.columns[len(t.columns)-1].choices {
		ch.color = f.color(i, ch.color)
	}
	return nil
}

// add adds a record of the file.
func (l *loader) add(r *savedRecord) error {
	id, _ := parseID(r.ID)
	if t, _ := l.base.record(id); t != nil {
		return errors.New("its id is taken")
	}
	return l.put(r)
}

// put adds a record, or gives the one there is its newer state.
func (l *loader) put(r *savedRecord) error {
	t := l.base.tableByID(r.Table)
	id, ok := parseID(r.ID)
	if !ok || t == nil {
		return errors.New("its id, or its table's, is none")
	}
	row := t.byID[id]
	if row == nil {
		row = &record{id: id}
		t.byID[id] = row
		t.rows = append(t.rows, row)
	}
	row.number, row.created, row.modified, row.touched = r.Number, r.Created, r.Modified, r.Touched
	row.comments = r.Comments
	row.cells = make([]cell, t.width())
	known := 0
	for i, c := range t.columns[:len(row.cells)] {
		v, there := r.Fields[c.ID]
		if !there || c.deleted {
			continue
		}
		known++
		// The choices may be a moment older than the record, hence the typecast.
		if restore := c.restore(); restore != nil {
			restored, err := restore(v)
			if err != nil {
				return err
			}
			row.cells[i] = restored
			continue
		}
		v, fail := c.parse(v, true)
		if fail != nil {
			return fail
		}
		row.cells[i] = l.share(c.settle(v, l.base.newID))
	}
	if known < len(r.Fields) {
		return errors.New("it has a cell of no field that can be written")
	}
	t.number = max(t.number, r.Number)
	return nil
}

// restore reads cells that the file has in another form than the API takes; nil for all others.
func (c *column) restore() func(any) (cell, error) {
	switch c.Type {
	case MultipleAttachments:
		return c.restoreAttachments
	case SingleCollaborator, MultipleCollaborators:
		return c.restoreCollaborators
	case MultipleRecordLinks:
		return c.restoreLinks
	}
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

// keepFile opens the journal, with a first file if there is none.
func (s *Server) keepFile() {
	var err error
	if s.unsaved {
		err = s.save()
	} else {
		_, err = s.rotate()
	}
	if err != nil {
		s.cfg.Log.Error("airtable sandbox: changes are not saved yet", "file", s.cfg.File, "error", err)
	}
}

// persist folds the journal into Config.File when it is long, until ctx ends,
// and once more then. It returns the error of that last time and logs others.
func (s *Server) persist(ctx context.Context) error {
	if s.cfg.File == "" {
		return nil
	}
	defer s.journal.close()
	timer := time.NewTimer(saveEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if s.journal.open() && !s.journal.written() {
				return nil
			}
			if err := s.save(); err != nil {
				return fmt.Errorf("airtable sandbox: save: %w", err)
			}
			return nil
		case <-timer.C:
		}
		if !s.journal.due() {
			timer.Reset(saveEvery)
			continue
		}
		began := time.Now()
		err := s.save()
		rest := max(saveEvery, saveRest*time.Since(began))
		if err != nil {
			s.cfg.Log.Error("airtable sandbox: changes are not saved yet", "file", s.cfg.File, "error", err)
			rest = max(rest, time.Minute)
		}
		timer.Reset(rest)
	}
}

// snapshot is what a file begins with, and the rows that follow, by table.
type snapshot struct {
	base   savedBase
	tables []*table
	rows   [][]*record
	size   int64 // of the journal that the file will replace
}

// rotate begins a new segment of the journal and returns the state at that point.
func (s *Server) rotate() (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	n, err := s.journal.next(s.cfg.File)
	if err != nil {
		return nil, err
	}
	snap := &snapshot{
		base: savedBase{Origin: s.cfg.origin(), Journal: n, Transactions: s.base.transactions, Quota: s.meter.q},
		size: s.journal.size, tables: slices.Clone(s.base.tables),
	}
	for _, t := range s.base.tables {
		snap.base.Tables = append(snap.base.Tables, t.saved())
		snap.rows = append(snap.rows, slices.Clip(t.rows))
	}
	for _, h := range s.base.hooks {
		snap.base.Hooks = append(snap.base.Hooks, savedHook{*h, slices.Clip(h.payloads)})
	}
	return snap, nil
}

// save replaces the file in one step, once the new one is on the disk, and
// removes the journal that is in it.
func (s *Server) save() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	snap, err := s.rotate()
	if err != nil {
		return err
	}
	part := s.cfg.File + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = s.writeTo(f, snap)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, s.cfg.File); err != nil {
		return err
	}
	s.journal.mu.Lock()
	s.journal.size -= snap.size
	s.journal.mu.Unlock()
	numbers, err := segments(s.cfg.File)
	for _, n := range numbers {
		if n < snap.base.Journal {
			err = errors.Join(err, os.Remove(segment(s.cfg.File, n)))
		}
	}
	return err
}

// writeTo writes the snapshot with the records as they are now. What changes
// meanwhile may or may not be in it, but every record is whole; the journal has it all.
func (s *Server) writeTo(w io.Writer, snap *snapshot) error {
	buf := append([]byte(`{"base":`), mustJSON(snap.base)...)
	buf = append(buf, `,"records":[`...)
	separator := "\n"
	for i, rows := range snap.rows {
		t, fields := snap.tables[i], len(snap.base.Tables[i].Fields)
		for chunk := range slices.Chunk(rows, saveChunk) {
			s.mu.RLock()
			how := t.writable()
			how.columns = slices.DeleteFunc(how.columns, func(c *column) bool { return c.index >= fields })
			for _, r := range chunk {
				if !r.deleted {
					buf = append(buf, separator...)
					buf = t.appendSaved(buf, r, how)
					separator = ",\n"
				}
			}
			s.mu.RUnlock()
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(append(buf, "\n]}\n"...))
	return err
}

// writable renders what is saved of a record: the cells that are not computed.
func (t *table) writable() *rendering {
	how := &rendering{byID: true, saved: true, columns: make([]*column, 0, len(t.columns))}
	for _, c := range t.columns {
		if !c.computed() && !c.deleted {
			how.columns = append(how.columns, c)
		}
	}
	return how
}

func (t *table) saved() savedTable {
	head := savedTable{ID: t.id, Name: t.name, Description: t.description, View: t.viewID, Number: t.number}
	for _, c := range t.columns {
		f := savedField{Field: c.describe(), Deleted: c.deleted}
		for _, ch := range c.choices {
			f.ChoiceIDs = append(f.ChoiceIDs, ch.id)
			f.ChoiceColors = append(f.ChoiceColors, ch.color)
		}
		f.Watches = nil
		for _, i := range c.watches {
			f.Watches = append(f.Watches, t.columns[i].ID)
		}
		if c.Type == Formula {
			f.Formula = c.prog.Rewrite(c.Formula, func(i int) string { return t.columns[i].ID })
		}
		head.Fields = append(head.Fields, f)
	}
	return head
}

// appendSaved appends r as a savedRecord.
func (t *table) appendSaved(dst []byte, r *record, how *rendering) []byte {
	dst = append(append(dst, `{"table":"`...), t.id...)
	dst = append(append(dst, `","id":"`...), r.id[:]...)
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
	if len(r.comments) > 0 {
		dst = append(dst, `,"comments":`...)
		dst = append(dst, mustJSON(r.comments)...)
	}
	dst = append(dst, `,"fields":`...)
	return append(t.appendFields(dst, r, how), '}')
}
