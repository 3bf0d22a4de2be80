package bus_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natstest"
)

// docs/asyncapi.yaml lists the streams as they are declared.
func TestAsyncAPIDescribesTheStreams(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Streams []struct {
			Name       string   `yaml:"name"`
			Subjects   []string `yaml:"subjects"`
			Retention  string   `yaml:"retention"`
			PerSubject int64    `yaml:"max_msgs_per_subject"`
			MaxAge     float64  `yaml:"max_age_seconds"`
			Duplicates float64  `yaml:"duplicate_window_seconds"`
		} `yaml:"x-streams"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	type stream struct {
		Subjects           []string
		Retention          string
		PerSubject         int64
		MaxAge, Duplicates time.Duration
	}
	described, declared := map[string]stream{}, map[string]stream{}
	for _, s := range doc.Streams {
		described[s.Name] = stream{
			s.Subjects, s.Retention, s.PerSubject,
			time.Duration(s.MaxAge * float64(time.Second)), time.Duration(s.Duplicates * float64(time.Second)),
		}
	}
	for _, s := range bus.Streams {
		retention, err := json.Marshal(s.Retention)
		if err != nil {
			t.Fatal(err)
		}
		declared[s.Name] = stream{s.Subjects, strings.Trim(string(retention), `"`), s.MaxMsgsPerSubject, s.MaxAge, s.Duplicates}
	}
	if diff := cmp.Diff(declared, described); diff != "" {
		t.Errorf("streams (-declared +described):\n%s", diff)
	}
}

// The golden messages, which pkg/event holds against schemas and documentation, are read from a stream as they were
// published.
func TestGoldenMessagesAreReadAsPublished(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	ctx := deadline(t, patience)
	if err := bus.Ensure(ctx, js, 1, bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	published, last := goldenMessages(t), map[string]uint64{}
	for _, m := range published {
		bus.ExpectLast(m, last[m.Subject])
		seq, err := bus.Publish(ctx, js, m)
		if err != nil {
			t.Fatal(err)
		}
		last[m.Subject] = seq
	}
	reader, err := js.OrderedConsumer(ctx, bus.StreamOrders, jetstream.OrderedConsumerConfig{FilterSubjects: []string{event.OrdersChanged}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range published {
		got, err := reader.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Header, got.Headers()); diff != "" || got.Subject() != want.Subject || !bytes.Equal(want.Data, got.Data()) {
			t.Errorf("%s changed on its way (-published +read):\n%s", want.Subject, diff)
		}
	}
}
