package airtable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// KindFiles counts reads of one record for the addresses of its attachments.
const KindFiles = "files"

// Attachment is one file of an attachment cell. Airtable's addresses are good for about two hours.
type Attachment struct {
	ID         string `json:"id"`
	URL        string `json:"url"`
	Filename   string `json:"filename"`
	Type       string `json:"type"`
	Size       int64  `json:"size"`
	Thumbnails map[string]struct {
		URL string `json:"url"`
	} `json:"thumbnails"`
}

// Attachments fetches the attachments of a record with fresh addresses, by id. An unknown record is an
// error that IsForbidden.
func (c *Client) Attachments(ctx context.Context, record string) (map[string]Attachment, error) {
	var answer struct {
		Fields map[string]json.RawMessage `json:"fields"`
	}
	path := "/v0/" + url.PathEscape(c.cfg.Base) + "/" + url.PathEscape(c.cfg.Table) + "/" + url.PathEscape(record)
	if _, err := c.call(ctx, KindFiles, c.fixed(http.MethodGet, path, nil), &answer); err != nil {
		return nil, err
	}
	found := map[string]Attachment{}
	for _, cell := range answer.Fields {
		var files []Attachment
		if json.Unmarshal(cell, &files) != nil {
			continue
		}
		for _, f := range files {
			if strings.HasPrefix(f.ID, "att") && f.URL != "" {
				found[f.ID] = f
			}
		}
	}
	return found, nil
}

// ErrForeignAddress is wrapped when an attachment's address is not one of Airtable's.
var ErrForeignAddress = errors.New("not an address of Airtable's attachments")

// attachmentHosts serve the attachments of the real Airtable, over https.
var attachmentHosts = []string{".airtableusercontent.com", ".airtable.com"}

// Download opens an attachment's address, which carries its own signature: the token is not sent. Only
// Airtable's hosts and the configured endpoint's are asked, and redirects are not followed, because whoever
// edits the base must not be able to make this process read other addresses. The caller closes the body.
// A refusal is an *Error; an address that has expired is among them.
func (c *Client) Download(ctx context.Context, address string) (*http.Response, error) {
	if !c.ours(address) {
		return nil, ErrForeignAddress
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeignAddress, err)
	}
	req.Header.Set("User-Agent", "resonance")
	req.Header.Set("Accept-Encoding", "identity") // the length is that of the file
	res, err := c.http.Do(req)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err // the address is signed: it does not belong in a log
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, &Error{Status: res.StatusCode}
	}
	return res, nil
}

// ours reports whether Airtable serves attachments at the address.
func (c *Client) ours(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	if endpoint, err := url.Parse(c.cfg.Endpoint); err == nil && u.Scheme == endpoint.Scheme && u.Host == endpoint.Host {
		return true
	}
	if u.Scheme != "https" || u.Port() != "" && u.Port() != "443" {
		return false
	}
	for _, suffix := range attachmentHosts {
		if strings.HasSuffix(strings.ToLower(u.Hostname()), suffix) {
			return true
		}
	}
	return false
}
