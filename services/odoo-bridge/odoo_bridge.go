// Package odoobridge is the service between Resonance and Odoo: it answers for products, partners and
// sales, and checks the passwords of Odoo's users. Odoo's own password stays here.
package odoobridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/odoo-bridge/internal/api"
	"github.com/resonance/resonance/services/odoo-bridge/internal/cache"
	"github.com/resonance/resonance/services/odoo-bridge/internal/changes"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
	"github.com/resonance/resonance/services/odoo-bridge/internal/resource"
	"github.com/resonance/resonance/services/odoo-bridge/internal/writes"
)

// Version is this service's version, in SemVer.
const Version = "0.2.0"

// Config is the service's environment. Without ODOO_URL the service says that it is not connected.
type Config struct {
	service.Base

	URL            string        `env:"ODOO_URL"` // with its path, where Odoo has one
	DB             string        `env:"ODOO_DB"`
	Username       string        `env:"ODOO_USERNAME"`
	Password       string        `env:"ODOO_PASSWORD"` // or an API key, which JSON-2 and users with 2FA need
	Protocol       string        `env:"ODOO_PROTOCOL" envDefault:"auto"`
	MaxConcurrency int           `env:"ODOO_MAX_CONCURRENCY" envDefault:"4"` // calls of Odoo at once
	Timeout        time.Duration `env:"ODOO_TIMEOUT" envDefault:"10s"`       // of one call
	LowStock       float64       `env:"ODOO_LOW_STOCK" envDefault:"5"`       // a product is low on stock at this quantity or below
	PollSeconds    float64       `env:"ODOO_POLL_SECONDS" envDefault:"5"`    // a change made in Odoo shows within; 0: nothing is cached, and no event tells of changes
	CacheMaxAge    time.Duration `env:"ODOO_CACHE_MAX_AGE" envDefault:"15m"` // what Odoo said is asked again after
	CacheMemoryMB  int           `env:"ODOO_CACHE_MEMORY_MB" envDefault:"64"`
}

// Validate reports every wrong variable, each by its name.
func (c *Config) Validate() error {
	errs := []error{c.Base.Validate()}
	if c.URL == "" {
		return errors.Join(errs...)
	}
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, errors.New("ODOO_URL: is not an http(s) URL without user and query"))
	}
	for _, v := range []struct{ name, value string }{
		{"ODOO_DB", c.DB}, {"ODOO_USERNAME", c.Username}, {"ODOO_PASSWORD", c.Password},
	} {
		if v.value == "" {
			errs = append(errs, fmt.Errorf("%s: not set", v.name))
		}
	}
	switch odoo.Protocol(c.Protocol) {
	case odoo.Auto, odoo.XMLRPC, odoo.JSON2:
	default:
		errs = append(errs, fmt.Errorf("ODOO_PROTOCOL: %q is none of auto, xmlrpc and json2", c.Protocol))
	}
	if c.MaxConcurrency < 1 || c.MaxConcurrency > 64 {
		errs = append(errs, fmt.Errorf("ODOO_MAX_CONCURRENCY: %d is not between 1 and 64", c.MaxConcurrency))
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > 5*time.Minute {
		errs = append(errs, fmt.Errorf("ODOO_TIMEOUT: %s is not between 100ms and 5m", c.Timeout))
	}
	if c.PollSeconds != 0 && !(c.PollSeconds >= 0.1 && c.PollSeconds <= 3600) {
		errs = append(errs, fmt.Errorf("ODOO_POLL_SECONDS: %v is neither 0 nor between 0.1 and 3600", c.PollSeconds))
	}
	if c.PollSeconds != 0 && (c.CacheMaxAge < time.Second || c.CacheMaxAge > 24*time.Hour) {
		errs = append(errs, fmt.Errorf("ODOO_CACHE_MAX_AGE: %s is not between 1s and 24h", c.CacheMaxAge))
	}
	if c.PollSeconds != 0 && (c.CacheMemoryMB < 1 || c.CacheMemoryMB > 1<<20) {
		errs = append(errs, fmt.Errorf("ODOO_CACHE_MEMORY_MB: %d is not between 1 and a million", c.CacheMemoryMB))
	}
	if !(c.LowStock >= 0 && c.LowStock < 1e9) {
		errs = append(errs, fmt.Errorf("ODOO_LOW_STOCK: %v is not a quantity", c.LowStock))
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, waiting for NATS first. It does not wait for Odoo: until that answers,
// requests are told so, and the service is ready all the same.
func Run(ctx context.Context, cfg Config) error {
	cfg.Log = cfg.Log.With("service", "odoo-bridge")
	return cfg.WithNATS(ctx, service.Link{Name: "odoo-bridge", Check: "odoo-bridge"}, cfg.serve)
}

func (c *Config) serve(ctx context.Context, nc *nats.Conn) error {
	described := notConnected()
	if c.URL != "" {
		var stop func()
		var err error
		if described, stop, err = c.connect(ctx, nc); err != nil {
			return err
		}
		defer stop()
	}
	server, err := bus.Serve(nc, c.Log, described)
	if err != nil {
		return err
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return server.Stop(stop)
}

// connect makes what answers from Odoo. The returned function ends it.
func (c *Config) connect(ctx context.Context, nc *nats.Conn) (described bus.Service, stop func(), err error) {
	client := odoo.New(odoo.Config{
		URL: c.URL, DB: c.DB, Username: c.Username, Password: c.Password, Protocol: odoo.Protocol(c.Protocol),
		Concurrency: c.MaxConcurrency, Timeout: c.Timeout, Log: c.Log,
	})
	store := resource.New(resource.Config{LowStock: c.LowStock, ProbeTimeout: c.Timeout, Username: c.Username}, client)
	js, err := bus.JetStream(nc)
	if err != nil {
		return bus.Service{}, nil, fmt.Errorf("JetStream: %w", err)
	}
	keys, err := odooapi.NewKeyPair()
	if err != nil {
		return bus.Service{}, nil, err
	}
	// Odoo may work on a call that nobody waits for any more.
	coordinator := writes.New(writes.Config{LockTTL: 2*c.Timeout + 3*time.Second, Replicas: c.NATSReplicas}, js)
	answers := api.Config{Source: store, Store: store, Writes: coordinator, Login: client.Login, Keys: keys, Version: Version, Timeout: c.Timeout + time.Second}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	stop = func() { cancel(); running.Wait(); client.Close() }
	answers.Go = func(f func(context.Context)) {
		if ctx.Err() == nil {
			running.Go(func() { f(ctx) })
		}
	}
	if c.PollSeconds > 0 {
		if err := c.keepFresh(ctx, nc, js, client, store, &answers, &running); err != nil {
			stop()
			return bus.Service{}, nil, err
		}
	}
	running.Go(func() { warmUp(ctx, store, c.Log) })
	return api.Service(answers), stop, nil
}

// keepFresh puts a cache before store, and follows what changes in Odoo until ctx ends.
func (c *Config) keepFresh(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, client *odoo.Client, store *resource.Store, answers *api.Config, running *sync.WaitGroup) error {
	every := time.Duration(c.PollSeconds * float64(time.Second))
	cached, err := cache.New(cache.Config{
		Namespace: c.identity(Version, c.LowStock), Fresh: every, MaxAge: c.CacheMaxAge, Memory: int64(c.CacheMemoryMB) << 20,
		Timeout: c.Timeout, Replicas: c.NATSReplicas, Terms: store.Terms, Log: c.Log,
	}, store)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	poller := changes.New(changes.Config{
		Key: "odoo." + c.identity(), Source: "/odoo/" + c.DB, OdooNow: client.Now, Instance: nuid.Next(),
		Every: every * 4 / 5, // a look takes time, too
		Full:  10 * time.Minute, Replicas: c.NATSReplicas, Log: c.Log,
	}, store, cached)
	cached.OnWritten(poller.Written)
	answers.Source, answers.Scope, answers.Changed = cached, cached.Scope, cached.Invalidate
	for what, run := range map[string]func(context.Context) error{
		"cache":  func(ctx context.Context) error { return cached.Run(ctx, nc, js) },
		"poller": func(ctx context.Context) error { return poller.Run(ctx, js) },
	} {
		running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil { // drift: reads go on, each asking Odoo
				c.Log.Error("reads ask Odoo each time, and no event tells of changes", "part", what, "error", err)
			}
		})
	}
	return nil
}

// identity names this Odoo as this user sees it; with more, what else tells states of it apart.
func (c *Config) identity(more ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", c.URL, c.DB, c.Username, more))
	return hex.EncodeToString(sum[:6])
}

// warmUp finds out what Odoo has before anybody asks, and tells the operator how that goes.
func warmUp(ctx context.Context, store *resource.Store, log *slog.Logger) {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = time.Second, 30*time.Second
	var once sync.Once
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, store.WarmUp(ctx) },
		backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, _ time.Duration) {
			once.Do(func() { log.Warn("waiting for Odoo", "error", err) })
		}))
	if err == nil {
		log.Info("Odoo is ready")
	}
}

// notConnected describes the service where no Odoo is set.
func notConnected() bus.Service {
	endpoints := map[string]bus.Handler{}
	for subject := range api.Service(api.Config{}).Endpoints {
		endpoints[subject] = func(context.Context, []byte) (bus.Reply, error) {
			return bus.Reply{}, &fault.Error{
				Code:       fault.Unavailable,
				Detail:     fault.T("Odoo no está conectado: falta ODOO_URL", "Odoo is not connected: ODOO_URL is not set"),
				RetryAfter: time.Hour,
			}
		}
	}
	return bus.Service{
		Name: "odoo", Description: "Not connected to Odoo", Version: Version, Endpoints: endpoints, Workers: 4, Timeout: time.Second,
	}
}
