package airtable

import (
	"encoding/json"
	"errors"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Record is one record of a page.
type Record struct {
	ID          string    `json:"id"`
	CreatedTime time.Time `json:"createdTime"`
	Fields      Fields    `json:"fields"`
	// Cut is 0, or how many bytes were read of each text, as the record is too large. Longer cells may be incomplete.
	Cut int `json:"-"`
}

// Fields are the cells of a record, as Airtable lists them; empty cells are absent.
type Fields []Cell

// Cell is what a record holds in one field.
type Cell struct {
	Key   string // the field's id or its name, as asked for
	Value json.RawMessage
}

// UnmarshalJSONFrom implements jsonv2.UnmarshalerFrom.
func (f *Fields) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return (&reader{keys: map[string]string{}}).fields(d, f)
}

// records are those of a page. A first sync reads many: they share the names of their fields.
type records []Record

// UnmarshalJSONFrom implements jsonv2.UnmarshalerFrom.
func (r *records) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	shared := reader{keys: map[string]string{}}
	return jsonv2.UnmarshalDecode(d, (*[]Record)(r), jsonv2.WithUnmarshalers(jsonv2.UnmarshalFromFunc(shared.fields)))
}

// reader reads the fields of records that are much alike.
type reader struct {
	keys  map[string]string // by how they are written
	bytes int               // of the values of the largest record so far
}

func (r *reader) fields(d *jsontext.Decoder, f *Fields) error {
	switch d.PeekKind() {
	case '{', 0: // or an error, which the next call returns
	case 'n':
		*f = nil
		return d.SkipValue()
	default:
		return errors.New("fields are not an object")
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	*f = make(Fields, 0, len(r.keys))
	values := make([]byte, 0, r.bytes) // those of a record lie together
	for d.PeekKind() != '}' {
		key, err := r.key(d)
		if err != nil {
			return err
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		began := len(values)
		values = append(values, value...)
		*f = append(*f, Cell{Key: key, Value: values[began:len(values):len(values)]})
	}
	r.bytes = max(r.bytes, len(values))
	_, err := d.ReadToken()
	return err
}

func (r *reader) key(d *jsontext.Decoder) (string, error) {
	written, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	if key, known := r.keys[string(written)]; known {
		return key, nil
	}
	var key string
	err = json.Unmarshal(written, &key)
	r.keys[string(written)] = key
	return key, err
}
