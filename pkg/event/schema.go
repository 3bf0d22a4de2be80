package event

import _ "embed"

// OrderChangedSchema is the JSON Schema (2020-12) of the body of an order.changed event.
//
//go:embed schema/order.changed.schema.json
var OrderChangedSchema []byte
