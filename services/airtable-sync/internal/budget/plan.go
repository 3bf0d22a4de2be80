package budget

import (
	"fmt"
	"math"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
)

const (
	day = 24 * time.Hour
	// reserve is the share of the limit that is left to edits and to what people ask for.
	reserve = 0.05
	// longest is how far the budget stretches an interval, within a month.
	longest = day
)

// Plan is how to spend what is left.
type Plan struct {
	Interval time.Duration // between scheduled runs: the configured one, or longer
	Until    time.Time     // no scheduled run before this; zero if there may be
	Reason   fault.Text    // why Interval is longer or Until set
	// Urgent says that there is enough for runs between the scheduled ones.
	Urgent bool
	Budget syncapi.Budget
}

// Plan forecasts the month. Scheduled runs go on as often as Interval says, at what they cost on
// average; all else goes on as it did in the last 24 hours.
func (m *Meter) Plan() Plan {
	m.mu.Lock()
	now := m.cfg.Now()
	m.total.turn(now)
	t := m.total.clone()
	m.mu.Unlock()

	var (
		end       = startOfMonth(now, 1)
		left      = end.Sub(now)
		last      = t.lastDay()
		perRun    = 1.0
		otherwise = float64(last.Calls - last.Scheduled) // a day
		interval  = m.cfg.Interval
	)
	if last.Runs > 0 {
		perRun = max(perRun, float64(last.Scheduled)/float64(last.Runs))
	}
	pace := func(every time.Duration) float64 { return otherwise + perRun*float64(day)/float64(every) }
	projected := func(every time.Duration) int {
		return t.calls() + int(math.Ceil(pace(every)*float64(left)/float64(day)))
	}
	p := Plan{Interval: interval, Urgent: true, Budget: syncapi.Budget{
		Month: t.Month, Since: t.Since, Calls: t.calls(), ByKind: t.Kinds, Limit: m.cfg.Limit, Exhausted: t.Exhausted,
	}}
	if m.cfg.Limit > 0 {
		spare := float64(m.cfg.Limit)*(1-reserve) - float64(t.calls()) - otherwise*float64(left)/float64(day)
		suggested := min(longest, left)
		if spare >= perRun {
			suggested = min(suggested, time.Duration(math.Ceil(left.Seconds()*perRun/spare))*time.Second)
		}
		p.Urgent = spare >= perRun
		p.Interval = max(interval, suggested.Round(time.Second))
		p.Budget.SuggestedIntervalSeconds = math.Round(suggested.Seconds())
	}
	p.Budget.PacePerDay = math.Round(100*pace(p.Interval)) / 100
	p.Budget.Projected = projected(p.Interval)
	switch {
	case t.Exhausted:
		p.Until, p.Urgent = t.nextProbe(), false
		if p.Until.After(end) {
			p.Until = end
		}
		p.Budget.PacePerDay, p.Budget.Projected = 0, t.calls()
		p.Reason = fault.T(
			"Airtable ya no acepta llamadas este mes, hasta el "+end.Format(time.DateOnly)+" (UTC): se prueba de vez en cuando, cada hora como mucho, por si se amplía el plan",
			"Airtable accepts no more calls this month, until "+end.Format(time.DateOnly)+" (UTC): it is tried now and then, once an hour at most, in case the plan is raised")
	case p.Interval > interval:
		p.Reason = fault.T(
			fmt.Sprintf("Con una sincronización cada %s el mes llegaría a %d llamadas y el plan permite %d (AIRTABLE_MONTHLY_LIMIT): se hace cada %s",
				interval, projected(interval), m.cfg.Limit, p.Interval),
			fmt.Sprintf("With a run every %s the month would come to %d calls and the plan allows %d (AIRTABLE_MONTHLY_LIMIT): one every %s instead",
				interval, projected(interval), m.cfg.Limit, p.Interval))
	}
	p.Budget.Warning = p.Reason
	if n := p.Budget.Projected; p.Reason == (fault.Text{}) && m.cfg.Limit > 0 && n > m.cfg.Limit {
		p.Budget.Warning = fault.T(
			fmt.Sprintf("Así el mes llega a %d llamadas y el plan permite %d (AIRTABLE_MONTHLY_LIMIT)", n, m.cfg.Limit),
			fmt.Sprintf("At this pace the month comes to %d calls and the plan allows %d (AIRTABLE_MONTHLY_LIMIT)", n, m.cfg.Limit))
	}
	return p
}

// Affords reports whether that many calls would leave the reserve alone.
func (m *Meter) Affords(calls int) bool {
	b := m.Plan().Budget
	return !b.Exhausted && (b.Limit == 0 || float64(b.Calls+calls) <= float64(b.Limit)*(1-reserve))
}
