package orders_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

// An edit holds no connection while it waits for the projection: more of them are under way than there are connections.
func TestMoreEditsThanConnections(t *testing.T) {
	const connections, edits = 6, 24
	w := newWorld(t, pgtest.New(t))
	direct := w.dsn
	separator := "?"
	if strings.Contains(w.dsn, "?") {
		separator = "&"
	}
	w.dsn += fmt.Sprint(separator, "pool_max_conns=", connections)
	w.ensure()
	want := map[string]string{}
	for i := range edits {
		id := fmt.Sprintf("rec%d", i)
		want[id] = "Pending"
		w.publish(changed(id, "Pending"))
	}
	w.start()
	w.holds(want)
	conn, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	hold, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hold.Exec(t.Context(), "select from orders.checkpoint for update"); err != nil { // the projection waits for it
		t.Fatal(err)
	}
	var requests errgroup.Group
	for id := range want {
		requests.Go(func() error {
			results, err := w.request(ordersapi.EditRequest{Edits: []ordersapi.EditOrder{{RecordID: id, Values: status("Sent")}}})
			if err == nil && (results[0].Fault != nil || results[0].Lagging) {
				err = fmt.Errorf("edit of %s: %+v", id, results[0])
			}
			return err
		})
	}
	w.eventually("all edits accepted, none shown", func() error {
		if n := len(w.queued()); n != edits {
			return fmt.Errorf("%d of %d are queued", n, edits)
		}
		return nil
	})
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := requests.Wait(); err != nil {
		t.Error(err)
	}
}
