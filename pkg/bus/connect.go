// Package bus is how the services use NATS: connect, the streams and buckets they share, publish,
// serve and ask.
package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
)

// Options says where NATS is and who connects.
type Options struct {
	URL  string // nats://host:port, several separated by commas
	Name string // the connection's name, shown by `nats server report connections`

	// Paths of files; empty for none. At most one of Creds and Nkey is set, and Cert and Key only together.
	Creds string // credentials: a JWT and its seed
	Nkey  string // the seed of a user's NKey
	CA    string // certificates that the server's has to be signed by, PEM; the system's if empty
	Cert  string // the client's certificate, PEM
	Key   string // its private key, PEM

	// OnReconnect is called after each reconnection.
	OnReconnect func()
}

// InboxPrefix begins the subjects of replies to the connection of that name. Each user may subscribe to its own only,
// since who hears _INBOX.> reads everybody's replies (invariant 10).
func InboxPrefix(name string) string { return "_INBOX." + name }

// Connect waits until NATS is there, and reconnects for ever after. While disconnected, publishing
// fails at once instead of being buffered (invariant 1). It returns an error when ctx ends, or at
// once when NATS refuses us, or the URL or one of the files cannot be read.
func Connect(ctx context.Context, log *slog.Logger, o Options) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a server may come back before its accounts do
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(20 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DrainTimeout(8 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("NATS connection restored", "server", nc.ConnectedServerName())
			if o.OnReconnect != nil {
				o.OnReconnect()
			}
		}),
		// The only place where the reason of a permissions violation shows.
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("NATS reported an error", "error", err, "subject", subject)
		}),
	}
	secure, err := o.security()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(o.URL), err)
	}
	opts = append(opts, secure...)
	const patience = 5 * time.Second
	said := time.Now().Add(time.Second - patience)
	for {
		nc, err := nats.Connect(o.URL, opts...)
		switch {
		case err == nil:
			return nc, nil
		case refused(err):
			return nil, fmt.Errorf("connect to NATS at %s: %w", redact(o.URL), withoutURL(err))
		case time.Since(said) >= patience:
			log.Info("waiting for NATS", "url", redact(o.URL), "error", err)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to NATS at %s: %w", redact(o.URL), errors.Join(ctx.Err(), err))
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// security is how the connection is authenticated and encrypted.
func (o *Options) security() ([]nats.Option, error) {
	var opts []nats.Option
	if o.Name != "" {
		opts = append(opts, nats.CustomInboxPrefix(InboxPrefix(o.Name)))
	}
	if o.Creds != "" {
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	if o.Nkey != "" {
		nkey, err := nats.NkeyOptionFromSeed(o.Nkey)
		if err != nil {
			return nil, fmt.Errorf("NKey %s: %w", o.Nkey, err)
		}
		opts = append(opts, nkey)
	}
	if o.CA != "" {
		opts = append(opts, nats.RootCAs(o.CA))
	}
	if o.Cert != "" {
		opts = append(opts, nats.ClientCert(o.Cert, o.Key))
	}
	return opts, nil
}

// refused reports whether waiting cannot help.
func refused(err error) bool {
	_, badURL := errors.AsType[*url.Error](err)
	_, badFile := errors.AsType[*fs.PathError](err)
	return badURL || badFile || errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired)
}

// Drain lets what is under way finish, then closes nc. It returns when nc is closed or ctx ends.
func Drain(ctx context.Context, nc *nats.Conn) error {
	if nc.IsClosed() {
		return nil
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if err := nc.Drain(); err != nil {
		nc.Close()
		return nil //nolint:nilerr // disconnected: there is nothing to drain
	}
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		nc.Close()
		return fmt.Errorf("drain the NATS connection: %w", ctx.Err())
	}
}
