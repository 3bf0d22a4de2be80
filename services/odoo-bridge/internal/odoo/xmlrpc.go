package odoo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	kolo "github.com/kolo/xmlrpc"
)

// xmlrpc speaks to /xmlrpc/2, which Odoo has until version 21.
type xmlrpc struct {
	http                        *http.Client
	url, db, username, password string
	uid                         atomic.Int64 // 0: not logged in yet
}

func (*xmlrpc) name() Protocol { return XMLRPC }

func (x *xmlrpc) call(ctx context.Context, c Call) (any, error) {
	uid := x.uid.Load()
	for again := true; ; again = false {
		if uid == 0 {
			var err error
			if uid, err = x.login(ctx, x.username, x.password); err != nil {
				if IsReason(err, Denied) {
					err = ours(fmt.Errorf("%w: %w", errDenied, err))
				}
				return nil, notSent(err)
			}
			x.uid.Store(uid)
		}
		answer, err := x.execute(ctx, uid, x.password, c)
		if !IsReason(err, Denied) {
			return answer, err
		}
		x.uid.Store(0) // Odoo was restored from a backup, or our password changed
		if uid = 0; !again {
			return nil, ours(fmt.Errorf("%w: %w", errDenied, err))
		}
	}
}

// login gives the id of a user; a *RefusalError for Denied when there is none, or the password is wrong.
func (x *xmlrpc) login(ctx context.Context, username, password string) (int64, error) {
	answer, err := x.post(ctx, "/xmlrpc/2/common", "authenticate", x.db, username, password, map[string]any{})
	if err != nil {
		return 0, err
	}
	if uid, ok := answer.(int64); ok && uid > 0 {
		return uid, nil
	}
	return 0, &RefusalError{Reason: Denied, Message: "authenticate answered " + fmt.Sprint(answer)}
}

func (x *xmlrpc) execute(ctx context.Context, uid int64, password string, c Call) (any, error) {
	args := make([]any, 0, len(c.Args)+1)
	if c.IDs != nil {
		args = append(args, c.IDs)
	}
	for _, a := range c.Args {
		args = append(args, a.Value)
	}
	options := map[string]any{}
	if len(c.Context) > 0 {
		options["context"] = c.Context
	}
	return x.post(ctx, "/xmlrpc/2/object", "execute_kw", x.db, uid, password, c.Model, c.Method, args, options)
}

func (x *xmlrpc) post(ctx context.Context, path, method string, args ...any) (any, error) {
	body, err := encodeXML(method, args...)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "text/xml")
	status, data, err := do(x.http, req)
	if err != nil {
		return nil, err
	}
	if status.code != http.StatusOK {
		return nil, status.away()
	}
	answer, err := decodeXML(data)
	var f kolo.FaultError
	switch {
	case errors.As(err, &f):
		return nil, refusal(f.Code, f.String)
	case err != nil:
		return nil, away(fmt.Errorf("%s: %w", status.contentType, err), time.Second)
	}
	return answer, nil
}

// httpStatus is what an answer says of itself.
type httpStatus struct {
	code        int
	contentType string
	location    string
	retryAfter  time.Duration
}

// away is the error for an answer that is not Odoo's own.
func (s httpStatus) away() error {
	err := fmt.Errorf("HTTP %d %s", s.code, s.contentType)
	if s.location != "" {
		err = fmt.Errorf("HTTP %d leads to %s: is ODOO_URL right?", s.code, s.location)
	}
	return away(err, max(time.Second, s.retryAfter))
}

// do sends req and reads the answer, within bounds.
func do(client *http.Client, req *http.Request) (httpStatus, []byte, error) {
	req.Header.Set("User-Agent", "resonance")
	res, err := client.Do(req)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err // without the URL
		}
		return httpStatus{}, nil, away(err, time.Second)
	}
	defer res.Body.Close()
	status := httpStatus{code: res.StatusCode, contentType: clip(res.Header.Get("Content-Type"))}
	if u, err := res.Location(); err == nil {
		status.location = clip(u.Redacted())
	}
	if s, err := strconv.Atoi(strings.TrimSpace(res.Header.Get("Retry-After"))); err == nil && s > 0 && s <= 3600 {
		status.retryAfter = time.Duration(s) * time.Second
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return status, nil, away(err, time.Second)
	case len(data) > maxBody:
		return status, nil, away(fmt.Errorf("an answer of more than %d bytes", maxBody), time.Second)
	}
	return status, data, nil
}
