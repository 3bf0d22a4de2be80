package store

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.up.sql
var migrations embed.FS

// migration is one file, NNNN_name.up.sql. All are kept for good: a database may be of any version before.
type migration struct {
	version int64
	name    string
}

// known gives the migrations of this version, in their order.
func known() []migration {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		panic(err) // they are in this program
	}
	all := make([]migration, len(files))
	for i, f := range files {
		if _, err := fmt.Sscanf(f.Name(), "%d_", &all[i].version); err != nil {
			panic(f.Name())
		}
		all[i].name = f.Name()
	}
	slices.SortFunc(all, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	return all
}

// state is the version of the tables as schema_migrations has it, in the form of golang-migrate, which
// earlier versions used: dirty where a migration was cut off.
type state struct {
	version int64
	dirty   bool
}

// Migrate brings the schema to this version. Any number of instances may call it at once; each
// migration is a transaction, so that none is ever half done. The error wraps ErrUnusable where the
// schema is of a version that this one does not know.
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
	all := known()
	for {
		now, err := readState(ctx, conn)
		if err != nil {
			return fmt.Errorf("read the version of schema %s: %w", schema, err)
		}
		last := all[len(all)-1]
		if now.version > last.version {
			return newerSchema(now, last.version)
		}
		next := slices.IndexFunc(all, func(m migration) bool {
			return m.version > now.version || now.dirty && m.version == now.version
		})
		if next < 0 {
			return nil
		}
		if err := migrate(ctx, conn, now, all[next]); err != nil {
			return fmt.Errorf("migrate to %s: %w", strings.TrimSuffix(all[next].name, ".up.sql"), err)
		}
	}
}

func newerSchema(now state, known int64) error {
	unfinished := ""
	if now.dirty {
		unfinished = ", whose migration was cut off"
	}
	return fmt.Errorf("%w: its schema %q is of version %d%s, and this version of orders knows up to %d: start the newer version of orders again, or restore a backup from before it ran",
		ErrUnusable, schema, now.version, unfinished, known)
}

// readState reads the version; 0 where there are no tables.
func readState(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (now state, err error) {
	var exists bool
	if err := q.QueryRow(ctx, "select to_regclass('orders.schema_migrations') is not null").Scan(&exists); err != nil || !exists {
		return state{}, err
	}
	err = q.QueryRow(ctx, "select version, dirty from orders.schema_migrations order by version desc limit 1").Scan(&now.version, &now.dirty)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return now, err
}

// migrate runs one migration, unless another instance has meanwhile.
func migrate(ctx context.Context, conn *pgx.Conn, from state, to migration) error {
	sql, err := migrations.ReadFile("migrations/" + to.name)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		const lock = leadLock + 1
		if _, err := tx.Exec(ctx, "select set_config('lock_timeout', '15s', true), pg_advisory_xact_lock($1)", lock); err != nil {
			return err
		}
		if now, err := readState(ctx, tx); err != nil || now != from {
			return err
		}
		if err := createSchema(ctx, tx); err != nil {
			return fmt.Errorf("create schema %s: %w", schema, err)
		}
		if _, err := tx.Exec(ctx, `
			set local search_path = orders, public;
			create table if not exists schema_migrations (version bigint not null primary key, dirty boolean not null);
			`+string(sql), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			with old as (delete from orders.schema_migrations where version <> $1)
			insert into orders.schema_migrations (version, dirty) values ($1, false)
			on conflict (version) do update set dirty = false`, to.version)
		return err
	})
}

// createSchema asks for the right to create schemas only when the schema is missing.
func createSchema(ctx context.Context, tx pgx.Tx) error {
	var exists bool
	if err := tx.QueryRow(ctx, "select to_regnamespace($1) is not null", schema).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := tx.Exec(ctx, "create schema if not exists "+schema)
	return err
}
