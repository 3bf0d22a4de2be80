package orders_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// What is larger together than a NATS message comes in pieces, each as large as fits.
func TestLargerThanAMessage(t *testing.T) {
	t.Parallel()
	const payload, n = 64 << 10, 12
	w := &world{t: t, dsn: pgtest.New(t), nats: natstest.Start(t, func(o *server.Options) { o.MaxPayload = payload })}
	w.nc, w.js = w.nats.Connect()
	w.ensure()
	edits := ordersapi.EditRequest{}
	for i := range n {
		id := fmt.Sprintf("rec%02d", i)
		w.publish(giant(id, "Pending"))
		edits.Edits = append(edits.Edits, ordersapi.EditOrder{RecordID: id, Values: event.EditValues{"status": "Sent"}})
	}
	w.start()
	var ids []string
	w.eventually("a page in pieces", func() (err error) {
		ids, err = w.pieces(ordersapi.Query{Offset: 1, Limit: 10}, n)
		return err
	})
	if want := "[rec01 rec02 rec03 rec04 rec05 rec06 rec07 rec08 rec09 rec10]"; fmt.Sprint(ids) != want {
		t.Errorf("orders %v, want %v", ids, want)
	}
	// Edits of orders that do not fit into the reply are accepted like all others.
	results, err := w.request(edits)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, r := range results {
		if r.Fault != nil || r.EditID == "" {
			t.Errorf("edit of %s: %+v", r.RecordID, r.Fault)
		}
		if len(r.Order) > 0 {
			shown++
		}
	}
	if shown == 0 || shown == n {
		t.Errorf("%d of %d orders are in the reply", shown, n)
	}
	for i := range 8 {
		w.publish(giant("rec00", strconv.Itoa(i)))
	}
	w.eventually("a history in pieces", func() error { return w.historyInPieces("rec00", 10) })
}

// giant makes an event of 20 KB.
func giant(id, status string) *nats.Msg {
	name := strings.Repeat("<&>", 6<<10)
	msg, err := event.NewOrderChanged(event.Envelope{ID: event.NewID(), Source: "/airtable/app/tbl", Time: epoch}, &event.OrderChanged{
		RecordID: id, Change: event.Updated, Order: event.Order{RecordID: id, Name: &name, Status: &status, CreatedAt: epoch, UpdatedAt: epoch},
	})
	if err != nil {
		panic(err)
	}
	return msg
}

// pieces gives the ids of a page's orders.
func (w *world) pieces(q ordersapi.Query, total int) (ids []string, err error) {
	for first := true; ; first = false {
		r, err := w.ask(ordersapi.SubjectList, q)
		if err != nil {
			return nil, err
		}
		var got []event.Order
		if err := json.Unmarshal(r.Data, &got); err != nil || len(got) == 0 {
			return nil, fmt.Errorf("%d orders in a piece: %w", len(got), err)
		}
		for _, o := range got {
			ids = append(ids, o.RecordID)
		}
		if got := r.Header.Get(rpc.HeaderTotal); first && got != strconv.Itoa(total) {
			return nil, fmt.Errorf("total %s, want %d", got, total)
		}
		rest := r.Header.Get(ordersapi.HeaderRest)
		if rest == "" {
			return ids, nil
		}
		q.Offset, q.NoTotal, q.After = 0, true, r.Header.Get(ordersapi.HeaderNext)
		if q.Limit, err = strconv.Atoi(rest); err != nil {
			return nil, err
		}
	}
}

func (w *world) historyInPieces(id string, want int) error {
	q := ordersapi.HistoryQuery{RecordID: id, Limit: want}
	seen, pieces := map[string]bool{}, 0
	for q.Limit > 0 {
		r, err := w.ask(ordersapi.SubjectHistory, q)
		if err != nil {
			return err
		}
		var got []ordersapi.HistoryEntry
		if err := json.Unmarshal(r.Data, &got); err != nil {
			return err
		}
		for _, e := range got {
			seen[e.ID] = true
		}
		pieces++
		q.Offset += len(got)
		q.Limit, _ = strconv.Atoi(r.Header.Get(ordersapi.HeaderRest))
	}
	if len(seen) != want || pieces == 1 {
		return fmt.Errorf("%d entries in %d pieces, want %d", len(seen), pieces, want)
	}
	return nil
}
