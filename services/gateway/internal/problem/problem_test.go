package problem

import (
	"fmt"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/resonance/resonance/pkg/fault"
)

// huma's words are matched to ours: each pattern must still meet what huma says.
func TestWordingMeetsHuma(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]fault.Text{
		fmt.Sprintf(validation.MsgExpectedRequiredProperty, "status"): fault.T("falta el campo status", "the field status is missing"),
		fmt.Sprintf(validation.MsgExpectedOneOf, "a, b"):              fault.T(`debe ser uno de: a, b`, `must be one of: a, b`),
		fmt.Sprintf(validation.MsgExpectedMaximumNumber, 100.0):       fault.T("debe ser como mucho 100", "must be at most 100"),
		validation.MsgUnexpectedProperty:                              fault.T("no es un campo conocido", "is not a known field"),
		"something new":                                               fault.T("something new", "something new"),
	} {
		if got := textOf(message); got != want {
			t.Errorf("%q: %+v", message, got)
		}
	}
}

func TestPreferredLanguage(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"": "es", "en": "en", "en-GB,en;q=0.9": "en", "es-MX,es;q=0.9,en;q=0.8": "es", "fr": "es", "fr,en;q=0.5": "en", "*": "es",
		"es;q=0.1,en;q=0.9": "en", ";;;": "es", strings.Repeat("en,", 100): "es", "de-DE": "es",
	} {
		if got := Language(accept); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
}
