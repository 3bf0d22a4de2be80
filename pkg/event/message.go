package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// CloudEvents 1.0 attributes as NATS headers (binary content mode); digest and change are
// extension attributes. NATS headers are case-sensitive (ADR-4).
const (
	HeaderID          = "ce-id"
	HeaderSource      = "ce-source"
	HeaderSpecVersion = "ce-specversion"
	HeaderType        = "ce-type"
	HeaderSubject     = "ce-subject"
	HeaderTime        = "ce-time"
	HeaderContentType = "ce-datacontenttype"
	HeaderDigest      = "ce-digest"
	HeaderChange      = "ce-change"
)

// Envelope is the metadata of an event.
type Envelope struct {
	ID     string    // unique; also the Nats-Msg-Id
	Source string    // "/airtable/<base>/<table>"
	Time   time.Time // when the change was found
	Digest string    // of the order's stored cells; "" for a deletion
}

// NewID makes an event id.
func NewID() string { return nuid.Next() }

// NewOrderChanged encodes an event as the message to publish.
func NewOrderChanged(env Envelope, c *OrderChanged) (*nats.Msg, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode order.changed of %s: %w", c.RecordID, err)
	}
	return &nats.Msg{
		Subject: OrderChangedSubject(c.RecordID),
		Data:    body,
		Header: nats.Header{
			nats.MsgIdHdr:     {env.ID},
			HeaderID:          {env.ID},
			HeaderSource:      {percentEncode(env.Source)},
			HeaderSpecVersion: {"1.0"},
			HeaderType:        {TypeOrderChanged},
			HeaderSubject:     {c.RecordID},
			HeaderTime:        {env.Time.UTC().Format(time.RFC3339Nano)},
			HeaderContentType: {"application/json"},
			HeaderDigest:      {env.Digest},
			HeaderChange:      {string(c.Change)},
		},
	}, nil
}

// ParseOrderChanged decodes a message of an order.changed subject. Every error wraps ErrMalformed.
func ParseOrderChanged(subject string, h nats.Header, body []byte) (*OrderChanged, Envelope, error) {
	env := Envelope{ID: h.Get(HeaderID), Source: percentDecode(h.Get(HeaderSource)), Digest: h.Get(HeaderDigest)}
	if t := h.Get(HeaderType); t != TypeOrderChanged {
		return nil, env, fmt.Errorf("%w: ce-type is %q", ErrMalformed, t)
	}
	if env.ID == "" {
		return nil, env, fmt.Errorf("%w: ce-id is missing", ErrMalformed)
	}
	at, err := time.Parse(time.RFC3339Nano, h.Get(HeaderTime))
	if err != nil {
		return nil, env, fmt.Errorf("%w: ce-time: %w", ErrMalformed, err)
	}
	env.Time = at
	var c OrderChanged
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, env, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := c.Validate(); err != nil {
		return nil, env, err
	}
	if id, ok := RecordIDOf(subject); !ok || id != c.RecordID {
		return nil, env, fmt.Errorf("%w: record_id %q on subject %q", ErrMalformed, c.RecordID, subject)
	}
	return &c, env, nil
}

// percentEncode escapes what the CloudEvents bindings ask for in header values: space, the double
// quote, the percent sign and everything outside printable ASCII.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// percentDecode undoes percentEncode and leaves a stray percent sign as it is.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] == '%' && i+2 < len(s) {
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
