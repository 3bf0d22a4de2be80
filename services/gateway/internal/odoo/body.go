package odoo

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

var (
	errNoBody    = fault.New(fault.Invalid, fault.T("Falta el cuerpo de la petición", "The body of the request is missing"))
	errNotJSON   = fault.New(fault.Invalid, fault.T("El cuerpo no es JSON válido", "The body is not valid JSON"))
	errNoObject  = fault.New(fault.Invalid, fault.T("El cuerpo debe ser un objeto JSON", "The body must be a JSON object"))
	errNoChanges = fault.New(fault.Invalid, fault.T("No hay nada que cambiar", "There is nothing to change"))
)

// values reads the fields to write, as they came. What they may be is odoo-bridge's to check, which knows what Odoo has.
func (o *odooResource) values(w http.ResponseWriter, r *http.Request, create bool) (map[string]json.RawMessage, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, problem.ErrMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, problem.FromHuma(http.StatusBadRequest, "cannot read request body", []error{err})
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})                                        // the body is read; else its deadline would end the wait
	_ = control.SetWriteDeadline(time.Now().Add(route.PeerTimeout + route.MaxWait)) // not supported: no deadline
	values, err := object(body)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 && !create {
		return nil, errNoChanges
	}
	return values, nil
}

func object(body []byte) (values map[string]json.RawMessage, err error) {
	switch {
	case len(body) == 0:
		return nil, errNoBody
	case !utf8.Valid(body) || !json.Valid(body):
		return nil, errNotJSON
	case json.Unmarshal(body, &values) != nil || values == nil:
		return nil, errNoObject
	}
	return values, nil
}
