// Package problem writes errors as RFC 9457 problems, in the language of the request. It knows nothing of what the
// other packages serve.
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/text/language"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/gateway/internal/access"
)

// Codes that only HTTP has; services never send them.
const (
	MethodNotAllowed fault.Code = http.StatusMethodNotAllowed
	UnsupportedMedia fault.Code = http.StatusUnsupportedMediaType
	UpgradeRequired  fault.Code = http.StatusUpgradeRequired
)

// Problems of requests anywhere.
var (
	ErrTooLarge = fault.New(fault.TooLarge,
		fault.T("El cuerpo de la petición supera 1 MiB", "The body of the request is over 1 MiB"))
	ErrMediaType = fault.New(UnsupportedMedia,
		fault.T("El tipo de contenido de la petición no se admite", "The content type of the request is not supported"))
	ErrNoRoute   = fault.New(fault.NotFound, fault.T("No existe esa dirección", "There is no such address"))
	ErrInternal  = fault.T("Error interno", "Internal error")
	ErrWebSocket = fault.New(UpgradeRequired, fault.T("Esta dirección es de un WebSocket", "This address is of a WebSocket"))
)

// Problem is every error answer, by RFC 9457. It is what huma writes too.
type Problem struct { //nolint:errname // the name is in the document
	Type     string            `json:"type" format:"uri-reference" doc:"always about:blank: the status says what kind of problem it is"`
	Title    string            `json:"title" doc:"the name of the status"`
	Status   int               `json:"status" minimum:"400" maximum:"599"`
	Detail   string            `json:"detail" doc:"a sentence for people, in Spanish, or in English with Accept-Language: en"`
	Message  string            `json:"message" doc:"the same as detail: where Refine's own providers look"`
	Instance string            `json:"instance,omitempty" format:"uri" doc:"names this request, as X-Request-ID does"`
	Errors   map[string]string `json:"errors,omitempty" doc:"what is wrong, by field or parameter"`

	retryAfter time.Duration
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is what huma asks an error for.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is what huma asks a body for.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Of gives the problem that answers f, in lang.
func Of(f *fault.Error, lang, requestID string) *Problem {
	p := &Problem{
		Type: "about:blank", Title: http.StatusText(int(f.Code)), Status: int(f.Code),
		Detail: f.Detail.In(lang), Message: f.Detail.In(lang), retryAfter: f.RetryAfter,
	}
	if p.Title == "" { // a code this version does not know
		p.Status, p.Title = http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError)
	}
	if requestID != "" {
		p.Instance = "urn:request:" + requestID
	}
	if len(f.Fields) > 0 {
		p.Errors = make(map[string]string, len(f.Fields))
		for name, text := range f.Fields {
			p.Errors[name] = text.In(lang)
		}
	}
	return p
}

// SetHeaders sets what goes with a problem besides its body.
func (p *Problem) SetHeaders(set, add func(name, value string)) {
	add("Vary", "Accept-Language")
	set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		seconds := max(1, int(math.Ceil(p.retryAfter.Seconds())))
		set("Retry-After", strconv.Itoa(seconds))
	}
}

// Write answers err as a problem. The cause goes to the access log, never to the client (invariant 9).
func Write(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	x := access.Of(r.Context())
	x.Cause = err
	p := Of(f, Language(r.Header.Get("Accept-Language")), x.ID)
	p.SetHeaders(w.Header().Set, w.Header().Add)
	w.Header().Del("ETag")
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) //nolint:errchkjson // the client has gone
}

// Languages matches what a client prefers: 0 is Spanish, 1 English.
var Languages = language.NewMatcher([]language.Tag{language.Spanish, language.English})

// MaxAcceptLanguage is how long an Accept-Language that is read may be, in bytes.
const MaxAcceptLanguage = 200

// Language gives "en" when Accept-Language prefers it to Spanish, "es" otherwise.
func Language(accept string) string {
	if accept == "" || len(accept) > MaxAcceptLanguage {
		return "es"
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return "es"
	}
	if _, i, confidence := Languages.Match(tags...); i == 1 && confidence > language.No {
		return "en"
	}
	return "es"
}

// humaOnce guards huma's package-level settings: its errors become Problems.
var humaOnce sync.Once

// SetUpHuma makes huma answer with Problems, in the whole process.
func SetUpHuma() {
	humaOnce.Do(func() {
		huma.DefaultArrayNullable = false
		huma.ValidateStrictCasing = true
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return Of(FromHuma(status, msg, errs), "es", "")
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			f := FromHuma(status, msg, errs)
			x := access.Of(ctx.Context())
			x.Cause = f
			p := Of(f, Language(ctx.Header("Accept-Language")), x.ID)
			p.SetHeaders(ctx.SetHeader, ctx.AppendHeader)
			return p
		}
	})
}

// FromHuma turns what huma found wrong, or a handler's own error, into a fault.
func FromHuma(status int, msg string, errs []error) *fault.Error {
	var f *fault.Error
	var tooLarge *http.MaxBytesError
	all := errors.Join(errs...)
	switch {
	case errors.As(all, &f):
		return f
	case errors.As(all, &tooLarge), status == http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case status == http.StatusUnsupportedMediaType:
		return ErrMediaType
	case errors.Is(all, io.ErrUnexpectedEOF), msg == "cannot read request body", status == http.StatusRequestTimeout:
		return fault.Wrap(fault.Invalid, fault.T("La petición llegó incompleta", "The request arrived incomplete"), all)
	case msg == "request body is required":
		return fault.New(fault.Invalid, fault.T("Falta el cuerpo de la petición", "The body of the request is missing"))
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		return Invalid(fieldsOf(errs))
	default:
		return fault.Wrap(fault.Internal, ErrInternal, all)
	}
}

// fieldsOf maps huma's error details to fields; "" holds what concerns the body as a whole.
func fieldsOf(errs []error) map[string]fault.Text {
	fields := map[string]fault.Text{}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			continue
		}
		detail := d.ErrorDetail()
		_, field, _ := strings.Cut(detail.Location, ".")
		if len(field) > maxName { // a name of the client's own making
			field = strings.ToValidUTF8(field[:maxName], "") + "…"
		}
		text := textOf(detail.Message)
		if field == "" && text.EN == detail.Message { // the JSON decoder's own words
			text = fault.T("El cuerpo no es JSON válido", "The body is not valid JSON")
		}
		fields[field] = text
	}
	return fields
}

const maxName = 200 // bytes of a field in a problem

// maxMistakes is how many mistakes one problem names: a body may hold a thousand.
const maxMistakes = 20

// Invalid makes a fault out of what is wrong, by field. It is nil when nothing is.
func Invalid(fields map[string]fault.Text) *fault.Error {
	if len(fields) == 0 {
		return nil
	}
	var es, en []string
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		t := fields[name]
		if i == maxMistakes {
			more := len(fields) - i
			es, en = append(es, fmt.Sprintf("y %d errores más", more)), append(en, fmt.Sprintf("and %d more mistakes", more))
		}
		if i >= maxMistakes {
			delete(fields, name)
			continue
		}
		if name == "" {
			es, en = append(es, t.ES), append(en, t.EN)
			continue
		}
		es, en = append(es, name+": "+t.ES), append(en, name+": "+t.EN)
	}
	delete(fields, "")
	return &fault.Error{Code: fault.Invalid, Detail: fault.T(strings.Join(es, "; "), strings.Join(en, "; ")), Fields: fields}
}
