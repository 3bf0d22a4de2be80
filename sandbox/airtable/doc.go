// Package airtabletest is a sandbox of Airtable: an in-memory stand-in of its
// Web API, to be pointed at by tests, by demonstrations and by other people's
// clients, the official airtable npm client among them.
//
// A [Server] is an [net/http.Handler] with one base. It holds a table of sample
// orders and those that [Server.AddTable] or the API adds, with links between
// them, lookups, rollups and counts. It follows Airtable's public documentation:
// pages with iterators whose row order is frozen while the cells stay live, empty
// cells left out, all-or-nothing batches of ten, formulas, upserts, type casts, the
// schema, webhooks with payloads and signed pings, five requests a second with 30
// seconds of silence for whoever goes faster, and errors in Airtable's shapes.
//
// Tests start one with [Start], change its tables as a person in Airtable would
// with the methods of [Table] (that of the orders is the Server's own), count what clients asked with [Server.Calls] and what they
// wrote with [Server.Writes], take rights and quota away with [Server.Revoke] and
// [Server.SetQuota], and make it misbehave with [Server.Fail]:
//
//	s, url := airtabletest.Start(t, airtabletest.Config{Orders: 250, RatePerSecond: -1})
//	f := s.Fail(airtabletest.Fault{On: airtabletest.List, After: 1, Do: airtabletest.CutConnection})
//	... point a client at url, with s.Config().APIKey, BaseID and TableID ...
//	if f.Hits() != 1 { ... }
//
// Not modelled: more than one base, deleting tables, more than one view, fetching
// attachments by URL, the 50 requests a second of one user, and webhooks' form and
// sync sources. Lists in formulas are of texts: a rollup of dates has no MAX.
package airtabletest
