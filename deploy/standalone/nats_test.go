package main_test

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
)

var contextLine = regexp.MustCompile(`nats context add resonance --server (\S+) --nkey '(\S+)' --tlsca '(\S+)' --select`)

// The embedded NATS refuses who has no key, and the banner has one for other programs, who read and reach nothing else.
func TestEmbeddedNATSIsGuarded(t *testing.T) {
	env := world(t)
	env["NATS_TLS"] = "true"
	p := launch(t, env)
	p.ready()
	line := contextLine.FindStringSubmatch(p.read(&p.stdout))
	if line == nil || line[1] != "tls://"+env["NATS_ADDR"] {
		t.Fatalf("the banner says\n%s", p.read(&p.stdout))
	}
	ca := nats.RootCAs(line[3])
	for _, anonymous := range [][]nats.Option{nil, {ca}} {
		if nc, err := nats.Connect("nats://"+env["NATS_ADDR"], anonymous...); err == nil {
			nc.Close()
			t.Error("a connection without a key is accepted")
		}
	}
	nkey, err := nats.NkeyOptionFromSeed(line[2])
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(line[1], nkey, ca)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	p.until("the orders in the mirror", func() bool {
		consumer, err := js.OrderedConsumer(t.Context(), bus.StreamOrders, jetstream.OrderedConsumerConfig{FilterSubjects: []string{event.OrdersChanged}})
		if err != nil {
			return false
		}
		_, err = consumer.Next(jetstream.FetchMaxWait(time.Second))
		return err == nil
	})
	denied, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := js.Stream(denied, bus.StreamEdits); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("EDITS: %v", err)
	}
	if paths, err := filepath.Glob(filepath.Join(env["DATA_DIR"], "sandbox", "nats-keys", "*", "user.nk")); err != nil || len(paths) != 7 {
		t.Errorf("%v %v", paths, err)
	}
}
