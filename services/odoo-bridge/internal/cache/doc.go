// Package cache answers reads of Odoo from memory, from a JetStream bucket that all instances share (odoo-cache, which may
// be full), or from Odoo, in that order, and is never silently out of date.
//
// A cached answer is right for two reasons, which must hold together:
//
//   - Nothing is known to have changed. Every resource has a journal in the bucket odoo-journal: a number that grows with
//     each change, and which records the last changes were of. Whoever finds or makes a change writes it there first, and
//     every instance watches. An answer carries the number that was current before Odoo was asked for it. Pages depend on
//     every record of their resource, a record only on its own.
//   - The poller of package changes has checked lately. It writes a mark after each poll of Odoo, behind the changes that
//     the poll found, in the same stream. An answer that no mark of the last poll interval verifies is fetched again, and
//     only shown, marked as stale, when Odoo does not answer.
//
// A crash of NATS can set the journals back, so that their numbers are used again for other changes. Each mark therefore
// names the session of the instance that wrote it, which ends whenever that instance loses the journals, and an answer
// counts only within the session that it was fetched in.
//
// A write through Resonance is answered when every living instance has acknowledged the change. An instance that lost the
// journals trusts nothing until the next mark.
package cache
