package edits

import (
	"errors"
	"strings"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
)

func newerThere(field string, value *string) fault.Text {
	if value == nil {
		return fault.T("Alguien vació «"+field+"» en Airtable después de esta edición",
			"“"+field+"” was emptied in Airtable after this edit")
	}
	return fault.T("Alguien cambió «"+field+"» a «"+*value+"» en Airtable después de esta edición",
		"“"+field+"” was changed to “"+*value+"” in Airtable after this edit")
}

func noColumn(c column.Column) fault.Text {
	return fault.T("La tabla de Airtable no tiene columna para "+string(c)+" ("+column.Variable(c)+")",
		"The table in Airtable has no column for "+string(c)+" ("+column.Variable(c)+")")
}

func gone() fault.Text {
	return fault.T("El pedido ya no existe en Airtable", "The order is no longer in Airtable")
}

func forbidden(field string) fault.Text {
	return fault.T("La clave de Airtable no permite escribir en «"+field+"»",
		"The Airtable key may not write to “"+field+"”")
}

// refusal says for people why Airtable does not take value in a field.
func refusal(err error, field airtable.Field, value string) fault.Text {
	switch {
	case airtable.IsRecordGone(err):
		return gone()
	case airtable.IsForbidden(err):
		return forbidden(field.Name)
	case airtable.IsBadChoice(err):
		es, en := "", ""
		if len(field.Options.Choices) > 0 {
			names := make([]string, len(field.Options.Choices))
			for i, c := range field.Options.Choices {
				names[i] = c.Name
			}
			es, en = "; sus opciones son: "+strings.Join(names, ", "), "; its choices are: "+strings.Join(names, ", ")
		}
		return fault.T("«"+value+"» no es una opción de «"+field.Name+"» en Airtable"+es,
			"“"+value+"” is not a choice of “"+field.Name+"” in Airtable"+en)
	case airtable.IsBadField(err):
		return fault.T("El campo «"+field.Name+"» de Airtable no existe o es calculado",
			"The field “"+field.Name+"” in Airtable is gone or computed")
	}
	if refused, ok := errors.AsType[*airtable.Error](err); ok {
		return fault.T("Airtable rechaza la edición: "+refused.Error(), refused.Error())
	}
	return airtable.Reason(err)
}
