package i18n_test

import (
	"testing"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/event/i18n"
)

func TestIn(t *testing.T) {
	t.Parallel()
	text := i18n.T("hola", "hello")
	for lang, want := range map[string]string{"es": "hola", "en": "hello", "": "hola", "fr": "hola"} {
		if got := text.In(lang); got != want {
			t.Errorf("%q: %q", lang, got)
		}
	}
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	if got := i18n.T("ñandú", "rhea").Truncate(6); got != i18n.T("ña…", "rhea") {
		t.Errorf("%+v", got)
	}
	for limit := 3; limit < 12; limit++ {
		if got := i18n.Truncate("aé€🎉ñ", limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("%d: %q", limit, got)
		}
	}
}
