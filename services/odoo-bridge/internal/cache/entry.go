package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
)

// Kinds of answers.
const (
	list    = "list"
	get     = "get"
	image   = "image"
	summary = "summary"
)

// key names an answer.
type key struct {
	resource, kind string
	id             int64 // of the record it depends on; 0 for all
	hash           string
}

// keyOf names the answer of a kind to a question; what asks for the same must marshal to the same.
func keyOf(name, kind string, id int64, question ...any) key {
	text, err := json.Marshal(question)
	if err != nil {
		panic(err) // plain structs of our own
	}
	sum := sha256.Sum256(text)
	return key{name, kind, id, hex.EncodeToString(sum[:12])}
}

// String is the key in the bucket.
func (k key) String() string {
	return k.resource + "." + k.kind + "." + strconv.FormatInt(k.id, 10) + "." + k.hash
}

// entry is an answer of Odoo's.
type entry struct {
	version

	At    time.Time // when Odoo was asked
	ours  bool      // by this process, whose clock At is of
	value any       // resource.Page, resource.Record, resource.Image or resource.Summary
	size  int
}

// head precedes the value of an entry in the bucket.
type head struct {
	version

	At    time.Time `json:"at"`
	Total int64     `json:"total,omitempty"`
	Type  string    `json:"type,omitempty"`
	Sizes []int     `json:"sizes,omitempty"` // of records, one after another
	IDs   []int64   `json:"ids,omitempty"`
}

// encode writes an entry for the bucket: a line of JSON, then what Odoo's answer became.
func (e *entry) encode() ([]byte, error) {
	h := head{version: e.version, At: e.At}
	var body []byte
	switch v := e.value.(type) {
	case resource.Page:
		h.Total = v.Total
		for _, r := range v.Records {
			h.Sizes, h.IDs, body = append(h.Sizes, len(r.Data)), append(h.IDs, r.ID), append(body, r.Data...)
		}
	case resource.Record:
		h.IDs, body = []int64{v.ID}, v.Data
	case resource.Image:
		h.Type, body = v.Type, v.Data
	case resource.Summary:
		var err error
		if body, err = json.Marshal(v.SalesSummary); err != nil {
			return nil, fmt.Errorf("encode a summary: %w", err)
		}
	}
	line, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode an entry: %w", err)
	}
	return append(append(line, '\n'), body...), nil
}

var errMalformed = errors.New("malformed entry")

// decode reads what encode wrote. What it gives shares data's memory.
func decode(kind string, data []byte) (*entry, error) {
	line, body, ok := bytes.Cut(data, []byte{'\n'})
	var h head
	if err := json.Unmarshal(line, &h); err != nil || !ok {
		return nil, errMalformed
	}
	e := &entry{version: h.version, At: h.At, size: len(data)}
	switch kind {
	case list:
		page := resource.Page{Total: h.Total, Records: make([]resource.Record, len(h.Sizes))}
		if len(h.IDs) != len(h.Sizes) {
			return nil, errMalformed
		}
		for i, n := range h.Sizes {
			if n < 0 || n > len(body) {
				return nil, errMalformed
			}
			page.Records[i] = resource.Record{ID: h.IDs[i], Data: body[:n:n]}
			body = body[n:]
		}
		e.value = page
	case get:
		if len(h.IDs) != 1 {
			return nil, errMalformed
		}
		e.value = resource.Record{ID: h.IDs[0], Data: body}
	case image:
		e.value = resource.Image{Type: h.Type, Data: body}
	case summary:
		var v resource.Summary
		if err := json.Unmarshal(body, &v.SalesSummary); err != nil {
			return nil, errMalformed
		}
		e.value = v
	default:
		return nil, errMalformed
	}
	return e, nil
}

// sizeOf is about how much memory a value takes.
func sizeOf(value any) int {
	const each = 200
	n := each
	switch v := value.(type) {
	case resource.Page:
		for _, r := range v.Records {
			n += each + len(r.Data)
		}
	case resource.Record:
		n += len(v.Data)
	case resource.Image:
		n += len(v.Data)
	case resource.Summary:
		n += each * (len(v.ByState) + len(v.ByMonth))
	}
	return n
}
