package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/live"
	"github.com/resonance/resonance/services/gateway/internal/push"
)

const livePatience = 30 * time.Second

// follow lets the rig's hub follow a stream.
func (r *rig) follow() jetstream.JetStream {
	r.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.Fatal(err)
	}
	if _, err := js.CreateStream(r.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}}); err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.hub.Run(ctx, js) }()
	r.Cleanup(func() { cancel(); <-ended })
	return js
}

func (r *rig) change(js jetstream.JetStream, id string) {
	r.Helper()
	if _, err := js.Publish(r.Context(), "s."+id, nil); err != nil {
		r.Fatal(err)
	}
}

// dial opens a WebSocket, with a token in the header if there is one, and gives the status of the answer.
func (r *rig) dial(ctx context.Context, token, query string, headers ...string) (*websocket.Conn, int, error) {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	conn, res, err := websocket.Dial(ctx, strings.Replace(r.url, "http", "ws", 1)+"/ws"+query, &websocket.DialOptions{HTTPHeader: h})
	if res == nil {
		r.Fatal(err)
	}
	if res.Body != nil {
		defer res.Body.Close()
	}
	if err == nil {
		r.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, res.StatusCode, err
}

func readMessage(t *testing.T, ctx context.Context, conn *websocket.Conn) live.Message { //nolint:revive // t first, as everywhere
	t.Helper()
	var m live.Message
	if err := wsjson.Read(ctx, conn, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	js := r.follow()
	ctx, cancel := context.WithTimeout(t.Context(), livePatience)
	defer cancel()
	byHeader, _, err := r.dial(ctx, r.tokens[auth.Viewer], "")
	if err != nil {
		t.Fatal(err)
	}
	byMessage, _, err := r.dial(ctx, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := wsjson.Write(ctx, byMessage, push.Login{Token: r.tokens[auth.Viewer]}); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*websocket.Conn{byHeader, byMessage} {
		if m := readMessage(t, ctx, conn); m.Type != "ready" || m.Cursor == "" {
			t.Fatalf("%+v", m)
		}
	}
	r.change(js, "rec1")
	cursor := ""
	for _, conn := range []*websocket.Conn{byHeader, byMessage} {
		m := readMessage(t, ctx, conn)
		if m.Type != "changes" || len(m.Changes) != 1 || fmt.Sprint(m.Changes[0].Updated) != "[rec1]" {
			t.Fatalf("%+v", m)
		}
		cursor = m.Cursor
	}
	_ = byHeader.Close(websocket.StatusNormalClosure, "")
	r.change(js, "rec2")
	readMessage(t, ctx, byMessage)
	back, _, err := r.dial(ctx, r.tokens[auth.Viewer], "?since="+cursor)
	if err != nil {
		t.Fatal(err)
	}
	if m := readMessage(t, ctx, back); len(m.Reset) > 0 || len(m.Changes) != 1 || fmt.Sprint(m.Changes[0].Updated) != "[rec2]" {
		t.Fatalf("missed was rec2: %+v", m)
	}
	close(r.draining)
	_, _, err = back.Read(ctx)
	if websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("drained with %v", err)
	}
}

func TestWebSocketTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.follow()
	ctx, cancel := context.WithTimeout(t.Context(), livePatience)
	defer cancel()
	if _, status, err := r.dial(ctx, "nonsense", ""); err == nil || status != http.StatusUnauthorized {
		t.Errorf("a bad token: %v", err)
	}
	closed := func(conn *websocket.Conn) websocket.StatusCode {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return websocket.CloseStatus(err)
			}
		}
	}
	for name, hello := range map[string]string{"bad token": `{"token":"nonsense"}`, "no token": `{}`, "no JSON": `x`, "too long": strings.Repeat("x", (8<<10)+1)} {
		conn, _, err := r.dial(ctx, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
			t.Fatal(err)
		}
		if code := closed(conn); code != websocket.StatusCode(4401) && code != websocket.StatusMessageTooBig {
			t.Errorf("%s: closed with %v", name, code)
		}
	}
	long, _, err := r.dial(ctx, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := wsjson.Write(ctx, long, push.Login{Token: r.tokens[auth.Viewer], Since: strings.Repeat("x", 200+1)}); err != nil {
		t.Fatal(err)
	}
	if code := closed(long); code != websocket.StatusPolicyViolation {
		t.Errorf("no cursor: closed with %v", code)
	}
	short := func(left time.Duration) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"sub": "viewer", "role": auth.Viewer, "exp": float64(time.Now().Add(left).UnixMilli()) / 1000,
		}).SignedString(testSecret)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	expiring, _, err := r.dial(ctx, short(5*time.Second), "")
	if err != nil {
		t.Fatal(err)
	}
	renewed, _, err := r.dial(ctx, short(5*time.Second), "")
	if err != nil {
		t.Fatal(err)
	}
	readMessage(t, ctx, renewed)
	if err := wsjson.Write(ctx, renewed, push.Login{Token: r.tokens[auth.Viewer]}); err != nil {
		t.Fatal(err)
	}
	if code := closed(expiring); code != websocket.StatusCode(4401) {
		t.Errorf("an expired token: closed with %v", code)
	}
	r.hub.Sync(json.RawMessage(`{}`))
	if m := readMessage(t, ctx, renewed); m.Type != "sync" {
		t.Errorf("a renewed token: %+v", m)
	}
	if status, _ := r.status(ctx, "/ws", r.tokens[auth.Viewer]); status != http.StatusUpgradeRequired {
		t.Errorf("no upgrade: %d", status)
	}
	if _, status, err := r.dial(ctx, "", "", "Origin", "https://elsewhere.example.com"); err == nil || status != http.StatusForbidden {
		t.Errorf("another origin: %v", err)
	}
}

// status gets a path and says with what it was answered.
func (r *rig) status(ctx context.Context, path, token string) (int, http.Header) {
	r.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	js := r.follow()
	ctx, cancel := context.WithTimeout(t.Context(), livePatience)
	defer cancel()
	listen := func(lastID string) *bufio.Scanner {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/api/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.tokens[auth.Viewer])
		req.Header.Set("Accept-Encoding", "gzip")
		req.Header.Set("Last-Event-ID", lastID)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		if ct := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || !strings.HasPrefix(ct, "text/event-stream") || res.Header.Get("Content-Encoding") != "" {
			t.Fatalf("%d %v", res.StatusCode, res.Header)
		}
		return bufio.NewScanner(res.Body)
	}
	next := func(lines *bufio.Scanner) (id, event string, m live.Message) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "event":
				event = value
			case "data":
				if err := json.Unmarshal([]byte(value), &m); err != nil {
					t.Fatal(err)
				}
				return id, event, m
			}
		}
		t.Fatal(errors.Join(lines.Err(), errors.New("no more events")))
		return "", "", m
	}
	lines := listen("")
	first, event, _ := next(lines)
	if event != "ready" || first == "" {
		t.Fatalf("%s %s", event, first)
	}
	r.change(js, "rec1")
	id, event, m := next(lines)
	if event != "changes" || id != m.Cursor || fmt.Sprint(m.Changes[0].Updated) != "[rec1]" {
		t.Fatalf("%s %s %+v", id, event, m)
	}
	if _, _, m := next(listen(first)); len(m.Changes) != 1 || fmt.Sprint(m.Changes[0].Updated) != "[rec1]" {
		t.Errorf("missed was rec1: %+v", m)
	}
	close(r.draining)
	for lines.Scan() { // to the end, which comes
	}
	if status, _ := r.status(ctx, "/api/events", ""); status != http.StatusUnauthorized {
		t.Errorf("no token: %d", status)
	}
	if status, _ := r.status(ctx, "/api/events?since="+strings.Repeat("x", 300), r.tokens[auth.Viewer]); status != http.StatusBadRequest {
		t.Errorf("no cursor: %d", status)
	}
}

// Without NATS nobody can be told anything.
func TestLiveWithoutStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	status, header := r.status(t.Context(), "/api/events", r.tokens[auth.Viewer])
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("%d %v", status, header)
	}
}
