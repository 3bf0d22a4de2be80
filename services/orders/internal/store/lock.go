package store

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// Records share locks: 1,024 of them are enough for requests to seldom wait for others' orders.
const lockKeys = 1024

// queues let the requests of one instance take a lock in turn. The table of locks is for other instances.
type queues [lockKeys]chan struct{}

func newQueues() *queues {
	var q queues
	for i := range q {
		q[i] = make(chan struct{}, 1)
	}
	return &q
}

// Lock keeps others, in any instance, from editing the same orders. It is a row for each key in a table, so that no
// connection is held while its holder waits for JetStream and for the projection.
type Lock struct {
	store  *Store
	keys   []int32 // ascending: two requests never wait for each other
	queued int     // keys whose queue this lock is at the head of
	holder string
}

// Lock waits until nobody else edits the orders. The lock ends with Release, or after hold where its process has died.
func (s *Store) Lock(ctx context.Context, records []string, hold time.Duration) (*Lock, error) {
	l := &Lock{store: s, holder: event.NewID(), keys: make([]int32, len(records))}
	for i, id := range records {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id)) // never fails
		l.keys[i] = int32(h.Sum32() % lockKeys)
	}
	slices.Sort(l.keys)
	l.keys = slices.Compact(l.keys)
	for _, key := range l.keys {
		select {
		case s.queues[key] <- struct{}{}:
			l.queued++
		case <-ctx.Done():
			l.leave()
			return nil, fault.Away("orders", ctx.Err())
		}
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 5*time.Millisecond, 50*time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, l.try(ctx, hold) },
		backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0))
	if err != nil {
		l.Release()
		return nil, readError(err)
	}
	return l, nil
}

var errLocked = errors.New("another instance edits these orders")

// try takes all keys that are free; errLocked says that some are not.
func (l *Lock) try(ctx context.Context, hold time.Duration) error {
	tag, err := l.store.editing.Exec(ctx, `
		insert into orders.edit_locks (key, holder, until)
		select key, $2, clock_timestamp() + $3::bigint * interval '1 millisecond' from unnest($1::int[]) key order by key
		on conflict (key) do update set holder = excluded.holder, until = excluded.until
		where edit_locks.until <= clock_timestamp()`, l.keys, l.holder, hold.Milliseconds())
	switch {
	case err != nil:
		return backoff.Permanent(err)
	case tag.RowsAffected() < int64(len(l.keys)):
		if err := l.giveUp(ctx); err != nil {
			return backoff.Permanent(err)
		}
		return errLocked
	}
	return nil
}

func (l *Lock) giveUp(ctx context.Context) error {
	_, err := l.store.editing.Exec(ctx, "update orders.edit_locks set until = '-infinity' where key = any ($1::int[]) and holder = $2", l.keys, l.holder)
	return err
}

func (l *Lock) leave() {
	for _, key := range l.keys[:l.queued] {
		<-l.store.queues[key]
	}
}

// Release lets others edit.
func (l *Lock) Release() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.giveUp(ctx) // without Postgres nobody edits until the lock has expired
	l.leave()
}

// Served is an order as it is served.
type Served struct {
	Doc      []byte
	EditedAt time.Time // when its newest edit was accepted
}

// EditedOrders gives those there are of the orders, by record id.
func (s *Store) EditedOrders(ctx context.Context, records []string) (map[string]Served, error) {
	rows, err := s.editing.Query(ctx, `
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

// EditValues gives what is wanted by those of the edits that are known.
func (s *Store) EditValues(ctx context.Context, ids []string) (map[string]event.EditValues, error) {
	rows, err := s.editing.Query(ctx, "select id, edit from orders.edits where id = any ($1)", ids)
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

// With gives the order as it will be served with another edit, pending.
func (o Served) With(e *ordersapi.Edit) ([]byte, error) {
	r, err := Row{Order: &event.Order{}, Doc: o.Doc}.with([]*edit{{Edit: *e}})
	return r.Doc, err
}
