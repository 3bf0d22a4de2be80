// Package store keeps the orders service's tables in Postgres: the batches that the projection
// writes, and the queries that the API answers.
package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/resonance/resonance/pkg/fault"
)

// schema is the service's own schema, so that others may share the database.
const schema = "orders"

// patience is how long a read may take, waiting for a connection included. Whoever asks over HTTP
// is told within two seconds that Postgres is away.
const patience = 1500 * time.Millisecond

// Store reads the tables of the orders service. It connects when first used.
type Store struct {
	config *pgx.ConnConfig
	// fixed runs the statements whose shape is known: prepared once, never planned again.
	fixed *pgxpool.Pool
	// adhoc runs what the filters of a request make up, planned with its values.
	adhoc *pgxpool.Pool
	// editing runs the transactions of edits, which wait for JetStream and the projection.
	editing *pgxpool.Pool
}

// Open makes a Store on the database of dsn. The error names nothing of dsn.
func Open(dsn string) (*Store, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("not a Postgres URL or keyword/value string")
	}
	cfg.MaxConns = max(8, int32(4*runtime.GOMAXPROCS(0)))
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.HealthCheckPeriod = 15 * time.Second
	cfg.PingTimeout = time.Second
	c := cfg.ConnConfig
	c.ConnectTimeout = time.Second
	maps.Copy(c.RuntimeParams, map[string]string{
		"search_path": schema + ",public", "timezone": "UTC", "datestyle": "ISO", "application_name": "orders",
		"jit": "off", "random_page_cost": "1.1",
	})
	s := &Store{config: c.Copy()}

	adhoc := cfg.Copy()
	adhoc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	adhoc.ConnConfig.RuntimeParams["statement_timeout"] = "1500"
	editing := adhoc.Copy()
	editing.MaxConns = 16
	editing.ConnConfig.RuntimeParams["statement_timeout"] = "5000" // waiting for others included
	editing.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "10000"
	fixed := adhoc.Copy()
	fixed.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	// Their plans must not depend on how large the tables were when they were first planned.
	maps.Copy(fixed.ConnConfig.RuntimeParams, map[string]string{
		"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_sort": "off",
		"enable_hashjoin": "off", "enable_mergejoin": "off", "max_parallel_workers_per_gather": "0",
	})
	if s.fixed, err = pgxpool.NewWithConfig(context.Background(), fixed); err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	if s.adhoc, err = pgxpool.NewWithConfig(context.Background(), adhoc); err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	if s.editing, err = pgxpool.NewWithConfig(context.Background(), editing); err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	return s, nil
}

// Close closes all connections, waiting for the queries under way.
func (s *Store) Close() {
	s.fixed.Close()
	s.adhoc.Close()
	s.editing.Close()
}

// Ping checks that Postgres answers and has the tables.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.fixed.Exec(ctx, "select from checkpoint")
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
