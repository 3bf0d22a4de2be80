package ledger

import "time"

// SetReadStall shortens how long a read waits for the next message.
func (l *Ledger) SetReadStall(d time.Duration) { l.stall = d }
