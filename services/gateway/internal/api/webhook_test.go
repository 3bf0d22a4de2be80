package api

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/airtable"
)

const (
	pingBody = "{\"base\": {\"id\":\"app1\"},\n \"webhook\":{\"id\":\"ach1\"}}"
	goodMAC  = "hmac-sha256=00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
	// forgedMAC is one that the syncers of these tests refuse.
	forgedMAC = "hmac-sha256=11112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
)

func (r *rig) ping(text, mac string, options ...option) response {
	r.Helper()
	return r.do(http.MethodPost, "/webhooks/airtable", append([]option{jsonBody(text), header(airtable.HeaderMAC, mac)}, options...)...)
}

// A ping reaches the syncer byte by byte, and who is not Airtable learns no more than that.
func TestPing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if resp := r.ping(pingBody, goodMAC); resp.problem(http.StatusServiceUnavailable).Detail == "" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v", resp.Header)
	}
	got := make(chan syncapi.Ping, 1)
	r.serve("airtable-sync", map[string]bus.Handler{syncapi.SubjectPing: func(_ context.Context, data []byte) (bus.Reply, error) {
		var ping syncapi.Ping
		decodeJSON(t, data, &ping)
		got <- ping
		if ping.MAC != goodMAC {
			return bus.Reply{}, fault.New(fault.Forbidden, fault.T("Airtable no envió esto", "Airtable did not send this"))
		}
		return bus.Reply{}, nil
	}})
	if resp := r.ping(pingBody, goodMAC).want(http.StatusNoContent); len(resp.body) > 0 {
		t.Errorf("%s", resp.body)
	}
	if ping := <-got; string(ping.Body) != pingBody || ping.MAC != goodMAC {
		t.Errorf("%+v", ping)
	}
	r.ping("", goodMAC).want(http.StatusNoContent) // it is not for us to say what Airtable sends
	<-got
	largest := strings.Repeat(" ", (64 << 10))
	r.ping(largest, goodMAC).want(http.StatusNoContent)
	<-got

	if p := r.ping(pingBody, forgedMAC).problem(http.StatusForbidden); p.Detail != "Airtable no envió esto" {
		t.Errorf("%+v", p)
	}
	<-got
	for _, mac := range []string{"", "hmac-sha256=", strings.TrimPrefix(goodMAC, "hmac-sha256="), goodMAC + "0", strings.Repeat("x", 10_000)} {
		r.ping(pingBody, mac).problem(http.StatusBadRequest, airtable.HeaderMAC)
	}
	r.ping(largest+" ", goodMAC).problem(http.StatusRequestEntityTooLarge)
	r.ping(largest+" ", goodMAC, func(q *http.Request) {
		q.ContentLength = -1
		q.Body = io.NopCloser(io.LimitReader(spaces{}, (64<<10)+1))
	}).problem(http.StatusRequestEntityTooLarge)
	r.do(http.MethodGet, "/webhooks/airtable").problem(http.StatusMethodNotAllowed)
	if len(got) > 0 {
		t.Error("the syncer was bothered")
	}
}

// A flood of forgeries is stopped here; Airtable's own pings, however many, are not.
func TestPingFlood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	forged := fault.New(fault.Forbidden, fault.T("Airtable no envió esto", "Airtable did not send this"))
	r.serve("airtable-sync", map[string]bus.Handler{syncapi.SubjectPing: func(_ context.Context, data []byte) (bus.Reply, error) {
		if strings.Contains(string(data), goodMAC) {
			return bus.Reply{}, nil
		}
		return bus.Reply{}, forged
	}})
	for range 200 {
		r.ping(pingBody, goodMAC).want(http.StatusNoContent)
	}
	refused := 0
	for refused < 1000 {
		resp := r.ping(pingBody, forgedMAC)
		if resp.StatusCode == http.StatusTooManyRequests {
			if resp.problem(http.StatusTooManyRequests); resp.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
		resp.problem(http.StatusForbidden)
		refused++
	}
	if refused < 60 || refused == 1000 {
		t.Errorf("%d forgeries were looked at", refused)
	}
}
