package column

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/event"
)

// text reads a cell as one line: a string, number or boolean as it is, an object by its name or
// text, a list by its elements. Of anything else, and of links, whose cells are ids, it is "".
func text(cell json.RawMessage) string {
	if len(cell) == 0 {
		return ""
	}
	switch cell[0] {
	case '"':
		if plain := cell[1 : len(cell)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
			return string(plain)
		}
		var s string
		if json.Unmarshal(cell, &s) != nil {
			return ""
		}
		return s
	case '{':
		var object struct {
			Name  *string `json:"name"`
			Text  *string `json:"text"`
			Label *string `json:"label"`
			Email *string `json:"email"`
			Value *string `json:"value"` // of aiText
		}
		if json.Unmarshal(cell, &object) != nil {
			return ""
		}
		for _, v := range []*string{object.Name, object.Text, object.Label, object.Email, object.Value} {
			if v != nil {
				return *v
			}
		}
		return ""
	case '[':
		return strings.Join(elements(cell), ", ")
	case 'n': // null
		return ""
	default:
		return string(cell)
	}
}

// elements are the texts in a list.
func elements(cell json.RawMessage) (parts []string) {
	var list []json.RawMessage
	if json.Unmarshal(cell, &list) != nil || isLinks(cell) {
		return nil
	}
	for _, e := range list {
		if t := text(e); t != "" {
			parts = append(parts, t)
		}
	}
	return parts
}

// maxAmount bounds amounts; any number below it is shown with all its digits by who reads it as a float.
const maxAmount = 1e21

// number reads a cell as a decimal, digit for digit; a lookup of one number counts as that number, and a
// text that can only mean one number. What is none is "".
func number(cell json.RawMessage) string {
	if len(cell) == 0 {
		return ""
	}
	n := text(cell)
	if cell[0] == '[' || cell[0] == '"' || cell[0] == '{' {
		n = written(n)
	}
	if f, err := strconv.ParseFloat(n, 64); err != nil || f > maxAmount || f < -maxAmount {
		return ""
	}
	return n
}

var (
	grouped = regexp.MustCompile(`^\d{1,3}(?:([.,' ])\d{3})(?:([.,' ])\d{3})*$`)
	digits  = regexp.MustCompile(`^\d+$`)
)

// written reads a number as people write it, with a currency beside it and either kind of separators:
// "1.250,00 €", "$1,250.5". Where a single separator could be of decimals or of thousands it is "".
func written(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '−':
			return '-'
		case r == '’':
			return '\''
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)
	if s = strings.TrimSpace(s); json.Valid([]byte(s)) && strings.ContainsAny(s, "eE") && s[0] != '"' {
		return s // 1e3, as a program writes it
	}
	unit := func(r rune) bool { return unicode.Is(unicode.Sc, r) || unicode.IsLetter(r) || r == ' ' }
	s = strings.TrimFunc(s, unit)
	sign := ""
	if rest, minus := strings.CutPrefix(s, "-"); minus {
		sign, s = "-", strings.TrimLeftFunc(rest, unit)
	}
	whole, decimals := s, ""
	if i := strings.LastIndexAny(s, ".,"); i >= 0 {
		mark, before, after := s[i:i+1], s[:i], s[i+1:]
		other := strings.ContainsAny(before, ".,' ") && !strings.Contains(before, mark)
		switch {
		case other, len(after) != 3 && !strings.Contains(before, mark): // it can only be of decimals
			whole, decimals = before, after
		case len(after) == 3 && (before == "0" || len(before) > 3 && digits.MatchString(before)):
			whole, decimals = before, after
		case !strings.Contains(before, mark):
			return "" // 1.250
		}
	}
	if m := grouped.FindStringSubmatch(whole); m != nil && (m[2] == "" || m[1] == m[2]) {
		whole = strings.NewReplacer(".", "", ",", "", "'", "", " ", "").Replace(whole)
	}
	if !digits.MatchString(whole) || decimals != "" && !digits.MatchString(decimals) {
		return ""
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if decimals != "" {
		whole += "." + decimals
	}
	return sign + whole
}

// dates is how the cells of a date column are read.
type dates struct {
	zone       *time.Location // whose day a moment belongs to
	monthFirst bool           // 06/25/2026
}

// date reads a cell as a calendar date: of a moment the day that people see in Airtable. What is none is "".
func (d dates) date(cell json.RawMessage) string {
	day := strings.TrimSpace(text(cell))
	if len(day) > len(time.DateOnly) {
		if at, err := time.Parse(time.RFC3339, day); err == nil {
			day = at.In(d.zone).Format(time.DateOnly)
		} else if m := isoDay.FindString(day); m != "" {
			day = day[:len(time.DateOnly)]
		}
	}
	if day != "" && !event.ValidDate(day) {
		day = d.written(day)
	}
	if day == "" || !event.ValidDate(day) {
		return ""
	}
	return day
}

// datesVersion is raised when written comes to read more: orders are then read anew.
const datesVersion = 2

// written reads a date as people write it. Where it cannot be told what is the day it may be "", or none.
func (d dates) written(s string) string {
	if m := yearFirst.FindStringSubmatch(s); m != nil {
		return isoDate(m[1], m[2], m[3])
	}
	if m := slashed.FindStringSubmatch(s); m != nil {
		first, second, year := m[1], m[2], m[3]
		if d.monthFirst {
			first, second = second, first
		}
		if len(year) == 2 {
			if n, _ := strconv.Atoi(first); n <= 12 { // it might be the month, or the year
				return ""
			}
			year = "20" + year
		}
		return isoDate(year, second, first)
	}
	if m := monthNamed.FindStringSubmatch(fold(s)); m != nil {
		return isoDate(m[5], months[m[2]+m[3]], m[1]+m[4])
	}
	return s
}

func isoDate(year, month, day string) string {
	return year + "-" + twoDigits(month) + "-" + twoDigits(day)
}

var (
	yearFirst = regexp.MustCompile(`^(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})(?:$|[ T,])`)
	// monthNamed is a date with the month's name, folded as names are: 3 de junio de 2026, june 3rd 2026 10 30.
	monthNamed = regexp.MustCompile(`^(?:(\d{1,2})(?:st|nd|rd|th|º)?(?: de| of)? ([a-z]+)|([a-z]+) (\d{1,2})(?:st|nd|rd|th)?)(?: de| del)? (\d{4})(?: \d{1,2} \d{2}(?: \d{2})?)?$`)

	months = monthNumbers()
)

// monthNumbers are the months' numbers by their Spanish and English names, and by what these are shortened to.
func monthNumbers() map[string]string {
	numbers := map[string]string{}
	for i, names := range []string{
		"january enero", "february febrero", "march marzo", "april abril", "may mayo", "june junio", "july julio",
		"august agosto", "september septiembre setiembre sept", "october octubre", "november noviembre", "december diciembre",
	} {
		for name := range strings.FieldsSeq(names) {
			numbers[name], numbers[name[:3]] = strconv.Itoa(i+1), strconv.Itoa(i+1)
		}
	}
	return numbers
}

// isoDay is a date with a time of day that is of no zone.
var isoDay = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[ T]\d{1,2}:\d{2}`)

func twoDigits(s string) string {
	if len(s) == 1 {
		return "0" + s
	}
	return s
}
