package main

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"

	"github.com/resonance/resonance/pkg/service"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
	"github.com/resonance/resonance/services/gateway"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/orders"
)

// Config is the environment of the whole product: what is embedded, and the four services.
type Config struct {
	DataDir     string `env:"DATA_DIR" envDefault:".data"`
	NATSAddr    string `env:"NATS_ADDR" envDefault:"127.0.0.1:4222"` // of the embedded server
	NATSURL     string `env:"NATS_URL"`                              // "": embed one
	NATSTLS     bool   `env:"NATS_TLS"`                              // the embedded server encrypts, with certificates of its own authority
	NATSClear   bool   `env:"NATS_ALLOW_CLEARTEXT"`                  // the embedded server may be reached from elsewhere without TLS
	DatabaseURL string `env:"DATABASE_URL"`                          // "": run a local one
	AirtableKey string `env:"AIRTABLE_API_KEY"`                      // "": start the sandbox

	SandboxAddr     string  `env:"AIRTABLE_SANDBOX_ADDR" envDefault:"127.0.0.1:0"` // port 0: any free one
	SandboxOrders   int     `env:"AIRTABLE_SANDBOX_ORDERS" envDefault:"2000"`
	SandboxLanguage string  `env:"AIRTABLE_SANDBOX_LANGUAGE" envDefault:"en"` // en or es
	SandboxRate     float64 `env:"AIRTABLE_SANDBOX_RATE" envDefault:"5"`      // requests a second; 0 for no limit

	OdooURL     string `env:"ODOO_URL"`                                   // "": start the sandbox
	OdooAddr    string `env:"ODOO_SANDBOX_ADDR" envDefault:"127.0.0.1:0"` // port 0: any free one
	OdooVersion int    `env:"ODOO_SANDBOX_VERSION" envDefault:"19"`       // 14 to 19

	Gateway    gateway.Config      `env:"-"`
	Orders     orders.Config       `env:"-"`
	Sync       airtablesync.Config `env:"-"`
	OdooBridge odoobridge.Config   `env:"-"`
}

// Validate reads the services' own configuration and reports every mistake.
func (c *Config) Validate() error {
	errs := []error{
		service.CheckAddr("NATS_ADDR", c.NATSAddr), service.CheckAddr("AIRTABLE_SANDBOX_ADDR", c.SandboxAddr),
		service.CheckAddr("ODOO_SANDBOX_ADDR", c.OdooAddr),
	}
	if c.NATSURL == "" && !c.NATSTLS && !c.NATSClear && !isLoopback(c.NATSAddr) {
		errs = append(errs, fmt.Errorf("NATS_ADDR: %s can be reached from other machines, and everything on it would be readable on the way: "+
			"set NATS_TLS=true, or NATS_ALLOW_CLEARTEXT=true to accept that", c.NATSAddr))
	}
	if c.OdooVersion < 14 || c.OdooVersion > 19 {
		errs = append(errs, fmt.Errorf("ODOO_SANDBOX_VERSION: %d is not between 14 and 19", c.OdooVersion))
	}
	if c.SandboxOrders < 0 || c.SandboxOrders > 1_000_000 {
		errs = append(errs, fmt.Errorf("AIRTABLE_SANDBOX_ORDERS: %d is not between 0 and 1,000,000", c.SandboxOrders))
	}
	if c.SandboxLanguage != "en" && c.SandboxLanguage != "es" {
		errs = append(errs, fmt.Errorf("AIRTABLE_SANDBOX_LANGUAGE: %q is neither en nor es", c.SandboxLanguage))
	}
	if !(c.SandboxRate >= 0) {
		errs = append(errs, fmt.Errorf("AIRTABLE_SANDBOX_RATE: %v is negative", c.SandboxRate))
	}
	errs = append(errs,
		service.Parse(&c.Gateway), service.Parse(&c.Orders), service.Parse(&c.Sync), service.Parse(&c.OdooBridge))

	base := c.Gateway.Base
	errs = append(errs, base.Validate())
	base.MetricsAddr = "" // the gateway serves everybody's metrics and health
	c.Gateway.Base, c.Orders.Base, c.Sync.Base, c.OdooBridge.Base = base, base, base, base
	if c.DatabaseURL == "" {
		c.Orders.DatabaseURL = placeholderURL
	}
	if c.sandboxed() {
		// Made-up orders must never meet real ones on one stream. Users are the same people.
		c.Gateway.UsersFile = cmp.Or(c.Gateway.UsersFile, filepath.Join(c.DataDir, "users"))
		c.DataDir = filepath.Join(c.DataDir, "sandbox")
		c.Sync.APIKey, c.Sync.BaseID, c.Sync.TableID = "sandbox", "sandbox", "sandbox"
		c.Sync.EndpointURL = "http://" + c.SandboxAddr
		c.Sync.PublicURL = cmp.Or(c.Sync.PublicURL, "http://"+c.Gateway.HTTPAddr) // the sandbox reaches it
	}
	c.Gateway.DataDir = c.DataDir
	for _, v := range []service.Validator{&c.Gateway, &c.Orders, &c.Sync, &c.OdooBridge} {
		errs = append(errs, v.Validate())
	}
	return service.Mistakes(errs...)
}

// isLoopback reports that only this machine reaches an address; true for one that is invalid, which is said elsewhere.
func isLoopback(addr string) bool {
	a, err := net.ResolveTCPAddr("tcp", addr)
	return err != nil || a.IP.IsLoopback()
}

// placeholderURL stands for the local Postgres until that has started.
const placeholderURL = "postgres:///resonance"

func (c *Config) sandboxed() bool { return c.AirtableKey == "" }
