package resource

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// Image is a picture of a record.
type Image struct {
	Freshness

	Type string // image/png, …; application/octet-stream for what browsers could run, such as SVG
	Data []byte
}

// ETag is a strong entity tag of the image.
func (i Image) ETag() string { return etag(i.Data) }

// Image gives a record's image in one of odooapi.ImageSizes; NotFound when it has none.
func (s *Store) Image(ctx context.Context, name string, scope Scope, q odooapi.ImageRef) (Image, error) {
	_, r, err := s.resource(ctx, name)
	if err != nil {
		return Image{}, err
	}
	field := fmt.Sprintf("image_%d", q.Size)
	answer, err := s.odoo.Call(ctx, odoo.Call{
		Model: r.Model, Method: "search_read", Context: everything(scope.context()), Read: true, Args: []odoo.Arg{
			{Name: "domain", Value: append(one(leaf("id", "=", q.ID)), r.visible(scope)...)}, {Name: "fields", Value: []any{field}},
		},
	})
	if err != nil {
		return Image{}, s.failed(err)
	}
	found := rows(answer)
	if len(found) == 0 {
		return Image{}, notFound(q.ID)
	}
	text, _ := found[0][field].(string)
	if text == "" {
		return Image{}, fault.New(fault.NotFound, fault.T("Este registro no tiene imagen", "This record has no image"))
	}
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return Image{}, unexpected(fmt.Errorf("%s of %s %d: %w", field, r.Model, q.ID, err))
	}
	kind := http.DetectContentType(data)
	if !strings.HasPrefix(kind, "image/") {
		kind = "application/octet-stream"
	}
	return Image{Type: kind, Data: data}, nil
}
