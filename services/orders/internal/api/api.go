// Package api answers the requests of pkg/rpc/orders.go on NATS.
package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// Service describes the micro service that answers from s.
func Service(s *store.Store) bus.Service {
	a := api{s}
	return bus.Service{
		Name:        "orders",
		Description: "Orders as projected from the ORDERS stream",
		Version:     "1.0.0",
		Endpoints: map[string]bus.Handler{
			rpc.OrdersList:    handle(a.list),
			rpc.OrdersGet:     handle(a.get),
			rpc.OrdersSummary: handle(a.summary),
			rpc.OrdersHistory: handle(a.history),
		},
		Workers: 32,
		Timeout: 2 * time.Second,
	}
}

type api struct{ store *store.Store }

// handle decodes a request before answer gets it.
func handle[Q any](answer func(context.Context, Q) (bus.Reply, error)) bus.Handler {
	return func(ctx context.Context, data []byte) (bus.Reply, error) {
		var q Q
		if err := json.Unmarshal(data, &q); err != nil {
			return bus.Reply{}, fault.Wrap(fault.Invalid, fault.T("La petición no es JSON válido", "The request is not valid JSON"), err)
		}
		return answer(ctx, q)
	}
}

func (a api) list(ctx context.Context, q rpc.OrdersQuery) (bus.Reply, error) {
	page, err := a.store.List(ctx, q)
	if err != nil {
		return bus.Reply{}, err
	}
	h := nats.Header{}
	if !q.NoTotal {
		h[rpc.HeaderTotal] = []string{strconv.FormatInt(page.Total, 10)}
	}
	if page.Next != "" {
		h[rpc.HeaderNext] = []string{page.Next}
	}
	return bus.Reply{Header: h, Data: page.Docs}, nil
}

func (a api) get(ctx context.Context, q rpc.OrderRef) (bus.Reply, error) {
	doc, err := a.store.Get(ctx, q.RecordID)
	if err != nil {
		return bus.Reply{}, err
	}
	sum := sha256.Sum256(doc)
	return bus.Reply{Header: nats.Header{rpc.HeaderETag: {`"` + hex.EncodeToString(sum[:16]) + `"`}}, Data: doc}, nil
}

func (a api) summary(ctx context.Context, q rpc.OrdersQuery) (bus.Reply, error) {
	sum, err := a.store.Summary(ctx, q)
	if err != nil {
		return bus.Reply{}, err
	}
	data, err := json.Marshal(sum)
	return bus.Reply{Data: data}, err
}

func (a api) history(ctx context.Context, q rpc.HistoryQuery) (bus.Reply, error) {
	entries, total, err := a.store.History(ctx, q)
	if err != nil {
		return bus.Reply{}, err
	}
	return bus.Reply{Header: nats.Header{rpc.HeaderTotal: {strconv.FormatInt(total, 10)}}, Data: entries}, nil
}
