package airtable

import (
	"errors"
	"net/http"
	"strings"

	"github.com/resonance/resonance/pkg/fault"
)

// Reason says for people why Airtable could not be asked, or refused.
func Reason(err error) fault.Text {
	var refused *Error
	var missing *NoTableError
	switch {
	case errors.As(err, &missing):
		return fault.T(
			clip("La base "+missing.Base+" no tiene la tabla "+missing.Table+" (AIRTABLE_TABLE_ID); tiene "+strings.Join(missing.There, ", ")),
			clip("Base "+missing.Base+" has no table "+missing.Table+" (AIRTABLE_TABLE_ID); it has "+strings.Join(missing.There, ", ")))
	case IsBillingLimit(err):
		return fault.T("El plan de Airtable ha agotado las llamadas de este mes", "The Airtable plan has used up this month's calls")
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		return fault.T("Airtable no acepta la clave (AIRTABLE_API_KEY)", "Airtable does not accept the key (AIRTABLE_API_KEY)")
	case IsForbidden(err):
		return fault.T("Airtable no encuentra la base o la tabla, o la clave no puede leerla: "+refused.Error(),
			"Airtable does not find the base or table, or the key may not read it: "+refused.Error())
	case errors.As(err, &refused):
		return fault.T("Airtable rechaza la petición: "+refused.Error(), refused.Error())
	case errors.Is(err, ErrNonsense):
		return fault.T("Airtable ha contestado algo ilegible", "Airtable answered something unreadable")
	case errors.Is(err, ErrUnreachable):
		return fault.T("Airtable no contesta", "Airtable does not answer")
	default:
		return fault.T("Error interno: vea el registro del servicio", "Internal error: see the service's log")
	}
}
