package api

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
)

// Codes that only HTTP has; services never send them.
const (
	methodNotAllowed fault.Code = http.StatusMethodNotAllowed
	unsupportedMedia fault.Code = http.StatusUnsupportedMediaType
	upgradeRequired  fault.Code = http.StatusUpgradeRequired
)

var (
	errTooLarge = fault.New(fault.TooLarge,
		fault.T("El cuerpo de la petición supera 1 MiB", "The body of the request is over 1 MiB"))
	errMediaType = fault.New(unsupportedMedia,
		fault.T("El tipo de contenido de la petición no se admite", "The content type of the request is not supported"))
	errNoRoute  = fault.New(fault.NotFound, fault.T("No existe esa dirección", "There is no such address"))
	errInternal = fault.T("Error interno", "Internal error")
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

func problemOf(f *fault.Error, lang, requestID string) *Problem {
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

// setHeaders sets what goes with a problem besides its body.
func (p *Problem) setHeaders(set, add func(name, value string)) {
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

// fail answers err as a problem. The cause goes to the access log, never to the client (invariant 9).
func fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	x := exchangeOf(r.Context())
	x.cause = err
	p := problemOf(f, preferred(r.Header.Get("Accept-Language")), x.id)
	p.setHeaders(w.Header().Set, w.Header().Add)
	w.Header().Del("ETag")
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) //nolint:errchkjson // the client has gone
}

var languages = language.NewMatcher([]language.Tag{language.Spanish, language.English})

// preferred gives "en" when Accept-Language prefers it to Spanish, "es" otherwise.
func preferred(accept string) string {
	if accept == "" || len(accept) > maxAcceptLanguage {
		return "es"
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return "es"
	}
	if _, i, confidence := languages.Match(tags...); i == 1 && confidence > language.No {
		return "en"
	}
	return "es"
}

// humaOnce guards huma's package-level settings: its errors become Problems.
var humaOnce sync.Once

func setUpHuma() {
	humaOnce.Do(func() {
		huma.DefaultArrayNullable = false
		huma.ValidateStrictCasing = true
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return problemOf(translate(status, msg, errs), "es", "")
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			f := translate(status, msg, errs)
			x := exchangeOf(ctx.Context())
			x.cause = f
			p := problemOf(f, preferred(ctx.Header("Accept-Language")), x.id)
			p.setHeaders(ctx.SetHeader, ctx.AppendHeader)
			return p
		}
	})
}

// translate turns what huma found wrong, or a handler's own error, into a fault.
func translate(status int, msg string, errs []error) *fault.Error {
	var f *fault.Error
	var tooLarge *http.MaxBytesError
	all := errors.Join(errs...)
	switch {
	case errors.As(all, &f):
		return f
	case errors.As(all, &tooLarge), status == http.StatusRequestEntityTooLarge:
		return errTooLarge
	case status == http.StatusUnsupportedMediaType:
		return errMediaType
	case errors.Is(all, io.ErrUnexpectedEOF), msg == "cannot read request body", status == http.StatusRequestTimeout:
		return fault.Wrap(fault.Invalid, fault.T("La petición llegó incompleta", "The request arrived incomplete"), all)
	case msg == "request body is required":
		return fault.New(fault.Invalid, fault.T("Falta el cuerpo de la petición", "The body of the request is missing"))
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		return invalid(fieldsOf(errs))
	default:
		return fault.Wrap(fault.Internal, errInternal, all)
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
		if len(field) > maxValue { // a name of the client's own making
			field = strings.ToValidUTF8(field[:maxValue], "") + "…"
		}
		text := textOf(detail.Message)
		if field == "" && text.EN == detail.Message { // the JSON decoder's own words
			text = fault.T("El cuerpo no es JSON válido", "The body is not valid JSON")
		}
		fields[field] = text
	}
	return fields
}

// maxMistakes is how many mistakes one problem names: a body may hold a thousand.
const maxMistakes = 20

// invalid makes a fault out of what is wrong, by field. It is nil when nothing is.
func invalid(fields map[string]fault.Text) *fault.Error {
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
