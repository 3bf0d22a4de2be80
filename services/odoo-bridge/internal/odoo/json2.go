package odoo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// json2 speaks to /json/2, which Odoo has from version 19. It takes API keys only.
type json2 struct {
	http         *http.Client
	url, db, key string
}

func (*json2) name() Protocol { return JSON2 }

// usable finds out whether this Odoo has JSON-2 and takes our password for a key.
func (j *json2) usable(ctx context.Context) (bool, error) {
	status, body, err := j.post(ctx, Call{Model: "res.users", Method: "context_get"})
	if err != nil {
		return false, err
	}
	switch {
	case status.code == http.StatusOK:
		var context map[string]any
		return json.Unmarshal(body, &context) == nil, nil
	case status.code >= http.StatusInternalServerError && !json.Valid(body):
		return false, status.away() // a proxy in front of an Odoo that is not there yet
	}
	return false, nil
}

func (j *json2) call(ctx context.Context, c Call) (any, error) {
	status, body, err := j.post(ctx, c)
	if err != nil {
		return nil, err
	}
	if status.code != http.StatusOK {
		return nil, j.refused(status, body)
	}
	var answer any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // integers beyond 2⁵³ stay what they are
	if err := dec.Decode(&answer); err != nil {
		return nil, away(fmt.Errorf("%s: the answer is not JSON", status.contentType), time.Second)
	}
	return plain(answer), nil
}

func (j *json2) post(ctx context.Context, c Call) (httpStatus, []byte, error) {
	params := make(map[string]any, len(c.Args)+2)
	for _, a := range c.Args {
		params[a.Name] = a.Value
	}
	if c.IDs != nil {
		params["ids"] = c.IDs
	}
	if len(c.Context) > 0 {
		params["context"] = c.Context
	}
	body, err := json.Marshal(params)
	if err != nil {
		return httpStatus{}, nil, fmt.Errorf("encode %s: %w", c.Method, err)
	}
	target := j.url + "/json/2/" + url.PathEscape(c.Model) + "/" + url.PathEscape(c.Method)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return httpStatus{}, nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "bearer "+j.key)
	if j.db != "" {
		req.Header.Set("X-Odoo-Database", j.db)
	}
	return do(j.http, req)
}

// refused reads {name, message, arguments, context, debug}, of which debug is a traceback.
func (*json2) refused(status httpStatus, body []byte) error {
	var e struct {
		Name    string `json:"name"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil || e.Name == "" {
		return status.away()
	}
	switch name := e.Name[strings.LastIndexByte(e.Name, '.')+1:]; name {
	case "Unauthorized", "AccessDenied", "SessionExpiredException":
		return ours(fmt.Errorf("%w (JSON-2 wants an API key): %s", errDenied, clip(e.Message)))
	case "AccessError", "Forbidden":
		return &RefusalError{Reason: NoRight, Message: clip(e.Message)}
	case "MissingError":
		if err := userError(e.Message); IsReason(err, Missing) {
			return err
		}
		return &RefusalError{Reason: Missing, Message: clip(e.Message)}
	case "ValidationError", "UserError", "RedirectWarning":
		return userError(e.Message)
	case "LockError":
		return contention(e.Message)
	default:
		return exception(e.Name + ": " + e.Message)
	}
}
