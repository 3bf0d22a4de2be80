package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// OdooChanged is the body of an odoo.changed event: a record of Odoo's was created, updated or
// deleted. Deleted also means that it left the resource, as a partner who is no supplier any more.
type OdooChanged struct {
	Resource string    `json:"resource"` // products, partners, suppliers, customers or sales
	ID       int64     `json:"id"`       // Odoo's
	Change   Change    `json:"change"`
	At       time.Time `json:"at"` // when the change was found
	// Record is the record after the change as GET /api/v1/<resource>/<id> gives it, in the language of
	// the bridge's user; null when it is deleted, or too large for a message.
	Record json.RawMessage `json:"record"`
}

// Validate checks what the schema promises. The error wraps ErrMalformed and names the field.
func (c *OdooChanged) Validate() error {
	bad := func(field, why string) error { return fmt.Errorf("%w: %s %s", ErrMalformed, field, why) }
	object := len(c.Record) > 0 && c.Record[0] == '{' && json.Valid(c.Record)
	null := len(c.Record) == 0 || bytes.Equal(c.Record, []byte("null"))
	switch {
	case !ValidRecordID(c.Resource):
		return bad("resource", "is not a resource's name")
	case c.ID < 1:
		return bad("id", "is not an id")
	case c.Change != Created && c.Change != Updated && c.Change != Deleted:
		return bad("change", "is not created, updated or deleted")
	case c.At.IsZero():
		return bad("at", "is missing")
	case !object && !null:
		return bad("record", "is neither an object nor null")
	case object && c.Change == Deleted:
		return bad("record", "is there, of a deletion")
	}
	return nil
}

// OdooID is Odoo's id as headers and subjects carry it.
func OdooID(id int64) string { return strconv.FormatInt(id, 10) }

// NewOdooChanged encodes an event as the message to publish. Every error wraps ErrMalformed.
func NewOdooChanged(env Envelope, c *OdooChanged) (*nats.Msg, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	msg, err := newMessage(env, TypeOdooChanged, OdooID(c.ID), c)
	if err != nil {
		return nil, err
	}
	msg.Subject = OdooChangedSubject(c.Resource, c.ID)
	msg.Header[HeaderChange] = []string{string(c.Change)}
	return msg, nil
}

// ParseOdooChanged decodes a message of an odoo.changed subject. Every error wraps ErrMalformed.
func ParseOdooChanged(subject string, h nats.Header, body []byte) (*OdooChanged, Envelope, error) {
	c := &OdooChanged{}
	env, err := parseMessage(TypeOdooChanged, subject, h, body, c)
	if err == nil {
		err = c.Validate()
	}
	if err == nil && subject != OdooChangedSubject(c.Resource, c.ID) {
		err = fmt.Errorf("%w: %s %d on subject %q", ErrMalformed, c.Resource, c.ID, subject)
	}
	return c, env, err
}
