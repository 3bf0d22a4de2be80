package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

const (
	// A webhook is checked after this many intervals although it seems well, which is at every second run: one that
	// expired or was disabled has no payloads, and nothing else gives it away. Where there are none the check costs
	// no call: it says as much as listing none does.
	checkIntervals = 1.5
	// renewBelow is the life left at which a webhook is refreshed. Listing payloads extends it too.
	renewBelow = 4 * 24 * time.Hour
	// refusedFor is how long a lasting refusal of webhooks is believed, unless somebody asks for a run.
	refusedFor = 6 * time.Hour
)

// hook is the webhook that the sync keeps in Airtable. As all of the state it is a hint: what of it
// is lost is found again or made anew, at the cost of a full scan.
type hook struct {
	ID      string    `json:"id,omitempty"`
	Secret  []byte    `json:"secret,omitempty"` // signs pings; only who made the webhook knows it
	URL     string    `json:"url,omitempty"`    // where Airtable pings
	Cursor  int64     `json:"cursor,omitempty"` // what payloads before it tell is in the stream (invariant 1)
	Expires time.Time `json:"expires,omitzero"`
	Looked  time.Time `json:"looked,omitzero"` // when it was last looked at
	Pinged  time.Time `json:"pinged,omitzero"` // what the newest ping says of its time
	// Reconcile says why only a full scan can tell what happened up to Cursor, until one has.
	Reconcile fault.Text `json:"reconcile,omitzero"`
}

func (s *Syncer) hook() hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Hook
}

// keep changes the webhook, and remembers it before anything else happens.
func (s *Syncer) keep(ctx context.Context, log *slog.Logger, change func(*hook)) {
	s.mu.Lock()
	change(&s.state.Hook)
	st := s.state
	s.mu.Unlock()
	if err := st.save(ctx, s.kv); err != nil {
		log.Warn("the webhook was not noted down; a restart will find it again", "error", err)
	}
}

var errNoTableID = errors.New("AIRTABLE_TABLE_ID is a name, and the token may not read the schema")

// watch sees to it that there is a webhook to read, and reports whether there is; s.noHook says why
// not. Only what ends the run is an error. anew is whether to try although it was refused before, and
// unread whether its payloads were just refused.
func (s *Syncer) watch(ctx context.Context, log *slog.Logger, anew, unread bool) (bool, error) {
	s.listed = 0
	if s.cfg.Mode == syncapi.Full || s.cfg.Mode == syncapi.Incremental {
		s.setNoHook(fault.T("así está configurado (SYNC_MODE)", "it is configured so (SYNC_MODE)"))
		return false, nil
	}
	h, now := s.hook(), s.cfg.Now()
	switch {
	case !anew && now.Before(s.refused):
		return false, nil
	case h.ID != "" && s.looked && now.Sub(h.Looked) < min(time.Duration(checkIntervals*float64(s.cfg.Interval)), 24*time.Hour) && h.Expires.Sub(now) > renewBelow:
		s.setNoHook(fault.Text{})
		return true, nil
	}
	err := s.look(ctx, log, h, unread)
	switch {
	case err == nil:
		s.looked, s.refusals, s.refused = true, 0, time.Time{}
		s.setNoHook(fault.Text{})
		return true, nil
	case ctx.Err() != nil || airtable.IsBillingLimit(err):
		return false, err
	case h.ID != "" && airtable.IsForbidden(err) && !unread: // one refusal proves nothing (invariant 11)
		log.Warn("webhook not checked", "error", err)
		s.setNoHook(fault.Text{})
		return true, nil // its payloads will tell
	case errors.Is(err, errNoTableID), airtable.IsForbidden(err), airtable.IsInvalid(err):
		if s.refusals++; s.refusals > 1 || errors.Is(err, errNoTableID) {
			s.refused = now.Add(refusedFor)
		}
	}
	why := whyNoHook(err)
	log.Warn("no webhook: falling back to a lesser mode", "why", why.EN, "error", err)
	s.setNoHook(why)
	return false, nil
}

func (s *Syncer) setNoHook(why fault.Text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noHook = why
}

func whyNoHook(err error) fault.Text {
	switch {
	case errors.Is(err, errNoTableID):
		return fault.T(
			"Para usar webhooks, AIRTABLE_TABLE_ID debe ser el id de la tabla (tbl…) o la clave tener el permiso schema.bases:read",
			"For webhooks AIRTABLE_TABLE_ID must be the table's id (tbl…), or the token have the scope schema.bases:read")
	case airtable.IsForbidden(err):
		return fault.T(
			"La clave no permite webhooks: le falta el permiso webhook:manage, o a su dueño el papel de creador en la base",
			"The token does not allow webhooks: it lacks the scope webhook:manage, or its owner the role of a creator in the base")
	case airtable.IsTooManyWebhooks(err):
		return fault.T("La base ya tiene todos los webhooks que Airtable permite (diez)", "The base has as many webhooks as Airtable allows (ten)")
	default:
		why := airtable.Reason(err)
		return fault.T("Sin webhook: "+why.ES, "No webhook: "+why.EN)
	}
}

// specification is what our webhook watches.
func (s *Syncer) specification() (airtable.Specification, error) {
	mapper := s.schema.Mapper()
	id := cmp.Or(mapper.TableID(), s.client.Table())
	if mapper.TableID() == "" && (!strings.HasPrefix(id, "tbl") || len(id) != len("tblXXXXXXXXXXXXXX")) {
		return airtable.Specification{}, errNoTableID
	}
	s.table = id
	return airtable.Watch(id, mapper.ByID()), nil
}

// look finds our webhook among those of the base, keeps it alive, or makes one. What bears our id
// or our URL and is of no use any more is removed; others' are left alone. unread says that its payloads
// were just refused.
func (s *Syncer) look(ctx context.Context, log *slog.Logger, h hook, unread bool) error {
	spec, err := s.specification()
	if err != nil {
		return err
	}
	list, err := s.client.Webhooks(ctx)
	isKept := func(o airtable.Webhook) bool { return o.ID == h.ID }
	if err == nil && h.ID != "" && !unread && !slices.ContainsFunc(list, isKept) { // once proves nothing (invariant 11)
		list, err = s.client.Webhooks(ctx)
	}
	if err != nil {
		return err
	}
	url := s.cfg.PingURL
	if s.noPings() != (fault.Text{}) {
		url = ""
	}
	var found *airtable.Webhook
	for i := range list {
		if o := &list[i]; whyUseless(h, o, url, spec, s.cfg.Now()) == (fault.Text{}) && (found == nil || o.ID == h.ID) {
			found = o
		}
	}
	why := fault.T("el webhook es nuevo", "the webhook is new")
	if h.ID != "" {
		why = fault.T("alguien quitó el webhook", "somebody removed the webhook")
	}
	for i := range list {
		o := &list[i]
		ours := o.ID == h.ID || url != "" && o.NotificationURL == url && o.Specification.Options.Filters.RecordChangeScope == s.table
		if !ours || o == found {
			continue
		}
		useless := whyUseless(h, o, url, spec, s.cfg.Now())
		if o.ID == h.ID {
			why = useless
		}
		log.Info("a webhook of ours is removed", "id", o.ID, "why", useless.EN)
		if err := s.client.DeleteWebhook(ctx, o.ID); err != nil {
			return fmt.Errorf("remove webhook %s: %w", o.ID, err)
		}
	}
	if found == nil {
		return s.create(ctx, log, url, spec, why)
	}
	return s.tend(ctx, log, h, found)
}

// whyUseless says why a webhook of the base is not one to go on with, or nothing.
func whyUseless(h hook, o *airtable.Webhook, url string, spec airtable.Specification, now time.Time) fault.Text {
	switch {
	case !o.Enabled || o.Expires != nil && !o.Expires.After(now):
		return fault.T("el webhook caducó o Airtable lo desactivó", "the webhook expired or Airtable disabled it")
	case o.NotificationURL != url:
		return fault.T("PUBLIC_URL ha cambiado", "PUBLIC_URL has changed")
	case !o.Specification.Equal(spec):
		return fault.T("el webhook vigila otra cosa", "the webhook watches something else")
	case url != "" && (o.ID != h.ID || len(h.Secret) == 0):
		return fault.T("se perdió la clave que firma los avisos del webhook", "the secret that signs the webhook's pings is lost")
	}
	return fault.Text{}
}

// create makes a webhook. What happened before it only a full scan can tell.
func (s *Syncer) create(ctx context.Context, log *slog.Logger, url string, spec airtable.Specification, why fault.Text) error {
	id, secret, err := s.client.CreateWebhook(ctx, url, spec)
	if url != "" && airtable.IsInvalid(err) && !airtable.IsTooManyWebhooks(err) {
		refusal := err
		url = ""
		if id, secret, err = s.client.CreateWebhook(ctx, url, spec); err == nil {
			log.Warn("Airtable does not take PUBLIC_URL: the webhook is polled", "error", refusal)
			s.mu.Lock()
			s.pingless = fault.T("Airtable no acepta PUBLIC_URL ("+refusal.Error()+"): el webhook se consulta en cada intervalo",
				"Airtable does not take PUBLIC_URL ("+refusal.Error()+"): the webhook is polled at each interval")
			s.mu.Unlock()
		}
	}
	if err != nil {
		return fmt.Errorf("create a webhook: %w", err)
	}
	log.Info("webhook created", "id", id, "why", why.EN, "pings", url)
	now := s.cfg.Now()
	s.keep(ctx, log, func(h *hook) {
		if h.Reconcile == (fault.Text{}) {
			h.Reconcile = why
		}
		*h = hook{ID: id, Secret: secret, URL: url, Cursor: 1, Expires: now.Add(airtable.WebhookLife), Looked: now, Reconcile: h.Reconcile}
	})
	return nil
}

// tend goes on with a webhook that was found, and has Airtable go on with it.
func (s *Syncer) tend(ctx context.Context, log *slog.Logger, h hook, found *airtable.Webhook) error {
	now := s.cfg.Now()
	switch {
	case found.ID != h.ID:
		log.Info("webhook found again", "id", found.ID, "cursor", found.NextCursor)
		h = hook{
			ID: found.ID, URL: found.NotificationURL, Cursor: found.NextCursor,
			Reconcile: fault.T("no se sabe hasta dónde se había leído el webhook", "how far the webhook was read is not known"),
		}
	case found.NextCursor < h.Cursor:
		h.Cursor = found.NextCursor
		h.Reconcile = fault.T("el cursor del webhook retrocedió", "the webhook's cursor went back")
	}
	if h.URL != "" && !found.NotificationsEnabled {
		if err := s.client.EnableNotifications(ctx, h.ID); err != nil {
			return fmt.Errorf("enable the webhook's notifications: %w", err)
		}
		log.Warn("Airtable had stopped pinging; it is told to go on", "url", h.URL)
	}
	h.Looked, h.Expires = now, now.Add(airtable.WebhookLife)
	if found.Expires != nil {
		h.Expires = *found.Expires
	}
	if h.Expires.Sub(now) <= renewBelow {
		if err := s.client.RefreshWebhook(ctx, h.ID); err != nil {
			return fmt.Errorf("refresh the webhook: %w", err)
		}
		h.Expires = now.Add(airtable.WebhookLife)
		log.Info("webhook refreshed", "id", h.ID)
	}
	s.listed = found.NextCursor
	s.keep(ctx, log, func(kept *hook) {
		h.Pinged = kept.Pinged // pings come meanwhile
		*kept = h
	})
	return nil
}

// noPings says why Airtable does not ping although PUBLIC_URL is set, or nothing.
func (s *Syncer) noPings() fault.Text {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pingless
}
