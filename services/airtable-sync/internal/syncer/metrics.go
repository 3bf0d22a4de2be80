package syncer

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/resonance/resonance/pkg/rpc/syncapi"
)

var (
	runs = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "airtable_sync_runs_total", Help: "Ended runs.",
	}, []string{"mode", "state"})
	runSeconds = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "airtable_sync_run_duration_seconds", Help: "How long runs took.",
		Buckets: prometheus.ExponentialBuckets(0.1, 3, 9),
	}, []string{"mode"})
	events = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "airtable_sync_events_total", Help: "Events published, by change.",
	}, []string{"change"})
)

func observe(r syncapi.Run) {
	runs.WithLabelValues(string(r.Mode), string(r.State)).Inc()
	runSeconds.WithLabelValues(string(r.Mode)).Observe(r.FinishedAt.Sub(r.StartedAt).Seconds())
	events.WithLabelValues("created").Add(float64(r.Created))
	events.WithLabelValues("updated").Add(float64(r.Updated))
	events.WithLabelValues("deleted").Add(float64(r.Deleted))
}
