//go:build unix

// Package localpg runs a private Postgres server as a child of this process.
//
// A cluster lives in Config.Dir and survives restarts. While a [Server] runs,
// it holds an flock on the cluster's directory; whoever holds that lock may
// conclude that any postmaster still found there is an orphan, and stops it.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// ErrNoBinaries says that no Postgres could be found or fetched.
	ErrNoBinaries = errors.New("no Postgres binaries found: install postgresql or set DATABASE_URL")
	// ErrInUse says that another [Server], here or in another process, runs on the same directory.
	ErrInUse = errors.New("already in use by a running process")
)

const (
	superuser   = "postgres"
	socketPort  = 5432 // only part of the socket's name while Config.Port is 0
	startWithin = 2 * time.Minute
	killAfter   = 5 * time.Second
	pollEvery   = 10 * time.Millisecond
)

// Config says where the cluster lives and how it is run.
type Config struct {
	Dir       string            // the cluster's home is Dir/postgres; created if missing
	Port      int               // 0: unix socket only; else also 127.0.0.1:Port, by password
	Logger    *slog.Logger      // nil: silent
	Settings  map[string]string // server settings (postgresql.conf) over the defaults
	Ephemeral bool              // no fsync: survives a killed process, not a power cut

	finder *finder // for tests; nil: the machine's
}

// Server is a running Postgres, the child of this process and gone with it.
type Server struct {
	cluster  *cluster
	log      *slog.Logger
	sockets  string // directory of the unix socket
	port     int
	process  *os.Process
	stopping atomic.Bool
	done     chan struct{} // closed once the process is reaped and the lock released
	exit     error         // how it ended; read after done
}

// Start runs the cluster in cfg.Dir, made if there is none, and returns once it accepts connections;
// ending ctx aborts the start only. Errors are one line each, [ErrInUse] and [ErrNoBinaries] among
// them. As root, Postgres runs as the cluster's owner: `postgres`, else `nobody`.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dir == "" || cfg.Port < 0 || cfg.Port > 65535 {
		return nil, fmt.Errorf("local Postgres: want a directory and a port of 0 to 65535, have %q and %d", cfg.Dir, cfg.Port)
	}
	c, err := openCluster(cfg.Dir, log)
	if err != nil {
		return nil, fmt.Errorf("local Postgres: %w", err)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	s := &Server{cluster: c, log: log, port: socketPort}
	if err := s.start(ctx, cfg); err != nil {
		return nil, fmt.Errorf("local Postgres: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, cfg Config) error {
	c := s.cluster
	if err := c.stopOrphan(ctx, s.log); err != nil {
		return err
	}
	if cfg.Port != 0 {
		s.port = cfg.Port
		if err := portFree(ctx, cfg.Port); err != nil {
			return err
		}
	}
	find := cfg.finder
	if find == nil {
		find = machine(c)
	}
	bin, err := find.find(ctx, c.major(), c.owner, s.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if c.major() == 0 {
		if err := c.initdb(ctx, bin, cfg.Ephemeral); err != nil {
			return err
		}
	}
	if s.sockets, err = c.socketDir(s.port); err != nil {
		return err
	}
	// Backends of a killed postmaster take a moment to notice; Postgres itself
	// refuses to start beside them.
	for {
		err = s.run(ctx, bin, settings(cfg, s.sockets, s.port))
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "pre-existing shared memory block") {
			break
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	s.log.Info("local postgres is ready", "version", bin.major, "data", c.data(), "socket", s.sockets, "pid", s.process.Pid)
	if cfg.Port != 0 {
		s.log.Info("local postgres listens", "addr", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
			"user", superuser, "password_file", c.passwordFile())
	}
	go s.watch()
	return nil
}

// settings returns the server's settings: the defaults suit a small machine
// that loads in bulk; cfg.Settings come over them, and what Server relies on last.
func settings(cfg Config, sockets string, port int) map[string]string {
	all := map[string]string{
		"cluster_name":         "resonance",
		"max_connections":      "100",
		"shared_buffers":       "64MB",
		"effective_cache_size": "512MB",
		"maintenance_work_mem": "64MB",
		"random_page_cost":     "1.1",
		"jit":                  "off",
		"synchronous_commit":   "on",
		"wal_level":            "minimal",
		"max_wal_senders":      "0",
		"max_wal_size":         "1GB",
		"checkpoint_timeout":   "15min",
		"timezone":             "UTC",
		"log_timezone":         "UTC",
		"log_checkpoints":      "off",
		// Neither statements nor row values belong in a log.
		"log_min_error_statement": "panic",
		"log_error_verbosity":     "terse",
	}
	if cfg.Ephemeral {
		// Commits stay synchronous: without, a killed server loses them.
		maps.Copy(all, map[string]string{"fsync": "off", "full_page_writes": "off"})
		// Shared memory in the data directory goes with it, however the server ends.
		all["dynamic_shared_memory_type"] = "mmap"
	}
	maps.Copy(all, cfg.Settings)
	maps.Copy(all, map[string]string{
		"unix_socket_directories": `"` + strings.ReplaceAll(sockets, `"`, `""`) + `"`,
		"listen_addresses":        "",
		"port":                    strconv.Itoa(port),
		"logging_collector":       "off",
		"log_destination":         "stderr",
	})
	if cfg.Port != 0 {
		all["listen_addresses"] = "127.0.0.1"
	}
	return all
}

// run starts the postmaster and waits until it is ready.
func (s *Server) run(ctx context.Context, bin binaries, settings map[string]string) error {
	c := s.cluster
	logFile, err := c.newLog()
	if err != nil {
		return err
	}
	defer logFile.Close()

	args := []string{"-D", c.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	cmd := c.command(context.Background(), bin.path("postgres"), args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr.Setpgid = true // a terminal's Ctrl-C is for the product, which drains first
	dieWithParent(cmd)

	s.done = make(chan struct{})
	started := make(chan error)
	go func() {
		// The kernel ties a child's death signal to the thread that forked it,
		// so that thread stays until the child is reaped.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		release, err := guard(c, cmd.Process.Pid)
		if err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			started <- err
			return
		}
		started <- nil
		s.exit = cmd.Wait()
		release()
		close(s.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("cannot run %s as user %s: %w", bin.path("postgres"), c.owner.name, err)
	}
	s.process = cmd.Process

	for !c.ready(s.process.Pid) {
		select {
		case <-s.done:
			return fmt.Errorf("postgres did not start: %s (log: %s)", c.logTail(), c.logPath())
		case <-ctx.Done():
			_ = s.terminate(ctx)
			return fmt.Errorf("postgres was not ready in time: %s (log: %s): %w", c.logTail(), c.logPath(), ctx.Err())
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// watch releases the cluster when the server has ended, and tells if nobody asked it to.
func (s *Server) watch() {
	<-s.done
	if !s.stopping.Load() {
		s.log.Error("local postgres ended unexpectedly", "exit", s.exit, "log", s.cluster.logTail(), "file", s.cluster.logPath())
	}
	s.cluster.close()
}

// URL returns the DSN of a database, over the unix socket, as the superuser.
// The database `postgres` always exists. The DSN holds no secret and stays the
// same when the cluster is restarted with the same Dir and Port.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database, RawQuery: url.Values{
		"host": {s.sockets}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"},
	}.Encode()}
	return u.String()
}

// PID returns the postmaster's process id.
func (s *Server) PID() int { return s.process.Pid }

// Done is closed when the server has ended, asked to or not; the same Dir can be started again then.
func (s *Server) Done() <-chan struct{} { return s.cluster.closed }

// Stop disconnects every client, writes a checkpoint and waits for the end.
// When ctx ends first, the server stops at once and recovers at its next start;
// that is an error which wraps ctx's. Stopping a stopped server does nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	err := s.terminate(ctx)
	<-s.cluster.closed
	return err
}

func (s *Server) terminate(ctx context.Context) error {
	// A signal to a reaped process is an error of os.Process, never a hit on another's.
	_ = s.process.Signal(syscall.SIGINT) // fast shutdown
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	_ = s.process.Signal(syscall.SIGQUIT) // immediate shutdown
	select {
	case <-s.done:
	case <-time.After(killAfter):
		_ = s.process.Kill()
		<-s.done
	}
	return fmt.Errorf("local Postgres was stopped without its checkpoint: %w", ctx.Err())
}
