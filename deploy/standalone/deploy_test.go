package main_test

import (
	"errors"
	"fmt"
	"io/fs"
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
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/localnats"
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
		for variable, want := range map[string]string{"NATS_URL": "nats://resonance:x@nats:4222", "NATS_CREDS": "", "METRICS_ADDR": "0.0.0.0:9090"} {
			if got := s.Environment[variable]; got == nil || *got != want {
				t.Errorf("%s: %s %v", name, variable, got)
			}
		}
	}
	// What .env says of a cluster elsewhere reaches every service.
	project = compose(t, "NATS_URL=tls://cluster:4222", "NATS_CREDS=/etc/resonance.creds", "NATS_REPLICAS=3", "METRICS_ADDR=0.0.0.0:9100")
	for _, name := range composed {
		for variable, want := range map[string]string{"NATS_URL": "tls://cluster:4222", "NATS_CREDS": "/run/secrets/nats_creds", "NATS_REPLICAS": "3", "METRICS_ADDR": "0.0.0.0:9100"} {
			if got := project.Services[name].Environment[variable]; got == nil || *got != want {
				t.Errorf("%s: %s %v", name, variable, got)
			}
		}
		if secrets := project.Services[name].Secrets; len(secrets) != 5 || project.Secrets[secrets[0].Source].File != "/etc/resonance.creds" {
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
		"NATS_PASSWORD", "NATS_SUBSCRIBER_PASSWORD", "POSTGRES_PASSWORD", "JWT_SECRET", "ADMIN_PASSWORD",
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

// The server of docker-compose.yml lets other programs read order changes, and nothing else.
func TestNATSConfig(t *testing.T) {
	t.Setenv("NATS_PASSWORD", "services")
	t.Setenv("NATS_SUBSCRIBER_PASSWORD", "others")
	options, err := server.ProcessConfigFile("../nats/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways || options.MaxPayload != localnats.MaxPayload {
		t.Fatalf("sync always: %v, max payload: %d", options.SyncAlways, options.MaxPayload)
	}
	options.Host, options.Port, options.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	options.StoreDir, options.NoSigs, options.NoLog = t.TempDir(), true, true
	ns, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	defer ns.WaitForShutdown()
	defer ns.Shutdown()
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready")
	}
	connect := func(user, password string) (*nats.Conn, jetstream.JetStream) {
		nc, err := nats.Connect(ns.ClientURL(), nats.UserInfo(user, password), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return nc, js
	}
	_, services := connect("resonance", "services")
	if err := bus.Ensure(t.Context(), services, 1, bus.StreamOrders, bus.StreamEdits, bus.BucketSessions); err != nil {
		t.Fatal(err)
	}
	msg := nats.NewMsg(event.OrderChangedSubject("rec1"))
	msg.Header.Set(nats.MsgIdHdr, "1")
	if _, err := bus.Publish(t.Context(), services, msg); err != nil {
		t.Fatal(err)
	}

	nc, others := connect("subscriber", "others")
	consumer, err := others.OrderedConsumer(t.Context(), bus.StreamOrders, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubjects: []string{event.OrdersChanged}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil || got.Subject() != msg.Subject {
		t.Fatalf("%v, %v", got, err)
	}
	durable, err := others.CreateOrUpdateConsumer(t.Context(), bus.StreamOrders, jetstream.ConsumerConfig{Durable: "warehouse", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if got, err = durable.Next(jetstream.FetchMaxWait(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := got.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := others.Publish(t.Context(), event.OrderChangedSubject("rec1"), nil); err == nil {
		t.Error("a subscriber may publish order changes")
	}
	if err := others.DeleteStream(t.Context(), bus.StreamOrders); err == nil {
		t.Error("a subscriber may delete the stream")
	}
	if _, err := others.KeyValue(t.Context(), bus.BucketSessions); err == nil {
		t.Error("a subscriber may look into the sessions")
	}
	if _, err := nc.Request("orders.list", []byte("{}"), time.Second); err == nil || errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a subscriber may ask the services: %v", err)
	}
	if reason := nc.LastError(); reason == nil || !strings.Contains(reason.Error(), "Permissions Violation") {
		t.Errorf("last error %v", reason)
	}
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
