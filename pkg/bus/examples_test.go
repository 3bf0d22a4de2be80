package bus_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natsauth"
	"github.com/resonance/resonance/pkg/natstest"
)

// exampleTimeout bounds what the examples do, which may have to be built and installed first.
const exampleTimeout = time.Minute

// Each program is run in each of its ways against a NATS of its own, loses that and finds it again.
func TestExamples(t *testing.T) {
	t.Parallel()
	const (
		created = `created recA1b2C3d4E5f6G7 "ORD-00042" "Pending" "1250.5"`
		updated = `updated recA1b2C3d4E5f6G7 "ORD-00042" "Processing" "1250.5"`
		deleted = `deleted recDeleted0000001 "ORD-00042" "Cancelled" "1250.5"`
		edited  = `updated recEdited00000001 "ORD-00042" "Sent" "1250.5"`
		empty   = `created recEmpty000000001 "-" "-" "-"`
		large   = `created recLarge000000001 "-" "-" "-"`
	)
	for language, program := range map[string][]string{"go": buildGo(t), "js": installJS(t)} {
		for how, first := range map[string][]string{
			"live":   nil,
			"":       nil,
			"from 1": {"1 " + created, "2 " + updated, "3 " + deleted, "4 " + edited, "5 " + empty, "6 " + large},
			"from 4": {"4 " + edited, "5 " + empty, "6 " + large},
			"from 8": nil,
			"state":  {"2 " + updated, "3 " + deleted, "4 " + edited, "5 " + empty, "6 " + large},
		} {
			t.Run(language+" "+how, func(t *testing.T) {
				t.Parallel()
				ns := natstest.Start(t)
				_, js := ns.Connect()
				events := goldenMessages(t)
				if err := bus.Ensure(deadline(t, exampleTimeout), js, 1, bus.StreamOrders); err != nil {
					t.Fatal(err)
				}
				for _, m := range events {
					publish(t, js, m)
				}
				p := start(t, ns.URL(), append(program, strings.Fields(how)...)...)
				p.stderr.says(t, "subscribed")
				for _, line := range first {
					p.stdout.says(t, line)
				}

				if how == "" { // nothing is lost before the first message either
					ns.Stop()
					ns.Start()
				}
				publish(t, js, again(events[1], "live")) // sequence 7
				if how != "from 8" {
					p.stdout.says(t, "7 "+updated)
				}
				ns.Stop()
				ns.Start()
				publish(t, js, again(events[0], "after")) // sequence 8
				p.stdout.says(t, "8 "+created)

				p.interrupt(t)
			})
		}
		for _, anew := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s when the stream is deleted, anew %t", language, anew), func(t *testing.T) {
				t.Parallel()
				ns := natstest.Start(t)
				_, js := ns.Connect()
				if err := bus.Ensure(deadline(t, exampleTimeout), js, 1, bus.StreamOrders); err != nil {
					t.Fatal(err)
				}
				p := start(t, ns.URL(), program...)
				p.stderr.says(t, "subscribed")
				if err := js.DeleteStream(deadline(t, exampleTimeout), bus.StreamOrders); err != nil {
					t.Fatal(err)
				}
				if anew {
					if err := bus.Ensure(deadline(t, exampleTimeout), js, 1, bus.StreamOrders); err != nil {
						t.Fatal(err)
					}
				}
				p.fails(t)
			})
		}
		t.Run(language+" without NATS", func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			ns.Stop()
			p := start(t, ns.URL(), program...)
			p.fails(t)
		})
		t.Run(language+" with a wrong word", func(t *testing.T) {
			t.Parallel()
			ns := natstest.Start(t)
			_, js := ns.Connect()
			if err := bus.Ensure(deadline(t, exampleTimeout), js, 1, bus.StreamOrders); err != nil {
				t.Fatal(err)
			}
			p := start(t, ns.URL(), append(program, "from", "yesterday")...)
			p.fails(t)
		})
	}
}

// As other programs run them: in their own account, over TLS with a certificate.
func TestExamplesWithTheConsumersKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings, err := natsauth.MakeKeys(dir)
	if err == nil {
		err = natsauth.MakeCertificates(dir, "127.0.0.1", "localhost") // nats.js checks the latter where it connects to an address
	}
	if err != nil {
		t.Fatal(err)
	}
	server := func(file string) string { return strconv.Quote(filepath.Join(dir, "server", file)) }
	settings += "tls { verify: true, ca_file: " + server(natsauth.CAFile) + ", cert_file: " + server(natsauth.CertFile) + ", key_file: " + server(natsauth.KeyFile) + " }"
	ns := natstest.Start(t, func(o *natsserver.Options) {
		o.CustomClientAuthentication = nil
		if err := o.ProcessConfigString(settings); err != nil {
			t.Fatal(err)
		}
	})
	user := func(name, file string) string { return filepath.Join(dir, name, file) }
	nc, err := bus.Connect(deadline(t, exampleTimeout), quiet, bus.Options{
		URL: ns.URL(), Name: "airtable-sync", Nkey: user("airtable-sync", natsauth.SeedFile), CA: user("airtable-sync", natsauth.CAFile),
		Cert: user("airtable-sync", natsauth.CertFile), Key: user("airtable-sync", natsauth.KeyFile),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := bus.JetStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Ensure(deadline(t, exampleTimeout), js, 1, bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	defer bus.KeepMirror(t.Context(), quiet, js, 1, bus.StreamOrders)()
	publish(t, js, goldenMessages(t)[0])
	env := []string{
		"NATS_URL=" + ns.URL(), "NATS_NKEY=" + user(natsauth.Consumer, natsauth.SeedFile), "NATS_CA=" + user(natsauth.Consumer, natsauth.CAFile),
		"NATS_CERT=" + user(natsauth.Consumer, natsauth.CertFile), "NATS_KEY=" + user(natsauth.Consumer, natsauth.KeyFile),
	}
	nkey, err := nats.NkeyOptionFromSeed(user(natsauth.Consumer, natsauth.SeedFile))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := nats.Connect(ns.URL(), nkey, nats.RootCAs(user(natsauth.Consumer, natsauth.CAFile)),
		nats.ClientCert(user(natsauth.Consumer, natsauth.CertFile), user(natsauth.Consumer, natsauth.KeyFile)))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	mirrors, err := jetstream.New(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if stream, err := mirrors.Stream(deadline(t, exampleTimeout), bus.StreamOrders); err == nil && stream.CachedInfo().State.Msgs == 1 {
			break
		}
	}
	for _, program := range [][]string{buildGo(t), installJS(t)} {
		p := startIn(t, env, append(program, "from", "1")...)
		p.stderr.says(t, "subscribed")
		p.stdout.says(t, `1 created recA1b2C3d4E5f6G7 "ORD-00042" "Pending" "1250.5"`)
		p.interrupt(t)
	}
}

func buildGo(t *testing.T) []string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "subscribe")
	if out, err := exec.CommandContext(deadline(t, exampleTimeout), "go", "build", "-C", filepath.Join("..", "..", "examples", "go"), "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []string{binary}
}

func installJS(t *testing.T) []string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("the JavaScript example needs Node.js 20 or newer:", err)
	}
	dir := filepath.Join("..", "..", "examples", "js")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@nats-io", "jetstream")); err != nil {
		install := exec.CommandContext(deadline(t, exampleTimeout), "npm", "ci")
		install.Dir = dir
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
	}
	return []string{node, filepath.Join(dir, "subscribe.js")}
}

// goldenMessages reads the messages that pin the contract: a subject, headers, a blank line, the body.
func goldenMessages(t *testing.T) []*nats.Msg {
	t.Helper()
	files, err := filepath.Glob("../event/testdata/golden/*.txt")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d golden messages: %v", len(files), err)
	}
	var all []*nats.Msg
	for _, f := range files {
		file, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := bytes.Cut(file, []byte("\n\n"))
		lines := strings.Split(string(head), "\n")
		m := &nats.Msg{Subject: lines[0], Header: nats.Header{}, Data: bytes.ReplaceAll(bytes.TrimSpace(body), []byte("1250.50"), []byte("1250.5"))}
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ": ")
			m.Header.Set(name, value)
		}
		all = append(all, m)
	}
	return all
}

// again is the message with another id: another event.
func again(m *nats.Msg, id string) *nats.Msg {
	h := nats.Header{}
	for name, values := range m.Header {
		h[name] = slices.Clone(values)
	}
	h.Set(nats.MsgIdHdr, id)
	h.Set("ce-id", id)
	return &nats.Msg{Subject: m.Subject, Header: h, Data: m.Data}
}

func publish(t *testing.T, js jetstream.JetStream, m *nats.Msg) {
	t.Helper()
	if _, err := bus.Publish(deadline(t, exampleTimeout), js, m); err != nil {
		t.Fatal(err)
	}
}

// process is a running example.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr lines
}

type lines chan string

func (l lines) says(t *testing.T, want string) {
	t.Helper()
	select {
	case line, ok := <-l:
		if line != want {
			t.Fatalf("got the line %q (end %t), want %q", line, !ok, want)
		}
	case <-time.After(exampleTimeout):
		t.Fatalf("no line, want %q", want)
	}
}

func start(t *testing.T, url string, program ...string) *process {
	t.Helper()
	return startIn(t, []string{"NATS_URL=" + url}, program...)
}

func startIn(t *testing.T, env []string, program ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(deadline(t, exampleTimeout), program[0], program[1:]...)}
	p.cmd.Env = append(os.Environ(), env...)
	read := func(pipe io.ReadCloser, err error) lines {
		if err != nil {
			t.Fatal(err)
		}
		l := make(lines, 64)
		go func() {
			defer close(l)
			for s := bufio.NewScanner(pipe); s.Scan(); {
				l <- s.Text()
			}
		}()
		return l
	}
	p.stdout, p.stderr = read(p.cmd.StdoutPipe()), read(p.cmd.StderrPipe())
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // if the test failed before its end
	return p
}

// interrupt presses Ctrl-C: the program says nothing more and exits with 0.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for line := range p.stdout {
		t.Errorf("then said %q", line)
	}
	for line := range p.stderr {
		t.Errorf("then complained: %q", line)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// fails checks that the program ends with 1 and one line that says why.
func (p *process) fails(t *testing.T) {
	t.Helper()
	var said []string
	for line := range p.stderr {
		said = append(said, line)
	}
	for line := range p.stdout {
		t.Errorf("said %q", line)
	}
	_ = p.cmd.Wait() // the code tells
	if code := p.cmd.ProcessState.ExitCode(); code != 1 || len(said) != 1 || !strings.HasPrefix(said[0], "subscribe: ") {
		t.Errorf("ended with %d: %q", code, said)
	}
}
