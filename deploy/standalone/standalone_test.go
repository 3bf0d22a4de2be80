package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/porttest"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// binary is the product, built once as `make run` builds it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "resonance-standalone-")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "resonance")
	if text, err := exec.Command("go", "build", "-o", out, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return out, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is one run of the product.
type process struct {
	*testing.T
	cmd    *exec.Cmd
	env    map[string]string
	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	exited chan struct{}
}

// world is the environment several runs share.
func world(t *testing.T) map[string]string {
	t.Helper()
	t.Parallel()
	// Postgres runs as a user of its own, who must get there: not below a private directory.
	dir, err := os.MkdirTemp("", "resonance-data-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": os.Getenv("HOME"), "DATA_DIR": filepath.Join(dir, "data"), "LANG": "C",
		"HTTP_ADDR": porttest.Addr(t), "NATS_ADDR": porttest.Addr(t), "AIRTABLE_SANDBOX_ORDERS": "300",
	}
}

func launch(t *testing.T, env map[string]string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return launchAt(t, path, env)
}

func launchAt(t *testing.T, path string, env map[string]string) *process {
	t.Helper()
	p := &process{T: t, cmd: exec.Command(path), env: env, exited: make(chan struct{})}
	p.cmd.Dir = t.TempDir() // no .env
	for k, v := range env {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.writer(&p.stdout), p.writer(&p.stderr)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", p.read(&p.stdout), p.read(&p.stderr))
		}
	})
	return p
}

type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w lockedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

func (p *process) writer(b *bytes.Buffer) io.Writer { return lockedWriter{&p.mu, b} }

func (p *process) read(b *bytes.Buffer) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.String()
}

// until polls a condition for up to a minute.
func (p *process) until(what string, done func() bool) {
	p.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
		select {
		case <-p.exited:
			p.Fatalf("ended before: %s", what)
		default:
		}
	}
	p.Fatalf("not within a minute: %s", what)
}

func (p *process) ready() {
	p.Helper()
	p.until("ready", func() bool { return strings.Contains(p.read(&p.stdout), "Resonance is ready") })
}

// signal sends sig and waits for the end; it returns the exit code and how long it took.
func (p *process) signal(sig os.Signal) (code int, took time.Duration) {
	p.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.Fatal(err)
	}
	return p.wait(), time.Since(began)
}

func (p *process) wait() int {
	p.Helper()
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.Fatal("does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) login(password string) string {
	p.Helper()
	res, err := http.PostForm("http://"+p.env["HTTP_ADDR"]+"/token", url.Values{"username": {"admin"}, "password": {password}})
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&token); err != nil || token.AccessToken == "" {
		p.Fatalf("login: %s, %v", res.Status, err)
	}
	return token.AccessToken
}

// addUser does as the README says.
func (p *process) addUser(name, password string) {
	p.Helper()
	cmd := exec.CommandContext(p.Context(), p.cmd.Path, "user", name, "operator")
	cmd.Dir, cmd.Env, cmd.Stdin = p.cmd.Dir, p.cmd.Env, strings.NewReader(password+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.Fatalf("%v: %s", err, out)
	}
}

func (p *process) get(token, path string, out any) int {
	p.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+p.env["HTTP_ADDR"]+path, nil)
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		p.Fatalf("%s: %v", path, err)
	}
	return res.StatusCode
}

func (p *process) total(token string) int {
	p.Helper()
	var page struct {
		Total int `json:"total"`
	}
	p.get(token, "/api/orders", &page)
	return page.Total
}

var loginLine = regexp.MustCompile(`Login +admin / (\S+)`)

// One command: everything starts, tells its login, serves, drains on Ctrl-C, and has its data the
// next time, also after SIGKILL (invariant 7).
func TestRunStopAndRunAgain(t *testing.T) {
	env := world(t)
	p := launch(t, env)
	p.ready()
	out := p.read(&p.stdout)
	m := loginLine.FindStringSubmatch(out)
	if m == nil || !strings.Contains(out, "SANDBOX") || !strings.Contains(out, env["HTTP_ADDR"]) || !strings.Contains(out, env["NATS_ADDR"]) {
		t.Fatalf("the banner says\n%s", out)
	}
	password := m[1]
	token := p.login(password)
	p.until("300 orders", func() bool { return p.total(token) == 300 })
	if strings.Contains(p.read(&p.stderr), password) {
		t.Fatal("the log has the password")
	}
	p.addUser("ana", "correct horse")
	if res, err := http.PostForm("http://"+env["HTTP_ADDR"]+"/token", url.Values{"username": {"ana"}, "password": {"correct horse"}}); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("the login of a user that was added: %v, %v", res, err)
	} else {
		_ = res.Body.Close()
	}
	if code, took := p.signal(os.Interrupt); code != 0 || took > 10*time.Second {
		t.Fatalf("exit %d after %s", code, took)
	}

	p = launch(t, env)
	p.ready()
	if strings.Contains(p.read(&p.stdout), password) {
		t.Fatal("the password is shown again")
	}
	if got := p.total(token); got != 300 { // the token still holds as well
		t.Fatalf("%d orders after a restart", got)
	}
	if code, _ := p.signal(syscall.SIGKILL); code != -1 {
		t.Fatalf("exit %d", code)
	}

	p = launch(t, env)
	p.ready()
	token = p.login(password)
	p.until("300 orders", func() bool { return p.total(token) == 300 })
	var page struct {
		Data []struct {
			RecordID string `json:"record_id"`
		} `json:"data"`
	}
	if status := p.get(token, "/api/orders?page_size=100", &page); status != http.StatusOK || len(page.Data) != 100 {
		t.Fatalf("%d, %d orders", status, len(page.Data))
	}
	if code, took := p.signal(syscall.SIGTERM); code != 0 || took > 10*time.Second {
		t.Fatalf("exit %d after %s", code, took)
	}
}

// Postgres dies under the product: reads are a 503 within two seconds, and come back by themselves.
func TestPostgresDies(t *testing.T) {
	p := launch(t, world(t))
	p.ready()
	token := p.login(loginLine.FindStringSubmatch(p.read(&p.stdout))[1])
	p.until("300 orders", func() bool { return p.total(token) == 300 })
	pidFile := filepath.Join(p.env["DATA_DIR"], "sandbox", "postgres", "data", "postmaster.pid")
	lines, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(lines), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var problem struct {
		Detail string `json:"detail"`
	}
	began := time.Now()
	status := p.get(token, "/api/orders", &problem)
	if took := time.Since(began); took > 2*time.Second || status != http.StatusServiceUnavailable && status != http.StatusOK {
		t.Fatalf("%d after %s", status, took)
	}
	// Its children may answer for a moment longer; what counts is that a new one does.
	again := func() bool { return strings.Count(p.read(&p.stderr), "local postgres is ready") == 2 }
	p.until("started again", again)
	p.until("back", func() bool { return p.total(token) == 300 })
	if code, took := p.signal(os.Interrupt); code != 0 || took > 10*time.Second {
		t.Fatalf("exit %d after %s", code, took)
	}
}

// Where nothing can be synced, everything else works, and both the banner and /readyz say so.
func TestBannerSaysWhatDoesNotSync(t *testing.T) {
	env := world(t)
	sandbox, endpoint := airtabletest.Start(t, airtabletest.Config{Orders: 1, RatePerSecond: -1})
	sc := sandbox.Config()
	env["AIRTABLE_ENDPOINT_URL"], env["AIRTABLE_API_KEY"] = endpoint, "wrong"
	env["AIRTABLE_BASE_ID"], env["AIRTABLE_TABLE_ID"] = sc.BaseID, sc.TableID
	p := launch(t, env)
	p.ready()
	if text := p.read(&p.stdout); !strings.Contains(text, "ATTENTION  Orders are not synced: Airtable does not accept the key") {
		t.Error(text)
	}
	resp, err := http.Get("http://" + env["HTTP_ADDR"] + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"sync":"degraded"`) {
		t.Errorf("%d %s, %v", resp.StatusCode, body, err)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := launch(t, world(t))
	p.ready()
	// Both at once: the second is there before anything has drained.
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code, took := p.signal(os.Interrupt)
	if code != 130 && code != 0 || took > 5*time.Second {
		t.Fatalf("exit %d after %s", code, took)
	}
}

// What is wrong is said in one line each, with exit code 1.
func TestMistakesAreOneLineEach(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for name, c := range map[string]struct {
		env   map[string]string
		lines []string
	}{
		"HTTP port in use":         {map[string]string{"HTTP_ADDR": taken.Addr().String()}, []string{"HTTP_ADDR"}},
		"NATS port in use":         {map[string]string{"NATS_ADDR": taken.Addr().String()}, []string{"NATS cannot listen"}},
		"NATS open to the network": {map[string]string{"NATS_ADDR": "0.0.0.0:4222"}, []string{"NATS_ADDR: 0.0.0.0:4222 can be reached from other machines"}},
		"wrong variables": {
			map[string]string{"SYNC_INTERVAL_MINUTES": "soon", "HTTP_ADDR": "nowhere", "DEBUG": "perhaps", "JWT_SECRET": "short"},
			[]string{"SYNC_INTERVAL_MINUTES", "HTTP_ADDR", "DEBUG", "JWT_SECRET"},
		},
		"half of Airtable": {map[string]string{"AIRTABLE_API_KEY": "patX"}, []string{"AIRTABLE_BASE_ID", "AIRTABLE_TABLE_ID"}},
		"no Postgres":      {map[string]string{"PG_BIN": "/nonexistent"}, []string{"PG_BIN"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := world(t)
			maps.Copy(env, c.env)
			p := launch(t, env)
			if code := p.wait(); code != 1 {
				t.Fatalf("exit %d", code)
			}
			var complaints []string
			for line := range strings.Lines(p.read(&p.stderr)) {
				if strings.HasPrefix(line, "resonance: ") {
					complaints = append(complaints, line)
				}
			}
			if len(complaints) != len(c.lines) {
				t.Fatalf("%d lines: %q", len(complaints), complaints)
			}
			for _, want := range c.lines {
				if !strings.Contains(strings.Join(complaints, ""), want) {
					t.Errorf("nothing about %s in %q", want, complaints)
				}
			}
		})
	}
}
