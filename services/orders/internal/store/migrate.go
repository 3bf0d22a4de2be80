package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema to this version. Any number of instances may call it at once; it is one
// transaction, so that it is never half done. The error wraps ErrUnusable where the schema is of a
// version that this one does not know.
func (s *Store) Migrate(ctx context.Context) error {
	p, err := s.reconnect(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, s.connConfig(p.server.pooled, nil))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	files, err := iofs.New(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	newest, err := newestVersion(files)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	target := &migrationDriver{ctx: ctx, conn: conn, newest: newest}
	m, err := migrate.NewWithInstance("embedded", files, namespace, target)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func newestVersion(files source.Driver) (uint, error) {
	version, err := files.First()
	for err == nil {
		var next uint
		if next, err = files.Next(version); err == nil {
			version = next
		}
	}
	if !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	return version, nil
}

// migrationDriver lets golang-migrate work through a connection pooler: from Lock to Unlock everything is
// one transaction. golang-migrate's own Postgres driver holds a session's lock, which a pooler does not keep.
type migrationDriver struct {
	ctx    context.Context //nolint:containedctx // golang-migrate takes none
	conn   *pgx.Conn
	newest uint // version that this program knows
	tx     pgx.Tx
	failed bool
}

// Lock implements database.Driver: it waits for other instances, and makes sure that there is a schema.
func (d *migrationDriver) Lock() (err error) {
	if d.tx, err = d.conn.Begin(d.ctx); err != nil {
		return err
	}
	const lock = leadLock + 1
	d.failed = true // unless all of it succeeds
	if _, err := d.tx.Exec(d.ctx, "select set_config('lock_timeout', '15s', true), set_config('search_path', $1, true), pg_advisory_xact_lock($2)",
		namespace+",public", lock); err != nil {
		return errors.Join(err, d.Unlock())
	}
	if err := createSchema(d.ctx, d.tx); err != nil {
		return errors.Join(fmt.Errorf("create schema %s: %w", namespace, err), d.Unlock())
	}
	if _, err := d.tx.Exec(d.ctx, `create table if not exists orders.schema_migrations
		(version bigint not null primary key, dirty boolean not null)`); err != nil {
		return errors.Join(err, d.Unlock())
	}
	d.failed = false
	return nil
}

// Unlock implements database.Driver: it ends the transaction.
func (d *migrationDriver) Unlock() error {
	if d.failed {
		return d.tx.Rollback(context.WithoutCancel(d.ctx))
	}
	return d.tx.Commit(d.ctx)
}

// Version implements database.Driver. A version that an older release left dirty counts as the one before
// it: each migration may run twice.
func (d *migrationDriver) Version() (version int, dirty bool, err error) {
	err = d.tx.QueryRow(d.ctx, "select version, dirty from orders.schema_migrations order by version desc limit 1").Scan(&version, &dirty)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return database.NilVersion, false, nil
	case err != nil:
		return 0, false, err
	case version > int(d.newest):
		return 0, false, newerSchema(version, dirty, d.newest)
	case dirty && version == 1:
		return database.NilVersion, false, nil
	case dirty:
		return version - 1, false, nil
	}
	return version, false, nil
}

func newerSchema(version int, dirty bool, known uint) error {
	unfinished := ""
	if dirty {
		unfinished = ", whose migration was cut off"
	}
	return fmt.Errorf("%w: its schema %q is of version %d%s, and this version of orders knows up to %d: start the newer version of orders again, or restore a backup from before it ran",
		ErrUnusable, namespace, version, unfinished, known)
}

// SetVersion implements database.Driver.
func (d *migrationDriver) SetVersion(version int, dirty bool) error {
	_, err := d.tx.Exec(d.ctx, `
		with old as (delete from orders.schema_migrations where version <> $1)
		insert into orders.schema_migrations (version, dirty) values ($1, $2)
		on conflict (version) do update set dirty = $2`, version, dirty)
	d.failed = d.failed || err != nil
	return err
}

// Run implements database.Driver.
func (d *migrationDriver) Run(migration io.Reader) error {
	sql, err := io.ReadAll(migration)
	if err == nil {
		_, err = d.tx.Exec(d.ctx, string(sql), pgx.QueryExecModeSimpleProtocol)
	}
	d.failed = d.failed || err != nil
	return err
}

// Open implements database.Driver; connections are made by Migrate alone.
func (d *migrationDriver) Open(string) (database.Driver, error) { return nil, errors.ErrUnsupported }

// Drop implements database.Driver; nothing here drops tables.
func (d *migrationDriver) Drop() error { return errors.ErrUnsupported }

// Close implements database.Driver; Migrate closes the connection.
func (d *migrationDriver) Close() error { return nil }

// createSchema asks for the right to create schemas only when the schema is missing.
func createSchema(ctx context.Context, tx pgx.Tx) error {
	var exists bool
	if err := tx.QueryRow(ctx, "select to_regnamespace($1) is not null", namespace).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := tx.Exec(ctx, "create schema if not exists "+namespace)
	return err
}
