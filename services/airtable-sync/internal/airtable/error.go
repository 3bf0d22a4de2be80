package airtable

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrUnreachable is wrapped when no whole answer came.
	ErrUnreachable = errors.New("Airtable does not answer")
	// ErrNonsense is wrapped when the answer is not what Airtable's documentation promises.
	ErrNonsense = errors.New("Airtable answered something unreadable")

	errTooLarge = fmt.Errorf("%w: an answer of more bytes than are read", ErrNonsense)
)

// Error is a refusal by Airtable.
type Error struct {
	Status     int
	Type       string // such as NOT_FOUND; "" when the body was not Airtable's
	Message    string
	RetryAfter time.Duration
}

// Error gives Airtable's own words.
func (e *Error) Error() string {
	switch {
	case e.Message != "":
		return fmt.Sprintf("Airtable refused: %d %s: %s", e.Status, e.Type, e.Message)
	case e.Type != "":
		return fmt.Sprintf("Airtable refused: %d %s", e.Status, e.Type)
	default:
		return fmt.Sprintf("Airtable refused: %d %s", e.Status, http.StatusText(e.Status))
	}
}

// NoTableError says that the base has no such table, and which it has.
type NoTableError struct {
	Base, Table string
	There       []string
}

// Error lists what there is.
func (e *NoTableError) Error() string {
	return fmt.Sprintf("base %s has no table %s; it has %s", e.Base, e.Table, strings.Join(e.There, ", "))
}

// RateLimited reports a 429 that passes by waiting, unlike a month's calls used up.
func (e *Error) RateLimited() bool {
	return e.Status == http.StatusTooManyRequests && e.Type != billingLimit
}

const billingLimit = "PUBLIC_API_BILLING_LIMIT_EXCEEDED"

// IsBillingLimit reports that the month's calls are used up: calling again is of no use.
func IsBillingLimit(err error) bool { return hasType(err, billingLimit) }

// IsIteratorExpired reports that a listing must start over.
func IsIteratorExpired(err error) bool {
	return hasType(err, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE") || hasType(err, "INVALID_OFFSET_VALUE")
}

// IsBadFormula reports that Airtable does not take the filter.
func IsBadFormula(err error) bool { return hasType(err, "INVALID_FILTER_BY_FORMULA") }

// IsTooManyWebhooks reports that the base has as many webhooks as Airtable allows.
func IsTooManyWebhooks(err error) bool { return hasType(err, "TOO_MANY_WEBHOOKS_IN_BASE") }

// IsInvalid reports a 422: Airtable understands the request and refuses what it says.
func IsInvalid(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusUnprocessableEntity
}

// IsForbidden reports a 403 or 404: no such thing, or no right to it. Airtable does not tell which.
func IsForbidden(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound)
}

func hasType(err error, typ string) bool {
	var e *Error
	return errors.As(err, &e) && e.Type == typ
}

// parseError reads the three shapes Airtable's errors have: {"error":{"type","message"}},
// {"error":"NOT_FOUND"} and {"errors":[{"error","message"}]}.
func parseError(res *http.Response, body []byte) *Error {
	e := &Error{Status: res.StatusCode}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 && s <= 3600 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	var shape struct {
		Error  json.RawMessage `json:"error"`
		Errors []struct {
			Error   string `json:"error"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &shape) != nil {
		return e
	}
	var object struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(shape.Error, &e.Type) == nil:
	case json.Unmarshal(shape.Error, &object) == nil:
		e.Type, e.Message = object.Type, object.Message
	case len(shape.Errors) > 0:
		e.Type, e.Message = shape.Errors[0].Error, shape.Errors[0].Message
	}
	e.Type, e.Message = clip(e.Type), clip(e.Message)
	return e
}

// clip bounds foreign text that ends up in logs and answers.
func clip(s string) string {
	const most = 300
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
