// Package natsauth says who may do what on NATS (invariant 10), and makes the keys and the server's configuration for it.
//
// The services share an account. Each has a user whose permissions follow from its line of the table here, and may
// subscribe only to the prefix of its own replies. Permissions cannot isolate everybody else: a push consumer delivers
// with the rights of the server, so whoever may create one could have messages delivered as requests to the services.
// So other programs have an account of their own, with mirrors of the public streams, in which they create any
// consumer they like. What crosses between the accounts is listed in accounts.go, and nothing in it leads from a
// consumer's user to a service.
package natsauth

import (
	"slices"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
)

// use is what a user does with a stream.
type use uint

const (
	ensure  use = 1 << iota // create and repair it, as bus.Ensure does
	get                     // single messages
	consume                 // by consumers without acknowledgements
	durable                 // by a consumer that keeps its place, with acknowledgements
	rebuild                 // delete it
	mirror                  // keep its mirror in the consumers' account
)

// user is a service and all it does on NATS. Whatever is missing here is denied.
type user struct {
	name       string   // of the service, its connection and its user
	micro      string   // the name of its micro service; "" for none
	endpoints  []string // requests that it answers
	requests   []string // requests that it makes
	publishes  []string
	subscribes []string
	streams    map[string]use
	buckets    []string // that it reads, writes and watches
}

// odooPeers are the subjects by which instances of odoo-bridge tell each other of writes.
const odooPeers = "odoo-bridge.>"

var users = []user{
	{
		name: "airtable-sync", micro: "airtable-sync", endpoints: syncSubjects,
		publishes: []string{event.OrdersChanged, event.OrdersEdited, event.AllDead},
		streams: map[string]use{
			bus.StreamOrders:               ensure | get | consume | rebuild | mirror,
			bus.StreamOrders + "_REPLICAS": ensure | rebuild, // bus.RebuildOrders tries with it whether a cluster can hold replicas
			bus.StreamEdits:                ensure | get | consume | durable,
			bus.StreamDeadLetters:          ensure | get,
		},
		buckets: []string{bus.BucketSyncState, bus.BucketColumns},
	},
	{
		name: "orders", micro: "orders", endpoints: ordersSubjects,
		requests:   []string{syncapi.SubjectStatus},
		publishes:  []string{ordersapi.SubjectProjected, event.OrderEdits, event.OrdersEdited, event.AllDead},
		subscribes: []string{ordersapi.SubjectProjected},
		streams: map[string]use{
			bus.StreamOrders:      ensure | get | consume | durable,
			bus.StreamEdits:       ensure | get | consume,
			bus.StreamDeadLetters: ensure | get,
		},
	},
	{
		name: "odoo-bridge", micro: "odoo", endpoints: odooSubjects(),
		publishes:  []string{odooPeers, event.OdooChanges},
		subscribes: []string{odooPeers},
		streams:    map[string]use{bus.StreamOdoo: ensure | get | consume | mirror},
		buckets:    []string{bus.BucketOdooCache, bus.BucketOdooJournal, bus.BucketOdooWrites, bus.BucketSyncState},
	},
	{
		name:       "gateway",
		requests:   slices.Concat(ordersSubjects, syncSubjects, odooSubjects(), []string{"$SRV.PING.orders"}),
		subscribes: []string{ordersapi.SubjectProjected},
		streams:    map[string]use{bus.StreamOrders: get | consume, bus.StreamOdoo: get | consume},
		buckets:    []string{bus.BucketSessions, bus.BucketColumns},
	},
}

var (
	ordersSubjects = []string{
		ordersapi.SubjectList, ordersapi.SubjectGet, ordersapi.SubjectSummary, ordersapi.SubjectHistory, ordersapi.SubjectEdit, ordersapi.SubjectEdits,
	}
	syncSubjects = []string{syncapi.SubjectRun, syncapi.SubjectStatus, syncapi.SubjectPing, syncapi.SubjectFile, syncapi.SubjectColumns}
)

func odooSubjects() []string {
	all := []string{odooapi.SubjectLoginKey, odooapi.LoginSubject("*")}
	for _, r := range erp.Resources {
		verbs := []string{odooapi.List, odooapi.Get, odooapi.ListFields}
		if r.Writable() {
			verbs = append(verbs, odooapi.Create, odooapi.Update)
		}
		if r.Archive != "" {
			verbs = append(verbs, odooapi.Archive)
		}
		if r.Image {
			verbs = append(verbs, odooapi.Image)
		}
		if r.Summary != nil {
			verbs = append(verbs, odooapi.Summary)
		}
		for _, action := range r.Actions {
			verbs = append(verbs, action.Name)
		}
		for _, verb := range verbs {
			all = append(all, odooapi.Subject(r.Name, verb))
		}
	}
	for _, option := range erp.Options {
		all = append(all, odooapi.Subject(option.Name, odooapi.List))
	}
	return all
}

// Services are the names of the services' users.
func Services() []string {
	var names []string
	for i := range users {
		names = append(names, users[i].name)
	}
	return names
}
