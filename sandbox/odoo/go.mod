module github.com/resonance/resonance/sandbox/odoo

go 1.26.0
