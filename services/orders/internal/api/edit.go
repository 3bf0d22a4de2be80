package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/orders/internal/store"
)

const (
	inFlight      = 128                    // messages of a request on their way to JetStream
	maxText       = 1000                   // bytes of a text in a request
	checkInterval = 100 * time.Millisecond // how long a request waits for the projection's announcement before it reads
)

// edit accepts edits. The locks of their orders are held until the edits are in every read, so that
// of two with the same If-Match one is stale.
func (a *api) edit(ctx context.Context, q ordersapi.EditRequest) (bus.Reply, error) {
	if err := validate(&q); err != nil {
		return bus.Reply{}, err
	}
	records := make([]string, len(q.Edits))
	for i, e := range q.Edits {
		records[i] = e.RecordID
	}
	locking, cancel := part(ctx, 0.4)
	defer cancel()
	lock, err := a.store.Lock(locking, records, timeLeft(ctx)+time.Second)
	if err != nil {
		return bus.Reply{}, err
	}
	defer lock.Release()
	orders, err := a.store.EditedOrders(locking, records)
	if err != nil {
		return bus.Reply{}, err
	}
	unseen, err := a.unseen(locking, &q)
	if err != nil {
		return bus.Reply{}, err
	}
	earlier, err := a.earlier(locking, &q)
	if err != nil {
		return bus.Reply{}, err
	}
	results, edits, err := check(&q, orders, unseen, earlier)
	if err != nil {
		return bus.Reply{}, err
	}
	if edits, err = a.accept(ctx, edits, results); err != nil {
		return bus.Reply{}, err
	}
	shown, err := a.show(ctx, edits, orders)
	if err != nil {
		return bus.Reply{}, err
	}
	for _, e := range edits {
		_, ok := shown[e.ID]
		results[e.result].Lagging = !ok
	}
	for i := range results {
		if r := &results[i]; r.Fault == nil {
			r.Order = orders[r.RecordID].Doc
			r.ETag = store.ETag(r.Order)
		}
	}
	data, err := encodeResults(results, a.replySize())
	return bus.Reply{Data: data}, err
}

// encodeResults leaves out the orders, from the last on, that a reply of size bytes has no room for.
func encodeResults(results []ordersapi.EditResult, size int) ([]byte, error) {
	for left := len(results); ; {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // a strong ETag names the order's bytes as they are stored
		if err := e.Encode(results); err != nil {
			return nil, err
		}
		excess := b.Len() - size
		if excess <= 0 || left == 0 {
			return b.Bytes(), nil
		}
		for ; excess > 0 && left > 0; left-- {
			r := &results[left-1]
			excess -= len(r.Order)
			r.Order, r.ETag = nil, ""
		}
	}
}

// part gives a step its share of the time that is left, so that the steps after it have theirs.
func part(ctx context.Context, share float64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(share*float64(timeLeft(ctx))))
}

func timeLeft(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline() // bus sets one
	return time.Until(deadline)
}

func validate(q *ordersapi.EditRequest) error {
	switch n := len(q.Edits); {
	case n < 1 || n > ordersapi.MaxEdits:
		return fault.Field("edits", fault.T("deben ser de 1 a 1000", "must be 1 to 1000"))
	case len(q.IdempotencyKey) > maxText:
		return fault.Field("idempotency_key", fault.T("es demasiado larga", "is too long"))
	case q.Actor.ID == "" || max(len(q.Actor.ID), len(q.Actor.Email), len(q.Actor.Name)) > maxText:
		return fault.Field("actor", fault.T("falta o es demasiado largo", "is missing or too long"))
	}
	seen := make(map[string]bool, len(q.Edits))
	for i, e := range q.Edits {
		field := fmt.Sprintf("edits[%d].", i)
		switch {
		case !event.ValidRecordID(e.RecordID):
			return fault.Field(field+"record_id", fault.T("no es un identificador de pedido", "is not the id of an order"))
		case seen[e.RecordID]:
			return fault.Field(field+"record_id", fault.T("está repetido", "is repeated"))
		case len(e.Values) == 0:
			return fault.Field(field+"values", fault.T("no cambia nada", "changes nothing"))
		case e.Values.Validate() != "":
			return fault.Field(field+"values."+e.Values.Validate(), notWritable)
		}
		seen[e.RecordID] = true
	}
	return nil
}

// notWritable is said of what no cell can be set to, and of columns that edits cannot change. Which choices there are the gateway checks, by the columns
// that airtable-sync publishes, and airtable-sync when it writes.
var notWritable = fault.T("no se puede escribir ese valor en esta columna", "cannot be set to this value")

// unseen gives the records with an If-Match that have an accepted edit which the projection does not
// show yet: nobody can have read the state that the tag would have to be compared with.
func (a *api) unseen(ctx context.Context, q *ordersapi.EditRequest) (map[string]bool, error) {
	var matched []string
	for _, e := range q.Edits {
		if e.IfMatch != "" {
			matched = append(matched, e.RecordID)
		}
	}
	if len(matched) == 0 {
		return nil, nil
	}
	stream, err := a.js.Stream(ctx, bus.StreamEdits)
	if err != nil {
		return nil, fault.Away("NATS", err)
	}
	ids := make([]string, len(matched)) // of the newest edit in the queue, where there is one
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for i, id := range matched {
		group.Go(func() error {
			msg, err := stream.GetLastMsgForSubject(asking, event.TypeOrderEdit+"."+id)
			if err != nil {
				if errors.Is(err, jetstream.ErrMsgNotFound) {
					return nil
				}
				return fault.Away("NATS", err)
			}
			if e, _, err := event.ParseOrderEdit(msg.Subject, msg.Header, msg.Data); err == nil { // else it is no edit
				ids[i] = e.ID
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	known, err := a.store.EditValues(ctx, ids)
	if err != nil {
		return nil, err
	}
	unseen := map[string]bool{}
	for i, id := range ids {
		if _, seen := known[id]; id != "" && !seen {
			unseen[matched[i]] = true
		}
	}
	return unseen, nil
}

// attempt is an edit that may be made, and the place of its result.
type attempt struct {
	event.OrderEdit
	result int
}

// check makes the results of what is known already or cannot be, and gives the edits that can be made.
func check(
	q *ordersapi.EditRequest, orders map[string]store.Served, unseen map[string]bool, earlier map[string]accepted,
) ([]ordersapi.EditResult, []attempt, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	results := make([]ordersapi.EditResult, len(q.Edits))
	var edits []attempt
	for i, e := range q.Edits {
		id := editID(q, e.RecordID)
		results[i] = ordersapi.EditResult{RecordID: e.RecordID, EditID: id}
		before, repeated := earlier[id]
		order, exists := orders[e.RecordID]
		switch {
		case repeated && !maps.Equal(before.values, e.Values):
			return nil, nil, fault.New(fault.Conflict, otherEdit)
		case !exists:
			results[i] = failed(e.RecordID, fault.NotFound, fault.T("No existe ese pedido", "There is no such order"))
		case repeated && before.projected:
		case unseen[e.RecordID]:
			results[i] = failed(e.RecordID, fault.Unavailable, fault.T(
				"Otra edición de este pedido está en camino; inténtelo de nuevo", "Another edit of this order is on its way; try again"))
		case e.IfMatch != "" && !match(e.IfMatch, order.Doc):
			results[i] = failed(e.RecordID, fault.Stale, fault.T(
				"El pedido ha cambiado desde que se leyó", "The order has changed since it was read"))
		default:
			at := now
			if !at.After(order.EditedAt) { // clocks of instances differ; edits of an order have an order
				at = order.EditedAt.UTC().Add(time.Microsecond)
			}
			edits = append(edits, attempt{result: i, OrderEdit: event.OrderEdit{
				ID: id, RecordID: e.RecordID, Values: e.Values, Actor: q.Actor, RequestedAt: at,
			}})
		}
	}
	return results, edits, nil
}

// editID names an edit. With an idempotency key it follows from who asks for what with which key.
func editID(q *ordersapi.EditRequest, recordID string) string {
	if q.IdempotencyKey == "" {
		return event.NewID()
	}
	name, err := json.Marshal([]string{q.Actor.ID, q.IdempotencyKey, recordID})
	if err != nil { // unreachable: they are strings
		return event.NewID()
	}
	sum := sha256.Sum256(name)
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// match reports whether one of the tags with commas between is of the order as it is.
func match(tags string, doc []byte) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || store.Matches(tag, doc) {
			return true
		}
	}
	return false
}

func failed(recordID string, code fault.Code, detail fault.Text) ordersapi.EditResult {
	return ordersapi.EditResult{RecordID: recordID, Fault: &ordersapi.EditFault{Code: code, Detail: detail}}
}

// accept publishes the edits and gives those that JetStream has acknowledged (invariant 1).
func (a *api) accept(ctx context.Context, edits []attempt, results []ordersapi.EditResult) (accepted []attempt, err error) {
	ctx, cancel := part(ctx, 0.6)
	defer cancel()
	errs := make([]error, len(edits))
	var group errgroup.Group
	group.SetLimit(inFlight)
	for i := range edits {
		e := &edits[i].OrderEdit
		msg, err := event.NewOrderEdit(event.Envelope{ID: e.ID, Source: event.SourceOrders, Time: e.RequestedAt}, e)
		if err != nil {
			return nil, err
		}
		group.Go(func() error {
			ack, err := bus.PublishAck(ctx, a.js, msg)
			if errs[i] = err; err == nil && ack.Duplicate {
				errs[i] = a.sameAsQueued(ctx, e)
			}
			return nil
		})
	}
	_ = group.Wait() // errs has the errors
	for i, e := range edits {
		if fault.CodeOf(errs[i]) == fault.Conflict {
			results[e.result] = failed(e.RecordID, fault.Conflict, otherEdit)
			continue
		}
		if errs[i] == nil {
			accepted = append(accepted, e)
			continue
		}
		a.log.WarnContext(ctx, "edit not acknowledged", "record_id", e.RecordID, "edit_id", e.ID, "error", errs[i])
		results[e.result] = failed(e.RecordID, fault.Unavailable, fault.T(
			"No se sabe si la edición quedó guardada; inténtelo de nuevo", "It is not known whether the edit was stored; try again"))
	}
	return accepted, nil
}

// show publishes that the accepted edits are pending, waits until every read shows them, and puts their
// orders into orders as they were accepted: pending, even if Airtable has them by now. It gives those that
// are shown. The others are accepted all the same, and reconciliation publishes what is missing.
func (a *api) show(
	ctx context.Context, edits []attempt, orders map[string]store.Served,
) (shown map[string]event.EditValues, err error) {
	if len(edits) == 0 {
		return nil, nil
	}
	waiting, cancel := part(ctx, 0.8)
	defer cancel()
	if seq := a.publishPending(waiting, edits); seq != 0 {
		shown = a.awaitShown(waiting, seq, edits)
	}
	for i := range edits {
		e := &edits[i]
		doc, err := orders[e.RecordID].With(&ordersapi.Edit{ID: e.ID, State: event.Pending, Values: e.Values, Actor: e.Actor, At: e.RequestedAt})
		if err != nil {
			return nil, fmt.Errorf("edit order %s: %w", e.RecordID, err)
		}
		orders[e.RecordID] = store.Served{Doc: doc}
	}
	return shown, nil
}

// publishPending publishes that the edits are pending and gives the last sequence of that; 0 where it failed.
func (a *api) publishPending(ctx context.Context, edits []attempt) uint64 {
	seqs := make([]uint64, len(edits))
	var group errgroup.Group
	group.SetLimit(inFlight)
	for i := range edits {
		e := &edits[i].OrderEdit
		group.Go(func() error {
			msg, err := event.NewOrderEdited(event.Envelope{ID: event.EditedID(e.ID, event.Pending), Source: event.SourceOrders, Time: e.RequestedAt}, &event.OrderEdited{OrderEdit: *e, State: event.Pending})
			if err == nil {
				seqs[i], err = bus.Publish(ctx, a.js, msg)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		a.log.WarnContext(ctx, "pending events not published", "edits", len(edits), "error", err)
		return 0
	}
	return slices.Max(seqs)
}

// awaitShown waits until the edits are in every read, and gives those that are.
func (a *api) awaitShown(ctx context.Context, seq uint64, edits []attempt) (known map[string]event.EditValues) {
	ids := make([]string, len(edits))
	for i, e := range edits {
		ids[i] = e.ID
	}
	for ctx.Err() == nil {
		a.progress.wait(ctx, seq, checkInterval)
		found, err := a.store.EditValues(ctx, ids)
		if err != nil {
			a.log.WarnContext(ctx, "pending edits not read", "error", err)
			return known
		}
		if known = found; len(known) == len(ids) {
			return known
		}
		seq = math.MaxUint64 // the announced sequence was that of a stream since replaced
	}
	return known
}
