package store

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema to this version, under an advisory lock: any number of instances may
// call it at once. When ctx ends it returns and leaves the rest to itself.
func (s *Store) Migrate(ctx context.Context) error {
	done := make(chan error, 1) // golang-migrate takes no context
	go func() { done <- s.migrate(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) migrate(ctx context.Context) error {
	if err := s.createSchema(ctx); err != nil {
		return fmt.Errorf("create schema %s: %w", schema, err)
	}
	cfg := s.config.Copy()
	cfg.RuntimeParams["lock_timeout"] = "15s"
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	target, err := migratepgx.WithInstance(db, &migratepgx.Config{SchemaName: schema})
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer target.Close()
	source, err := iofs.New(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	m, err := migrate.NewWithInstance("embedded", source, "postgres", target)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	err = m.Up()
	if dirty, ok := errors.AsType[migrate.ErrDirty](err); ok { // cut off by a crash: its one transaction is undone or done, and may run again
		previous := dirty.Version - 1
		if previous == 0 {
			previous = -1 // none
		}
		if err = m.Force(previous); err == nil {
			err = m.Up()
		}
	}
	if err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// createSchema asks for the right to create schemas only when the schema is missing.
func (s *Store) createSchema(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var exists bool
	if err := conn.QueryRow(ctx, "select to_regnamespace($1) is not null", schema).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, "create schema if not exists "+schema)
	if again := conn.QueryRow(ctx, "select to_regnamespace($1) is not null", schema).Scan(&exists); again == nil && exists {
		return nil // another instance was faster
	}
	return err
}
