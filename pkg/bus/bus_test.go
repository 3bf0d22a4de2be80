package bus_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
)

// patience bounds what should happen at once or soon; only a failing test waits that long.
const patience = 20 * time.Second

var quiet = slog.New(slog.DiscardHandler)

func deadline(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// journal is a log that tests wait on and search.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
	news chan struct{}
}

func newJournal() (*journal, *slog.Logger) {
	j := &journal{news: make(chan struct{}, 1)}
	return j, slog.New(slog.NewTextHandler(j, nil))
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.news <- struct{}{}:
	default:
	}
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// wait returns once the log holds n lines with the text.
func (j *journal) wait(t testing.TB, text string, n int) {
	t.Helper()
	over := time.After(patience)
	for strings.Count(j.String(), text) < n {
		select {
		case <-j.news:
		case <-over:
			t.Fatalf("the log does not say %q %d times:\n%s", text, n, j)
		}
	}
}

func within(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

// fast fails the test when what it brackets took longer than a second.
func fast(t testing.TB, what string) func() {
	t.Helper()
	began := time.Now()
	return func() {
		t.Helper()
		if d := time.Since(began); d > time.Second {
			t.Errorf("%s took %s", what, d)
		}
	}
}

func names() []string {
	var all []string
	for _, s := range bus.Streams {
		all = append(all, s.Name)
	}
	for _, b := range bus.Buckets {
		all = append(all, b.Bucket)
	}
	return all
}
