//go:build unix

// Package pgtest gives tests real Postgres databases.
//
// [New] makes a database on a server that all tests of the process share,
// [Server] a server of the test's own, to kill, wipe and restore. Where
// TEST_DATABASE_URL is set, New uses that server instead; its user must be
// allowed to create databases.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// stops the shared server at the end. Without it the server still dies with the
// process; only its files stay until a later test process finds and removes them.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/localpg"
)

const (
	timeout = time.Minute
	prefix  = "resonance-pgtest-"
)

// Main runs the package's tests, stops the shared server and exits.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has more to do: it returns the exit code.
func Run(m *testing.M) int {
	defer shared.stop()
	return m.Run()
}

// New returns the DSN of an empty database that is dropped when the test ends,
// connections or not.
func New(tb testing.TB) string {
	tb.Helper()
	admin, err := shared.url()
	if err != nil {
		tb.Fatal(err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	if err := execute(tb.Context(), admin, "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := execute(context.Background(), admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	dsn, err := withDatabase(admin, name)
	if err != nil {
		tb.Fatal(err)
	}
	return dsn
}

func execute(ctx context.Context, dsn, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// withDatabase returns the DSN, a URL or keywords and values, with another database.
func withDatabase(dsn, name string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name, nil // the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("pgtest: TEST_DATABASE_URL is not a URL") // the cause quotes the password
	}
	u.Path = "/" + name
	return u.String(), nil
}

// shared is the process's server, started by the first test that needs it.
var shared server

type server struct {
	once sync.Once
	dir  string
	lock *os.File
	pg   *localpg.Server
	err  error
}

func (s *server) url() (string, error) {
	if dsn := os.Getenv("TEST_DATABASE_URL"); dsn != "" {
		return dsn, nil
	}
	s.once.Do(func() { s.err = s.start() })
	if s.err != nil {
		return "", fmt.Errorf("pgtest: %w", s.err)
	}
	return s.pg.URL("postgres"), nil
}

func (s *server) start() error {
	sweep()
	var err error
	if s.dir, err = tempDir(); err != nil {
		return err
	}
	if s.lock, err = lock(s.dir); err != nil {
		return err
	}
	s.pg, err = start(s.dir)
	return err
}

func (s *server) stop() {
	s.once.Do(func() {}) // none is started any more
	if s.pg != nil {
		_ = s.pg.Stop(ended()) // nothing in it is worth a checkpoint
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

func start(dir string) (*localpg.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*timeout) // the first run on a machine may fetch Postgres
	defer cancel()
	return localpg.Start(ctx, localpg.Config{Dir: dir, Ephemeral: true, Settings: map[string]string{
		"max_connections": "300",
		"min_wal_size":    "32MB",
		"max_wal_size":    "256MB",
	}})
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// tempDir makes a directory whose path is short enough for a socket and that
// root's Postgres, which runs as another user, can enter.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp(base(), prefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// memory is where a test's cluster is several times faster than on most disks:
// a new database is 300 files.
const memory = "/dev/shm"

// base returns where the servers of this process live.
func base() string {
	const enough = 2 << 30 // bytes
	var free syscall.Statfs_t
	if err := syscall.Statfs(memory, &free); err == nil && uint64(free.Bavail)*uint64(free.Bsize) >= enough { //nolint:unconvert // Bavail is signed elsewhere
		return memory
	}
	if os.Geteuid() == 0 {
		return "/tmp" // root's TMPDIR may be closed to others
	}
	return os.TempDir()
}

// lock marks a directory as in use for as long as this process lives.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes what test processes left behind that ended without [Run].
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(base(), prefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute {
			continue // a new one may not be locked yet, nor its server gone
		}
		if f, err := lock(dir); err == nil {
			_ = os.RemoveAll(dir)
			f.Close()
		}
	}
}

// Instance is a server of one test. Its methods fail the test on any error.
type Instance struct {
	tb   testing.TB
	dir  string
	home string
	pg   *localpg.Server
}

// Server starts a server that ends with the test. Its commits survive [Instance.Kill].
func Server(tb testing.TB) *Instance {
	tb.Helper()
	dir, err := tempDir()
	if err != nil {
		tb.Fatal(err)
	}
	held, err := lock(dir)
	if err != nil {
		tb.Fatal(err)
	}
	i := &Instance{tb: tb, dir: dir, home: filepath.Join(dir, "postgres")}
	tb.Cleanup(func() {
		if i.pg != nil {
			_ = i.pg.Stop(ended())
		}
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
		held.Close()
	})
	i.Start()
	return i
}

// DSN returns the DSN of the database `postgres`, the same after every start.
func (i *Instance) DSN() string { return i.pg.URL("postgres") }

// Start starts the server after [Instance.Stop], [Instance.Kill] or [Instance.Wipe].
func (i *Instance) Start() {
	i.tb.Helper()
	pg, err := start(i.dir)
	if err != nil {
		i.tb.Fatal(err)
	}
	i.pg = pg
}

// Stop shuts the server down in order.
func (i *Instance) Stop() {
	i.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := i.pg.Stop(ctx); err != nil {
		i.tb.Fatal(err)
	}
}

// Kill ends the server with SIGKILL and returns when it is gone.
func (i *Instance) Kill() {
	i.tb.Helper()
	select {
	case <-i.pg.Done():
		i.tb.Fatal("pgtest: the server to kill does not run")
	default:
	}
	if err := syscall.Kill(i.pg.PID(), syscall.SIGKILL); err != nil {
		i.tb.Fatal(err)
	}
	<-i.pg.Done()
}

// Wipe stops the server and removes its data: the next Start makes an empty one.
func (i *Instance) Wipe() {
	i.tb.Helper()
	i.Stop()
	i.remove()
}

// Backup stops the server, copies its data, starts it again and returns the copy for [Instance.Restore].
func (i *Instance) Backup() string {
	i.tb.Helper()
	i.Stop()
	copied := filepath.Join(i.dir, "backup-"+rand.Text())
	i.copy(i.home, copied)
	i.Start()
	return copied
}

// Restore stops the server, puts a backup in its place and starts it again.
func (i *Instance) Restore(backup string) {
	i.tb.Helper()
	i.Stop()
	i.remove()
	i.copy(backup, i.home)
	i.Start()
}

func (i *Instance) remove() {
	i.tb.Helper()
	if err := os.RemoveAll(i.home); err != nil {
		i.tb.Fatal(err)
	}
}

func (i *Instance) copy(from, to string) {
	i.tb.Helper()
	if out, err := exec.CommandContext(i.tb.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
		i.tb.Fatalf("cp: %v: %s", err, out)
	}
}
