package ledger_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

// wide is an order with long cells of every kind: more than a megabyte.
func wide(l *ledger.Publisher, status string) ledger.Change {
	long := strings.Repeat("Ñandú \\\"€\\\"\\ud83d\\ude00 ", 4000) // as JSON
	c := change(l, 7, status)
	cells := []string{`"Corto":"queda"`, `"Importe":12.50`, `"Nombre":"` + long + `"`}
	for i := range 12 {
		cells = append(cells, fmt.Sprintf(`"Notas %02d":"%s"`, i, long))
	}
	cells = append(cells, `"Lookup":["`+long+`","x"]`, `"AI":{"state":"generated","value":"`+long+`","more":[1,{"a":"`+long+`"}]}`)
	var name string
	if err := json.Unmarshal([]byte(`"`+long+`"`), &name); err != nil {
		panic(err)
	}
	c.Order.Name, c.Order.Fields = &name, json.RawMessage(`{`+strings.Join(cells, ",")+`}`)
	return c
}

// Invariant 5. An order larger than a message is published with its longest cells cut, and is no news afterwards.
func TestOrderLargerThanAMessage(t *testing.T) {
	const maxPayload = 1 << 20
	js, load := open(t, func(o *server.Options) { o.MaxPayload = maxPayload })
	l := load()
	large := wide(l, "Pending")
	publish(t, l, change(l, 1, "Pending"), large, change(l, 2, "Pending"))
	s, err := js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	newest := func() *event.OrderChanged {
		t.Helper()
		msg, err := s.GetLastMsgForSubject(t.Context(), event.OrderChangedSubject(large.Order.RecordID))
		if err != nil {
			t.Fatal(err)
		}
		c, env, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(msg.Data); n > maxPayload*15/16 || n < maxPayload*14/16 {
			t.Errorf("%d bytes are published", n)
		}
		if msg.Header.Get(event.HeaderTruncated) != "true" || (env.Digest == "") != (c.Change == event.Deleted) {
			t.Errorf("headers %v", msg.Header)
		}
		return c
	}
	c := newest()
	if len(c.Order.Truncated) != 15 {
		t.Errorf("truncated %q", c.Order.Truncated)
	}
	var was, is map[string]any
	if err := json.Unmarshal(large.Order.Fields, &was); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(c.Order.Fields, &is); err != nil {
		t.Fatal(err)
	}
	beginning := func(field string, is, was any) {
		t.Helper()
		start, cut := strings.CutSuffix(fmt.Sprint(is), "…")
		if !cut || len(start) < 10_000 || !strings.HasPrefix(fmt.Sprint(was), start) {
			t.Errorf("%s is %.40q… of %d bytes", field, is, len(start))
		}
	}
	for i := range 12 {
		field := fmt.Sprintf("Notas %02d", i)
		beginning(field, is[field], was[field])
	}
	beginning("name", *c.Order.Name, was["Nombre"])
	beginning("Lookup", is["Lookup"].([]any)[0], was["Lookup"].([]any)[0])
	beginning("AI", is["AI"].(map[string]any)["value"], was["AI"].(map[string]any)["value"])
	if is["Corto"] != "queda" || is["Importe"] != 12.5 || *c.Order.Status != "Pending" {
		t.Errorf("short cells are %v, %v, %s", is["Corto"], is["Importe"], *c.Order.Status)
	}

	again := load()
	if again.Live() != 3 || again.Kind(large.Order.RecordID, large.Digest) != "" {
		t.Error("a scan would publish it again")
	}
	if p := again.Problems(20); len(p) != 1 || p[0].RecordID != large.Order.RecordID {
		t.Errorf("problems %+v", p)
	}
	publish(t, again, wide(again, "Sent"))
	if c := newest(); len(c.Previous) != 1 || string(c.Previous["status"]) != `"Pending"` {
		t.Errorf("previous %.200s", c.Previous)
	}
	gone := change(again, 7, "Gone")
	gone.Kind = event.Deleted
	publish(t, again, gone)
	if c := newest(); c.Change != event.Deleted || len(c.Order.Truncated) != 15 {
		t.Errorf("%s, truncated %q", c.Change, c.Order.Truncated)
	}
	publish(t, again, change(again, 7, "Delivered"))
	if p := again.Problems(20); len(p) != 0 {
		t.Errorf("problems %+v", p)
	}
}

// Invariant 5. What no event can be made of is parked once, and the others are published.
func TestOrderThatCannotBePublished(t *testing.T) {
	js, load := open(t)
	l := load()
	bad := change(l, 7, "Pending")
	bad.Order.CreatedAt = time.Time{}
	publish(t, l, change(l, 1, "Pending"), change(l, 2, "Pending"))
	for range 2 { // another process finds it again
		publish(t, l, bad)
		if k := l.Kind(bad.Order.RecordID, bad.Digest); k != "" || l.Live() != 2 {
			t.Errorf("it is %q, %d orders", k, l.Live())
		}
		if p := l.Problems(20); len(p) != 1 || p[0].RecordID != bad.Order.RecordID || !strings.Contains(p[0].Reason.EN, "created_at") {
			t.Errorf("problems %+v", p)
		}
		l = load()
	}
	s, err := js.Stream(t.Context(), bus.StreamDeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.CachedInfo().State; st.Msgs != 1 {
		t.Errorf("%d dead letters", st.Msgs)
	}
	dead, err := s.GetLastMsgForSubject(t.Context(), event.DeadSubject("airtable-sync", event.OrderChangedSubject(bad.Order.RecordID)))
	if err != nil || !strings.Contains(string(dead.Data), bad.Order.RecordID) {
		t.Errorf("%v, %v", dead, err)
	}
	bad.Order.CreatedAt = time.Now()
	bad.Kind, bad.Digest = l.Kind(bad.Order.RecordID, column.Digest{9}), column.Digest{9}
	publish(t, l, bad)
	if p := l.Problems(20); len(p) != 0 || l.Live() != 3 {
		t.Errorf("problems %+v, %d orders", p, l.Live())
	}
}
