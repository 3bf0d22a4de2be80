package formula_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/resonance/resonance/sandbox/airtable/internal/formula"
)

var names = []string{"Order", "Status", "Amount", "Order date", "Paid", "Tags", "Empty", "Due", "A}b", "Zero"}

// row is a record with one field of each kind.
type row struct{}

func (row) ID() string     { return "recAAAAAAAAAAAAAA" }
func (row) Created() int64 { return at("2026-11-01T08:00:00Z") }

func (row) Modified(fields []int) int64 {
	switch {
	case len(fields) == 0:
		return at("2026-11-03T10:00:00Z")
	case fields[0] == 6:
		return 0
	}
	return at("2026-11-02T09:00:00Z")
}

func (row) Field(i int) formula.Value {
	switch names[i] {
	case "Order":
		return formula.Str("Order 42")
	case "Status":
		return formula.Str("Pending")
	case "Amount":
		return formula.Num(1250.5)
	case "Order date":
		return formula.Millis(at("2026-11-03T00:00:00Z"), true)
	case "Paid":
		return formula.Truth(true)
	case "Tags":
		return formula.Strings([]string{"Web", "Export"})
	case "Due":
		return formula.Millis(at("2026-12-24T18:30:05.250Z"), false)
	case "Zero":
		return formula.Num(0)
	}
	return formula.Value{}
}

func at(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

var now = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

func resolve(ref string) (int, bool) {
	for i, n := range names {
		if n == ref || ref == "fld0000000000000"+string(rune('0'+i)) {
			return i, true
		}
	}
	return -1, false
}

func TestEval(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		// Literals, operators and their order.
		`1 + 2 * 3`:                   "7",
		`(1 + 2) * 3`:                 "9",
		`-2 * -3`:                     "6",
		`10 / 4`:                      "2.5",
		`7 - 2 - 1`:                   "4",
		`.5 + 1.25`:                   "1.75",
		`"a" & 'b' & 1`:               "ab1",
		`"say \"hi\""`:                `say "hi"`,
		`'it\'s'`:                     "it's",
		`"a\nb"`:                      "a\nb",
		`1 & 1 = 11`:                  "1",
		`1 < 2`:                       "1",
		`2 <= 1`:                      "0",
		`"a" < "b"`:                   "1",
		`1 / 0`:                       "#ERROR!",
		`"x" * 2`:                     "#ERROR!",
		`"3" * 2`:                     "6",
		`"a" + "b"`:                   "ab",
		"1\u00a0+\u00a01":             "2",
		`{Order}`:                     "Order 42",
		`Status`:                      "Pending",
		`{fld00000000000001}`:         "Pending",
		`{A\}b} = BLANK()`:            "1",
		`{Amount} * 2`:                "2501",
		`{Tags}`:                      "Web, Export",
		`{Tags} = "Web, Export"`:      "1",
		`{Order date}`:                "2026-11-03",
		`{Due}`:                       "2026-12-24T18:30:05.250Z",
		`{Status} = "Pending"`:        "1",
		`{Status} != 'pending'`:       "1",
		`{Paid} = 1`:                  "1",
		`{Paid} = TRUE()`:             "1",
		`{Empty} = ""`:                "1",
		`{Empty} = BLANK()`:           "1",
		`{Zero} = BLANK()`:            "1",
		`{Empty} != ""`:               "0",
		`{Amount} = BLANK()`:          "0",
		`{Order date} = "2026-11-03"`: "1",
		`{Order date} > "2026-11-02"`: "1",
		`"2026-12-25" > {Due}`:        "1",
		`{Order date} < "2026-11-03"`: "0",
		`{Empty} < {Due}`:             "0",
		`{Due} >= CREATED_TIME()`:     "1",
		`{Amount}>1000`:               "1",
		`{Empty} < 5`:                 "1",
		`if({Paid}, "yes", "no")`:     "yes",
		`IF({Empty}, 1/0, "fine")`:    "fine",
		`IF({Empty}, "x")`:            "",
		`IF(1/0, 1, 2)`:               "#ERROR!",
		`SWITCH({Status}, "Pending", 1, "Sent", 2, 3)`: "1",
		`SWITCH({Status}, "Sent", 2, "else")`:          "else",
		`SWITCH({Status}, "Sent", 2)`:                  "",
		`AND(1, "a", {Paid})`:                          "1",
		`AND(1, {Empty})`:                              "0",
		`OR(0, "", {Empty})`:                           "0",
		`OR(0, {Tags})`:                                "1",
		`OR(1, 1/0)`:                                   "1",
		`AND(1, 1/0)`:                                  "#ERROR!",
		`NOT({Empty})`:                                 "1",
		`XOR(1, 1, 1)`:                                 "1",
		`ISERROR(1/0)`:                                 "1",
		`ISERROR(1)`:                                   "0",
		`ERROR()`:                                      "#ERROR!",
		// Text.
		`FIND("d", "abcd")`:                                 "4",
		`FIND("d", "abcd", 5)`:                              "0",
		`FIND("ñ", "Muñoz")`:                                "3",
		`SEARCH("z", "abc")`:                                "",
		`SEARCH("b", "abcb", 3)`:                            "4",
		`SEARCH("b", "PYB-3")`:                              "", // case counts, and empty where FIND gives 0
		`SEARCH("B", "PYB-3")`:                              "3",
		`LOWER("ÁB") & UPPER("ñ")`:                          "ábÑ",
		`LEN("Muñoz")`:                                      "5",
		`TRIM("  a b ")`:                                    "a b",
		`LEFT("Muñoz", 3) & RIGHT("Muñoz", 2)`:              "Muñoz",
		`LEFT("a", 9)`:                                      "a",
		`LEFT("abc", -1)`:                                   "",
		`MID("quick brown", 7, 3)`:                          "bro",
		`REPLACE("database", 2, 5, "o")`:                    "dose",
		`SUBSTITUTE("gold mold", "old", "et")`:              "get met",
		`SUBSTITUTE("gold mold", "old", "et", 2)`:           "gold met",
		`SUBSTITUTE("a", "", "b")`:                          "a",
		`REPT("ab", 3)`:                                     "ababab",
		`CONCATENATE("a", 1, {Empty}, {Status})`:            "a1Pending",
		`EXACT("a", "A")`:                                   "0",
		`T(1) & T("x")`:                                     "x",
		`ENCODE_URL_COMPONENT("a b/ñ")`:                     "a%20b%2F%C3%B1",
		`REGEX_MATCH({Order}, "^Order \d+$")`:               "1",
		`REGEX_MATCH({Order}, {Status})`:                    "0",
		`REGEX_MATCH("a", "(")`:                             "#ERROR!",
		`REGEX_EXTRACT({Order}, "\d+")`:                     "42",
		`REGEX_REPLACE({Order}, "[0-9]", "#")`:              "Order ##",
		`SUBSTITUTE(REPT("a", 9999), "a", REPT("b", 9999))`: "#ERROR!",
		// Numbers.
		`ABS(-2) + INT(2.7) + INT(-1.2)`:      "2",
		`ROUND(2.5)`:                          "3",
		`ROUND(-2.5, 0)`:                      "-2", // ties go towards positive infinity
		`ROUND(-2.51, 0)`:                     "-3",
		`ROUND(-1.25, 1)`:                     "-1.2",
		`ROUND(1.005, 2)`:                     "1.01",
		`ROUND(1250.5, -2)`:                   "1300",
		`ROUNDUP(1.21, 1)`:                    "1.3",
		`ROUNDDOWN(-1.29, 1)`:                 "-1.2",
		`CEILING(7, 5)`:                       "10",
		`FLOOR(7.9)`:                          "7",
		`MOD(-1, 3)`:                          "2",
		`POWER(2, 10)`:                        "1024",
		`SQRT(9) + EVEN(3) + ODD(2) + EXP(0)`: "11",
		`ROUND(LOG(100))`:                     "2",
		`LOG(8, 2)`:                           "3",
		`MIN(3, {Amount}, 7)`:                 "3",
		`MAX(3, {Amount}, {Empty})`:           "1250.5",
		`SUM(1, 2, {Amount}, {Status})`:       "1253.5",
		`AVERAGE(1, 2, 3)`:                    "2",
		`COUNT(1, "a", {Empty})`:              "1",
		`COUNTA(1, "a", {Empty})`:             "2",
		`COUNTALL(1, "a", {Empty})`:           "3",
		`COUNTA({Tags})`:                      "2",
		`VALUE("$1,250.50")`:                  "1250.5",
		`VALUE("none")`:                       "#ERROR!",
		`MAX({Order date}, {Due})`:            "2026-12-24T18:30:05.250Z",
		// Records and dates.
		`RECORD_ID()`:                            "recAAAAAAAAAAAAAA",
		`CREATED_TIME()`:                         "2026-11-01T08:00:00.000Z",
		`LAST_MODIFIED_TIME()`:                   "2026-11-03T10:00:00.000Z",
		`LAST_MODIFIED_TIME({Status}, {Amount})`: "2026-11-02T09:00:00.000Z",
		`LAST_MODIFIED_TIME({Empty})`:            "",
		`IS_AFTER(LAST_MODIFIED_TIME(), "2026-11-03T09:59:59.999Z")`:                            "1",
		`IS_AFTER(LAST_MODIFIED_TIME(), '2026-11-03T10:00:00.000Z')`:                            "0",
		`IS_BEFORE({Order date}, TODAY())`:                                                      "1",
		`IS_BEFORE({Empty}, TODAY())`:                                                           "",
		`IS_SAME({Due}, "2026-12-01", "month")`:                                                 "1",
		`IS_SAME({Due}, "2026-12-24")`:                                                          "0",
		`IS_SAME({Due}, "2026-12-24", "day")`:                                                   "1",
		`IS_AFTER("soon", NOW())`:                                                               "#ERROR!",
		`NOW()`:                                                                                 "2026-11-21T22:00:00.000Z",
		`TODAY()`:                                                                               "2026-11-21",
		`DATETIME_DIFF({Due}, {Order date}, "days")`:                                            "51",
		`DATETIME_DIFF({Order date}, {Due}, "hours")`:                                           "-1242",
		`DATETIME_DIFF("2026-03-31", "2026-02-28", "months")`:                                   "1",
		`DATETIME_DIFF("2027-01-31", "2025-02-01", "years")`:                                    "1",
		`DATETIME_DIFF({Due}, {Due})`:                                                           "0",
		`DATETIME_DIFF({Due}, {Due}, "fortnights")`:                                             "#ERROR!",
		`DATEADD({Order date}, 10, "days")`:                                                     "2026-11-13",
		`DATEADD("2026-01-31", 1, "month")`:                                                     "2026-02-28T00:00:00.000Z",
		`DATEADD({Order date}, -90, "minutes")`:                                                 "2026-11-02T22:30:00.000Z",
		`DATEADD({Order date}, 1000000000000, "years")`:                                         "#ERROR!",
		`DATETIME_FORMAT({Due}, "YYYY-MM-DD HH:mm:ss.SSS")`:                                     "2026-12-24 18:30:05.250",
		`DATETIME_FORMAT({Due}, "dddd, Do MMMM YY [at] h:mm a")`:                                "Thursday, 24th December 26 at 6:30 pm",
		`DATETIME_FORMAT({Due}, "X") * 1`:                                                       "1798137005",
		`DATETIME_FORMAT(SET_TIMEZONE({Due}, "Europe/Madrid"), "HH:mm")`:                        "19:30",
		`DATETIME_PARSE("24/12/2026", "DD/MM/YYYY")`:                                            "2026-12-24T00:00:00.000Z",
		`DATETIME_PARSE("2026-12-24 18:30")`:                                                    "2026-12-24T18:30:00.000Z",
		`DATETIME_PARSE("nonsense")`:                                                            "#ERROR!",
		`DATESTR({Due}) & " " & TIMESTR({Due})`:                                                 "2026-12-24 18:30:05",
		`YEAR({Due}) & MONTH({Due}) & DAY({Due}) & HOUR({Due}) & MINUTE({Due}) & SECOND({Due})`: "2026122418305",
		`WEEKDAY("2026-11-22") & WEEKDAY("2026-11-22", "Monday")`:                               "06",
		`WORKDAY("2015-10-16", 10)`:                                                             "2015-10-30",
		`WORKDAY("2026-11-30", -1, "2026-11-27, 2026-12-25")`:                                   "2026-11-26",
		`WORKDAY("2026-11-30", 1000000000)`:                                                     "#ERROR!",
		`WORKDAY_DIFF("2015-10-18", "2015-11-18")`:                                              "23",
		`WORKDAY_DIFF("2015-11-18", "2015-10-18")`:                                              "-23",
		`WORKDAY_DIFF("2026-11-26", "2026-11-30", "2026-11-27")`:                                "2",
		`WORKDAY_DIFF("1026-11-26", "2026-11-30")`:                                              "#ERROR!",
		`FROMNOW(DATEADD(NOW(), 3, "days"))`:                                                    "3 days",
		`TONOW(DATEADD(NOW(), -50, "minutes")) & TONOW({Empty})`:                                "an hour",
		`FROMNOW({Order})`:                                                                      "#ERROR!",
		`ARRAYSLICE({Tags}, 2) & ARRAYSLICE({Tags}, 1, -2)`:                                     "ExportWeb",
		`ARRAYSLICE({Tags}, -1) & ARRAYSLICE({Tags}, 3, 9)`:                                     "Export",
		`WEEKNUM("2026-01-01")`:                                                                 "1",
		`ARRAYJOIN({Tags}, "|")`:                                                                "Web|Export",
		`ARRAYUNIQUE({Tags}) & ""`:                                                              "Web, Export",
	}
	for src, want := range tests {
		prog, err := formula.Compile(src, resolve)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := prog.Evaluator(now).Eval(row{}).Text(); got != want {
			t.Errorf("%s = %q, want %q", src, got, want)
		}
	}
}

func TestTruthy(t *testing.T) {
	t.Parallel()
	for _, v := range []formula.Value{{}, formula.Num(0), formula.Num(math.NaN()), formula.Truth(false), formula.Str(""), formula.Strings(nil), formula.Failed} {
		if v.Truthy() {
			t.Errorf("%#v is true", v)
		}
	}
	for _, v := range []formula.Value{formula.Num(-1), formula.Truth(true), formula.Str("0"), formula.Strings([]string{""}), formula.Millis(0, false)} {
		if !v.Truthy() {
			t.Errorf("%#v is false", v)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	const syntax = "Invalid formula. Please check your formula text."
	tests := map[string]string{
		"":                          syntax,
		"1 +":                       syntax,
		"(1":                        syntax,
		"1)":                        syntax,
		"AND(1,":                    syntax,
		"AND()":                     syntax,
		"AND(1 2)":                  syntax,
		"{Order":                    syntax,
		"'open":                     syntax,
		`"open\`:                    syntax,
		"1a":                        syntax,
		"1.2.3":                     syntax,
		"NOT(1, 2)":                 syntax,
		"NOW(1)":                    syntax,
		"IF(1)":                     syntax,
		"LAST_MODIFIED_TIME(1)":     syntax,
		"{Order} == 1":              syntax,
		"#":                         syntax,
		"{Nothing} = 1":             "Unknown field names: nothing",
		"nothing & {Nor this}":      "Unknown field names: nothing, nor this",
		"{order}":                   "Unknown field names: order",
		"BAD(1)":                    "Unknown function names: bad",
		strings.Repeat("(", 10_000): syntax,
		strings.Repeat("-", 10_000): syntax,
		strings.Repeat("NOT(", 5_000) + "1" + strings.Repeat(")", 5_000): syntax,
		"1" + strings.Repeat("+1", 20_000):                               syntax,
		strings.Repeat(" ", 200_000) + "1":                               syntax,
	}
	for src, want := range tests {
		_, err := formula.Compile(src, resolve)
		if err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", src, err, want)
		}
	}
}

func TestLongFlatFormula(t *testing.T) {
	t.Parallel()
	src := "OR(" + strings.Repeat("RECORD_ID()='recBBBBBBBBBBBBBB',", 3_000) + "RECORD_ID()='recAAAAAAAAAAAAAA')"
	prog, err := formula.Compile(src, resolve)
	if err != nil {
		t.Fatal(err)
	}
	if !prog.Evaluator(now).Eval(row{}).Truthy() {
		t.Error("the last term does not hold")
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	const src = `IF({Order} = "{Order}", Amount, {Order})`
	prog, err := formula.Compile(src, resolve)
	if err != nil {
		t.Fatal(err)
	}
	got := prog.Rewrite(src, func(i int) string { return names[i] + "!" })
	if want := `IF({Order!} = "{Order}", {Amount!}, {Order!})`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if f := prog.Fields(); len(f) != 2 || f[0] != 0 || f[1] != 2 {
		t.Errorf("fields %v", f)
	}
}

// FuzzFormula: whatever the text, compiling and evaluating end soon and
// without a panic, the result is bounded, and evaluating again gives the same.
func FuzzFormula(f *testing.F) {
	for _, src := range []string{
		`AND({Status}='Pending', IS_AFTER(LAST_MODIFIED_TIME(), '2026-11-03T10:00:00Z'))`,
		`IF(FIND("x", {Order}), REGEX_REPLACE({Order}, "(a|b)*", "\\1"), {A\}b} & -1.5/0)`,
		`DATETIME_FORMAT(DATEADD({Due}, 1e9, 'M'), "[x] Do dddd ZZ X x")`,
		`SWITCH(MOD(VALUE("-3"), 2), 1, "a", REPT("b", 99999999999))`,
		`DATETIME_PARSE("2026", "YYYY") - TODAY() >= LEN(ARRAYJOIN({Tags}, {Empty}))`,
		`MID(REPLACE("abc", -1, 1/0, 'ñ'), 2, -5)`,
		`((((((`, `"\`, `{`, `1..2`, "\xff{\xfe}",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		prog, err := formula.Compile(src, resolve)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		e := prog.Evaluator(now)
		v := e.Eval(row{})
		if len(v.Text()) > 1<<20 {
			t.Errorf("a result of %d bytes", len(v.Text()))
		}
		again := e.Eval(row{})
		if v.Text() != again.Text() || v.Truthy() != again.Truthy() {
			t.Errorf("%q, then %q", v.Text(), again.Text())
		}
		same, err := formula.Compile(prog.Rewrite(src, func(i int) string { return "fld0000000000000" + string(rune('0'+i)) }), resolve)
		if err != nil {
			t.Fatalf("rewritten with ids: %v", err)
		}
		if got := same.Evaluator(now).Eval(row{}); got.Text() != v.Text() {
			t.Errorf("rewritten with ids: %q, not %q", got.Text(), v.Text())
		}
	})
}
