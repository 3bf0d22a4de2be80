// Package service is what the four services and the standalone have in common as processes: how
// they read their configuration, start, tell that they are ready, and stop.
package service

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"

	"github.com/resonance/resonance/pkg/telemetry"
)

// Base is the configuration every service has. Embed it.
type Base struct {
	NATSURL      string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222"`
	NATSCreds    string `env:"NATS_CREDS"`                   // path of a credentials file
	NATSNkey     string `env:"NATS_NKEY"`                    // path of the seed of a user's NKey
	NATSCA       string `env:"NATS_CA"`                      // path of the certificates that sign the server's; "": the system's
	NATSCert     string `env:"NATS_CERT"`                    // path of the client's certificate
	NATSKey      string `env:"NATS_KEY"`                     // path of its private key
	NATSReplicas int    `env:"NATS_REPLICAS" envDefault:"1"` // of streams and buckets: 3 in a cluster
	MetricsAddr  string `env:"METRICS_ADDR"`                 // host:port of /healthz, /readyz and /metrics; "" for none
	Debug        bool   `env:"DEBUG"`                        // log from Debug up
	LogFormat    string `env:"LOG_FORMAT" envDefault:"text"` // text or json

	Log    *slog.Logger `env:"-"`
	Health *Health      `env:"-"`
}

// Validate checks Base and fills in Log and Health where they are nil.
func (b *Base) Validate() error {
	var errs []error
	if b.LogFormat != "text" && b.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("LOG_FORMAT: %q is neither text nor json", b.LogFormat))
	}
	if b.NATSReplicas < 1 || b.NATSReplicas > 5 {
		errs = append(errs, fmt.Errorf("NATS_REPLICAS: %d is not between 1 and 5", b.NATSReplicas))
	}
	errs = append(errs, checkNATS(b.NATSURL), b.checkFiles())
	if b.MetricsAddr != "" {
		errs = append(errs, CheckAddr("METRICS_ADDR", b.MetricsAddr))
	}
	if b.Log == nil {
		b.Log = telemetry.NewLogger(os.Stderr, b.LogFormat == "json", b.Debug)
	}
	if b.Health == nil {
		b.Health = &Health{}
	}
	return errors.Join(errs...)
}

// Validator is a configuration that can check itself; all its mistakes are joined in one error.
type Validator interface{ Validate() error }

// Load fills cfg from the environment by Parse, then validates it. The error joins every mistake,
// each naming its variable.
func Load(cfg Validator) error {
	return Mistakes(Parse(cfg), cfg.Validate())
}

// Mistakes joins errors that each begin with the name of a variable and a colon, and keeps only
// the first about each: what cannot be read need not be called too small as well.
func Mistakes(errs ...error) error {
	var first []error
	seen := map[string]bool{}
	var add func(error)
	add = func(err error) {
		switch joined, ok := err.(interface{ Unwrap() []error }); { // only what is joined, not what is wrapped
		case err == nil:
		case ok:
			for _, e := range joined.Unwrap() {
				add(e)
			}
		default:
			variable, _, _ := strings.Cut(err.Error(), ":")
			if !seen[variable] {
				seen[variable] = true
				first = append(first, err)
			}
		}
	}
	for _, err := range errs {
		add(err)
	}
	return errors.Join(first...)
}

// Parse fills cfg from the environment, and from .env for what the environment does not set. The
// error joins every value that cannot be read, each naming its variable.
func Parse(cfg any) error {
	errs := []error{loadDotEnv()}
	if err := env.Parse(cfg); err != nil {
		var all env.AggregateError
		if !errors.As(err, &all) {
			return err
		}
		for _, e := range all.Errors {
			errs = append(errs, explain(cfg, e))
		}
	}
	return errors.Join(errs...)
}

// loadDotEnv sets what .env holds and the environment does not.
func loadDotEnv() error {
	err := godotenv.Load()
	if _, unreadable := errors.AsType[*fs.PathError](err); unreadable && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf(".env: %w", err)
	} else if err != nil && !unreadable {
		return errors.New(".env: is not a list of NAME=value lines") // the library quotes what it holds
	}
	return nil
}

// explain names the variable where the env library names only the struct's field.
func explain(cfg any, err error) error {
	bad, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return err
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(cfg).Elem()) {
		if variable, _, _ := strings.Cut(f.Tag.Get("env"), ","); f.Name == bad.Name && f.Type == bad.Type && variable != "" {
			return fmt.Errorf("%s: %q is not a valid %s", variable, os.Getenv(variable), bad.Type)
		}
	}
	return fmt.Errorf("%s: %w", bad.Name, bad.Err)
}

// CheckAddr checks that addr is host:port; the error names the variable.
func CheckAddr(variable, addr string) error {
	if _, err := net.ResolveTCPAddr("tcp", addr); err != nil {
		return fmt.Errorf("%s: %q is not host:port", variable, addr)
	}
	return nil
}

// checkNATS checks what no waiting for NATS would mend. It repeats no URL: they may hold passwords.
func checkNATS(urls string) error {
	var errs []error
	for i, u := range strings.Split(urls, ",") {
		if u = strings.TrimSpace(u); !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		parsed, err := url.Parse(u)
		if err != nil || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, parsed.Scheme) || urls != "" && parsed.Host == "" {
			errs = append(errs, fmt.Errorf("NATS_URL: number %d is not nats://host:port", i+1))
		}
	}
	return errors.Join(errs...)
}

// checkFiles checks that what authenticates the connection to NATS can be read, and fits together.
func (b *Base) checkFiles() error {
	var errs []error
	for _, f := range [][2]string{
		{"NATS_CREDS", b.NATSCreds}, {"NATS_NKEY", b.NATSNkey}, {"NATS_CA", b.NATSCA}, {"NATS_CERT", b.NATSCert}, {"NATS_KEY", b.NATSKey},
	} {
		if f[1] == "" {
			continue
		}
		file, err := os.Open(f[1])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f[0], err))
			continue
		}
		errs = append(errs, file.Close())
	}
	if b.NATSCreds != "" && b.NATSNkey != "" {
		errs = append(errs, errors.New("NATS_NKEY: cannot be set together with NATS_CREDS"))
	}
	if (b.NATSCert == "") != (b.NATSKey == "") {
		errs = append(errs, errors.New("NATS_CERT: is set together with NATS_KEY, or not at all"))
	}
	return errors.Join(errs...)
}
