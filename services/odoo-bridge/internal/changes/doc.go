// Package changes finds out what has changed in Odoo, has the cache drop it, and publishes it as odoo.changed
// events. The instance that holds the lease does so.
//
// Odoo tells what was written since a time, by write_date. That is when the transaction began that
// wrote it, by Odoo's clock. So each poll goes back by Overlap beyond the last one, whose time is by
// Odoo's clock too. Deletions leave no trace: when a count differs from what it should be, all ids
// are read, and every ten minutes anyhow.
//
// An event is published when the record differs from what the newest event on its subject shows, by
// its digest, and only on top of that event: so a change is published once, whoever finds it, and however
// often. What was in Odoo before the first look has no event until it changes. What was seen so far
// is kept in sync-state, so that what changes while no instance runs is published by the next one.
package changes
