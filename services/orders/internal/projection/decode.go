package projection

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// decode makes a change of a message. The error wraps event.ErrMalformed: no retry helps.
func decode(subject string, h nats.Header, body []byte) (*store.Change, error) {
	if !utf8.Valid(body) { // raw cells keep their bytes, and Postgres takes UTF-8 only
		body = []byte(strings.ToValidUTF8(string(body), "\uFFFD"))
	}
	c, env, err := event.ParseOrderChanged(subject, h, body)
	if err != nil {
		return nil, err
	}
	if c.Order.Fields == nil {
		c.Order.Fields = map[string]json.RawMessage{}
	}
	doc, err := c.Order.AppendJSON(make([]byte, 0, len(body)))
	if err != nil {
		return nil, fmt.Errorf("%w: order: %w", event.ErrMalformed, err)
	}
	entry, err := json.Marshal(historyEntry{
		ID: env.ID, Change: c.Change, At: env.Time.UTC(), Source: source(c),
		Values: values{
			Name: c.Order.Name, Customer: c.Order.Customer, Status: c.Order.Status, Priority: c.Order.Priority,
			Amount: c.Order.Amount, OrderDate: c.Order.OrderDate,
		},
		Previous: c.Previous, Actor: c.Actor,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: history: %w", event.ErrMalformed, err)
	}
	var editIDs *string
	if len(c.EditIDs) > 0 {
		ids, err := json.Marshal(c.EditIDs)
		if err != nil {
			return nil, fmt.Errorf("%w: edit_ids: %w", event.ErrMalformed, err)
		}
		s := string(ids)
		editIDs = &s
	}
	return &store.Change{
		RecordID: c.RecordID,
		Current:  true,
		Deleted:  c.Change == event.Deleted,
		Row: store.Row{
			Name: column(c.Order.Name), Customer: column(c.Order.Customer),
			Status: column(c.Order.Status), Priority: column(c.Order.Priority),
			Amount: (*string)(c.Order.Amount), OrderDate: c.Order.OrderDate,
			CreatedAt: c.Order.CreatedAt, UpdatedAt: c.Order.UpdatedAt, Doc: string(doc),
		},
		History: store.History{EventID: storable(env.ID), At: env.Time, EditIDs: editIDs, Entry: string(entry)},
	}, nil
}

// historyEntry is rpc.HistoryEntry as it is stored and served, values typed.
type historyEntry struct {
	ID       string                     `json:"id"`
	Change   event.Change               `json:"change"`
	At       time.Time                  `json:"at"`
	Source   string                     `json:"source"`
	Values   values                     `json:"values"`
	Previous map[string]json.RawMessage `json:"previous,omitempty"`
	Actor    *event.Actor               `json:"actor,omitempty"`
}

type values struct {
	Name      *string      `json:"name"`
	Customer  *string      `json:"customer"`
	Status    *string      `json:"status"`
	Priority  *string      `json:"priority"`
	Amount    *json.Number `json:"amount"`
	OrderDate *string      `json:"order_date"`
}

// source tells changes that came by an edit of ours from those made in Airtable.
func source(c *event.OrderChanged) string {
	if len(c.EditIDs) > 0 {
		return "api"
	}
	return "airtable"
}

// column is a text as a column can hold it; doc keeps what is lost.
func column(s *string) *string {
	if s == nil || strings.IndexByte(*s, 0) < 0 {
		return s
	}
	t := withoutNUL(*s)
	return &t
}

func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }
