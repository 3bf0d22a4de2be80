package edits

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var (
	settledEdits = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "airtable_sync_edits_total", Help: "Settled edits, by outcome.",
	}, []string{"state"})
	latency = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "airtable_sync_edit_seconds", Help: "From when an edit was requested until it was settled.",
		Buckets: prometheus.ExponentialBuckets(0.05, 4, 9),
	}, []string{"state"})
	deadLetters = promauto.NewCounter(prometheus.CounterOpts{
		Name: "airtable_sync_edit_dead_letters_total", Help: "Messages of EDITS that are no edit.",
	})
)
