package natsauth

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/resonance/resonance/pkg/bus"
)

// Names of the accounts, and of the users that are no service's.
const (
	ServicesAccount  = "RESONANCE"
	ConsumersAccount = "CONSUMERS"
	systemAccount    = "SYS"

	Operator = "operator" // may do everything in the services' account: for people with the nats command line
	System   = "system"   // reports of servers and connections, in the system's account
	Consumer = "consumer" // the first of the other programs
)

// maxConsumers is how many consumers other programs may have, so that they cannot fill the server's memory with them.
const maxConsumers = 1000

// Accounts gives the part of a NATS server's configuration that says who may do what. keys has the public NKey of each
// user; those that are neither a service's, Operator nor System are other programs'.
func Accounts(keys map[string]string) (string, error) {
	var services, consumers []string
	for i := range users {
		key, ok := keys[users[i].name]
		if !ok {
			return "", fmt.Errorf("no key of the user %s", users[i].name)
		}
		services = append(services, line(users[i].name, key, new(users[i].permissions())))
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		switch _, service := Of(name); {
		case name == Operator:
			services = append(services, line(name, keys[name], nil))
		case !service && name != System:
			consumers = append(consumers, line(name, keys[name], new(consumerPermissions())))
		}
	}
	var exports, imports, theirExports, theirImports []string
	streams := public()
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		// To the consumers: what is published live, and what their mirror takes to be filled. The mirror's consumer is
		// created by the server; no user of theirs may publish on its subject, and no event is a request to create one.
		for _, subject := range append(slices.Clone(streams[name]), bus.MirrorDelivery(name)+".>") {
			exports = append(exports, fmt.Sprintf("{ stream: %q, accounts: [%s] }", subject, ConsumersAccount))
			theirImports = append(theirImports, fmt.Sprintf("{ stream: { account: %s, subject: %q } }", ServicesAccount, subject))
		}
		create := "CONSUMER.CREATE." + name
		exports = append(exports, fmt.Sprintf("{ service: %q, response_type: stream, accounts: [%s] }", api+create, ConsumersAccount))
		theirImports = append(theirImports, fmt.Sprintf("{ service: { account: %s, subject: %q }, to: %q }", ServicesAccount, api+create, bus.ServicesAPI+"."+create))
		flow := "$JS.FC." + name + ".*.*"
		exports = append(exports, fmt.Sprintf("{ service: %q, accounts: [%s] }", flow, ConsumersAccount))
		theirImports = append(theirImports, fmt.Sprintf("{ service: { account: %s, subject: %q } }", ServicesAccount, flow))
		// To the services: what keeping the mirror takes.
		for _, verb := range mirrorVerbs {
			theirs := verb + "." + name
			theirExports = append(theirExports, fmt.Sprintf("{ service: %q, accounts: [%s] }", api+theirs, ServicesAccount))
			imports = append(imports, fmt.Sprintf("{ service: { account: %s, subject: %q }, to: %q }", ConsumersAccount, api+theirs, bus.ConsumersAPI+"."+theirs))
		}
	}
	var b strings.Builder
	account := func(name, jetstream string, exports, imports, users []string) {
		fmt.Fprintf(&b, "  %s {\n", name)
		if jetstream != "" {
			fmt.Fprintf(&b, "    jetstream: %s\n", jetstream)
		}
		for _, list := range []struct {
			name  string
			lines []string
		}{{"exports", exports}, {"imports", imports}, {"users", users}} {
			if len(list.lines) > 0 {
				fmt.Fprintf(&b, "    %s: [\n      %s\n    ]\n", list.name, strings.Join(list.lines, "\n      "))
			}
		}
		b.WriteString("  }\n")
	}
	b.WriteString("accounts {\n")
	account(ServicesAccount, "enabled", exports, imports, services)
	account(ConsumersAccount, fmt.Sprintf("{ max_streams: %d, max_consumers: %d }", len(streams), maxConsumers), theirExports, theirImports, consumers)
	if key, ok := keys[System]; ok {
		account(systemAccount, "", nil, nil, []string{line(System, key, nil)})
	}
	b.WriteString("}\n")
	if _, ok := keys[System]; ok {
		fmt.Fprintf(&b, "system_account: %s\n", systemAccount)
	}
	return b.String(), nil
}

// line is a user in the server's configuration; without permissions it may do everything in its account.
func line(name, key string, p *Permissions) string {
	if p == nil {
		return fmt.Sprintf("{ nkey: %s } # %s", key, name)
	}
	responses := ""
	if p.Respond {
		responses = "\n        allow_responses: { max: 1, expires: \"1m\" }"
	}
	return fmt.Sprintf("{ nkey: %s, permissions: { # %s\n        publish: { allow: %s }\n        subscribe: { allow: %s }%s\n      } }",
		key, name, list(p.Publish), list(p.Subscribe), responses)
}

func list(subjects []string) string {
	quoted := make([]string, len(subjects))
	for i, s := range subjects {
		quoted[i] = strconv.Quote(s)
	}
	return "[\n          " + strings.Join(quoted, "\n          ") + "\n        ]"
}
