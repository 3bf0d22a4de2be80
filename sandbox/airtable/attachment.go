package airtabletest

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	_ "image/gif"  // the dimensions of GIFs
	_ "image/jpeg" // of JPEGs
	_ "image/png"  // of PNGs
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxUpload is Airtable's bound on an upload, in bytes.
const maxUpload = 5 << 20

// attachmentPath is where the bytes of attachments are. Airtable has them on hosts of their own.
const attachmentPath = "/.attachments/"

// attachment is one file of an attachment cell. It never changes.
type attachment struct {
	id, name, typ string
	width, height int
	data          []byte
	source        string // where Airtable was asked to fetch it from; the sandbox does not, and shows that address
}

// newAttachment is one that has no id before the whole request succeeds.
type newAttachment attachment

// links makes the addresses of attachments, each good for a while.
type links struct {
	origin atomic.Pointer[string] // how clients reach the sandbox
	ttl    atomic.Int64           // nanoseconds
	key    []byte
}

// reached notes under which host the sandbox is reached.
func (l *links) reached(host string) {
	origin := "http://" + host
	if known := l.origin.Load(); known == nil || *known != origin {
		l.origin.Store(&origin)
	}
}

// address is where an attachment, or a thumbnail of it, can be fetched for a while from now on.
func (l *links) address(a *attachment, size string, now time.Time) string {
	if a.source != "" {
		return a.source
	}
	origin := "http://localhost"
	if known := l.origin.Load(); known != nil {
		origin = *known
	}
	expires := strconv.FormatInt(now.Add(time.Duration(l.ttl.Load())).UnixMilli(), 10)
	return origin + attachmentPath + strings.Join([]string{a.id, size, expires, l.sign(a.id, size, expires), url.PathEscape(a.name)}, "/")
}

func (l *links) sign(parts ...string) string {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte(strings.Join(parts, "/")))
	return hex.EncodeToString(mac.Sum(nil)[:12])
}

// parseAttachments reads [{"url", "filename"}] for new files and [{"id"}] for those to keep.
func (c *column) parseAttachments(v any) (cell, *apiError) {
	list, ok := v.([]any)
	if !ok {
		return nil, c.refuse()
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		object, ok := e.(map[string]any)
		if !ok {
			return nil, c.refuse()
		}
		if id, ok := object["id"].(string); ok {
			known := c.files[id]
			if known == nil {
				return nil, unprocessable("INVALID_ATTACHMENT_OBJECT", "Invalid attachment object for field %s: there is no attachment %q", c.Name, id)
			}
			out = append(out, known)
			continue
		}
		address, _ := object["url"].(string)
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, unprocessable("INVALID_ATTACHMENT_OBJECT", "Invalid attachment object for field %s: it takes an id or a url", c.Name)
		}
		name, _ := object["filename"].(string)
		out = append(out, newAttachment{name: cmp.Or(name, u.Path[strings.LastIndexByte(u.Path, '/')+1:], "file"), source: address})
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// settleAttachments gives new files their ids.
func (c *column) settleAttachments(list []any, newID func(prefix string) string) []*attachment {
	files := make([]*attachment, 0, len(list))
	for _, e := range list {
		if made, ok := e.(newAttachment); ok {
			file := attachment(made)
			file.id = newID("att")
			c.keep(&file)
			e = &file
		}
		if file, ok := e.(*attachment); ok && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

func (c *column) keep(file *attachment) {
	if c.files == nil {
		c.files = map[string]*attachment{}
	}
	c.files[file.id] = file
}

// savedAttachment is an attachment in Config.File.
type savedAttachment struct {
	ID     string `json:"id"`
	Name   string `json:"filename"`
	Type   string `json:"type,omitempty"`
	Source string `json:"source,omitempty"`
	Data   []byte `json:"data,omitempty"`
}

func appendSavedAttachments(dst []byte, files []*attachment) []byte {
	saved := make([]savedAttachment, len(files))
	for i, a := range files {
		saved[i] = savedAttachment{a.id, a.name, a.typ, a.source, a.data}
	}
	return append(dst, mustJSON(saved)...)
}

// restoreAttachments is the inverse of appendSavedAttachments.
func (c *column) restoreAttachments(v any) (cell, error) {
	var saved []savedAttachment
	if err := json.Unmarshal(mustJSON(v), &saved); err != nil {
		return nil, fmt.Errorf("attachments of field %q: %w", c.Name, err)
	}
	files := make([]*attachment, len(saved))
	for i, s := range saved {
		files[i] = makeAttachment(s.Name, s.Type, s.Data)
		files[i].id, files[i].source = s.ID, s.Source
		c.keep(files[i])
	}
	return files, nil
}

// makeAttachment has no id yet.
func makeAttachment(name, typ string, data []byte) *attachment {
	a := &attachment{name: name, typ: typ, data: data}
	if strings.HasPrefix(typ, "image/") {
		if size, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
			a.width, a.height = size.Width, size.Height
		}
	}
	return a
}

// appendAttachments appends the cell as the API shows it.
func (t *table) appendAttachments(dst []byte, files []*attachment, now time.Time) []byte {
	type picture struct {
		URL    string `json:"url"`
		Width  int    `json:"width"`
		Height int    `json:"height"`
	}
	type file struct {
		ID         string             `json:"id"`
		Width      int                `json:"width,omitempty"`
		Height     int                `json:"height,omitempty"`
		URL        string             `json:"url"`
		Name       string             `json:"filename"`
		Size       int                `json:"size,omitempty"`
		Type       string             `json:"type,omitempty"`
		Thumbnails map[string]picture `json:"thumbnails,omitempty"`
	}
	list := make([]file, len(files))
	for i, a := range files {
		list[i] = file{ID: a.id, Width: a.width, Height: a.height, URL: t.base.links.address(a, "full", now), Name: a.name, Size: len(a.data), Type: a.typ}
		if a.width == 0 {
			continue
		}
		list[i].Thumbnails = map[string]picture{}
		for size, height := range map[string]int{"small": 36, "large": 512, "full": 3000} {
			list[i].Thumbnails[size] = picture{t.base.links.address(a, size, now), max(1, a.width*height/a.height), height}
		}
	}
	return append(dst, mustJSON(list)...)
}

// serveAttachment answers without a token, as long as the address is good. Thumbnails are the file itself.
func (s *Server) serveAttachment(w http.ResponseWriter, r *http.Request) {
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, attachmentPath), "/", 5)
	if len(parts) != 5 || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	id, size, expires, signature := parts[0], parts[1], parts[2], parts[3]
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || !hmac.Equal([]byte(signature), []byte(s.links.sign(id, size, expires))) {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	if s.now().UnixMilli() >= until {
		http.Error(w, "Gone", http.StatusGone)
		return
	}
	s.mu.RLock()
	var file *attachment
	for _, t := range s.base.tables {
		for _, c := range t.columns {
			file = cmp.Or(file, c.files[id])
		}
	}
	s.mu.RUnlock()
	if file == nil {
		http.NotFound(w, r)
		return
	}
	s.count(Download)
	w.Header().Set("Content-Type", cmp.Or(file.typ, "application/octet-stream"))
	w.Header().Set("Accept-Ranges", "none")
	w.Header().Set("Content-Length", strconv.Itoa(len(file.data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(file.data) // the client has gone
	}
}

// SetAttachmentTTL changes how long the addresses given out from now on are good.
func (s *Server) SetAttachmentTTL(d time.Duration) { s.links.ttl.Store(int64(d)) }

// upload is POST /v0/{base}/{record}/{field}/uploadAttachment, which Airtable has on content.airtable.com.
func (s *Server) upload(r *request) reply {
	var b struct {
		ContentType string `json:"contentType"`
		File        string `json:"file"`
		Filename    string `json:"filename"`
	}
	if fail := decode(r.body, &b); fail != nil {
		return errorReply(fail)
	}
	data, err := base64.StdEncoding.DecodeString(b.File)
	switch {
	case b.ContentType == "" || b.Filename == "" || b.File == "" || err != nil:
		return errorReply(errParameters)
	case len(data) > maxUpload:
		return errorReply(errBodyTooBig)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, row := s.base.record(*r.record)
	if row == nil {
		return errorReply(errModel)
	}
	i, ok := t.resolve(r.field)
	if !ok {
		return errorReply(unknownField(r.field))
	}
	if _, fail := s.attach(s.api(), row, t.columns[i], makeAttachment(b.Filename, b.ContentType, data)); fail != nil {
		return errorReply(fail)
	}
	s.audit.add(WriteRequest{Time: s.now(), Kind: "upload", Table: t.id, Hidden: r.hides(), Records: []WrittenRecord{{ID: string(row.id[:])}}})
	how := &rendering{byID: true, columns: t.columns[i : i+1], now: s.now()}
	return jsonReply(http.StatusOK, t.appendRecord(nil, row, how))
}

// attach adds a file to a cell. s.mu is held.
func (s *Server) attach(by author, row *record, c *column, file *attachment) (id string, fail *apiError) {
	if c.Type != MultipleAttachments {
		return "", c.refuse()
	}
	cell := []any{}
	if there, ok := row.cell(c.index).([]*attachment); ok {
		for _, a := range there {
			cell = append(cell, a)
		}
	}
	cell = append(cell, newAttachment(*file))
	s.apply(c.owner, by, []change{{record: row, cells: map[int]any{c.index: cell}}}, false)
	files, _ := row.cell(c.index).([]*attachment) // settled
	return files[len(files)-1].id, nil
}

// Attach adds a file to an attachment cell, as a person in Airtable would, and returns its id.
func (t *Table) Attach(id, field, name, contentType string, data []byte) (string, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	rid, _ := parseID(id)
	row := t.t.byID[rid]
	i, ok := t.t.resolve(field)
	if row == nil || !ok {
		return "", fmt.Errorf("airtable sandbox: no record %q, or no field %q", id, field)
	}
	att, fail := t.s.attach(author{sourceClient, somebody}, row, t.t.columns[i], makeAttachment(name, contentType, data))
	if fail != nil {
		return "", fmt.Errorf("airtable sandbox: %w", fail)
	}
	return att, nil
}
