package airtable

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WebhookLife is how long a webhook lives after its creation, its last refresh or the last listing
// of its payloads. https://airtable.com/developers/web/api/webhooks-overview
const WebhookLife = 7 * 24 * time.Hour

// Specification says which changes a webhook tells of.
// https://airtable.com/developers/web/api/model/webhooks-specification
type Specification struct {
	Options struct {
		Filters Filters `json:"filters"`
	} `json:"options"`
}

// Filters narrow what a webhook tells of; those that are empty let everything through.
type Filters struct {
	DataTypes         []string        `json:"dataTypes"`
	RecordChangeScope string          `json:"recordChangeScope,omitempty"` // a table or view
	ChangeTypes       []string        `json:"changeTypes,omitempty"`
	FromSources       []string        `json:"fromSources,omitempty"`
	SourceOptions     json.RawMessage `json:"sourceOptions,omitempty"`
	WatchData         []string        `json:"watchDataInFieldIds,omitempty"`
	WatchSchemas      []string        `json:"watchSchemasOfFieldIds,omitempty"`
}

// Watch specifies all records of the table with this id and, if the token may read the schema, its
// fields. No field is named: deleting one that is would end the webhook.
func Watch(tableID string, fields bool) Specification {
	var s Specification
	s.Options.Filters = Filters{DataTypes: []string{"tableData"}, RecordChangeScope: tableID}
	if fields {
		s.Options.Filters.DataTypes = append(s.Options.Filters.DataTypes, "tableFields")
	}
	return s
}

// Equal reports whether both tell of the same.
func (s Specification) Equal(other Specification) bool {
	a, errA := json.Marshal(s.sorted())
	b, errB := json.Marshal(other.sorted())
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func (s Specification) sorted() Specification {
	s.Options.Filters.DataTypes = slices.Sorted(slices.Values(s.Options.Filters.DataTypes))
	return s
}

// Webhook is a webhook of the base.
type Webhook struct {
	ID                   string        `json:"id"`
	NotificationURL      string        `json:"notificationUrl"` // "" for none
	NotificationsEnabled bool          `json:"areNotificationsEnabled"`
	Enabled              bool          `json:"isHookEnabled"`
	NextCursor           int64         `json:"cursorForNextPayload"`
	Expires              *time.Time    `json:"expirationTime"` // nil for never
	Specification        Specification `json:"specification"`
}

// Webhooks lists the webhooks of the base. Every call about webhooks needs the scope
// webhook:manage and the role of a creator; without, the error satisfies IsForbidden.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	var answer struct {
		Webhooks *[]Webhook `json:"webhooks"`
	}
	if _, err := c.call(ctx, KindWebhook, c.fixed(http.MethodGet, c.webhookPath(), nil), &answer); err != nil {
		return nil, err
	}
	if answer.Webhooks == nil {
		return nil, fmt.Errorf("%w: a list without webhooks", ErrNonsense)
	}
	return *answer.Webhooks, nil
}

// CreateWebhook makes a webhook, whose first payload will have the cursor 1. secret signs its
// pings and is told this once. It is not repeated when no answer comes, for that could make two:
// look with Webhooks first. When the base has no place left the error satisfies IsTooManyWebhooks.
func (c *Client) CreateWebhook(ctx context.Context, notificationURL string, s Specification) (id string, secret []byte, err error) {
	req, err := c.fixed(http.MethodPost, c.webhookPath(), struct {
		NotificationURL string        `json:"notificationUrl,omitempty"`
		Specification   Specification `json:"specification"`
	}{notificationURL, s})()
	if err != nil {
		return "", nil, err
	}
	var answer struct {
		ID     string `json:"id"`
		Secret string `json:"macSecretBase64"`
	}
	if _, err := c.once(ctx, KindWebhook, req, &answer); err != nil {
		c.backoff(err, 1) // a 429 silences the others too
		return "", nil, err
	}
	secret, err = base64.StdEncoding.DecodeString(answer.Secret)
	if answer.ID == "" || err != nil || len(secret) == 0 {
		return "", nil, fmt.Errorf("%w: a webhook without id or secret", ErrNonsense)
	}
	return answer.ID, secret, nil
}

// DeleteWebhook removes a webhook; one that is not there is removed.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	_, err := c.call(ctx, KindWebhook, c.fixed(http.MethodDelete, c.webhookPath(id), nil), nil)
	if refused, ok := errors.AsType[*Error](err); ok && refused.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// RefreshWebhook gives a webhook WebhookLife from now.
func (c *Client) RefreshWebhook(ctx context.Context, id string) error {
	_, err := c.call(ctx, KindWebhook, c.fixed(http.MethodPost, c.webhookPath(id, "refresh"), nil), nil)
	return err
}

// EnableNotifications has Airtable ping again: it stops after a day of pings that failed.
func (c *Client) EnableNotifications(ctx context.Context, id string) error {
	_, err := c.call(ctx, KindWebhook, c.fixed(http.MethodPost, c.webhookPath(id, "enableNotifications"), map[string]bool{"enable": true}), nil)
	return err
}

// Payloads is one page of what a webhook has to tell.
type Payloads struct {
	Payloads []Payload `json:"payloads"`
	Cursor   int64     `json:"cursor"` // of the payload after these
	More     bool      `json:"mightHaveMore"`
	At       time.Time `json:"-"` // when Airtable answered, by its own clock
}

// Payload is one action on the base, or a part of a large one.
// https://airtable.com/developers/web/api/model/webhooks-payload
type Payload struct {
	Timestamp time.Time `json:"timestamp"`
	Error     bool      `json:"error"`
	Code      string    `json:"code"` // of an error: INVALID_FILTERS, INVALID_HOOK, INTERNAL_ERROR or another
	Action    struct {
		Source         string `json:"source"`
		SourceMetadata struct {
			User *User `json:"user"`
		} `json:"sourceMetadata"`
	} `json:"actionMetadata"`
	ChangedTables   map[string]TableChange `json:"changedTablesById"`
	CreatedTables   map[string]struct{}    `json:"createdTablesById"`
	DestroyedTables []string               `json:"destroyedTableIds"`
}

// User is who acted.
type User struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// TableChange is what an action did to one table. What cells hold is left out: webhooks write them
// in another form than records have.
type TableChange struct {
	Created         map[string]struct{}    `json:"createdRecordsById"`
	Changed         map[string]struct{}    `json:"changedRecordsById"`
	Destroyed       []string               `json:"destroyedRecordIds"`
	CreatedFields   map[string]struct{}    `json:"createdFieldsById"`
	ChangedFields   map[string]FieldChange `json:"changedFieldsById"`
	DestroyedFields []string               `json:"destroyedFieldIds"`
}

// FieldChange is what became of a field; nil is what did not change, or is not told of.
type FieldChange struct {
	Current struct {
		Name *string `json:"name"`
		Type *string `json:"type"`
	} `json:"current"`
}

// Payloads lists what the webhook has to tell from cursor on, which extends its life.
func (c *Client) Payloads(ctx context.Context, id string, cursor int64) (Payloads, error) {
	var answer struct {
		Payloads *[]Payload `json:"payloads"`
		Cursor   int64      `json:"cursor"`
		More     bool       `json:"mightHaveMore"`
	}
	path := c.webhookPath(id, "payloads") + "?cursor=" + strconv.FormatInt(cursor, 10)
	at, err := c.call(ctx, KindPayloads, c.fixed(http.MethodGet, path, nil), &answer)
	if err != nil {
		return Payloads{}, err
	}
	if answer.Payloads == nil || answer.Cursor < 1 {
		return Payloads{}, fmt.Errorf("%w: payloads without a cursor", ErrNonsense)
	}
	return Payloads{Payloads: *answer.Payloads, Cursor: answer.Cursor, More: answer.More, At: at}, nil
}

func (c *Client) webhookPath(parts ...string) string {
	path := []string{"/v0/bases", url.PathEscape(c.cfg.Base), "webhooks"}
	for _, p := range parts {
		path = append(path, url.PathEscape(p))
	}
	return strings.Join(path, "/")
}
