// Command odoo-bridge runs the service of that name until it is told to stop.
package main

import (
	"github.com/resonance/resonance/pkg/service"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
)

func main() { service.Main("odoo-bridge", odoobridge.Run) }
