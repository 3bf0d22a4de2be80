// Package api answers the requests of pkg/rpc/ordersapi on NATS.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/orders/internal/store"
)

// Service describes the micro service that answers from s, and accepts edits.
func Service(s *store.Store, js jetstream.JetStream, log *slog.Logger) (bus.Service, error) {
	seen, err := follow(js.Conn())
	if err != nil {
		return bus.Service{}, fmt.Errorf("api: follow the projection: %w", err)
	}
	a := &api{store: s, js: js, progress: seen, log: log}
	return bus.Service{
		Name:        "orders",
		Description: "Orders as projected from the ORDERS stream",
		Version:     "1.0.0",
		Endpoints: map[string]bus.Handler{
			ordersapi.SubjectList:    handle(a.list),
			ordersapi.SubjectGet:     handle(a.get),
			ordersapi.SubjectSummary: handle(a.summary),
			ordersapi.SubjectHistory: handle(a.history),
			ordersapi.SubjectEdit:    handle(a.edit),
			ordersapi.SubjectEdits:   handle(a.edits),
		},
		Workers: 64,              // more than edits can occupy
		Timeout: 8 * time.Second, // of many edits; reads have their own
	}, nil
}

type api struct {
	store    *store.Store
	js       jetstream.JetStream
	progress *progress
	log      *slog.Logger
}

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

// replySize is how many bytes of data a reply may have beside its headers.
func (a *api) replySize() int {
	const headers = 1 << 10
	return int(a.js.Conn().MaxPayload()) - headers
}

func (a *api) list(ctx context.Context, q ordersapi.Query) (bus.Reply, error) {
	page, err := a.store.List(ctx, q, a.replySize())
	if err != nil {
		return bus.Reply{}, err
	}
	return pageReply(&page, !q.NoTotal), nil
}

func pageReply(page *store.Page, total bool) bus.Reply {
	h := nats.Header{}
	if total {
		h[rpc.HeaderTotal] = []string{strconv.FormatInt(page.Total, 10)}
	}
	if page.Next != "" {
		h[ordersapi.HeaderNext] = []string{page.Next}
	}
	if page.Rest > 0 {
		h[ordersapi.HeaderRest] = []string{strconv.Itoa(page.Rest)}
	}
	return bus.Reply{Header: h, Data: page.Docs}
}

func (a *api) get(ctx context.Context, q ordersapi.Ref) (bus.Reply, error) {
	doc, err := a.store.Get(ctx, q.RecordID)
	if err != nil {
		return bus.Reply{}, err
	}
	return bus.Reply{Header: nats.Header{rpc.HeaderETag: {store.ETag(doc)}}, Data: doc}, nil
}

func (a *api) summary(ctx context.Context, q ordersapi.Query) (bus.Reply, error) {
	sum, err := a.store.Summary(ctx, q)
	if err != nil {
		return bus.Reply{}, err
	}
	data, err := json.Marshal(sum)
	return bus.Reply{Data: data}, err
}

func (a *api) history(ctx context.Context, q ordersapi.HistoryQuery) (bus.Reply, error) {
	page, err := a.store.History(ctx, q, a.replySize())
	if err != nil {
		return bus.Reply{}, err
	}
	return pageReply(&page, true), nil
}

func (a *api) edits(ctx context.Context, q ordersapi.EditsQuery) (bus.Reply, error) {
	edits, err := a.store.Edits(ctx, q)
	return bus.Reply{Data: edits}, err
}
