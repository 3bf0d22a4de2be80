package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/natstest"
)

// What is waiting when the connection is lost hears at once that no answer will come, and may not conclude that the
// request was not made.
func TestAskEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*natstest.Server, *nats.Conn){
		"server stopped":    func(s *natstest.Server, _ *nats.Conn) { s.Stop() },
		"connection closed": func(_ *natstest.Server, nc *nats.Conn) { nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t)
			nc, _ := s.Connect()
			server, _ := s.Connect()
			asked := make(chan struct{}, 1)
			if _, err := server.Subscribe("demo.silent", func(*nats.Msg) { asked <- struct{}{} }); err != nil {
				t.Fatal(err)
			}
			if err := server.Flush(); err != nil {
				t.Fatal(err)
			}
			ctx := deadline(t, patience)
			answer := make(chan error, 1)
			go func() { _, err := bus.Ask(ctx, nc, "demo.silent", nil); answer <- err }()
			<-asked
			lose(s, nc)
			err := <-answer
			if ctx.Err() != nil || fault.CodeOf(err) != fault.Unavailable || errors.Is(err, nats.ErrDisconnected) {
				t.Errorf("%v, %v", err, ctx.Err())
			}
		})
	}
}

// BenchmarkAsk is a request on the hot path: the answer is constant.
func BenchmarkAsk(b *testing.B) {
	s := natstest.Start(b)
	nc, _ := s.Connect()
	server, _ := s.Connect()
	if _, err := server.Subscribe("demo.constant", func(m *nats.Msg) { _ = m.Respond([]byte("{}")) }); err != nil {
		b.Fatal(err)
	}
	if err := server.Flush(); err != nil {
		b.Fatal(err)
	}
	for name, limit := range map[string]time.Duration{"short": 1500 * time.Millisecond, "long": 15 * time.Second} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					ctx, cancel := context.WithTimeout(b.Context(), limit)
					_, err := bus.Ask(ctx, nc, "demo.constant", nil)
					cancel()
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
