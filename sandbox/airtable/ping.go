package airtabletest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"
)

// A ping must be answered in 25 seconds. After a failure it is sent again,
// each time after twice the wait, an hour at most by default.
const (
	pingTimeout  = 25 * time.Second
	maxPingWaits = 360 // the longest wait, in first ones
)

// pingResult is a webhook's lastNotificationResult.
// https://airtable.com/developers/web/api/model/webhooks-notification
type pingResult struct {
	Success             bool       `json:"success"`
	Error               *pingError `json:"error,omitempty"`
	CompletionTimestamp string     `json:"completionTimestamp"`
	DurationMs          float64    `json:"durationMs"`
	RetryNumber         int        `json:"retryNumber"`
	WillBeRetried       *bool      `json:"willBeRetried,omitempty"`
}

type pingError struct {
	Message string `json:"message"`
}

// notify sees to it that the webhook's owner is told of new payloads. The caller holds s.mu.
func (s *Server) notify(h *hook) {
	if !h.fresh || !h.Notify || h.pinging || s.isClosed() {
		return
	}
	h.pinging = true
	s.pings.Go(func() { s.ping(h) })
}

// resumePings goes on with what an earlier run of the sandbox owes.
func (s *Server) resumePings() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.base.hooks {
		s.notify(h)
	}
}

// ping delivers until there is nothing new, notifications are off or the sandbox is closed.
// Payloads that come while one is on its way are told of by the next.
func (s *Server) ping(h *hook) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	var waited time.Duration
	retry := 0
	for {
		s.mu.Lock()
		if !h.fresh || !h.Notify || s.hook(h.ID) != h || ctx.Err() != nil {
			h.pinging = false
			s.mu.Unlock()
			return
		}
		h.fresh = false
		next := h.Next
		h.attempts++
		s.mu.Unlock()

		began := time.Now()
		err := s.post(ctx, h)
		res := &pingResult{Success: err == nil, RetryNumber: retry, DurationMs: float64(time.Since(began).Microseconds()) / 1000}
		wait := s.cfg.PingRetry * time.Duration(min(1<<min(retry, 20), maxPingWaits))

		s.mu.Lock()
		now := s.now()
		res.CompletionTimestamp = isoTime(now)
		if err == nil {
			h.Pinged, h.LastSuccess = next, &now
			retry, waited = 0, 0
		} else {
			again := waited+wait <= s.cfg.PingGiveUp
			res.Error, res.WillBeRetried = &pingError{err.Error()}, &again
			h.fresh, h.Notify = true, h.Notify && again
		}
		h.LastResult = res
		if s.hook(h.ID) == h {
			s.keepHook(h)
		}
		s.mu.Unlock()
		if err != nil {
			retry++
			waited += wait
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}
}

// post sends one ping, signed with the webhook's secret over the very bytes of its body.
func (s *Server) post(ctx context.Context, h *hook) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	body := mustJSON(struct {
		Base      idOnly `json:"base"`
		Webhook   idOnly `json:"webhook"`
		Timestamp string `json:"timestamp"`
	}{idOnly{s.cfg.BaseID}, idOnly{h.ID}, isoTime(s.now())})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body)) //nolint:gosec // a webhook pings the address that its owner gave
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, h.Secret)
	mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Airtable-Content-Mac", "hmac-sha256="+hex.EncodeToString(mac.Sum(nil)))
	res, err := pinger.Do(r) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the notification URL answered %d", res.StatusCode)
	}
	return nil
}

type idOnly struct {
	ID string `json:"id"`
}

// pinger follows no redirect: only 200 and 204 count as delivered.
var pinger = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (s *Server) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}
