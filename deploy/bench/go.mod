module github.com/resonance/resonance/deploy/bench

go 1.26.0

require (
	github.com/resonance/resonance/deploy/standalone v0.0.0
	github.com/resonance/resonance/pkg v0.0.0
	github.com/resonance/resonance/services/airtable-sync v0.0.0
	github.com/resonance/resonance/services/gateway v0.0.0
	github.com/resonance/resonance/services/odoo-bridge v0.0.0
	github.com/resonance/resonance/services/orders v0.0.0
)

replace github.com/resonance/resonance/pkg => ../../pkg

replace github.com/resonance/resonance/services/gateway => ../../services/gateway

replace github.com/resonance/resonance/services/airtable-sync => ../../services/airtable-sync

replace github.com/resonance/resonance/services/orders => ../../services/orders

replace github.com/resonance/resonance/services/odoo-bridge => ../../services/odoo-bridge

replace github.com/resonance/resonance/deploy/standalone => ../standalone
