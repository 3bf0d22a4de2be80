package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	enough = 240 << 20 // bytes: below this there is nothing to give back
	calm   = 20 << 20  // bytes allocated in a second: less is no burst
)

// giveBack returns memory to the system once a burst is over, such as a first sync, which the
// collector by itself would do minutes later. It ends with ctx.
func giveBack(ctx context.Context) {
	sample := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	var before uint64
	for held := uint64(0); ; {
		metrics.Read(sample)
		allocated, resident := sample[0].Value.Uint64(), sample[1].Value.Uint64()-sample[2].Value.Uint64()
		// Once is enough until there is more to gain.
		if allocated-before < calm && resident > enough && resident > held+held/10 {
			debug.FreeOSMemory()
			metrics.Read(sample)
			held = sample[1].Value.Uint64() - sample[2].Value.Uint64()
		}
		before = allocated
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
