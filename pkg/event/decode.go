package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The reading half of encode.go. It takes what schema/order.changed.schema.json describes and
// nothing else: unlike encoding/json it wants member names in their exact case, as a subscriber in
// another language reads them, and no column left out. Members it does not know are additions.

// decode fills c from body. Cells share body's memory.
func (c *OrderChanged) decode(body []byte) error {
	if !json.Valid(body) || !utf8.Valid(body) {
		return errors.New("the body is not JSON in UTF-8")
	}
	return members(bytes.TrimSpace(body), []string{"record_id", "change", "order"}, func(name, value []byte) (err error) {
		switch string(name) {
		case "record_id":
			c.RecordID, err = text(value)
		case "change":
			var change string
			change, err = text(value)
			c.Change = Change(change)
		case "order":
			c.Order.Raw = value
			err = c.Order.decode(value)
		case "previous":
			c.Previous, err = cells(value)
		case "actor":
			c.Actor = &Actor{}
			err = c.Actor.decode(value)
		case "edit_ids":
			c.EditIDs, err = texts(value)
		}
		return err
	})
}

var orderColumns = []string{
	"record_id", "name", "customer", "status", "priority", "amount", "order_date", "created_at", "updated_at", "fields",
}

func (o *Order) decode(object []byte) error {
	return members(object, orderColumns, func(name, value []byte) (err error) {
		switch string(name) {
		case "record_id":
			o.RecordID, err = text(value)
		case "name":
			o.Name, err = optional(value)
		case "customer":
			o.Customer, err = optional(value)
		case "status":
			o.Status, err = optional(value)
		case "priority":
			o.Priority, err = optional(value)
		case "amount":
			o.Amount, err = number(value)
		case "order_date":
			o.OrderDate, err = optional(value)
		case "created_at":
			o.CreatedAt, err = instantOf(value)
		case "updated_at":
			o.UpdatedAt, err = instantOf(value)
		case "fields":
			o.Fields = value
			if value[0] != '{' {
				err = errNoObject
			}
		}
		return err
	})
}

func (a *Actor) decode(object []byte) error {
	return members(object, []string{"id"}, func(name, value []byte) (err error) {
		switch string(name) {
		case "id":
			a.ID, err = text(value)
		case "email":
			a.Email, err = text(value)
		case "name":
			a.Name, err = text(value)
		}
		return err
	})
}

var errNoObject = errors.New("is not an object")

// members calls visit for each member of object, a valid JSON value without space around it. Of
// members of the same name the last one counts, as in JavaScript.
func members(object []byte, required []string, visit func(name, value []byte) error) error {
	if object[0] != '{' {
		return errNoObject
	}
	var seen uint
	for i := space(object, 1); object[i] != '}'; {
		end := i + length(object[i:])
		name := object[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			unescaped, err := text(object[i:end])
			if err != nil {
				return err
			}
			name = []byte(unescaped)
		}
		i = space(object, end) + 1 // past the colon
		i = space(object, i)
		end = i + length(object[i:])
		if err := visit(name, object[i:end:end]); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		for bit, r := range required {
			if r == string(name) {
				seen |= 1 << bit
			}
		}
		if i = space(object, end); object[i] == ',' {
			i = space(object, i+1)
		}
	}
	for bit, r := range required {
		if seen&(1<<bit) == 0 {
			return fmt.Errorf("%q: is missing", r)
		}
	}
	return nil
}

// length is that of the JSON value b starts with; b is valid.
func length(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 { // the end of what a number or literal stands in
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// space is the index of the first byte of b from i that is not white space.
func space(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r' {
		i++
	}
	return i
}

func text(value []byte) (string, error) {
	if value[0] != '"' {
		return "", errors.New("is not a string")
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err
}

func optional(value []byte) (*string, error) {
	if value[0] == 'n' {
		return nil, nil
	}
	s, err := text(value)
	return &s, err
}

func number(value []byte) (*json.Number, error) {
	switch c := value[0]; {
	case c == 'n':
		return nil, nil
	case c != '-' && (c < '0' || c > '9'):
		return nil, errors.New("is not a number")
	}
	n := json.Number(value)
	return &n, nil
}

func instantOf(value []byte) (time.Time, error) {
	s, err := text(value)
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

func cells(value []byte) (map[string]json.RawMessage, error) {
	m := map[string]json.RawMessage{}
	err := members(value, nil, func(name, cell []byte) error {
		m[string(name)] = cell
		return nil
	})
	return m, err
}

func texts(value []byte) ([]string, error) {
	var all []*string
	if err := json.Unmarshal(value, &all); err != nil || all == nil {
		return nil, errors.New("is not a list of strings")
	}
	list := make([]string, len(all))
	for i, s := range all {
		if s == nil {
			return nil, fmt.Errorf("%d: is not a string", i)
		}
		list[i] = *s
	}
	return list, nil
}
