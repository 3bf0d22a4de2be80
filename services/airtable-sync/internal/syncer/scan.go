package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
)

const (
	// overlap is how far an incremental run looks back before the last one: a change can become
	// visible to a filter later than the moment it bears.
	overlap = 2 * time.Minute
	// restarts is how often one run starts a listing over after its iterator expired.
	restarts = 3
	// barren is how many pages in a row may bring no new record before a listing is nonsense.
	barren = 50
	// More than a fifth of at least fifty orders gone at once waits for a person (invariant 6).
	heldShare, heldFrom = 5, 50
)

// sync carries out one run. After an error the ledger must forget.
func (s *Syncer) sync(ctx context.Context, log *slog.Logger, j *job) (err error) {
	if err := s.prepare(ctx, log); err != nil {
		return err
	}
	s.actors, s.touched, s.checking = nil, nil, false
	s.mu.Lock()
	s.splitUnconfirmed()
	s.mu.Unlock()
	if s.refreshed, err = s.schema.Load(ctx); err == nil && !s.refreshed && s.schema.Due() {
		s.refreshed, err = true, s.schema.Refresh(ctx)
	}
	if err != nil {
		return err
	}
	hooked := false
	if j.run.Mode != syncapi.Incremental {
		if hooked, err = s.watch(ctx, log, j.run.Trigger == "request", false); err != nil {
			return err
		}
	}
	mode, why := s.choose(j.run.Mode, hooked)
	s.checking = why == whyCheck || why == whyFullPage
	s.progress(func(r *syncapi.Run) { r.Mode, r.ModeReason = mode, why })
	log.Info("sync started", "mode", mode, "why", why.EN, "trigger", j.run.Trigger)
	if err := s.find(ctx, log, mode, hooked, j.confirm); err != nil {
		return err
	}
	return s.lookAgain(ctx)
}

// find goes through the modes from mode down, until one has found all changes.
func (s *Syncer) find(ctx context.Context, log *slog.Logger, mode syncapi.Mode, hooked, confirm bool) error {
	if mode == syncapi.Webhook {
		less, why, err := s.webhook(ctx, log, false)
		if err != nil || less == "" {
			return err
		}
		mode = less
		log.Warn("the webhook does not tell enough, scanning", "mode", mode, "why", why.EN)
		s.progress(func(r *syncapi.Run) { r.Mode, r.ModeReason = mode, why })
	} else if mode == syncapi.Full && hooked && s.hook().Reconcile == (fault.Text{}) {
		// The scan would find the same, without who did it.
		if _, _, err := s.webhook(ctx, log, true); err != nil {
			log.Warn("the webhook was not read before the scan", "error", err)
		}
	}
	if mode == syncapi.Incremental && s.formulaTaken() {
		err := s.incremental(ctx)
		if !airtable.IsBadFormula(err) {
			return err
		}
		log.Warn("incremental sync is not possible, scanning in full", "error", err)
		s.mu.Lock()
		s.noFormula = fault.T("Airtable no acepta el filtro LAST_MODIFIED_TIME()", "Airtable refuses the LAST_MODIFIED_TIME() filter")
		s.mu.Unlock()
	}
	s.progress(func(r *syncapi.Run) { r.Mode = syncapi.Full })
	if !s.refreshed {
		s.refreshed = true
		if err := s.schema.Refresh(ctx); err != nil {
			return err
		}
	}
	return s.full(ctx, log, confirm)
}

// formulaTaken reports whether Airtable takes the filter of incremental runs, as far as is known.
func (s *Syncer) formulaTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noFormula == fault.Text{}
}

// prepare makes sure that the streams are there and that the ledger is of this stream.
func (s *Syncer) prepare(ctx context.Context, log *slog.Logger) error {
	if err := bus.Ensure(ctx, s.js, s.cfg.Replicas, bus.StreamOrders, bus.StreamDeadLetters, bus.BucketSyncState, bus.BucketColumns); err != nil {
		return err
	}
	read, err := s.ledger.Refresh(ctx)
	if err != nil {
		return err
	}
	if read {
		log.Info("ledger read", "orders", s.ledger.Live(), "sequence", s.ledger.Last())
	}
	s.out = s.ledger.Publisher()
	s.mu.Lock()
	st := s.state
	s.mu.Unlock()
	fits, err := st.fits(ctx, s.ledger)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost := s.ledger.Lost(); lost || !fits { // invariant 8
		if lost {
			log.Warn("the stream has lost events, scanning in full", "sequence", s.ledger.Last())
		}
		s.state.Since, s.state.LastFull, s.state.Scan = time.Time{}, time.Time{}, nil
	}
	s.orders = s.ledger.Live()
	return nil
}

var whyColumns = fault.T("las columnas se leen ahora de otro modo", "columns are read differently now")

var whyFullPage = fault.T("el último listado terminó en una página exactamente llena: puede faltarle el final",
	"the last listing ended on an exactly full page: its end may be missing")

var whyCheck = fault.T("toca una comprobación completa", "due as a check")

// choose settles the mode of a run, and says why. hooked is whether there is a webhook to read.
func (s *Syncer) choose(asked syncapi.Mode, hooked bool) (syncapi.Mode, fault.Text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.cfg.Now().Sub(s.state.LastFull) >= s.cfg.FullEvery
	switch {
	case asked == syncapi.Full:
		return syncapi.Full, fault.T("alguien lo pidió", "asked for")
	case s.state.Since.IsZero():
		return syncapi.Full, fault.T("no hay una sincronización anterior que continuar", "no earlier run to continue")
	case s.readsDifferently():
		return syncapi.Full, whyColumns
	case asked == syncapi.Incremental && s.noFormula == (fault.Text{}):
		return syncapi.Incremental, fault.T("alguien lo pidió", "asked for")
	case s.cfg.Mode == syncapi.Full:
		return syncapi.Full, fault.T("así está configurado (SYNC_MODE)", "configured")
	case hooked && s.state.Hook.Reconcile != (fault.Text{}):
		return syncapi.Full, s.state.Hook.Reconcile
	case asked != syncapi.Webhook && due && s.cfg.Budget.Affords(s.orders/airtable.PageSize+2):
		return syncapi.Full, whyCheck
	case asked != syncapi.Webhook && s.state.Doubtful && s.cfg.Budget.Affords(s.orders/airtable.PageSize+2):
		return syncapi.Full, whyFullPage
	case hooked:
		return syncapi.Webhook, fault.T("continúa la anterior", "continues the last run")
	case s.noFormula != fault.Text{}:
		return syncapi.Full, s.noFormula
	case s.orders <= airtable.PageSize:
		return syncapi.Full, fault.T("cuesta una sola llamada", "costs one call as well")
	default:
		return syncapi.Incremental, fault.T("continúa la anterior", "continues the last run")
	}
}

// full lists all of Airtable, and concludes deletions from what is neither listed nor found by its id
// (invariant 6).
func (s *Syncer) full(ctx context.Context, log *slog.Logger, confirm bool) error {
	known, asked := s.ledger.Live(), s.ledger.Now()
	s.progress(func(r *syncapi.Run) { r.Progress.Expected = known })
	before := s.schema.Mapper().Fingerprint()
	seen, began, err := s.list(ctx, log, "")
	if err != nil {
		return err
	}
	fullPage := 0
	if s.endedFull {
		fullPage = len(seen)
	}
	if err := s.schema.Scanned(ctx); err != nil {
		return err
	}
	gone, proven, err := s.absent(ctx, log, s.ledger.Missing(seen, asked), seen)
	if err != nil {
		return err
	}
	hold := len(gone) > 0 && !confirm && (!proven || tooMany(len(gone), known))
	if hold {
		s.hold(log, len(gone), known)
	} else if err := s.delete(ctx, gone, began, asked); err != nil {
		return err
	}
	through, err := s.ledger.Verify(ctx)
	if err != nil {
		return err
	}
	s.scanned(began, through, hold, len(seen) > 0 || confirm, confirm)
	s.mu.Lock()
	s.state.FullPage, s.state.Doubtful = fullPage, fullPage > 0 && fullPage != s.state.FullPage
	s.mu.Unlock()
	s.readAs(before)
	if len(s.touched)+len(s.rechecks) > 0 {
		s.trackUnconfirmed(s.touched, s.touchedAt, seen)
	}
	return nil
}

// scanned notes a complete scan, which is in the stream up to through. conclusive is whether it proves anything: an
// empty answer alone does not.
func (s *Syncer) scanned(began time.Time, through ledger.Position, held, conclusive, confirmed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !held {
		s.state.Held = nil
	}
	s.state.Since, s.state.LastFull = began, s.cfg.Now()
	s.state.Hook.Reconcile = fault.Text{}
	if conclusive {
		s.state.Scan = &syncapi.ScanMark{StreamCreated: s.ledger.Created(), Confirmed: confirmed}
	}
	s.state.reach(through)
	s.orders = s.ledger.Live()
}

// readAs notes how a full scan read all records, if it read them all the same way; before is how it began.
func (s *Syncer) readAs(before string) {
	mapper := s.schema.Mapper()
	now := mapper.Fingerprint()
	if mapper.ByID() && now != before { // without metadata, names turn up on the way
		now = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Columns = now
}

// absent asks by id for the orders that a complete listing did not have, publishes what is news of those that
// are there after all, and returns the others. An answer is proof only if it also has a record that was
// listed, as an empty or cut answer has not.
func (s *Syncer) absent(ctx context.Context, log *slog.Logger, missing []string, seen listed) (gone []string, proven bool, err error) {
	if len(missing) == 0 {
		return nil, true, nil
	}
	slices.Sort(missing)
	var witnesses []string
	for id := range seen {
		if witnesses = append(witnesses, id); len(witnesses) == 3 { // one may be deleted meanwhile
			break
		}
	}
	proven = len(witnesses) > 0
	found := listed{}
	for some := range slices.Chunk(missing, airtable.PageSize-len(witnesses)) {
		p, err := s.byID(ctx, slices.Concat(some, witnesses))
		if airtable.IsBadFormula(err) {
			log.Warn("records not looked up by id", "error", err)
			return missing, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		there := len(p.Records)
		p.Records = slices.DeleteFunc(p.Records, func(r airtable.Record) bool { return slices.Contains(witnesses, r.ID) })
		if proven && len(p.Records) == there {
			return nil, false, fmt.Errorf("%w: none of the records that were listed is there by its id", airtable.ErrNonsense)
		}
		if err := s.take(ctx, p, found); err != nil {
			return nil, false, err
		}
	}
	if err := s.out.Flush(ctx); err != nil {
		return nil, false, err
	}
	for _, id := range missing {
		if _, there := found[id]; there {
			seen[id] = found[id]
		} else {
			gone = append(gone, id)
		}
	}
	if n := len(missing) - len(gone); n > 0 {
		log.Warn("listing was incomplete", "listed", len(seen)-n, "found_by_id", n)
	}
	return gone, proven, nil
}

func (s *Syncer) delete(ctx context.Context, ids []string, at time.Time, asked ledger.Moment) error {
	changes := make([]ledger.Change, len(ids))
	for i, id := range ids {
		// The event carries the order as the stream last had it; this is what is left if it cannot.
		changes[i] = ledger.Change{
			Order: event.Order{RecordID: id, CreatedAt: at, UpdatedAt: at}, Kind: event.Deleted, Found: at, Asked: asked,
			Actor: s.actors[id],
		}
	}
	if err := s.out.Publish(ctx, changes); err != nil {
		return err
	}
	if err := s.out.Flush(ctx); err != nil {
		return err
	}
	s.progress(func(r *syncapi.Run) { r.Deleted += len(ids) })
	return nil
}

// incremental lists what was created or modified since the last run.
func (s *Syncer) incremental(ctx context.Context) error {
	s.mu.Lock()
	since := s.state.Since.Add(-overlap).UTC().Format("2006-01-02T15:04:05.000Z")
	s.mu.Unlock()
	formula := fmt.Sprintf("OR(IS_AFTER(LAST_MODIFIED_TIME(),'%s'),IS_AFTER(CREATED_TIME(),'%s'))", since, since)
	_, began, err := s.list(ctx, s.cfg.Log, formula)
	if err != nil {
		return err
	}
	through, err := s.ledger.Verify(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Since = began
	s.state.reach(through)
	s.orders = s.ledger.Live()
	return nil
}

// listed are the ids of records that Airtable has listed, and whether that was news.
type listed map[string]bool

// list reads a listing to its end and publishes what is news. It returns what it saw, and when, by Airtable's
// clock, the listing began. A listing whose iterator expires is started over.
func (s *Syncer) list(ctx context.Context, log *slog.Logger, formula string) (seen listed, began time.Time, err error) {
	for try := range restarts {
		// Whether the end is the end is asked of the first try only: if the iterator does not survive that question,
		// the listing that it made necessary confirms the first.
		seen, began, err = s.listOnce(ctx, formula, try == 0)
		if !airtable.IsIteratorExpired(err) {
			break
		}
		log.Warn("the listing expired, starting over", "try", try+1, "error", err)
		// What is on its way must be known before the same records are looked at again.
		if err := s.out.Flush(ctx); err != nil {
			return nil, time.Time{}, err
		}
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	return seen, began, s.out.Flush(ctx)
}

func (s *Syncer) listOnce(ctx context.Context, formula string, confirm bool) (seen listed, began time.Time, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen = make(listed, s.ledger.Live())
	began = time.Now()
	s.progress(func(r *syncapi.Run) { r.Progress.Records, r.Unchanged = 0, 0 })
	without := 0
	for page := range s.pages(ctx, formula, confirm) {
		if page.err != nil {
			return nil, time.Time{}, page.err
		}
		if page.first {
			// Listed cells are live from here on, so the next run must look from here.
			began = page.At
		}
		s.endedFull = page.Full && page.Offset == ""
		before := len(seen)
		if err := s.take(ctx, page, seen); err != nil {
			return nil, time.Time{}, err
		}
		if without++; len(seen) > before {
			without = 0
		}
		if without > barren {
			return nil, time.Time{}, fmt.Errorf("%w: %d pages without a new record", airtable.ErrNonsense, barren)
		}
	}
	return seen, began, ctx.Err()
}

type page struct {
	airtable.Page
	first bool
	asked ledger.Moment
	err   error
}

// pages lists ahead of its reader, which must end ctx when it stops early. With confirm, a last page that is full, or
// empty after others, is asked for once more: Airtable has been seen to lose the offset that leads on from there.
func (s *Syncer) pages(ctx context.Context, formula string, confirm bool) <-chan page {
	out := make(chan page, 2)
	query := airtable.Query{Formula: formula, ByFieldID: s.schema.Mapper().ByID()}
	go func() {
		defer close(out)
		offset, confirmed := "", !confirm
		for first := true; ; first = false {
			asked := s.ledger.Now()
			p, err := s.client.Page(ctx, query, offset)
			select {
			case out <- page{Page: p, first: first, asked: asked, err: err}:
			case <-ctx.Done():
				return
			}
			switch {
			case err != nil:
				return
			case p.Offset != "":
				offset, confirmed = p.Offset, !confirm
			case confirmed || !p.Full && (len(p.Records) > 0 || first):
				return
			default:
				confirmed = true
			}
		}
	}()
	return out
}

// take publishes what is news in one page, and adds its records to seen.
func (s *Syncer) take(ctx context.Context, p page, seen listed) error {
	mapper, known := s.schema.Learn(p.Records)
	if !known && !s.refreshed { // a field was added since the schema was read
		s.refreshed = true
		if err := s.schema.Refresh(ctx); err != nil {
			return err
		}
		mapper = s.schema.Mapper()
	}
	changes := make([]ledger.Change, 0, len(p.Records))
	before, created, updated, unchanged := len(seen), 0, 0, 0
	for _, r := range p.Records {
		if !event.ValidRecordID(r.ID) {
			return fmt.Errorf("%w: the record id %q", airtable.ErrNonsense, r.ID)
		}
		if _, twice := seen[r.ID]; twice {
			continue
		}
		seen[r.ID] = false
		order, digest := mapper.Order(r, p.At)
		kind := s.ledger.Kind(r.ID, digest)
		switch {
		case kind == "":
			unchanged++
			delete(s.yielded, r.ID)
			continue
		case s.ledger.Yields(r.ID, p.asked):
			unchanged++
			s.yielded[r.ID] = digest
			continue
		case kind == event.Created:
			created++
		default:
			updated++
		}
		seen[r.ID] = true
		changes = append(changes, ledger.Change{Order: order, Kind: kind, Digest: digest, Found: p.At, Asked: p.asked, Actor: s.actors[r.ID]})
	}
	if err := s.out.Publish(ctx, changes); err != nil {
		return err
	}
	s.progress(func(r *syncapi.Run) {
		r.Progress.Records += len(seen) - before
		r.Created, r.Updated, r.Unchanged = r.Created+created, r.Updated+updated, r.Unchanged+unchanged
	})
	return nil
}

// lookAgain reads once more what was left to the edit writer, and is not what the writer published
// by now: whose answer was the newer cannot be told. It also reads what the last run left unconfirmed,
// unless this run has read that already.
func (s *Syncer) lookAgain(ctx context.Context) error {
	var ids []string
	for id, digest := range s.yielded {
		switch {
		case s.ledger.Kind(id, digest) == "":
			delete(s.yielded, id)
		case !s.ledger.Claimed(id): // else it is not settled: in a later run
			ids = append(ids, id)
		}
	}
	for id, d := range s.rechecks {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if s.actors[id] == nil {
			s.attribute(id, d.Actor)
		}
	}
	before := maps.Clone(s.yielded)
	for _, id := range ids {
		delete(s.yielded, id)
	}
	seen := listed{}
	if err := s.fetch(ctx, ids, seen); err != nil && !airtable.IsBadFormula(err) {
		s.yielded = before
		return err
	}
	if len(s.rechecks) > 0 {
		s.trackUnconfirmed(nil, time.Time{}, seen)
	}
	return s.out.Flush(ctx)
}

// reason says for people why a run failed.
func reason(ctx context.Context, err error) fault.Text {
	switch {
	case ctx.Err() != nil:
		return fault.T("Interrumpida: el servicio se detuvo o cedió el turno", "Interrupted: the service was stopped or lost its turn")
	case errors.Is(err, ledger.ErrLost):
		return fault.T("NATS perdió eventos durante la ejecución; la siguiente los repone", "NATS lost events during the run; the next one restores them")
	}
	if drift, ok := errors.AsType[*bus.DriftError](err); ok {
		return driftReason(drift)
	}
	return airtable.Reason(err)
}

// driftReason names the settings as NATS does.
func driftReason(d *bus.DriftError) fault.Text {
	es, en := make([]string, len(d.Differences)), make([]string, len(d.Differences))
	for i, diff := range d.Differences {
		es[i] = fmt.Sprintf("%s es %v en lugar de %v", diff.Setting, diff.Have, diff.Want)
		en[i] = fmt.Sprintf("%s is %v instead of %v", diff.Setting, diff.Have, diff.Want)
	}
	return fault.T(
		"En NATS, "+d.Name+" no está configurado como espera esta versión: "+strings.Join(es, "; "),
		"In NATS, "+d.Name+" is not configured as this version expects: "+strings.Join(en, "; "))
}
