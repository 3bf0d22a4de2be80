package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
)

// floorSQL is the one statement of the floor: a page of ten, without a total.
const floorSQL = `select doc from orders.orders order by day desc, record_id limit 10`

// serveFloor is the least a page of orders can cost in this architecture: chi, a NATS request, one
// SQL statement, a NATS reply; no login, no validation, no total.
func serveFloor(args []string) error {
	flags := flag.NewFlagSet("floor", flag.ExitOnError)
	natsURL := flags.String("nats", "", "")
	database := flags.String("db", "", "")
	addr := flags.String("addr", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	nc, err := nats.Connect(*natsURL)
	if err != nil {
		return err
	}
	defer nc.Close()
	pool, err := pgxpool.New(ctx, *database)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = nc.QueueSubscribe("bench.floor", "floor", func(m *nats.Msg) {
		go func() {
			rows, err := pool.Query(ctx, floorSQL)
			if err != nil {
				return
			}
			docs, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
			if err != nil {
				return
			}
			body := append([]byte{'['}, docs[0]...)
			for _, d := range docs[1:] {
				body = append(append(body, ','), d...)
			}
			_ = m.Respond(append(body, ']'))
		}()
	})
	if err != nil {
		return err
	}
	r := chi.NewRouter()
	r.Get("/floor", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		answer, err := nc.RequestWithContext(ctx, "bench.floor", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer.Data)
	})
	srv := &http.Server{Addr: *addr, Handler: r, ReadHeaderTimeout: time.Second}
	go func() {
		<-ctx.Done()
		_ = srv.Close()
	}()
	fmt.Println("ready")
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// startFloor runs serveFloor in a process of its own, as the product is.
func startFloor(ctx context.Context, natsURL, database string) (target string, stop func(), err error) {
	addr, err := freeAddr()
	if err != nil {
		return "", nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "floor", "-nats", natsURL, "-db", database, "-addr", addr)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	target = "http://" + addr + "/floor"
	for range 100 {
		res, err := http.Get(target) //nolint:gosec,noctx // our own address
		if err == nil {
			res.Body.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return target, func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}, nil
}

// publishFloor is how many messages like the product's JetStream takes a second, published
// asynchronously to a stream declared as ORDERS is.
func publishFloor(ctx context.Context, nc *nats.Conn, sample *nats.Msg, n int) (float64, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return 0, err
	}
	cfg := bus.Streams[0]
	cfg.Name, cfg.Subjects = "BENCH", []string{"bench.publish.*"}
	if _, err := js.CreateStream(ctx, cfg); err != nil {
		return 0, err
	}
	defer js.DeleteStream(ctx, cfg.Name) //nolint:errcheck // the data goes with the run
	began := time.Now()
	for i := range n {
		msg := &nats.Msg{Subject: fmt.Sprintf("bench.publish.%d", i), Data: sample.Data, Header: nats.Header{}}
		for k, v := range sample.Header {
			if !strings.HasPrefix(k, "Nats-") {
				msg.Header[k] = v
			}
		}
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(5*time.Second)); err != nil {
			return 0, err
		}
	}
	<-js.PublishAsyncComplete()
	return float64(n) / time.Since(began).Seconds(), nil
}

// upsertFloor is how many rows like the product's Postgres takes a second, by unnest, 2,000 at a
// time, into a table with nothing but a primary key.
func upsertFloor(ctx context.Context, db *pgx.Conn, doc string, n int) (float64, error) {
	if _, err := db.Exec(ctx, `create table bench_upsert (record_id text primary key, seq bigint, doc json)`); err != nil {
		return 0, err
	}
	defer db.Exec(ctx, `drop table bench_upsert`) //nolint:errcheck // the database goes with the run
	const batch = 2000
	began := time.Now()
	for at := 0; at < n; at += batch {
		ids, seqs, docs := make([]string, batch), make([]int64, batch), make([]string, batch)
		for i := range batch {
			ids[i], seqs[i], docs[i] = fmt.Sprintf("rec%014d", at+i), int64(at+i), doc
		}
		_, err := db.Exec(ctx, `insert into bench_upsert (record_id, seq, doc) select unnest($1::text[]), unnest($2::bigint[]), unnest($3::json[])
			on conflict (record_id) do update set seq = excluded.seq, doc = excluded.doc where bench_upsert.seq < excluded.seq`, ids, seqs, docs)
		if err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
