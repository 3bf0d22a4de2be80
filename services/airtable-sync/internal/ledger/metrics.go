package ledger

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

var parkedOrders = promauto.NewCounter(prometheus.CounterOpts{
	Name: "airtable_sync_order_dead_letters_total", Help: "Orders that no event could be made of.",
})
