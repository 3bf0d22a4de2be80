package airtable

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"
)

// cutTexts copies JSON to dst with the texts in it that are longer than limit bytes cut to about that length. They
// then end in "…". It stops after most bytes of output.
func cutTexts(dst *bytes.Buffer, src io.Reader, limit, most int) error {
	in := bufio.NewReader(src)
	text, length, skip := false, 0, false // within a text, how much of it was read, whether the rest is left out
	for dst.Len() <= most {
		b, err := in.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case !text:
			text, length, skip = b == '"', 0, false
			dst.WriteByte(b)
			continue
		case b == '"':
			text = false
			dst.WriteByte(b)
			continue
		case length >= limit && !skip && utf8.RuneStart(b):
			skip = true
			dst.WriteString("…")
		}
		length++
		if !skip {
			dst.WriteByte(b)
		}
		if b != '\\' {
			continue
		}
		escaped, err := in.ReadByte() // never the end of the text
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		length++
		if !skip {
			dst.WriteByte(escaped)
		}
		if escaped == 'u' { // not to be cut in between
			digits := make([]byte, 4)
			if _, err := io.ReadFull(in, digits); err != nil {
				return err
			}
			length += len(digits)
			if !skip {
				dst.Write(digits)
			}
		}
	}
	return nil
}
