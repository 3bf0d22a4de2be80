package fault

import "unicode/utf8"

// Truncate shortens s to at most limit bytes, which are at least three, and ends it in "…" if it was longer.
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

// Truncate shortens the sentence in each language to at most limit bytes.
func (t Text) Truncate(limit int) Text { return T(Truncate(t.ES, limit), Truncate(t.EN, limit)) }
