// Package airtablesync is the service that finds every change in Airtable and publishes it as an
// order.changed event, and that writes people's edits into Airtable.
package airtablesync

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // containers have none

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/lease"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
	"github.com/resonance/resonance/services/airtable-sync/internal/budget"
	"github.com/resonance/resonance/services/airtable-sync/internal/column"
	"github.com/resonance/resonance/services/airtable-sync/internal/edits"
	"github.com/resonance/resonance/services/airtable-sync/internal/files"
	"github.com/resonance/resonance/services/airtable-sync/internal/ledger"
	"github.com/resonance/resonance/services/airtable-sync/internal/syncer"
)

// Version is this service's version, in SemVer.
const Version = "0.1.0"

// Config is the service's environment.
type Config struct {
	service.Base

	APIKey      string  `env:"AIRTABLE_API_KEY"`
	BaseID      string  `env:"AIRTABLE_BASE_ID"`
	TableID     string  `env:"AIRTABLE_TABLE_ID"` // its id or its name
	EndpointURL string  `env:"AIRTABLE_ENDPOINT_URL" envDefault:"https://api.airtable.com"`
	RateLimit   float64 `env:"AIRTABLE_RATE_LIMIT" envDefault:"5"` // requests a second; 0 for no limit

	IntervalMinutes float64 `env:"SYNC_INTERVAL_MINUTES" envDefault:"5"`
	Mode            string  `env:"SYNC_MODE" envDefault:"auto"`          // auto, webhook, incremental or full
	FullScanHours   float64 `env:"SYNC_FULL_SCAN_HOURS" envDefault:"24"` // a full scan at least this often
	PublicURL       string  `env:"PUBLIC_URL"`                           // of the gateway, for Airtable's pings; "" for none
	MonthlyLimit    int     `env:"AIRTABLE_MONTHLY_LIMIT"`               // calls a month by Airtable's plan; 0 if unknown or unlimited

	FieldNames

	// TimeZone is whose day a time of Airtable's belongs to where its field leaves that to the reader; "": UTC.
	TimeZone string         `env:"TIME_ZONE"`
	zone     *time.Location // nil for UTC

	Now   func() time.Time                     `env:"-"` // time.Now if nil
	After func(time.Duration) <-chan time.Time `env:"-"` // by which Airtable's failures are waited out; time.After if nil
}

// Validate reports every wrong variable, each by its name.
func (c *Config) Validate() error {
	errs := []error{c.Base.Validate()}
	for _, v := range []struct{ name, value string }{
		{"AIRTABLE_API_KEY", c.APIKey}, {"AIRTABLE_BASE_ID", c.BaseID}, {"AIRTABLE_TABLE_ID", c.TableID},
	} {
		if v.value == "" {
			errs = append(errs, fmt.Errorf("%s: not set", v.name))
		}
	}
	if u, err := url.Parse(c.EndpointURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("AIRTABLE_ENDPOINT_URL: %q is not an http(s) URL", c.EndpointURL))
	}
	if !(c.RateLimit >= 0) {
		errs = append(errs, fmt.Errorf("AIRTABLE_RATE_LIMIT: %v is negative", c.RateLimit))
	}
	if !(c.IntervalMinutes > 0 && c.IntervalMinutes <= 7*24*60) {
		errs = append(errs, fmt.Errorf("SYNC_INTERVAL_MINUTES: %v is not above 0 and at most a week", c.IntervalMinutes))
	}
	if !slices.Contains([]syncapi.Mode{syncapi.Auto, syncapi.Webhook, syncapi.Incremental, syncapi.Full}, syncapi.Mode(c.Mode)) {
		errs = append(errs, fmt.Errorf("SYNC_MODE: %q is none of auto, webhook, incremental and full", c.Mode))
	}
	if c.PublicURL != "" && !isBaseURL(c.PublicURL) {
		errs = append(errs, fmt.Errorf("PUBLIC_URL: %q is not an http(s) URL without query", c.PublicURL))
	}
	if c.MonthlyLimit < 0 {
		errs = append(errs, fmt.Errorf("AIRTABLE_MONTHLY_LIMIT: %d is negative", c.MonthlyLimit))
	}
	if !(c.FullScanHours > 0 && c.FullScanHours <= 24*366) {
		errs = append(errs, fmt.Errorf("SYNC_FULL_SCAN_HOURS: %v is not above 0 and at most a year", c.FullScanHours))
	}
	if c.TimeZone != "" {
		var err error
		if c.zone, err = time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "Local" {
			errs = append(errs, fmt.Errorf("TIME_ZONE: %q is not a time zone such as Europe/Madrid", c.TimeZone))
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return errors.Join(errs...)
}

func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.RawQuery == "" && u.Fragment == ""
}

// pingURL is the gateway's route for Airtable's pings, as Airtable reaches it; "" if it cannot.
func (c *Config) pingURL() string {
	if c.PublicURL == "" {
		return ""
	}
	return strings.TrimRight(c.PublicURL, "/") + "/webhooks/airtable"
}

// Run syncs until ctx ends, waiting for NATS and for its turn as the one active instance. An error
// means that it cannot go on: NATS refuses it, or streams have drifted.
func Run(ctx context.Context, cfg Config) error {
	cfg.Log = cfg.Log.With("service", "airtable-sync")
	return cfg.WithNATS(ctx, service.Link{Name: "airtable-sync", Check: "airtable-sync"}, cfg.takeTurns)
}

// takeTurns is active whenever no other instance is, until ctx ends.
func (c *Config) takeTurns(ctx context.Context, nc *nats.Conn) error {
	js, err := bus.JetStream(nc, ledger.PublishOptions()...)
	if err != nil {
		return fmt.Errorf("JetStream: %w", err)
	}
	meter := budget.New(budget.Config{Limit: c.MonthlyLimit, Interval: minutes(c.IntervalMinutes), Now: c.Now, Log: c.Log})
	client := airtable.New(airtable.Config{
		Endpoint: c.EndpointURL, Key: c.APIKey, Base: c.BaseID, Table: c.TableID,
		RatePerSecond: c.RateLimit, Meter: meter, After: c.After, Log: c.Log,
	})
	instance := instanceName()
	return bus.Persist(ctx, c.Log, "not syncing, trying again", func(ctx context.Context) error {
		if err := bus.Ensure(ctx, js, c.NATSReplicas, bus.StreamOrders, bus.BucketSyncState, bus.BucketColumns); err != nil {
			return err
		}
		kv, err := js.KeyValue(ctx, bus.BucketSyncState)
		if err != nil {
			return fmt.Errorf("bucket %s: %w", bus.BucketSyncState, err)
		}
		return lease.Hold(ctx, kv, leaseKey, instance, func(ctx context.Context) error {
			c.rebuildOrders(ctx, js)
			defer bus.KeepMirror(ctx, c.Log, js, c.NATSReplicas, bus.StreamOrders)()
			stop, err := meter.Keep(ctx, kv)
			if err != nil {
				return err
			}
			defer stop()
			defer func() { // whoever has the lease next knows nothing of our calls
				rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
				defer cancel()
				client.Rest(rest)
			}()
			return c.term(ctx, instance, client, meter, js, kv)
		})
	})
}

// syncCheck is the name under which /readyz tells whether the sync works.
const syncCheck = "sync"

// rebuildOrders gives ORDERS as many replicas as it should have. While that is impossible the stream stays as it is.
func (c *Config) rebuildOrders(ctx context.Context, js jetstream.JetStream) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	rebuilt, err := bus.RebuildOrders(ctx, js, c.NATSReplicas)
	if err != nil {
		c.Log.Warn("replicas not raised", "stream", bus.StreamOrders, "replicas", c.NATSReplicas, "error", err)
	}
	if rebuilt {
		c.Log.Info("stream rebuilt", "stream", bus.StreamOrders, "replicas", c.NATSReplicas)
	}
}

// leaseKey is the lease's key in the bucket sync-state.
const leaseKey = "lease"

// term is what the active instance does: it syncs, and writes edits. Both know the same columns and
// publish through the same ledger.
func (c *Config) term(
	ctx context.Context, instance string, client *airtable.Client, meter *budget.Meter, js jetstream.JetStream, kv jetstream.KeyValue,
) error {
	ctx, end := context.WithCancel(ctx)
	schema, book := column.NewSchema(client, c.columns(), &store{kv, js, c.Log}, c.Log), ledger.New(js, client.Source(), c.Log)
	writer := edits.New(edits.Config{
		Replicas: c.NATSReplicas, After: c.After, Log: c.Log,
		Held: func(ctx context.Context) error { return lease.Check(ctx, kv, leaseKey, instance) },
	}, client, schema, book, js.Conn(), js)
	store := files.New(ctx, files.Config{Part: min(512<<10, int(js.Conn().MaxPayload()*3/4)), Now: c.Now, Log: c.Log}, client)
	s := syncer.New(syncer.Config{
		Instance: instance, Interval: minutes(c.IntervalMinutes), Mode: syncapi.Mode(c.Mode),
		FullEvery: minutes(60 * c.FullScanHours), PingURL: c.pingURL(), Replicas: c.NATSReplicas, Budget: meter, Edits: writer.State, Files: store.Serve,
		Now: c.Now, Log: c.Log,
	}, client, schema, book, js.Conn(), js, kv)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer end()
	if err := writer.Open(ctx); err != nil {
		return err
	}
	writing.Go(func() { writer.Run(ctx) })
	c.Health.Check(syncCheck, s.Check)
	defer c.Health.Check(syncCheck, func(context.Context) error { return nil }) // another instance syncs now
	return s.Active(ctx, Version)
}

func (c *Config) columns() column.Config {
	return column.Config{Now: c.Now, Zone: c.zone, Named: c.byColumn()}
}

func minutes(m float64) time.Duration { return time.Duration(m * float64(time.Minute)) }

// instanceName tells this process from other instances in the lease and in the status.
func instanceName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), nuid.Next()[:6])
}
