// Package gateway answers HTTP for Resonance: it checks who asks and what, and asks the services on
// NATS. It keeps nothing but the sessions, which are in NATS too.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/gateway/internal/api"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// Config is the gateway's configuration.
type Config struct {
	service.Base
	HTTPAddr      string   `env:"HTTP_ADDR" envDefault:"127.0.0.1:8000"`
	JWTSecret     string   `env:"JWT_SECRET"` // 32 bytes or more; empty: one is made and kept in DataDir
	AdminUsername string   `env:"ADMIN_USERNAME" envDefault:"admin"`
	AdminPassword string   `env:"ADMIN_PASSWORD"`
	UsersFile     string   `env:"USERS_FILE"`                       // default: users in DataDir
	AuthProvider  string   `env:"AUTH_PROVIDER" envDefault:"local"` // or odoo: its users log in, and local administrators
	DataDir       string   `env:"DATA_DIR" envDefault:".data"`
	CORSOrigins   []string `env:"CORS_ORIGINS"` // scheme://host[:port] with commas between, or *
	// TrustedProxies are the networks whose X-Forwarded-For is believed, as 10.0.0.0/8 or one address.
	TrustedProxies []string `env:"TRUSTED_PROXIES"`

	// OnFirstLogin is told the password of the administrator who is made when nobody could log in
	// otherwise. It is kept nowhere else. The default prints it.
	OnFirstLogin func(username, password string) `env:"-"`
	// OnListen is told where HTTP is answered, once it is.
	OnListen func(net.Addr) `env:"-"`
}

// Validate checks c and fills in what follows from other fields. Every wrong variable is named.
func (c *Config) Validate() error {
	errs := []error{c.Base.Validate(), service.CheckAddr("HTTP_ADDR", c.HTTPAddr)}
	if c.JWTSecret != "" && len(c.JWTSecret) < auth.MinSecret {
		errs = append(errs, fmt.Errorf("JWT_SECRET: has %d bytes, needs %d or more", len(c.JWTSecret), auth.MinSecret))
	}
	if !auth.ValidUsername(c.AdminUsername) {
		errs = append(errs, fmt.Errorf("ADMIN_USERNAME: %q is not 1 to 64 letters, digits or . _ @ + -", c.AdminUsername))
	}
	if c.AdminPassword != "" {
		if err := auth.CheckPassword(c.AdminUsername, c.AdminPassword); err != nil {
			errs = append(errs, fmt.Errorf("ADMIN_PASSWORD: %w", err))
		}
	}
	if c.AuthProvider == "" {
		c.AuthProvider = "local"
	}
	if c.AuthProvider != "local" && c.AuthProvider != "odoo" {
		errs = append(errs, fmt.Errorf("AUTH_PROVIDER: %q is neither local nor odoo", c.AuthProvider))
	}
	if c.DataDir == "" {
		errs = append(errs, errors.New("DATA_DIR: is empty"))
	}
	users := "USERS_FILE"
	if c.UsersFile == "" {
		users, c.UsersFile = "DATA_DIR", filepath.Join(c.DataDir, "users")
	}
	if err := auth.NewUsers(c.UsersFile, "", "").Check(); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", users, err))
	}
	for _, origin := range c.CORSOrigins {
		if !validOrigin(origin) {
			errs = append(errs, fmt.Errorf("CORS_ORIGINS: %q is neither * nor scheme://host[:port]", origin))
		}
	}
	_, err := c.proxies()
	return errors.Join(append(errs, err)...)
}

func (c *Config) proxies() (networks []netip.Prefix, err error) {
	for _, s := range c.TrustedProxies {
		network, bad := netip.ParsePrefix(s)
		if ip, notOne := netip.ParseAddr(s); notOne == nil {
			network, bad = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("TRUSTED_PROXIES: %q is neither an address nor a network", s))
		}
		networks = append(networks, network)
	}
	return networks, err
}

func validOrigin(origin string) bool {
	if origin == "*" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Scheme+"://"+u.Host == origin
}

// Run serves until ctx ends, then lets requests finish. It listens at once, and answers 503 while
// NATS or a service is away. The error says what stands in the way of starting: a port in use, a
// login NATS refuses, a bucket that differs from what this version declares.
func Run(ctx context.Context, c Config) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", c.HTTPAddr) // before anything is made or printed
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	defer ln.Close()
	link := newLink(c.Log, c.NATSReplicas)
	authenticator, err := c.authenticator(link)
	if err != nil {
		return err
	}
	proxies, err := c.proxies()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handler, err := api.New(api.Config{
		Log: c.Log, Services: link, Auth: authenticator, Health: c.Health, CORSOrigins: c.CORSOrigins, Draining: ctx.Done(),
		Live: link.live, Catalog: &link.columns, TrustedProxies: proxies,
	})
	if err != nil {
		return err
	}
	c.Health.Check("orders", link.ordersThere)
	c.Health.Check("sessions", link.sessionsWritable)
	c.Health.Check("sync", link.syncWorks)

	outlasting, unlink := context.WithCancel(context.WithoutCancel(ctx)) // requests under way need NATS
	defer unlink()
	linked := make(chan error, 1)
	go func() {
		err := c.WithNATS(outlasting, service.Link{Name: "gateway", Check: "nats", OnReconnect: link.reopen}, link.maintain)
		cancel()
		linked <- err
	}()
	served := c.serve(ctx, ln, handler)
	unlink()
	return errors.Join(served, <-linked)
}

// authenticator sees to it that there is a user and a secret.
func (c *Config) authenticator(link *link) (*auth.Authenticator, error) {
	users := auth.NewUsers(c.UsersFile, c.AdminUsername, c.AdminPassword)
	password, err := users.EnsureOne(c.AdminUsername)
	if err != nil {
		return nil, err
	}
	if password != "" {
		if c.OnFirstLogin == nil {
			c.OnFirstLogin = func(username, password string) {
				fmt.Printf("login: %s / %s (kept nowhere: note it down)\n", username, password)
			}
		}
		c.OnFirstLogin(c.AdminUsername, password)
	}
	secret := []byte(c.JWTSecret)
	if len(secret) == 0 {
		if secret, err = auth.Secret(filepath.Join(c.DataDir, "jwt-secret")); err != nil {
			return nil, err
		}
	}
	of := auth.Config{Secret: secret, Users: users, Sessions: link.sessions, Log: c.Log, Now: time.Now}
	if c.AuthProvider == "odoo" {
		of.Odoo = link.odooLogin
	}
	return auth.New(of), nil
}

func (c *Config) serve(ctx context.Context, ln net.Listener, handler http.Handler) error {
	c.Log.Info("answering HTTP", "address", ln.Addr().String())
	if c.OnListen != nil {
		c.OnListen(ln.Addr())
	}
	return service.Serve(ctx, ln, &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      30 * time.Second, // export and sync extend it as they go
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	})
}
