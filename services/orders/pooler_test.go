package orders_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/services/orders"
)

// Behind a pooler that gives each transaction another session the service does all that it does: it
// migrates, projects, answers, edits and rebuilds, within its own schema.
func TestThroughPooler(t *testing.T) {
	for name, pooler := range map[string]*pgtest.Pooler{
		"that refuses settings": {Mode: pgtest.Transaction, Refuse: true},
		"that ignores settings": {Mode: pgtest.Transaction},
	} {
		t.Run(name, func(t *testing.T) {
			direct := pgtest.New(t)
			w := newWorld(t, pooler.Start(t, direct))
			w.ensure()
			stop := w.start()
			standby := w.start()
			w.publish(changed("rec1", "Pending"), changed("rec2", "Pending"), changed("rec3", "Pending"), changed("rec3", ""))
			w.holds(map[string]string{"rec1": "Pending", "rec2": "Pending"})
			w.edit("rec1", status("Sent"))
			want := map[string]string{"rec1": "Sent", "rec2": "Pending"}
			w.holds(want)
			w.dsn = direct // of the tests' own questions
			w.consistent()
			w.answers("select count(*)::text from pg_tables where schemaname = 'public'", "0")
			stop()
			w.publish(changed("rec4", "Draft"))
			want["rec4"] = "Draft"
			w.holds(want) // by the other
			standby()
			w.dsn = pooler.DSN()
			if err := orders.Rebuild(t.Context(), w.config()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What no waiting mends ends the service and its commands with one sentence.
func TestUnusableDatabase(t *testing.T) {
	ends := func(t *testing.T, dsn, why string) {
		t.Helper()
		w := &world{t: t, dsn: dsn, nats: natstest.Start(t)}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for name, run := range map[string]func(context.Context, orders.Config) error{"orders": orders.Run, "orders rebuild": orders.Rebuild} {
			err := run(ctx, w.config())
			if err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") || ctx.Err() != nil {
				t.Errorf("%s ended with %v", name, err)
			}
		}
	}
	t.Run("of a newer version", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.New(t)
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), `create schema orders;
			create table orders.schema_migrations (version bigint not null primary key, dirty boolean not null);
			insert into orders.schema_migrations values (9001, true)`); err != nil {
			t.Fatal(err)
		}
		ends(t, dsn, "version 9001")
	})
	t.Run("behind a pooler without transactions", func(t *testing.T) {
		t.Parallel()
		ends(t, (&pgtest.Pooler{Mode: pgtest.Statement, Refuse: true}).Start(t, pgtest.New(t)), "PgBouncer")
	})
}
