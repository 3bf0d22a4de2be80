package airtabletest

import (
	"encoding/json"
	"fmt"
	"time"
)

// Webhook is a copy of what the sandbox knows of a webhook.
type Webhook struct {
	ID                   string          `json:"id"`
	NotificationURL      string          `json:"notification_url"`
	Specification        json.RawMessage `json:"specification"`
	Expires              time.Time       `json:"expires"`
	Enabled              bool            `json:"enabled"`
	NotificationsEnabled bool            `json:"notifications_enabled"`
	// NextCursor is that of the payload to come; Payloads is how many are kept.
	NextCursor int64 `json:"next_cursor"`
	Payloads   int   `json:"payloads"`
	// Pings counts the attempts since the sandbox was started.
	Pings int `json:"pings"`
}

// Webhooks returns the base's webhooks, the oldest first.
func (s *Server) Webhooks() []Webhook {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Webhook, len(s.base.hooks))
	for i, h := range s.base.hooks {
		list[i] = Webhook{
			ID: h.ID, NotificationURL: h.URL, Specification: h.Specification, Expires: h.Expires,
			Enabled: h.active(s.now()), NotificationsEnabled: h.Notify,
			NextCursor: h.Next, Payloads: len(h.payloads), Pings: h.attempts,
		}
	}
	return list
}

// changeHook makes one change of a webhook that Airtable's API has no call for.
func (s *Server) changeHook(id string, do func(h *hook)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hook(id)
	if h == nil {
		return fmt.Errorf("airtable sandbox: no webhook %q", id)
	}
	do(h)
	if s.hook(id) == h {
		s.keepHook(h)
		s.notify(h)
	}
	return nil
}

// ExpireWebhook ends a webhook as seven days without a refresh would.
func (s *Server) ExpireWebhook(id string) error {
	return s.changeHook(id, func(h *hook) { h.Expires = s.now() })
}

// RemoveWebhook removes a webhook as another client would.
func (s *Server) RemoveWebhook(id string) error {
	return s.changeHook(id, s.dropHook)
}

// SkipPayloads lets the cursor jump: n payloads are missing for good.
func (s *Server) SkipPayloads(id string, n int) error {
	return s.changeHook(id, func(h *hook) { h.Next += int64(max(0, n)) })
}

// ForgetPayloads drops the payloads kept, as a week does.
func (s *Server) ForgetPayloads(id string) error {
	return s.changeHook(id, func(h *hook) { h.payloads, h.First = nil, h.Next })
}

// AddErrorPayload adds a payload with that code, and pings. INTERNAL_ERROR
// passes, the others end the stream.
func (s *Server) AddErrorPayload(id, code string) error {
	return s.changeHook(id, func(h *hook) {
		s.base.transactions++
		h.append(s.now(), errorPayload(s.now(), s.base.transactions, code))
		if code != CodeInternalError {
			h.Failed = code
		}
	})
}

// Ping pings although nothing is new, as Airtable may do.
func (s *Server) Ping(id string) error {
	return s.changeHook(id, func(h *hook) { h.fresh = true })
}
