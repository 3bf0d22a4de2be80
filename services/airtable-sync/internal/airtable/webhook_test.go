package airtable_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// calls is a meter that lists what it is told.
type calls struct{ kinds []string }

func (c *calls) Called(kind string, err error) {
	if err != nil {
		kind += "!"
	}
	c.kinds = append(c.kinds, kind)
}

func sandboxed(t *testing.T, cfg airtabletest.Config) (*airtabletest.Server, *airtable.Client, *calls) {
	t.Helper()
	t.Parallel()
	cfg.RatePerSecond = -1
	sandbox, endpoint := airtabletest.Start(t, cfg)
	sc, meter := sandbox.Config(), &calls{}
	return sandbox, airtable.New(airtable.Config{
		Endpoint: endpoint, Key: sc.APIKey, Base: sc.BaseID, Table: sc.TableID, Meter: meter, Log: slog.New(slog.DiscardHandler),
	}), meter
}

func TestWebhookLife(t *testing.T) {
	sandbox, c, meter := sandboxed(t, airtabletest.Config{Orders: 3})
	spec := airtable.Watch(sandbox.Config().TableID, true)
	id, secret, err := c.CreateWebhook(t.Context(), "http://127.0.0.1:1/ping", spec)
	if err != nil || id == "" || len(secret) < 16 {
		t.Fatalf("%q %v", id, err)
	}
	list, err := c.Webhooks(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != id || !list[0].Specification.Equal(spec) || !list[0].Enabled || !list[0].NotificationsEnabled ||
		list[0].NextCursor != 1 || list[0].Expires == nil || list[0].NotificationURL != "http://127.0.0.1:1/ping" {
		t.Fatalf("%+v %v", list, err)
	}
	if list[0].Specification.Equal(airtable.Watch(sandbox.Config().TableID, false)) {
		t.Error("two specifications are one")
	}
	ana := airtabletest.User{ID: "usrAna00000000000", Email: "ana@example.com", Name: "Ana"}
	ids := sandbox.RecordIDs()
	if err := sandbox.As(ana).UpdateRecord(ids[0], airtabletest.Fields{"Status": "Sent", "Customer": "a \"b\""}); err != nil {
		t.Fatal(err)
	}
	if err := sandbox.RenameField("Notes", "Remarks"); err != nil {
		t.Fatal(err)
	}
	sandbox.DeleteRecords(ids[1])
	page, err := c.Payloads(t.Context(), id, 1)
	if err != nil || len(page.Payloads) != 3 || page.Cursor != 4 || page.More || page.At.IsZero() {
		t.Fatalf("%+v %v", page, err)
	}
	table := func(i int) airtable.TableChange { return page.Payloads[i].ChangedTables[sandbox.Config().TableID] }
	if u := page.Payloads[0].Action.SourceMetadata.User; u == nil || *u != (airtable.User{ID: ana.ID, Email: ana.Email, Name: ana.Name}) {
		t.Errorf("by %+v", u)
	}
	if _, there := table(0).Changed[ids[0]]; !there || page.Payloads[0].Timestamp.IsZero() {
		t.Errorf("changed %+v", page.Payloads[0])
	}
	for _, f := range table(1).ChangedFields {
		if f.Current.Name == nil || *f.Current.Name != "Remarks" || f.Current.Type != nil {
			t.Errorf("field %+v", f)
		}
	}
	if len(table(1).ChangedFields) != 1 || !slices.Equal(table(2).Destroyed, ids[1:2]) {
		t.Errorf("%+v", page)
	}
	if err := errors.Join(c.RefreshWebhook(t.Context(), id), c.EnableNotifications(t.Context(), id),
		c.DeleteWebhook(t.Context(), id), c.DeleteWebhook(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Payloads(t.Context(), id, 4); !airtable.IsForbidden(err) {
		t.Errorf("payloads of none: %v", err)
	}
	if want := []string{"webhook", "webhook", "payloads", "webhook", "webhook", "webhook", "webhook!", "payloads!"}; !slices.Equal(meter.kinds, want) {
		t.Errorf("counted %v, want %v", meter.kinds, want)
	}
}

func TestWebhookRefusals(t *testing.T) {
	sandbox, c, _ := sandboxed(t, airtabletest.Config{})
	spec := airtable.Watch(sandbox.Config().TableID, true)
	if _, _, err := c.CreateWebhook(t.Context(), "", airtable.Watch("tblNone", false)); !airtable.IsInvalid(err) {
		t.Errorf("unknown table: %v", err)
	}
	// A creation without an answer is not tried again.
	sandbox.Fail(airtabletest.Fault{On: airtabletest.Webhooks, Do: airtabletest.Drop, Applied: true, Times: -1})
	if _, _, err := c.CreateWebhook(t.Context(), "", spec); !errors.Is(err, airtable.ErrUnreachable) {
		t.Errorf("dropped: %v", err)
	}
	sandbox.Heal()
	if n := len(sandbox.Webhooks()); n != 1 {
		t.Errorf("%d webhooks", n)
	}
	for range 9 {
		if _, _, err := c.CreateWebhook(t.Context(), "", spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.CreateWebhook(t.Context(), "", spec); !airtable.IsTooManyWebhooks(err) {
		t.Errorf("the eleventh: %v", err)
	}
	sandbox.Revoke(airtabletest.WebhooksManage)
	if _, err := c.Webhooks(t.Context()); !airtable.IsForbidden(err) {
		t.Errorf("without the scope: %v", err)
	}
}
