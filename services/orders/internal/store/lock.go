package store

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// Lock keeps others, in any instance, from editing the same orders. It ends with Release, or with
// the process.
type Lock struct{ tx pgx.Tx }

// Lock waits until nobody else edits the orders.
func (s *Store) Lock(ctx context.Context, records []string) (*Lock, error) {
	// Records share locks, in number far below what Postgres has room for; the class keeps them
	// apart from other locks. In ascending order two requests never wait for each other.
	const class, locks = 0x0dde75, 1024
	keys := make([]int32, len(records))
	for i, id := range records {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id)) // never fails
		keys[i] = int32(h.Sum32() % locks)
	}
	slices.Sort(keys)
	tx, err := s.editing.Begin(ctx)
	if err != nil {
		return nil, readError(err)
	}
	l := &Lock{tx}
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1, key) from unnest($2::int[]) key", class, slices.Compact(keys)); err != nil {
		l.Release()
		return nil, readError(err)
	}
	return l, nil
}

// Release lets others edit.
func (l *Lock) Release() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.tx.Rollback(ctx) // a connection that is lost has lost its locks
}

// Served is an order as it is served.
type Served struct {
	Doc      []byte
	EditedAt time.Time // when its newest edit was accepted
}

// Orders gives those there are of the orders, by record id.
func (l *Lock) Orders(ctx context.Context, records []string) (map[string]Served, error) {
	rows, err := l.tx.Query(ctx, `
		select record_id, doc, coalesce((select max(at) from orders.edits where edits.record_id = o.record_id), '0001-01-01')
		from orders.orders o where record_id = any ($1)`, records)
	if err != nil {
		return nil, readError(err)
	}
	all := make(map[string]Served, len(records))
	var (
		id string
		o  Served
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &o.Doc, &o.EditedAt}, func() error {
		all[id] = o
		o.Doc = nil
		return nil
	})
	return all, readError(err)
}

// Edits gives what is wanted by those of the edits that are known.
func (l *Lock) Edits(ctx context.Context, ids []string) (map[string]event.EditValues, error) {
	rows, err := l.tx.Query(ctx, "select id, edit from orders.edits where id = any ($1)", ids)
	if err != nil {
		return nil, readError(err)
	}
	all := make(map[string]event.EditValues, len(ids))
	var (
		id   string
		data []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &data}, func() error {
		var e ordersapi.Edit
		err := json.Unmarshal(data, &e)
		all[id] = e.Values
		return err
	})
	return all, readError(err)
}

// Checkpoint is how far the projection is, nil if there is none.
func (l *Lock) Checkpoint(ctx context.Context, stream string) (*Checkpoint, error) {
	cp, err := checkpoint(l.tx.Query(ctx, "select "+checkpointColumns+" from orders.checkpoint where stream = $1", stream))
	return cp, readError(err)
}

// With gives the order as it will be served with another edit, pending.
func (o Served) With(e *ordersapi.Edit) ([]byte, error) {
	r, err := Row{Order: &event.Order{}, Doc: o.Doc}.with([]*edit{{Edit: *e}})
	return r.Doc, err
}
