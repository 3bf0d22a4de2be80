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
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
)

// floorSQL is the one statement of the floor: a page of ten, without a total.
const floorSQL = `select doc from orders.orders order by day desc, created_at desc, record_id limit 10`

// serveFloor is the least a page of orders can cost in this architecture: chi, a NATS request, one
// SQL statement, a NATS reply; no login, no validation, no total.
func serveFloor(args []string) error {
	flags := flag.NewFlagSet("floor", flag.ExitOnError)
	natsURL := flags.String("nats", "", "")
	nkey := flags.String("nkey", "", "")
	database := flags.String("db", "", "")
	addr := flags.String("addr", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	nc, err := connectNATS(*natsURL, *nkey)
	if err != nil {
		return err
	}
	defer nc.Close()
	cfg, err := pgxpool.ParseConfig(*database)
	if err != nil {
		return err
	}
	cfg.MaxConns = max(8, int32(4*runtime.GOMAXPROCS(0))) // as many as the product has
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
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
func startFloor(ctx context.Context, natsURL, nkey, database string) (target string, stop func(), err error) {
	addr, err := freeAddr()
	if err != nil {
		return "", nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "floor", "-nats", natsURL, "-nkey", nkey, "-db", database, "-addr", addr)
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
// asynchronously to a stream declared as ORDERS is, with message id and expected sequence.
func publishFloor(ctx context.Context, nc *nats.Conn, sample *nats.Msg, ids []string) (float64, error) {
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
	for _, id := range ids {
		msg := &nats.Msg{Subject: "bench.publish." + id, Data: sample.Data, Header: nats.Header{}}
		for k, v := range sample.Header {
			if !strings.HasPrefix(k, "Nats-") {
				msg.Header[k] = v
			}
		}
		msg.Header.Set(nats.MsgIdHdr, msg.Subject)
		bus.ExpectLast(msg, 0)
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(5*time.Second)); err != nil {
			return 0, err
		}
	}
	<-js.PublishAsyncComplete()
	return float64(len(ids)) / time.Since(began).Seconds(), nil
}

// upsertFloor is how many rows like the product's Postgres takes a second, by unnest, 2,000 at a
// time, into a table with the same columns and nothing but a primary key: no other index, no
// history, no totals, no checkpoint.
func upsertFloor(ctx context.Context, db *pgx.Conn, o *event.Order, ids []string) (float64, error) {
	if _, err := db.Exec(ctx, `create table bench_upsert (record_id text collate "C" primary key, name text, customer text, status text, priority text,
		amount numeric, order_date date, created_at timestamptz, updated_at timestamptz, doc text, seq bigint)`); err != nil {
		return 0, err
	}
	defer db.Exec(ctx, `drop table bench_upsert`) //nolint:errcheck // the database goes with the run
	doc, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	const most = 2000
	began, written := time.Now(), int64(0)
	for batch := range slices.Chunk(ids, most) {
		n := len(batch)
		seqs := make([]int64, n)
		for i := range seqs {
			seqs[i] = written
			written++
		}
		_, err := db.Exec(ctx, `insert into bench_upsert (record_id, name, customer, status, priority, amount, order_date, created_at, updated_at, doc, seq)
			select record_id, name, customer, status, priority, amount, order_date, created_at, updated_at, doc, seq
			from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]::numeric[], $7::text[]::date[],
				$8::timestamptz[], $9::timestamptz[], $10::text[], $11::bigint[])
				as u (record_id, name, customer, status, priority, amount, order_date, created_at, updated_at, doc, seq)
			on conflict (record_id) do update set name = excluded.name, customer = excluded.customer, status = excluded.status,
				priority = excluded.priority, amount = excluded.amount, order_date = excluded.order_date, created_at = excluded.created_at,
				updated_at = excluded.updated_at, doc = excluded.doc, seq = excluded.seq
			where bench_upsert.seq < excluded.seq`,
			batch, many(n, o.Name), many(n, o.Customer), many(n, o.Status), many(n, o.Priority), many(n, (*string)(o.Amount)),
			many(n, o.OrderDate), many(n, o.CreatedAt), many(n, o.UpdatedAt), many(n, string(doc)), seqs)
		if err != nil {
			return 0, err
		}
	}
	return float64(len(ids)) / time.Since(began).Seconds(), nil
}

func many[T any](n int, v T) []T { return slices.Repeat([]T{v}, n) }
