package chaos

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// build makes the binaries that are to be killed, with the race detector if this test has it.
func build(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"build", "-o", dir}
	if raceEnabled {
		args = append(args, "-race")
	}
	const module = "github.com/resonance/resonance/services/"
	for _, s := range []string{"orders", "airtable-sync", "gateway"} {
		args = append(args, module+s+"/cmd/"+s)
	}
	run(t, exec.CommandContext(t.Context(), "go", args...))
	run(t, exec.CommandContext(t.Context(), "go", "build", "-o", dir, "github.com/nats-io/nats-server/v2"))
	return dir
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

// process is a program that is started again whenever it was killed.
type process struct {
	t    *testing.T
	name string
	path string
	args []string
	env  []string
	log  *os.File

	cmd    *exec.Cmd
	exited chan struct{}
}

func newProcess(t *testing.T, logs, name, path string, env []string, args ...string) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(logs, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, path: path, args: args, env: env, log: log}
	t.Cleanup(func() {
		p.kill()
		p.inspect()
		_ = log.Close()
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=halt_on_error=1"}, p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	exited, cmd := make(chan struct{}), p.cmd
	p.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // killed
	}()
}

// kill is SIGKILL. It reports whether the process had still been running.
func (p *process) kill() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	return true
}

// inspect fails the test if the process did what no process may.
func (p *process) inspect() {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.t.Error(err)
		return
	}
	for _, sign := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if i := bytes.Index(text, []byte(sign)); i >= 0 {
			p.t.Errorf("%s:\n%s", p.name, text[i:min(len(text), i+4000)])
		}
	}
	if p.t.Failed() && os.Getenv("CHAOS_LOGS") != "" {
		_ = os.WriteFile(filepath.Join(os.Getenv("CHAOS_LOGS"), p.name+".log"), text, 0o600)
	}
}

// eventually tries until what returns nil, or fails with its last error.
func eventually(t *testing.T, within time.Duration, what func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var err error
	for {
		if err = what(); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("still after %s: %v", within, err)
		}
	}
}
