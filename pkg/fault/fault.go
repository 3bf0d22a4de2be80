// Package fault is the one error type that crosses service boundaries: a code, a sentence for
// people in Spanish and English, the fields at fault, and a cause that never leaves the process
// (invariant 9).
package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/resonance/resonance/pkg/event/i18n"
)

// Code says what kind of failure happened. Its value is the HTTP status it becomes and the
// code of the NATS micro error that carries it.
type Code int

// The codes of Resonance; there are no others.
const (
	Invalid         Code = http.StatusBadRequest
	Unauthenticated Code = http.StatusUnauthorized
	Forbidden       Code = http.StatusForbidden
	NotFound        Code = http.StatusNotFound
	Conflict        Code = http.StatusConflict
	Stale           Code = http.StatusPreconditionFailed
	TooLarge        Code = http.StatusRequestEntityTooLarge
	TooMany         Code = http.StatusTooManyRequests
	Internal        Code = http.StatusInternalServerError
	Unavailable     Code = http.StatusServiceUnavailable
)

var known = []Code{
	Invalid, Unauthenticated, Forbidden, NotFound, Conflict, Stale, TooLarge, TooMany, Internal, Unavailable,
}

// Temporary reports whether the same request may succeed later unchanged. Consumers redeliver
// what is temporary and park the rest (invariant 5).
func (c Code) Temporary() bool { return c == Unavailable || c == TooMany }

// Text and T are i18n's: a sentence for people in both languages.
type Text = i18n.Text

// T makes a Text.
func T(es, en string) Text { return i18n.T(es, en) }

// Error is a failure that a client may be told about.
type Error struct {
	Code       Code            `json:"-"`
	Detail     Text            `json:"detail"`
	Fields     map[string]Text `json:"errors,omitempty"`
	RetryAfter time.Duration   `json:"retry_after,omitempty"` // nanoseconds; zero: not said
	Err        error           `json:"-"`                     // the cause, for the log only
}

// Error describes the failure for logs, in English, with its cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Detail.EN + ": " + e.Err.Error()
	}
	return e.Detail.EN
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error without a cause.
func New(code Code, detail Text) *Error { return &Error{Code: code, Detail: detail} }

// Wrap makes an error whose cause stays in this process.
func Wrap(code Code, detail Text, err error) *Error {
	return &Error{Code: code, Detail: detail, Err: err}
}

// Field makes an Invalid error that names one field.
func Field(name string, text Text) *Error {
	return &Error{Code: Invalid, Detail: T(name+": "+text.ES, name+": "+text.EN), Fields: map[string]Text{name: text}}
}

// Away makes an Unavailable error for a dependency that does not answer, to be retried after a second.
func Away(what string, err error) *Error {
	return &Error{
		Code:       Unavailable,
		Detail:     T(what+" no está disponible en este momento", what+" is not available right now"),
		RetryAfter: time.Second,
		Err:        err,
	}
}

// From returns err as an *Error: itself if it is one, Unavailable for a deadline or a
// cancellation, Internal for anything else. It returns nil for nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &Error{
			Code:       Unavailable,
			Detail:     T("La operación tardó demasiado", "The operation took too long"),
			RetryAfter: time.Second,
			Err:        err,
		}
	}
	return Wrap(Internal, T("Error interno", "Internal error"), err)
}

// CodeOf returns the code of err, Internal when it carries none and 0 for nil.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	return From(err).Code
}

// Encode gives the code and body of the NATS micro error that carries e; the cause stays behind.
func (e *Error) Encode() (code string, body []byte) {
	body, err := json.Marshal(e)
	if err != nil { // unreachable: texts and a duration always encode
		body = []byte(`{"detail":{"es":"Error interno","en":"Internal error"}}`)
	}
	return strconv.Itoa(int(e.Code)), body
}

// Decode is the inverse of Encode. What it cannot read becomes Internal.
func Decode(code string, body []byte) *Error {
	n, err := strconv.Atoi(code)
	if err != nil || !slices.Contains(known, Code(n)) {
		return Wrap(Internal, T("Error interno", "Internal error"), fmt.Errorf("micro error code %q", code))
	}
	e := &Error{}
	if err := json.Unmarshal(body, e); err != nil || e.Detail.EN == "" || e.Detail.ES == "" {
		return Wrap(Internal, T("Error interno", "Internal error"), fmt.Errorf("micro error %d without a detail", n))
	}
	e.Code, e.RetryAfter = Code(n), max(e.RetryAfter, 0)
	return e
}
