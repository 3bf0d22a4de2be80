package airtable

import (
	"encoding/json"
	"errors"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Record is one record of a page. Cells are keyed by field id or by field name, as asked for;
// empty cells are absent.
type Record struct {
	ID          string    `json:"id"`
	CreatedTime time.Time `json:"createdTime"`
	Fields      Fields    `json:"fields"`
}

// Fields are the cells of a record.
type Fields map[string]json.RawMessage

// records are those of a page. A first sync reads many: a field's name is kept once a page, and the
// cells of a record lie together.
type records []Record

// UnmarshalJSONFrom implements jsonv2.UnmarshalerFrom.
func (r *records) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	names, most := map[string]string{}, 0
	return jsonv2.UnmarshalDecode(d, (*[]Record)(r), jsonv2.WithUnmarshalers(
		jsonv2.UnmarshalFromFunc(func(d *jsontext.Decoder, f *Fields) error {
			if d.PeekKind() != '{' {
				return errors.ErrUnsupported
			}
			if _, err := d.ReadToken(); err != nil {
				return err
			}
			*f = make(Fields, len(names))
			cells := make([]byte, 0, most)
			for d.PeekKind() != '}' {
				key, err := d.ReadValue()
				if err != nil {
					return err
				}
				name, known := names[string(key)]
				if !known {
					if name, err = unquote(key); err != nil {
						return err
					}
					names[string(key)] = name
				}
				cell, err := d.ReadValue()
				if err != nil {
					return err
				}
				began := len(cells)
				cells = append(cells, cell...)
				(*f)[name] = cells[began:len(cells):len(cells)]
			}
			most = max(most, len(cells))
			_, err := d.ReadToken()
			return err
		})))
}

func unquote(text []byte) (s string, err error) {
	err = json.Unmarshal(text, &s)
	return s, err
}
