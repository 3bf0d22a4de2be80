package edits

import (
	"errors"

	"github.com/resonance/resonance/pkg/columns"
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

// refusal says for people why Airtable does not take a value.
func refusal(err error, m *column.Mapper, w want) fault.Text {
	field, known := m.Field(w.column)
	switch {
	case !known:
		return noColumn(w.column)
	case airtable.IsRecordGone(err):
		return gone()
	case airtable.IsForbidden(err):
		return forbidden(field.Name)
	case airtable.IsBadChoice(err):
		es, en := "", ""
		if offered := (&columns.Column{Offers: m.Offers(w.column)}).Quoted(); offered != (fault.Text{}) {
			es, en = "; sus opciones son: "+offered.ES, "; its choices are: "+offered.EN
		}
		return fault.T("«"+w.value+"» no es una opción de «"+field.Name+"» en Airtable"+es,
			"“"+w.value+"” is not a choice of “"+field.Name+"” in Airtable"+en)
	case airtable.IsBadField(err) && column.IsComputed(field):
		return fault.T("Airtable calcula el campo «"+field.Name+"»: no se puede escribir en él",
			"The field “"+field.Name+"” is computed by Airtable and cannot be written to")
	case airtable.IsBadField(err) && field.ID != "" && !airtable.IsUnknownField(err):
		return fault.T("El campo «"+field.Name+"» de Airtable, de tipo "+field.Type+", no admite «"+w.value+"»",
			"The field “"+field.Name+"” in Airtable, of type "+field.Type+", does not take “"+w.value+"”")
	case airtable.IsBadField(err):
		return fault.T("El campo «"+field.Name+"» de Airtable no existe o es calculado",
			"The field “"+field.Name+"” in Airtable is gone or computed")
	}
	if refused, ok := errors.AsType[*airtable.Error](err); ok {
		return fault.T("Airtable rechaza la edición: "+refused.Error(), refused.Error())
	}
	return airtable.Reason(err)
}
