//go:build unix

package localpg

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// rootHome holds the clusters of a root whose Dir no other user can enter. It
// survives reboots. Tests set it before they start.
var rootHome = "/var/lib/resonance"

// maxSocketPath is the shortest limit among the systems (macOS: 104 bytes with the final NUL).
const maxSocketPath = 103

// owner is the user whose cluster it is and as whom Postgres runs.
type owner struct {
	name     string
	uid, gid uint32
	switched bool // this process is root and the owner is not
}

// cluster is a locked cluster directory ("home"):
// data/ is PGDATA, run/ the socket's directory, password the superuser's for TCP, postgres.log the log.
type cluster struct {
	home   string // absolute, without symlinks
	owner  owner
	lock   *os.File
	once   sync.Once
	closed chan struct{}
}

func (c *cluster) data() string         { return filepath.Join(c.home, "data") }
func (c *cluster) logPath() string      { return filepath.Join(c.home, "postgres.log") }
func (c *cluster) passwordFile() string { return filepath.Join(c.home, "password") }
func (c *cluster) pidFile() string      { return filepath.Join(c.data(), "postmaster.pid") }

// major returns the version of Postgres that made the cluster, 0 if there is none yet.
func (c *cluster) major() int {
	text, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return major
}

// openCluster finds or makes the home of dir's cluster and locks it.
func openCluster(dir string, log *slog.Logger) (*cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "postgres")
	if _, err := os.Lstat(home); errors.Is(err, fs.ErrNotExist) {
		if err := makeHome(home, log); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if home, err = filepath.EvalSymlinks(home); err != nil {
		return nil, fmt.Errorf("%s leads nowhere: %w", filepath.Join(dir, "postgres"), err)
	}
	own, err := ownerOf(home)
	if err != nil {
		return nil, err
	}
	lock, err := os.Open(home)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, fmt.Errorf("%s: %w", home, err)
	}
	return &cluster{home: home, owner: own, lock: lock, closed: make(chan struct{})}, nil
}

// close releases the lock. It may be called again.
func (c *cluster) close() {
	c.once.Do(func() {
		c.lock.Close()
		close(c.closed)
	})
}

// makeHome creates a home for a new cluster. As root it belongs to an
// unprivileged user; where that user could not reach it, home becomes a symlink
// to a directory under rootHome, so that removing Dir still means a fresh start.
func makeHome(home string, log *slog.Logger) error {
	if os.Geteuid() != 0 {
		return mkdirFor(home, owner{})
	}
	own, err := unprivileged()
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(home))
	if err != nil {
		return err
	}
	if own.canEnter(dir) {
		return mkdirFor(home, own)
	}
	elsewhere := filepath.Join(rootHome, filepath.Base(dir)+"-"+digest(home))
	if err := os.MkdirAll(rootHome, 0o711); err != nil {
		return err
	}
	// What is there belongs to a Dir that has been removed; it is kept once.
	if err := os.RemoveAll(elsewhere + ".previous"); err != nil {
		return err
	}
	if err := os.Rename(elsewhere, elsewhere+".previous"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := mkdirFor(elsewhere, own); err != nil {
		return err
	}
	log.Warn("local postgres keeps its data elsewhere: it cannot run as root, and its user cannot enter this directory",
		"dir", dir, "user", own.name, "data", elsewhere)
	return os.Symlink(elsewhere, home)
}

// mkdirFor makes a directory that only its owner can enter.
func mkdirFor(path string, own owner) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if !own.switched {
		return nil
	}
	if err := os.Chown(path, int(own.uid), int(own.gid)); err != nil {
		return fmt.Errorf("cannot hand %s to user %s: %w", path, own.name, err)
	}
	return nil
}

// unprivileged picks the user for a cluster that root creates.
func unprivileged() (owner, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		// Negative on some systems (nobody is -2); the low 32 bits are the id.
		uid, err1 := strconv.ParseInt(u.Uid, 10, 64)
		gid, err2 := strconv.ParseInt(u.Gid, 10, 64)
		if err1 == nil && err2 == nil && uid != 0 {
			return owner{name: name, uid: uint32(uid), gid: uint32(gid), switched: true}, nil
		}
	}
	return owner{}, errors.New("root may not run Postgres, and there is no user postgres or nobody to run it as")
}

// ownerOf tells as whom the cluster in home has to run.
func ownerOf(home string) (owner, error) {
	info, err := os.Stat(home)
	if err != nil {
		return owner{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return owner{}, fmt.Errorf("%s is not a directory", home)
	}
	own := owner{name: strconv.Itoa(int(stat.Uid)), uid: stat.Uid, gid: stat.Gid}
	if u, err := user.LookupId(own.name); err == nil {
		own.name = u.Username
	}
	switch me := os.Geteuid(); {
	case me == int(own.uid) && me != 0:
		return own, nil
	case me != 0:
		return owner{}, fmt.Errorf("%s belongs to user %s: run as that user or choose another directory", home, own.name)
	case own.uid != 0:
		own.switched = true
	default:
		entries, err := os.ReadDir(home)
		if err != nil {
			return owner{}, err
		}
		if len(entries) > 0 {
			return owner{}, fmt.Errorf("%s belongs to root, as whom Postgres refuses to run: give it to another user", home)
		}
		if own, err = unprivileged(); err != nil {
			return owner{}, err
		}
		if err := mkdirFor(home, own); err != nil {
			return owner{}, err
		}
	}
	if !own.canEnter(home) {
		return owner{}, fmt.Errorf("user %s, who owns the Postgres data, cannot enter %s", own.name, home)
	}
	return own, nil
}

// canEnter tells if the owner may search path, an absolute path without symlinks, and all above it.
func (o owner) canEnter(path string) bool {
	if !o.switched {
		return true
	}
	for {
		info, err := os.Stat(path)
		if err != nil {
			return false
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		bit := fs.FileMode(0o001)
		switch {
		case stat.Uid == o.uid:
			bit = 0o100
		case stat.Gid == o.gid:
			bit = 0o010
		}
		if info.Mode()&bit == 0 {
			return false
		}
		parent := filepath.Dir(path)
		if parent == path {
			return true
		}
		path = parent
	}
}

// command prepares a Postgres program to run as the owner, with no secret of this process in its environment.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + c.home}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if c.owner.switched {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.owner.uid, Gid: c.owner.gid}
	}
	return cmd
}

// initdb makes the cluster: UTF-8, trust on the socket (its directory is
// private), a generated password over TCP. A half-made one is never taken for whole.
func (c *cluster) initdb(ctx context.Context, bin binaries, ephemeral bool) error {
	// Never the name of a draft that a killed process's initdb may still be writing.
	drafts, _ := filepath.Glob(c.data() + ".new-*")
	for _, old := range drafts {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	draft := c.data() + ".new-" + rand.Text()
	if err := os.Remove(c.passwordFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(c.passwordFile(), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	if c.owner.switched {
		if err := os.Chown(c.passwordFile(), int(c.owner.uid), int(c.owner.gid)); err != nil {
			return err
		}
	}
	args := []string{
		"-D", draft, "-U", superuser, "-E", "UTF8", "--pwfile", c.passwordFile(),
		"--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions",
	}
	if ephemeral {
		args = append(args, "--no-sync")
	}
	// C.UTF-8 sorts by bytes and still knows the case of é; C knows only ASCII's.
	locales := [][]string{{"--locale=C.UTF-8"}, {"--locale=C"}}
	if bin.major >= 17 {
		locales = [][]string{{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}}
	}
	for i, locale := range locales {
		cmd := c.command(ctx, bin.path("initdb"), append(args, locale...)...)
		cmd.SysProcAttr.Setpgid = true
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if err == nil {
			return os.Rename(draft, c.data())
		}
		if ctx.Err() != nil {
			return fmt.Errorf("initdb was cut short: %w", ctx.Err())
		}
		if i == len(locales)-1 || !bytes.Contains(out, []byte("locale")) {
			return fmt.Errorf("initdb as user %s: %w: %s", c.owner.name, err, tail(out))
		}
	}
	return nil
}

// socketDir empties and returns the private directory of the socket: in the
// home, or under the temporary directory where the home's path is too long.
func (c *cluster) socketDir(port int) (string, error) {
	name := "/.s.PGSQL." + strconv.Itoa(port)
	dir := filepath.Join(c.home, "run")
	if len(dir+name) > maxSocketPath {
		tmp, err := filepath.EvalSymlinks(os.TempDir())
		short := filepath.Join(tmp, "resonance-"+digest(c.home))
		if err != nil || len(short+name) > maxSocketPath || !c.owner.canEnter(tmp) {
			short = filepath.Join("/tmp", filepath.Base(short))
		}
		dir = short
	}
	if err := mkdirFor(dir, c.owner); err != nil {
		return "", err
	}
	// In a directory that all may write to, another user may have been first.
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || stat.Uid != c.owner.uid || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is not a private directory of user %s: remove it", dir, c.owner.name)
	}
	// No postmaster runs: what a killed one left would only stop the next.
	for _, stale := range []string{name, name + ".lock"} {
		if err := os.Remove(dir + stale); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return dir, nil
}

// ready tells if the postmaster pid has written that it accepts connections.
func (c *cluster) ready(pid int) bool {
	lines := c.pidLines()
	return len(lines) >= 8 && lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[7]) == "ready"
}

func (c *cluster) pidLines() []string {
	text, err := os.ReadFile(c.pidFile())
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// stopOrphan stops the postmaster that a killed process left behind, if one runs.
// The lock is held, so nobody alive needs it.
func (c *cluster) stopOrphan(ctx context.Context, log *slog.Logger) error {
	lines := c.pidLines()
	if len(lines) == 0 {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 {
		return nil //nolint:nilerr // an empty or broken file is for Postgres to judge
	}
	mine, err := c.isPostmaster(pid)
	if err != nil {
		return err
	}
	if !mine {
		// If pid now is another process, Postgres would take that one for its postmaster.
		// It ignores its own parent's; the rest of the file keeps guarding its shared memory.
		lines[0] = strconv.Itoa(os.Getpid())
		return rewrite(c.pidFile(), strings.Join(lines, "\n"))
	}
	log.Warn("stopping the local postgres that a killed process left behind", "pid", pid)
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, killAfter}} {
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cannot stop the running Postgres (process %d): %w", pid, err)
		}
		for until := time.Now().Add(step.wait); time.Now().Before(until); {
			if mine, err := c.isPostmaster(pid); err != nil || !mine {
				return err
			}
			if err := pause(ctx); err != nil {
				return fmt.Errorf("cannot stop the running Postgres (process %d): %w", pid, err)
			}
		}
	}
	return fmt.Errorf("the running Postgres (process %d) does not stop", pid)
}

// isPostmaster tells if the process is the postmaster of this cluster. Server
// always passes -D with the data directory, and a postmaster keeps its arguments.
func (c *cluster) isPostmaster(pid int) (bool, error) {
	args, err := commandLine(pid)
	if err != nil || len(args) == 0 {
		return false, err
	}
	if name := filepath.Base(args[0]); name != "postgres" && name != "postmaster" {
		return false, nil
	}
	if len(args) < 3 || args[1] != "-D" || !filepath.IsAbs(args[2]) {
		return false, fmt.Errorf("process %d may be a Postgres on %s that was started by hand: stop it", pid, c.data())
	}
	theirs, err := os.Stat(args[2])
	if err != nil {
		return false, nil //nolint:nilerr // a directory that cannot be found is not this one, which is there
	}
	ours, err := os.Stat(c.data())
	return err == nil && os.SameFile(theirs, ours), err
}

// newLog starts a log file and keeps the last run's.
func (c *cluster) newLog() (*os.File, error) {
	if err := os.Rename(c.logPath(), c.logPath()+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(c.logPath(), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}

// logTail returns what the log says last, in one line.
func (c *cluster) logTail() string {
	f, err := os.Open(c.logPath())
	if err != nil {
		return "no log"
	}
	defer f.Close()
	text := make([]byte, 4096)
	size, _ := f.Seek(0, io.SeekEnd)
	n, _ := f.ReadAt(text, max(0, size-int64(len(text))))
	return tail(text[:n])
}

// tail joins the last three lines, without their time stamps.
func tail(text []byte) string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if at := strings.Index(line, "] "); at > 0 {
			line = line[at+2:]
		}
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "nothing was logged"
	}
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// rewrite replaces a file's text and leaves its owner and mode.
func rewrite(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func portFree(ctx context.Context, port int) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is already in use", port)
	} else if err != nil {
		return err
	}
	return l.Close()
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pollEvery):
		return nil
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}
