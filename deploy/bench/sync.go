package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/localpg"
)

// synced is a product after its first sync, with what was measured of that and of its floors.
type synced struct {
	*product
	database                  string
	rate, published, upserted float64 // orders a second
	memory                    float64 // MiB, as the sync ended
}

// firstSyncs measures first syncs in turn with their floors, and returns the last product.
func (b *bench) firstSyncs(ctx context.Context, dir string, pg *localpg.Server, db *pgx.Conn) (*synced, error) {
	var last *synced
	var rates, published, upserted, ratios []float64
	for i := range b.rounds {
		if last != nil {
			if err := last.stop(); err != nil {
				return nil, err
			}
		}
		var err error
		if last, err = b.firstSync(ctx, dir, pg, db, fmt.Sprint("big", i)); err != nil {
			return nil, err
		}
		rates, published, upserted = append(rates, last.rate), append(published, last.published), append(upserted, last.upserted)
		ratios = append(ratios, last.rate/min(last.published, last.upserted))
	}
	rate, ratio := middle(rates), middle(ratios)
	b.add("first sync, Airtable to Postgres", fmt.Sprintf("%.0f orders/s", rate),
		fmt.Sprintf("publish %.0f/s, upsert %.0f/s", middle(published), middle(upserted)), fmt.Sprintf("%.0f %%", 100*ratio),
		"20,000/s, or 40 % of the slower floor", rate >= 20000 || ratio >= 0.4)
	return last, nil
}

// recordIDs are those of all orders, in the order they came: as random as Airtable's, which costs an
// index a third more than ids that count up.
func recordIDs(ctx context.Context, db *pgx.Conn) ([]string, error) {
	rows, err := db.Query(ctx, "select record_id from orders.orders order by seq")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func middle(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// firstSync lets a new product read the whole sandbox into a new database.
func (b *bench) firstSync(ctx context.Context, dir string, pg *localpg.Server, db *pgx.Conn, name string) (s *synced, err error) {
	if _, err := db.Exec(ctx, "create database "+name); err != nil {
		return nil, err
	}
	p, err := startProduct(ctx, b.binary, dir+"/"+name, pg.URL(name), b.orders)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	s = &synced{product: p, database: pg.URL(name)}
	conn, err := pgx.Connect(ctx, s.database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := untilIn(ctx, conn, b.orders); err != nil {
		return nil, err
	}
	visible := time.Now()
	if s.memory, err = p.resident(); err != nil {
		return nil, err
	}
	if err := p.login(ctx); err != nil {
		return nil, err
	}
	run, err := p.firstRun(ctx)
	if err != nil {
		return nil, err
	}
	s.rate = float64(b.orders) / visible.Sub(run.StartedAt).Seconds()

	nc, err := connectNATS(p.natsURL, p.nkey)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	sample, err := newest(ctx, nc)
	if err != nil {
		return nil, err
	}
	ids, err := recordIDs(ctx, conn)
	if err != nil {
		return nil, err
	}
	if s.published, err = publishFloor(ctx, nc, sample, ids); err != nil {
		return nil, err
	}
	order, _, err := event.ParseOrderChanged(sample.Subject, sample.Header, sample.Data)
	if err != nil {
		return nil, err
	}
	s.upserted, err = upsertFloor(ctx, conn, &order.Order, ids)
	return s, err
}
