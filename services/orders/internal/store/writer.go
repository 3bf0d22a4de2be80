package store

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// ErrFenced is returned when the checkpoint is not where the writer left it: another instance
// writes, a rebuild was asked for, or the database was replaced. Nothing was written.
var ErrFenced = errors.New("the checkpoint has moved")

// Checkpoint says how far the projection has come, and in which stream.
type Checkpoint struct {
	Stream        string
	StreamCreated time.Time // to the microsecond
	Epoch         int64
	Seq           uint64
	MessageID     string  // of the message at Seq
	ReplayUntil   *uint64 // while rows of earlier epochs are not settled: where the replay ends
	SameStream    bool    // the replay is of the stream the rows came from
	Rebuild       bool    // a replay is asked for
	Consumer      string  // durable, of this database alone; the database names it
}

// Change is one event as the store takes it.
type Change struct {
	Seq      uint64
	RecordID string
	Edit     *ordersapi.Edit // of an event about an edit: nothing else is
	Current  bool            // a change of the row too, not of the history alone
	Deleted  bool
	Row      Row
	History  History
}

// Row is an order whose columns are free of what Postgres cannot hold. The order is never changed.
type Row struct {
	*event.Order
	Doc       []byte // the order as it is served, JSON
	Confirmed []byte // as Airtable has it; nil where Doc is that
}

// NewRow makes the row of an order that was read from JSON. Texts lose their NULs, which doc keeps.
func NewRow(o *event.Order) Row {
	r := Row{Order: o, Doc: o.Raw}
	for i := range event.Columns {
		c := &event.Columns[i]
		if v := c.Value(o); v != nil && strings.IndexByte(*v, 0) >= 0 {
			r = r.set(c, clean(*v))
		}
	}
	return r
}

// set gives the row another value of a column.
func (r Row) set(c *event.Column, value string) Row {
	o := *r.Order
	c.Set(&o, &value)
	r.Order = &o
	return r
}

// History is an entry of an order's history.
type History struct {
	EventID string
	At      time.Time
	EditIDs *string // a JSON array
	Entry   []byte  // as it is served, JSON
}

// Writer writes for the one instance that projects. It is not safe for concurrent use.
type Writer struct {
	conn       *pgx.Conn
	pooled     bool      // conn is behind a pooler
	lead       *pgx.Conn // the transaction that leads, behind a pooler
	edited     bool      // there are edits
	parameters [][]byte  // of the last statement
}

// Writer connects a Writer. Where Postgres has no connection left it takes one of the pools'.
func (s *Store) Writer(ctx context.Context) (*Writer, error) {
	p, err := s.pools(ctx)
	if err != nil {
		return nil, err
	}
	w := &Writer{pooled: p.server.pooled}
	if w.conn, err = s.connect(ctx, p); err != nil {
		return nil, err
	}
	if w.pooled {
		if w.lead, err = s.connect(ctx, p); err != nil {
			w.Close(ctx)
			return nil, err
		}
	}
	return w, nil
}

func (s *Store) connect(ctx context.Context, p *pools) (*pgx.Conn, error) {
	cfg := s.connConfig(p.server.pooled, writerSettings)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(pg.Code, "53") { // too many connections
		p.fixed.Reset()
		p.adhoc.Reset()
		conn, err = pgx.ConnectConfig(ctx, cfg)
	}
	return conn, err
}

// Close closes the connection, and so gives the lead up.
func (w *Writer) Close(ctx context.Context) {
	_ = w.conn.Close(ctx) // gone either way
	if w.lead != nil {
		_ = w.lead.Close(ctx)
	}
}

const leadLock = 0x0dde75 // one lock a database

// Lead tries to become the one instance that projects into this database. The lead lasts as long as the
// connection; behind a pooler, which keeps no session, as long as a transaction.
func (w *Writer) Lead(ctx context.Context) (leads bool, err error) {
	if w.pooled {
		leads, err = w.leadByTransaction(ctx)
	} else {
		err = w.conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", leadLock).Scan(&leads)
	}
	if err == nil && leads {
		err = w.conn.QueryRow(ctx, "select exists (select from orders.edits)").Scan(&w.edited)
	}
	return leads, err
}

func (w *Writer) leadByTransaction(ctx context.Context) (leads bool, err error) {
	if _, err := w.lead.Exec(ctx, "begin; set local idle_in_transaction_session_timeout = 0", pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, err
	}
	err = w.lead.QueryRow(ctx, "select pg_try_advisory_xact_lock($1)", leadLock).Scan(&leads)
	if err == nil && !leads { // a pooler's connection is not kept for standing by
		_, err = w.lead.Exec(ctx, "rollback")
	}
	return leads, err
}

// Leads returns an error when the lead may be lost, and keeps a pooler from ending a transaction that
// looks idle.
func (w *Writer) Leads(ctx context.Context) error {
	if w.lead == nil {
		return nil
	}
	_, err := w.lead.Exec(ctx, "select")
	return err
}

const (
	writtenColumns    = "stream, stream_created, epoch, seq, event_id, replay_until, same_stream, rebuild"
	checkpointColumns = writtenColumns + ", consumer"
)

// Checkpoint reads the checkpoint of a stream; nil when there is none.
func (w *Writer) Checkpoint(ctx context.Context, stream string) (*Checkpoint, error) {
	return checkpoint(w.conn.Query(ctx, "select "+checkpointColumns+" from orders.checkpoint where stream = $1", stream))
}

// Checkpoint reads the checkpoint of a stream; nil when there is none.
func (s *Store) Checkpoint(ctx context.Context, stream string) (*Checkpoint, error) {
	return checkpoint(s.adhoc.Query(ctx, "select "+checkpointColumns+" from orders.checkpoint where stream = $1", stream))
}

func checkpoint(rows pgx.Rows, err error) (*Checkpoint, error) {
	if err != nil {
		return nil, err
	}
	cp, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[Checkpoint])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return cp, err
}

// AskRebuild makes the instance that projects begin a replay. Without a checkpoint there is
// nothing to ask: the first replay is about to begin.
func (s *Store) AskRebuild(ctx context.Context, stream string) error {
	_, err := s.adhoc.Exec(ctx, "update orders.checkpoint set rebuild = true where stream = $1", stream)
	return err
}

// StartReplay puts the checkpoint to the beginning of the stream, one epoch on. Rows stay as they
// are until events of the new epoch overwrite them. Where there are none, they need no settling
// with Airtable: SameStream is set.
func (w *Writer) StartReplay(ctx context.Context, previous *Checkpoint, next Checkpoint) (Checkpoint, error) {
	epoch := int64(0)
	if previous != nil {
		epoch = previous.Epoch
	}
	rows, err := w.conn.Query(ctx, `
		insert into orders.checkpoint (`+writtenColumns+`)
		select $1, $2, 1 + greatest($3, (select max(epoch) from orders.orders)), 0, '', $4, $5 or not exists (select from orders.orders), false
		on conflict (stream) do update
		set stream_created = excluded.stream_created, epoch = excluded.epoch, seq = 0, event_id = '',
		    replay_until = excluded.replay_until, same_stream = excluded.same_stream, rebuild = false
		where checkpoint.epoch = $3
		returning `+checkpointColumns,
		next.Stream, next.StreamCreated, epoch, next.ReplayUntil, next.SameStream)
	cp, err := checkpoint(rows, err)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("start a replay: %w", err)
	}
	if cp == nil {
		return Checkpoint{}, ErrFenced
	}
	return *cp, nil
}

// Apply writes changes, in stream order, and moves the checkpoint from cp to seq, all or nothing
// (invariant 3): rows, history, edits and rollups are one statement. A row takes the last change of
// its record, and none that is older than itself (invariant 4).
func (w *Writer) Apply(ctx context.Context, cp *Checkpoint, changes []*Change, seq uint64, messageID string) error {
	rows, edits, err := w.withEdits(ctx, cp, changes, newest(changes))
	if err != nil {
		return err
	}
	slices.SortFunc(rows, byRecord) // Postgres finds its way in the indexes sooner
	n := len(rows)
	var (
		ids, docs, confirmed = make([]string, n), make([][]byte, n), make([][]byte, n)
		deleted              = make([]bool, n)
		created, updated     = make([]time.Time, n), make([]time.Time, n)
		seqs                 = make([]int64, n)
	)
	for i, c := range rows {
		r := &c.Row
		ids[i], deleted[i], docs[i], confirmed[i] = c.RecordID, c.Deleted, r.Doc, r.Confirmed
		created[i], updated[i] = r.CreatedAt, r.UpdatedAt
		seqs[i] = int64(c.Seq) // a stream ends long before 2^63
	}
	told := slices.Clone(changes)
	slices.SortFunc(told, byRecord)
	n = len(told)
	var (
		historyIDs, eventIDs, entries = make([]string, 0, n), make([]string, 0, n), make([][]byte, 0, n)
		historySeqs                   = make([]int64, 0, n)
		ats                           = make([]time.Time, 0, n)
		editIDs                       = make([]*string, 0, n)
	)
	for _, c := range told {
		if c.Edit != nil {
			continue
		}
		h := &c.History
		historyIDs, eventIDs, entries = append(historyIDs, c.RecordID), append(eventIDs, h.EventID), append(entries, h.Entry)
		historySeqs, ats, editIDs = append(historySeqs, int64(c.Seq)), append(ats, h.At), append(editIDs, h.EditIDs)
	}
	n = len(edits)
	var (
		edited, editRecords, states = make([]string, n), make([]string, n), make([]string, n)
		accepted                    = make([]time.Time, n)
		bodies                      = make([][]byte, n)
		editSeqs                    = make([]int64, n)
	)
	for i, e := range edits {
		edited[i], editRecords[i], states[i], accepted[i], editSeqs[i] = e.ID, e.recordID, string(e.State), e.At, int64(e.seq)
		if bodies[i], err = json.Marshal(&e.Edit); err != nil {
			return fmt.Errorf("edit %s: %w", e.ID, err)
		}
	}
	values := map[string]any{
		"stream": cp.Stream, "stream_created": cp.StreamCreated, "epoch": cp.Epoch, "seq_before": cp.Seq, "seq": seq, "message_id": messageID,
		"record_id": ids, "deleted": deleted, "created_at": created, "updated_at": updated, "doc": docs, "confirmed": confirmed, "row_seq": seqs,
		"history_record": historyIDs, "event_id": eventIDs, "history_seq": historySeqs, "at": ats, "edit_ids": editIDs, "entry": entries,
		"edit": edited, "edit_record": editRecords, "accepted": accepted, "state": states, "edit_body": bodies, "edit_seq": editSeqs,
	}
	for i := range storedColumns {
		values[storedColumns[i].name] = storedColumns[i].of(rows)
	}
	parameters := make([]any, len(applyParameters))
	for i, name := range applyParameters {
		parameters[i] = values[name]
	}
	sql := freshSQL
	if cp.ReplayUntil != nil {
		sql = applySQL
	}
	fenced, err := w.execute(ctx, sql, parameters)
	if sql == freshSQL && isKnownEvent(err) { // told twice, by who does not know of message ids
		fenced, err = w.execute(ctx, applySQL, parameters)
	}
	switch {
	case err != nil:
		return fmt.Errorf("write %d changes: %w", len(changes), err)
	case fenced:
		return ErrFenced
	}
	cp.Seq, cp.MessageID = seq, messageID
	return nil
}

// isKnownEvent reports that nothing was written because an event is in the history already.
func isKnownEvent(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505" && pg.ConstraintName == "order_history_pkey"
}

// newest gives the last change of each record that is one of its row.
func newest(changes []*Change) []*Change {
	rows, seen := make([]*Change, 0, len(changes)), make(map[string]struct{}, len(changes))
	for _, c := range slices.Backward(changes) {
		if _, newer := seen[c.RecordID]; !newer && c.Current && c.Edit == nil {
			seen[c.RecordID] = struct{}{}
			rows = append(rows, c)
		}
	}
	return rows
}

// byRecord sorts changes by record, the newest of each first.
func byRecord(a, b *Change) int {
	return cmp.Or(strings.Compare(a.RecordID, b.RecordID), cmp.Compare(b.Seq, a.Seq))
}

//go:embed settle.sql
var settleSQL string

// Settle ends a replay: the rows that no event of its epoch touched are gone, with a history entry
// each, and the rollups are counted anew. It returns how many rows went.
func (w *Writer) Settle(ctx context.Context, cp *Checkpoint) (gone int64, err error) {
	err = pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update orders.checkpoint set replay_until = null, same_stream = false
			where stream = $1 and stream_created = $2 and epoch = $3 and seq = $4 and not rebuild`,
			cp.Stream, cp.StreamCreated, cp.Epoch, cp.Seq)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return ErrFenced
		}
		id := fmt.Sprintf("gone-%d-%d", cp.StreamCreated.Unix(), cp.Epoch)
		if err := tx.QueryRow(ctx, `
			with gone as (
				delete from orders.orders where epoch < $1
				returning record_id, `+valueNames+`
			), history as (
				insert into orders.order_history (record_id, event_id, epoch, seq, at, entry)
				select record_id, $2, $1, $3, now(), json_build_object(
					'id', $2::text, 'change', 'deleted', 'at', now(), 'source', 'airtable', 'values', json_build_object(`+valuePairs+`))
				from gone
				on conflict do nothing
			)
			select count(*) from gone`, cp.Epoch, id, cp.Seq).Scan(&gone); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, settleSQL, pgx.QueryExecModeSimpleProtocol) // several statements
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("settle the replay: %w", err)
	}
	cp.ReplayUntil, cp.SameStream = nil, false
	return gone, nil
}

// Untouched counts the rows that the replay has not touched, and all rows.
func (w *Writer) Untouched(ctx context.Context, cp *Checkpoint) (untouched, all int64, err error) {
	err = w.conn.QueryRow(ctx, "select count(*) filter (where epoch < $1), count(*) from orders.orders", cp.Epoch).Scan(&untouched, &all)
	if err != nil {
		return 0, 0, fmt.Errorf("count what a replay did not touch: %w", err)
	}
	return untouched, all, nil
}

// Vacuum brings the planner's statistics up to date after a bulk load, and makes searches quick at
// once instead of when autovacuum comes by.
func (s *Store) Vacuum(ctx context.Context) error {
	p, err := s.pools(ctx)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, s.connConfig(p.server.pooled, nil))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, table := range []string{"orders.orders", "orders.rollup", "orders.customers"} {
		if _, err := conn.Exec(ctx, "vacuum (analyze) "+table); err != nil {
			return fmt.Errorf("vacuum %s: %w", table, err)
		}
	}
	return nil
}
