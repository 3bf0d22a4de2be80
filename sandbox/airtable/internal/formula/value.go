package formula

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind says what a [Value] holds.
type Kind uint8

// The kinds of value a formula works with.
const (
	Blank Kind = iota
	Number
	Text
	Bool
	Date
	List
	Error
)

// Value is one formula value. The zero Value is blank.
type Value struct {
	list []string
	text string
	num  float64 // a number, 0 or 1, or Unix milliseconds
	kind Kind
	day  bool // a date without a time of day
}

// Num returns a number; NaN is kept, for Airtable has it too.
func Num(f float64) Value { return Value{kind: Number, num: f} }

// Str returns a text; the empty text stays a text.
func Str(s string) Value { return Value{kind: Text, text: s} }

// Truth returns a boolean.
func Truth(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// Millis returns a date from Unix milliseconds; day says that it has no time of day.
func Millis(ms int64, day bool) Value { return Value{kind: Date, num: float64(ms), day: day} }

// Strings returns a list, which the caller must not change afterwards.
func Strings(l []string) Value { return Value{kind: List, list: l} }

// Failed is Airtable's #ERROR!.
var Failed = Value{kind: Error}

// Kind returns what v holds.
func (v Value) Kind() Kind { return v.kind }

// Number returns the number, the boolean as 0 or 1, or the date in Unix milliseconds.
func (v Value) Number() float64 { return v.num }

// List returns the elements of a list.
func (v Value) List() []string { return v.list }

// DayOnly reports whether a date has no time of day.
func (v Value) DayOnly() bool { return v.day }

// Truthy reports whether a record with this result passes filterByFormula:
// all but 0, false, "", NaN, an empty list, blank and an error do.
func (v Value) Truthy() bool {
	switch v.kind {
	case Number, Bool:
		return v.num != 0 && !math.IsNaN(v.num)
	case Text:
		return v.text != ""
	case Date:
		return true
	case List:
		return len(v.list) > 0
	default:
		return false
	}
}

// Text returns v as Airtable concatenates it.
func (v Value) Text() string {
	switch v.kind {
	case Text:
		return v.text
	case Number, Bool:
		return formatNumber(v.num)
	case Date:
		return formatISO(v)
	case List:
		return strings.Join(v.list, ", ")
	case Error:
		return "#ERROR!"
	default:
		return ""
	}
}

func formatISO(v Value) string {
	t := time.UnixMilli(int64(v.num)).UTC()
	if v.day {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

func formatNumber(f float64) string {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.FormatFloat(f, format, -1, 64)
}

// float coerces v to a number; false where Airtable gives #ERROR!.
func (v Value) float() (float64, bool) {
	switch v.kind {
	case Blank:
		return 0, true
	case Number, Bool, Date:
		return v.num, true
	case Text:
		return parseNumber(v.text)
	case List:
		if len(v.list) == 1 {
			return parseNumber(v.list[0])
		}
	case Error:
	}
	return 0, false
}

func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if s == "" || strings.ContainsAny(s, "xXpPiInN_") { // no hexadecimal, infinities, or separators
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// instant coerces v to Unix milliseconds; texts are read as ISO 8601.
func (v Value) instant() (int64, bool) {
	switch v.kind {
	case Date:
		return int64(v.num), true
	case Text:
		ms, _, ok := ParseDate(v.text)
		return ms, ok
	default:
		return 0, false
	}
}

// Equal reports whether a = b in a formula: blank equals "", 0, false and [],
// a date equals its ISO text, a number its text.
func Equal(a, b Value) bool {
	if a.kind == Blank || b.kind == Blank {
		return !a.Truthy() && !b.Truthy()
	}
	return order(a, b) == 0
}

// incomparable is what order returns where neither <, = nor > holds.
const incomparable = 2

// order compares as numbers, dates or texts, whichever both sides allow.
func order(a, b Value) int {
	switch {
	case a.kind == Date || b.kind == Date:
		x, okx := a.instant()
		y, oky := b.instant()
		if okx && oky {
			return cmpFloat(float64(x), float64(y))
		}
		if a.kind == Blank || b.kind == Blank {
			return incomparable // an empty date is neither before nor after
		}
	case a.kind == Text && b.kind == Text:
		return strings.Compare(a.text, b.text)
	case a.kind != List && b.kind != List:
		if (a.kind == Blank && b.kind == Text) || (a.kind == Text && b.kind == Blank) {
			break
		}
		x, okx := a.float()
		y, oky := b.float()
		if okx && oky {
			return cmpFloat(x, y)
		}
	}
	return strings.Compare(a.Text(), b.Text())
}

func cmpFloat(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case x == y:
		return 0
	default:
		return incomparable
	}
}

// Compare orders a and b for sorting: empty before all else, texts without regard to case.
func Compare(a, b Value) int {
	if ea, eb := a.kind == Blank, b.kind == Blank; ea || eb {
		switch {
		case ea && eb:
			return 0
		case ea:
			return -1
		default:
			return 1
		}
	}
	if a.kind == Text && b.kind == Text {
		if c := strings.Compare(strings.ToLower(a.text), strings.ToLower(b.text)); c != 0 {
			return c
		}
	}
	if c := order(a, b); c != incomparable {
		return c
	}
	return 0
}
