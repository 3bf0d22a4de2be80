package odoo

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	calls = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "odoo_calls_total", Help: "Calls of Odoo: ok, away, or why it refused.",
	}, []string{"model", "method", "outcome"})
	callSeconds = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "odoo_call_duration_seconds", Help: "How long Odoo took to answer.",
		Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
	}, []string{"model", "method"})
	breakerState = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "odoo_breaker_state", Help: "0: Odoo is called; 1: one call tries whether it is back; 2: none is made.",
	})
)

func observe(c Call, began time.Time, err error) {
	outcome := "ok"
	var r *RefusalError
	switch {
	case errors.As(err, &r):
		outcome = string(r.Reason)
	case err != nil:
		outcome = "away"
	}
	calls.WithLabelValues(c.Model, c.Method, outcome).Inc()
	callSeconds.WithLabelValues(c.Model, c.Method).Observe(time.Since(began).Seconds())
}
