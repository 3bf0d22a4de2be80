package event

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// CloudEvents 1.0 attributes as NATS headers (binary content mode); digest, change and
// truncated are extension attributes. NATS headers are case-sensitive (ADR-4).
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
	HeaderTruncated   = "ce-truncated" // "true" where Order.Truncated names fields
)

// Envelope is the metadata of an event.
type Envelope struct {
	ID     string    // unique; also the Nats-Msg-Id
	Source string    // "/airtable/<base>/<table>", "/odoo/<database>"
	Time   time.Time // when the change was found
	Digest string    // of the order's stored cells, or of a record; "" for a deletion, which has no such header
}

// NewID makes an event id.
func NewID() string { return nuid.Next() }

// NewOrderChanged encodes an event as the message to publish. Every error wraps ErrMalformed.
func NewOrderChanged(env Envelope, c *OrderChanged) (*nats.Msg, error) {
	h, err := env.header(TypeOrderChanged, c.RecordID)
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	body, err := c.appendJSON(make([]byte, 0, len(c.Order.Fields)+352))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, c.RecordID, err)
	}
	h[HeaderChange] = []string{string(c.Change)}
	if len(c.Order.Truncated) > 0 {
		h[HeaderTruncated] = []string{"true"}
	}
	return &nats.Msg{Subject: OrderChangedSubject(c.RecordID), Data: body, Header: h}, nil
}

// header is the CloudEvents attributes of an event about recordID.
func (env *Envelope) header(eventType, recordID string) (nats.Header, error) {
	if env.ID == "" {
		return nil, fmt.Errorf("%w: no id", ErrMalformed)
	}
	at, err := env.Time.UTC().MarshalText()
	if err != nil {
		return nil, fmt.Errorf("%w: the event's time: %w", ErrMalformed, err)
	}
	names := [...]string{
		nats.MsgIdHdr, HeaderID, HeaderSource, HeaderSpecVersion, HeaderType, HeaderSubject, HeaderTime, HeaderContentType, HeaderDigest,
	}
	values := []string{ // one allocation: each order passes here on each sync
		env.ID, percentEncode(env.ID), percentEncode(env.Source), "1.0", eventType, recordID, string(at), "application/json", percentEncode(env.Digest),
	}
	h := make(nats.Header, len(names)+2) // and what callers add
	for i, name := range names {
		if values[i] != "" {
			h[name] = values[i : i+1 : i+1]
		}
	}
	return h, nil
}

// ParseOrderChanged decodes a message of an order.changed subject; cells of the order share body's
// memory. Every error wraps ErrMalformed.
func ParseOrderChanged(subject string, h nats.Header, body []byte) (*OrderChanged, Envelope, error) {
	env, err := parseEnvelope(TypeOrderChanged, h)
	if err != nil {
		return nil, env, err
	}
	c := &OrderChanged{}
	if err := c.decode(body); err != nil {
		return nil, env, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := c.Validate(); err != nil {
		return nil, env, err
	}
	if err := ofSubject(TypeOrderChanged, c.RecordID, subject); err != nil {
		return nil, env, err
	}
	return c, env, nil
}

func parseEnvelope(eventType string, h nats.Header) (env Envelope, err error) {
	if env.ID, err = percentDecode(h.Get(HeaderID)); err != nil || env.ID == "" {
		return env, fmt.Errorf("%w: %s is missing or not UTF-8", ErrMalformed, HeaderID)
	}
	if t := h.Get(HeaderType); t != eventType {
		return env, fmt.Errorf("%w: %s is %q", ErrMalformed, HeaderType, t)
	}
	if env.Source, err = percentDecode(h.Get(HeaderSource)); err != nil {
		return env, fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderSource, err)
	}
	if env.Time, err = instant(h.Get(HeaderTime)); err != nil {
		return env, fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderTime, err)
	}
	if env.Digest, err = percentDecode(h.Get(HeaderDigest)); err != nil {
		return env, fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderDigest, err)
	}
	return env, nil
}

// MessageID tells a stored message from another that had its sequence before the stream was wiped or set back: the id
// of its event, or of what has none the time it was stored at.
func MessageID(h nats.Header, stored time.Time) string {
	if id := h.Get(HeaderID); id != "" {
		return id
	}
	return stored.UTC().Format(time.RFC3339Nano)
}

// percentEncode escapes what the CloudEvents NATS binding (3.1.3.2) asks for in header values: space,
// the double quote, the percent sign and everything outside printable ASCII.
func percentEncode(s string) string {
	plain := 0
	for plain < len(s) && !special(s[plain]) {
		plain++
	}
	if plain == len(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if special(s[i]) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func special(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '%' }

// percentDecode undoes percentEncode, and the quoting that older writers of the binding used. A
// stray percent sign stays as it is; bytes that are not UTF-8 are an error.
func percentDecode(s string) (string, error) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = unquote(s[1 : len(s)-1])
	}
	if strings.Contains(s, "%") {
		b := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			if s[i] == '%' && i+2 < len(s) {
				if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
					b = append(b, c[0])
					i += 2
					continue
				}
			}
			b = append(b, s[i])
		}
		s = string(b)
	}
	if !utf8.ValidString(s) {
		return "", errors.New("not UTF-8")
	}
	return s, nil
}

// unquote takes the backslashes out of the inside of an HTTP quoted string (RFC 7230, 3.2.6).
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
