package bus

import (
	"errors"
	"net/url"
	"strings"
)

// redact hides the passwords and tokens of a comma-separated list of server URLs, which need not be
// well-formed (invariant 9).
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, p := range parts {
		scheme, rest, found := strings.Cut(strings.TrimSpace(p), "://")
		if !found {
			scheme, rest = "nats", scheme
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = "***" + rest[at:]
		}
		parts[i] = scheme + "://" + rest
	}
	return strings.Join(parts, ",")
}

// withoutURL is err without the URL that net/url quotes in full.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
