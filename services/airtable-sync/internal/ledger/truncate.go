package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event"
)

// errTooLarge is wrapped by the error about an order that is too large even with its cells truncated.
var errTooLarge = errors.New("larger than a message may be")

// minCell is the size, in bytes of JSON, below which no cell is truncated.
const minCell = 64

// part is a piece of an event that can be truncated: a cell of fields, a column or a previous value.
type part struct {
	field   string // its field's name; "" for what is no cell
	quoted  []byte // the field's name as JSON
	value   json.RawMessage
	replace func(json.RawMessage)
}

// truncate makes an event that is too large fit into limit bytes: all cells longer than a length that they have in
// common are cut to it, and named in Order.Truncated. The digest stays that of the whole order, so that what was cut
// is compared as well.
func truncate(env event.Envelope, whole *event.OrderChanged, excess, limit int) (*nats.Msg, error) {
	body := *whole
	body.Order.Truncated = slices.Clone(body.Order.Truncated)
	cells, err := members(body.Order.Fields)
	if err != nil {
		return nil, fmt.Errorf("%w: fields: %w", event.ErrMalformed, err)
	}
	parts := make([]*part, 0, len(cells)+8)
	for i := range cells {
		parts = append(parts, &cells[i])
	}
	parts = append(parts, texts(&body)...)
	longest, err := commonLength(parts, excess)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if len(p.value) <= longest {
			continue
		}
		if p.value = shorten(p.value, longest); p.value == nil {
			p.value = json.RawMessage("null")
		}
		switch {
		case p.field == "":
			p.replace(p.value)
		case !slices.Contains(body.Order.Truncated, p.field): // of a deleted order it may have been cut before
			body.Order.Truncated = append(body.Order.Truncated, p.field)
		}
	}
	fields := []byte{'{'}
	for i, c := range cells {
		if i > 0 {
			fields = append(fields, ',')
		}
		fields = append(append(append(fields, c.quoted...), ':'), c.value...)
	}
	fields = append(fields, '}')
	body.Order.Fields = fields
	msg, err := event.NewOrderChanged(env, &body)
	if err == nil && len(msg.Data) > limit {
		err = fmt.Errorf("%w: %d bytes without its long cells", errTooLarge, len(msg.Data))
	}
	return msg, err
}

// commonLength gives the length to which the longest parts must be cut to save excess bytes, and the bytes that it
// takes to name them.
func commonLength(parts []*part, excess int) (int, error) {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b *part) int { return cmp.Compare(len(b.value), len(a.value)) })
	spare := -excess - len(`,"truncated":[]`)
	for i, p := range parts {
		spare += len(p.value)
		if p.field != "" {
			spare -= len(p.quoted) + len(",")
		}
		next := 0
		if i+1 < len(parts) {
			next = len(parts[i+1].value)
		}
		if length := spare / (i + 1); length >= max(next, minCell) {
			return length, nil
		}
	}
	return 0, fmt.Errorf("%w by %d bytes, and no cell is long", errTooLarge, excess)
}

// texts are the columns and previous values that may be long.
func texts(body *event.OrderChanged) (parts []*part) {
	for i := range event.Columns {
		column := &event.Columns[i]
		text := column.Value(&body.Order)
		if text == nil || !column.Kind.IsText() {
			continue
		}
		if value, err := json.Marshal(*text); err == nil {
			parts = append(parts, &part{value: value, replace: func(v json.RawMessage) {
				var s string
				if json.Unmarshal(v, &s) == nil {
					column.Set(&body.Order, &s)
				}
			}})
		}
	}
	previous := make(map[string]json.RawMessage, len(body.Previous))
	for column, value := range body.Previous {
		previous[column] = value
		parts = append(parts, &part{value: value, replace: func(v json.RawMessage) { previous[column] = v }})
	}
	body.Previous = previous
	return parts
}

// lenient reads whatever an event may hold.
var lenient = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

// members splits an object, which may be missing.
func members(object json.RawMessage) (parts []part, err error) {
	if len(object) == 0 {
		return nil, nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(object), lenient...)
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		p := part{quoted: bytes.Clone(name)}
		if err := json.Unmarshal(name, &p.field); err != nil {
			return nil, err
		}
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		p.value = json.RawMessage(bytes.Clone(value))
		parts = append(parts, p)
	}
	return parts, nil
}

// shorten cuts a JSON value to at most limit bytes: a text ends in "…", a list or an object after what fits. It
// returns nil where nothing of the value fits.
func shorten(value json.RawMessage, limit int) json.RawMessage {
	switch {
	case len(value) <= limit:
		return value
	case limit < len(`"…"`):
		return nil
	case value[0] == '"':
		return shortenText(value, limit)
	case value[0] != '[' && value[0] != '{':
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(value), lenient...)
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	out := []byte{value[0]}
	for {
		end := len(out)
		if end > 1 {
			out = append(out, ',')
		}
		if value[0] == '{' && d.PeekKind() == '"' {
			name, err := d.ReadValue()
			if err != nil {
				return nil
			}
			out = append(append(out, name...), ':')
		}
		element, err := d.ReadValue()
		if err != nil { // the end
			out = out[:end]
			break
		}
		whole := len(element)
		if element = jsontext.Value(shorten(json.RawMessage(element), limit-len(out)-1)); element == nil {
			out = out[:end]
			break
		}
		out = append(out, element...)
		if len(element) < whole {
			break
		}
	}
	if value[0] == '[' {
		return append(out, ']')
	}
	return append(out, '}')
}

// shortenText cuts a JSON string between two characters.
func shortenText(quoted json.RawMessage, limit int) json.RawMessage {
	end := 1
	for {
		_, size := utf8.DecodeRune(quoted[end:])
		if quoted[end] == '\\' {
			size = escapeSize(quoted[end:])
		}
		if end+size+len(`…"`) > limit {
			return append(bytes.Clone(quoted[:end]), `…"`...)
		}
		end += size
	}
}

// escapeSize is the length of the escaped character that a JSON text begins with; two surrogates are one character.
func escapeSize(text []byte) int {
	const unicode = len(`\uXXXX`)
	if text[1] != 'u' {
		return 2
	}
	if high := text[2:4]; (high[0] == 'd' || high[0] == 'D') && strings.IndexByte("89abAB", high[1]) >= 0 && bytes.HasPrefix(text[unicode:], []byte(`\u`)) {
		return 2 * unicode
	}
	return unicode
}
