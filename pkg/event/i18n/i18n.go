// Package i18n holds texts for people in the two languages of Resonance, Spanish and English.
package i18n

// Text is the same text in both languages.
type Text struct {
	ES string `json:"es"`
	EN string `json:"en"`
}

// T makes a Text.
func T(es, en string) Text { return Text{ES: es, EN: en} }

// In returns the text in lang ("es" or "en"); Spanish is the default.
func (t Text) In(lang string) string {
	if lang == "en" {
		return t.EN
	}
	return t.ES
}

// Truncate shortens the text in each language to at most limit bytes.
func (t Text) Truncate(limit int) Text { return T(Truncate(t.ES, limit), Truncate(t.EN, limit)) }
