package cache

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var requests = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "odoo_cache_requests_total",
	Help: "Reads: a hit in memory, shared by another instance, coalesced with a call under way, a miss that called Odoo, " +
		"stale because Odoo does not answer, or an error.",
}, []string{"resource", "kind", "outcome"})

var (
	changesWritten = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "odoo_cache_changes_total", Help: "Changes written into a resource's journal by this instance.",
	}, []string{"resource"})
	memoryBytes = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "odoo_cache_memory_bytes", Help: "About what the answers held in memory take.",
	})
	trusted = promauto.NewGauge(prometheus.GaugeOpts{
		Name: "odoo_cache_trusted", Help: "1 while the cache sees the journal of changes; else every read asks Odoo.",
	})
)
