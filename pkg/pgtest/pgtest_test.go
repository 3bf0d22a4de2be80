//go:build unix

package pgtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/pgtest"
)

// leaver makes the test binary run one test without pgtest.Run, as a package without TestMain does.
const leaver = "PGTEST_TEST_LEAVE"

func TestMain(m *testing.M) {
	if os.Getenv(leaver) != "" {
		os.Exit(m.Run())
	}
	pgtest.Main(m)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	if _, err := connect(t, dsn).Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func scan[T any](t *testing.T, dsn, sql string) (value T) {
	t.Helper()
	if err := connect(t, dsn).QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

const (
	tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
	make1  = "CREATE TABLE numbers AS SELECT 1 AS n"
)

func TestNewIsEmptyAndDropped(t *testing.T) {
	t.Parallel()
	admin := pgtest.New(t)
	var name string
	t.Run("use", func(t *testing.T) {
		dsn := pgtest.New(t)
		if n := scan[int](t, dsn, tables); n != 0 {
			t.Errorf("%d tables in a new database", n)
		}
		execute(t, dsn, make1)
		name = scan[string](t, dsn, "SELECT current_database()")
		// Left open: the database is dropped all the same.
		if _, err := pgx.Connect(t.Context(), dsn); err != nil {
			t.Fatal(err)
		}
	})
	if n := scan[int](t, admin, "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'"); n != 0 {
		t.Errorf("database %s outlived its test", name)
	}
}

func TestNewConcurrently(t *testing.T) {
	t.Parallel()
	dsns := make([]string, 8)
	var all sync.WaitGroup
	for i := range dsns {
		all.Go(func() { dsns[i] = pgtest.New(t) })
	}
	all.Wait()
	for _, dsn := range dsns {
		execute(t, dsn, make1) // fails if two are the same
	}
}

func TestGivenServer(t *testing.T) {
	own := pgtest.Server(t)
	for name, dsn := range map[string]string{
		"url":      own.DSN(),
		"keywords": fmt.Sprintf("host=%s user=postgres dbname=postgres", scan[string](t, own.DSN(), `SELECT trim(current_setting('unix_socket_directories'), '"')`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_DATABASE_URL", dsn)
			given := pgtest.New(t)
			if name := scan[string](t, given, "SELECT current_database()"); !strings.HasPrefix(name, "test_") {
				t.Errorf("database %s", name)
			}
			want := scan[time.Time](t, own.DSN(), "SELECT pg_postmaster_start_time()")
			if got := scan[time.Time](t, given, "SELECT pg_postmaster_start_time()"); !got.Equal(want) {
				t.Error("it is not on the given server")
			}
		})
	}
}

func TestInstance(t *testing.T) {
	t.Parallel()
	i := pgtest.Server(t)
	dsn := i.DSN()
	execute(t, dsn, make1)

	i.Kill()
	i.Start()
	if n := scan[int](t, dsn, "SELECT max(n) FROM numbers"); n != 1 {
		t.Errorf("after a kill: %d", n)
	}

	backup := i.Backup()
	execute(t, dsn, "UPDATE numbers SET n = 2")
	i.Stop()
	i.Start()
	if n := scan[int](t, dsn, "SELECT max(n) FROM numbers"); n != 2 {
		t.Errorf("after a restart: %d", n)
	}
	i.Restore(backup)
	if n := scan[int](t, dsn, "SELECT max(n) FROM numbers"); n != 1 {
		t.Errorf("restored: %d", n)
	}

	i.Wipe()
	i.Start()
	if n := scan[int](t, dsn, tables); n != 0 {
		t.Errorf("%d tables after a wipe", n)
	}
}

// TestLeave is run by TestNoServerIsLeft in a process of its own.
func TestLeave(t *testing.T) {
	if os.Getenv(leaver) == "" {
		t.Skip("runs in a child process")
	}
	dsn := pgtest.New(t)
	fmt.Printf("pid %s\n", strings.Fields(scan[string](t, dsn, "SELECT pg_read_file('postmaster.pid')"))[0])
	fmt.Printf("data %s\n", scan[string](t, dsn, "SHOW data_directory"))
}

func TestNoServerIsLeft(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLeave$", "-test.v")
	cmd.Env = append(os.Environ(), leaver+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var pid int
	var data string
	for line := range strings.Lines(string(out)) {
		_, _ = fmt.Sscanf(line, "pid %d", &pid)
		_, _ = fmt.Sscanf(line, "data %s", &data)
	}
	if pid == 0 || data == "" {
		t.Fatalf("no server in the child: %s", out)
	}
	dir := strings.TrimSuffix(data, "/postgres/data")
	t.Cleanup(func() { os.RemoveAll(dir) })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(data + "/postmaster.pid"); os.IsNotExist(err) {
			return // it shut down in order
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is left: %v", pid, syscall.Kill(pid, 0))
		}
	}
}

func BenchmarkNew(b *testing.B) {
	pgtest.New(b) // starts the server
	for b.Loop() {
		pgtest.New(b)
	}
}
