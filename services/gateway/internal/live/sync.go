package live

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
)

// SyncBrief is what clients receive of a sync while it goes on; the rest they ask for, the reasons
// too: a message is the same for everybody, and a reason is in somebody's language.
type SyncBrief struct {
	State   string       `json:"state" enum:"idle,running"`
	Mode    syncapi.Mode `json:"mode"`
	Orders  int          `json:"orders"`
	Current *syncapi.Run `json:"current,omitempty"`
	Last    *syncapi.Run `json:"last,omitempty"`
}

// WatchSync asks how the sync stands as long as there are clients, and tells them when it moved.
func (h *Hub) WatchSync(ctx context.Context, ask func(context.Context) ([]byte, error)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var announced []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if h.Clients() == 0 {
			continue
		}
		data, err := ask(ctx)
		if err != nil {
			continue // no syncer is active: there is nothing to announce, and GET /api/orders/sync says why
		}
		var brief SyncBrief
		if json.Unmarshal(data, &brief) != nil {
			continue
		}
		for _, run := range []*syncapi.Run{brief.Current, brief.Last} {
			if run != nil {
				run.Reason, run.ModeReason = fault.Text{}, fault.Text{}
			}
		}
		if now, err := json.Marshal(brief); err == nil && !bytes.Equal(now, announced) {
			announced = now
			h.Sync(now)
		}
	}
}
