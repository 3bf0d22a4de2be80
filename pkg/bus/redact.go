package bus

import (
	"net/url"
	"strings"
)

// redact hides the passwords and tokens of a comma-separated list of server URLs.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, p := range parts {
		u, err := url.Parse(strings.TrimSpace(p))
		if err != nil {
			parts[i] = "nats://…"
			continue
		}
		if u.User != nil {
			u.User = url.User("…")
		}
		parts[i] = u.String()
	}
	return strings.Join(parts, ",")
}
