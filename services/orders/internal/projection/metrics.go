package projection

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	projected = promauto.NewCounter(prometheus.CounterOpts{
		Name: "orders_projected_total", Help: "Events written to Postgres.",
	})
	deadLetters = promauto.NewCounter(prometheus.CounterOpts{
		Name: "orders_dead_letters_total", Help: "Events parked because no retry can make them good.",
	})
	lag = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "orders_projection_lag_messages", Help: "Messages of the ORDERS stream after the checkpoint, as its leader sees it.",
	})
	pendingEdits = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "orders_edits_pending", Help: "Edits that Airtable has neither taken nor refused, as the leader of the projection sees it.",
	})
	requeuedEdits = promauto.NewCounter(prometheus.CounterOpts{
		Name: "orders_edits_requeued_total", Help: "Edits put into the queue again because their outcome was lost.",
	})
	batchSeconds = promauto.NewHistogram(prometheus.HistogramOpts{
		Name: "orders_batch_seconds", Help: "How long a batch took to write.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	})
)
