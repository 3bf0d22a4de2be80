package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

const (
	// burst is how many records are read by id although a full scan would cost no more.
	burst = 300
	// burstPages of payloads are read before the rest is left to a full scan.
	burstPages = 10
	// pingLate is how old a change may be that no ping told of before pings are looked after.
	pingLate = time.Minute
	// settleTime is how long after a payload listings usually show the records as they were before: each run reads
	// them again.
	settleTime = 30 * time.Second
	// giveUpTime is how long a touched record that is not listed, or still as it was, is asked for, unless runs are
	// rare. Listings have been seen to lag for minutes.
	giveUpTime = 10 * time.Minute
	// mostLate bounds the records that are listed as they were for longer than settleTime, which may be because the
	// change was of no consequence: two calls read them.
	mostLate = 2 * airtable.PageSize
	// mostUnconfirmed bounds the state; a full scan takes the place of more.
	mostUnconfirmed = 2000
	// recheckAfter is how soon unconfirmed records are read again where pings promise that changes show at once.
	recheckAfter = 5 * time.Second
)

// news is what payloads tell: which records were touched, and by whom. What cells hold is read as
// records, in the form that scans read too: payloads write them differently, and an order that
// did not change must not be news.
type news struct {
	touched map[string]touch // the last of each record
	cursor  int64            // after what was read
	at      time.Time        // when Airtable first answered, by its clock; zero if it was not asked
	asked   ledger.Moment    // before that
	newest  time.Time        // of the payloads
	fields  bool             // the table's fields are others
	removed []string         // ids of fields
	unread  bool             // there is more than was read
	broken  bool             // the webhook tells nothing any more
	scan    fault.Text       // why only a full scan can tell what happened
}

type touch struct {
	destroyed bool
	by        *event.Actor
	api       bool      // by Airtable's API
	payloads  int       // so many have named it
	at        time.Time // what the last of them says
}

// webhook publishes what happened since the last run by what the webhook tells. Where it does not
// tell enough it returns the mode to go on with, and why. scanning says that a full scan follows.
func (s *Syncer) webhook(ctx context.Context, log *slog.Logger, scanning bool) (syncapi.Mode, fault.Text, error) {
	h := s.hook()
	n, err := s.read(ctx, h)
	switch {
	case airtable.IsForbidden(err):
		return s.unreadable(ctx, log, err)
	case errors.Is(err, airtable.ErrNonsense):
		log.Warn("payloads that cannot be read are passed over", "error", err)
		n = &news{cursor: h.Cursor, unread: true, scan: fault.T("los avisos del webhook son ilegibles", "the webhook's payloads are unreadable")}
	case err != nil:
		return "", fault.Text{}, err
	}
	s.schema.Removed(n.removed)
	s.actors = make(map[string]*event.Actor, len(n.touched))
	for id, t := range n.touched {
		s.actors[id] = t.by
	}
	if h.URL != "" && n.newest.After(h.Pinged) && s.cfg.Now().Sub(n.newest) > pingLate {
		s.looked = false // no ping told of it: see next time whether Airtable still pings
	}
	many := fault.T(
		fmt.Sprintf("una ráfaga de %d cambios o más", len(n.touched)), fmt.Sprintf("a burst of %d changes or more", len(n.touched)))
	switch {
	case n.broken:
		return s.replace(ctx, log, h, n.scan)
	case n.unread:
		if n.scan == (fault.Text{}) {
			n.scan = many
		}
		if err := s.skip(ctx, h, n); err != nil {
			return "", fault.Text{}, err
		}
	case n.scan == (fault.Text{}) && len(n.touched) > burst && (scanning || 2*len(n.touched) > s.ledger.Live()):
		n.scan = many // a full scan costs about as much
	}
	if n.scan != (fault.Text{}) {
		s.reconcile(n)
		s.touched, s.touchedAt = n.touched, n.at
		return syncapi.Full, n.scan, nil
	}
	if n.fields {
		s.refreshed = true
		if err := s.schema.Refresh(ctx); err != nil {
			return "", fault.Text{}, err
		}
		s.mu.Lock()
		differently := s.readsDifferently()
		s.mu.Unlock()
		if differently {
			n.scan = whyColumns
			s.reconcile(n)
			return syncapi.Full, n.scan, nil
		}
	}
	if err := s.publish(ctx, log, n); airtable.IsBadFormula(err) {
		n.scan = fault.T("Airtable no acepta el filtro de los registros cambiados", "Airtable refuses the filter of the records that changed")
		s.reconcile(n)
		s.touched, s.touchedAt = n.touched, n.at
		return syncapi.Full, n.scan, nil
	} else if err != nil {
		return "", fault.Text{}, err
	}
	return "", fault.Text{}, s.advance(ctx, n)
}

// readsDifferently reports whether records are read as other orders than in the last full scan. Without
// metadata that cannot be told before names have turned up again. s.mu is held.
func (s *Syncer) readsDifferently() bool {
	mapper := s.schema.Mapper()
	return mapper.ByID() && s.state.Columns != mapper.Fingerprint()
}

// read lists payloads from where the last run ended, until there are no more or too many.
func (s *Syncer) read(ctx context.Context, h hook) (*news, error) {
	n := &news{touched: map[string]touch{}, cursor: h.Cursor, asked: s.ledger.Now()}
	if s.listed == h.Cursor {
		return n, nil // this run has seen in the list of webhooks that there is nothing
	}
	gap := fault.T("faltan avisos del webhook", "payloads of the webhook are missing")
	for page := 1; ; page++ {
		p, err := s.client.Payloads(ctx, h.ID, n.cursor)
		if err != nil {
			return nil, err
		}
		if page == 1 {
			n.at = p.At
		}
		for i := range p.Payloads {
			if err := n.hear(&p.Payloads[i], s.table); err != nil {
				return nil, err
			}
		}
		if p.Cursor != n.cursor+int64(len(p.Payloads)) {
			n.scan = gap
		}
		n.cursor = p.Cursor
		switch {
		case n.scan != (fault.Text{}):
			return n, nil
		case !p.More && n.cursor < s.listed: // they are kept for a week
			n.scan, n.cursor = gap, s.listed
			return n, nil
		case !p.More:
			return n, nil
		case len(p.Payloads) == 0:
			return nil, fmt.Errorf("%w: no payloads, and more of them", airtable.ErrNonsense)
		case page == burstPages:
			n.unread = true
			return n, nil
		}
	}
}

// hear takes in one payload.
func (n *news) hear(p *airtable.Payload, table string) error {
	if p.Error {
		n.broken = p.Code != "INTERNAL_ERROR" // which passes
		n.scan = fault.T("el webhook avisa de un error: "+p.Code, "the webhook tells of an error: "+p.Code)
		return nil
	}
	if p.Timestamp.After(n.newest) {
		n.newest = p.Timestamp
	}
	if _, back := p.CreatedTables[table]; back || slices.Contains(p.DestroyedTables, table) {
		n.scan = fault.T("alguien quitó o recuperó la tabla", "the table was removed or brought back")
	}
	change, ours := p.ChangedTables[table]
	if !ours {
		return nil
	}
	var by *event.Actor
	if u := p.Action.SourceMetadata.User; u != nil && u.ID != "" {
		by = &event.Actor{ID: u.ID, Email: u.Email, Name: u.Name}
	}
	for _, ids := range []map[string]struct{}{change.Created, change.Changed} {
		for id := range ids {
			n.touched[id] = touch{by: by, api: p.Action.Source == "publicApi", payloads: n.touched[id].payloads + 1, at: p.Timestamp}
		}
	}
	for _, id := range change.Destroyed {
		n.touched[id] = touch{destroyed: true, by: by}
	}
	for id := range n.touched {
		if !event.ValidRecordID(id) {
			return fmt.Errorf("%w: the record id %q", airtable.ErrNonsense, id)
		}
	}
	n.fields = n.fields || len(change.CreatedFields)+len(change.ChangedFields)+len(change.DestroyedFields) > 0
	for _, f := range change.ChangedFields {
		if f.Current.Name == nil || f.Current.Type != nil { // more than a new name may change every cell
			n.scan = fault.T("una columna de la tabla ha cambiado", "a field of the table was changed")
		}
	}
	if n.removed = append(n.removed, change.DestroyedFields...); len(change.DestroyedFields) > 0 {
		n.scan = fault.T("se quitó una columna de la tabla", "a field of the table was removed")
	}
	return nil
}

// publish reads what was touched, and what the last run left unconfirmed, and publishes what is news.
func (s *Syncer) publish(ctx context.Context, log *slog.Logger, n *news) error {
	known := s.ledger.Live()
	var there, gone []string
	for id, t := range n.touched {
		switch {
		case !t.destroyed:
			there = append(there, id)
		case s.lives(id):
			gone = append(gone, id)
		}
	}
	for id, d := range s.rechecks {
		if _, again := n.touched[id]; !again {
			there = append(there, id)
			s.attribute(id, d.Actor)
		}
	}
	slices.Sort(there)
	slices.Sort(gone)
	s.progress(func(r *syncapi.Run) { r.Progress.Expected = len(there) })
	seen := listed{}
	if err := s.fetch(ctx, there, seen); err != nil {
		return err
	}
	s.trackUnconfirmed(n.touched, n.at, seen)
	if tooMany(len(gone), known) { // invariant 6
		s.hold(log, len(gone), known)
		return s.out.Flush(ctx)
	}
	if err := s.delete(ctx, gone, n.at, n.asked); err != nil {
		return err
	}
	// The edit writer may have met one of them between the payload and now: see who came last.
	gone = slices.DeleteFunc(gone, func(id string) bool { return !s.lives(id) })
	if len(gone) == 0 {
		return nil
	}
	asked, seen := s.ledger.Now(), listed{}
	if err := s.fetch(ctx, gone, seen); err != nil {
		return err
	}
	return s.delete(ctx, slices.DeleteFunc(gone, func(id string) bool { _, ok := seen[id]; return ok }), n.at, asked)
}

// lives reports whether the stream has the order, and not as deleted.
func (s *Syncer) lives(id string) bool {
	return s.ledger.Kind(id, column.Digest{}) == event.Updated // no order has that digest
}

// fetch reads records by id, a hundred a call, and publishes what is news. seen gets those there are.
func (s *Syncer) fetch(ctx context.Context, ids []string, seen listed) error {
	for some := range slices.Chunk(ids, airtable.PageSize) {
		p, err := s.byID(ctx, some)
		if err != nil {
			return err
		}
		if err := s.take(ctx, p, seen); err != nil {
			return err
		}
	}
	return s.out.Flush(ctx)
}

// byID reads at most airtable.PageSize records.
func (s *Syncer) byID(ctx context.Context, ids []string) (page, error) {
	asked := s.ledger.Now()
	all, err := s.client.All(ctx, airtable.Query{Formula: airtable.Among(ids), ByFieldID: s.schema.Mapper().ByID()})
	return page{Page: all, asked: asked}, err
}

// attribute notes who made the changes of a record.
func (s *Syncer) attribute(id string, by *event.Actor) {
	if s.actors == nil {
		s.actors = map[string]*event.Actor{}
	}
	s.actors[id] = by
}

// splitUnconfirmed parts the unconfirmed records into those that the run is to read, and those that are not due. s.mu
// is held.
func (s *Syncer) splitUnconfirmed() {
	s.rechecks, s.postponed = map[string]recheck{}, map[string]recheck{}
	now := s.cfg.Now()
	for id, d := range s.state.Unconfirmed {
		if now.Before(d.Next) {
			s.postponed[id] = d
		} else {
			s.rechecks[id] = d
		}
	}
	s.recheckAt = time.Time{}
	if s.state.Hook.URL != "" {
		s.recheckAt = nextRecheck(s.postponed)
	}
}

// nextRecheck is when the first of the records that are listed late is due, zero if there is none.
func nextRecheck(unconfirmed map[string]recheck) (at time.Time) {
	for _, d := range unconfirmed {
		if !d.Next.IsZero() && (at.IsZero() || d.Next.Before(at)) {
			at = d.Next
		}
	}
	return at
}

// trackUnconfirmed decides which of the records that were touched, or unconfirmed before, are to be read again, as
// Airtable's listings may lag behind its webhooks: those not listed, those listed as they were, and those that
// payloads named a moment ago more often than they were listed changed, in this run or since they are unconfirmed.
// What is listed as it was for longer than settleTime is read ever more rarely: each time after twice the time. Not
// so what the API touched, as our own edits do all the time. seen is what was listed of them, at is Airtable's time
// before that.
func (s *Syncer) trackUnconfirmed(touched map[string]touch, at time.Time, seen listed) {
	now := s.cfg.Now()
	unconfirmed := map[string]recheck{}
	oldest, soon := now, false
	consider := func(id string, d recheck) {
		d.Asked++
		d.Next = time.Time{}
		age := now.Sub(d.Since)
		changed, there := seen[id]
		if changed {
			d.Payloads--
			d.Shown = true
		}
		switch {
		case !there && (d.Asked < 3 || age < giveUpTime):
		case there && d.Payloads > 0 && (!changed && d.Asked < 2 || age < settleTime):
		case there && !d.Shown && !d.API && age < giveUpTime:
			d.Next = now.Add(age)
			unconfirmed[id] = d
			return
		default:
			return
		}
		unconfirmed[id] = d
		if soon = soon || !there || !d.API; d.Since.Before(oldest) {
			oldest = d.Since
		}
	}
	for id, t := range touched {
		if t.destroyed {
			continue
		}
		d := recheck{Actor: t.by, API: t.api, Since: now, Payloads: 1}
		if at.Sub(t.at) < settleTime {
			d.Payloads = s.rechecks[id].Payloads + s.postponed[id].Payloads + t.payloads
		}
		consider(id, d)
	}
	for id, d := range s.rechecks {
		if _, again := touched[id]; !again {
			d.Payloads = max(d.Payloads, 1) // a state of an earlier version has none
			consider(id, d)
		}
	}
	for id, d := range s.postponed {
		if _, again := touched[id]; !again && !seen[id] {
			unconfirmed[id] = d
		}
	}
	dropLate(unconfirmed)
	s.rechecks, s.postponed = nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(unconfirmed) > mostUnconfirmed {
		unconfirmed = nil
		s.state.Hook.Reconcile = fault.T("Airtable todavía no lista muchos de los cambios", "Airtable does not list many of the changes yet")
	}
	s.state.Unconfirmed = unconfirmed
	s.recheckAt = nextRecheck(unconfirmed)
	if at := now.Add(max(recheckAfter, now.Sub(oldest))); soon && (s.recheckAt.IsZero() || at.Before(s.recheckAt)) {
		s.recheckAt = at
	}
	if s.state.Hook.URL == "" {
		s.recheckAt = time.Time{}
	}
}

// dropLate keeps the mostLate records that were touched last of those that are listed late.
func dropLate(unconfirmed map[string]recheck) {
	var late []string
	for id, d := range unconfirmed {
		if !d.Next.IsZero() {
			late = append(late, id)
		}
	}
	slices.SortFunc(late, func(a, b string) int { return unconfirmed[b].Since.Compare(unconfirmed[a].Since) })
	for _, id := range late[min(mostLate, len(late)):] {
		delete(unconfirmed, id)
	}
}

// advance moves the cursor: all that was read is in the stream by now.
func (s *Syncer) advance(ctx context.Context, n *news) error {
	through, err := s.ledger.Verify(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.reach(through)
	s.state.Hook.Cursor, s.orders = n.cursor, s.ledger.Live()
	if !n.at.IsZero() {
		s.state.Since = n.at
	}
	return nil
}

// reconcile notes that a full scan must tell what was read up to the cursor.
func (s *Syncer) reconcile(n *news) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Hook.Cursor, s.state.Hook.Reconcile = n.cursor, n.scan
}

// skip moves the cursor behind the last payload there is.
func (s *Syncer) skip(ctx context.Context, h hook, n *news) error {
	list, err := s.client.Webhooks(ctx)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].ID == h.ID {
			n.cursor = max(n.cursor, list[i].NextCursor)
		}
	}
	return nil
}

// unreadable finds out why the webhook's payloads are refused: a lone 403 or 404 proves nothing.
func (s *Syncer) unreadable(ctx context.Context, log *slog.Logger, refusal error) (syncapi.Mode, fault.Text, error) {
	log.Warn("the webhook cannot be read, looking for it", "error", refusal)
	s.looked = false
	usable, err := s.watch(ctx, log, true, true)
	switch h := s.hook(); {
	case err != nil:
		return "", fault.Text{}, err
	case !usable:
		s.mu.Lock()
		defer s.mu.Unlock()
		return syncapi.Incremental, s.noHook, nil
	case h.Reconcile != (fault.Text{}):
		return syncapi.Full, h.Reconcile, nil
	default:
		return "", fault.Text{}, refusal
	}
}

// replace makes a new webhook in the place of one that tells nothing any more.
func (s *Syncer) replace(ctx context.Context, log *slog.Logger, h hook, why fault.Text) (syncapi.Mode, fault.Text, error) {
	err := s.client.DeleteWebhook(ctx, h.ID)
	s.keep(ctx, log, func(kept *hook) { *kept = hook{Reconcile: why} })
	if err == nil {
		_, err = s.watch(ctx, log, true, false)
	}
	return syncapi.Full, why, err
}

// tooMany reports whether so many deletions at once wait for a person (invariant 6).
func tooMany(gone, known int) bool { return known >= heldFrom && gone*heldShare > known }

func (s *Syncer) hold(log *slog.Logger, gone, known int) {
	log.Error("deletions are held until somebody confirms them", "gone", gone, "known", known)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Held = &syncapi.Held{Count: gone, Known: known}
}
