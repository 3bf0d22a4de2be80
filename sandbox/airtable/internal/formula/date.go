package formula

import (
	"math"
	"strconv"
	"strings"
	"time"
)

var dateLayouts = []string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04",
	"2006-01-02T15:04:05Z0700",
	"1/2/2006 15:04",
}

// ParseDate reads the dates Airtable understands: ISO 8601 with or without a
// time and a zone (UTC if none), also "2026/11/03" and American "11/3/2026".
// day reports that there was no time of day.
func ParseDate(s string) (ms int64, day, ok bool) {
	if len(s) < 8 || len(s) > 40 || s[0] < '0' || s[0] > '9' {
		return 0, false, false
	}
	if len(s) <= 10 {
		for _, layout := range []string{time.DateOnly, "2006/01/02", "1/2/2006"} {
			if t, err := time.Parse(layout, s); err == nil {
				return t.UnixMilli(), true, true
			}
		}
		return 0, false, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), false, true
		}
	}
	return 0, false, false
}

// units maps Airtable's unit specifiers to the singular.
var units = map[string]string{
	"milliseconds": "millisecond", "millisecond": "millisecond", "ms": "millisecond",
	"seconds": "second", "second": "second", "s": "second",
	"minutes": "minute", "minute": "minute", "m": "minute",
	"hours": "hour", "hour": "hour", "h": "hour",
	"days": "day", "day": "day", "d": "day",
	"weeks": "week", "week": "week", "w": "week",
	"months": "month", "month": "month", "M": "month",
	"quarters": "quarter", "quarter": "quarter", "Q": "quarter",
	"years": "year", "year": "year", "y": "year",
}

var fixed = map[string]time.Duration{
	"millisecond": time.Millisecond, "second": time.Second, "minute": time.Minute,
	"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour,
}

var inMonths = map[string]int{"month": 1, "quarter": 3, "year": 12}

// truncate returns the start of t's unit; weeks start on Sunday.
func truncate(t time.Time, unit string) time.Time {
	y, m, d := t.Date()
	switch unit {
	case "year":
		return time.Date(y, 1, 1, 0, 0, 0, 0, t.Location())
	case "quarter":
		return time.Date(y, (m-1)/3*3+1, 1, 0, 0, 0, 0, t.Location())
	case "month":
		return time.Date(y, m, 1, 0, 0, 0, 0, t.Location())
	case "week":
		return time.Date(y, m, d-int(t.Weekday()), 0, 0, 0, 0, t.Location())
	case "day":
		return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
	}
	return t.Truncate(fixed[unit])
}

// between returns how many whole units lie from b to a.
func between(a, b time.Time, unit string) float64 {
	if d, ok := fixed[unit]; ok {
		return math.Trunc(float64(a.UnixMilli()-b.UnixMilli()) / float64(d.Milliseconds()))
	}
	months := (a.Year()-b.Year())*12 + int(a.Month()-b.Month())
	if back := addMonths(b, months); months > 0 && back.After(a) {
		months--
	} else if months < 0 && back.Before(a) {
		months++
	}
	return float64(months / inMonths[unit])
}

// addMonths keeps the day of the month, or takes the month's last.
func addMonths(t time.Time, n int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// addUnits returns t moved by n units; false beyond the years 0 to 9999.
func addUnits(t time.Time, n float64, unit string) (time.Time, bool) {
	if math.IsNaN(n) || math.Abs(n) > 1e13 {
		return t, false
	}
	n = math.Trunc(n)
	if d, ok := fixed[unit]; ok {
		ms := float64(t.UnixMilli()) + n*float64(d.Milliseconds())
		if math.Abs(ms) > 2.6e14 {
			return t, false
		}
		t = time.UnixMilli(int64(ms)).In(t.Location())
	} else {
		if math.Abs(n) > 120000 {
			return t, false
		}
		t = addMonths(t, int(n)*inMonths[unit])
	}
	return t, t.Year() >= 0 && t.Year() <= 9999
}

// moment lists the tokens of Airtable's date formats, longest first.
var moment = []struct {
	token  string
	layout string // Go's layout, or empty where format writes it by hand
}{
	{"YYYY", "2006"},
	{"YY", "06"},
	{"MMMM", "January"},
	{"MMM", "Jan"},
	{"MM", "01"},
	{"Mo", ""},
	{"M", "1"},
	{"DDDD", "002"},
	{"DD", "02"},
	{"Do", ""},
	{"D", "2"},
	{"dddd", "Monday"},
	{"ddd", "Mon"},
	{"HH", "15"},
	{"H", ""},
	{"hh", "03"},
	{"h", "3"},
	{"mm", "04"},
	{"m", "4"},
	{"ss", "05"},
	{"SSS", ""},
	{"s", "5"},
	{"A", "PM"},
	{"a", "pm"},
	{"ZZ", "-0700"},
	{"Z", "-07:00"},
	{"LLLL", "Monday, January 2, 2006 3:04 PM"},
	{"LLL", "January 2, 2006 3:04 PM"},
	{"LL", "January 2, 2006"},
	{"LTS", "3:04:05 PM"},
	{"LT", "3:04 PM"},
	{"L", "01/02/2006"},
	{"ll", "Jan 2, 2006"},
	{"l", "1/2/2006"},
	{"Q", ""},
	{"E", ""},
	{"W", ""},
	{"w", ""},
	{"X", ""},
	{"x", ""},
}

// FormatDate writes t by one of Airtable's formats, such as "YYYY-MM-DD HH:mm".
// Text in [brackets] is kept.
func FormatDate(t time.Time, format string) string {
	var b strings.Builder
next:
	for format != "" {
		if rest, ok := strings.CutPrefix(format, "["); ok {
			if literal, after, closed := strings.Cut(rest, "]"); closed {
				b.WriteString(literal)
				format = after
				continue
			}
		}
		for _, m := range moment {
			if rest, ok := strings.CutPrefix(format, m.token); ok {
				if m.layout != "" {
					b.WriteString(t.Format(m.layout))
				} else {
					b.WriteString(special(t, m.token))
				}
				format = rest
				continue next
			}
		}
		b.WriteByte(format[0])
		format = format[1:]
	}
	return b.String()
}

func special(t time.Time, token string) string {
	switch token {
	case "Do":
		return ordinal(t.Day())
	case "Mo":
		return ordinal(int(t.Month()))
	case "H":
		return strconv.Itoa(t.Hour())
	case "SSS":
		return t.Format(".000")[1:]
	case "Q":
		return strconv.Itoa(int(t.Month()-1)/3 + 1)
	case "E":
		return strconv.Itoa((int(t.Weekday())+6)%7 + 1)
	case "W":
		_, w := t.ISOWeek()
		return strconv.Itoa(w)
	case "w":
		return strconv.Itoa(weekOfYear(t))
	case "X":
		return strconv.FormatInt(t.Unix(), 10)
	default: // "x"
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
}

// distance says d as moment.js does, which Airtable uses.
func distance(d time.Duration) string {
	x := math.Abs(d.Seconds())
	if x < 44.5 {
		return "a few seconds"
	}
	for _, u := range []struct {
		seconds, below float64
		one, many      string
	}{
		{60, 45, "a minute", "minutes"}, {3600, 22, "an hour", "hours"}, {86400, 26, "a day", "days"},
		{30.4368 * 86400, 11, "a month", "months"}, {365.2425 * 86400, math.Inf(1), "a year", "years"},
	} {
		switch n := math.Round(x / u.seconds); {
		case n <= 1:
			return u.one
		case n < u.below:
			return strconv.FormatFloat(n, 'f', 0, 64) + " " + u.many
		}
	}
	return ""
}

func ordinal(n int) string {
	suffix := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// weekOfYear counts from the week of January 1st; weeks start on Sunday.
func weekOfYear(t time.Time) int {
	first := time.Date(t.Year(), 1, 1, 0, 0, 0, 0, t.Location())
	return (t.YearDay()-1+int(first.Weekday()))/7 + 1
}

// parseWith reads s by one of Airtable's formats.
func parseWith(s, format string) (time.Time, bool) {
	var layout strings.Builder
next:
	for format != "" {
		for _, m := range moment {
			if rest, ok := strings.CutPrefix(format, m.token); ok {
				switch {
				case m.layout != "":
					layout.WriteString(m.layout)
				case m.token == "H":
					layout.WriteString("15")
				case m.token == "SSS":
					layout.WriteString("000")
				default:
					return time.Time{}, false
				}
				format = rest
				continue next
			}
		}
		layout.WriteByte(format[0])
		format = format[1:]
	}
	t, err := time.Parse(layout.String(), s)
	return t.UTC(), err == nil
}
