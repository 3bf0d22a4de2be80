package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Prefixes by which an account reaches a part of another's JetStream API, where the server is configured so.
const (
	ConsumersAPI = "CONSUMERS.API" // the consumers', in the services' account
	ServicesAPI  = "SERVICES.API"  // the services', in the consumers' account
)

// MirrorDelivery begins the subjects by which the server fills the mirror of a stream.
func MirrorDelivery(stream string) string { return "mirror." + stream }

const (
	mirrorInterval = time.Second
	mirrorTimeout  = 5 * time.Second
	metaOrigin     = "resonance-origin" // when the stream was created that a mirror is of
)

// KeepMirror keeps a mirror of a stream, which other programs read, in the consumers' account until stop is called, which
// waits for its end. A mirror follows its stream by sequence only, so that one of a stream that was replaced or set back
// is replaced too. On a server without accounts it does nothing. Only one instance calls it at a time.
func KeepMirror(ctx context.Context, log *slog.Logger, js jetstream.JetStream, replicas int, stream string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	log = log.With("stream", stream)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = Persist(ctx, log, "mirror not kept, trying again", func(ctx context.Context) error { // until ctx ends
			return keepMirror(ctx, log, js, replicas, stream)
		})
	}()
	return func() { cancel(); <-ended }
}

func keepMirror(ctx context.Context, log *slog.Logger, js jetstream.JetStream, replicas int, stream string) error {
	consumers, err := jetstream.NewWithAPIPrefix(js.Conn(), ConsumersAPI)
	if err != nil {
		return err
	}
	tick := time.NewTicker(mirrorInterval)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, mirrorTimeout)
		err := checkMirror(attempt, log, js, consumers, replicas, stream)
		cancel()
		if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func checkMirror(ctx context.Context, log *slog.Logger, js, consumers jetstream.JetStream, replicas int, name string) error {
	mirror, err := consumers.Stream(ctx, name) // before its origin, which is never behind then
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders) {
		return nil
	}
	missing := errors.Is(err, jetstream.ErrStreamNotFound)
	if err != nil && !missing {
		return fmt.Errorf("inspect the mirror of %s: %w", name, err)
	}
	origin, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // it will be created
	}
	if err != nil {
		return fmt.Errorf("inspect %s: %w", name, err)
	}
	if !missing {
		reason, err := diverged(ctx, mirror, origin, replicas)
		if err != nil || reason == "" {
			return err
		}
		log.Warn("mirror replaced", "reason", reason)
		if err := consumers.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("delete the mirror of %s: %w", name, err)
		}
	}
	if _, err := consumers.CreateStream(ctx, mirrorOf(origin.CachedInfo(), replicas)); err != nil {
		return fmt.Errorf("create the mirror of %s: %w", name, err)
	}
	return nil
}

// mirrorOf is the mirror of a stream: with the same limits, and as easily made again as it.
func mirrorOf(origin *jetstream.StreamInfo, replicas int) jetstream.StreamConfig {
	c := origin.Config
	mirror := jetstream.StreamConfig{
		Name: c.Name, Description: c.Description, Storage: c.Storage, Replicas: replicas,
		MaxMsgsPerSubject: c.MaxMsgsPerSubject, MaxAge: c.MaxAge,
		Metadata: map[string]string{metaOrigin: origin.Created.Format(time.RFC3339Nano)},
		Mirror: &jetstream.StreamSource{
			Name: c.Name, External: &jetstream.ExternalStream{APIPrefix: ServicesAPI, DeliverPrefix: MirrorDelivery(c.Name)},
		},
	}
	if replicas <= 1 {
		mirror.PersistMode = jetstream.AsyncPersistMode
	}
	return mirror
}

// diverged says why a mirror does not follow its origin any more; "" if it does.
func diverged(ctx context.Context, mirror, origin jetstream.Stream, replicas int) (string, error) {
	have, want := mirror.CachedInfo(), origin.CachedInfo()
	switch {
	case have.Config.Metadata[metaOrigin] != want.Created.Format(time.RFC3339Nano):
		return "the stream was replaced", nil
	case have.State.LastSeq > want.State.LastSeq:
		return "the stream was set back", nil
	case have.Config.Replicas < replicas:
		return "replicas raised", nil
	case have.State.LastSeq == 0:
		return "", nil
	}
	theirs, err := mirror.GetMsg(ctx, have.State.LastSeq)
	if err == nil {
		var ours *jetstream.RawStreamMsg
		ours, err = origin.GetMsg(ctx, have.State.LastSeq)
		if err == nil && (!ours.Time.Equal(theirs.Time) || ours.Header.Get(nats.MsgIdHdr) != theirs.Header.Get(nats.MsgIdHdr)) {
			return "the stream lost its end", nil
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) { // a newer message has taken its place
		return "", nil
	}
	return "", err
}
