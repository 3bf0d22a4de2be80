package service_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/service"
)

// patience bounds what should happen soon; only a failing test waits that long.
const patience = 30 * time.Second

const modeVariable = "SERVICE_TEST_MODE"

type config struct {
	service.Base

	Interval float64       `env:"TEST_INTERVAL" envDefault:"5"`
	Other    float64       `env:"TEST_OTHER" envDefault:"5"`
	Wait     time.Duration `env:"TEST_WAIT" envDefault:"1s"`
	Secret   string        `env:"TEST_SECRET"`
	Needed   string        `env:"TEST_NEEDED,required"`
}

func (c *config) Validate() error {
	errs := []error{c.Base.Validate()}
	if c.Interval <= 0 {
		errs = append(errs, fmt.Errorf("TEST_INTERVAL: %g is not positive", c.Interval))
	}
	return errors.Join(errs...)
}

// modes are what this binary does when a test runs it as a service.
var modes = map[string]func(context.Context, config) error{
	"show": func(_ context.Context, c config) error {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{
			"interval": c.Interval, "secret": c.Secret, "nats": c.NATSURL, "replicas": c.NATSReplicas, "debug": c.Debug,
			"ready": c.Log != nil && c.Health != nil,
		})
	},
	"fails": func(context.Context, config) error {
		return errors.Join(errors.New("the port is taken"), errors.New("the disk is full"))
	},
	"cancels": func(context.Context, config) error { return fmt.Errorf("somebody else: %w", context.Canceled) },
	"drains": func(ctx context.Context, _ config) error {
		ready()
		<-ctx.Done()
		fmt.Println("drained")
		return nil
	},
	"drains and says so": func(ctx context.Context, _ config) error {
		ready()
		<-ctx.Done()
		return errors.Join(fmt.Errorf("listen: %w", ctx.Err()), nil)
	},
	"drains badly": func(ctx context.Context, _ config) error {
		ready()
		<-ctx.Done()
		return errors.Join(ctx.Err(), errors.New("an answer was not sent"))
	},
	"hangs": func(ctx context.Context, _ config) error {
		ready()
		<-ctx.Done()
		fmt.Println("hanging")
		select {}
	},
}

func ready() { fmt.Println("ready") }

func TestMain(m *testing.M) {
	mode := os.Getenv(modeVariable)
	switch mode {
	case "":
		os.Exit(m.Run())
	case "hangs briefly":
		os.Exit(service.Supervise("test", modes["hangs"], 100*time.Millisecond))
	default:
		service.Main("test", modes[mode])
		os.Exit(0)
	}
}

// child is this binary run as a service, in a folder of its own.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string
	stderr strings.Builder
}

func start(t *testing.T, mode, dotEnv string, env ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := &child{t: t, cmd: exec.CommandContext(ctx, self), lines: make(chan string, 16)}
	c.cmd.Dir = t.TempDir()
	c.cmd.Env = append([]string{modeVariable + "=" + mode, "GOCOVERDIR=" + t.TempDir()}, env...)
	c.cmd.Stderr = &c.stderr
	if dotEnv != "" {
		if err := os.WriteFile(filepath.Join(c.cmd.Dir, ".env"), []byte(dotEnv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.lines <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	return c
}

func (c *child) says(want string) {
	c.t.Helper()
	if line := <-c.lines; line != want {
		c.t.Fatalf("said %q, want %q\n%s", line, want, &c.stderr)
	}
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// exits waits for the end and gives the lines on stderr.
func (c *child) exits(want int) []string {
	c.t.Helper()
	for range c.lines { // until it closes its output
	}
	err := c.cmd.Wait()
	if code := c.cmd.ProcessState.ExitCode(); code != want {
		c.t.Errorf("exit code %d, want %d: %v\n%s", code, want, err, &c.stderr)
	}
	return strings.FieldsFunc(c.stderr.String(), func(r rune) bool { return r == '\n' })
}

const needed = "TEST_NEEDED=yes"

func TestSignals(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		for _, mode := range []string{"drains", "drains and says so"} {
			t.Run(fmt.Sprint(s, " ", mode), func(t *testing.T) {
				t.Parallel()
				c := start(t, mode, "", needed)
				c.says("ready")
				c.signal(s)
				if mode == "drains" {
					c.says("drained")
				}
				if lines := c.exits(0); len(lines) > 0 {
					t.Errorf("complained: %q", lines)
				}
			})
		}
	}
	t.Run("what fails while draining is told", func(t *testing.T) {
		t.Parallel()
		c := start(t, "drains badly", "", needed)
		c.says("ready")
		c.signal(syscall.SIGTERM)
		if lines := c.exits(1); !slices.Equal(lines, []string{"test: an answer was not sent"}) {
			t.Errorf("%q", lines)
		}
	})
	t.Run("the second ends it at once", func(t *testing.T) {
		t.Parallel()
		c := start(t, "hangs", "", needed)
		c.says("ready")
		c.signal(os.Interrupt)
		c.says("hanging")
		began := time.Now()
		c.signal(syscall.SIGTERM)
		c.exits(130)
		if d := time.Since(began); d >= service.DrainTime {
			t.Errorf("after %s", d)
		}
	})
	t.Run("time to drain is limited", func(t *testing.T) {
		t.Parallel()
		c := start(t, "hangs briefly", "", needed)
		c.says("ready")
		c.signal(syscall.SIGTERM)
		c.says("hanging")
		if lines := c.exits(1); !slices.Equal(lines, []string{"test: not drained after 100ms"}) {
			t.Errorf("%q", lines)
		}
	})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string][]string{
		"fails":   {"test: the port is taken", "test: the disk is full"},
		"cancels": {"test: somebody else: context canceled"},
	} {
		if lines := start(t, mode, "", needed).exits(1); !slices.Equal(lines, want) {
			t.Errorf("%s: %q", mode, lines)
		}
	}
}

// Every mistake is reported, each on a line that begins with its variable, and the run never starts.
func TestLoadReportsEveryMistake(t *testing.T) {
	t.Parallel()
	c := start(t, "show", "TEST_OTHER=many\n",
		"TEST_INTERVAL=many", "TEST_WAIT=5", "NATS_REPLICAS=7", "METRICS_ADDR=nowhere", "LOG_FORMAT=xml", "DEBUG=perhaps",
		"NATS_URL=nats://ok:4222,http://user:s3cret@h,nats://user:s3cret@[::1", "NATS_CREDS=/does/not/exist", "NATS_NKEY=/does/not/exist", "NATS_CERT=/dev/null")
	lines := c.exits(1)
	for _, variable := range []string{
		`TEST_OTHER: "many"`, `TEST_INTERVAL: "many"`, `TEST_WAIT: "5"`, "NATS_REPLICAS: 7", "METRICS_ADDR: ", "LOG_FORMAT: ",
		`DEBUG: "perhaps"`, "NATS_URL: number 2", "NATS_CREDS: ", "NATS_NKEY: ", "NATS_CERT: ", "TEST_NEEDED",
	} {
		n := 0
		for _, line := range lines {
			if strings.HasPrefix(line, "test: ") && strings.Contains(line, variable) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%q is on %d lines", variable, n)
		}
	}
	if text := strings.Join(lines, "\n"); t.Failed() || len(lines) != 12 || strings.Contains(text, "s3cret") {
		t.Errorf("%d lines:\n%s", len(lines), text)
	}
}

func TestDotEnv(t *testing.T) {
	t.Parallel()
	shows := func(dotEnv string, env ...string) map[string]any {
		t.Helper()
		c := start(t, "show", dotEnv, append(env, needed)...)
		line := <-c.lines
		c.exits(0)
		var shown map[string]any
		if err := json.Unmarshal([]byte(line), &shown); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		return shown
	}
	defaults := shows("")
	if defaults["interval"] != 5.0 || defaults["nats"] != "nats://127.0.0.1:4222" || defaults["replicas"] != 1.0 || defaults["ready"] != true {
		t.Errorf("defaults: %v", defaults)
	}
	both := shows("# ours\nexport TEST_INTERVAL=0.5\nTEST_SECRET='a \"b\" #c'\nDEBUG=true\n", "DEBUG=false")
	if both["interval"] != 0.5 || both["secret"] != `a "b" #c` || both["debug"] != false {
		t.Errorf("the environment comes first, .env after it: %v", both)
	}
	for _, broken := range []string{"TEST_SECRET='s3cret\n", "TEST SECRET s3cret\n", "{\"TEST_SECRET\": \"s3cret\"}"} {
		lines := start(t, "show", broken, needed).exits(1)
		if len(lines) != 1 || !strings.HasPrefix(lines[0], "test: .env: ") || strings.Contains(lines[0], "s3cret") {
			t.Errorf("%q: %q", broken, lines)
		}
	}
}
