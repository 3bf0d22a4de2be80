package budget

import (
	"maps"
	"time"
)

// tally is what was called in a month.
type tally struct {
	Month string         `json:"month"` // 2026-11, in UTC
	Since time.Time      `json:"since"` // from when on it is complete
	Kinds map[string]int `json:"kinds"`
	// Hours, by Unix hour, are those of the last day: pace and forecast follow from them.
	Hours map[int64]hour `json:"hours"`
	// Exhausted says that Airtable refuses because the month's calls are used up: since when, and when last.
	Exhausted bool      `json:"exhausted,omitempty"`
	Refused   time.Time `json:"refused,omitzero"`
	RefusedAt time.Time `json:"refused_at,omitzero"`
}

// exhaust notes that Airtable refuses.
func (t *tally) exhaust(now time.Time) {
	if !t.Exhausted {
		t.Exhausted, t.Refused = true, now.UTC()
	}
	t.RefusedAt = now.UTC()
}

// nextProbe is when to try again after a refusal: one proves little, and the plan may be raised at any time.
// The wait grows with how long Airtable has refused.
func (t *tally) nextProbe() time.Time {
	return t.RefusedAt.Add(min(max(t.RefusedAt.Sub(t.Refused), shortestProbe), longestProbe))
}

const (
	shortestProbe = 5 * time.Minute
	longestProbe  = time.Hour
)

// refusalOf takes over what another tally knows of refusals.
func (t *tally) refusalOf(o tally) {
	t.Exhausted, t.Refused, t.RefusedAt = o.Exhausted, o.Refused, o.RefusedAt
}

// hour counts one hour's calls.
type hour struct {
	Calls     int `json:"calls"`
	Scheduled int `json:"scheduled,omitempty"` // those of them by scheduled runs
	Runs      int `json:"runs,omitempty"`      // scheduled runs
}

func newTally(now time.Time) tally {
	return tally{Month: monthOf(now), Since: now.UTC(), Kinds: map[string]int{}, Hours: map[int64]hour{}}
}

func monthOf(t time.Time) string { return t.UTC().Format("2006-01") }

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// startOfMonth is when the month of t began, or the one that many months later.
func startOfMonth(t time.Time, later int) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month()+time.Month(later), 1, 0, 0, 0, 0, time.UTC)
}

// turn begins a new month if it is time, and forgets hours more than a day old.
func (t *tally) turn(now time.Time) {
	if month := monthOf(now); month != t.Month {
		t.Month, t.Since, t.Kinds, t.Exhausted = month, startOfMonth(now, 0), map[string]int{}, false
		t.Refused, t.RefusedAt = time.Time{}, time.Time{}
	}
	if t.Kinds == nil {
		t.Kinds = map[string]int{}
	}
	if t.Hours == nil {
		t.Hours = map[int64]hour{}
	}
	maps.DeleteFunc(t.Hours, func(h int64, _ hour) bool { return h <= hourOf(now)-24 })
}

func (t *tally) clone() tally {
	c := *t
	c.Kinds, c.Hours = maps.Clone(t.Kinds), maps.Clone(t.Hours)
	return c
}

// merge joins two tallies of the same month, number by number.
func (t *tally) merge(o tally, join func(a, b int) int) {
	for kind, n := range o.Kinds {
		t.Kinds[kind] = join(t.Kinds[kind], n)
	}
	for at, h := range o.Hours {
		mine := t.Hours[at]
		t.Hours[at] = hour{join(mine.Calls, h.Calls), join(mine.Scheduled, h.Scheduled), join(mine.Runs, h.Runs)}
	}
}

func add(a, b int) int     { return a + b }
func larger(a, b int) int  { return max(a, b) }
func without(a, b int) int { return a - b }

func (t *tally) calls() (n int) {
	for _, calls := range t.Kinds {
		n += calls
	}
	return n
}

// lastDay sums up the hours.
func (t *tally) lastDay() (sum hour) {
	for _, h := range t.Hours {
		sum.Calls, sum.Scheduled, sum.Runs = sum.Calls+h.Calls, sum.Scheduled+h.Scheduled, sum.Runs+h.Runs
	}
	return sum
}
