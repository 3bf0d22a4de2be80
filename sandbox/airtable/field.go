package airtabletest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/sandbox/airtable/internal/formula"
)

// The field types the sandbox knows, by Airtable's names.
const (
	SingleLineText        = "singleLineText"
	MultilineText         = "multilineText"
	Email                 = "email"
	URL                   = "url"
	PhoneNumber           = "phoneNumber"
	SingleSelect          = "singleSelect"
	MultipleSelects       = "multipleSelects"
	Number                = "number"
	Percent               = "percent"
	Currency              = "currency"
	Checkbox              = "checkbox"
	DateField             = "date"
	DateTime              = "dateTime"
	AutoNumber            = "autoNumber"
	CreatedTime           = "createdTime"
	LastModifiedTime      = "lastModifiedTime"
	MultipleAttachments   = "multipleAttachments"
	SingleCollaborator    = "singleCollaborator"
	MultipleCollaborators = "multipleCollaborators"
	Formula               = "formula"
	MultipleRecordLinks   = "multipleRecordLinks"
	Lookup                = "multipleLookupValues"
	Rollup                = "rollup"
	Count                 = "count"
)

// Field describes a field of a table.
type Field struct {
	ID          string `json:"id"` // made up if empty
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
	// Choices of a select field.
	Choices []string `json:"choices,omitempty"`
	// Precision is the number of decimals of a number, percent or currency.
	Precision int `json:"precision,omitempty"`
	// Symbol of a currency; "$" if empty.
	Symbol string `json:"symbol,omitempty"`
	// Formula of a formula field, or of a rollup, where it is of values, as SUM(values).
	Formula string `json:"formula,omitempty"`
	// TimeZone of a dateTime: "utc" if empty, "client", or a name as Europe/Madrid.
	TimeZone string `json:"timeZone,omitempty"`
	// Watches names the fields a lastModifiedTime field watches; all if empty.
	Watches []string `json:"watches,omitempty"`
	// LinkedTable is the table of a link field, by id or name; Inverse is the id of the field there that links
	// back, which the sandbox adds. SingleLink says that the field prefers a single link.
	LinkedTable string `json:"linked_table,omitempty"`
	Inverse     string `json:"inverse,omitempty"`
	SingleLink  bool   `json:"single_link,omitempty"`
	// Link is the link field that a count, lookup or rollup goes by, and Target the field of the linked
	// table that the latter two show, both by id or name.
	Link   string `json:"link,omitempty"`
	Target string `json:"target,omitempty"`
	// Locked refuses what the API writes to it.
	Locked bool `json:"locked,omitempty"`
}

// choice is one option of a select field; cells point at it.
type choice struct {
	id, name, color string
	json            []byte
	index           int
}

// instant is a date or a time in Unix milliseconds.
type instant int64

// A cell is nil when empty, else a string, float64, true, instant, *choice,
// []*choice, []*attachment, []*collaborator or []recordID, as its column's type demands.
type cell = any

// column is a field with what it takes to read and write its cells.
type column struct {
	Field
	owner   *table
	index   int
	deleted bool
	key     []byte // `"Name":`
	idKey   []byte // `"fld…":`
	choices []*choice
	prog    *formula.Program
	watches []int
	files   map[string]*attachment // by id: all that its cells have, or have had
}

func (c *column) rename(name string) {
	c.Name = name
	c.key = append(appendString(nil, name), ':')
	c.idKey = append(appendString(nil, c.ID), ':')
}

// describe returns the field with the choices it has by now.
func (c *column) describe() Field {
	f := c.Field
	f.Choices = nil
	for _, ch := range c.choices {
		f.Choices = append(f.Choices, ch.name)
	}
	f.Watches = slices.Clone(c.Watches)
	return f
}

func (c *column) computed() bool {
	switch c.Type {
	case AutoNumber, CreatedTime, LastModifiedTime, Formula, Lookup, Rollup, Count:
		return true
	}
	return false
}

func (c *column) choice(name string) *choice {
	for _, ch := range c.choices {
		if ch.name == name {
			return ch
		}
	}
	return nil
}

var choiceColors = []string{"blueLight2", "cyanLight2", "tealLight2", "greenLight2", "yellowLight2", "orangeLight2", "redLight2", "pinkLight2", "purpleLight2", "grayLight2"}

func (c *column) addChoice(name, id string) *choice {
	ch := &choice{id: id, name: name, color: choiceColors[len(c.choices)%len(choiceColors)], json: appendString(nil, name), index: len(c.choices)}
	c.choices = append(c.choices, ch)
	return ch
}

// maxTextCell is Airtable's bound on a long text, in characters.
const maxTextCell = 100_000

func (c *column) refuse() *apiError {
	return unprocessable("INVALID_VALUE_FOR_COLUMN", `Field "%s" cannot accept the provided value`, c.Name)
}

// newChoice is a choice that typecast will add if the whole request succeeds.
type newChoice string

// parse turns a JSON value into a cell. With typecast, texts are converted as
// well as they can be, and an unknown choice comes back as a newChoice (in a
// []any for multipleSelects).
func (c *column) parse(v any, typecast bool) (cell, *apiError) {
	if c.computed() {
		return nil, unprocessable("INVALID_VALUE_FOR_COLUMN", `Field "%s" cannot accept a value because the field is computed`, c.Name)
	}
	if v == nil {
		return nil, nil
	}
	switch c.Type {
	case SingleLineText, MultilineText, Email, URL, PhoneNumber:
		return c.parseText(v, typecast)
	case Number, Percent, Currency:
		return c.parseNumber(v, typecast)
	case Checkbox:
		return c.parseCheckbox(v, typecast)
	case DateField, DateTime:
		return c.parseDate(v)
	case SingleSelect:
		return c.parseSelect(v, typecast)
	case MultipleAttachments:
		return c.parseAttachments(v)
	case MultipleRecordLinks:
		return c.parseLinks(v, typecast)
	case SingleCollaborator, MultipleCollaborators:
		return c.parseCollaborators(v)
	default: // MultipleSelects
		return c.parseSelects(v, typecast)
	}
}

func (c *column) parseText(v any, typecast bool) (cell, *apiError) {
	s, ok := v.(string)
	if !ok {
		if !typecast {
			return nil, c.refuse()
		}
		if s, ok = scalarText(v); !ok {
			return nil, c.refuse()
		}
	}
	if len(s) > maxTextCell && len([]rune(s)) > maxTextCell {
		return nil, c.refuse()
	}
	if s == "" {
		return nil, nil
	}
	return s, nil
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return string(appendNumber(nil, v)), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

func (c *column) parseNumber(v any, typecast bool) (cell, *apiError) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, c.refuse()
		}
		return v, nil
	case string:
		if !typecast {
			return nil, c.refuse()
		}
		s := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r == '.' || r == '-' {
				return r
			}
			return -1
		}, v)
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsInf(f, 0) {
			return nil, nil //nolint:nilerr // what can't be cast is left empty
		}
		if c.Type == Percent && strings.Contains(v, "%") {
			f /= 100
		}
		return f, nil
	}
	return nil, c.refuse()
}

func (c *column) parseCheckbox(v any, typecast bool) (cell, *apiError) {
	if s, ok := v.(string); ok && typecast {
		switch strings.ToLower(s) {
		case "true", "checked", "1", "yes":
			v = true
		default:
			v = false
		}
	}
	on, ok := v.(bool)
	if !ok {
		return nil, c.refuse()
	}
	if !on {
		return nil, nil
	}
	return true, nil
}

func (c *column) parseDate(v any) (cell, *apiError) {
	s, ok := v.(string)
	if !ok {
		return nil, c.refuse()
	}
	if s == "" {
		return nil, nil
	}
	ms, _, ok := formula.ParseDate(s)
	if !ok {
		return nil, c.refuse()
	}
	if t := time.UnixMilli(ms).UTC(); t.Year() < 0 || t.Year() > 9999 {
		return nil, c.refuse()
	}
	if c.Type == DateField {
		ms -= ((ms % 86_400_000) + 86_400_000) % 86_400_000
	}
	return instant(ms), nil
}

func (c *column) parseChoice(v any, typecast bool) (cell, *apiError) {
	s, ok := v.(string)
	if !ok {
		if s, ok = scalarText(v); !ok || !typecast {
			return nil, c.refuse()
		}
	}
	if s == "" {
		return nil, nil
	}
	if ch := c.choice(s); ch != nil {
		return ch, nil
	}
	if typecast {
		return newChoice(s), nil
	}
	return nil, unprocessable("INVALID_MULTIPLE_CHOICE_OPTIONS", `Insufficient permissions to create new select option ""%s""`, s)
}

func (c *column) parseSelect(v any, typecast bool) (cell, *apiError) {
	return c.parseChoice(v, typecast)
}

func (c *column) parseSelects(v any, typecast bool) (cell, *apiError) {
	list, ok := v.([]any)
	if s, isText := v.(string); isText && typecast {
		for part := range strings.SplitSeq(s, ",") {
			list = append(list, strings.TrimSpace(part))
		}
		ok = true
	}
	if !ok {
		return nil, c.refuse()
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		ch, err := c.parseChoice(e, typecast)
		if err != nil {
			return nil, err
		}
		if ch != nil && !slices.Contains(out, ch) {
			out = append(out, ch)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// settle adds the choices and the attachments that were asked for and gives the cell its final form.
func (c *column) settle(v cell, newID func(prefix string) string) cell {
	if list, ok := v.([]any); ok && c.Type == MultipleAttachments {
		return c.settleAttachments(list, newID)
	}
	one := func(v any) *choice {
		name, isNew := v.(newChoice)
		if !isNew {
			ch, _ := v.(*choice) // parse yields nothing else
			return ch
		}
		if ch := c.choice(string(name)); ch != nil {
			return ch
		}
		return c.addChoice(string(name), newID("sel"))
	}
	switch v := v.(type) {
	case newChoice:
		return one(v)
	case []any:
		list := make([]*choice, len(v))
		for i := range v {
			list[i] = one(v[i])
		}
		return list
	}
	return v
}

func sameCell(a, b cell) bool {
	switch b := b.(type) {
	case []*choice:
		return sameList(a, b)
	case []*attachment:
		return sameList(a, b)
	case []*collaborator:
		return sameList(a, b)
	case []recordID:
		return sameList(a, b)
	}
	return a == b
}

func sameList[T comparable](a cell, b []T) bool {
	list, ok := a.([]T)
	return ok && slices.Equal(list, b)
}

// check completes and validates a field's description.
func (f *Field) check() error {
	switch f.Type {
	case SingleLineText, MultilineText, Email, URL, PhoneNumber, Checkbox, DateField, DateTime,
		AutoNumber, CreatedTime, LastModifiedTime, Formula, SingleSelect, MultipleSelects, MultipleAttachments, SingleCollaborator, MultipleCollaborators, Number, Percent,
		MultipleRecordLinks, Lookup, Rollup, Count:
	case Currency:
		if f.Symbol == "" {
			f.Symbol = "$"
		}
	default:
		return fmt.Errorf("unknown field type %q", f.Type)
	}
	if strings.TrimSpace(f.Name) == "" || len(f.Name) > 255 {
		return fmt.Errorf("a field's name takes 1 to 255 bytes, not %q", f.Name)
	}
	if f.Precision < 0 || f.Precision > 8 {
		return fmt.Errorf("a precision is 0 to 8, not %d", f.Precision)
	}
	return nil
}

type object = map[string]any

// schema is the field as the metadata API shows it.
func (t *table) schema(c *column) object {
	o := object{"id": c.ID, "name": c.Name, "type": c.Type}
	if c.Description != "" {
		o["description"] = c.Description
	}
	if options := t.options(c); options != nil {
		o["options"] = options
	}
	return o
}

var isoDate = object{"name": "iso", "format": "YYYY-MM-DD"}

func dateTimeOptions(zone string) object {
	return object{"dateFormat": isoDate, "timeFormat": object{"name": "24hour", "format": "HH:mm"}, "timeZone": cmp.Or(zone, "utc")}
}

func (t *table) options(c *column) object {
	switch c.Type {
	case SingleSelect, MultipleSelects:
		choices := make([]object, len(c.choices))
		for i, ch := range c.choices {
			choices[i] = object{"id": ch.id, "name": ch.name, "color": ch.color}
		}
		return object{"choices": choices}
	case Number, Percent:
		return object{"precision": c.Precision}
	case Currency:
		return object{"precision": c.Precision, "symbol": c.Symbol}
	case Checkbox:
		return object{"icon": "check", "color": "greenBright"}
	case MultipleAttachments:
		return object{"isReversed": false}
	case MultipleRecordLinks, Lookup, Rollup, Count:
		return c.linkOptions()
	case DateField:
		return object{"dateFormat": isoDate}
	case DateTime:
		return dateTimeOptions(c.TimeZone)
	case CreatedTime:
		return object{"result": object{"type": DateTime, "options": dateTimeOptions("")}}
	case LastModifiedTime:
		return object{"isValid": true, "referencedFieldIds": t.fieldIDs(c.watches), "result": object{"type": DateTime, "options": dateTimeOptions("")}}
	case Formula:
		return object{
			"isValid":            !slices.ContainsFunc(c.prog.Fields(), func(i int) bool { return t.columns[i].deleted }),
			"formula":            c.prog.Rewrite(c.Formula, func(i int) string { return t.columns[i].ID }),
			"referencedFieldIds": t.fieldIDs(c.prog.Fields()),
			"result":             object{"type": SingleLineText},
		}
	}
	return nil
}

func (t *table) fieldIDs(indexes []int) []string {
	ids := make([]string, 0, len(indexes))
	for _, i := range indexes {
		if !t.columns[i].deleted {
			ids = append(ids, t.columns[i].ID)
		}
	}
	return ids
}

// plain returns v as encoding/json would decode it.
func plain(v any) any {
	switch v.(type) {
	case nil, string, float64, bool:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return v // refused by parse, as no JSON value
	}
	var out any
	if json.Unmarshal(b, &out) != nil {
		return v
	}
	return out
}
