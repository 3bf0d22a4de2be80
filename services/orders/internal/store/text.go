package store

import (
	"encoding/binary"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// sizeTexts makes conn encode text[] parameters into memory of the right size. pgx by itself lets
// it grow element by element, which for a batch comes to five times what is sent.
func sizeTexts(conn *pgx.Conn) {
	types := conn.TypeMap()
	if t, ok := types.TypeForOID(pgtype.TextArrayOID); ok {
		types.RegisterType(&pgtype.Type{Name: t.Name, OID: t.OID, Codec: textArrays{t.Codec}})
	}
}

type textArrays struct{ pgtype.Codec }

// PlanEncode implements pgtype.Codec.
func (c textArrays) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case []string:
			return textPlan[string]{func(s string) int { return len(s) }, func(b []byte, s string) []byte { return append(b, s...) }}
		case [][]byte:
			return textPlan[[]byte]{func(s []byte) int {
				if s == nil {
					return -1
				}
				return len(s)
			}, func(b, s []byte) []byte { return append(b, s...) }}
		case []*string:
			return textPlan[*string]{func(s *string) int {
				if s == nil {
					return -1
				}
				return len(*s)
			}, func(b []byte, s *string) []byte { return append(b, *s...) }}
		}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

// textPlan encodes a list of texts; the size of null is -1.
type textPlan[T any] struct {
	size func(T) int
	put  func([]byte, T) []byte
}

// Encode implements pgtype.EncodePlan: Postgres's binary format of an array of one dimension.
func (p textPlan[T]) Encode(value any, buf []byte) ([]byte, error) {
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
		return word(word(word(buf, 0), 0), pgtype.TextOID), nil
	}
	buf = word(word(word(buf, 1), null), pgtype.TextOID)
	buf = word(word(buf, uint32(len(list))), 1)
	for _, v := range list {
		n := p.size(v)
		if buf = word(buf, uint32(n)); n >= 0 {
			buf = p.put(buf, v)
		}
	}
	return buf, nil
}
