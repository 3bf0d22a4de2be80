//go:build unix

package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// minMajor is the oldest Postgres that services are tested on.
const minMajor = 14

// binaries is a directory of Postgres programs and their major version.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// finder looks for binaries, first on this machine, then on the net.
type finder struct {
	pgBin string   // the variable PG_BIN: if set, nothing else counts
	path  string   // the variable PATH
	globs []string // where packages install to
	fetch func(ctx context.Context, version embedded.PostgresVersion) (dir string, err error)
}

// machine returns the finder for this machine.
func machine(c *cluster) *finder {
	return &finder{
		pgBin: os.Getenv("PG_BIN"),
		path:  os.Getenv("PATH"),
		globs: []string{
			"/usr/lib/postgresql/*/bin", // Debian
			"/usr/pgsql-*/bin",          // Red Hat
			"/usr/lib/postgresql*/bin",  // SUSE
			"/usr/libexec/postgresql*",  // Alpine
			"/usr/local/pgsql/bin",      // from source
			"/opt/homebrew/opt/postgresql*/bin",
			"/usr/local/opt/postgresql*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
		},
		fetch: func(ctx context.Context, version embedded.PostgresVersion) (string, error) {
			return fetch(ctx, embedded.DefaultConfig(), version, cacheDir(c))
		},
	}
}

// find returns binaries of the wanted major version (0: any) that own may run.
func (f *finder) find(ctx context.Context, major int, own owner, log *slog.Logger) (binaries, error) {
	for _, dir := range f.candidates(ctx) {
		bin, err := inspect(ctx, dir, own)
		switch {
		case err != nil && f.pgBin != "":
			return binaries{}, fmt.Errorf("PG_BIN: %w", err)
		case err != nil:
			continue
		case major == 0 || bin.major == major:
			return bin, nil
		case f.pgBin != "":
			return binaries{}, fmt.Errorf("PG_BIN has Postgres %d, but the data needs %d", bin.major, major)
		}
	}
	if ctx.Err() != nil { // then nothing said its version
		return binaries{}, ctx.Err()
	}
	version, ok := fetchable[cmp.Or(major, slices.Max(majors()))]
	if !ok {
		return binaries{}, fmt.Errorf("%w (the data needs Postgres %d)", ErrNoBinaries, major)
	}
	log.Info("no postgres on this machine: fetching it", "version", version)
	dir, err := f.fetch(ctx, version)
	if err != nil {
		return binaries{}, fmt.Errorf("%w (fetching Postgres %s: %w)", ErrNoBinaries, version, err)
	}
	bin, err := inspect(ctx, dir, own)
	if err != nil {
		return binaries{}, fmt.Errorf("%w (the fetched do not run here: %w)", ErrNoBinaries, err)
	}
	return bin, nil
}

// candidates lists directories that may hold binaries, best first.
func (f *finder) candidates(ctx context.Context) []string {
	if f.pgBin != "" {
		return []string{f.pgBin}
	}
	var dirs []string
	for _, dir := range filepath.SplitList(f.path) {
		dirs = append(dirs, dir)
		// pg_config is on the PATH more often than the server is.
		if config := filepath.Join(dir, "pg_config"); executable(config) {
			if out, err := output(ctx, config, "--bindir"); err == nil {
				dirs = append(dirs, strings.TrimSpace(out))
			}
		}
	}
	for _, glob := range f.globs {
		found, _ := filepath.Glob(glob)
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(number(b), number(a)) })
		dirs = append(dirs, found...)
	}
	return dirs
}

var (
	digits  = regexp.MustCompile(`\d+`)
	version = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)
)

// number returns the last number in a path, which in those of packages is the version.
func number(path string) int {
	all := digits.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1])
	return n
}

// inspect checks that dir holds a postgres and an initdb that own may run.
func inspect(ctx context.Context, dir string, own owner) (binaries, error) {
	// The programs find their library and share directories from the real path.
	program, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return binaries{}, err
	}
	bin := binaries{dir: filepath.Dir(program)}
	for _, name := range []string{"postgres", "initdb"} {
		if !executable(bin.path(name)) {
			return binaries{}, fmt.Errorf("%s has no program %s", bin.dir, name)
		}
	}
	if !own.canEnter(bin.dir) {
		return binaries{}, fmt.Errorf("user %s cannot enter %s", own.name, bin.dir)
	}
	out, err := output(ctx, bin.path("postgres"), "--version")
	if err != nil {
		return binaries{}, fmt.Errorf("%s --version: %w", bin.path("postgres"), err)
	}
	match := version.FindStringSubmatch(out)
	if match == nil {
		return binaries{}, fmt.Errorf("%s is not a Postgres server", bin.path("postgres"))
	}
	if bin.major, err = strconv.Atoi(match[1]); err != nil || bin.major < minMajor {
		return binaries{}, fmt.Errorf("%s is older than Postgres %d", bin.path("postgres"), minMajor)
	}
	return bin, nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return string(out), err
}

// fetchable maps major versions to what the library can fetch.
var fetchable = map[int]embedded.PostgresVersion{
	14: embedded.V14, 15: embedded.V15, 16: embedded.V16, 17: embedded.V17, 18: embedded.V18,
}

func majors() []int {
	var all []int
	for major := range fetchable {
		all = append(all, major)
	}
	return all
}

// cacheDir returns where fetched binaries are kept: shared by all clusters of a
// user, in the cluster's home where that user has no cache.
func cacheDir(c *cluster) string {
	dir := "/var/cache/resonance" // root's own cache is closed to the user who runs Postgres
	if !c.owner.switched {
		cache, err := os.UserCacheDir()
		if err != nil {
			return c.home
		}
		dir = filepath.Join(cache, "resonance")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil || !c.owner.canEnter(dir) {
		return c.home
	}
	return dir
}

// fetch returns the directory of the version's programs below dir, which it
// downloads first if need be. Of the library only download, checksum and unpacking are used.
func fetch(ctx context.Context, config embedded.Config, version embedded.PostgresVersion, dir string) (string, error) {
	final := filepath.Join(dir, "postgres-"+string(version))
	if executable(filepath.Join(final, "bin", "initdb")) {
		return filepath.Join(final, "bin"), nil
	}
	draft, err := os.MkdirTemp(dir, ".fetch-")
	if err != nil {
		return "", err
	}
	unpacked := filepath.Join(draft, "unpacked")
	claimed := filepath.Join(draft, "data")
	major, _, _ := strings.Cut(string(version), ".")
	if err := errors.Join(os.Mkdir(claimed, 0o700), os.WriteFile(filepath.Join(claimed, "PG_VERSION"), []byte(major), 0o600)); err != nil {
		return "", err
	}
	postgres := embedded.NewDatabase(config.Version(version).Port(0).Logger(io.Discard).
		CachePath(filepath.Join(draft, "cache")).RuntimePath(filepath.Join(draft, "runtime")).
		BinariesPath(unpacked).DataPath(claimed))

	result := make(chan error, 1)
	go func() { // the library knows no context; abandoned, it still cleans up behind itself
		// Start cannot succeed on an empty data directory that claims to be a
		// cluster. That it got as far as starting says that all is unpacked.
		err := postgres.Start()
		if err != nil && strings.HasPrefix(err.Error(), "could not start postgres using ") {
			err = os.Rename(unpacked, final)
		}
		_ = os.RemoveAll(draft)
		result <- err
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case err = <-result:
	}
	if err != nil && !executable(filepath.Join(final, "bin", "initdb")) { // else another process was first
		return "", err
	}
	return filepath.Join(final, "bin"), nil
}
