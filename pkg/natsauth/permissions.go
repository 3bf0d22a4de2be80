package natsauth

import (
	"maps"
	"slices"

	"github.com/resonance/resonance/pkg/bus"
)

// Permissions are the subjects that a user may publish and subscribe to, and whether it may also answer the requests
// that it receives, each once.
type Permissions struct {
	Publish   []string
	Subscribe []string
	Respond   bool
}

// Of gives the permissions of a service's user; false if there is no service of that name.
func Of(service string) (Permissions, bool) {
	for i := range users {
		if users[i].name == service {
			return users[i].permissions(), true
		}
	}
	return Permissions{}, false
}

func (u *user) permissions() Permissions {
	p := Permissions{
		Publish:   slices.Concat(u.requests, u.publishes),
		Subscribe: slices.Concat(u.endpoints, u.subscribes, []string{bus.InboxPrefix(u.name) + ".>"}),
		Respond:   true,
	}
	if u.micro != "" {
		for _, verb := range []string{"PING", "INFO", "STATS"} {
			p.Subscribe = append(p.Subscribe, "$SRV."+verb, "$SRV."+verb+"."+u.micro, "$SRV."+verb+"."+u.micro+".*")
		}
	}
	if len(u.streams) > 0 {
		p.Publish = append(p.Publish, api+"STREAM.NAMES") // which stream has a subject
	}
	for _, name := range slices.Sorted(maps.Keys(u.streams)) {
		p.Publish = append(p.Publish, u.streams[name].subjects(name)...)
	}
	for _, bucket := range u.buckets {
		stream := "KV_" + bucket
		p.Publish = append(p.Publish, (ensure | get | consume).subjects(stream)...)
		p.Publish = append(p.Publish, flowControl(stream)...) // of watchers
		p.Publish = append(p.Publish, "$KV."+bucket+".>")
	}
	return p
}

const api = "$JS.API."

// subjects are the requests to JetStream that a use of a stream takes.
func (u use) subjects(stream string) []string {
	all := []string{api + "STREAM.INFO." + stream}
	if u&ensure != 0 {
		all = append(all, api+"STREAM.CREATE."+stream, api+"STREAM.UPDATE."+stream)
	}
	if u&rebuild != 0 {
		all = append(all, api+"STREAM.DELETE."+stream)
	}
	if u&get != 0 {
		all = append(all, api+"STREAM.MSG.GET."+stream, api+"DIRECT.GET."+stream, api+"DIRECT.GET."+stream+".>")
	}
	if u&(consume|durable) != 0 {
		all = append(all, api+"CONSUMER.CREATE."+stream+".>")
		for _, verb := range []string{"INFO", "MSG.NEXT", "DELETE"} {
			all = append(all, api+"CONSUMER."+verb+"."+stream+".*")
		}
	}
	if u&durable != 0 {
		all = append(all, api+"CONSUMER.RESET."+stream+".*", "$JS.ACK."+stream+".>", "$JS.ACK.*.*."+stream+".>")
	}
	if u&mirror != 0 {
		for _, verb := range mirrorVerbs {
			all = append(all, bus.ConsumersAPI+"."+verb+"."+stream)
		}
	}
	return all
}

// mirrorVerbs are what keeping a mirror takes of the consumers' account.
var mirrorVerbs = []string{"STREAM.INFO", "STREAM.CREATE", "STREAM.DELETE", "STREAM.MSG.GET"}

// flowControl are the subjects by which who reads through a push consumer says that it keeps up.
func flowControl(stream string) []string {
	return []string{"$JS.FC." + stream + ".>", "$JS.FC.*.*." + stream + ".>"}
}

// public are the streams that are mirrored, with the subjects of their messages.
func public() map[string][]string {
	subjects := map[string][]string{}
	for i := range users {
		for name, u := range users[i].streams {
			if u&mirror == 0 {
				continue
			}
			for _, s := range bus.Streams {
				if s.Name == name {
					subjects[name] = s.Subjects
				}
			}
		}
	}
	return subjects
}

// Deliveries begins the subjects that consumers may have messages pushed to, besides their inboxes.
const Deliveries = "deliver"

// consumerPermissions are those of other programs' users, in their account: they read the mirrors and what is published
// live, by any consumer of theirs. They may not create streams, which could mirror the services' others.
func consumerPermissions() Permissions {
	p := Permissions{
		Publish:   []string{api + "INFO", api + "STREAM.NAMES", api + "STREAM.LIST"},
		Subscribe: []string{"_INBOX.>", Deliveries + ".>"},
	}
	streams := public()
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		p.Subscribe = append(p.Subscribe, streams[name]...)
		p.Publish = append(p.Publish, get.subjects(name)...)
		p.Publish = append(p.Publish, flowControl(name)...)
		p.Publish = append(p.Publish, api+"CONSUMER.*."+name, api+"CONSUMER.*."+name+".>", api+"CONSUMER.MSG.NEXT."+name+".*",
			api+"CONSUMER.DURABLE.CREATE."+name+".*", "$JS.ACK."+name+".>", "$JS.ACK.*.*."+name+".>")
	}
	return p
}
