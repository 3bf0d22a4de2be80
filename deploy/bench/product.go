package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/natsauth"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
)

const password = "bench-bench-bench" //nolint:gosec // of a server that lives for a minute on loopback

// product is a running .bin/resonance.
type product struct {
	cmd      *exec.Cmd
	exited   chan error
	base     string // http://host:port
	natsURL  string
	nkey     string // the seed of the operator's key
	token    string
	readyFor time.Duration // from the start of the process
}

// startProduct starts the product on free ports, with orders in its sandbox.
func startProduct(ctx context.Context, binary, dir, database string, orders int, more ...string) (*product, error) {
	httpAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	natsAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // our Ctrl-C is not its own
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"HTTP_ADDR=" + httpAddr, "NATS_ADDR=" + natsAddr, "DATA_DIR=" + dir, "DATABASE_URL=" + database,
		"ADMIN_PASSWORD=" + password, "AIRTABLE_SANDBOX_ORDERS=" + strconv.Itoa(orders), "AIRTABLE_SANDBOX_RATE=0",
		"SYNC_INTERVAL_MINUTES=600",
	}
	cmd.Env = append(cmd.Env, more...)
	var output bytes.Buffer
	cmd.Stderr = &output
	began := time.Now()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the product: %w", err)
	}
	p := &product{cmd: cmd, exited: make(chan error, 1), base: "http://" + httpAddr, natsURL: "nats://" + natsAddr,
		nkey: filepath.Join(dir, "sandbox", "nats-keys", natsauth.Operator, natsauth.SeedFile)}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "Resonance is ready") {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
		p.exited <- cmd.Wait()
	}()
	select {
	case <-ready:
	case err := <-p.exited:
		return nil, errors.Join(err, fmt.Errorf("the product ended: %s", output.String()))
	case <-time.After(time.Minute):
		return nil, errors.Join(errors.New("the product is not ready after a minute"), p.stop())
	}
	p.readyFor = time.Since(began)
	return p, nil
}

// login gets the token of every request that follows.
func (p *product) login(ctx context.Context) error {
	form := url.Values{"username": {"admin"}, "password": {password}}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := p.call(ctx, http.MethodPost, "/token", strings.NewReader(form.Encode()), &token, nil); err != nil {
		return err
	}
	p.token = token.AccessToken
	return nil
}

func (p *product) call(ctx context.Context, method, path string, body io.Reader, out any, header *http.Header) error {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, body)
	if err != nil {
		return err
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	if header != nil {
		*header = res.Header
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// total is how many orders the API counts.
func (p *product) total(ctx context.Context) (int, error) {
	var page struct {
		Total int `json:"total"`
	}
	err := p.call(ctx, http.MethodGet, "/api/orders?page_size=1", nil, &page, nil)
	return page.Total, err
}

// until waits until the API counts n orders.
func (p *product) until(ctx context.Context, n int) error {
	for {
		total, err := p.total(ctx)
		if err != nil || total >= n {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// untilIn waits until the database has n orders by the product's own totals, asked without the
// product: neither a login nor a page is part of what is measured meanwhile.
func untilIn(ctx context.Context, db *pgx.Conn, n int) error {
	for {
		var have int
		err := db.QueryRow(ctx, "select n from orders.rollup where dim = 'all'").Scan(&have)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) || have >= n {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// cached waits until path is answered without asking Odoo.
func (p *product) cached(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var header http.Header
		err := p.call(ctx, http.MethodGet, path, nil, new(json.RawMessage), &header)
		if age, bad := strconv.Atoi(header.Get("Age")); err == nil && bad == nil && age > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not come from the cache", path), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (p *product) firstRun(ctx context.Context) (syncapi.Run, error) {
	var state struct {
		Recent []struct {
			StartedAt  time.Time  `json:"started_at"`
			FinishedAt *time.Time `json:"finished_at"`
			State      string     `json:"state"`
			Created    int        `json:"created"`
		} `json:"recent"`
	}
	for {
		if err := p.call(ctx, http.MethodGet, "/api/orders/sync", nil, &state, nil); err != nil {
			return syncapi.Run{}, err
		}
		if n := len(state.Recent); n > 0 {
			r := state.Recent[n-1]
			return syncapi.Run{StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, State: syncapi.RunState(r.State), Created: r.Created}, nil
		}
		select {
		case <-ctx.Done():
			return syncapi.Run{}, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// resident is the process's resident memory, in MiB.
func (p *product) resident() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// stop asks the product to drain and waits for it.
func (p *product) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-p.exited:
		return err
	case <-time.After(15 * time.Second):
		return errors.Join(errors.New("the product does not stop"), p.cmd.Process.Kill())
	}
}

func freeAddr() (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// connectNATS connects as the operator, who may do everything that the services may.
func connectNATS(url, seed string) (*nats.Conn, error) {
	nkey, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("read the operator's key: %w", err)
	}
	return nats.Connect(url, nkey)
}
