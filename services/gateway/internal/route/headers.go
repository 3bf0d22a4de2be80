package route

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/pkg/fault"
)

// Bounds of request headers.
const (
	MaxWait    = 30 * time.Second // of Prefer: wait=N
	maxIfMatch = 2000             // bytes
)

// Preference gives the value of a preference in the lines of Prefer; the first counts (RFC 7240, section 2).
func Preference(lines []string, name string) (value string, ok bool) {
	for _, line := range lines {
		for p := range strings.SplitSeq(line, ",") {
			p, _, _ = strings.Cut(p, ";")
			key, value, _ := strings.Cut(p, "=")
			if strings.EqualFold(strings.TrimSpace(key), name) {
				return strings.Trim(strings.TrimSpace(value), `"`), true
			}
		}
	}
	return "", false
}

// PreferredWait reads Prefer: wait=N, in seconds. What is no number is no preference; 0 is not to wait.
func PreferredWait(lines []string) time.Duration {
	value, _ := Preference(lines, "wait")
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, MaxWait)
}

var entityTag = regexp.MustCompile(`^(?:W/)?("[!#-~]*")`) // RFC 9110, section 8.8.3, in ASCII

// IfMatch reads the lines of If-Match as the services want it: * or strong tags. W/ is left out: a
// tag of an order names its state and not its bytes, and proxies that compress make it weak.
func IfMatch(name string, lines []string) (string, error) {
	if len(lines) == 0 {
		return "", nil
	}
	rest := strings.TrimSpace(strings.Join(lines, ","))
	if rest == "*" {
		return rest, nil
	}
	malformed := fault.Field(name, fault.T(`debe ser * o etiquetas entre comillas, como "5f2c", separadas por comas`,
		`must be * or tags in quotes, like "5f2c", with commas between`))
	if len(rest) > maxIfMatch {
		return "", malformed
	}
	var tags []string
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		tag := entityTag.FindStringSubmatch(rest)
		if tag == nil {
			return "", malformed
		}
		tags = append(tags, tag[1])
		rest = strings.TrimLeft(rest[len(tag[0]):], " \t")
		if rest != "" && rest[0] != ',' {
			return "", malformed
		}
	}
	if len(tags) == 0 {
		return "", malformed
	}
	return strings.Join(tags, ", "), nil
}

var plainKey = regexp.MustCompile(`^[!-~]{1,255}$`)

// IdempotencyKey reads Idempotency-Key, which is a text in quotes by the IETF's draft and a bare one
// by most clients.
func IdempotencyKey(lines []string) (string, error) {
	const name = "Idempotency-Key"
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 {
		return "", fault.Field(name, fault.T("está repetido", "is repeated"))
	}
	key := lines[0]
	if len(key) > 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if !plainKey.MatchString(key) {
		return "", fault.Field(name, fault.T("debe tener de 1 a 255 caracteres ASCII sin espacios", "must be 1 to 255 ASCII characters without spaces"))
	}
	return key, nil
}
