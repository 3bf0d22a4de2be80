package problem

import (
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/resonance/resonance/pkg/fault"
)

// wording says in both languages what huma's validation says in English. The English pattern is
// huma's own, so that a change of its words shows in a test.
var wording = []phrase{
	says(validation.MsgUnexpectedProperty, "no es un campo conocido", "is not a known field"),
	says(validation.MsgExpectedRequiredProperty, "falta el campo $1", "the field $1 is missing"),
	says(validation.MsgExpectedOneOf, "debe ser uno de: $1", "must be one of: $1"),
	says(validation.MsgExpectedBoolean, "debe ser verdadero o falso", "must be true or false"),
	says(validation.MsgExpectedNumber, "debe ser un número", "must be a number"),
	says(validation.MsgExpectedInteger, "debe ser un número entero", "must be a whole number"),
	says(validation.MsgExpectedString, "debe ser un texto", "must be a text"),
	says(validation.MsgExpectedArray, "debe ser una lista", "must be a list"),
	says(validation.MsgExpectedObject, "debe ser un objeto", "must be an object"),
	says(validation.MsgExpectedMinimumNumber, "debe ser al menos $1", "must be at least $1"),
	says(validation.MsgExpectedMaximumNumber, "debe ser como mucho $1", "must be at most $1"),
	says(validation.MsgExpectedMinLength, "debe tener al menos $1 caracteres", "must have at least $1 characters"),
	says(validation.MsgExpectedMaxLength, "debe tener como mucho $1 caracteres", "must have at most $1 characters"),
	says(validation.MsgExpectedMinItems, "debe tener al menos $1 elementos", "must have at least $1 items"),
	says(validation.MsgExpectedMaxItems, "debe tener como mucho $1 elementos", "must have at most $1 items"),
	says(validation.MsgExpectedRFC3339Date, "debe ser una fecha, AAAA-MM-DD", "must be a date, YYYY-MM-DD"),
	says(validation.MsgExpectedRFC3339DateTime, "debe ser fecha y hora, RFC 3339", "must be a date and time, RFC 3339"),
	says(validation.MsgExpectedMatchPattern, "no tiene la forma esperada", "does not have the expected form"),
}

type phrase struct {
	pattern *regexp.Regexp
	text    fault.Text
}

// says makes a phrase from a format of huma's, whose n-th verb is $n in the texts.
func says(format, es, en string) phrase {
	quoted := regexp.QuoteMeta(format)
	for _, verb := range []string{"%s", "%v", "%d"} {
		quoted = strings.ReplaceAll(quoted, verb, "(.*)")
	}
	return phrase{pattern: regexp.MustCompile("^" + quoted + "$"), text: fault.T(es, en)}
}

// textOf gives the wording of a message of huma's; one it does not know stays as it is.
func textOf(message string) fault.Text {
	for _, p := range wording {
		if p.pattern.MatchString(message) {
			return fault.T(p.pattern.ReplaceAllString(message, p.text.ES), p.pattern.ReplaceAllString(message, p.text.EN))
		}
	}
	return fault.T(message, message)
}
