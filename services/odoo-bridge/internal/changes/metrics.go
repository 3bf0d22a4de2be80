package changes

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	polls = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "odoo_polls_total", Help: "Looks at what has changed in Odoo: ok or failed.",
	}, []string{"outcome"})
	pollSeconds = promauto.NewHistogram(prometheus.HistogramOpts{
		Name: "odoo_poll_duration_seconds", Help: "How long a look took.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
	})
	active = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "odoo_poller_active", Help: "1 on the instance that looks for changes.",
	})
	published = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "odoo_events_total", Help: "odoo.changed events published.",
	}, []string{"resource", "change"})
	pendingEvents = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "odoo_events_pending", Help: "Changed records whose events are to be published.",
	})
)
