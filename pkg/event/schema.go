package event

import _ "embed"

// OrderChangedSchema is the JSON Schema (2020-12) of the body of an order.changed event.
//
//go:embed schema/order.changed.schema.json
var OrderChangedSchema []byte

// OrderEditedSchema is the JSON Schema (2020-12) of the body of an order.edited event. The body of
// an order.edit message is the same without state and reason: #/$defs/edit.
//
//go:embed schema/order.edited.schema.json
var OrderEditedSchema []byte

// OdooChangedSchema is the JSON Schema (2020-12) of the body of an odoo.changed event.
//
//go:embed schema/odoo.changed.schema.json
var OdooChangedSchema []byte
