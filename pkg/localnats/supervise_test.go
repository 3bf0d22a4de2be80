//go:build unix

package localnats_test

import (
	"context"
	"log/slog"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/localnats"
)

// While the disk is full nothing is acknowledged, which is logged; everything goes on when there is room again.
func TestFullDisk(t *testing.T) { //nolint:paralleltest // limits the files of the whole process
	log := &text{}
	ns, err := localnats.Start(localnats.Config{
		Addr: "127.0.0.1:0", Dir: t.TempDir(), SyncAlways: true, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Stop()
	nc, err := nats.Connect(ns.URL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Ensure(t.Context(), js, 1, bus.StreamEdits); err != nil {
		t.Fatal(err)
	}
	acknowledged := uint64(0)
	publish := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := js.Publish(ctx, "order.edit.rec"+strconv.FormatUint(acknowledged, 10), make([]byte, 1000))
		if err == nil {
			acknowledged++
		}
		return err
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}

	makeRoom := limitFiles(t, 8<<10) // no file grows beyond: to a program the same as a full disk
	for publish() == nil {
	}
	log.await(t, "waiting for room")
	if err := publish(); err == nil {
		t.Error("acknowledged on a full disk")
	}
	makeRoom()
	log.await(t, "NATS restarted")
	for err := publish(); err != nil && t.Context().Err() == nil; err = publish() {
	}
	stream, err := js.Stream(t.Context(), bus.StreamEdits)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n < acknowledged {
		t.Errorf("%d of %d acknowledged edits are there", n, acknowledged)
	}
	for _, said := range []string{"NATS cannot write to its disk", "file too large"} {
		if !strings.Contains(log.String(), said) {
			t.Errorf("the log does not say %q: %s", said, log)
		}
	}
}

func limitFiles(t *testing.T, size uint64) (undo func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	set := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	set(syscall.Rlimit{Cur: size, Max: before.Max})
	undo = sync.OnceFunc(func() { set(before) })
	t.Cleanup(undo)
	return undo
}

type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *text) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *text) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func (w *text) await(t *testing.T, what string) {
	t.Helper()
	for over := time.Now().Add(20 * time.Second); !strings.Contains(w.String(), what); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(over) {
			t.Fatalf("the log does not say %q: %s", what, w)
		}
	}
}
