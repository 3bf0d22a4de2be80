module github.com/resonance/resonance/services/odoo-bridge

go 1.26.0

require github.com/resonance/resonance/pkg v0.0.0

replace github.com/resonance/resonance/pkg => ../../pkg
