package airtable

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

const (
	// maxPing is the largest ping, in bytes. Airtable's are some 150.
	maxPing = 64 << 10
	// HeaderMAC is the header with which Airtable signs a ping.
	HeaderMAC = "X-Airtable-Content-MAC"
)

// AirtablePing is what Airtable posts when a base has changed. It says that there is something to
// fetch, not what.
type AirtablePing struct { //nolint:revive // the name is in the document
	Base      *AirtableRef `json:"base,omitempty"`
	Webhook   *AirtableRef `json:"webhook,omitempty"`
	Timestamp *time.Time   `json:"timestamp,omitempty"`
	_         struct{}     `additionalProperties:"true"`
}

// AirtableRef names a base or a webhook.
type AirtableRef struct { //nolint:revive // the name is in the document
	ID string   `json:"id,omitempty"`
	_  struct{} `additionalProperties:"true"`
}

func (a *airtable) webhookRoutes() {
	a.Add(huma.Operation{
		OperationID: "airtablePing", Method: http.MethodPost, Path: "/webhooks/airtable", Tags: []string{"sync"},
		Summary: "Airtable's webhook",
		Description: "For Airtable alone, which signs what it sends: 403 for anybody else. A sync begins at once. " +
			"Addresses whose pings are not good are slowed down.",
		Parameters: []*huma.Param{{
			Name: HeaderMAC, In: "header", Required: true, Description: "hmac-sha256= and the HMAC of the body, in hexadecimal",
			Schema: &huma.Schema{Type: huma.TypeString}, Example: "hmac-sha256=5b0d0f8d2e6f4a7e8b1c9d3a6f5e4c2b1a0918273645f5e4d3c2b1a09f8e7d6c",
		}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {
			Schema: route.SchemaOf[AirtablePing](a.Routes),
			Example: route.AsJSON(AirtablePing{
				Base: &AirtableRef{ID: "appA1b2C3d4E5f6G7"}, Webhook: &AirtableRef{ID: "achA1b2C3d4E5f6G7"}, Timestamp: &route.ExampleTime,
			}),
		}}},
		Responses: map[string]*huma.Response{"204": {Description: "Taken"}},
		Errors:    route.AskErrors(http.StatusForbidden, http.StatusTooManyRequests),
	}, "", a.airtablePing)
}

var (
	errPingTooLarge = fault.New(fault.TooLarge,
		fault.T("El cuerpo de la petición supera 64 KiB", "The body of the request is over 64 KiB"))
	macForm = regexp.MustCompile(`^hmac-sha256=[0-9A-Fa-f]{64}$`)
)

// airtablePing passes a ping on as it came, to who knows the secret. Pings that turn out not to be
// Airtable's count against their address; good ones never wait.
func (a *airtable) airtablePing(w http.ResponseWriter, r *http.Request) error {
	from := auth.Network(route.ClientIP(r))
	if wait := a.forged.Take(from); wait > 0 {
		return &fault.Error{
			Code: fault.TooMany, Detail: fault.T("Demasiadas peticiones; espere un momento", "Too many requests; wait a moment"), RetryAfter: wait,
		}
	}
	err := a.passPing(w, r)
	if err == nil || fault.CodeOf(err) == fault.Unavailable {
		a.forged.GiveBack(from)
	}
	return err
}

func (a *airtable) passPing(w http.ResponseWriter, r *http.Request) error {
	mac := r.Header.Get(HeaderMAC) //nolint:canonicalheader // as Airtable writes it, which is how people search for it
	if !macForm.MatchString(mac) {
		return fault.Field(HeaderMAC, fault.T("falta o no tiene la forma hmac-sha256=…", "is missing or not of the form hmac-sha256=…"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPing))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return errPingTooLarge
	}
	if err != nil {
		return problem.FromHuma(http.StatusBadRequest, "cannot read request body", []error{err})
	}
	if _, err := a.Ask(r.Context(), syncapi.SubjectPing, syncapi.Ping{Body: body, MAC: mac}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
