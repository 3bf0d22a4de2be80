package main_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/porttest"
	"github.com/resonance/resonance/pkg/servicetest"
)

// The walk that adds a consumer leads to a service that counts orders by status.
func TestAddAConsumer(t *testing.T) {
	t.Parallel()
	dir := walk(t, "add-a-consumer.md")
	run(t, dir, "go build -o counting ./services/statuses/cmd/statuses")

	ns := natstest.Start(t)
	nc, js := ns.Connect()
	if err := bus.Ensure(t.Context(), js, 1, bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	publish := func(id, status string, change event.Change) {
		t.Helper()
		now := time.Now()
		msg, err := event.NewOrderChanged(event.Envelope{ID: event.NewID(), Source: "/airtable/app/tbl", Time: now}, &event.OrderChanged{
			RecordID: id, Change: change, Order: event.Order{RecordID: id, Status: &status, CreatedAt: now, UpdatedAt: now},
		})
		if err == nil {
			_, err = bus.Publish(t.Context(), js, msg)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	publish("rec1", "Pending", event.Created)
	publish("rec2", "Pending", event.Created)
	publish("rec3", "Sent", event.Created)

	address := porttest.Addr(t)
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "counting"))
	cmd.Dir = t.TempDir() // without an .env
	cmd.Env = append(os.Environ(), "NATS_URL="+ns.URL(), "METRICS_ADDR="+address)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := func(want string) {
		t.Helper()
		servicetest.Eventually(t, want, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			reply, err := bus.Ask(ctx, nc, "statuses.count", struct{}{})
			return err == nil && string(reply.Data) == want
		})
	}
	shows := func(path, want string) {
		t.Helper()
		servicetest.Eventually(t, path+" shows "+want, func() bool {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			return err == nil && strings.Contains(string(body), want)
		})
	}
	answers(`{"Pending":2,"Sent":1}`)
	shows("/readyz", `"ready":true`)
	publish("rec1", "Sent", event.Updated)
	publish("rec2", "Pending", event.Deleted)
	answers(`{"Pending":0,"Sent":2}`)
	shows("/metrics", `statuses_orders{status="Sent"} 2`)
	ns.Stop() // it finds NATS again, and counts anew
	ns.Start()
	publish("rec4", "Pending", event.Created)
	answers(`{"Pending":1,"Sent":2}`)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
