package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
)

// pages serves n orders page by page; a page of more than fits comes in pieces, and the piece after failAt fails.
func pages(n, fits, failAt int) bus.Handler {
	return func(_ context.Context, data []byte) (bus.Reply, error) {
		var q ordersapi.Query
		if err := json.Unmarshal(data, &q); err != nil {
			return bus.Reply{}, err
		}
		from := q.Offset
		if q.After != "" {
			from, _ = strconv.Atoi(q.After)
		}
		if failAt > 0 && from >= failAt {
			return bus.Reply{}, fault.Away("Postgres", nil)
		}
		if q.NoTotal == (q.After == "" && q.Limit <= listquery.MaxPageSize) {
			return bus.Reply{}, errors.New("the first piece of a page counts, and nothing else")
		}
		to := min(from+q.Limit, from+fits, n)
		rows := make([]string, 0, to-from)
		for i := from; i < to; i++ {
			// A member of a later version, which may have the name of a column but for its case.
			rows = append(rows, strings.Replace(orderJSON(fmt.Sprintf("rec%d", i)), "{", `{"Status":5,`, 1))
		}
		reply := bus.Reply{Data: []byte("[" + strings.Join(rows, ",") + "]"), Header: nats.Header{}}
		if to < n {
			reply.Header.Set(ordersapi.HeaderNext, strconv.Itoa(to))
		}
		if rest := min(from+q.Limit, n) - to; rest > 0 {
			reply.Header.Set(ordersapi.HeaderRest, strconv.Itoa(rest))
		}
		if !q.NoTotal {
			reply.Header.Set(rpc.HeaderTotal, strconv.Itoa(n))
		}
		return reply, nil
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var fits atomic.Int64
	fits.Store(2000)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: func(ctx context.Context, data []byte) (bus.Reply, error) {
		return pages(2500, int(fits.Load()), 0)(ctx, data)
	}})
	for _, most := range []int64{2000, 300} { // 300: pages come in pieces
		fits.Store(most)
		resp := r.get("/api/orders/export.csv?status=Pending&sort=-amount").want(http.StatusOK)
		text, ok := strings.CutPrefix(string(resp.body), "\ufeff")
		if !ok || !strings.HasPrefix(text, strings.Join(orderColumns, ",")+"\r\n") {
			t.Fatalf("%.100q", resp.body)
		}
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(records) != 2501 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		for i, record := range records[1:] {
			if record[0] != fmt.Sprintf("rec%d", i) || record[2] != "Núñez" || record[4] != "" || record[5] != "12.50" {
				t.Fatalf("record %d: %q", i, record)
			}
		}
		if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/csv; charset=utf-8") {
			t.Error(kind)
		}
	}
	zipped := r.get("/api/orders/export.csv", header("Accept-Encoding", "gzip")).want(http.StatusOK)
	if zipped.Header.Get("Content-Encoding") != "gzip" || len(zipped.body) > 50_000 {
		t.Errorf("%v, %d bytes", zipped.Header, len(zipped.body))
	}
}

// A part must never be taken for the whole.
func TestExportCutOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: pages(3000, 1000, 2000)})
	for _, encoding := range []string{"identity", "gzip"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/orders/export.csv", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.as("viewer")(req)
		req.Header.Set("Accept-Encoding", encoding)
		resp, err := r.send(http.MethodGet, "/api/orders/export.csv", r.as("viewer"), header("Accept-Encoding", encoding))
		if err == nil {
			t.Fatalf("%s: looks complete with %d bytes", encoding, len(resp.body))
		}
	}
	if log := r.log.String(); !strings.Contains(log, "export cut off") {
		t.Error("the log does not say why")
	}
}

// withLater puts the columns of later versions, empty, into a file that has those of version 1.
func withLater(t *testing.T, file string, separator rune, head func(schema.Column) string) string {
	t.Helper()
	in := csv.NewReader(strings.NewReader(file))
	in.Comma = separator
	rows, err := in.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	out := csv.NewWriter(&b)
	out.Comma, out.UseCRLF = separator, true
	for i, row := range rows {
		for at, c := range slices.DeleteFunc(slices.Clone(schema.Columns), func(c schema.Column) bool { return !c.Export }) {
			if c.Since > 1 && i == 0 {
				row = slices.Insert(row, at, head(c))
			} else if c.Since > 1 {
				row = slices.Insert(row, at, "")
			}
		}
		_ = out.Write(row)
	}
	out.Flush()
	return b.String()
}

// A file for people opens in their spreadsheet; one for programs is the same wherever they run.
func TestExportInSpanish(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: answer(
		`[{"record_id":"rec1","name":"=1;2","customer":"Núñez; e hijos","status":"Pending","priority":"High","amount":-1250.50,"order_date":"2026-11-03","created_at":"c","updated_at":"u"},` +
			`{"record_id":"rec2","name":null,"customer":null,"status":"Devuelto","priority":null,"amount":null,"order_date":null,"created_at":"c","updated_at":"u"}]`)})
	name, title := func(c schema.Column) string { return c.Name }, func(c schema.Column) string { return c.Title.ES }
	var (
		plain = withLater(t, "record_id,name,customer,status,priority,amount,order_date,created_at,updated_at\r\n"+
			"rec1,'=1;2,Núñez; e hijos,Pending,High,-1250.50,2026-11-03,c,u\r\nrec2,,,Devuelto,,,,c,u\r\n", ',', name)
		spanish = withLater(t, "Id. de registro;Pedido;Cliente;Estado;Prioridad;Importe;Fecha;Creado;Modificado\r\n"+
			"rec1;\"'=1;2\";\"Núñez; e hijos\";Pendiente;Alta;-1250,50;2026-11-03;c;u\r\nrec2;;;Devuelto;;;;c;u\r\n", ';', title)
		mexican = withLater(t, "Id. de registro,Pedido,Cliente,Estado,Prioridad,Importe,Fecha,Creado,Modificado\r\n"+
			"rec1,'=1;2,Núñez; e hijos,Pendiente,Alta,-1250.50,2026-11-03,c,u\r\nrec2,,,Devuelto,,,,c,u\r\n", ',', title)
	)
	for _, c := range []struct{ query, accept, want, name string }{
		{"", "", plain, "orders.csv"},
		{"", "en", plain, "orders.csv"},
		{"", "fr", plain, "orders.csv"},
		{"", "en-GB,es;q=0.5", plain, "orders.csv"},
		{"", "es", spanish, "pedidos.csv"},
		{"", "es-ES,es;q=0.9,en;q=0.8", spanish, "pedidos.csv"},
		{"", "es-AR", spanish, "pedidos.csv"},
		{"", "es-MX,es;q=0.9", mexican, "pedidos.csv"},
		{"?lang=es", "en", spanish, "pedidos.csv"},
		{"?lang=en", "es", plain, "orders.csv"},
	} {
		resp := r.get("/api/orders/export.csv"+c.query, header("Accept-Language", c.accept)).want(http.StatusOK)
		if got := string(resp.body); got != "\ufeff"+c.want || resp.Header.Get("Content-Disposition") != `attachment; filename="`+c.name+`"` || resp.Header.Get("Vary") == "" {
			t.Errorf("%q, %q: %v\n%s", c.query, c.accept, resp.Header, got)
		}
	}
	r.get("/api/orders/export.csv?lang=fr").problem(http.StatusBadRequest, "lang")
	r.get("/api/orders?lang=es").problem(http.StatusBadRequest, "lang")
}

func TestExportFailsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serveOrders(map[string]bus.Handler{ordersapi.SubjectList: refuse(fault.Away("Postgres", nil))})
	r.get("/api/orders/export.csv").problem(http.StatusServiceUnavailable)
}
