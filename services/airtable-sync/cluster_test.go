package airtablesync_test

import (
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natstest"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

// Invariant 7: when the leader of EDITS is killed, an edit is in Airtable within five seconds of being accepted.
func TestLeaderOfEditsKilled(t *testing.T) {
	t.Parallel()
	sandbox, endpoint := airtabletest.Start(t, airtabletest.Config{Orders: 5, RatePerSecond: -1})
	cluster := natstest.StartCluster(t)
	w := &world{T: t, sandbox: sandbox, endpoint: endpoint, nats: cluster.Servers[0], starts: map[string]bool{}, accepted: map[string]bool{}}
	w.nc, w.js = cluster.Connect()
	w.must(bus.Ensure(t.Context(), w.js, natstest.Nodes, bus.StreamOrders, bus.StreamEdits, bus.StreamDeadLetters))
	w.start(func(c *airtablesync.Config) { c.NATSURL, c.NATSReplicas = cluster.URL(), natstest.Nodes })
	w.ok(w.synced())
	id := sandbox.RecordIDs()[0]
	first := edit(id, w.other(id), "")
	w.accept(first)
	w.until("an edit", func() bool { return w.cell(id, "Status") == first.Values["status"] })
	cluster.Kill(cluster.StreamLeader(bus.StreamEdits))
	e := edit(id, w.other(id), "")
	w.until("an edit to be accepted", func() bool {
		_, err := bus.Publish(t.Context(), w.js, editMessage(t, e.ID, e))
		return err == nil
	})
	accepted := time.Now()
	w.until("the edit", func() bool { return w.cell(id, "Status") == e.Values["status"] })
	if took := time.Since(accepted); took > 5*time.Second {
		t.Errorf("in Airtable %s after it was accepted", took)
	}
}
