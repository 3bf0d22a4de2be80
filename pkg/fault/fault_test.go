package fault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/resonance/resonance/pkg/fault"
)

var errCause = errors.New("dial tcp 10.0.0.7:5432: s3cret")

// One table says what each failure is to HTTP, to micro and to a consumer.
func TestCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code      fault.Code
		status    int
		micro     string
		temporary bool
	}{
		{fault.Invalid, http.StatusBadRequest, "400", false},
		{fault.Unauthenticated, http.StatusUnauthorized, "401", false},
		{fault.Forbidden, http.StatusForbidden, "403", false},
		{fault.NotFound, http.StatusNotFound, "404", false},
		{fault.Conflict, http.StatusConflict, "409", false},
		{fault.Stale, http.StatusPreconditionFailed, "412", false},
		{fault.TooLarge, http.StatusRequestEntityTooLarge, "413", false},
		{fault.TooMany, http.StatusTooManyRequests, "429", true},
		{fault.Internal, http.StatusInternalServerError, "500", false},
		{fault.Unavailable, http.StatusServiceUnavailable, "503", true},
	} {
		sent := fault.Wrap(c.code, fault.T("falló", "failed"), errCause)
		code, body := sent.Encode()
		if int(c.code) != c.status || code != c.micro || c.code.Temporary() != c.temporary {
			t.Errorf("%d: status %d, micro %q, temporary %t", c.code, int(c.code), code, c.code.Temporary())
		}
		if strings.Contains(string(body), "s3cret") {
			t.Errorf("%d: the cause left the process (invariant 9): %s", c.code, body)
		}
		if got := fault.Decode(code, body); got.Code != c.code || got.Detail != sent.Detail {
			t.Errorf("%d came back as %+v", c.code, got)
		}
	}
}

func TestEncodeAndDecode(t *testing.T) {
	t.Parallel()
	for _, sent := range []*fault.Error{
		fault.New(fault.NotFound, fault.T("No está «ñ»", "It's <not> there")),
		fault.Field("page", fault.T("debe ser un número", "must be a number")),
		{Code: fault.TooMany, Detail: fault.T("Espere", "Wait"), RetryAfter: 1500 * time.Millisecond},
		{Code: fault.Invalid, Detail: fault.T("a", "b"), Fields: map[string]fault.Text{"x": fault.T("c", "d"), "y": {}}},
		fault.Away("Postgres", errCause),
	} {
		got := fault.Decode(sent.Encode())
		if diff := cmp.Diff(sent, got, cmpopts.IgnoreFields(fault.Error{}, "Err")); diff != "" {
			t.Errorf("(-sent +decoded):\n%s", diff)
		}
		if got.Err != nil {
			t.Errorf("a cause came along: %v", got.Err)
		}
	}
}

func TestDecodeDistrustsTheSender(t *testing.T) {
	t.Parallel()
	const good = `{"detail":{"es":"a","en":"b"}}`
	for _, c := range [][2]string{
		{"", good}, {"4e2", good}, {"200", good}, {"42", good}, {"-1", good}, {"404 ", good}, {"99999999999999999999", good},
		{"404", ""}, {"404", "null"}, {"404", "[]"}, {"404", `{"detail":"text"}`}, {"404", `{"detail":{"es":"a"}}`}, {"404", `{"detail":{"en":"a"}}`}, {"404", "\xff"},
	} {
		if got := fault.Decode(c[0], []byte(c[1])); got.Code != fault.Internal || got.Detail.ES == "" || got.Detail.EN == "" || got.Err == nil {
			t.Errorf("%q: %+v", c, got)
		}
	}
	if got := fault.Decode("503", []byte(`{"detail":{"es":"a","en":"b"},"retry_after":-1}`)); got.Code != fault.Unavailable || got.RetryAfter != 0 {
		t.Errorf("a negative delay: %+v", got)
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	conflict := fault.New(fault.Conflict, fault.T("a", "b"))
	for _, c := range []struct {
		err  error
		code fault.Code
	}{
		{conflict, fault.Conflict},
		{fmt.Errorf("list: %w", conflict), fault.Conflict},
		{errors.Join(errCause, conflict), fault.Conflict},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), fault.Unavailable},
		{context.Canceled, fault.Unavailable},
		{errCause, fault.Internal},
	} {
		got := fault.From(c.err)
		if got.Code != c.code || fault.CodeOf(c.err) != c.code {
			t.Errorf("%v: %d", c.err, got.Code)
		}
		if text := got.Detail.ES + got.Detail.EN; strings.Contains(text, "s3cret") || text == "" {
			t.Errorf("%v: people read %q (invariant 9)", c.err, text)
		}
		if !errors.Is(c.err, conflict) && !errors.Is(got, c.err) {
			t.Errorf("%v is lost to the log", c.err)
		}
		if c.code.Temporary() && got.RetryAfter <= 0 {
			t.Errorf("%v: when to try again?", c.err)
		}
	}
	if fault.From(nil) != nil || fault.CodeOf(nil) != 0 {
		t.Error("nil is a failure")
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	text := fault.T("hola", "hello")
	if got := fault.New(fault.Stale, text).Error(); got != "hello" {
		t.Error(got)
	}
	away := fault.Away("NATS", errCause)
	if got := away.Error(); got != "NATS is not available right now: "+errCause.Error() || !errors.Is(away, errCause) {
		t.Error(got)
	}
	field := fault.Field("page", text)
	if field.Code != fault.Invalid || field.Detail != fault.T("page: hola", "page: hello") || field.Fields["page"] != text {
		t.Errorf("%+v", field)
	}
}

func FuzzDecode(f *testing.F) {
	code, body := fault.Field("page", fault.T("a", "b")).Encode()
	f.Add(code, body)
	f.Add("503", []byte(`{"detail":{"es":"a","en":"b"},"retry_after":9223372036854775808}`))
	f.Fuzz(func(t *testing.T, code string, body []byte) {
		e := fault.Decode(code, body)
		if e.Code < 400 || e.Code > 599 || e.Detail.EN == "" || e.Detail.ES == "" || e.RetryAfter < 0 {
			t.Errorf("%+v", e)
		}
		if again := fault.Decode(e.Encode()); again.Code != e.Code || again.RetryAfter != e.RetryAfter {
			t.Errorf("%+v became %+v", e, again)
		}
	})
}
