package localnats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/time/rate"
)

const (
	checkInterval = 500 * time.Millisecond
	room          = 1 << 20 // bytes that must be free before the server is started again
)

// supervise starts the server again after writes have failed, once there is room, until ctx ends.
func (s *Server) supervise(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	var waiting rate.Sometimes
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !failed {
			reason := writeFailure(s.Server())
			if reason == "" {
				continue
			}
			failed, waiting = true, rate.Sometimes{First: 1, Interval: time.Minute}
			s.cfg.Log.Error("NATS cannot write to its disk", "dir", s.cfg.Dir, "error", reason)
		}
		if err := hasRoom(s.cfg.Dir); err != nil {
			waiting.Do(func() { s.cfg.Log.Error("waiting for room on NATS's disk", "dir", s.cfg.Dir, "error", err) })
			continue
		}
		ns := s.Server()
		ns.Shutdown()
		ns.WaitForShutdown()
		if err := s.start(); err != nil {
			waiting.Do(func() { s.cfg.Log.Error("NATS not restarted", "error", err) })
			continue
		}
		failed = false
		s.cfg.Log.Info("NATS restarted", "dir", s.cfg.Dir)
	}
}

// writeFailure says why the server writes nothing more, "" if it does.
func writeFailure(ns *server.Server) string {
	if !ns.JetStreamEnabled() {
		return "JetStream was disabled"
	}
	health := ns.Healthz(&server.HealthzOptions{})
	if !strings.Contains(health.Error, "write error") {
		return ""
	}
	return health.Error
}

func hasRoom(dir string) error {
	f, err := os.CreateTemp(dir, "room-*")
	if err != nil {
		return fmt.Errorf("test for room: %w", err)
	}
	_, err = f.Write(make([]byte, room))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// logger passes on what the server warns of, but not again and again.
type logger struct {
	log   *slog.Logger
	often rate.Sometimes
}

func (l *logger) say(level slog.Level, format string, args []any) {
	l.often.Do(func() { l.log.Log(context.Background(), level, "NATS: "+fmt.Sprintf(format, args...)) })
}

func (l *logger) Warnf(format string, args ...any)  { l.say(slog.LevelWarn, format, args) }
func (l *logger) Errorf(format string, args ...any) { l.say(slog.LevelError, format, args) }
func (l *logger) Fatalf(format string, args ...any) { l.say(slog.LevelError, format, args) }
func (*logger) Noticef(string, ...any)              {}
func (*logger) Debugf(string, ...any)               {}
func (*logger) Tracef(string, ...any)               {}
