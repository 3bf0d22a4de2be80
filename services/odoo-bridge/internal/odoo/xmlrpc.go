package odoo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	kolo "github.com/kolo/xmlrpc"

	"github.com/resonance/resonance/pkg/fault"
)

// xmlrpc speaks to /xmlrpc/2, which Odoo has until version 21.
type xmlrpc struct {
	http                        *http.Client
	url, db, username, password string
	uid                         atomic.Int64 // 0: not logged in yet

	loggingIn    sync.Mutex // guards what follows: one login of ours at a time
	refusedUntil time.Time  // no other before
	refusal      *fault.Error
}

func (*xmlrpc) name() Protocol { return XMLRPC }

func (x *xmlrpc) call(ctx context.Context, c Call) (any, error) {
	uid := x.uid.Load()
	for again := true; ; again = false {
		if uid == 0 {
			var err error
			if uid, err = x.ownLogin(ctx); err != nil {
				return nil, notSent(err)
			}
		}
		answer, err := x.execute(ctx, uid, x.password, c)
		if !IsReason(err, Denied) {
			return answer, err
		}
		x.uid.CompareAndSwap(uid, 0) // Odoo was restored from a backup, or our password changed
		if uid = 0; !again {
			return nil, ours(fmt.Errorf("%w: %w", errDenied, err))
		}
	}
}

// ownLogin logs our own user in. Odoo also refuses the right password, while our address is locked for the wrong ones of
// others: that is told apart, and waited for. Wrong passwords of ours are not tried often enough to lock it.
func (x *xmlrpc) ownLogin(ctx context.Context) (int64, error) {
	x.loggingIn.Lock()
	defer x.loggingIn.Unlock()
	if uid := x.uid.Load(); uid != 0 {
		return uid, nil
	}
	if wait := time.Until(x.refusedUntil); wait > 0 {
		again := *x.refusal
		again.RetryAfter = wait
		return 0, &again
	}
	uid, err := x.login(ctx, x.username, x.password)
	var r *RefusalError
	if !errors.As(err, &r) {
		x.uid.Store(uid) // 0 with an error
		return uid, err
	}
	if r.Reason != Denied { // an exception in Odoo, such as one that is still loading: nothing of ours
		return 0, away(fmt.Errorf("log in: %s", r.Error()), time.Second)
	}
	f, wait := ours(fmt.Errorf("%w: %w", errDenied, err)), cooldown
	// authenticate answers False whatever the reason; any other call says it.
	_, why := x.execute(ctx, 1, x.password, Call{Model: "res.users", Method: "context_get"})
	if errors.As(why, &r) && lockedOut.MatchString(r.Message) {
		f, wait = away(errLocked, lockedRetry), lockedRetry
		f.Detail = textLocked
	}
	x.refusal, x.refusedUntil = f, time.Now().Add(wait)
	return 0, f
}

// lockedRetry is how often a locked address is tried again: Odoo does not count that.
const lockedRetry = 10 * time.Second

var (
	textLocked = fault.T("Odoo no acepta inicios de sesión durante un minuto: hubo demasiadas contraseñas equivocadas",
		"Odoo takes no logins for a minute: there were too many wrong passwords")
	errLocked = errors.New("Odoo has locked logins from this address for a minute, after too many wrong passwords")
	lockedOut = regexp.MustCompile(`(?i)too many login failures`)
)

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
