package airtabletest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// apiError is a refusal as Airtable words it.
type apiError struct {
	status  int
	kind    string
	message string
	bare    bool // {"error":"KIND"} instead of an object
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func (e *apiError) body() []byte {
	if e.bare {
		return mustJSON(object{"error": e.kind})
	}
	return mustJSON(object{"error": struct {
		Type    string `json:"type"`
		Message string `json:"message,omitempty"`
	}{e.kind, e.message}})
}

// mustJSON encodes what can't fail to encode.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("airtabletest: %v", err))
	}
	return b
}

func unprocessable(kind, format string, args ...any) *apiError {
	return &apiError{status: http.StatusUnprocessableEntity, kind: kind, message: fmt.Sprintf(format, args...)}
}

func invalidRequest(format string, args ...any) *apiError {
	return unprocessable("INVALID_REQUEST_UNKNOWN", format, args...)
}

func unknownField(name string) *apiError {
	return unprocessable("UNKNOWN_FIELD_NAME", `Unknown field name: "%s"`, name)
}

func rowMissing(id string) *apiError {
	return unprocessable("ROW_DOES_NOT_EXIST", "Record ID %s does not exist", id)
}

var (
	errAuthentication = &apiError{http.StatusUnauthorized, "AUTHENTICATION_REQUIRED", "Authentication required", false}
	errNotFound       = &apiError{http.StatusNotFound, "NOT_FOUND", "", true}
	errModel          = &apiError{http.StatusForbidden, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
		"Invalid permissions, or the requested model was not found. Check that both your user and your token have the required permissions, and that the model names and/or ids are correct.", false}
	errURLTooLong  = &apiError{http.StatusRequestURITooLong, "REQUEST_URI_TOO_LONG", "The URL must be shorter than 16,000 characters; POST to listRecords instead", false}
	errBodyTooBig  = &apiError{http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "Request body is too large", false}
	errBody        = &apiError{http.StatusUnprocessableEntity, "INVALID_REQUEST_BODY", "Could not parse request body", false}
	errRowsCreate  = &apiError{http.StatusUnprocessableEntity, "INVALID_RECORDS", `You must provide an array of up to 10 record objects, each with a "fields" object for cell values.`, false}
	errRowsUpdate  = &apiError{http.StatusUnprocessableEntity, "INVALID_RECORDS", `You must provide an array of up to 10 record objects, each with an "id" ID field and a "fields" object for cell values.`, false}
	errRowsDelete  = &apiError{http.StatusUnprocessableEntity, "INVALID_RECORDS", "You must provide an array of up to 10 record IDs.", false}
	errParameters  = invalidRequest("Invalid request: parameter validation failed. Check your request data.")
	errRowTwice    = &apiError{http.StatusUnprocessableEntity, "INVALID_RECORDS", "You cannot update the same record multiple times in a single request.", false}
	errIteratorOld = &apiError{http.StatusUnprocessableEntity, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "", false}
)

// reply is a whole answer, so that a fault can replace or cut it.
type reply struct {
	status      int
	contentType string
	retryAfter  string
	body        []byte
}

const typeJSON = "application/json; charset=utf-8"

func jsonReply(status int, body []byte) reply {
	return reply{status: status, contentType: typeJSON, body: body}
}

func errorReply(e *apiError) reply { return jsonReply(e.status, e.body()) }

// pluralReply is the {"errors":[...]} form, in which Airtable refuses by rate or quota.
func pluralReply(kind, message string) reply {
	return jsonReply(http.StatusTooManyRequests, mustJSON(object{
		"errors": []object{{"error": kind, "message": message}},
	}))
}

func rateLimitReply() reply {
	return pluralReply("RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later")
}

func billingLimitReply() reply {
	return pluralReply("PUBLIC_API_BILLING_LIMIT_EXCEEDED", "API billing plan limit exceeded. You've reached the maximum number of requests allowed for this month.")
}

// mustDecode decodes JSON that was made here.
func mustDecode(b []byte) any {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		panic(fmt.Sprintf("airtabletest: %v", err))
	}
	return v
}
