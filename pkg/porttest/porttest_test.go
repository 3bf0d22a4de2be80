package porttest_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/porttest"
)

// While one process has reserved ports, another gets none of them although nothing listens there.
func TestAddrIsNobodyElses(t *testing.T) {
	const each = 300 // of 20,000 ports: two processes that only tried them would share some four
	if os.Getenv("PORTTEST_CHILD") != "" {
		for range each {
			if _, err := os.Stdout.WriteString(porttest.Addr(t) + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	reserved := map[string]bool{}
	for range each {
		addr := porttest.Addr(t)
		if reserved[addr] {
			t.Fatalf("%s is reserved twice", addr)
		}
		reserved[addr] = true
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAddrIsNobodyElses$")
	child.Env = append(os.Environ(), "PORTTEST_CHILD=1")
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for line := range strings.Lines(string(out)) {
		addr := strings.TrimSpace(line)
		if _, _, err := net.SplitHostPort(addr); err != nil {
			continue
		}
		if got++; reserved[addr] {
			t.Errorf("%s is reserved in two processes", addr)
		}
	}
	if got != each {
		t.Errorf("%d addresses of the other process, want %d", got, each)
	}
}
