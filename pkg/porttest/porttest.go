// Package porttest reserves TCP ports for servers that a test stops and starts again on the same address.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Addresses are below the ports that systems give to outgoing connections (from 32768), one of which could
// be given away while the server is stopped.
const (
	lowest  = 10_000
	highest = 29_999
)

// Addr returns a loopback address, host:port, that nothing listens on. No other test gets it until this one
// ends, in this process or in those of other packages: the port is reserved by a lock on a file, since one that
// is only tried may be chosen by two tests before either of them listens.
func Addr(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("resonance-ports-%d", os.Getuid())) //nolint:usetesting // shared with other processes
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	for range 100 {
		port := lowest + rand.IntN(highest-lowest+1)
		lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			tb.Fatal(err)
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !free(tb, addr) {
			_ = lock.Close()
			continue
		}
		tb.Cleanup(func() { _ = lock.Close() }) // which ends the lock, as the end of the process does
		return addr
	}
	tb.Fatal("no free port in a hundred tries")
	return ""
}

// free reports whether nothing listens on addr. It does not listen itself: a process forked meanwhile would keep the
// socket open until it has executed its program.
func free(tb testing.TB, addr string) bool {
	tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", addr)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = conn.Close()
	return false
}
