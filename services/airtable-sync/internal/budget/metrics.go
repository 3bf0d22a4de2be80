package budget

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

func gauge(name, help string) prometheus.Gauge {
	return promauto.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

var (
	callsTotal = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "airtable_calls_total", Help: "Requests sent to Airtable by this process.",
	}, []string{"kind"})
	monthCalls = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "airtable_budget_calls", Help: "Calls this calendar month (UTC), by kind.",
	}, []string{"kind"})
	monthLimit     = gauge("airtable_budget_limit", "Calls a month by the plan; 0 if unknown.")
	monthPace      = gauge("airtable_budget_pace_per_day", "Calls a day as things go.")
	monthProjected = gauge("airtable_budget_projected", "Calls by the end of the month as things go.")
	suggested      = gauge("airtable_budget_suggested_interval_seconds", "The shortest interval of runs that stays within the limit; 0 without one.")
	interval       = gauge("airtable_sync_interval_seconds", "The interval of scheduled runs in force.")
	exhausted      = gauge("airtable_budget_exhausted", "1 while Airtable refuses because the month's calls are used up.")
)

// show sets the gauges.
func (m *Meter) show() {
	p := m.Plan()
	monthCalls.Reset()
	for kind, n := range p.Budget.ByKind {
		monthCalls.WithLabelValues(kind).Set(float64(n))
	}
	monthLimit.Set(float64(p.Budget.Limit))
	monthPace.Set(p.Budget.PacePerDay)
	monthProjected.Set(float64(p.Budget.Projected))
	suggested.Set(p.Budget.SuggestedIntervalSeconds)
	interval.Set(p.Interval.Seconds())
	exhausted.Set(0)
	if p.Budget.Exhausted {
		exhausted.Set(1)
	}
}
