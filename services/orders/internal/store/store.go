// Package store keeps the orders service's tables in Postgres: the batches that the projection
// writes, and the queries that the API answers.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/resonance/resonance/pkg/fault"
)

// namespace is the service's own schema in Postgres, so that others may share the database. Every statement
// names it: a search path is of the session, which a pooler may change at any time.
const namespace = "orders"

// patience is how long a read may take, waiting for a connection included. Whoever asks over HTTP
// is told within two seconds that Postgres is away.
const patience = 1500 * time.Millisecond

// Store reads the tables of the orders service. It connects when first used.
type Store struct {
	config     *pgxpool.Config
	limit      int32 // of connections, by the DSN; 0: by what the server allows
	current    atomic.Pointer[pools]
	connecting chan struct{} // holds a token while somebody inspects the server

	// fixed runs the statements whose shape is known: prepared once, never planned again.
	fixed pool
	// adhoc runs what the filters of a request make up, planned with its values.
	adhoc pool
	// editing runs the statements of edits, which are not held up by reads.
	editing pool
	queues  *queues
}

// CheckDSN says what is wrong with dsn, and names nothing of it.
func CheckDSN(dsn string) error {
	_, _, err := parseDSN(dsn)
	return err
}

// parseDSN also gives the limit of connections that is in dsn, 0 if there is none.
func parseDSN(dsn string) (cfg *pgxpool.Config, limit int32, err error) {
	cfg, err = pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, 0, errors.New("not a Postgres URL or keyword/value string")
	}
	plain, err := pgx.ParseConfig(dsn) // which leaves pgxpool's parameters where they are
	if err != nil || plain.RuntimeParams["pool_max_conns"] == "" {
		return cfg, 0, nil //nolint:nilerr // pgxpool could read it
	}
	if cfg.MaxConns < fewest {
		return nil, 0, fmt.Errorf("pool_max_conns must be %d or more", fewest)
	}
	return cfg, cfg.MaxConns, nil
}

// Open makes a Store on the database of dsn. Its pool_max_conns is how many connections there may be in
// all; without it, a third of what the server allows. The error is that of CheckDSN.
func Open(dsn string) (*Store, error) {
	cfg, limit, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	s := &Store{config: cfg, limit: limit, connecting: make(chan struct{}, 1), queues: newQueues()}
	s.fixed = pool{s, func(p *pools) *pgxpool.Pool { return p.fixed }}
	s.adhoc = pool{s, func(p *pools) *pgxpool.Pool { return p.adhoc }}
	s.editing = pool{s, func(p *pools) *pgxpool.Pool { return p.editing }}
	return s, nil
}

// Close closes all connections, waiting for the queries under way.
func (s *Store) Close() {
	if p := s.current.Load(); p != nil {
		p.close()
	}
}

// Ping checks that Postgres answers and has the tables.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.fixed.Exec(ctx, "select from orders.checkpoint")
	return err
}

// Refused reports whether err says that Postgres will never take the data as it is: no retry
// helps, and only the data is to blame (invariant 5).
func Refused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "54000": // a value too long for an index
		return true
	case "23505": // a duplicate is no event's fault: keys are told known from new beforehand
		return false
	}
	return strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23")
}

// readError makes a fault of what a query failed with. Whatever is not the query's own fault means
// that Postgres, or what should be in it, is away: the projection puts it right.
func readError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case strings.HasPrefix(pg.Code, "22"):
			return fault.Wrap(fault.Invalid, fault.T("Un valor de los filtros no es válido", "A value of the filters is not valid"), err)
		case strings.HasPrefix(pg.Code, "42") && pg.Code != "42P01" && pg.Code != "42883": // no such table, no such function
			return fmt.Errorf("query orders: %w", err)
		}
	}
	return fault.Away("Postgres", err)
}
