package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// AppendColumns appends the columns that people edit, name to order_date, as one compact JSON object.
func (o *Order) AppendColumns(b []byte) ([]byte, error) {
	w := writer{Buffer: *bytes.NewBuffer(append(b, '{'))}
	w.columns(o)
	w.raw(`}`)
	return w.done()
}

// appendJSON appends the event as compact JSON, every column there, times in UTC. Each order passes
// here on each sync, and encoding/json takes three times as long; a test holds the two equal.
func (c *OrderChanged) appendJSON(b []byte) ([]byte, error) {
	w := writer{Buffer: *bytes.NewBuffer(b)}
	w.raw(`{"record_id":`).text(c.RecordID)
	w.raw(`,"change":`).text(string(c.Change))
	w.raw(`,"order":`).order(&c.Order)
	if len(c.Previous) > 0 {
		w.raw(`,"previous":`).cells(c.Previous)
	}
	if c.Actor != nil {
		w.raw(`,"actor":`).any(c.Actor)
	}
	if len(c.EditIDs) > 0 {
		w.raw(`,"edit_ids":`).any(c.EditIDs)
	}
	w.raw(`}`)
	return w.done()
}

// writer appends JSON and keeps the first error.
type writer struct {
	bytes.Buffer
	err error
}

func (w *writer) done() ([]byte, error) {
	b := w.Bytes()
	if !utf8.Valid(b) { // inside a string, then: all else is checked
		b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	}
	return b, w.err
}

func (w *writer) order(o *Order) {
	w.raw(`{"record_id":`).text(o.RecordID)
	w.raw(`,`)
	w.columns(o)
	w.raw(`,"created_at":`).time("created_at", o.CreatedAt)
	w.raw(`,"updated_at":`).time("updated_at", o.UpdatedAt)
	w.raw(`,"fields":`).object("fields", o.Fields)
	if len(o.Truncated) > 0 {
		w.raw(`,"truncated":`).any(o.Truncated)
	}
	w.raw(`}`)
}

func (w *writer) raw(s string) *writer {
	w.WriteString(s)
	return w
}

func (w *writer) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			w.any(s)
			return
		}
	}
	w.WriteByte('"')
	w.WriteString(s)
	w.WriteByte('"')
}

func (w *writer) optional(s *string) {
	if s == nil {
		w.raw(`null`)
		return
	}
	w.text(*s)
}

func (w *writer) number(name string, n *json.Number) {
	if n == nil {
		w.raw(`null`)
		return
	}
	w.cell(name, json.RawMessage(*n))
}

func (w *writer) time(name string, t time.Time) {
	b, err := t.UTC().AppendText(append(w.AvailableBuffer(), '"'))
	w.fail(name, err)
	w.Write(append(b, '"'))
}

func (w *writer) cells(m map[string]json.RawMessage) {
	names := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(names)
	w.raw(`{`)
	for i, name := range names {
		if i > 0 {
			w.raw(`,`)
		}
		w.text(name)
		w.raw(`:`).cell(name, m[name])
	}
	w.raw(`}`)
}

// object is {} where there is none.
func (w *writer) object(name string, value json.RawMessage) {
	switch {
	case len(value) == 0:
		w.raw(`{}`)
	case value[0] != '{':
		w.fail(name, errNoObject)
	default:
		w.cell(name, value)
	}
}

var compact = jsonv2.JoinOptions(asWritten, jsontext.PreserveRawStrings(true))

func (w *writer) cell(name string, value json.RawMessage) {
	b, err := jsontext.AppendFormat(w.AvailableBuffer(), value, compact)
	w.fail(name, err)
	w.Write(b)
}

func (w *writer) any(v any) {
	b, err := json.Marshal(v)
	w.fail(fmt.Sprintf("%T", v), err)
	w.Write(b)
}

func (w *writer) fail(name string, err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("%s: %w", name, err)
	}
}
