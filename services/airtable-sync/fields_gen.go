// Code generated from pkg/event/schema/columns.go by its generate; DO NOT EDIT.

package airtablesync

import "github.com/resonance/resonance/services/airtable-sync/internal/column"

// FieldNames are the names of the table's fields, where they cannot be guessed; "-" for none.
type FieldNames struct {
	FieldName      string `env:"AIRTABLE_FIELD_NAME"`
	FieldCustomer  string `env:"AIRTABLE_FIELD_CUSTOMER"`
	FieldStatus    string `env:"AIRTABLE_FIELD_STATUS"`
	FieldPriority  string `env:"AIRTABLE_FIELD_PRIORITY"`
	FieldAmount    string `env:"AIRTABLE_FIELD_AMOUNT"`
	FieldOrderDate string `env:"AIRTABLE_FIELD_ORDER_DATE"`
	FieldUpdatedAt string `env:"AIRTABLE_FIELD_UPDATED_AT"`
}

// byColumn gives them by their columns.
func (f *FieldNames) byColumn() map[column.Column]string {
	return map[column.Column]string{
		"name":       f.FieldName,
		"customer":   f.FieldCustomer,
		"status":     f.FieldStatus,
		"priority":   f.FieldPriority,
		"amount":     f.FieldAmount,
		"order_date": f.FieldOrderDate,
		"updated_at": f.FieldUpdatedAt,
	}
}
