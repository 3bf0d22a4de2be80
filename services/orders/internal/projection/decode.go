package projection

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// decode makes a change of a message. The error wraps event.ErrMalformed: no retry helps.
func decode(subject string, h nats.Header, body []byte) (*store.Change, error) {
	if !utf8.Valid(body) { // raw cells keep their bytes, and Postgres takes UTF-8 only
		body = []byte(strings.ToValidUTF8(string(body), "\uFFFD"))
	}
	if strings.HasPrefix(subject, event.TypeOrderEdited+".") {
		return decodeEdited(subject, h, body)
	}
	c, env, err := event.ParseOrderChanged(subject, h, body)
	if err != nil {
		return nil, err
	}
	entry, err := historyEntry(c, env)
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
		Row:      store.NewRow(&c.Order),
		History:  store.History{EventID: storable(env.ID), At: env.Time, EditIDs: editIDs, Entry: entry},
	}, nil
}

func decodeEdited(subject string, h nats.Header, body []byte) (*store.Change, error) {
	e, env, err := event.ParseOrderEdited(subject, h, body)
	if err != nil {
		return nil, err
	}
	edit := &ordersapi.Edit{
		ID: e.ID, State: e.State, Values: e.Values, Actor: e.Actor, At: e.RequestedAt.UTC().Truncate(time.Microsecond), Reason: e.Reason,
	}
	if e.State != event.Pending {
		at := env.Time.UTC()
		edit.SettledAt = &at
	}
	return &store.Change{RecordID: e.RecordID, Edit: edit}, nil
}

// historyEntry is ordersapi.HistoryEntry as it is stored and served.
func historyEntry(c *event.OrderChanged, env event.Envelope) ([]byte, error) {
	e, err := jsontext.AppendQuote(append(make([]byte, 0, 288), `{"id":`...), env.ID)
	if err != nil {
		return nil, err
	}
	e = append(append(e, `,"change":"`...), c.Change...)
	e = env.Time.UTC().AppendFormat(append(e, `","at":"`...), time.RFC3339Nano)
	e = append(append(e, `","source":"`...), source(c)...)
	if e, err = c.Order.AppendColumns(append(e, `","values":`...)); err != nil {
		return nil, err
	}
	if len(c.Previous) > 0 {
		previous, err := json.Marshal(c.Previous)
		if err != nil {
			return nil, err
		}
		e = append(append(e, `,"previous":`...), previous...)
	}
	if c.Actor != nil {
		actor, err := json.Marshal(c.Actor)
		if err != nil {
			return nil, err
		}
		e = append(append(e, `,"actor":`...), actor...)
	}
	return append(e, '}'), nil
}

// source tells changes that came by an edit of ours from those made in Airtable.
func source(c *event.OrderChanged) string {
	if len(c.EditIDs) > 0 {
		return "api"
	}
	return "airtable"
}

func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }
