package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrUnusable is wrapped by errors that say why this version can't work with the database as it is, and
// what helps. No retry does.
var ErrUnusable = errors.New("this database cannot be used")

// server is what connects to, and what it allows.
type server struct {
	// pooled says that transactions are all there is: something between us and Postgres (PgBouncer and its
	// like) may give each to another session. Then no setting, prepared statement or lock outlives one.
	pooled      bool
	connections int32 // that this process may have
}

// The shares of one process. A pooler's own pool is often 15 or 20 connections, for all its clients.
const (
	shareOfServer   = 3  // processes that fit into max_connections
	pooledShare     = 12 // behind a pooler
	writers         = 3  // the writer, its lock behind a pooler, and now and then a migration or a vacuum
	mostEditing     = 16
	fewest          = writers + 3 // one connection for each pool
	readersPerCPU   = 4
	fewestReaders   = 8
	reservedSetting = "superuser_reserved_connections"
)

// connectTimeout lets a database that sleeps while nobody uses it wake up.
const connectTimeout = 5 * time.Second

// wanted is how many connections a process makes use of.
func wanted() int32 {
	return 2*max(fewestReaders, int32(readersPerCPU*runtime.GOMAXPROCS(0))) + mostEditing + writers
}

// sizes divides a process's connections among its pools.
func (s server) sizes() (reading, adhoc, editing int32) {
	rest := max(s.connections-writers, 3)
	editing = min(rest/2, mostEditing)
	if s.pooled { // edits hold theirs while they wait for the writer
		editing = max(rest/3, 1)
	}
	reading = max((rest-editing)/2, 1)
	return reading, rest - editing - reading, editing
}

// pools are the connections for everything but the projection.
type pools struct {
	server                server
	fixed, adhoc, editing *pgxpool.Pool
}

func (p *pools) close() {
	p.fixed.Close()
	p.adhoc.Close()
	p.editing.Close()
}

// settings of a session. Behind a pooler there are those only that it keeps for each client.
func settings(pooled bool, more map[string]string) map[string]string {
	all := map[string]string{"timezone": "UTC", "datestyle": "ISO", "application_name": "orders"}
	if !pooled {
		maps.Copy(all, map[string]string{"jit": "off", "random_page_cost": "1.1"})
		maps.Copy(all, more)
	}
	return all
}

// writerSettings make plans independent of how large the tables were when they were made. Commits do not
// wait for the disk: whatever a crash of Postgres takes back, checkpoint included, is read from the stream
// again.
var writerSettings = map[string]string{
	"synchronous_commit": "off", "plan_cache_mode": "force_generic_plan",
	"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	"statement_timeout": "60s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s",
}

// pooledSettings are those of the writer for one transaction.
var pooledSettings = func() string {
	var sql strings.Builder
	for name, value := range writerSettings {
		sql.WriteString("set local " + name + " = '" + value + "';")
	}
	return sql.String()
}()

// connConfig is how to connect to a server.
func (s *Store) connConfig(pooled bool, more map[string]string) *pgx.ConnConfig {
	cfg := s.config.ConnConfig.Copy()
	cfg.ConnectTimeout = connectTimeout
	maps.Copy(cfg.RuntimeParams, settings(pooled, more))
	if pooled {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	return cfg
}

// inspect finds out what the server is.
func (s *Store) inspect(ctx context.Context) (server, error) {
	conn, err := pgx.ConnectConfig(ctx, s.connConfig(false, writerSettings))
	if refusesSettings(err) {
		conn, err = pgx.ConnectConfig(ctx, s.connConfig(true, nil))
	}
	if err != nil {
		return server{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var (
		pid         uint32
		plans, date string
		limit       int32
	)
	err = conn.QueryRow(ctx, `
		select pg_backend_pid()::bigint, current_setting('plan_cache_mode'), current_setting('datestyle'), least(
		    current_setting('max_connections')::int - current_setting('`+reservedSetting+`')::int
		        - coalesce(current_setting('reserved_connections', true)::int, 0),
		    (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
		    (select nullif(datconnlimit, -1) from pg_database where datname = current_database()))`,
		pgx.QueryExecModeSimpleProtocol).Scan(&pid, &plans, &date, &limit)
	if err != nil {
		return server{}, err
	}
	// A pooler makes up the id of the session; one that ignores settings shows by the settings.
	srv := server{pooled: pid != conn.PgConn().PID() || plans != writerSettings["plan_cache_mode"]}
	if srv.pooled {
		if err := s.checkPooler(ctx, conn, date); err != nil {
			return server{}, err
		}
	}
	switch {
	case s.limit > 0:
		srv.connections = s.limit
	case srv.pooled:
		srv.connections = min(pooledShare, wanted())
	default:
		srv.connections = max(min(limit/shareOfServer, wanted()), fewest)
	}
	return srv, nil
}

// refusesSettings reports that the server is a pooler that does not let clients set what Postgres would.
func refusesSettings(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.Contains(pg.Message, "startup parameter")
}

// checkPooler makes sure that a pooler has what we can't work without.
func (s *Store) checkPooler(ctx context.Context, conn *pgx.Conn, dateStyle string) error {
	if !strings.HasPrefix(dateStyle, "ISO") {
		return fmt.Errorf("%w: %s does not let us set DateStyle, and the server's is %s: set it to ISO, or connect to Postgres directly",
			ErrUnusable, s.poolerName(), dateStyle)
	}
	tx, err := conn.Begin(ctx)
	if err == nil {
		err = tx.Rollback(ctx)
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && strings.Contains(pg.Message, "statement pooling") {
		return fmt.Errorf("%w: %s is in statement mode, which has no transactions: use its transaction or session mode, or connect to Postgres directly",
			ErrUnusable, s.poolerName())
	}
	return err
}

// poolerName says what is probably between us and Postgres.
func (s *Store) poolerName() string {
	switch host := s.config.ConnConfig.Host; {
	case strings.HasSuffix(host, ".pooler.supabase.com"):
		return "Supabase's pooler"
	case strings.Contains(host, "-pooler.") && strings.HasSuffix(host, ".neon.tech"):
		return "Neon's pooler"
	default:
		return "the connection pooler (PgBouncer or one like it) at " + net.JoinHostPort(host, strconv.Itoa(int(s.config.ConnConfig.Port)))
	}
}

// pools gives the pools, having connected to the server if nobody has yet.
func (s *Store) pools(ctx context.Context) (*pools, error) {
	if p := s.current.Load(); p != nil {
		return p, nil
	}
	return s.reconnect(ctx)
}

// reconnect inspects the server, and makes new pools where it is another than it was.
func (s *Store) reconnect(ctx context.Context) (*pools, error) {
	select {
	case s.connecting <- struct{}{}:
		defer func() { <-s.connecting }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	srv, err := s.inspect(ctx)
	if err != nil {
		return nil, err
	}
	old := s.current.Load()
	if old != nil && old.server == srv {
		return old, nil
	}
	p, err := s.makePools(srv)
	if err != nil {
		return nil, fmt.Errorf("open the pool: %w", err)
	}
	s.current.Store(p)
	if old != nil {
		go old.close() // when the queries under way are answered
	}
	return p, nil
}

func (s *Store) makePools(srv server) (*pools, error) {
	fixed, adhoc, editing := srv.sizes()
	p := &pools{server: srv}
	open := func(size int32, mode pgx.QueryExecMode, more map[string]string) (*pgxpool.Pool, error) {
		cfg := s.config.Copy()
		cfg.ConnConfig = s.connConfig(srv.pooled, more)
		if !srv.pooled {
			cfg.ConnConfig.DefaultQueryExecMode = mode
		}
		cfg.ConnConfig.ConnectTimeout = time.Second // requests do not wait longer
		cfg.MaxConns, cfg.MinConns = size, 0
		cfg.MaxConnIdleTime, cfg.HealthCheckPeriod, cfg.PingTimeout = 5*time.Minute, 15*time.Second, time.Second
		return pgxpool.NewWithConfig(context.Background(), cfg)
	}
	var errs [3]error
	// Their plans must not depend on how large the tables were when they were first planned.
	p.fixed, errs[0] = open(fixed, pgx.QueryExecModeCacheStatement, map[string]string{
		"statement_timeout": "1500", "plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_sort": "off",
		"enable_hashjoin": "off", "enable_mergejoin": "off", "max_parallel_workers_per_gather": "0",
	})
	p.adhoc, errs[1] = open(adhoc, pgx.QueryExecModeExec, map[string]string{"statement_timeout": "1500"})
	p.editing, errs[2] = open(editing, pgx.QueryExecModeExec, map[string]string{
		"statement_timeout": "5000", "synchronous_commit": "off", // locks need not outlast a crash
	})
	return p, errors.Join(errs[:]...)
}

// pool is one of the pools, whether they have been made yet or not.
type pool struct {
	store *Store
	of    func(*pools) *pgxpool.Pool
}

func (p pool) open(ctx context.Context) (*pgxpool.Pool, error) {
	all, err := p.store.pools(ctx)
	if err != nil {
		return nil, err
	}
	return p.of(all), nil
}

// Exec is as that of pgx.
func (p pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	open, err := p.open(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return open.Exec(ctx, sql, args...)
}

// Query is as that of pgx.
func (p pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	open, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	return open.Query(ctx, sql, args...)
}

// QueryRow is as that of pgx.
func (p pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	open, err := p.open(ctx)
	if err != nil {
		return noRow{err}
	}
	return open.QueryRow(ctx, sql, args...)
}

// Begin is as that of pgx.
func (p pool) Begin(ctx context.Context) (pgx.Tx, error) {
	open, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	return open.Begin(ctx)
}

type noRow struct{ err error }

// Scan gives the error of the query.
func (r noRow) Scan(...any) error { return r.err }
