package airtabletest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// compactAt is the size in bytes at which the journal is folded into the file.
const compactAt = 16 << 20

// entry is one line of the journal.
type entry struct {
	Transactions uint64               `json:"transactions,omitempty"`
	Tables       []savedTable         `json:"tables,omitempty"`
	Records      []json.RawMessage    `json:"records,omitempty"` // savedRecord
	Destroyed    []string             `json:"destroyed,omitempty"`
	Hooks        []*hook              `json:"hooks,omitempty"`
	Payloads     map[string][]payload `json:"payloads,omitempty"` // by webhook
	Dropped      string               `json:"dropped,omitempty"`  // a webhook
	Quota        *Quota               `json:"quota,omitempty"`
}

// journal is the segment being written, File.journal.N: a change is in it before it is answered, so
// that it survives SIGKILL. The file says with which segment its reader goes on. An entry tells the
// state that a change left, never a difference: reading one twice, in order, does no harm.
type journal struct {
	mu   sync.Mutex
	last int      // number of the newest segment there is or was
	file *os.File // nil while nothing is kept
	size int64    // of what has been written since the last save
}

func segment(file string, n int) string { return file + ".journal." + strconv.Itoa(n) }

// segments returns the numbers of those beside the file, ascending.
func segments(file string) ([]int, error) {
	list, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range list {
		if rest, ok := strings.CutPrefix(e.Name(), filepath.Base(file)+".journal."); ok {
			if n, err := strconv.Atoi(rest); err == nil && n > 0 {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// next begins a new segment and returns its number. The caller holds j.mu.
func (j *journal) next(file string) (int, error) {
	f, err := os.OpenFile(segment(file, j.last+1), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	if j.file != nil {
		_ = j.file.Close() // what was written is with the kernel
	}
	j.last++
	j.file = f
	return j.last, nil
}

func (j *journal) open() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file != nil
}

// due reports whether the file should be saved: the journal is long, or there is none.
func (j *journal) due() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file == nil || j.size >= compactAt
}

// written reports whether there is anything that the file does not have.
func (j *journal) written() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size > 0
}

func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return
	}
	if info, err := j.file.Stat(); err == nil && info.Size() == 0 {
		_ = os.Remove(j.file.Name()) // or it stays, and says nothing
	}
	_ = j.file.Close() // as in next
	j.file = nil
}

// keep appends an entry. When that fails, changes are as safe as the next save
// makes them; persist tries one soon.
func (s *Server) keep(e *entry) {
	if s.cfg.File == "" || !s.journal.open() {
		return
	}
	line := append(mustJSON(e), '\n')
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(s, line)
}

// write appends a line. The caller holds j.mu.
func (j *journal) write(s *Server, line []byte) {
	if j.file == nil {
		return
	}
	n, err := j.file.Write(line)
	j.size += int64(n)
	if err != nil {
		s.cfg.Log.Error("airtable sandbox: the journal cannot be written", "file", j.file.Name(), "error", err)
		_ = j.file.Close() // it is spoiled
		j.file = nil
	}
}

// keepTransaction makes a transaction durable. The caller holds s.mu.
func (s *Server) keepTransaction(tx *transaction) {
	if !s.journal.open() {
		for _, h := range s.base.hooks {
			h.unsaved = nil
		}
		return
	}
	e := &entry{Transactions: tx.number}
	for _, ch := range tx.tables {
		ch.appendTo(e)
	}
	for _, h := range s.base.hooks {
		if h.Failed != "" && len(h.unsaved) > 0 {
			e.Hooks = append(e.Hooks, h)
		}
		e.addPayloads(h)
	}
	s.keep(e)
}

// appendTo adds the state that the change has left.
func (ch *tableChange) appendTo(e *entry) {
	if ch.schema {
		e.Tables = append(e.Tables, ch.table.saved())
	}
	how := ch.table.writable()
	for _, list := range [][]*record{ch.created, ch.changed} {
		for _, r := range list {
			if !r.deleted {
				e.Records = append(e.Records, ch.table.appendSaved(nil, r, how))
			}
		}
	}
	for _, id := range ch.destroyed {
		e.Destroyed = append(e.Destroyed, string(id[:]))
	}
}

// addPayloads takes the webhook's payloads that are in no entry yet.
func (e *entry) addPayloads(h *hook) {
	if len(h.unsaved) == 0 {
		return
	}
	if e.Payloads == nil {
		e.Payloads = map[string][]payload{}
	}
	e.Payloads[h.ID], h.unsaved = h.unsaved, nil
}

// keepHook makes a change of the webhook durable. The caller holds s.mu.
func (s *Server) keepHook(h *hook) {
	e := &entry{Transactions: s.base.transactions, Hooks: []*hook{h}}
	e.addPayloads(h)
	s.keep(e)
}

// replay applies the segments from the given one on.
func (l *loader) replay(file string, from int) error {
	numbers, err := segments(file)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		l.last = max(l.last, n)
		if n < from {
			continue // left over from a save that was interrupted
		}
		if err := l.replaySegment(segment(file, n)); err != nil {
			return err
		}
	}
	for _, t := range l.base.tables {
		t.sweep()
	}
	return nil
}

func (l *loader) replaySegment(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // without its end a line is one that was never answered
		}
		if err != nil {
			return err
		}
		l.replayed += int64(len(line))
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
		if err := l.apply(&e); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
}

func (l *loader) apply(e *entry) error {
	l.base.transactions = max(l.base.transactions, e.Transactions)
	for i := range e.Tables {
		if err := l.putTable(&e.Tables[i]); err != nil {
			return err
		}
	}
	for _, raw := range e.Records {
		var r savedRecord
		if err := json.Unmarshal(raw, &r); err != nil {
			return err
		}
		if err := l.put(&r); err != nil {
			return fmt.Errorf("record %q: %w", r.ID, err)
		}
	}
	for _, id := range e.Destroyed {
		rid, _ := parseID(id)
		if t, r := l.base.record(rid); r != nil {
			r.deleted = true
			delete(t.byID, rid)
		}
	}
	for _, h := range e.Hooks {
		if err := l.putHook(h); err != nil {
			return err
		}
	}
	for id, list := range e.Payloads {
		if h := l.hook(id); h != nil {
			h.add(list)
		}
	}
	l.base.hooks = slices.DeleteFunc(l.base.hooks, func(h *hook) bool { return h.ID == e.Dropped })
	if e.Quota != nil {
		l.quota = *e.Quota
	}
	return nil
}

func (l *loader) hook(id string) *hook {
	for _, h := range l.base.hooks {
		if h.ID == id {
			return h
		}
	}
	return nil
}

// putHook adds a webhook, or gives the one there is its newer state.
func (l *loader) putHook(h *hook) error {
	if h == nil {
		return errors.New("a webhook is null")
	}
	h.spec = &specification{}
	if err := json.Unmarshal(h.Specification, h.spec); err != nil {
		return fmt.Errorf("webhook %q: %w", h.ID, err)
	}
	if old := l.hook(h.ID); old != nil {
		h.payloads = old.payloads
		*old = *h
		h = old
	} else {
		l.base.hooks = append(l.base.hooks, h)
	}
	h.add(nil)
	return nil
}

// add appends kept payloads and drops those that were forgotten.
func (h *hook) add(list []payload) {
	h.payloads = append(h.payloads, list...)
	if n := len(h.payloads); n > 0 {
		h.Next = max(h.Next, h.payloads[n-1].Cursor+1)
	}
	h.payloads = slices.DeleteFunc(h.payloads, func(p payload) bool { return p.Cursor < h.First })
	h.fresh = h.Next > h.Pinged
}

// putTable adds a table, or gives the one there is its newer description.
func (l *loader) putTable(head *savedTable) error {
	t := l.base.tableByID(head.ID)
	if t == nil {
		if head.ID == "" {
			return errors.New("a table has no id")
		}
		t = l.base.newTable(head.ID, head.Name)
		t.viewID = head.View
	}
	return t.redescribe(head)
}

// redescribe gives the table another description: what a change of the schema left.
func (t *table) redescribe(head *savedTable) error {
	t.name, t.description, t.number = head.Name, head.Description, max(t.number, head.Number)
	for i := range head.Fields {
		f := &head.Fields[i]
		at := slices.IndexFunc(t.columns, func(c *column) bool { return c.ID == f.ID })
		if at < 0 {
			if err := t.restoreField(*f); err != nil {
				return fmt.Errorf("field %q: %w", f.Name, err)
			}
			continue
		}
		if err := t.columns[at].redescribe(t, f); err != nil {
			return fmt.Errorf("field %q: %w", f.Name, err)
		}
	}
	return nil
}

func (c *column) redescribe(t *table, f *savedField) error {
	if c.deleted {
		return nil
	}
	c.Locked, c.Description = f.Locked, f.Description
	c.rename(f.Name)
	if err := c.setChoices(f); err != nil {
		return err
	}
	switch {
	case f.Deleted:
		c.deleted = true
		t.clear(c)
	case c.Type == f.Type:
	case f.Type == Formula:
		return t.convert(c, f.Formula, t.byFieldID)
	default: // a text; the cells follow
		if err := f.check(); err != nil {
			return err
		}
		c.Type, c.Choices, c.LinkedTable, c.Inverse = f.Type, nil, "", ""
		t.clear(c)
	}
	return nil
}

// setChoices keeps the choices that cells point at. One that a record
// introduced before its description was read has the right name, but no right id.
func (c *column) setChoices(f *savedField) error {
	if len(f.ChoiceIDs) != len(f.Choices) {
		return errors.New("not every choice has an id")
	}
	old := c.choices
	c.choices = nil
	for i, name := range f.Choices {
		ch := c.addChoice(name, f.ChoiceIDs[i])
		if at := slices.IndexFunc(old, func(o *choice) bool { return o.name == name }); at >= 0 {
			*old[at] = *ch
			c.choices[i] = old[at]
		}
		c.choices[i].color = f.color(i, ch.color)
	}
	return nil
}
