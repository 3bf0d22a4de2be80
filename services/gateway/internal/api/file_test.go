package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
)

// parts serves a file three bytes at a time; what begins at failAt fails.
func parts(content, kind string, failAt int64) bus.Handler {
	return func(_ context.Context, data []byte) (bus.Reply, error) {
		var ref syncapi.FileRef
		if err := json.Unmarshal(data, &ref); err != nil || ref.RecordID != "rec1" {
			return bus.Reply{}, fmt.Errorf("asked for %s: %w", data, err)
		}
		if failAt > 0 && ref.Offset >= failAt {
			return bus.Reply{}, fault.Away("Airtable", nil)
		}
		text := content + ref.Thumbnail
		return bus.Reply{
			Header: nats.Header{syncapi.HeaderSize: {fmt.Sprint(len(text))}, rpc.HeaderContentType: {kind}},
			Data:   []byte(text[ref.Offset:min(int(ref.Offset)+3, len(text))]),
		}, nil
	}
}

func newFileRig(t *testing.T, h bus.Handler) *rig {
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{
		ordersapi.SubjectGet:  only(answer(withFile(orderJSON("rec1")), rpc.HeaderETag, `"strong"`)),
		ordersapi.SubjectList: answer("["+withFile(orderJSON("rec1"))+","+orderJSON("rec2")+","+withFile(orderJSON("rec3"))+"]", rpc.HeaderTotal, "3"),
	})
	if h != nil {
		r.serve("airtable-sync", map[string]bus.Handler{syncapi.SubjectFile: h})
	}
	return r
}

func TestFile(t *testing.T) {
	t.Parallel()
	r := newFileRig(t, parts("picture", "Image/PNG; charset=x", 0))
	const path = "/api/orders/rec1/files/attPhoto"
	resp := r.get(path, header("Accept-Encoding", "gzip")).want(http.StatusOK)
	for name, want := range map[string]string{
		"Content-Type": "image/png", "Content-Length": "7", "ETag": `"attPhoto"`, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": "inline; filename*=utf-8''foto%20%221%22%20%C3%B1.png", "Content-Encoding": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if string(resp.body) != "picture" {
		t.Errorf("%q", resp.body)
	}
	if resp := r.get("/api/orders/id/rec1/files/attPhoto?size=small").want(http.StatusOK); string(resp.body) != "picturesmall" || resp.Header.Get("ETag") != `"attPhoto-small"` {
		t.Errorf("%q %v", resp.body, resp.Header)
	}
	if resp := r.do(http.MethodHead, path, r.as("viewer")).want(http.StatusOK); resp.Header.Get("Content-Length") != "7" {
		t.Errorf("HEAD: %v", resp.Header)
	}
	r.do(http.MethodGet, path).problem(http.StatusUnauthorized)
	r.get(path+"?size=huge").problem(http.StatusBadRequest, "size")
	r.get(path+"?colour=red").problem(http.StatusBadRequest, "colour")
	r.get("/api/orders/rec1/files/other").problem(http.StatusBadRequest, "attachment")
	r.get("/api/orders/rec2/files/attPhoto").problem(http.StatusNotFound)
}

// An order's own files are asked for and no others: Airtable's calls are few.
func TestFileOfNoOrder(t *testing.T) {
	t.Parallel()
	r := newFileRig(t, func(_ context.Context, data []byte) (bus.Reply, error) {
		t.Errorf("Airtable was asked: %s", data)
		return bus.Reply{}, nil
	})
	r.get("/api/orders/rec1/files/attNone").problem(http.StatusNotFound)
	r.get("/api/orders/rec1/files/attPhoto", header("If-None-Match", `W/"attPhoto"`)).want(http.StatusNotModified)
}

// What somebody uploaded to Airtable never runs in our origin.
func TestFileIsInert(t *testing.T) {
	t.Parallel()
	r := newFileRig(t, parts("<script>", "text/html", 0))
	for _, id := range []string{"attPhoto", "attPage"} { // whatever its name says
		h := r.get("/api/orders/rec1/files/" + id).want(http.StatusOK).Header
		if h.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment; filename") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "default-src 'none'; sandbox" {
			t.Errorf("%s: %v", id, h)
		}
	}
}

// A part must never be taken for the whole.
func TestFileCutOff(t *testing.T) {
	t.Parallel()
	r := newFileRig(t, parts("picture", "image/png", 3))
	if resp, err := r.send(http.MethodGet, "/api/orders/rec1/files/attPhoto", r.as("viewer")); err == nil {
		t.Errorf("looks complete: %q", resp.body)
	}
	if log := r.log.String(); !strings.Contains(log, "file cut off") {
		t.Error("the log does not say why")
	}
	r = newFileRig(t, nil)
	r.get("/api/orders/rec1/files/attPhoto").problem(http.StatusServiceUnavailable)
}

func TestFilesAreLinked(t *testing.T) {
	t.Parallel()
	r := newFileRig(t, nil)
	linked := func(id string) string {
		return strings.NewReplacer(
			"https://v5.airtableusercontent.com/a", "/api/orders/"+id+"/files/attPhoto", "https://v5.airtableusercontent.com/b", "/api/orders/"+id+"/files/attPhoto?size=small",
			"https://v5.airtableusercontent.com/c", "/api/orders/"+id+"/files/attPhoto?size=large", "https://x/y", "/api/orders/"+id+"/files/attPage",
		).Replace(withFile(orderJSON(id)))
	}
	one := r.get("/api/orders/rec1").want(http.StatusOK)
	if string(one.body) != linked("rec1") || one.Header.Get("ETag") != `"strong"` {
		t.Errorf("%s %s", one.Header.Get("ETag"), one.body)
	}
	if list := r.get("/api/orders?_start=0&_end=3").want(http.StatusOK); string(list.body) != "["+linked("rec1")+","+orderJSON("rec2")+","+linked("rec3")+"]" {
		t.Errorf("%s", list.body)
	}
}
