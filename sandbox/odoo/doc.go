// Package odootest is a sandbox of Odoo 14 to 19: an in-memory stand-in of its
// XML-RPC and, from 19 on, JSON-2 interfaces, to be pointed at by tests and by
// demonstrations.
//
// A [Server] is an [net/http.Handler] with one database that holds the models
// odoo-bridge uses, in the shape of the version asked for: products, partners,
// sales, and what they link to. Its answers, faults and their texts follow a
// real Odoo 19 and the sources of the older ones.
//
// Tests start one with [Start], change its records as a person in Odoo would
// with [Server.Create] and its siblings, count what clients called with
// [Server.Calls], and make it misbehave with [Server.Fail], [Server.Stop] and
// [Server.Restart]:
//
//	s, url := odootest.Start(t, odootest.Config{Version: 16, Samples: true})
//	f := s.Fail(odootest.Fault{Model: "product.template", Method: "read", Do: odootest.CutConnection})
//	... point a client at url, with s.Config().Database and Users ...
//	if f.Hits() != 1 { ... }
//
// Not modelled: several variants of a product, prices by pricelist, fiscal
// positions, invoices, deliveries, purchases beyond their fields, attributes of
// users' time zones, and every model not named in schema.txt.
package odootest
