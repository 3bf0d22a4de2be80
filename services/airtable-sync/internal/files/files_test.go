package files

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// fake is an Airtable with one record, whose addresses are the number of the listing that gave them.
type fake struct {
	mu        sync.Mutex
	listings  int
	downloads []string
	stale     bool // only the address of the newest listing is good
	content   []byte
	length    int64 // announced
	foreign   bool
	hold      chan struct{} // half of the content comes before it is closed
}

func (f *fake) Attachments(_ context.Context, record string) (map[string]airtable.Attachment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listings++
	if record != "rec1" {
		return nil, &airtable.Error{Status: http.StatusNotFound}
	}
	return map[string]airtable.Attachment{"att1": {ID: "att1", URL: strconv.Itoa(f.listings)}}, nil
}

func (f *fake) Download(_ context.Context, address string) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.downloads = append(f.downloads, address)
	switch {
	case f.foreign:
		return nil, airtable.ErrForeignAddress
	case f.stale && address != strconv.Itoa(f.listings):
		return nil, &airtable.Error{Status: http.StatusGone}
	}
	var body io.Reader = bytes.NewReader(f.content)
	if f.hold != nil {
		half := len(f.content) / 2
		body = io.MultiReader(bytes.NewReader(f.content[:half]), waitFor(f.hold), bytes.NewReader(f.content[half:]))
	}
	return &http.Response{Header: http.Header{"Content-Type": {"text/plain"}}, ContentLength: f.length, Body: io.NopCloser(body)}, nil
}

// waitFor is an empty reader that ends when the channel is closed.
func waitFor(c chan struct{}) io.Reader {
	return readerFunc(func() (int, error) { <-c; return 0, io.EOF })
}

type readerFunc func() (int, error)

func (f readerFunc) Read([]byte) (int, error) { return f() }

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func newStore(t *testing.T, f *fake) (*Store, *clock) {
	c := &clock{at: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	return New(t.Context(), Config{Part: 4, Now: c.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, f), c
}

// part asks for a part of att1.
func part(t *testing.T, s *Store, ref syncapi.FileRef) (text string, size string, err error) {
	t.Helper()
	data, err := json.Marshal(ref)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := s.Serve(t.Context(), data)
	return string(reply.Data), reply.Header.Get(syncapi.HeaderSize), err
}

func at(offset int64) syncapi.FileRef {
	return syncapi.FileRef{RecordID: "rec1", Attachment: "att1", Offset: offset}
}

func TestParts(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{10, -1} {
		f := &fake{content: []byte("0123456789"), length: length}
		s, _ := newStore(t, f)
		for offset, want := range map[int64]string{0: "0123", 4: "4567", 8: "89", 10: "", 99: ""} {
			if got, size, err := part(t, s, at(offset)); got != want || size != "10" || err != nil {
				t.Errorf("length %d, at %d: %q of %s, %v", length, offset, got, size, err)
			}
		}
		if f.listings != 1 || len(f.downloads) != 1 {
			t.Errorf("%d listings, downloads %v", f.listings, f.downloads)
		}
	}
}

// The first part is there before the last has come.
func TestPartsWhileDownloading(t *testing.T) {
	t.Parallel()
	f := &fake{content: []byte("01234567"), length: 8, hold: make(chan struct{})}
	s, _ := newStore(t, f)
	if got, size, err := part(t, s, at(0)); got != "0123" || size != "8" || err != nil {
		t.Fatalf("%q of %s, %v", got, size, err)
	}
	close(f.hold)
	if got, _, err := part(t, s, at(4)); got != "4567" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestStaleAddress(t *testing.T) {
	t.Parallel()
	f := &fake{content: []byte("0123"), length: 4}
	s, c := newStore(t, f)
	want := func(listings, downloads int) {
		t.Helper()
		if _, _, err := part(t, s, at(0)); err != nil || f.listings != listings || len(f.downloads) != downloads {
			t.Errorf("%v, %d listings, downloads %v", err, f.listings, f.downloads)
		}
	}
	want(1, 1)
	c.advance(keepFile)
	want(1, 2) // the address is still known
	c.advance(addressLifetime)
	want(2, 3)
	c.advance(keepFile)
	f.mu.Lock()
	f.stale = true
	f.listings++ // and so the known address is refused before its time
	f.mu.Unlock()
	want(4, 5)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fake *fake
		ref  syncapi.FileRef
		code fault.Code
	}{
		{"another record", &fake{}, syncapi.FileRef{RecordID: "rec2", Attachment: "att1"}, fault.NotFound},
		{"another attachment", &fake{}, syncapi.FileRef{RecordID: "rec1", Attachment: "att2"}, fault.NotFound},
		{"no thumbnail", &fake{}, syncapi.FileRef{RecordID: "rec1", Attachment: "att1", Thumbnail: "small"}, fault.NotFound},
		{"no such size", &fake{}, syncapi.FileRef{RecordID: "rec1", Attachment: "att1", Thumbnail: "huge"}, fault.Invalid},
		{"a path", &fake{}, syncapi.FileRef{RecordID: "rec1", Attachment: "att/../1"}, fault.Invalid},
		{"a negative offset", &fake{}, at(-1), fault.Invalid},
		{"a foreign address", &fake{foreign: true}, at(0), fault.NotFound},
		{"too large as announced", &fake{length: MaxSize + 1}, at(0), fault.TooLarge},
		{"too large all the same", &fake{length: -1, content: make([]byte, MaxSize+1)}, at(0), fault.TooLarge},
		{"cut off", &fake{content: []byte("01"), length: 3}, at(0), fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := newStore(t, c.fake)
			if _, _, err := part(t, s, c.ref); fault.CodeOf(err) != c.code {
				t.Errorf("%v, want %d", err, c.code)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.files) > 0 || s.bytes != 0 {
				t.Errorf("%d files, %d bytes kept", len(s.files), s.bytes)
			}
		})
	}
}

// What was read longest ago makes room, but never what is being downloaded.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s, c := newStore(t, &fake{})
	fill := func(name string, done bool) error {
		f := &file{used: c.now(), done: done}
		s.files[key{attachment: name}] = f
		c.advance(time.Second)
		return s.reserve(f, maxKept/3)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := fill(name, name != "a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := fill("d", false); err != nil || s.files[key{attachment: "b"}] != nil || len(s.files) != 3 || s.bytes > maxKept {
		t.Fatalf("%v, %d files, %d bytes", err, len(s.files), s.bytes)
	}
	if err := errors.Join(fill("e", false), fill("f", false)); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("four downloads at once: %v", err)
	}
}
