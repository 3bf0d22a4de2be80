package store

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// execute runs a statement that answers with one boolean. Unlike pgx, which lets everything grow on
// its way, it takes memory of the right size for parameters that come to megabytes.
func (w *Writer) execute(ctx context.Context, sql string, args []any) (bool, error) {
	name := sql
	if w.pooled {
		name = "" // another session may have it the next time
	}
	statement, err := w.conn.Prepare(ctx, name, sql) // the first time only
	if err != nil {
		return false, err
	}
	if len(args) != len(statement.ParamOIDs) {
		return false, errors.New("another number of parameters")
	}
	if w.parameters == nil {
		w.parameters = make([][]byte, len(args))
	}
	values, size := w.parameters, 0 // in the memory of those before
	for i, arg := range args {
		if values[i] == nil {
			values[i] = []byte{} // nil is null
		}
		if values[i], err = w.conn.TypeMap().Encode(statement.ParamOIDs[i], pgtype.BinaryFormatCode, arg, values[i][:0]); err != nil {
			return false, err
		}
		size += len(values[i])
	}
	conn := w.conn.PgConn()
	conn.Frontend().Send(room(size + 1024))
	binary := []int16{pgtype.BinaryFormatCode}
	if w.pooled {
		return answer(w.executeOnce(ctx, func(conn *pgconn.PgConn) *pgconn.ResultReader {
			return conn.ExecParams(ctx, sql, values, statement.ParamOIDs, binary, nil)
		}))
	}
	return answer(conn.ExecStatement(ctx, statement, values, binary, nil).Read())
}

// executeOnce runs a statement with the settings of the writer in a transaction.
func (w *Writer) executeOnce(ctx context.Context, run func(*pgconn.PgConn) *pgconn.ResultReader) *pgconn.Result {
	result := &pgconn.Result{}
	result.Err = pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, pooledSettings, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		*result = *run(tx.Conn().PgConn()).Read()
		return result.Err
	})
	return result
}

func answer(result *pgconn.Result) (bool, error) {
	if result.Err != nil {
		return false, result.Err
	}
	return len(result.Rows) == 1 && string(result.Rows[0][0]) == "t", nil
}

// room is no message, but memory for those that follow: so many bytes.
type room int

// Encode implements pgproto3.FrontendMessage.
func (n room) Encode(b []byte) ([]byte, error) { return slices.Grow(b, int(n)), nil }

// Decode implements pgproto3.FrontendMessage.
func (room) Decode([]byte) error { return errors.ErrUnsupported }

// Frontend implements pgproto3.FrontendMessage.
func (room) Frontend() {}

// sizeArrays makes conn encode array parameters into memory of the right size. pgx by itself lets it
// grow element by element, which for a batch comes to five times what is sent.
func sizeArrays(conn *pgx.Conn) {
	types := conn.TypeMap()
	for array, element := range map[uint32]uint32{
		pgtype.TextArrayOID: pgtype.TextOID, pgtype.TimestamptzArrayOID: pgtype.TimestamptzOID, pgtype.Int8ArrayOID: pgtype.Int8OID,
	} {
		if t, ok := types.TypeForOID(array); ok {
			types.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: arrays{t.Codec, element}})
		}
	}
}

type arrays struct {
	pgtype.Codec
	element uint32
}

// PlanEncode implements pgtype.Codec.
func (c arrays) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case []string:
			return arrayPlan[string]{c.element, func(s string) int { return len(s) }, func(b []byte, s string) []byte { return append(b, s...) }}
		case [][]byte:
			return arrayPlan[[]byte]{c.element, func(s []byte) int {
				if s == nil {
					return -1
				}
				return len(s)
			}, func(b, s []byte) []byte { return append(b, s...) }}
		case []*string:
			return arrayPlan[*string]{c.element, func(s *string) int {
				if s == nil {
					return -1
				}
				return len(*s)
			}, func(b []byte, s *string) []byte { return append(b, *s...) }}
		case []int64:
			return arrayPlan[int64]{c.element, func(int64) int { return 8 }, func(b []byte, n int64) []byte {
				return binary.BigEndian.AppendUint64(b, uint64(n))
			}}
		case []time.Time:
			return arrayPlan[time.Time]{c.element, func(time.Time) int { return 8 }, func(b []byte, t time.Time) []byte {
				return binary.BigEndian.AppendUint64(b, uint64(t.UnixMicro()-y2k))
			}}
		}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

// y2k is where Postgres counts times from, in microseconds of Unix time.
const y2k = 946_684_800_000_000

// arrayPlan encodes a list; the size of null is -1.
type arrayPlan[T any] struct {
	element uint32
	size    func(T) int
	put     func([]byte, T) []byte
}

// Encode implements pgtype.EncodePlan: Postgres's binary format of an array of one dimension.
func (p arrayPlan[T]) Encode(value any, buf []byte) ([]byte, error) {
	list, _ := value.([]T)
	total, null := 20, uint32(0)
	for _, v := range list {
		if n := p.size(v); n < 0 {
			null = 1
		} else {
			total += n
		}
	}
	buf = slices.Grow(buf, total+4*len(list))
	word := binary.BigEndian.AppendUint32
	if len(list) == 0 {
		return word(word(word(buf, 0), 0), p.element), nil
	}
	buf = word(word(word(buf, 1), null), p.element)
	buf = word(word(buf, uint32(len(list))), 1)
	for _, v := range list {
		n := p.size(v)
		if buf = word(buf, uint32(n)); n >= 0 {
			buf = p.put(buf, v)
		}
	}
	return buf, nil
}
