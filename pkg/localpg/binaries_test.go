//go:build unix

package localpg

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// program writes an executable shell script.
func program(t *testing.T, path, script string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// postgres writes a directory of binaries that say which version they are.
func postgres(t *testing.T, dir, version string) string {
	t.Helper()
	program(t, filepath.Join(dir, "postgres"), "echo 'postgres (PostgreSQL) "+version+"'")
	program(t, filepath.Join(dir, "initdb"), "exit 1")
	return dir
}

func offline(context.Context, embedded.PostgresVersion) (string, error) {
	return "", errors.New("offline")
}

func TestNoBinaries(t *testing.T) {
	t.Parallel()
	err := mustFail(t, Config{Dir: tempDir(t), finder: &finder{path: t.TempDir(), fetch: offline}})
	if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), "install postgresql or set DATABASE_URL") || !strings.Contains(err.Error(), "offline") {
		t.Errorf("error %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	v16 := postgres(t, filepath.Join(root, "lib", "16", "bin"), "16.2 (Debian 16.2-1)")
	v9 := postgres(t, filepath.Join(root, "lib", "9", "bin"), "9.6.24")
	v17 := postgres(t, filepath.Join(root, "lib", "17", "bin"), "17beta1")
	v15 := postgres(t, filepath.Join(root, "elsewhere"), "15.13")
	globs := []string{filepath.Join(root, "lib", "*", "bin")}
	config := filepath.Join(root, "config")
	program(t, filepath.Join(config, "pg_config"), "echo "+v15)
	links := filepath.Join(root, "links")
	if err := os.MkdirAll(links, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(v15, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	clientOnly := filepath.Join(root, "client")
	program(t, filepath.Join(clientOnly, "postgres"), "echo 'postgres (PostgreSQL) 16.1'")

	for name, test := range map[string]struct {
		finder finder
		major  int
		dir    string
		err    string
	}{
		"newest package":         {finder{globs: globs}, 0, v17, ""},
		"data's version":         {finder{globs: globs}, 16, v16, ""},
		"path before packages":   {finder{path: v15, globs: globs}, 0, v15, ""},
		"pg_config":              {finder{path: config, globs: globs}, 0, v15, ""},
		"symlink on the path":    {finder{path: links, globs: globs}, 0, v15, ""},
		"without initdb":         {finder{path: clientOnly, globs: globs}, 0, v17, ""},
		"too old":                {finder{path: v9, globs: globs}, 0, v17, ""},
		"PG_BIN before the path": {finder{pgBin: v16, path: v15, globs: globs}, 0, v16, ""},
		"PG_BIN empty":           {finder{pgBin: config, path: v15}, 0, "", "PG_BIN"},
		"PG_BIN too old":         {finder{pgBin: v9, path: v15}, 0, "", "older than Postgres 14"},
		"PG_BIN of another":      {finder{pgBin: v16}, 15, "", "PG_BIN has Postgres 16, but the data needs 15"},
		"unknown version":        {finder{globs: globs}, 99, "", "the data needs Postgres 99"},
		"not found":              {finder{globs: globs}, 14, "", "fetching Postgres " + string(embedded.V14) + ": offline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.finder.fetch = offline
			bin, err := test.finder.find(t.Context(), test.major, owner{}, slog.New(slog.DiscardHandler))
			if test.err == "" && (err != nil || bin.dir != test.dir) {
				t.Errorf("found %q (%v), want %q", bin.dir, err, test.dir)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v does not say %q", err, test.err)
			}
		})
	}
}

// archive is a .tar.xz of bin/postgres (which says it is 16.9), bin/initdb and bin/pg_ctl.
const archive = `
/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/ALVdADEaShsFkZA3OlG9V3Gz1uEhGuzodTR9POemV5xBuI5pdqsf/+4UwN7nrRvp
QeMYrrzpHOVTf9fNVsEorIde5BIhUWSfMIWooZXhHPbq2o6BdJqk5fS7wuji1Ldy1AZ0vcpSMzPMNnn6NSF4CoVGOfAByMNz6Xk1
JqCrXA5iPuq+hsfvyYFkFRyoBFk/7bcYa5Io+4i/P6Qta74nM4IrXCePpbCFlXunfjRWTsLFxMTbf0LQAgAAAAAAPyERxBE/m+UA
AdEBgFAAAGyqsqaxxGf7AgAAAAAEWVo=
`

// repository serves an archive of binaries as the library expects it.
func repository(t *testing.T, txz []byte, sum func([]byte) string) embedded.Config {
	t.Helper()
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	f, err := w.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(txz); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".sha256") {
			_, _ = w.Write([]byte(sum(jar.Bytes())))
			return
		}
		_, _ = w.Write(jar.Bytes())
	}))
	t.Cleanup(server.Close)
	return embedded.DefaultConfig().BinaryRepositoryURL(server.URL)
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestFetch(t *testing.T) {
	t.Parallel()
	txz, err := base64.StdEncoding.DecodeString(strings.TrimSpace(archive))
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	bin, err := fetch(t.Context(), repository(t, txz, sha), embedded.V16, cache)
	if err != nil {
		t.Fatal(err)
	}
	found, err := inspect(t.Context(), bin, owner{})
	if err != nil || found.major != 16 {
		t.Errorf("fetched %+v, %v", found, err)
	}
	onlyThat := func() {
		t.Helper()
		entries, err := os.ReadDir(cache)
		if err != nil || len(entries) != 1 {
			t.Errorf("cache holds %v, %v", entries, err)
		}
	}
	onlyThat()

	nowhere := embedded.DefaultConfig().BinaryRepositoryURL("http://127.0.0.1:1")
	if again, err := fetch(t.Context(), nowhere, embedded.V16, cache); err != nil || again != bin {
		t.Errorf("the second time: %q, %v", again, err)
	}
	for name, config := range map[string]embedded.Config{
		"no net":         nowhere,
		"cut archive":    repository(t, txz[:len(txz)/2], sha),
		"wrong checksum": repository(t, txz, func([]byte) string { return sha(nil) }),
	} {
		if dir, err := fetch(t.Context(), config, embedded.V17, cache); err == nil {
			t.Errorf("%s: got %s", name, dir)
		}
		onlyThat()
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	}))
	defer server.Close()
	defer close(release)
	cache, err := os.MkdirTemp("", "localpg-fetch-") // the abandoned download removes its own part later
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(cache)
	if _, err := fetch(ctx, embedded.DefaultConfig().BinaryRepositoryURL(server.URL), embedded.V16, cache); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestMachineKnowsEveryFetchableVersion(t *testing.T) {
	t.Parallel()
	if oldest := slices.Min(majors()); oldest != minMajor {
		t.Errorf("fetchable from %d, supported from %d", oldest, minMajor)
	}
}
