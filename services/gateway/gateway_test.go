package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/pkg/servicetest"
	"github.com/resonance/resonance/services/gateway"
)

// process is a running gateway.
type process struct {
	testing.TB
	url  string
	stop context.CancelFunc
	done chan error
}

func config(t testing.TB, natsURL string) gateway.Config {
	t.Helper()
	c := gateway.Config{
		HTTPAddr: "127.0.0.1:0", AdminUsername: "admin", AdminPassword: "correct horse", DataDir: t.TempDir(),
		Base: service.Base{NATSURL: natsURL, NATSReplicas: 1, LogFormat: "text", Log: slog.New(slog.DiscardHandler)},
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t testing.TB, c gateway.Config) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{TB: t, stop: stop, done: make(chan error, 1)}
	listening := make(chan net.Addr, 1)
	c.OnListen = func(a net.Addr) { listening <- a }
	go func() { p.done <- gateway.Run(ctx, c) }()
	t.Cleanup(stop)
	select {
	case a := <-listening:
		p.url = "http://" + a.String()
	case err := <-p.done:
		t.Fatal(err)
	}
	return p
}

// drain stops the process and wants it to end well.
func (p *process) drain() {
	p.Helper()
	p.stop()
	select {
	case err := <-p.done:
		if err != nil {
			p.Fatal(err)
		}
	case <-time.After(service.DrainTime):
		p.Fatal("not drained in time")
	}
}

func (p *process) do(method, path, token, form string) (int, http.Header, []byte) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), method, p.url+path, strings.NewReader(form))
	if err != nil {
		p.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	return resp.StatusCode, resp.Header, data
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// login polls until the sessions are there.
func (p *process) login(user, password string) (got tokens) {
	p.Helper()
	p.until(func() bool {
		status, _, data := p.do(http.MethodPost, "/token", "", "username="+user+"&password="+strings.ReplaceAll(password, " ", "+"))
		return status == http.StatusOK && json.Unmarshal(data, &got) == nil
	})
	return got
}

func (p *process) until(ok func() bool) {
	p.Helper()
	servicetest.Eventually(p, "what the test waits for", ok)
}

// inTime is what an answer may take while something is away.
const inTime = 2 * time.Second

// serveOrders stands in for the orders service; list may be nil.
func serveOrders(t testing.TB, nc *nats.Conn, list bus.Handler) {
	t.Helper()
	if list == nil {
		list = func(context.Context, []byte) (bus.Reply, error) {
			return bus.Reply{Data: []byte("[]"), Header: nats.Header{rpc.HeaderTotal: {"0"}}}, nil
		}
	}
	srv, err := bus.Serve(nc, slog.New(slog.DiscardHandler), bus.Service{
		Name: "orders", Version: "1.0.0", Workers: 4, Timeout: 20 * time.Second, Endpoints: map[string]bus.Handler{ordersapi.SubjectList: list},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Stop(t.Context()) }) // that context has ended: nobody is waited for
}

// It answers before NATS is there, with 503 and in time; and service comes, goes and comes back by
// itself.
func TestNATSComesAndGoes(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	ns.Stop()
	p := start(t, config(t, ns.URL()))
	away := func(method, path, token, form string) {
		t.Helper()
		began := time.Now()
		status, header, _ := p.do(method, path, token, form)
		if took := time.Since(began); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || took > inTime {
			t.Errorf("%s: %d after %s, Retry-After %q", path, status, took, header.Get("Retry-After"))
		}
	}
	away(http.MethodPost, "/token", "", "username=admin&password=correct+horse")
	away(http.MethodGet, "/readyz", "", "")
	if status, _, _ := p.do(http.MethodGet, "/healthz", "", ""); status != http.StatusOK {
		t.Errorf("healthz %d", status)
	}

	ns.Start()
	nc, _ := ns.Connect()
	serveOrders(t, nc, nil)
	session := p.login("admin", "correct horse")
	works := func() bool {
		status, _, _ := p.do(http.MethodGet, "/api/orders", session.Access, "")
		return status == http.StatusOK
	}
	p.until(works)
	p.until(func() bool { status, _, _ := p.do(http.MethodGet, "/readyz", "", ""); return status == http.StatusOK })
	offers := func(choice string) {
		t.Helper()
		source := columns.Source{Name: columns.Main, Columns: []columns.Column{
			{Name: "status", Field: "fld1", Kind: schema.Choice, Editable: true, Offers: []columns.Offer{{Value: choice, Title: choice}}},
		}}
		nc, js := ns.Connect()
		defer nc.Close()
		servicetest.Eventually(t, "the bucket of the columns", func() bool { return columns.Publish(t.Context(), js, source) == nil })
		p.until(func() bool {
			_, _, data := p.do(http.MethodGet, "/api/orders/columns", session.Access, "")
			return strings.Contains(string(data), choice)
		})
		status, _, data := p.do(http.MethodGet, "/api/orders?status=Lost", session.Access, "")
		if status != http.StatusBadRequest || !strings.Contains(string(data), "«"+choice+"»") {
			t.Errorf("%d %s", status, data)
		}
	}
	offers("Devuelto")

	ns.Stop()
	p.until(func() bool { return !works() })
	away(http.MethodGet, "/api/orders", session.Access, "")
	away(http.MethodPost, "/token/refresh", "", "refresh_token="+session.Refresh)
	away(http.MethodGet, "/readyz", "", "")

	ns.Wipe() // it comes back with nothing: people log in again, nobody has to help
	ns.Start()
	p.until(works)
	offers("En camino")
	again := p.login("admin", "correct horse")
	if status, _, _ := p.do(http.MethodPost, "/token/refresh", "", "refresh_token="+session.Refresh); status != http.StatusUnauthorized {
		t.Errorf("a session that was wiped: %d", status)
	}
	if status, _, _ := p.do(http.MethodPost, "/token/refresh", "", "refresh_token="+again.Refresh); status != http.StatusOK {
		t.Errorf("a new session: %d", status)
	}
	p.drain()
}

// A gateway is ready once people can log in, and not while NATS takes no writes, as with a full disk.
func TestReadyWhenSessionsCanBeWritten(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, js := ns.Connect()
	serveOrders(t, nc, nil)
	if err := bus.Ensure(t.Context(), js, 1, bus.BucketSessions); err != nil {
		t.Fatal(err)
	}
	limit := func(bytes int64) {
		t.Helper()
		stream, err := js.Stream(t.Context(), "KV_"+bus.BucketSessions)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxBytes = bytes
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	limit(10)
	p := start(t, config(t, ns.URL()))
	ready := func() (int, string) {
		status, _, body := p.do(http.MethodGet, "/readyz", "", "")
		return status, string(body)
	}
	p.until(func() bool {
		_, body := ready()
		return strings.Contains(body, `"nats":"ok"`) && strings.Contains(body, `"orders":"ok"`)
	})
	if status, body := ready(); status != http.StatusServiceUnavailable || !strings.Contains(body, `"sessions":"unavailable"`) {
		t.Errorf("%d %s", status, body)
	}
	limit(-1)
	p.until(func() bool { status, _ := ready(); return status == http.StatusOK })
	p.login("admin", "correct horse")
	p.drain()
}

// The sync may be in a process of its own: that it does not work shows all the same, and answers go on.
func TestDegradedSync(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, _ := ns.Connect()
	serveOrders(t, nc, nil)
	p := start(t, config(t, ns.URL()))
	sync := func() (got struct {
		Ready, Degraded bool
		Checks          map[string]string
	}) {
		_, _, body := p.do(http.MethodGet, "/readyz", "", "")
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	p.until(func() bool { return sync().Ready })
	if got := sync(); !got.Degraded || got.Checks["sync"] != "degraded" {
		t.Errorf("without a syncer: %+v", got)
	}
	var state atomic.Value
	state.Store(`{"degraded":{"es":"no","en":"no"}}`)
	srv, err := bus.Serve(nc, slog.New(slog.DiscardHandler), bus.Service{
		Name: "airtable-sync", Version: "1.0.0", Workers: 1, Timeout: time.Second,
		Endpoints: map[string]bus.Handler{syncapi.SubjectStatus: func(context.Context, []byte) (bus.Reply, error) {
			text, _ := state.Load().(string)
			return bus.Reply{Data: []byte(text)}, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop(t.Context())
	if got := sync(); !got.Ready || !got.Degraded || got.Checks["sync"] != "degraded" {
		t.Errorf("a syncer that cannot read: %+v", got)
	}
	state.Store(`{"state":"idle"}`)
	if got := sync(); !got.Ready || got.Degraded || got.Checks["sync"] != "ok" {
		t.Errorf("a syncer that works: %+v", got)
	}
}

// A service that hangs is a 503 within two seconds.
func TestServiceHangs(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, _ := ns.Connect()
	serveOrders(t, nc, func(ctx context.Context, _ []byte) (bus.Reply, error) {
		<-ctx.Done() // the deadline came along
		return bus.Reply{}, ctx.Err()
	})
	p := start(t, config(t, ns.URL()))
	session := p.login("admin", "correct horse")
	began := time.Now()
	status, header, body := p.do(http.MethodGet, "/api/orders", session.Access, "")
	if took := time.Since(began); status != http.StatusServiceUnavailable || took > inTime || header.Get("Retry-After") == "" {
		t.Errorf("%d after %s: %s", status, took, body)
	}
	p.drain()
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := config(t, "nats://127.0.0.1:1")
	c.HTTPAddr, c.AdminPassword = ln.Addr().String(), ""
	c.OnFirstLogin = func(string, string) { t.Error("a login is made by a process that cannot start") }
	err = gateway.Run(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "HTTP_ADDR") || !strings.Contains(err.Error(), "address already in use") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

// A bucket that is not as declared stops the start, and says how it differs.
func TestBucketDrift(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	_, js := ns.Connect()
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bus.BucketSessions, TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	err := gateway.Run(t.Context(), config(t, ns.URL()))
	if !errors.Is(err, bus.ErrDrift) || !strings.Contains(err.Error(), "TTL") {
		t.Errorf("%v", err)
	}
}

// With AUTH_PROVIDER=odoo it is odoo-bridge that knows the passwords; while it is away the
// administrator of ours gets in all the same.
func TestOdooUsersLogIn(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, _ := ns.Connect()
	var logged bytes.Buffer
	c := config(t, ns.URL())
	c.AuthProvider = "odoo"
	c.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := start(t, c)
	p.login("admin", "correct horse")
	status, header, body := p.do(http.MethodPost, "/token", "", "username=eva&password=s3cret")
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("without odoo-bridge: %d %v %s", status, header, body)
	}
	keys, err := odooapi.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := bus.Serve(nc, slog.New(slog.DiscardHandler), bus.Service{
		Name: "odoo", Version: "1.0.0", Workers: 4, Timeout: 20 * time.Second, Endpoints: map[string]bus.Handler{
			odooapi.SubjectLoginKey: func(context.Context, []byte) (bus.Reply, error) {
				return bus.Reply{Data: []byte(`{"key":"` + keys.Public + `"}`)}, nil
			},
			odooapi.LoginSubject(keys.Public): func(_ context.Context, data []byte) (bus.Reply, error) {
				var sealed odooapi.SealedLogin
				if err := json.Unmarshal(data, &sealed); err != nil {
					return bus.Reply{}, err
				}
				if c, err := keys.Open(sealed); err != nil || c != (odooapi.Credentials{Username: "eva", Password: "s3cret"}) {
					return bus.Reply{}, fault.New(fault.Unauthenticated, fault.T("no", "no"))
				}
				return bus.Reply{Data: []byte(`{"uid":7,"name":"Eva Núñez","role":"viewer"}`)}, nil
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Stop(t.Context()) }) // that context has ended: nobody is waited for
	session := p.login("eva", "s3cret")
	status, _, body = p.do(http.MethodGet, "/api/me", session.Access, "")
	if want := `{"username":"eva","name":"Eva Núñez","role":"viewer","provider":"odoo"}`; status != http.StatusOK || strings.TrimSpace(string(body)) != want {
		t.Errorf("%d %s", status, body)
	}
	if status, _, _ := p.do(http.MethodPost, "/token", "", "username=eva&password=wrong"); status != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", status)
	}
	p.drain()
	if strings.Contains(logged.String(), "s3cret") {
		t.Error("a password is logged")
	}
}

// Without a password the first start makes one; sessions outlive restarts.
func TestFirstLoginAndRestart(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, _ := ns.Connect()
	serveOrders(t, nc, nil)
	var logged bytes.Buffer
	c := config(t, ns.URL())
	c.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.AdminPassword = ""
	made := make(chan string, 2)
	c.OnFirstLogin = func(username, password string) {
		if username != "admin" {
			t.Errorf("username %q", username)
		}
		made <- password
	}
	p := start(t, c)
	password := <-made
	session := p.login("admin", password)
	p.drain()
	if strings.Contains(logged.String(), password) || strings.Contains(logged.String(), session.Refresh) {
		t.Error("a secret is logged")
	}
	data, err := os.ReadFile(filepath.Join(c.DataDir, "users"))
	if err != nil || bytes.Contains(data, []byte(password)) || !bytes.HasPrefix(data, []byte("admin:admin:$argon2id$")) {
		t.Errorf("%s %v", data, err)
	}

	c.Log = slog.New(slog.DiscardHandler)
	p = start(t, c)
	if status, _, _ := p.do(http.MethodGet, "/api/me", session.Access, ""); status != http.StatusOK {
		t.Errorf("the access token after a restart: %d", status)
	}
	p.until(func() bool {
		status, _, _ := p.do(http.MethodPost, "/token/refresh", "", "refresh_token="+session.Refresh)
		return status == http.StatusOK
	})
	p.drain()
	if len(made) != 0 {
		t.Error("a second login is made")
	}
}

// A request under way is answered although the process is told to stop.
func TestDrain(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	nc, _ := ns.Connect()
	asked, release := make(chan struct{}), make(chan struct{})
	serveOrders(t, nc, func(context.Context, []byte) (bus.Reply, error) {
		close(asked)
		<-release
		return bus.Reply{Data: []byte("[]"), Header: nats.Header{rpc.HeaderTotal: {"0"}}}, nil
	})
	p := start(t, config(t, ns.URL()))
	session := p.login("admin", "correct horse")
	answered := make(chan int)
	go func() {
		status, _, _ := p.do(http.MethodGet, "/api/orders", session.Access, "")
		answered <- status
	}()
	<-asked
	p.stop()
	p.until(func() bool { // no longer listening
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(release)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	p.drain()
}

func TestValidateNamesEveryMistake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := gateway.Config{
		HTTPAddr: "8000", JWTSecret: "short", AdminUsername: "a:b", AdminPassword: strings.Repeat("x", 2000), UsersFile: users, AuthProvider: "ldap",
		CORSOrigins: []string{"https://ok.example.com", "example.com", "https://x/path"}, TrustedProxies: []string{"10.0.0.0/8", "::1", "proxy"}, Base: service.Base{NATSReplicas: 1, LogFormat: "text"},
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	for _, name := range []string{"HTTP_ADDR", "JWT_SECRET", "ADMIN_USERNAME", "ADMIN_PASSWORD", "USERS_FILE", "AUTH_PROVIDER", "DATA_DIR", `CORS_ORIGINS: "example.com"`, `CORS_ORIGINS: "https://x/path"`, `TRUSTED_PROXIES: "proxy"`} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Error("the secret is in the error")
	}
}

func TestUserCommand(t *testing.T) { //nolint:paralleltest // sets the environment
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("USERS_FILE", filepath.Join(dir, "people"))
	t.Setenv("DATA_DIR", dir)
	var out bytes.Buffer
	if err := gateway.UserCommand([]string{"user", "ana", "operator"}, strings.NewReader("correct horse\nnot this"), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != "ana is operator in "+filepath.Join(dir, "people")+"\n" {
		t.Errorf("%q", out.String())
	}
	for _, args := range [][]string{{"user"}, {"user", "ana", "root"}, {"user", "a:b", "viewer"}, {"drop", "ana", "viewer"}} {
		if err := gateway.UserCommand(args, strings.NewReader("correct horse\n"), io.Discard); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	for _, bad := range []string{"", "short", "elevenchars", "Password1234\n", "aaaaaaaaaaaa", "ana123456789", "correct horse\xff", strings.Repeat("long enough ", 100)} {
		err := gateway.UserCommand([]string{"user", "ana", "viewer"}, strings.NewReader(bad), io.Discard)
		if err == nil || !strings.Contains(err.Error(), "password") {
			t.Errorf("the password %.20q: %v", bad, err)
		}
	}

	ns := natstest.Start(t)
	c := config(t, ns.URL())
	c.UsersFile = filepath.Join(dir, "people")
	p := start(t, c)
	p.login("ana", "correct horse")
	p.drain()
}
