package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event/i18n"
)

// HeaderState is the state of the edit in an order.edited event, a CloudEvents extension attribute.
const HeaderState = "ce-state"

// SourceOrders is the CloudEvents source of the edits that the orders service accepts.
const SourceOrders = "/orders"

// EditState is how far an edit has come.
type EditState string

// An edit is pending from when JetStream has it on disk (invariant 1) until Airtable has taken it
// or it is known that it will not.
const (
	Pending  EditState = "pending"
	Applied  EditState = "applied"
	Rejected EditState = "rejected"
)

// EditValues is what the columns of an edit are to hold, by their names: one of EditableColumns or more.
type EditValues map[string]string

// Validate gives the column whose value cannot be written, or that is none to edit; "" where all is well.
func (v EditValues) Validate() (column string) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if !slices.Contains(EditableColumns, name) || !ValidEditValue(v[name]) {
			return name
		}
	}
	return ""
}

// OrderEdit is the body of an order.edit message: what somebody wants Airtable to hold. ID is made
// by who accepts the edit, and names it wherever it turns up.
type OrderEdit struct {
	ID          string     `json:"edit_id"`
	RecordID    string     `json:"record_id"`
	Values      EditValues `json:"values"`
	Actor       Actor      `json:"actor"`
	RequestedAt time.Time  `json:"requested_at"`
}

// OrderEdited is the body of an order.edited event: the edit, and how far it has come. Each edit
// has one that is pending and one that settles it; Reason says why it was rejected.
type OrderEdited struct {
	OrderEdit
	State  EditState  `json:"state"`
	Reason *i18n.Text `json:"reason,omitempty"`
}

// Settled makes the event that ends an edit. A nil reason means that it was applied.
func (e *OrderEdit) Settled(reason *i18n.Text) OrderEdited {
	if reason != nil {
		return OrderEdited{OrderEdit: *e, State: Rejected, Reason: reason}
	}
	return OrderEdited{OrderEdit: *e, State: Applied}
}

// MaxEditValue is how many characters a value of an edit may have.
const MaxEditValue = 1000

// ValidEditValue reports whether s can be written into a cell: text that is not blank, without NUL, of
// at most MaxEditValue characters. Which values a column offers, the table in Airtable says.
func ValidEditValue(s string) bool {
	return strings.TrimSpace(s) != "" && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 && utf8.RuneCountInString(s) <= MaxEditValue
}

// Validate checks what the schema promises. The error wraps ErrMalformed and names the field.
func (e *OrderEdit) Validate() error {
	bad := func(field, why string) error { return fmt.Errorf("%w: %s %s", ErrMalformed, field, why) }
	switch {
	case !ValidRecordID(e.ID):
		return bad("edit_id", "is not an id")
	case !ValidRecordID(e.RecordID):
		return bad("record_id", "is not a record id")
	case len(e.Values) == 0:
		return bad("values", "is empty")
	case e.Values.Validate() != "":
		return bad("values."+e.Values.Validate(), "is not a text to write, or no column to edit")
	case e.Actor.ID == "":
		return bad("actor.id", "is missing")
	case e.RequestedAt.IsZero():
		return bad("requested_at", "is missing")
	}
	return nil
}

// Validate checks what the schema promises. The error wraps ErrMalformed and names the field.
func (e *OrderEdited) Validate() error {
	if err := e.OrderEdit.Validate(); err != nil {
		return err
	}
	switch {
	case e.State != Pending && e.State != Applied && e.State != Rejected:
		return fmt.Errorf("%w: state is not pending, applied or rejected", ErrMalformed)
	case (e.State == Rejected) != (e.Reason != nil):
		return fmt.Errorf("%w: reason goes with a rejection, and with nothing else", ErrMalformed)
	}
	return nil
}

// NewOrderEdit encodes an edit as the message to publish. env.ID is the id of the message: the
// edit's own, or another where an edit that got lost is published again. The error wraps ErrMalformed.
func NewOrderEdit(env Envelope, e *OrderEdit) (*nats.Msg, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return newMessage(env, TypeOrderEdit, e.RecordID, e)
}

// EditedID is the id of the event that says what became of the edit in a message of EDITS. It follows from both,
// so that the event can be published again without being stored twice. An edit that is requeued has a message of
// another id: JetStream would drop its outcome as a duplicate of one that may be gone from the stream.
func EditedID(messageID string, state EditState) string { return messageID + "-" + string(state) }

// NewOrderEdited encodes the event of an edit. The error wraps ErrMalformed.
func NewOrderEdited(env Envelope, e *OrderEdited) (*nats.Msg, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	msg, err := newMessage(env, TypeOrderEdited, e.RecordID, e)
	if err == nil {
		msg.Header[HeaderState] = []string{string(e.State)}
	}
	return msg, err
}

// ParseOrderEdit decodes a message of an order.edit subject. Every error wraps ErrMalformed.
func ParseOrderEdit(subject string, h nats.Header, body []byte) (*OrderEdit, Envelope, error) {
	e := &OrderEdit{}
	env, err := parseMessage(TypeOrderEdit, subject, h, body, e)
	if err == nil {
		err = errors.Join(e.Validate(), ofSubject(TypeOrderEdit, e.RecordID, subject))
	}
	return e, env, err
}

// ParseOrderEdited decodes a message of an order.edited subject. Every error wraps ErrMalformed.
func ParseOrderEdited(subject string, h nats.Header, body []byte) (*OrderEdited, Envelope, error) {
	e := &OrderEdited{}
	env, err := parseMessage(TypeOrderEdited, subject, h, body, e)
	if err == nil {
		err = errors.Join(e.Validate(), ofSubject(TypeOrderEdited, e.RecordID, subject))
	}
	return e, env, err
}

// newMessage encodes body as a CloudEvent of a type that is rare enough for encoding/json.
func newMessage(env Envelope, eventType, recordID string, body any) (*nats.Msg, error) {
	header, err := env.header(eventType, recordID)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, recordID, err)
	}
	return &nats.Msg{Subject: eventType + "." + recordID, Header: header, Data: data}, nil
}

func parseMessage(eventType, subject string, h nats.Header, data []byte, body any) (Envelope, error) {
	env, err := parseEnvelope(eventType, h)
	if err != nil {
		return env, err
	}
	if err := jsonv2.Unmarshal(data, body, asWritten); err != nil { // member names in their exact case, unlike encoding/json
		return env, fmt.Errorf("%w: %s: %w", ErrMalformed, subject, err)
	}
	return env, nil
}

func ofSubject(eventType, recordID, subject string) error {
	if subject != eventType+"."+recordID {
		return fmt.Errorf("%w: record_id %q on subject %q", ErrMalformed, recordID, subject)
	}
	return nil
}
