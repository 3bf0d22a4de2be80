package route

import (
	"strings"
	"testing"
)

func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	if got := PreferredWait([]string{"wait=3600"}); got != MaxWait {
		t.Errorf("capped to %s", got)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add(`"a", W/"b"`)
	f.Add(`*`)
	f.Add(`wait="5"; x=y, respond-async`)
	f.Fuzz(func(t *testing.T, line string) {
		if tags, err := IfMatch("If-Match", []string{line}); err == nil {
			if again, err := IfMatch("If-Match", []string{tags}); err != nil || again != tags || strings.Contains(tags, "W/\"") && !strings.Contains(line, "W/\"") {
				t.Errorf("%q: %q, then %q %v", line, tags, again, err)
			}
		}
		if key, err := IdempotencyKey([]string{line}); err == nil && (key == "" || len(key) > 255) {
			t.Errorf("%q: %q", line, key)
		}
		if wait := PreferredWait([]string{line}); wait < 0 || wait > MaxWait {
			t.Errorf("%q: %s", line, wait)
		}
	})
}
