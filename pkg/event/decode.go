package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The reading half of encode.go. It takes what schema/order.changed.schema.json describes and
// nothing else: unlike encoding/json it wants member names in their exact case, as a subscriber in
// another language reads them, and no column left out. Members it does not know are additions.

// decode fills c from body. Cells share body's memory.
func (c *OrderChanged) decode(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not JSON in UTF-8")
	}
	d, _ := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(d)
	r := &reader{body: body, Decoder: d}
	d.Reset(bytes.NewBuffer(body), asWritten)
	err := r.members([]string{"record_id", "change", "order"}, func(name []byte) (err error) {
		switch string(name) {
		case "record_id":
			c.RecordID, err = r.text()
		case "change":
			var change string
			change, err = r.text()
			c.Change = Change(change)
		case "order":
			err = r.order(&c.Order)
		case "previous":
			c.Previous, err = r.cells()
		case "actor":
			c.Actor = &Actor{}
			err = r.actor(c.Actor)
		case "edit_ids":
			c.EditIDs, err = r.texts()
		default:
			_, err = r.value()
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("the body is more than one JSON value")
	}
	return nil
}

// ParseOrder decodes an order from the JSON object that an event has of it. It shares doc's memory.
func ParseOrder(doc []byte) (*Order, error) {
	d, _ := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(d)
	r := &reader{body: doc, Decoder: d}
	d.Reset(bytes.NewBuffer(doc), asWritten)
	o := &Order{}
	if err := r.order(o); err != nil {
		return nil, fmt.Errorf("%w: the order: %w", ErrMalformed, err)
	}
	return o, nil
}

// asWritten takes half a surrogate pair, as an escape: people's texts can end in one.
var asWritten = jsonv2.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(&bytes.Buffer{}) }}

// reader reads the JSON of body. What it returns shares body's memory.
type reader struct {
	body []byte
	*jsontext.Decoder
	optionals []string // those of an order lie together
}

var (
	errNoObject = errors.New("is not an object")
	errNoText   = errors.New("is not a string")
)

// requiredMembers of an order are those of version 1, for good: a column that is added later is optional, or
// every event stored before it would be malformed.
var requiredMembers = []string{
	"record_id", "name", "customer", "status", "priority", "amount", "order_date", "created_at", "updated_at", "fields",
}

func (r *reader) order(o *Order) error {
	began := r.InputOffset()
	r.optionals = make([]string, 0, optionalTexts)
	err := r.members(requiredMembers, func(name []byte) (err error) {
		switch string(name) {
		case "record_id":
			o.RecordID, err = r.text()
		case "created_at":
			o.CreatedAt, err = r.instant()
		case "updated_at":
			o.UpdatedAt, err = r.instant()
		case "fields":
			if r.PeekKind() != '{' {
				return errNoObject
			}
			o.Fields, err = r.value()
		case "truncated":
			o.Truncated, err = r.texts()
		default:
			var known bool
			if known, err = r.column(name, o); !known {
				_, err = r.value()
			}
		}
		return err
	})
	end := r.InputOffset()
	o.Raw = bytes.TrimLeft(r.body[began:end:end], ": \t\r\n")
	return err
}

func (r *reader) actor(a *Actor) error {
	return r.members([]string{"id"}, func(name []byte) (err error) {
		switch string(name) {
		case "id":
			a.ID, err = r.text()
		case "email":
			a.Email, err = r.text()
		case "name":
			a.Name, err = r.text()
		default:
			_, err = r.value()
		}
		return err
	})
}

// members calls visit for each member of an object, to read its value. Of members of the same name
// the last one counts, as in JavaScript.
func (r *reader) members(required []string, visit func(name []byte) error) error {
	if kind := r.PeekKind(); kind != '{' && kind != 0 {
		return errNoObject
	}
	if err := r.token(); err != nil {
		return err
	}
	var seen uint
	for r.PeekKind() != '}' {
		name, err := r.name()
		if err != nil {
			return err
		}
		if err := visit(name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		for bit, r := range required {
			if r == string(name) {
				seen |= 1 << bit
			}
		}
	}
	for bit, name := range required {
		if seen&(1<<bit) == 0 {
			return fmt.Errorf("%q: is missing", name)
		}
	}
	return r.token()
}

func (r *reader) name() ([]byte, error) {
	v, err := r.value()
	if err != nil || bytes.IndexByte(v, '\\') < 0 {
		return bytes.Trim(v, `"`), err
	}
	s, err := unquoted(v)
	return []byte(s), err
}

func (r *reader) token() error {
	_, err := r.ReadToken()
	return notJSON(err)
}

func (r *reader) value() (json.RawMessage, error) {
	v, err := r.ReadValue()
	end := r.InputOffset()
	return json.RawMessage(r.body[end-int64(len(v)) : end : end]), notJSON(err)
}

func notJSON(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the body is not JSON: %w", err)
}

func (r *reader) text() (string, error) {
	if kind := r.PeekKind(); kind != '"' && kind != 0 {
		return "", errNoText
	}
	v, err := r.value()
	if err != nil {
		return "", err
	}
	return unquoted(v)
}

// unquoted is the text of a JSON string.
func unquoted(v []byte) (string, error) {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), nil
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err
}

func (r *reader) optional() (*string, error) {
	if r.PeekKind() == 'n' {
		return nil, r.token()
	}
	s, err := r.text()
	r.optionals = append(r.optionals, s)
	return &r.optionals[len(r.optionals)-1], err
}

func (r *reader) number() (*json.Number, error) {
	switch r.PeekKind() {
	case 'n':
		return nil, r.token()
	case '0', 0:
	default:
		return nil, errors.New("is not a number")
	}
	v, err := r.value()
	n := json.Number(v)
	return &n, err
}

func (r *reader) instant() (time.Time, error) {
	s, err := r.text()
	if err != nil {
		return time.Time{}, err
	}
	return instant(s)
}

// instant reads a time of RFC 3339 in UTC. time.Parse alone also takes an hour of one digit and a
// comma for the point.
func instant(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err == nil && (s[12] == ':' || strings.Contains(s, ",") || !strings.HasSuffix(s, "Z")) {
		err = fmt.Errorf("%q is not a time of RFC 3339 in UTC", s)
	}
	return t, err
}

func (r *reader) cells() (map[string]json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	err := r.members(nil, func(name []byte) (err error) {
		m[string(name)], err = r.value()
		return err
	})
	return m, err
}

func (r *reader) texts() ([]string, error) {
	if r.PeekKind() != '[' {
		return nil, errors.New("is not a list of strings")
	}
	if err := r.token(); err != nil {
		return nil, err
	}
	list := []string{}
	for r.PeekKind() != ']' {
		s, err := r.text()
		if err != nil {
			return nil, fmt.Errorf("%d: %w", len(list), err)
		}
		list = append(list, s)
	}
	return list, r.token()
}
