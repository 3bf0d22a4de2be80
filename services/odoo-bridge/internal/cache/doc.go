// Package cache answers reads of Odoo from memory, from a JetStream bucket (odoo-cache, which may be full)
// that all instances share, or from Odoo, in that order, and is never silently out of date.
//
// What is kept is right for two reasons, which must hold together:
//
//   - Nothing is known to have changed. Every resource has a journal in the bucket odoo-journal: a number
//     that grows with each change, and which records the last changes were of. Whoever finds or makes a
//     change writes it there first; every instance watches. An answer carries the number that was
//     current before Odoo was asked for it, so that a later change shows. Pages depend on every
//     record of their resource, a record only on its own.
//   - Somebody has looked. The poller of package changes writes a mark after each look at Odoo,
//     behind the changes it found, in the same stream. What no mark of the last poll interval vouches
//     for is asked for again, and only shown, marked as stale, when Odoo does not answer.
//
// A crash of NATS can set the journals back, and then their numbers come again for other changes. So each mark names the
// session of the instance that wrote it, which begins anew whenever that instance loses sight of the journals, and an
// answer counts only within the session that it was asked in.
//
// A write through Resonance is answered when every instance that is alive has seen its change in
// the journal. An instance that lost sight of the journal trusts nothing until the next mark.
package cache
