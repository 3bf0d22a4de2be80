package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/resonance/resonance/pkg/event"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// client talks to the gateway as Refine does.
type client struct {
	base  string
	http  http.Client
	mu    sync.Mutex
	token string
}

func (c *client) login(ctx context.Context) error {
	form := url.Values{"username": {"admin"}, "password": {password}}
	status, body, err := c.do(ctx, http.MethodPost, "/token", "application/x-www-form-urlencoded", "", strings.NewReader(form.Encode()))
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("login: %d %s %w", status, body, err)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = answer.Token
	return nil
}

func (c *client) do(ctx context.Context, method, path, contentType, key string, body io.Reader) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return 0, nil, err
	}
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, data, err
}

// accepted is an edit that the gateway said it had taken.
type accepted struct {
	id       string
	recordID string
	values   event.EditValues
}

// editor edits its own records, one after another, repeating each request until it has an answer:
// with the same Idempotency-Key, as a client must that does not know what became of it.
type editor struct {
	*client
	name    string
	records []string
	rand    *rand.Rand
	pause   time.Duration

	accepted []accepted
	refused  int
	repeated int
}

func (e *editor) work(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		record := e.records[e.rand.IntN(len(e.records))]
		values := event.EditValues{"status": event.Statuses[e.rand.IntN(len(event.Statuses))]}
		if e.rand.IntN(3) == 0 {
			values = event.EditValues{"priority": event.Priorities[e.rand.IntN(len(event.Priorities))]}
		}
		if err := e.edit(ctx, fmt.Sprintf("%s-%d", e.name, n), record, values); err != nil {
			return err
		}
		if !pauseFor(ctx, e.pause) {
			return nil
		}
	}
	return nil
}

// edit returns once it knows: a request that was under way when the load ended is finished too.
func (e *editor) edit(ctx context.Context, key, record string, values event.EditValues) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	body, err := json.Marshal(values)
	if err != nil {
		return err
	}
	for {
		status, answer, err := e.do(ctx, http.MethodPatch, "/api/orders/"+record, "application/json", key, bytes.NewReader(body))
		switch {
		case err == nil && (status == http.StatusOK || status == http.StatusAccepted): // 202: no read shows it yet
			var order struct {
				Edit struct {
					ID string `json:"id"`
				} `json:"edit"`
			}
			if err := json.Unmarshal(answer, &order); err != nil || order.Edit.ID == "" {
				return fmt.Errorf("an edit was answered with %s", answer)
			}
			e.accepted = append(e.accepted, accepted{order.Edit.ID, record, values})
			return nil
		case err == nil && status == http.StatusNotFound: // somebody removed it, or it is not projected yet
			e.refused++
			return nil
		case err == nil && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
			return fmt.Errorf("an edit was answered with %d %s", status, answer)
		}
		e.repeated++
		if !pauseFor(ctx, 50*time.Millisecond) {
			return fmt.Errorf("an edit had no answer for two minutes; the last: %d %s %w", status, answer, err)
		}
	}
}

// changer changes the table as people in Airtable do.
func changer(ctx context.Context, s *airtabletest.Server, r *rand.Rand, pause time.Duration) (changes int, err error) {
	for ; ctx.Err() == nil && err == nil; changes++ {
		ids := s.RecordIDs()
		id := ids[r.IntN(len(ids))]
		switch n := r.IntN(100); {
		case n < 4:
			_, err = s.CreateRecord(airtabletest.Fields{"Order": fmt.Sprintf("New %d", changes), "Status": "Pending", "Amount": 10.5})
		case n < 6:
			s.DeleteRecords(id)
		case n < 30:
			err = s.UpdateRecord(id, airtabletest.Fields{"Status": event.Statuses[r.IntN(len(event.Statuses))]})
		case n < 40:
			err = s.UpdateRecord(id, airtabletest.Fields{"Priority": nil})
		default:
			err = s.UpdateRecord(id, airtabletest.Fields{"Amount": float64(r.IntN(100_000)) / 100, "Notes": fmt.Sprint("note ", changes)})
		}
		if !pauseFor(ctx, pause) {
			break
		}
	}
	return changes, err
}

// pauseFor paces the load; it reports whether ctx goes on.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
