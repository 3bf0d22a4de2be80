//go:build unix

package pgtest

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// PoolMode is when a [Pooler] gives a server connection to another client.
type PoolMode string

// Modes of a pooler. Statement refuses transactions.
const (
	Transaction PoolMode = "transaction"
	Statement   PoolMode = "statement"
)

// Pooler stands between clients and Postgres as PgBouncer does. Its server connections serve in turn,
// so that nothing of a session is there in the next transaction.
type Pooler struct {
	// Refuse makes it end connections with start-up parameters that it does not know, as PgBouncer does;
	// else it ignores them.
	Refuse bool
	Mode   PoolMode

	servers chan *pgconn.HijackedConn
	dsn     string // of the database itself
	through string
}

// DSN is what Start gave.
func (p *Pooler) DSN() string { return p.through }

const poolerServers = 4

// Start serves until the test ends and gives the DSN of the database of dsn through the pooler.
func (p *Pooler) Start(tb testing.TB, dsn string) string {
	tb.Helper()
	p.dsn, p.servers = dsn, make(chan *pgconn.HijackedConn, poolerServers)
	for range poolerServers {
		server, err := p.connect(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		p.servers <- server
	}
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var clients sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	clients.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				defer conn.Close()
				_ = p.serve(ctx, conn) // the client has gone
			})
		}
	})
	tb.Cleanup(func() {
		cancel()
		ln.Close()
		clients.Wait()
		for range poolerServers {
			(<-p.servers).Conn.Close()
		}
	})
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host = ln.Addr().String()
	q := u.Query()
	q.Del("host") // a socket's directory
	q.Del("port")
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	p.through = u.String()
	return p.through
}

func (p *Pooler) connect(ctx context.Context) (*pgconn.HijackedConn, error) {
	conn, err := pgconn.Connect(ctx, p.dsn)
	if err != nil {
		return nil, err
	}
	return conn.Hijack()
}

// serve relays what one client asks.
func (p *Pooler) serve(ctx context.Context, conn net.Conn) error {
	client := pgproto3.NewBackend(conn, conn)
	if err := p.greet(client, conn); err != nil {
		return err
	}
	var server *pgconn.HijackedConn
	defer func() {
		if server == nil {
			return
		}
		server.Conn.Close() // in the middle of a transaction
		if fresh, err := p.connect(context.WithoutCancel(ctx)); err == nil {
			server = fresh
		}
		p.servers <- server
	}()
	for {
		msg, err := client.Receive()
		if err != nil {
			return err
		}
		if _, over := msg.(*pgproto3.Terminate); over {
			return nil
		}
		if server == nil {
			select {
			case server = <-p.servers:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		server.Frontend.Send(msg)
		switch msg.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
		default:
			continue
		}
		if err := server.Frontend.Flush(); err != nil {
			return err
		}
		state, err := relay(client, server.Frontend)
		if err != nil {
			return err
		}
		if state != 'I' && p.Mode == Statement {
			client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "transaction blocks not allowed in statement pooling mode"})
			return errors.Join(client.Flush(), errors.New("a transaction"))
		}
		client.Send(&pgproto3.ReadyForQuery{TxStatus: state})
		if state == 'I' {
			p.servers <- server
			server = nil
		}
		if err := client.Flush(); err != nil {
			return err
		}
	}
}

// greet lets a client in.
func (p *Pooler) greet(client *pgproto3.Backend, conn net.Conn) error {
	for {
		msg, err := client.ReceiveStartupMessage()
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.SSLRequest, *pgproto3.GSSEncRequest:
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return err
			}
		case *pgproto3.StartupMessage:
			known := []string{"user", "database", "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name"}
			for name := range msg.Parameters {
				if p.Refuse && !slices.Contains(known, strings.ToLower(name)) {
					client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "unsupported startup parameter: " + name})
					return errors.Join(client.Flush(), errors.New("a start-up parameter"))
				}
			}
			client.Send(&pgproto3.AuthenticationOk{})
			for name, value := range map[string]string{"server_version": "15.0", "client_encoding": "UTF8", "standard_conforming_strings": "on"} {
				client.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
			}
			client.Send(&pgproto3.BackendKeyData{ProcessID: 0x0dde75, SecretKey: []byte{1, 2, 3, 4}}) // no server's
			client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			return client.Flush()
		default:
			return errors.New("a request to cancel")
		}
	}
}

// relay sends what the server answers, and gives the state of the transaction then.
func relay(client *pgproto3.Backend, server *pgproto3.Frontend) (state byte, err error) {
	for {
		msg, err := server.Receive()
		if err != nil {
			return 0, err
		}
		if ready, ok := msg.(*pgproto3.ReadyForQuery); ok {
			return ready.TxStatus, nil
		}
		client.Send(msg)
	}
}
