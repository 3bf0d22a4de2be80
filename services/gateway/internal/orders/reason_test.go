package orders

import (
	"encoding/json"
	"testing"
)

func FuzzReasons(f *testing.F) {
	f.Add(`[{"edit":{"reason":{"es":"a","en":"b"}}}]`)
	f.Add(`{"reason":{"es":"a","en":"b"},"fields":{"x":[{"reason":{}}]}}`)
	f.Add(`[{"reason":{"es":"a"}},{"reason":{"en":"b"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		out, changed, err := reasonsIn("en", []byte(text))
		if !changed && err == nil && string(out) != text {
			t.Errorf("%q became %q", text, out)
		}
		if changed && !json.Valid(out) && json.Valid([]byte(text)) {
			t.Errorf("%q became %q", text, out)
		}
	})
}
