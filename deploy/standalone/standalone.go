package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/localnats"
	"github.com/resonance/resonance/pkg/localpg"
	"github.com/resonance/resonance/pkg/natsauth"
	"github.com/resonance/resonance/pkg/service"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	odootest "github.com/resonance/resonance/sandbox/odoo"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
	"github.com/resonance/resonance/services/gateway"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/orders"
)

// Run starts what is not given from outside, then the four services, and prints what runs where
// once all are ready. When ctx ends it stops them in the direction data flows: HTTP first,
// Postgres last.
func Run(ctx context.Context, cfg Config) (err error) {
	go giveBack(ctx)
	began := time.Now()
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		return fmt.Errorf("DATA_DIR: %w", err)
	}
	var b banner
	b.DataDir, b.UsersFile, b.HTTPAddr = cfg.DataDir, cfg.Gateway.UsersFile, cfg.Gateway.HTTPAddr
	b.AdminUsername = cfg.Gateway.AdminUsername
	if err := free(ctx, "HTTP_ADDR", cfg.Gateway.HTTPAddr); err != nil {
		return err
	}

	var infra group
	defer func() { err = errors.Join(err, infra.stop()) }()
	if err := startNATS(&cfg, &infra, &b); err != nil {
		return err
	}
	if cfg.Orders.DatabaseURL, err = startPostgres(ctx, &cfg, &infra, &b); err != nil {
		return err
	}
	if err := startSandbox(ctx, &cfg, &infra, &b); err != nil {
		return err
	}
	if err := startOdoo(ctx, &cfg, &infra, &b); err != nil {
		return err
	}
	cfg.Gateway.OnFirstLogin = func(username, password string) { b.AdminUsername, b.Password = username, password }

	cfg.Gateway.Health.Expect("orders", "projection", "airtable-sync", "odoo-bridge")

	var services group
	services.run(ctx, "orders", func(ctx context.Context) error { return orders.Run(ctx, cfg.Orders) })
	services.run(ctx, "airtable-sync", func(ctx context.Context) error { return airtablesync.Run(ctx, cfg.Sync) })
	services.run(ctx, "odoo-bridge", func(ctx context.Context) error { return odoobridge.Run(ctx, cfg.OdooBridge) })
	services.run(ctx, "gateway", func(ctx context.Context) error { return gateway.Run(ctx, cfg.Gateway) })
	go b.printWhenReady(ctx, cfg.Gateway.Health, began)

	select {
	case <-ctx.Done():
	case err = <-services.failure():
	case err = <-infra.failure():
	}
	return errors.Join(err, services.stop())
}

// startNATS starts the embedded server, with accounts and keys of its own, and gives each service its user.
func startNATS(cfg *Config, infra *group, b *banner) error {
	bases := map[string]*service.Base{
		"gateway": &cfg.Gateway.Base, "orders": &cfg.Orders.Base, "airtable-sync": &cfg.Sync.Base, "odoo-bridge": &cfg.OdooBridge.Base,
	}
	url, keys := cfg.NATSURL, ""
	if url == "" {
		var err error
		if url, keys, err = embedNATS(cfg, infra, b); err != nil {
			return err
		}
	}
	b.NATS = url
	for name, base := range bases {
		base.NATSURL = url
		if keys != "" {
			base.NATSCreds, base.NATSCert, base.NATSKey, base.NATSCA = "", "", "", b.NATSCA
			base.NATSNkey = filepath.Join(keys, name, natsauth.SeedFile)
		}
	}
	return nil
}

func embedNATS(cfg *Config, infra *group, b *banner) (url, keys string, err error) {
	keys, err = filepath.Abs(filepath.Join(cfg.DataDir, "nats-keys"))
	if err != nil {
		return "", "", fmt.Errorf("DATA_DIR: %w", err)
	}
	settings, err := natsauth.MakeKeys(keys)
	if err != nil {
		return "", "", fmt.Errorf("make the keys of NATS: %w", err)
	}
	host, _, err := net.SplitHostPort(cfg.NATSAddr)
	if err != nil {
		return "", "", fmt.Errorf("NATS_ADDR: %w", err)
	}
	if cfg.NATSTLS {
		if err := natsauth.MakeCertificates(keys, hostNames(host)...); err != nil {
			return "", "", fmt.Errorf("make the certificates of NATS: %w", err)
		}
		b.NATSCA = filepath.Join(keys, "server", natsauth.CAFile)
		settings += fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n",
			filepath.Join(keys, "server", natsauth.CertFile), filepath.Join(keys, "server", natsauth.KeyFile))
	}
	var invalid error
	dir := filepath.Join(cfg.DataDir, "nats")
	ns, err := localnats.Start(localnats.Config{
		Addr: cfg.NATSAddr, Dir: dir, SyncAlways: true, Log: cfg.Orders.Log,
		Customize: func(o *server.Options) { invalid = o.ProcessConfigString(settings) },
	})
	if err = errors.Join(invalid, err); err != nil {
		return "", "", err
	}
	infra.add("NATS", func(context.Context) error { ns.Stop(); return nil })
	b.NATSDir, b.NATSNkey = dir, filepath.Join(keys, natsauth.Consumer, natsauth.SeedFile)
	_, port, err := net.SplitHostPort(ns.Server().Addr().String()) // of NATS_ADDR, or a free one
	if err != nil {
		return "", "", fmt.Errorf("NATS_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "nats://"
	if cfg.NATSTLS {
		scheme = "tls://"
	}
	return scheme + net.JoinHostPort(host, port), keys, nil
}

// hostNames are what a server that listens on host is reached as.
func hostNames(host string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return append(names, host)
	}
	addrs, _ := net.InterfaceAddrs() // without them, those above remain
	for _, a := range addrs {
		if network, ok := a.(*net.IPNet); ok {
			names = append(names, network.IP.String())
		}
	}
	return names
}

func startPostgres(ctx context.Context, cfg *Config, infra *group, b *banner) (string, error) {
	if cfg.DatabaseURL != "" {
		return cfg.DatabaseURL, nil
	}
	start := func(ctx context.Context) (*localpg.Server, error) {
		return localpg.Start(ctx, localpg.Config{Dir: cfg.DataDir, Logger: cfg.Orders.Log})
	}
	pg, err := start(ctx)
	if err != nil {
		return "", err
	}
	infra.run(ctx, "Postgres", func(ctx context.Context) error { return keepPostgres(ctx, pg, start, cfg.Orders.Log) })
	b.PostgresDir = filepath.Join(cfg.DataDir, "postgres")
	b.Postgres = pg.URL("postgres")
	return b.Postgres, nil
}

// keepPostgres starts the local Postgres again when it dies, and stops it when ctx ends.
func keepPostgres(ctx context.Context, pg *localpg.Server, start func(context.Context) (*localpg.Server, error), log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), service.DrainTime/3)
			defer cancel()
			return pg.Stop(grace)
		case <-pg.Done():
		}
		log.Error("local Postgres died, starting it again")
		err := bus.Persist(ctx, log, "local Postgres not started, trying again", func(ctx context.Context) error {
			again, err := start(ctx)
			if err == nil {
				pg = again
			}
			return err
		})
		if err != nil {
			return nil // ctx has ended
		}
	}
}

func startSandbox(ctx context.Context, cfg *Config, infra *group, b *banner) error {
	if !cfg.sandboxed() {
		b.Airtable = cfg.Sync.EndpointURL
		return nil
	}
	rate := cfg.SandboxRate
	if rate == 0 {
		rate = math.Inf(-1) // no limit
	}
	sandbox := airtabletest.New(airtabletest.Config{
		Orders: cfg.SandboxOrders, Language: cfg.SandboxLanguage, RatePerSecond: rate,
		File: filepath.Join(cfg.DataDir, "airtable.json"), Log: cfg.Sync.Log,
	})
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.SandboxAddr)
	if err != nil {
		return fmt.Errorf("AIRTABLE_SANDBOX_ADDR: %w", err)
	}
	infra.run(ctx, "Airtable sandbox", func(ctx context.Context) error { return sandbox.Serve(ctx, ln) })
	seeded := sandbox.Config()
	cfg.Sync.EndpointURL = "http://" + ln.Addr().String()
	cfg.Sync.APIKey, cfg.Sync.BaseID, cfg.Sync.TableID = seeded.APIKey, seeded.BaseID, seeded.TableID
	cfg.Sync.RateLimit = cfg.SandboxRate
	b.Airtable, b.Sandbox = cfg.Sync.EndpointURL, &seeded
	return nil
}

// startOdoo starts the sandbox of Odoo where none was named. It forgets what was changed when it ends.
func startOdoo(ctx context.Context, cfg *Config, infra *group, b *banner) error {
	if cfg.OdooURL != "" {
		b.Odoo = cfg.OdooURL
		return nil
	}
	sandbox := odootest.New(odootest.Config{Version: cfg.OdooVersion, Samples: true})
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.OdooAddr)
	if err != nil {
		return fmt.Errorf("ODOO_SANDBOX_ADDR: %w", err)
	}
	infra.run(ctx, "Odoo sandbox", func(ctx context.Context) error { return sandbox.Serve(ctx, ln) })
	seeded := sandbox.Config()
	admin := seeded.Users[0]
	cfg.OdooBridge.URL, cfg.OdooBridge.DB = "http://"+ln.Addr().String(), seeded.Database
	cfg.OdooBridge.Username, cfg.OdooBridge.Password = admin.Login, admin.APIKey // over JSON-2 there are no passwords
	b.Odoo, b.OdooSandbox = cfg.OdooBridge.URL, &seeded
	return nil
}

// free reports a port in use before anything has been started for nothing.
func free(ctx context.Context, variable, addr string) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	return ln.Close()
}

// group is things that run, and are stopped in the reverse order of their start.
type group struct {
	once   sync.Once
	failed chan error
	stops  []func() error
}

// failure tells of whatever ends before it was told to.
func (g *group) failure() chan error {
	g.once.Do(func() { g.failed = make(chan error, 16) })
	return g.failed
}

// run starts f, which must return when its context ends; that it ends before is a failure.
func (g *group) run(ctx context.Context, name string, f func(context.Context) error) {
	failed := g.failure()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		err := f(ctx)
		if ctx.Err() == nil {
			failed <- fmt.Errorf("%s: %w", name, cmp.Or(err, errors.New("ended by itself")))
			err = nil // said already
		}
		done <- err
	}()
	g.stops = append(g.stops, func() error {
		cancel()
		return <-done
	})
}

// add registers something that runs already.
func (g *group) add(name string, stop func(context.Context) error) {
	g.stops = append(g.stops, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), service.DrainTime/3)
		defer cancel()
		if err := stop(ctx); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
		return nil
	})
}

func (g *group) stop() error {
	var errs []error
	for _, stop := range slices.Backward(g.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
