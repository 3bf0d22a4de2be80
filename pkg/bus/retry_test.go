package bus_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonance/resonance/pkg/bus"
)

// During an outage work is tried every two seconds or so, and the log says so now and then; after a time without
// failures the next one is a new outage.
func TestPersistThrottles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var log bytes.Buffer
		tries := 0
		err := bus.Persist(ctx, slog.New(slog.NewTextHandler(&log, nil)), "reading failed", func(context.Context) error {
			tries++
			return errors.New("away")
		})
		if lines := strings.Count(log.String(), "reading failed"); lines < 100 || lines > 121 || tries < 1200 || tries > 7200 {
			t.Errorf("%d tries and %d lines of log in an hour", tries, lines)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		began, runs := time.Now(), 0
		err := bus.Persist(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), "reading failed", func(context.Context) error {
			if runs++; runs == 10 {
				return nil
			}
			time.Sleep(11 * time.Second)
			return errors.New("interrupted")
		})
		if lines := strings.Count(log.String(), "reading failed"); lines != 9 || err != nil {
			t.Errorf("%d lines of log, %v", lines, err)
		}
		if spent := time.Since(began); spent > 9*11*time.Second+9*time.Second/2 {
			t.Errorf("waits grew although each run lasted: %s", spent)
		}
	})
}
