package airtable

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// KindUpdate counts writes.
const KindUpdate = "update"

// BatchSize is how many records a request may write.
const BatchSize = 10

// Update is what to write into one record, keyed by field id or name.
type Update struct {
	ID     string         `json:"id"`
	Fields map[string]any `json:"fields"`
}

// Update writes all of at most BatchSize updates, or none, by one request, which before may still
// refuse when its turn has come. It returns the records as they are now, in order, and Airtable's time.
// After an error that IsVerdict nothing was written; after any other look before writing again.
func (c *Client) Update(ctx context.Context, updates []Update, byFieldID bool, before func(context.Context) error) ([]Record, time.Time, error) {
	path := "/v0/" + url.PathEscape(c.cfg.Base) + "/" + url.PathEscape(c.cfg.Table)
	req, err := c.fixed(http.MethodPatch, path, updateBody{Records: updates, ByFieldID: byFieldID})()
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := c.pace(ctx); err != nil {
		return nil, time.Time{}, err
	}
	if err := before(ctx); err != nil {
		c.free()
		return nil, time.Time{}, err
	}
	var answer struct {
		Records []Record `json:"records"`
	}
	at, err := c.send(ctx, KindUpdate, req, &answer)
	if refused := (*Error)(nil); errors.As(err, &refused) && refused.RateLimited() {
		c.silence(refused)
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	byID := make(map[string]Record, len(answer.Records))
	for _, r := range answer.Records {
		byID[r.ID] = r
	}
	records := make([]Record, len(updates))
	for i, u := range updates {
		r, ok := byID[u.ID]
		if !ok || r.CreatedTime.IsZero() {
			return nil, time.Time{}, fmt.Errorf("%w: an update without the record %s", ErrNonsense, u.ID)
		}
		records[i] = r
	}
	return records, at, nil
}

type updateBody struct {
	Records   []Update `json:"records"`
	ByFieldID bool     `json:"returnFieldsByFieldId,omitempty"`
}

// IsVerdict reports that Airtable refused what was asked for, and not only for now. A 403 or 404
// may still be a passing fault.
func IsVerdict(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// IsRecordGone reports that a record which was named is not there.
func IsRecordGone(err error) bool { return hasType(err, "ROW_DOES_NOT_EXIST") }

// IsBadChoice reports a value that is not among a field's choices.
func IsBadChoice(err error) bool { return hasType(err, "INVALID_MULTIPLE_CHOICE_OPTIONS") }

// IsUnknownField reports a field that is not there, by the name or id it was asked for.
func IsUnknownField(err error) bool { return hasType(err, "UNKNOWN_FIELD_NAME") }

// IsBadField reports a field that is not there, or takes no such value whatever the record.
func IsBadField(err error) bool {
	return IsUnknownField(err) || hasType(err, "INVALID_VALUE_FOR_COLUMN")
}
