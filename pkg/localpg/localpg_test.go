//go:build unix

package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/porttest"
)

// childDir makes the test binary a process that starts a server and waits to be killed.
const childDir = "LOCALPG_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := Start(context.Background(), Config{Dir: dir, Ephemeral: true})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp(tempBase(), "localpg-root-")
	if err != nil {
		panic(err)
	}
	rootHome = filepath.Join(dir, "lib")
	if err := os.Chmod(dir, 0o711); err != nil {
		panic(err)
	}
	_ = os.Setenv("TMPDIR", dir) // the library that fetches leaves its log files there
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func tempBase() string {
	if os.Geteuid() == 0 {
		return "/tmp"
	}
	return os.TempDir()
}

// tempDir returns a directory that root's Postgres, another user, can enter.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(tempBase(), "localpg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustStart(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Ephemeral = true
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s
}

func mustStop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// mustFail returns the error of a start that has to fail, in one line.
func mustFail(t *testing.T, cfg Config) error {
	t.Helper()
	cfg.Ephemeral = true
	s, err := Start(t.Context(), cfg)
	if err == nil {
		_ = s.Stop(context.Background())
		t.Fatal("Start succeeded")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
	return err
}

func query[T any](t *testing.T, dsn, sql string) (value T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func remember(t *testing.T, s *Server, word string) {
	t.Helper()
	query[string](t, s.URL("postgres"), "SELECT 'x'") // reachable
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE memory AS SELECT '"+word+"'::text AS word"); err != nil {
		t.Fatal(err)
	}
}

func remembers(t *testing.T, s *Server, word string) {
	t.Helper()
	if got := query[string](t, s.URL("postgres"), "SELECT word FROM memory"); got != word {
		t.Errorf("remembers %q, want %q", got, word)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestRestartKeepsDataAndURL(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := mustStart(t, Config{Dir: dir, Settings: map[string]string{"work_mem": "7MB", "port": "1"}})
	for setting, want := range map[string]string{
		"work_mem": "7MB", "fsync": "off", "synchronous_commit": "on", "jit": "off", "shared_buffers": "64MB",
		"listen_addresses": "", "server_encoding": "UTF8", "port": "5432",
	} {
		if got := query[string](t, s.URL("postgres"), "SHOW "+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	remember(t, s, "kept")
	before := s.URL("postgres")
	mustStop(t, s)
	mustStop(t, s) // again does nothing
	if _, err := os.Stat(s.cluster.pidFile()); err == nil {
		t.Error("postmaster.pid is left after Stop")
	}
	s = mustStart(t, Config{Dir: dir})
	if after := s.URL("postgres"); after != before {
		t.Errorf("URL changed from %s to %s", before, after)
	}
	remembers(t, s, "kept")
}

func TestDurableByDefault(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Config{Dir: tempDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(context.Background())
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if got := query[string](t, s.URL("postgres"), "SHOW "+setting); got != "on" {
			t.Errorf("%s = %s", setting, got)
		}
	}
}

func TestNothingIsOpenToOthers(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Config{Dir: tempDir(t)})
	for _, path := range []string{s.cluster.home, s.cluster.data(), s.sockets, s.cluster.passwordFile(), s.cluster.logPath()} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if perm := info.Mode().Perm(); perm&0o077 != 0 {
			t.Errorf("%s has mode %o", path, perm)
		}
	}
}

func TestTerminalSignalsDoNotReachIt(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Config{Dir: tempDir(t)})
	if group, err := syscall.Getpgid(s.PID()); err != nil || group == syscall.Getpgrp() {
		t.Errorf("process group %d (%v) is this process's", group, err)
	}
}

func TestTCPNeedsThePassword(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(porttest.Addr(t), ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	s := mustStart(t, Config{Dir: tempDir(t), Port: port})
	password, err := os.ReadFile(s.cluster.passwordFile())
	if err != nil {
		t.Fatal(err)
	}
	address := func(password string) string {
		u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres"}
		return u.String()
	}
	query[int](t, address(strings.TrimSpace(string(password))), "SELECT 1")
	query[int](t, s.URL("postgres"), "SELECT 1")
	if conn, err := pgx.Connect(t.Context(), address("wrong")); err == nil {
		conn.Close(context.Background())
		t.Error("a wrong password is let in")
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	err = mustFail(t, Config{Dir: tempDir(t), Port: port})
	if want := fmt.Sprintf("port %d is already in use", port); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
}

func TestFailedStartShowsTheLogAndFreesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	err := mustFail(t, Config{Dir: dir, Settings: map[string]string{"no_such_setting": "1"}})
	if !strings.Contains(err.Error(), `FATAL:  unrecognized configuration parameter "no_such_setting"`) {
		t.Errorf("the log is missing: %v", err)
	}
	mustStart(t, Config{Dir: dir})
}

func TestEndedContextAbortsTheStart(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	mustStop(t, mustStart(t, Config{Dir: dir}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Config{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	mustStart(t, Config{Dir: dir})
}

func TestOneServerADirectory(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	servers := make([]*Server, 4)
	failed := make([]error, len(servers))
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() { servers[i], failed[i] = Start(t.Context(), Config{Dir: dir, Ephemeral: true}) })
	}
	all.Wait()
	running := 0
	for i, s := range servers {
		switch {
		case s != nil:
			running++
			defer s.Stop(context.Background())
			query[int](t, s.URL("postgres"), "SELECT 1")
		case !errors.Is(failed[i], ErrInUse):
			t.Errorf("error %v, want ErrInUse", failed[i])
		}
	}
	if running != 1 {
		t.Errorf("%d servers run on one directory", running)
	}
}

func TestStopEscalatesAtTheDeadline(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := mustStart(t, Config{Dir: dir})
	remember(t, s, "committed")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := syscall.Kill(s.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d still runs: %v", s.PID(), err)
	}
	remembers(t, mustStart(t, Config{Dir: dir}), "committed")
}

func TestUnexpectedEndIsToldAndRecovered(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	var log bytes.Buffer // read only after Done
	s := mustStart(t, Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	remember(t, s, "committed")
	// A backend that does not get to run lingers after its postmaster, and holds the shared memory.
	busy, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close(context.Background())
	backend := int(busy.PgConn().PID())
	if err := syscall.Kill(backend, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if !strings.Contains(log.String(), "level=ERROR msg=\"local postgres ended unexpectedly\"") {
		t.Errorf("log: %s", log.String())
	}
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		defer func() { _ = syscall.Kill(backend, syscall.SIGCONT) }()
		eventually(t, "Postgres refuses to start beside the backend", func() bool {
			text, _ := os.ReadFile(s.cluster.logPath())
			return bytes.Contains(text, []byte("pre-existing shared memory block"))
		})
	}()
	remembers(t, mustStart(t, Config{Dir: dir}), "committed")
	<-refused
}

// child starts a server in another process and returns both processes.
func child(t *testing.T, dir string) (parent *exec.Cmd, postmaster int) {
	t.Helper()
	parent = exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), childDir+"="+dir)
	if _, err := parent.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = parent.Process.Kill()
		_ = parent.Wait()
	})
	if _, err := fmt.Fscan(out, &postmaster); err != nil {
		t.Fatalf("no process id: %v", err)
	}
	return parent, postmaster
}

func TestDiesWithAKilledParent(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	parent, postmaster := child(t, dir)

	err := mustFail(t, Config{Dir: dir})
	if !errors.Is(err, ErrInUse) {
		t.Errorf("error %v, want ErrInUse", err)
	}

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "the postmaster is gone", func() bool {
		args, err := commandLine(postmaster)
		return err == nil && len(args) == 0
	})
	mustStart(t, Config{Dir: dir})
}

func TestStartsAtOnceAfterAKilledParent(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	parent, postmaster := child(t, dir)
	_ = parent.Process.Kill()
	_ = parent.Wait()
	s := mustStart(t, Config{Dir: dir})
	if s.PID() == postmaster {
		t.Error("the orphan was not replaced")
	}
}

// byHand starts a stopped cluster's postmaster without Server.
func byHand(t *testing.T, s *Server, data string) (pid int, ended <-chan struct{}) {
	t.Helper()
	bin, err := machine(s.cluster).find(t.Context(), s.cluster.major(), s.cluster.owner, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.cluster.command(context.Background(), bin.path("postgres"), "-D", data,
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+s.sockets, "-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		<-done
	})
	eventually(t, "the postmaster is ready", func() bool { return s.cluster.ready(cmd.Process.Pid) })
	return cmd.Process.Pid, done
}

func TestOrphanIsStopped(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := mustStart(t, Config{Dir: dir})
	remember(t, s, "kept")
	mustStop(t, s)
	_, ended := byHand(t, s, s.cluster.data())
	s = mustStart(t, Config{Dir: dir})
	<-ended
	remembers(t, s, "kept")
}

func TestUnclearPostmasterIsSpared(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := mustStart(t, Config{Dir: dir})
	mustStop(t, s)
	pid, ended := byHand(t, s, "data")
	err := mustFail(t, Config{Dir: dir})
	if want := fmt.Sprintf("process %d may be a Postgres", pid); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	select {
	case <-ended:
		t.Error("it was stopped")
	default:
	}
}

func TestReusedProcessIDIsSpared(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := mustStart(t, Config{Dir: dir})
	mustStop(t, s)
	other := s.cluster.command(context.Background(), "/bin/sh", "-c", "read line") // of the same user, so that Postgres would mind
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	stale := fmt.Sprintf("%d\n%s\n1700000000\n5432\n\n\n", other.Process.Pid, s.cluster.data())
	if err := os.WriteFile(s.cluster.pidFile(), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(s.cluster.pidFile(), int(s.cluster.owner.uid), int(s.cluster.owner.gid)); err != nil {
		t.Fatal(err)
	}
	mustStart(t, Config{Dir: dir})
	if _, err := io.WriteString(stdin, "end\n"); err != nil {
		t.Error(err)
	}
	if err := other.Wait(); err != nil {
		t.Errorf("the other process did not end by itself: %v", err)
	}
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), strings.Repeat("long name, ", 9), `and "quoted"`)
	s := mustStart(t, Config{Dir: dir})
	t.Cleanup(func() { os.RemoveAll(s.sockets) })
	remember(t, s, "kept")
	before := s.URL("postgres")
	mustStop(t, s)
	s = mustStart(t, Config{Dir: dir})
	if after := s.URL("postgres"); after != before {
		t.Errorf("URL changed from %s to %s", before, after)
	}
	remembers(t, s, "kept")
	mustStop(t, s)
	if err := os.Chmod(s.sockets, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := mustFail(t, Config{Dir: dir}); !strings.Contains(err.Error(), "not a private directory") {
		t.Errorf("a socket directory open to others was taken: %v", err)
	}
}

func TestRootKeepsDataWhereItsPostgresCanEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs Postgres as another user")
	}
	closed := filepath.Join(tempDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "data")
	s := mustStart(t, Config{Dir: dir})
	if !strings.HasPrefix(s.cluster.home, rootHome) {
		t.Errorf("home %s is not in %s", s.cluster.home, rootHome)
	}
	remember(t, s, "kept")
	mustStop(t, s)
	s = mustStart(t, Config{Dir: dir})
	remembers(t, s, "kept")
	mustStop(t, s)

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s = mustStart(t, Config{Dir: dir})
	if query[bool](t, s.URL("postgres"), "SELECT to_regclass('memory') IS NOT NULL") {
		t.Error("a removed directory's data came back")
	}
	if _, err := os.Stat(filepath.Join(s.cluster.home+".previous", "data", "PG_VERSION")); err != nil {
		t.Errorf("the previous data is gone: %v", err)
	}
}

func TestRootRunsAnothersClusterAsThatUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	dir := tempDir(t)
	home := filepath.Join(dir, "postgres")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, uid, -1); err != nil {
		t.Fatal(err)
	}
	s := mustStart(t, Config{Dir: dir})
	info, err := os.Stat(s.cluster.data())
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Uid; int(got) != uid {
		t.Errorf("data belongs to %d, want %d", got, uid)
	}
}
