package airtable

import (
	"testing"
	"time"
)

func TestPageSize(t *testing.T) {
	t.Parallel()
	const base = 30 * time.Second
	var p pageSizer
	expect := func(size int, timeout time.Duration) {
		t.Helper()
		if s, d := p.next(base); s != size || d != timeout {
			t.Fatalf("%d records in %s, want %d in %s", s, d, size, timeout)
		}
	}
	slow := func() int {
		size, timeout := p.next(base)
		return p.observe(listing{size: size, took: timeout, timeout: timeout, slow: true})
	}
	took := func(pages int, d time.Duration) {
		for range pages {
			size, timeout := p.next(base)
			p.observe(listing{size: size, took: d, timeout: timeout})
		}
	}
	expect(100, base)
	took(100, 20*time.Second)
	expect(100, base)
	for _, size := range []int{50, 25, 12, 10} {
		if got := slow(); got != size {
			t.Fatalf("reduced to %d, want %d", got, size)
		}
		expect(size, 2*base)
	}
	if got := slow(); got != 0 { // nor below that
		t.Fatalf("reduced to %d", got)
	}
	p.observe(listing{size: 100, took: base, timeout: base, slow: true}) // of a page that was asked for before
	expect(10, 2*base)
	took(30, 20*time.Second)
	expect(10, 2*base)
	took(9, time.Second)
	took(1, 20*time.Second)
	took(9, time.Second)
	expect(10, 2*base)
	took(1, time.Second)
	expect(12, 2*base)
	took(30, time.Second)
	expect(100, base)
}
