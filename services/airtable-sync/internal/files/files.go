// Package files serves the attachments of orders. Airtable's addresses of them expire after about two
// hours, so a file is fetched when somebody asks for it, by an address that is read anew when it is stale.
//
// A file is larger than a NATS message may be: whoever reads it asks for one part after another. The first
// request starts a download; each is answered as soon as its part is there. Downloads are kept in memory for
// a while, bounded in bytes. What was dropped, or is asked of the next active instance, is downloaded again:
// an attachment never changes.
package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// Bounds.
const (
	MaxSize     = 25 << 20 // bytes of one file
	maxKept     = 64 << 20 // bytes of all files in memory
	maxWaiting  = 16       // requests that wait for Airtable at once: the pool of workers serves more than files
	maxListings = 1000

	keepFile        = 10 * time.Minute
	addressLifetime = time.Hour // Airtable says "a few hours", and is seen to mean two
	downloadTimeout = 2 * time.Minute
)

// Client reads attachments from Airtable.
type Client interface {
	Attachments(ctx context.Context, record string) (map[string]airtable.Attachment, error)
	Download(ctx context.Context, address string) (*http.Response, error)
}

// Config is what a Store needs.
type Config struct {
	Part int // bytes of a reply at most
	Now  func() time.Time
	Log  *slog.Logger
}

// Store downloads files and keeps them for a while.
type Store struct {
	cfg     Config
	client  Client
	spawn   func(func(ctx context.Context)) // runs a download until the store ends
	waiting chan struct{}

	mu       sync.Mutex
	files    map[key]*file
	bytes    int64 // of all files, those still to come included
	listings map[string]listing
}

type key struct{ record, attachment, thumbnail string }

// listing is what a record's attachments were.
type listing struct {
	at    time.Time
	files map[string]airtable.Attachment
}

// file is a download. Its fields are guarded by Store.mu.
type file struct {
	began    time.Time
	used     time.Time
	typ      string
	size     int64 // -1 until it is known
	reserved int64
	data     []byte
	done     bool
	err      error
	grown    chan struct{} // closed when anything of this has changed
}

// New makes a store whose downloads end with ctx.
func New(ctx context.Context, cfg Config, client Client) *Store {
	return &Store{
		cfg: cfg, client: client, waiting: make(chan struct{}, maxWaiting),
		spawn: func(run func(context.Context)) { go run(ctx) },
		files: map[key]*file{}, listings: map[string]listing{},
	}
}

var attachmentID = regexp.MustCompile(`^att[A-Za-z0-9]{1,61}$`)

var (
	errUnreadable = fault.T("Petición ilegible", "Unreadable request")
	errNotFound   = fault.New(fault.NotFound, fault.T("El pedido no tiene ese archivo", "The order has no such file"))
	errTooLarge   = fault.New(fault.TooLarge, fault.T(
		fmt.Sprintf("El archivo ocupa más de %d MB; ábralo en Airtable", MaxSize>>20),
		fmt.Sprintf("The file is larger than %d MB; open it in Airtable", MaxSize>>20)))
	errBusy = fault.Away("airtable-sync", errors.New("too many files at once"))
)

// Serve is the bus.Handler of syncapi.SubjectFile.
func (s *Store) Serve(ctx context.Context, data []byte) (bus.Reply, error) {
	var ref syncapi.FileRef
	if err := json.Unmarshal(data, &ref); err != nil {
		return bus.Reply{}, fault.Wrap(fault.Invalid, errUnreadable, err)
	}
	if !event.ValidRecordID(ref.RecordID) || !attachmentID.MatchString(ref.Attachment) || ref.Offset < 0 ||
		ref.Thumbnail != "" && !slices.Contains(syncapi.FileThumbnails, ref.Thumbnail) {
		return bus.Reply{}, fault.New(fault.Invalid, errUnreadable)
	}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return bus.Reply{}, errBusy
	}
	return s.part(ctx, key{ref.RecordID, ref.Attachment, ref.Thumbnail}, ref.Offset)
}

// part waits until the part at offset has come.
func (s *Store) part(ctx context.Context, k key, offset int64) (bus.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.open(k)
	for {
		switch {
		case f.err != nil:
			return bus.Reply{}, f.err
		case f.size >= 0 && (f.done || int64(len(f.data)) >= min(offset+int64(s.cfg.Part), f.size)):
			part := f.data[min(offset, int64(len(f.data))):min(offset+int64(s.cfg.Part), int64(len(f.data)))]
			return bus.Reply{
				Header: nats.Header{syncapi.HeaderSize: {strconv.FormatInt(f.size, 10)}, rpc.HeaderContentType: {f.typ}},
				Data:   part, // only ever appended to
			}, nil
		}
		grown := f.grown
		s.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if err := ctx.Err(); err != nil {
			return bus.Reply{}, fault.Away("Airtable", err)
		}
	}
}

// open returns the download of a file, which it starts if there is none. s.mu is held.
func (s *Store) open(k key) *file {
	now := s.cfg.Now()
	for other, f := range s.files { // few: they are bounded in bytes
		if f.done && now.Sub(f.began) >= keepFile {
			s.drop(other)
		}
	}
	f := s.files[k]
	if f == nil {
		f = &file{began: now, size: -1, grown: make(chan struct{})}
		s.files[k] = f
		s.spawn(func(ctx context.Context) { s.download(ctx, k, f) })
	}
	f.used = now
	return f
}

// drop forgets a file. s.mu is held.
func (s *Store) drop(k key) {
	s.bytes -= s.files[k].reserved
	delete(s.files, k)
}

// update changes a file and wakes those who wait for it.
func (s *Store) update(f *file, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(f.grown)
	f.grown = make(chan struct{})
}

func (s *Store) download(ctx context.Context, k key, f *file) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	err := s.fetch(ctx, k, f)
	if err != nil && fault.CodeOf(err) == fault.Unavailable {
		s.cfg.Log.WarnContext(ctx, "attachment not fetched", "record", k.record, "attachment", k.attachment, "error", err)
	}
	s.update(f, func() {
		f.done, f.err = true, err
		if err != nil && s.files[k] == f { // the next request tries again
			s.drop(k)
		}
		if err == nil {
			f.size = int64(len(f.data))
		}
	})
}

// fetch downloads the file, by a fresh address if the known one is stale. Every error is a fault.Error.
func (s *Store) fetch(ctx context.Context, k key, f *file) error {
	known, fresh, err := s.listing(ctx, k.record, false)
	if err != nil {
		return err
	}
	res, err := s.get(ctx, known, k)
	if err != nil && !fresh && fault.CodeOf(err) != fault.TooLarge {
		if known, _, err = s.listing(ctx, k.record, true); err != nil {
			return err
		}
		res, err = s.get(ctx, known, k)
	}
	if err != nil {
		return unavailable(err)
	}
	defer res.Body.Close()
	if res.ContentLength > MaxSize {
		return errTooLarge
	}
	s.update(f, func() {
		f.typ, f.size = res.Header.Get("Content-Type"), res.ContentLength
		if err = s.reserve(f, max(f.size, 0)); err == nil {
			f.data = make([]byte, 0, f.reserved)
		}
	})
	buffer := make([]byte, 64<<10)
	for err == nil {
		var n int
		n, err = res.Body.Read(buffer)
		s.update(f, func() {
			f.data = append(f.data, buffer[:n]...)
			if full := s.reserve(f, int64(len(f.data))); full != nil {
				err = full
			}
		})
	}
	switch {
	case !errors.Is(err, io.EOF):
		return unavailable(err)
	case res.ContentLength >= 0 && int64(len(f.data)) != res.ContentLength:
		return unavailable(fmt.Errorf("%w: %d of %d bytes", airtable.ErrUnreachable, len(f.data), res.ContentLength))
	default:
		return nil
	}
}

// reserve makes room for a file of so many bytes, by dropping those that were not used for longest.
// s.mu is held.
func (s *Store) reserve(f *file, size int64) error {
	if size > MaxSize {
		return errTooLarge
	}
	if size <= f.reserved {
		return nil
	}
	s.bytes += size - f.reserved
	f.reserved = size
	for s.bytes > maxKept {
		var oldest *file
		var which key
		for k, other := range s.files {
			if other != f && other.done && (oldest == nil || other.used.Before(oldest.used)) {
				oldest, which = other, k
			}
		}
		if oldest == nil {
			return errBusy
		}
		s.drop(which)
	}
	return nil
}

// listing returns the attachments of a record, and whether Airtable was asked for them now.
func (s *Store) listing(ctx context.Context, record string, anew bool) (files map[string]airtable.Attachment, fresh bool, err error) {
	s.mu.Lock()
	known, ok := s.listings[record]
	s.mu.Unlock()
	if ok && !anew && s.cfg.Now().Sub(known.at) < addressLifetime {
		return known.files, false, nil
	}
	at := s.cfg.Now()
	files, err = s.client.Attachments(ctx, record)
	if airtable.IsForbidden(err) {
		return nil, true, errNotFound
	}
	if err != nil {
		f := fault.Away("Airtable", err)
		f.Detail = airtable.Reason(err)
		return nil, true, f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listings) >= maxListings {
		clear(s.listings) // they cost one call each
	}
	s.listings[record] = listing{at, files}
	return files, true, nil
}

// get opens the address of a file, or of its thumbnail.
func (s *Store) get(ctx context.Context, files map[string]airtable.Attachment, k key) (*http.Response, error) {
	a, ok := files[k.attachment]
	address := a.URL
	if k.thumbnail != "" {
		address = a.Thumbnails[k.thumbnail].URL
	}
	switch {
	case !ok || address == "":
		return nil, errNotFound
	case k.thumbnail == "" && a.Size > MaxSize:
		return nil, errTooLarge
	}
	return s.client.Download(ctx, address)
}

// unavailable is the fault for a download that failed.
func unavailable(err error) error {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known
	}
	if errors.Is(err, airtable.ErrForeignAddress) {
		return fault.Wrap(fault.NotFound, fault.T("Airtable no guarda ese archivo", "Airtable does not store that file"), err)
	}
	return fault.Away("Airtable", err)
}
