package store

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc"
)

// parsed is an order as the projection reads it.
func parsed(tb testing.TB, i int) *event.Order {
	tb.Helper()
	at := day0.Add(time.Duration(i) * time.Second)
	o := &event.Order{
		RecordID: fmt.Sprintf("rec%014d", i), Name: new(fmt.Sprintf("ORD-%05d", i)), Customer: new(fmt.Sprint("Café Ñandú ", i%500)),
		Status: &statuses[i%5], Priority: &priorities[i%2], Amount: new(json.Number("1250.5")), OrderDate: new(day0.AddDate(0, 0, i%90).Format(time.DateOnly)),
		CreatedAt: at, UpdatedAt: at, Fields: json.RawMessage(`{"Order":"ORD-00042","Notes":"Call before delivery","Tags":["web","gift"]}`),
	}
	doc, err := json.Marshal(o)
	if err != nil {
		tb.Fatal(err)
	}
	if o, err = event.ParseOrder(doc); err != nil {
		tb.Fatal(err)
	}
	return o
}

// Each round writes the same thousand orders again, as later events of them.
func BenchmarkApply(b *testing.B) {
	_, w, cp := open(b)
	const n = 1000
	var seq uint64
	changes := make([]*Change, n)
	orders := make([]*event.Order, n)
	for i := range orders {
		orders[i] = parsed(b, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, o := range orders {
			seq++
			changes[i] = &Change{Seq: seq, RecordID: o.RecordID, Current: true, Row: NewRow(o), History: History{EventID: fmt.Sprint("e", seq), At: day0, Entry: []byte("{}")}}
		}
		if err := w.Apply(b.Context(), cp, changes, seq, "id"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkETag(b *testing.B) {
	doc := parsed(b, 1).Raw
	b.ReportAllocs()
	for b.Loop() {
		ETag(doc)
	}
}

func BenchmarkCompile(b *testing.B) {
	filters := []rpc.Filter{
		{Field: "status", Op: rpc.In, Values: []string{"Pending", "Sent"}}, {Field: "customer", Op: rpc.Contains, Values: []string{"ñan"}},
		{Field: "amount", Op: rpc.Gte, Values: []string{"100"}}, {Field: "order_date", Op: rpc.Lt, Values: []string{"2026-03-01"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		var a args
		if _, err := compile(filters, "", &a); err != nil {
			b.Fatal(err)
		}
	}
}
