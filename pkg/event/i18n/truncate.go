package i18n

import "unicode/utf8"

// Truncate shortens s to at most limit bytes (three or more), ending in "…" where it cuts.
func Truncate(s string, limit int) string {
	const ellipsis = "…"
	if len(s) <= limit {
		return s
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
