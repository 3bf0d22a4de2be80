// Package push sends clients what internal/live reads of changes: server-sent events and WebSockets.
package push

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
	"github.com/danielgtaylor/huma/v2"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/live"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

const (
	maxClients   = 5000
	writeWait    = 10 * time.Second // a client that takes longer for one message is too slow
	loginTimeout = 10 * time.Second // in which a WebSocket must say who it is
	heartbeat    = 25 * time.Second // below what proxies cut idle connections at
	maxLogin     = 8 << 10
	maxCursor    = 200
	closedToken  = websocket.StatusCode(4401) // the token is bad or has expired: come back with another
)

// Login is the first message of a WebSocket whose request had no Authorization header, as those of
// browsers; a later one replaces the token before it expires.
type Login struct {
	Token string `json:"token"`
	Since string `json:"since,omitempty" doc:"cursor of the last message seen"`
}

var (
	exampleCursor  = "c4u9oj8fyrk0.2s"
	exampleMessage = live.Message{
		Type: "changes", Cursor: exampleCursor,
		Changes: []live.Changed{{Resource: "orders", Updated: []string{"recA1b2C3d4E5f6G7"}}},
		Edits:   []live.Edited{{RecordID: "recA1b2C3d4E5f6G7", ID: "01JEDIT0000000000000000001", State: "applied"}},
	}
	sinceParam = route.Param("since", "cursor of the last message seen: what happened after it is told first", route.Text(), exampleCursor)
)

// push tells clients what changes.
type push struct {
	*route.Routes
	live    *live.Hub
	origins []string // hosts whose pages may open a WebSocket, besides our own
}

// Register adds the routes of what changes.
func Register(r *route.Routes, hub *live.Hub, origins []string) {
	a := &push{r, hub, origins}
	describe := "Says which records changed, not what they are now; what happens within 50 ms is one message. " +
		"The first message is of type ready; with since (or Last-Event-ID) it holds what was missed, or under reset the resources to read again as a whole. " +
		"Who reads too slowly is cut off and should come back with its cursor, as after any end of the connection."
	a.Add(huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/api/events", Tags: []string{"live"},
		Summary: "What changes, as server-sent events", Description: describe,
		Parameters: []*huma.Param{sinceParam, {Name: "Last-Event-ID", In: "header", Schema: route.Text(), Description: "as since"}},
		Responses: map[string]*huma.Response{"200": {
			Description: "Events without end: id is the cursor, event the type, data the message as JSON",
			Content: map[string]*huma.MediaType{"text/event-stream": {
				Schema:  &huma.Schema{Type: huma.TypeString},
				Example: fmt.Sprintf("id: %s\nevent: changes\ndata: %s\n\n", exampleCursor, mustJSON(exampleMessage)),
			}},
		}},
		Errors: route.AskErrors(),
	}, auth.Viewer, a.events)
	a.Add(huma.Operation{
		OperationID: "webSocket", Method: http.MethodGet, Path: "/ws", Tags: []string{"live"},
		Summary: "What changes, over a WebSocket",
		Description: describe + "\n\nThe token goes into the Authorization header or, from a browser, into the first message: " +
			`{"token": "…", "since": "…"}. The connection is closed with 4401 when the token expires, unless {"token": "…"} came before with another; ` +
			"with 1008 when since is no cursor, with 1012 when the server stops, with 1013 when the client is too slow.",
		Parameters: []*huma.Param{sinceParam},
		Responses: map[string]*huma.Response{"101": {
			Description: "Messages without end",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: route.SchemaOf[live.Message](a.Routes), Example: route.AsJSON(exampleMessage)},
			},
		}},
		Errors: []int{http.StatusUnauthorized, http.StatusUpgradeRequired, http.StatusServiceUnavailable},
	}, "", a.webSocket)
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // an example in this package
	}
	return data
}

var errCrowded = &fault.Error{
	Code: fault.Unavailable, RetryAfter: 10 * time.Second,
	Detail: fault.T("Hay demasiadas conexiones en vivo", "There are too many live connections"),
}

// liveReady waits no longer for NATS than an answer may take.
func (a *push) liveReady(ctx context.Context) error {
	if a.live.Clients() >= maxClients {
		return errCrowded
	}
	ctx, cancel := context.WithTimeout(ctx, route.Timeout)
	defer cancel()
	if err := a.live.Ready(ctx); err != nil {
		return fault.Away("NATS", err)
	}
	return nil
}

func (a *push) subscribe(ctx context.Context, cursor string) (*live.Client, error) {
	if len(cursor) > maxCursor {
		return nil, fault.Field("since", fault.T("no es un cursor", "is not a cursor"))
	}
	if err := a.liveReady(ctx); err != nil {
		return nil, err
	}
	return a.live.Subscribe(ctx, cursor)
}

func (a *push) events(_ http.ResponseWriter, r *http.Request) error {
	_, expires, err := a.Auth.IdentifyUntil(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	cursor := r.Header.Get("Last-Event-ID")
	if since := r.URL.Query().Get("since"); since != "" {
		cursor = since
	}
	client, err := a.subscribe(r.Context(), cursor)
	if err != nil {
		return err
	}
	defer client.Close()
	w := access.Of(r.Context()) // past the compression, which would gather it
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nor must proxies
	h["Cache-Control"] = route.NoStore
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	send := func(format string, args ...any) bool {
		_ = control.SetWriteDeadline(time.Now().Add(writeWait))
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && control.Flush() == nil
	}
	frame := func(f live.Frame) bool {
		if f.Cursor != "" && !send("id: %s\n", f.Cursor) {
			return false
		}
		return send("event: %s\ndata: %s\n\n", f.Type, f.Data)
	}
	w.WriteHeader(http.StatusOK)
	if !send("retry: 2000\n\n") || !frame(client.First) {
		return nil
	}
	ctx, cancel := context.WithDeadline(r.Context(), expires)
	defer cancel()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for ok := true; ok; {
		select {
		case <-ctx.Done():
			return nil
		case <-a.Draining:
			return nil
		case <-beat.C:
			ok = send(": still there\n\n")
		case f, more := <-client.C:
			ok = more && frame(f)
		}
	}
	return nil
}

func (a *push) webSocket(w http.ResponseWriter, r *http.Request) error {
	header := r.Header.Get("Authorization")
	if header != "" {
		if _, err := a.Auth.Identify(header); err != nil {
			return err
		}
	}
	cursor := r.URL.Query().Get("since")
	if r.Header.Get("Upgrade") == "" {
		w.Header().Set("Upgrade", "websocket")
		return problem.ErrWebSocket
	}
	if err := a.liveReady(r.Context()); err != nil {
		return err
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: a.origins, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // closed with a reason below, or the client has gone
	conn.SetReadLimit(maxLogin)
	s := &socket{api: a, conn: conn}
	code, reason := s.serve(r.Context(), header, cursor)
	access.Of(r.Context()).Who = s.who
	_ = conn.Close(code, reason) // the client may have gone
	return nil
}

// socket is one WebSocket.
type socket struct {
	api  *push
	conn *websocket.Conn
	who  auth.Identity
}

// serve returns with what the connection is to be closed. Its reader goes on until that is done: a
// Read that is given up ends the connection without a word.
func (s *socket) serve(ctx context.Context, header, cursor string) (websocket.StatusCode, string) {
	logins, over := make(chan Login), make(chan struct{})
	defer close(over)
	go s.listen(ctx, logins, over)
	if header == "" {
		wait := time.NewTimer(loginTimeout)
		defer wait.Stop()
		select {
		case login, ok := <-logins:
			if !ok {
				return closedToken, "no token"
			}
			header, cursor = "Bearer "+login.Token, cmp.Or(login.Since, cursor)
		case <-wait.C:
			return closedToken, "no token"
		}
	}
	who, expires, err := s.api.Auth.IdentifyUntil(header)
	if err != nil {
		return closedToken, "bad token"
	}
	s.who = who
	client, err := s.api.subscribe(ctx, cursor)
	if fault.CodeOf(err) == fault.Invalid {
		return websocket.StatusPolicyViolation, "since is not a cursor" // to come back with it helps nobody
	}
	if err != nil {
		return websocket.StatusTryAgainLater, "not available right now"
	}
	defer client.Close()
	if !s.write(ctx, client.First) {
		return websocket.StatusPolicyViolation, "too slow"
	}
	return s.pump(ctx, client, logins, expires)
}

func (s *socket) pump(ctx context.Context, client *live.Client, logins <-chan Login, expires time.Time) (websocket.StatusCode, string) {
	expiry := time.NewTimer(time.Until(expires))
	defer expiry.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-s.api.Draining:
			return websocket.StatusServiceRestart, "restarting"
		case <-expiry.C:
			return closedToken, "the token has expired"
		case login, ok := <-logins:
			if !ok {
				return websocket.StatusNormalClosure, ""
			}
			who, expires, err := s.api.Auth.IdentifyUntil("Bearer " + login.Token)
			if err != nil || who.Username != s.who.Username {
				return closedToken, "bad token"
			}
			expiry.Reset(time.Until(expires))
		case <-beat.C:
			ping, done := context.WithTimeout(ctx, writeWait)
			err := s.conn.Ping(ping)
			done()
			if err != nil {
				return websocket.StatusPolicyViolation, "no answer"
			}
		case f, more := <-client.C:
			if !more || !s.write(ctx, f) {
				return websocket.StatusTryAgainLater, "too slow"
			}
		}
	}
}

// listen passes logins on until the client disconnects or sends anything else, which closes logins.
func (s *socket) listen(ctx context.Context, logins chan<- Login, over <-chan struct{}) {
	defer close(logins)
	for {
		_, data, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		var login Login
		if json.Unmarshal(data, &login) != nil || login.Token == "" {
			return
		}
		select {
		case logins <- login:
		case <-over:
			return
		}
	}
}

func (s *socket) write(ctx context.Context, f live.Frame) bool {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, f.Data) == nil
}

// Hosts are the hosts whose pages may open a WebSocket, besides our own.
func Hosts(cors []string) []string {
	var hosts []string
	for _, origin := range cors {
		if u, err := url.Parse(origin); err == nil && u.Host != "" {
			hosts = append(hosts, u.Host)
		} else if origin == "*" {
			hosts = append(hosts, "*")
		}
	}
	return hosts
}
