package orders

import (
	"strings"
	"testing"
)

// What is not as orders are stays byte by byte.
func TestLinkFilesKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`[{"record_id":"r","fields":{"a":[{"id":"att"`, `{"fields":{"a":[{"id":"attA","url":5}]}}`, `{"fields":"att","record_id":"att"}`, `"att"`, `[1,"att"]`} {
		if out, err := linkFiles([]byte(text)); err == nil && string(out) != text {
			t.Errorf("%s became %s", text, out)
		}
	}
}

func BenchmarkLinkFiles(b *testing.B) {
	const order = `{"record_id":"rec1","fields":{"Nota":"\"att","Fotos":[{"url":"https://v5.airtableusercontent.com/a","id":"attPhoto","filename":"foto.png","size":7,` +
		`"thumbnails":{"small":{"url":"https://v5.airtableusercontent.com/b","width":3}}},{"id":"attPage","url":"https://x/y","filename":"page.html"}],"Otros":["attPhoto"]}}`
	data := []byte("[" + strings.Repeat(order+",", 99) + order + "]")
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := linkFiles(data); err != nil {
			b.Fatal(err)
		}
	}
}
