package lease

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Check returns an error unless holder has the lease at this moment. It is asked right before an
// effect that cannot be fenced: a process that was suspended may not know yet that it lost its turn.
func Check(ctx context.Context, kv jetstream.KeyValue, key, holder string) error {
	entry, err := kv.Get(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("look at the lease: %w", err)
	case string(entry.Value()) != holder:
		return fmt.Errorf("another instance has the lease: %s", entry.Value())
	}
	return nil
}
