package formula

import (
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// functions are those whose arguments are all evaluated first.
var functions = map[string]function{
	// Logic.
	"NOT":   {min: 1, max: 1, call: func(a []Value) Value { return Truth(!a[0].Truthy()) }},
	"XOR":   {min: 1, max: -1, call: xor},
	"TRUE":  {call: func([]Value) Value { return Truth(true) }},
	"FALSE": {call: func([]Value) Value { return Truth(false) }},
	"BLANK": {call: func([]Value) Value { return Value{} }},
	"ERROR": {max: 1, call: func([]Value) Value { return Failed }},

	// Text.
	"FIND":                 {min: 2, max: 3, call: func(a []Value) Value { return Num(float64(find(a))) }},
	"SEARCH":               {min: 2, max: 3, call: search},
	"LOWER":                {min: 1, max: 1, call: func(a []Value) Value { return Str(strings.ToLower(a[0].Text())) }},
	"UPPER":                {min: 1, max: 1, call: func(a []Value) Value { return Str(strings.ToUpper(a[0].Text())) }},
	"TRIM":                 {min: 1, max: 1, call: func(a []Value) Value { return Str(strings.TrimSpace(a[0].Text())) }},
	"LEN":                  {min: 1, max: 1, call: func(a []Value) Value { return Num(float64(utf8.RuneCountInString(a[0].Text()))) }},
	"LEFT":                 {min: 2, max: 2, call: func(a []Value) Value { return slice(a[0], 0, size(a[1])) }},
	"RIGHT":                {min: 2, max: 2, call: right},
	"MID":                  {min: 3, max: 3, call: func(a []Value) Value { return slice(a[0], max(0, size(a[1])-1), size(a[2])) }},
	"REPLACE":              {min: 4, max: 4, call: replace},
	"SUBSTITUTE":           {min: 3, max: 4, call: substitute},
	"REPT":                 {min: 2, max: 2, call: rept},
	"CONCATENATE":          {max: -1, call: func(a []Value) Value { return join(a, "") }},
	"EXACT":                {min: 2, max: 2, call: func(a []Value) Value { return Truth(a[0].Text() == a[1].Text()) }},
	"T":                    {min: 1, max: 1, call: onlyText},
	"ENCODE_URL_COMPONENT": {min: 1, max: 1, call: func(a []Value) Value { return text(escapeURL(a[0].Text())) }},
	"REGEX_MATCH":          {min: 2, max: 2, prepare: regex(func(re *regexp.Regexp, a []Value) Value { return Truth(re.MatchString(a[0].Text())) })},
	"REGEX_EXTRACT":        {min: 2, max: 2, prepare: regex(regexExtract)},
	"REGEX_REPLACE":        {min: 3, max: 3, prepare: regex(regexReplace)},

	// Numbers.
	"ABS":       {min: 1, max: 1, call: math1(math.Abs)},
	"INT":       {min: 1, max: 1, call: math1(math.Floor)},
	"SQRT":      {min: 1, max: 1, call: math1(math.Sqrt)},
	"EXP":       {min: 1, max: 1, call: math1(math.Exp)},
	"EVEN":      {min: 1, max: 1, call: math1(func(f float64) float64 { return away(f/2) * 2 })},
	"ODD":       {min: 1, max: 1, call: math1(odd)},
	"ROUND":     {min: 1, max: 2, call: rounding(func(f float64) float64 { return math.Floor(f + 0.5) })},
	"ROUNDUP":   {min: 1, max: 2, call: rounding(away)},
	"ROUNDDOWN": {min: 1, max: 2, call: rounding(math.Trunc)},
	"CEILING":   {min: 1, max: 2, call: multiple(math.Ceil)},
	"FLOOR":     {min: 1, max: 2, call: multiple(math.Floor)},
	"MOD":       {min: 2, max: 2, call: math2(mod)},
	"POWER":     {min: 2, max: 2, call: math2(math.Pow)},
	"LOG":       {min: 1, max: 2, call: logarithm},
	"VALUE":     {min: 1, max: 1, call: value},
	"SUM":       {min: 1, max: -1, call: func(a []Value) Value { s, _ := total(a); return finite(s) }},
	"AVERAGE":   {min: 1, max: -1, call: average},
	"MIN":       {min: 1, max: -1, call: extreme(func(x, best float64) bool { return x < best })},
	"MAX":       {min: 1, max: -1, call: extreme(func(x, best float64) bool { return x > best })},
	"COUNT":     {min: 1, max: -1, call: func(a []Value) Value { _, n := total(a); return Num(float64(n)) }},
	"COUNTA":    {min: 1, max: -1, call: func(a []Value) Value { return Num(float64(counted(a, false))) }},
	"COUNTALL":  {min: 1, max: -1, call: func(a []Value) Value { return Num(float64(counted(a, true))) }},

	// Dates.
	"IS_AFTER":        {min: 2, max: 2, prepare: dates(2, func(d []time.Time, _ []Value) Value { return Truth(d[0].After(d[1])) })},
	"IS_BEFORE":       {min: 2, max: 2, prepare: dates(2, func(d []time.Time, _ []Value) Value { return Truth(d[0].Before(d[1])) })},
	"IS_SAME":         {min: 2, max: 3, prepare: dates(2, isSame)},
	"DATETIME_DIFF":   {min: 2, max: 3, prepare: dates(2, difference)},
	"DATEADD":         {min: 3, max: 3, prepare: dates(1, dateAdd)},
	"DATETIME_FORMAT": {min: 1, max: 2, prepare: dates(1, dateFormat)},
	"DATETIME_PARSE":  {min: 1, max: 3, call: dateParse},
	"DATESTR":         {min: 1, max: 1, prepare: dates(1, func(d []time.Time, _ []Value) Value { return Str(d[0].Format(time.DateOnly)) })},
	"TIMESTR":         {min: 1, max: 1, prepare: dates(1, func(d []time.Time, _ []Value) Value { return Str(d[0].Format(time.TimeOnly)) })},
	"YEAR":            {min: 1, max: 1, prepare: part(time.Time.Year)},
	"MONTH":           {min: 1, max: 1, prepare: part(func(t time.Time) int { return int(t.Month()) })},
	"DAY":             {min: 1, max: 1, prepare: part(time.Time.Day)},
	"HOUR":            {min: 1, max: 1, prepare: part(time.Time.Hour)},
	"MINUTE":          {min: 1, max: 1, prepare: part(time.Time.Minute)},
	"SECOND":          {min: 1, max: 1, prepare: part(time.Time.Second)},
	"WEEKNUM":         {min: 1, max: 2, prepare: part(weekOfYear)},
	"WEEKDAY":         {min: 1, max: 2, prepare: dates(1, weekday)},
	"WORKDAY":         {min: 2, max: 3, prepare: dates(1, workday)},
	"WORKDAY_DIFF":    {min: 2, max: 3, prepare: dates(2, workdays)},
	"SET_TIMEZONE":    {min: 2, max: 2, prepare: dates(1, setTimezone)},
	"SET_LOCALE":      {min: 2, max: 2, call: func(a []Value) Value { return a[0] }},

	// Lists.
	"ARRAYJOIN":    {min: 1, max: 2, call: arrayJoin},
	"ARRAYUNIQUE":  {min: 1, max: 1, call: arrayUnique},
	"ARRAYCOMPACT": {min: 1, max: 1, call: arrayCompact},
	"ARRAYSLICE":   {min: 2, max: 3, call: arraySlice},
	"ARRAYFLATTEN": {min: 1, max: 1, call: func(a []Value) Value { return a[0] }},
}

func xor(a []Value) Value {
	odd := false
	for _, v := range a {
		odd = odd != v.Truthy()
	}
	return Truth(odd)
}

// size coerces a count of characters; what is no number is 0.
func size(v Value) int {
	f, ok := v.float()
	if !ok || !(f > 0) {
		return 0
	}
	return int(min(f, maxText))
}

// slice returns n characters from the character at start.
func slice(v Value, start, n int) Value {
	s := v.Text()
	from := offset(s, start)
	return Str(s[from : from+offset(s[from:], n)])
}

// offset returns the byte offset of the nth character, or the end.
func offset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

func right(a []Value) Value {
	s := a[0].Text()
	return Str(s[offset(s, max(0, utf8.RuneCountInString(s)-size(a[1]))):])
}

// find returns the place of a[0] in a[1], counted from 1, or 0.
func find(a []Value) int {
	needle, s := a[0].Text(), a[1].Text()
	from := 0
	if len(a) == 3 {
		from = offset(s, max(0, size(a[2])-1))
	}
	i := strings.Index(s[from:], needle)
	if i < 0 {
		return 0
	}
	return utf8.RuneCountInString(s[:from+i]) + 1
}

func search(a []Value) Value {
	if i := find(a); i > 0 {
		return Num(float64(i))
	}
	return Value{}
}

func replace(a []Value) Value {
	s := a[0].Text()
	from := offset(s, max(0, size(a[1])-1))
	to := from + offset(s[from:], size(a[2]))
	return text(s[:from] + a[3].Text() + s[to:])
}

func substitute(a []Value) Value {
	s, old, with := a[0].Text(), a[1].Text(), a[2].Text()
	if old == "" {
		return Str(s)
	}
	if len(a) == 4 {
		at := 0
		for n := size(a[3]); n > 0; n-- {
			i := strings.Index(s[at:], old)
			if i < 0 {
				return Str(s)
			}
			if n == 1 {
				return text(s[:at+i] + with + s[at+i+len(old):])
			}
			at += i + len(old)
		}
		return Str(s)
	}
	if n := strings.Count(s, old); len(s)+n*(len(with)-len(old)) > maxText {
		return Failed
	}
	return Str(strings.ReplaceAll(s, old, with))
}

func rept(a []Value) Value {
	s, n := a[0].Text(), size(a[1])
	if len(s)*n > maxText {
		return Failed
	}
	return Str(strings.Repeat(s, n))
}

func join(a []Value, sep string) Value {
	var b strings.Builder
	for i, v := range a {
		if i > 0 {
			b.WriteString(sep)
		}
		if b.WriteString(v.Text()); b.Len() > maxText {
			return Failed
		}
	}
	return Str(b.String())
}

func onlyText(a []Value) Value {
	if a[0].kind == Text {
		return a[0]
	}
	return Value{}
}

func escapeURL(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// regex compiles a constant pattern once. A pattern that can't be compiled is #ERROR!.
func regex(f func(*regexp.Regexp, []Value) Value) func([]node) func([]Value) Value {
	compile := func(pattern string) *regexp.Regexp {
		if len(pattern) > 1000 {
			return nil
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil
		}
		return re
	}
	return func(args []node) func([]Value) Value {
		var once *regexp.Regexp
		if args[1].konst {
			once = compile(args[1].val.Text())
		}
		return func(a []Value) Value {
			re := once
			if !args[1].konst {
				re = compile(a[1].Text())
			}
			if re == nil {
				return Failed
			}
			return f(re, a)
		}
	}
}

func regexExtract(re *regexp.Regexp, a []Value) Value {
	m := re.FindStringSubmatch(a[0].Text())
	switch {
	case m == nil:
		return Failed
	case len(m) > 1:
		return Str(m[1])
	}
	return Str(m[0])
}

func regexReplace(re *regexp.Regexp, a []Value) Value {
	s, with := a[0].Text(), a[2].Text()
	if (len(s)+1)*(len(with)+1) > 16*maxText {
		return Failed
	}
	return text(re.ReplaceAllString(s, with))
}

func finite(f float64) Value {
	if math.IsInf(f, 0) {
		return Failed
	}
	return Num(f)
}

func math1(f func(float64) float64) func([]Value) Value {
	return func(a []Value) Value {
		x, ok := a[0].float()
		if !ok {
			return Failed
		}
		return finite(f(x))
	}
}

func math2(f func(x, y float64) float64) func([]Value) Value {
	return func(a []Value) Value {
		x, okx := a[0].float()
		y, oky := a[1].float()
		if !okx || !oky {
			return Failed
		}
		return finite(f(x, y))
	}
}

// mod has the sign of the divisor.
func mod(x, y float64) float64 { return x - y*math.Floor(x/y) }

// away rounds away from zero.
func away(f float64) float64 {
	if f < 0 {
		return math.Floor(f)
	}
	return math.Ceil(f)
}

func odd(f float64) float64 {
	if f < 0 {
		return -odd(-f)
	}
	return math.Ceil((f-1)/2)*2 + 1
}

func rounding(f func(float64) float64) func([]Value) Value {
	return func(a []Value) Value {
		x, ok := a[0].float()
		digits := 0.0
		if len(a) == 2 {
			var okd bool
			digits, okd = a[1].float()
			ok = ok && okd
		}
		if !ok || !(math.Abs(digits) <= 15) {
			return Failed
		}
		// The decimal text is scaled, so that 1.005 rounds as it reads.
		scale := math.Pow(10, math.Trunc(digits))
		scaled := x * scale
		if near := math.Round(scaled*1e6) / 1e6; math.Abs(near-scaled) < 1e-9*math.Max(1, math.Abs(scaled)) {
			scaled = near
		}
		return finite(f(scaled) / scale)
	}
}

func multiple(f func(float64) float64) func([]Value) Value {
	return func(a []Value) Value {
		x, ok := a[0].float()
		step := 1.0
		if len(a) == 2 {
			var oks bool
			step, oks = a[1].float()
			ok = ok && oks
		}
		if !ok || step == 0 {
			return Failed
		}
		return finite(f(x/step) * step)
	}
}

func logarithm(a []Value) Value {
	base := []Value{Num(10)}
	if len(a) == 2 {
		base = a[1:]
	}
	return math2(func(x, b float64) float64 { return math.Log(x) / math.Log(b) })([]Value{a[0], base[0]})
}

// value reads the digits, sign and point of a text, as in "$1,250.00".
func value(a []Value) Value {
	if a[0].kind != Text {
		f, ok := a[0].float()
		if !ok {
			return Failed
		}
		return Num(f)
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return -1
	}, a[0].text)
	f, ok := parseNumber(digits)
	if !ok {
		return Failed
	}
	return Num(f)
}

// each calls f with every number among the arguments and their lists' elements.
func each(a []Value, f func(float64)) {
	for _, v := range a {
		switch v.kind {
		case Number, Bool:
			f(v.num)
		case List:
			for _, s := range v.list {
				if x, ok := parseNumber(s); ok {
					f(x)
				}
			}
		default: // the rest does not count
		}
	}
}

func total(a []Value) (sum float64, n int) {
	each(a, func(f float64) { sum += f; n++ })
	return sum, n
}

func average(a []Value) Value {
	sum, n := total(a)
	if n == 0 {
		return Failed
	}
	return finite(sum / float64(n))
}

// extreme is MIN or MAX; of dates too, when all are dates.
func extreme(better func(x, best float64) bool) func([]Value) Value {
	return func(a []Value) Value {
		allDates := !slices.ContainsFunc(a, func(v Value) bool { return v.kind != Date && v.kind != Blank })
		if best := (Value{}); allDates {
			for _, v := range a {
				if v.kind == Date && (best.kind == Blank || better(v.num, best.num)) {
					best = v
				}
			}
			if best.kind == Date {
				return best
			}
		}
		best, found := 0.0, false
		each(a, func(f float64) {
			if !found || better(f, best) {
				best, found = f, true
			}
		})
		return Num(best)
	}
}

func counted(a []Value, all bool) int {
	n := 0
	for _, v := range a {
		switch {
		case v.kind == List:
			n += len(v.list)
		case all || v.kind != Blank && !(v.kind == Text && v.text == ""):
			n++
		}
	}
	return n
}

// dates coerces the first n arguments to times. If one is blank the result is
// blank; if one is no date it is #ERROR!. A literal is parsed once.
func dates(n int, f func([]time.Time, []Value) Value) func([]node) func([]Value) Value {
	return func(args []node) func([]Value) Value {
		literal := make([]Value, n)
		for i := range literal {
			literal[i] = literalDate(args[i])
		}
		return func(a []Value) Value {
			var buf [2]time.Time
			for i := range literal {
				v := a[i]
				if literal[i].kind == Date {
					v = literal[i]
				}
				if v.kind == Blank || v.kind == Text && v.text == "" {
					return Value{}
				}
				ms, ok := v.instant()
				if !ok {
					return Failed
				}
				buf[i] = time.UnixMilli(ms).UTC()
			}
			return f(buf[:n], a)
		}
	}
}

func part(f func(time.Time) int) func([]node) func([]Value) Value {
	return dates(1, func(d []time.Time, _ []Value) Value { return Num(float64(f(d[0]))) })
}

// unitOf returns the unit in a[i], or a default when there is none.
func unitOf(a []Value, i int, fallback string) (string, bool) {
	if len(a) <= i {
		return fallback, true
	}
	name := a[i].Text()
	unit, ok := units[name]
	if !ok {
		unit, ok = units[strings.ToLower(name)]
	}
	return unit, ok
}

func isSame(d []time.Time, a []Value) Value {
	if len(a) == 2 {
		return Truth(d[0].Equal(d[1]))
	}
	unit, ok := unitOf(a, 2, "")
	if !ok {
		return Failed
	}
	return Truth(truncate(d[0], unit).Equal(truncate(d[1], unit)))
}

func difference(d []time.Time, a []Value) Value {
	unit, ok := unitOf(a, 2, "second")
	if !ok {
		return Failed
	}
	return Num(between(d[0], d[1], unit))
}

func dateAdd(d []time.Time, a []Value) Value {
	unit, ok := unitOf(a, 2, "")
	n, okn := a[1].float()
	if !ok || !okn {
		return Failed
	}
	t, ok := addUnits(d[0], n, unit)
	if !ok {
		return Failed
	}
	day := a[0].day && (unit == "day" || unit == "week" || inMonths[unit] > 0)
	return Millis(t.UnixMilli(), day)
}

func dateFormat(d []time.Time, a []Value) Value {
	if len(a) == 1 {
		return Str(d[0].Format(time.RFC3339))
	}
	format := a[1].Text()
	if len(format) > 1000 {
		return Failed
	}
	return text(FormatDate(d[0], format))
}

func dateParse(a []Value) Value {
	if a[0].kind == Date {
		return a[0]
	}
	s := a[0].Text()
	if s == "" {
		return Value{}
	}
	if len(a) > 1 && a[1].Text() != "" {
		format := a[1].Text()
		if len(format) > 200 {
			return Failed
		}
		t, ok := parseWith(s, format)
		if !ok || t.Year() < 0 || t.Year() > 9999 {
			return Failed
		}
		return Millis(t.UnixMilli(), false)
	}
	ms, _, ok := ParseDate(s)
	if !ok {
		return Failed
	}
	return Millis(ms, false)
}

func weekday(d []time.Time, a []Value) Value {
	first := 0
	if len(a) == 2 && strings.EqualFold(a[1].Text(), "monday") {
		first = 1
	}
	return Num(float64((int(d[0].Weekday()) - first + 7) % 7))
}

// maxWorkdays bounds how many days WORKDAY and WORKDAY_DIFF go through.
const maxWorkdays = 10_000

// working tells the days from Monday to Friday that are not among the holidays, a text of ISO dates with
// commas between them.
func working(a []Value) func(time.Time) bool {
	holidays := ""
	if len(a) == 3 {
		holidays = a[2].Text()
	}
	return func(t time.Time) bool {
		return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday && !strings.Contains(holidays, t.Format(time.DateOnly))
	}
}

func workday(d []time.Time, a []Value) Value {
	n, ok := a[1].float()
	if !ok || !(math.Abs(n) <= maxWorkdays) {
		return Failed
	}
	step, counts, t := 1, working(a), truncate(d[0], "day")
	if n < 0 {
		step, n = -1, -n
	}
	for days := 0; n >= 1; days++ {
		if t = t.AddDate(0, 0, step); counts(t) {
			n--
		}
		if days > 2*maxWorkdays {
			return Failed
		}
	}
	return Millis(t.UnixMilli(), true)
}

// workdays counts both ends, and is negative when the second is the earlier.
func workdays(d []time.Time, a []Value) Value {
	from, to, sign := truncate(d[0], "day"), truncate(d[1], "day"), 1.0
	if to.Before(from) {
		from, to, sign = to, from, -1
	}
	if to.Sub(from) > maxWorkdays*24*time.Hour {
		return Failed
	}
	n, counts := 0.0, working(a)
	for ; !from.After(to); from = from.AddDate(0, 0, 1) {
		if counts(from) {
			n++
		}
	}
	return Num(sign * n)
}

// setTimezone shifts the instant to the zone's wall clock, which is what the
// functions that format it then show.
func setTimezone(d []time.Time, a []Value) Value {
	loc, err := time.LoadLocation(a[1].Text())
	if err != nil || len(a[1].Text()) > 64 {
		return Failed
	}
	_, shift := d[0].In(loc).Zone()
	return Millis(d[0].Add(time.Duration(shift)*time.Second).UnixMilli(), false)
}

func arrayJoin(a []Value) Value {
	sep := ", "
	if len(a) == 2 {
		sep = a[1].Text()
	}
	if a[0].kind != List {
		return a[0]
	}
	if (len(sep)+1)*len(a[0].list) > maxText {
		return Failed
	}
	return text(strings.Join(a[0].list, sep))
}

func arrayUnique(a []Value) Value {
	if a[0].kind != List {
		return a[0]
	}
	var out []string
	for _, s := range a[0].list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return Strings(out)
}

// arraySlice counts from 1, from the end where negative, and takes both ends in.
func arraySlice(a []Value) Value {
	if a[0].kind != List {
		return a[0]
	}
	n := len(a[0].list)
	from, to := 1, n
	for i, at := range []*int{&from, &to}[:len(a)-1] {
		x, ok := a[i+1].float()
		if !ok || math.IsNaN(x) {
			return Failed
		}
		if *at = int(max(-1e9, min(x, 1e9))); *at < 0 {
			*at += n + 1
		}
	}
	from, to = max(from, 1), min(to, n)
	if from > to {
		return Strings(nil)
	}
	return Strings(a[0].list[from-1 : to])
}

func arrayCompact(a []Value) Value {
	if a[0].kind != List {
		return a[0]
	}
	return Strings(slices.DeleteFunc(slices.Clone(a[0].list), func(s string) bool { return s == "" }))
}
