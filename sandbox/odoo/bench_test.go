package odootest

import (
	"fmt"
	"testing"
)

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(Config{Samples: true})
	}
}

// BenchmarkPage reads a page of a thousand products over XML-RPC.
func BenchmarkPage(b *testing.B) {
	s, c := dial(b, Config{Samples: true})
	for i := range 1000 {
		if _, err := s.Create("product.template", Values{"name": fmt.Sprintf("P %d", i), "barcode": fmt.Sprint(i)}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		v, err := c.call("product.template", "search_read", []any{[]any{}, []any{"name", "list_price", "barcode", "qty_available", "categ_id", "write_date"}}, Values{"limit": 1000})
		if rows, ok := v.([]any); err != nil || !ok || len(rows) != 1000 {
			b.Fatal(err, len(rows))
		}
	}
}
