package airtabletest_test

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 20, 10))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// files are the attachments of a record, as the API shows them.
func (c *api) files(id string) []map[string]any {
	c.t.Helper()
	fields, _ := c.do(http.MethodGet, c.table()+"/"+id, nil).json["fields"].(map[string]any)
	list, _ := fields["Files"].([]any)
	files := make([]map[string]any, len(list))
	for i := range list {
		files[i], _ = list[i].(map[string]any)
	}
	return files
}

// download fetches an address of an attachment, which needs no token.
func (c *api) download(address any) (status int, kind, body string) {
	c.t.Helper()
	text, _ := address.(string)
	req := must(http.NewRequestWithContext(c.t.Context(), http.MethodGet, text, http.NoBody))(c.t)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, res.Header.Get("Content-Type"), string(must(io.ReadAll(res.Body))(c.t))
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	clock, file := newClock(), filepath.Join(t.TempDir(), "base")
	cfg := airtabletest.Config{Orders: 2, Now: clock.now, File: file}
	c := start(t, cfg)
	field := must(c.s.AddField(airtabletest.Field{Name: "Files", Type: airtabletest.MultipleAttachments}))(t)
	id := c.s.RecordIDs()[0]
	first := must(c.s.Attach(id, "Files", "albarán.png", "image/png", picture(t)))(t)
	uploaded := c.do(http.MethodPost, "/v0/"+c.s.Config().BaseID+"/"+id+"/"+field+"/uploadAttachment", map[string]any{
		"contentType": "text/plain", "filename": "notes.txt", "file": base64.StdEncoding.EncodeToString([]byte("hello")),
	})
	if cells, _ := uploaded.json["fields"].(map[string]any); uploaded.status != http.StatusOK || uploaded.json["id"] != id || cells[field] == nil {
		t.Fatalf("uploaded: %d %s", uploaded.status, uploaded.text)
	}
	files := c.files(id)
	if len(files) != 2 || files[0]["id"] != first || files[0]["width"] != 20.0 || files[0]["type"] != "image/png" || files[1]["filename"] != "notes.txt" || files[1]["size"] != 5.0 {
		t.Fatalf("files %v", files)
	}
	small := files[0]["thumbnails"].(map[string]any)["small"].(map[string]any)["url"]
	for _, address := range []any{files[0]["url"], small} {
		if status, kind, body := c.download(address); status != http.StatusOK || kind != "image/png" || body != string(picture(t)) {
			t.Errorf("download: %d, %s, %d bytes", status, kind, len(body))
		}
	}
	if status, _, _ := c.download(strings.Replace(files[0]["url"].(string), "/full/", "/small/", 1)); status != http.StatusForbidden {
		t.Errorf("a forged address: %d", status)
	}

	clock.advance(2 * time.Hour)
	if status, _, _ := c.download(files[1]["url"]); status != http.StatusGone {
		t.Errorf("after two hours: %d", status)
	}
	if status, _, body := c.download(c.files(id)[1]["url"]); status != http.StatusOK || body != "hello" {
		t.Errorf("a fresh address: %d", status)
	}

	// A cell is written as a whole: what has an id is kept, what has a url is new.
	path := c.table() + "/" + id
	c.do(http.MethodPatch, path, map[string]any{"fields": map[string]any{"Files": []any{
		map[string]any{"id": files[1]["id"]}, map[string]any{"url": "https://example.com/a/plan.pdf"},
	}}})
	if files := c.files(id); len(files) != 2 || files[0]["filename"] != "notes.txt" || files[1]["filename"] != "plan.pdf" || files[1]["url"] != "https://example.com/a/plan.pdf" {
		t.Errorf("written: %v", files)
	}
	for _, wrong := range []any{"a text", []any{"a text"}, []any{map[string]any{"id": "attNone"}}, []any{map[string]any{"url": "file:///etc/passwd"}}} {
		if a := c.do(http.MethodPatch, path, map[string]any{"fields": map[string]any{"Files": wrong}}); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d %s", wrong, a.status, a.text)
		}
	}

	again := airtabletest.New(cfg) // what SIGKILL would leave
	record, _ := again.Record(id)
	if list, _ := record.Fields["Files"].([]any); len(list) != 2 || list[0].(map[string]any)["size"] != 5.0 {
		t.Errorf("kept: %v", record.Fields["Files"])
	}
}
