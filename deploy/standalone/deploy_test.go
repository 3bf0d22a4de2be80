package main_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/localnats"
	"github.com/resonance/resonance/pkg/natsauth"
	"github.com/resonance/resonance/pkg/porttest"
	"github.com/resonance/resonance/pkg/servicetest"
)

// docker-compose.yml cannot be run in a test, but Compose's own library can read it.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	project := compose(t)
	want := []string{"airtable-sync", "gateway", "nats", "odoo-bridge", "orders", "postgres"}
	if got := project.ServiceNames(); !slices.Equal(got, want) {
		t.Fatalf("services %v", got)
	}
	for _, name := range composed {
		s := project.Services[name]
		if s.Build == nil || *s.Build.Args["SERVICE"] != name {
			t.Errorf("%s: %+v", name, s)
		}
		if _, err := os.Stat(filepath.Join("../../services", name, "cmd", name, "main.go")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Target == "/run/nats" && strings.HasSuffix(v.Source, "deploy/nats/keys/"+name) && v.ReadOnly
		}) {
			t.Errorf("%s: its keys are not mounted: %+v", name, s.Volumes)
		}
		for variable, want := range map[string]string{"NATS_URL": "tls://nats:4222", "NATS_CREDS": "", "NATS_NKEY": "/run/nats/user.nk", "NATS_KEY": "/run/nats/tls.key", "METRICS_ADDR": "0.0.0.0:9090"} {
			if got := s.Environment[variable]; got == nil || *got != want {
				t.Errorf("%s: %s %v", name, variable, got)
			}
		}
	}
	// What .env says of a cluster elsewhere reaches every service.
	project = compose(t, "NATS_URL=tls://cluster:4222", "NATS_CREDS=/etc/resonance.creds", "NATS_NKEY=", "NATS_REPLICAS=3", "METRICS_ADDR=0.0.0.0:9100")
	for _, name := range composed {
		for variable, want := range map[string]string{"NATS_URL": "tls://cluster:4222", "NATS_CREDS": "/run/secrets/nats_creds", "NATS_NKEY": "", "NATS_REPLICAS": "3", "METRICS_ADDR": "0.0.0.0:9100"} {
			if got := project.Services[name].Environment[variable]; got == nil || *got != want {
				t.Errorf("%s: %s %v", name, variable, got)
			}
		}
		if secrets := project.Services[name].Secrets; len(secrets) != 1 || project.Secrets[secrets[0].Source].File != "/etc/resonance.creds" {
			t.Errorf("%s: secrets %v", name, secrets)
		}
	}
}

// The image is built without go.work: whatever a service's go.mod replaces has to be copied into it.
func TestImageHasAllModules(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("../docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range composed {
		mod, err := os.ReadFile(filepath.Join("../../services", name, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`=> \.\./\.\./([a-z]+)`).FindAllSubmatch(mod, -1) {
			if line := fmt.Sprintf("\nCOPY %[1]s %[1]s\n", m[1]); !strings.Contains(string(dockerfile), line) {
				t.Errorf("%s needs %s, which the Dockerfile does not copy", name, m[1])
			}
		}
	}
}

// composed are the services of docker-compose.yml that are ours.
var composed = []string{"airtable-sync", "gateway", "odoo-bridge", "orders"}

// compose reads docker-compose.yml with what it needs, and more variables.
func compose(t *testing.T, more ...string) *types.Project {
	t.Helper()
	env := more
	for _, name := range []string{
		"POSTGRES_PASSWORD", "JWT_SECRET", "ADMIN_PASSWORD",
		"AIRTABLE_API_KEY", "AIRTABLE_BASE_ID", "AIRTABLE_TABLE_ID",
	} {
		env = append(env, name+"=x")
	}
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithEnv(env), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// natsConfig gives the options of a configuration of deploy/nats, with keys made for it.
func natsConfig(t *testing.T, file string) *server.Options {
	t.Helper()
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways || options.MaxPayload != localnats.MaxPayload || options.TLSConfig.ClientAuth != tls.RequireAndVerifyClientCert {
		t.Fatalf("sync always: %v, max payload: %d, clients' certificates: %v", options.SyncAlways, options.MaxPayload, options.TLSConfig.ClientAuth)
	}
	options.Host, options.Port, options.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	options.StoreDir, options.NoSigs, options.NoLog = t.TempDir(), true, true
	return options
}

// natsFolder makes a copy of deploy/nats with keys the working directory.
func natsFolder(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"nats.conf", "cluster.conf", "common.conf"} {
		text, err := os.ReadFile(filepath.Join("../nats", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	if _, err := natsauth.MakeKeys("keys"); err != nil {
		t.Fatal(err)
	}
	if err := natsauth.MakeCertificates("keys", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
}

func startServer(t *testing.T, options *server.Options) *server.Server {
	t.Helper()
	ns, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready")
	}
	return ns
}

// connectAs connects a user of the folder by its key and certificate.
func connectAs(t *testing.T, ns *server.Server, user string) jetstream.JetStream {
	t.Helper()
	file := func(name string) string { return filepath.Join("keys", user, name) }
	nc, err := bus.Connect(t.Context(), slog.New(slog.DiscardHandler), bus.Options{
		URL: ns.ClientURL(), Name: user, Nkey: file(natsauth.SeedFile), CA: file(natsauth.CAFile), Cert: file(natsauth.CertFile), Key: file(natsauth.KeyFile),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// The server of docker-compose.yml takes who has a key and a certificate; package natsauth tests what each may do.
func TestNATSConfig(t *testing.T) {
	natsFolder(t)
	ns := startServer(t, natsConfig(t, "nats.conf"))
	nkey, err := nats.NkeyOptionFromSeed(filepath.Join("keys", "orders", natsauth.SeedFile))
	if err != nil {
		t.Fatal(err)
	}
	ca := nats.RootCAs(filepath.Join("keys", "ca", natsauth.CAFile))
	for name, opts := range map[string][]nats.Option{
		"no certificate": {ca, nkey},
		"no key":         {ca, nats.ClientCert(filepath.Join("keys", "orders", natsauth.CertFile), filepath.Join("keys", "orders", natsauth.KeyFile))},
	} {
		if nc, err := nats.Connect(ns.ClientURL(), opts...); err == nil {
			nc.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if err := bus.Ensure(t.Context(), connectAs(t, ns, "airtable-sync"), 1, bus.StreamOrders, bus.StreamEdits, bus.BucketColumns); err != nil {
		t.Error(err)
	}
	if _, err := connectAs(t, ns, natsauth.Consumer).AccountInfo(t.Context()); err != nil {
		t.Error(err)
	}
}

// Three servers find each other over TLS, and hold three replicas.
func TestNATSCluster(t *testing.T) {
	natsFolder(t)
	addrs := []string{porttest.Addr(t), porttest.Addr(t), porttest.Addr(t)}
	t.Setenv("NATS_ROUTES", "[tls://"+strings.Join(addrs, ", tls://")+"]")
	var first *server.Server
	for i, addr := range addrs {
		t.Setenv("NATS_SERVER_NAME", fmt.Sprint("nats-", i+1))
		options := natsConfig(t, "cluster.conf")
		if options.Cluster.TLSConfig.ClientAuth != tls.RequireAndVerifyClientCert {
			t.Fatal("any server may join")
		}
		host, port, _ := strings.Cut(addr, ":")
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		options.Cluster.Host, options.Cluster.Port = host, n
		if ns := startServer(t, options); i == 0 {
			first = ns
		}
	}
	js := connectAs(t, first, "airtable-sync")
	err := bus.Persist(t.Context(), slog.New(slog.DiscardHandler), "not yet", func(ctx context.Context) error {
		return bus.Ensure(ctx, js, 3, bus.StreamOrders)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.KeepMirror(t.Context(), slog.New(slog.DiscardHandler), js, 3, bus.StreamOrders))
	consumer := connectAs(t, first, natsauth.Consumer)
	servicetest.Eventually(t, "the mirror with three replicas", func() bool {
		mirror, err := consumer.Stream(t.Context(), bus.StreamOrders)
		return err == nil && mirror.CachedInfo().Config.Replicas == 3
	})
}

// Operators search for the messages that the page of operations lists: the code has them, word for word.
func TestLogMessages(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, dir := range []string{"../../pkg", "../../services", "."} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				code.WriteString(contents(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, table, found := strings.Cut(contents(t, "../../docs/operations.md"), "## Log messages\n")
	if !found {
		t.Fatal("no such section")
	}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if !strings.HasPrefix(row, "| `") || len(cells) != 3 {
			continue
		}
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[0], -1) {
			if !strings.Contains(code.String(), strconv.Quote(message[1])) {
				t.Errorf("nothing logs %q", message[1])
			}
		}
	}
}
