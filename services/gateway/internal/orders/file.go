package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzhttp"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// fileWait is how long one part of a file may take to be read by the client.
const fileWait = 30 * time.Second

var attachmentID = regexp.MustCompile(`^att[A-Za-z0-9]{1,61}$`)

var errNoFile = fault.New(fault.NotFound, fault.T("El pedido no tiene ese archivo", "The order has no such file"))

// fileRoute documents and adds the route of an order's files below path.
func (a *ordersAPI) fileRoute(path, suffix, note string) {
	content := map[string]*huma.MediaType{}
	for _, kind := range append([]string{"application/octet-stream"}, route.ImageTypes...) {
		content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}, Example: "(bytes)"}
	}
	sizes := &huma.Schema{Type: huma.TypeString}
	for _, size := range syncapi.FileThumbnails {
		sizes.Enum = append(sizes.Enum, size)
	}
	op := route.Cached(huma.Operation{
		OperationID: "orderFile" + suffix, Method: http.MethodGet, Path: path + "/files/{attachment}", Tags: []string{"orders"},
		Summary: "A file attached to an order" + note,
		Description: "The bytes. `fields` of an order link here with `url`, because Airtable's own addresses expire after about two hours. " +
			"An <img> sends no token: fetch the file with `Authorization` and show it with URL.createObjectURL. " +
			"Pictures come with their type; anything else comes as application/octet-stream, to be saved. 413 for a file of more than 25 MB.",
		Parameters: []*huma.Param{
			recordParam,
			{Name: "attachment", In: "path", Required: true, Description: "the attachment's `id`", Example: "attA1b2C3d4E5f6G7", Schema: &huma.Schema{Type: huma.TypeString, Pattern: attachmentID.String()}},
			route.Param("size", "a thumbnail in place of the file, where Airtable has one", sizes, "small"),
		},
		Responses: map[string]*huma.Response{"200": {Description: "The file", Content: content}}, Errors: route.AskErrors(http.StatusNotFound),
	})
	op.Responses["200"].Headers["Content-Disposition"] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}}
	a.Add(op, auth.Viewer, a.file)
}

// file streams an attachment of an order, part after part. What fails on the first part is a problem; after
// that only cutting the connection tells.
func (a *ordersAPI) file(w http.ResponseWriter, r *http.Request) error {
	id, err := recordID(r)
	if err != nil {
		return err
	}
	ref := syncapi.FileRef{RecordID: id, Attachment: r.PathValue("attachment")}
	if !attachmentID.MatchString(ref.Attachment) {
		return fault.Field("attachment", listquery.MalformedID)
	}
	if ref.Thumbnail, err = thumbnail(r); err != nil {
		return err
	}
	// Only what the order has now is asked for: anything else would cost a call of Airtable's API.
	order, err := a.Ask(r.Context(), ordersapi.SubjectGet, ordersapi.Ref{RecordID: id})
	if err != nil {
		return err
	}
	name, ok := attachmentName(order.Data, ref.Attachment)
	if !ok {
		return errNoFile
	}
	tag := `"` + strings.TrimSuffix(ref.Attachment+"-"+ref.Thumbnail, "-") + `"` // an attachment never changes
	h := w.Header()
	if route.HasTag(r.Header["If-None-Match"], tag) {
		h["Etag"] = []string{tag}
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part, size, err := a.filePart(r.Context(), ref)
	if err != nil {
		return err
	}
	disposition := "inline"
	kind, _, _ := strings.Cut(part.Header.Get(rpc.HeaderContentType), ";")
	if kind = strings.ToLower(strings.TrimSpace(kind)); !slices.Contains(route.ImageTypes, kind) {
		kind, disposition = "application/octet-stream", "attachment"
	}
	if named := mime.FormatMediaType(disposition, map[string]string{"filename": name}); named != "" {
		disposition = named
	}
	h["Etag"] = []string{tag}
	h.Set(gzhttp.HeaderNoCompression, "1") // as getOrder: the tag is strong
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Disposition", disposition)
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	if r.Method == http.MethodHead {
		return nil
	}
	return a.streamFile(w, r, ref, part, size)
}

// streamFile writes the first part and fetches the others.
func (a *ordersAPI) streamFile(w http.ResponseWriter, r *http.Request, ref syncapi.FileRef, part bus.Reply, size int64) error {
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(fileWait)) // not supported: no deadline
		if _, err := w.Write(part.Data); err != nil {
			return nil //nolint:nilerr // the client has gone
		}
		if ref.Offset += int64(len(part.Data)); ref.Offset == size {
			return nil
		}
		var now int64
		var err error
		part, now, err = a.filePart(r.Context(), ref)
		if err == nil && (now != size || len(part.Data) == 0) {
			err = fmt.Errorf("%d bytes at %d of %d, now %d", len(part.Data), ref.Offset, size, now)
		}
		if err != nil {
			access.Of(r.Context()).Cause = fmt.Errorf("file cut off: %w", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// filePart asks for a part of a file, and says how large the whole is.
func (a *ordersAPI) filePart(ctx context.Context, ref syncapi.FileRef) (part bus.Reply, size int64, err error) {
	part, err = a.AskSlow(ctx, syncapi.SubjectFile, ref)
	if err != nil {
		return part, 0, err
	}
	if size, err = strconv.ParseInt(part.Header.Get(syncapi.HeaderSize), 10, 64); err != nil || size < ref.Offset+int64(len(part.Data)) {
		return part, 0, route.Unreadable(errors.New("a part of a file without its size"))
	}
	return part, size, nil
}

// thumbnail reads size.
func thumbnail(r *http.Request) (string, error) {
	q, err := listquery.Only(r, "size")
	if err != nil {
		return "", err
	}
	size := q.One("size")
	if size != "" && !slices.Contains(syncapi.FileThumbnails, size) {
		q.Wrong("size", listquery.OneOf(syncapi.FileThumbnails))
	}
	return size, q.Err()
}

// attachmentName finds an attachment in the fields of an order.
func attachmentName(order []byte, id string) (name string, ok bool) {
	var o struct {
		Fields map[string]json.RawMessage `json:"fields"`
	}
	if json.Unmarshal(order, &o) != nil {
		return "", false
	}
	for _, cell := range o.Fields {
		var files []struct {
			ID       string `json:"id"`
			Filename string `json:"filename"`
		}
		if !bytes.Contains(cell, []byte(id)) || json.Unmarshal(cell, &files) != nil {
			continue
		}
		for _, f := range files {
			if f.ID == id {
				return f.Filename, true
			}
		}
	}
	return "", false
}

// linkFiles gives the orders of a service's answer with links to their files in place of Airtable's
// addresses, which expire. All else stays byte by byte; orders without files are not even parsed.
func linkFiles(data []byte) ([]byte, error) {
	if !bytes.Contains(data, []byte(`"att`)) {
		return data, nil
	}
	l := linker{data: data, decoder: jsontext.NewDecoder(bytes.NewReader(data), asServicesSend...)}
	if err := l.orders(); err != nil && !errors.Is(err, io.EOF) {
		return nil, route.Unreadable(err)
	}
	return append(l.out, data[l.copied:]...), nil
}

type linker struct {
	data    []byte
	decoder *jsontext.Decoder
	out     []byte
	copied  int // bytes of data that are in out, or replaced
}

// address is where in the data an address of an attachment is.
type address struct {
	from, to         int64
	attachment, size string
}

// orders walks an order, or an array of them.
func (l *linker) orders() error {
	if l.decoder.PeekKind() != '[' {
		return l.order()
	}
	if _, err := l.decoder.ReadToken(); err != nil {
		return err
	}
	for l.decoder.PeekKind() == '{' {
		if err := l.order(); err != nil {
			return err
		}
	}
	return nil
}

func (l *linker) order() error {
	var record string
	var found []address
	err := members(l.decoder, func(name string) error {
		switch {
		case name == "record_id" && l.decoder.PeekKind() == '"':
			token, err := l.decoder.ReadToken()
			record = token.String()
			return err
		case name == "fields" && l.decoder.PeekKind() == '{':
			return members(l.decoder, func(string) error { return l.cell(&found) })
		}
		return l.decoder.SkipValue()
	})
	for _, a := range found {
		link := "/api/orders/" + record + "/files/" + a.attachment
		if a.size != "" {
			link += "?size=" + a.size
		}
		l.out = append(append(l.out, l.data[l.copied:a.from]...), strconv.Quote(link)...) // nothing in it needs more
		l.copied = int(a.to)
	}
	return err
}

// cell finds the addresses in a cell, if it is one of attachments.
func (l *linker) cell(found *[]address) error {
	value, err := l.decoder.ReadValue()
	if err != nil || len(value) == 0 || value[0] != '[' || !bytes.Contains(value, []byte(`"att`)) {
		return err
	}
	at := l.decoder.InputOffset() - int64(len(value))
	d := jsontext.NewDecoder(bytes.NewReader(value), asServicesSend...)
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '{' {
		var file []address
		var id string
		err := members(d, func(name string) error {
			switch {
			case name == "id" && d.PeekKind() == '"':
				token, err := d.ReadToken()
				id = token.String()
				return err
			case name == "url":
				return addressOf(d, at, "", &file)
			case name == "thumbnails" && d.PeekKind() == '{':
				return members(d, func(size string) error {
					if d.PeekKind() != '{' || !slices.Contains(syncapi.FileThumbnails, size) {
						return d.SkipValue()
					}
					return members(d, func(name string) error {
						if name != "url" {
							return d.SkipValue()
						}
						return addressOf(d, at, size, &file)
					})
				})
			}
			return d.SkipValue()
		})
		if err != nil {
			return err
		}
		if attachmentID.MatchString(id) {
			for _, a := range file {
				a.attachment = id
				*found = append(*found, a)
			}
		}
	}
	return nil
}

// addressOf notes where the next value is, if it is a text.
func addressOf(d *jsontext.Decoder, at int64, size string, file *[]address) error {
	value, err := d.ReadValue()
	if err == nil && value[0] == '"' {
		end := at + d.InputOffset()
		*file = append(*file, address{from: end - int64(len(value)), to: end, size: size})
	}
	return err
}

// members calls f for each member of the object that comes next, to read or skip its value.
func members(d *jsontext.Decoder, f func(name string) error) error {
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := f(name.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}
