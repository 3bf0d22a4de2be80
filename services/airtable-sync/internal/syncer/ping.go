package syncer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
)

var errNotAirtable = fault.New(fault.Forbidden,
	fault.T("Este aviso no es de Airtable", "This notification is not from Airtable"))

// servePing takes a notification of Airtable's, which says that there is something to read. What is
// not signed with our webhook's secret, or names another, is Forbidden. One no newer than the last
// changes nothing: Airtable repeats what it thinks got lost, and who overheard a ping can too.
func (s *Syncer) servePing(_ context.Context, data []byte) (bus.Reply, error) {
	var ping syncapi.Ping
	if err := json.Unmarshal(data, &ping); err != nil {
		return bus.Reply{}, fault.Wrap(fault.Invalid, fault.T("Petición ilegible", "Unreadable request"), err)
	}
	h := s.hook()
	if !signed(h.Secret, ping) {
		return bus.Reply{}, errNotAirtable
	}
	var said struct {
		Base      struct{ ID string } `json:"base"`
		Webhook   struct{ ID string } `json:"webhook"`
		Timestamp time.Time           `json:"timestamp"`
	}
	if json.Unmarshal(ping.Body, &said) != nil || said.Base.ID != s.client.Base() || said.Webhook.ID != h.ID {
		return bus.Reply{}, errNotAirtable
	}
	s.mu.Lock()
	fresh := s.state.Hook.ID == h.ID && said.Timestamp.After(s.state.Hook.Pinged)
	if fresh {
		s.state.Hook.Pinged = said.Timestamp
	}
	s.mu.Unlock()
	switch {
	case !fresh:
		s.cfg.Log.Debug("a ping that was taken before", "timestamp", said.Timestamp)
	case !s.cfg.Budget.Plan().Urgent:
		s.cfg.Log.Debug("a ping waits for the next scheduled run: the month's calls are scarce")
	default:
		s.enqueue("ping", syncapi.RunRequest{Mode: syncapi.Webhook})
	}
	return bus.Reply{}, nil
}

// signed reports whether the MAC is that of the body, byte by byte, in a time that tells nothing.
// https://airtable.com/developers/web/api/webhooks-overview
func signed(secret []byte, p syncapi.Ping) bool {
	text, _ := strings.CutPrefix(p.MAC, "hmac-sha256=")
	mac, err := hex.DecodeString(text)
	if err != nil || len(secret) == 0 {
		return false
	}
	sum := hmac.New(sha256.New, secret)
	sum.Write(p.Body)
	return hmac.Equal(mac, sum.Sum(nil))
}
