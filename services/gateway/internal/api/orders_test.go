package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// A page that does not fit into one message reaches the client whole, in either of its forms.
func TestPageInPieces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: pages(250, 7, 0)})
	var page struct {
		Data []struct {
			RecordID string `json:"record_id"`
		}
		Total, Page, Pages int
	}
	resp := r.get("/api/orders?page=2&page_size=100")
	resp.decode(http.StatusOK, &page)
	if len(page.Data) != 100 || page.Total != 250 || page.Page != 2 || page.Pages != 3 || resp.Header.Get("X-Total-Count") != "250" {
		t.Fatalf("%d orders of %d, page %d of %d, %v", len(page.Data), page.Total, page.Page, page.Pages, resp.Header)
	}
	for i, o := range page.Data {
		if want := fmt.Sprintf("rec%d", 100+i); o.RecordID != want {
			t.Fatalf("order %d is %s, want %s", i, o.RecordID, want)
		}
	}
	var bare []json.RawMessage
	r.get("/api/orders?_start=240&_end=300").decode(http.StatusOK, &bare)
	if len(bare) != 10 {
		t.Errorf("%d orders at the end", len(bare))
	}
}

// A part must never be taken for the whole.
func TestPageCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: pages(250, 40, 80)})
	if resp, err := r.send(http.MethodGet, "/api/orders?page_size=100", r.as("viewer")); err == nil {
		t.Fatalf("looks complete with %d bytes", len(resp.body))
	}
	if log := r.log.String(); !strings.Contains(log, "page cut off") {
		t.Error("the log does not say why")
	}
}

func TestHistoryInPieces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectHistory: func(_ context.Context, data []byte) (bus.Reply, error) {
		var q ordersapi.HistoryQuery
		if err := json.Unmarshal(data, &q); err != nil {
			return bus.Reply{}, err
		}
		h := nats.Header{rpc.HeaderTotal: {"5"}}
		if q.Limit > 1 {
			h.Set(ordersapi.HeaderRest, fmt.Sprint(q.Limit-1))
		}
		return bus.Reply{Header: h, Data: fmt.Appendf(nil, `[{"id":"e%d"}]`, q.Offset)}, nil
	}})
	var page struct{ Data []struct{ ID string } }
	r.get("/api/orders/rec1/history?page=2&page_size=2").decode(http.StatusOK, &page)
	if got := fmt.Sprint(page.Data); got != "[{e2} {e3}]" {
		t.Errorf("entries %s", got)
	}
}

// An edit is accepted even if the reply had no room for its order.
func TestEditOfLargeOrders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectEdit: answer(`[{"record_id":"rec1","edit_id":"e1"}]`)})
	resp := r.do(http.MethodPatch, "/api/orders/rec1", r.as("operator"), jsonBody(`{"status":"Sent"}`)).want(http.StatusOK)
	if resp.Header.Get("ETag") != `"strong"` || string(resp.body) != orderJSON("rec1") {
		t.Errorf("%v %s", resp.Header, resp.body)
	}
}

// What a client says it can decompress it can: lists in an envelope and bare ones, small ones and large.
func TestCompressedLists(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: func(_ context.Context, data []byte) (bus.Reply, error) {
		var q ordersapi.Query
		if err := json.Unmarshal(data, &q); err != nil {
			return bus.Reply{}, err
		}
		rows := strings.Repeat(","+orderJSON("rec1"), q.Limit)[1:]
		return answer("["+rows+"]", rpc.HeaderTotal, "100")(t.Context(), nil)
	}})
	for _, query := range []string{"page_size=1", "page_size=100", "_start=0&_end=1", "_start=0&_end=100"} {
		plain := r.get("/api/orders?" + query).want(http.StatusOK)
		resp := r.get("/api/orders?"+query, header("Accept-Encoding", "gzip")).want(http.StatusOK)
		var body io.Reader = bytes.NewReader(resp.body)
		if coding := resp.Header.Get("Content-Encoding"); coding == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Errorf("%s: %v", query, err)
				continue
			}
		} else if len(plain.body) > 10_000 {
			t.Errorf("%s: %d bytes are not compressed", query, len(plain.body))
		}
		if text, err := io.ReadAll(body); err != nil || !bytes.Equal(text, plain.body) {
			t.Errorf("%s: %v: %d bytes, want %d", query, err, len(text), len(plain.body))
		}
	}
}
