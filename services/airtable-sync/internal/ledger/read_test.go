package ledger_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

// overstated connects by a proxy that makes the last message of a consumer say that one more is pending.
func overstated(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	last := regexp.MustCompile(`(\$JS\.ACK\.[^ ]+\.)0 `)
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "nats://"))
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() {
				for lines := bufio.NewReader(server); ; {
					line, err := lines.ReadBytes('\n')
					_, _ = client.Write(last.ReplaceAll(line, []byte("${1}1 ")))
					if err != nil {
						_ = client.Close()
						return
					}
				}
			}()
		}
	}()
	nc, err := nats.Connect("nats://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// losing gives a JetStream that loses some requests.
func losing(t *testing.T, nc *nats.Conn, lost func(request string) bool) jetstream.JetStream {
	t.Helper()
	const prefix, api = "losing.API.", "$JS.API."
	_, err := nc.Subscribe(prefix+">", func(m *nats.Msg) {
		if request := strings.TrimPrefix(m.Subject, prefix); !lost(request) {
			_ = nc.PublishMsg(&nats.Msg{Subject: api + request, Header: m.Header, Data: m.Data, Reply: m.Reply})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.NewWithAPIPrefix(nc, strings.TrimSuffix(prefix, "."), jetstream.WithDefaultTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func consumers(t *testing.T, js jetstream.JetStream) (n int) {
	t.Helper()
	s, err := js.Stream(t.Context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Consumers
}

// What a consumer says is pending can be wrong: a read ends where the stream does.
func TestReadEndsWithTheStream(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	js, load := on(t, ns)
	l := load()
	publish(t, l, change(l, 1, "Pending"), change(l, 2, "Pending"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	read := ledger.New(overstated(t, ns.URL()), "/airtable/app/tbl", slog.New(slog.DiscardHandler))
	if _, err := read.Refresh(ctx); err != nil || read.Live() != 2 {
		t.Fatalf("%d orders, %v", read.Live(), err)
	}
	if n := consumers(t, js); n != 0 {
		t.Errorf("%d consumers are left behind", n)
	}
}

func isNext(request string) bool { return strings.HasPrefix(request, "CONSUMER.MSG.NEXT.") }

// A request that is lost, as when a server of a cluster ends, is made again.
func TestReadOutlastsLostRequests(t *testing.T) {
	js, load := open(t)
	l := load()
	publish(t, l, change(l, 1, "Pending"))
	seen := map[string]bool{}
	read := ledger.New(losing(t, js.Conn(), func(request string) bool {
		first := !seen[request] && !strings.HasPrefix(request, "CONSUMER.")
		seen[request] = true
		return first
	}), "/airtable/app/tbl", slog.New(slog.DiscardHandler))
	if _, err := read.Refresh(t.Context()); err != nil || read.Live() != 1 {
		t.Fatalf("%d orders, %v", read.Live(), err)
	}
}

// A read that nothing comes of ends by itself, and leaves nothing behind: publishing waits for it.
func TestReadGivesUp(t *testing.T) {
	js, load := open(t)
	l := load()
	publish(t, l, change(l, 1, "Pending"))
	read := ledger.New(losing(t, js.Conn(), isNext), "/airtable/app/tbl", slog.New(slog.DiscardHandler))
	read.SetReadStall(50 * time.Millisecond)
	if _, err := read.Refresh(t.Context()); err == nil {
		t.Fatal("it read nothing and says that all is well")
	}
	if n := consumers(t, js); n != 0 {
		t.Errorf("%d consumers are left behind", n)
	}
}

// Invariant 8. A crash takes the end of the stream, and its sequences are used again before anybody looks.
func TestStreamSetBack(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	js, load := on(t, ns)
	l := load()
	const orders, lost, later = 60, 20, 30
	for i := range orders {
		publish(t, l, change(l, i, "Pending"))
	}
	ns.Stop()
	restore := ns.Backup()
	connected := js.Conn().StatusChanged(nats.CONNECTED)
	ns.Start()
	<-connected
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.Lost() {
		t.Fatal("nothing is lost yet")
	}
	digests := map[string]column.Digest{}
	for i := range lost {
		c := change(l, i, "Sent")
		digests[c.Order.RecordID] = c.Digest
		publish(t, l, c)
	}
	before, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ns.Stop()
	restore()
	ns.Start()
	<-connected
	for i := range later {
		publish(t, l, change(l, lost+i, "Delivered"))
	}
	if has, err := l.Has(t.Context(), before); has || err != nil {
		t.Errorf("the stream has what was lost: %t, %v", has, err)
	}
	if _, err := l.Verify(t.Context()); err == nil {
		t.Error("nothing is noticed of what was lost")
	}
	if !l.Lost() || l.Lost() {
		t.Error("the loss is not told once")
	}
	for id, d := range digests {
		if k := l.Kind(id, d); k != event.Updated {
			t.Fatalf("%s, whose event is lost, is %q", id, k)
		}
	}
	after, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if has, err := l.Has(t.Context(), after); !has || err != nil {
		t.Errorf("the stream has its end: %t, %v", has, err)
	}
	publish(t, l, change(l, 0, "Cancelled"))
	if has, err := l.Has(t.Context(), after); !has || err != nil {
		t.Errorf("the stream has what was its end: %t, %v", has, err)
	}
}
