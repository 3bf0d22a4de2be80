package ledger

import (
	"fmt"
	"log/slog"
	"testing"
)

// What the edit writer met is remembered for the run that goes on, and not for ever.
func TestMetIsForgottenWithTheRun(t *testing.T) {
	t.Parallel()
	l := New(nil, "/airtable/app/tbl", slog.New(slog.DiscardHandler))
	for run := range 3 {
		l.Publisher()
		asked := l.Now()
		for i := range 100 {
			l.Met(fmt.Sprintf("rec%d-%d", run, i))
		}
		if !l.Yields(fmt.Sprintf("rec%d-7", run), asked) {
			t.Error("the syncer does not yield to what the writer met in the run")
		}
		if len(l.met) != 100 {
			t.Errorf("%d records are remembered in run %d", len(l.met), run)
		}
	}
}
