package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/pgtest"
	"github.com/resonance/resonance/pkg/porttest"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

const password = "chaos-chaos-chaos"

func TestMain(m *testing.M) { pgtest.Main(m) }

// setting reads a whole number from the environment.
func setting(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// mode is what a run kills, and what it runs on.
type mode struct {
	name     string
	nodes    int                 // NATS servers
	interval string              // minutes between runs of airtable-sync
	victims  func(*process) bool // that are killed at random
	leaders  bool                // kills the server that leads a stream
	setBack  bool                // puts ORDERS back to what it was at an earlier kill
}

func isNATS(p *process) bool { return strings.HasPrefix(p.name, "nats-") }

var modes = []mode{
	{name: "everything", nodes: 1, interval: "0.02", victims: func(*process) bool { return true }},
	{name: "NATS alone", nodes: 1, interval: "5", victims: isNATS},
	{name: "leaders of three", nodes: 3, interval: "5", leaders: true},
	{name: "set back", nodes: 1, interval: "5", victims: isNATS, setBack: true},
}

// Nothing is lost, whatever is killed. CHAOS_SECONDS is how long the load of each mode lasts (without it, the
// first alone runs for some seconds), CHAOS_MODE chooses one, CHAOS_SEED makes the choices the same again
// (what they meet is not).
func TestNothingIsLost(t *testing.T) {
	seconds := setting(t, "CHAOS_SECONDS", 10)
	seed := setting(t, "CHAOS_SEED", time.Now().UnixNano()%1_000_000)
	t.Logf("CHAOS_SEED=%d CHAOS_SECONDS=%d", seed, seconds)
	bin := build(t)
	for i, m := range modes {
		if chosen := os.Getenv("CHAOS_MODE"); chosen != "" && chosen != m.name || chosen == "" && i > 0 && os.Getenv("CHAOS_SECONDS") == "" {
			continue
		}
		t.Run(m.name, func(t *testing.T) { nothingIsLost(t, bin, m, seconds, seed) })
	}
}

func nothingIsLost(t *testing.T, bin string, m mode, seconds, seed int64) {
	t.Helper()
	random := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), stream)) }
	w := newWorld(t, bin, m, uint64(seed))
	eventually(t, 2*time.Minute, w.synced)
	eventually(t, time.Minute, w.equal)
	t.Logf("all is up, and %d orders are there", w.airtable.Len())
	w.misbehave()

	load, stop := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer stop()
	var work errgroup.Group
	editors := make([]*editor, 4)
	ids := w.airtable.RecordIDs()
	for i := range editors {
		share := len(ids) / len(editors)
		editors[i] = &editor{
			client: w.client, name: fmt.Sprint("editor-", seed, "-", i), records: ids[i*share : (i+1)*share],
			rand: random(uint64(i)), pause: 30 * time.Millisecond,
		}
		work.Go(func() error { return editors[i].work(load) })
	}
	changes := 0
	work.Go(func() (err error) {
		changes, err = changer(load, w.airtable, random(100), 25*time.Millisecond)
		return err
	})
	kills := w.killAtRandom(load, random(200))
	w.airtable.Heal() // and everything is up again
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	if seconds >= 60 && kills < 40 && !m.leaders || m.setBack && seconds >= 60 && w.setBacks < 5 {
		t.Errorf("only %d kills, %d times set back", kills, w.setBacks)
	}

	// One full scan is enough for what is in Airtable to be in every read.
	eventually(t, 3*time.Minute, w.noEdits)
	eventually(t, 3*time.Minute, w.synced)
	eventually(t, time.Minute, w.equal)
	states := map[event.EditState]int{}
	total, refused, repeated := 0, 0, 0
	for _, e := range editors {
		w.settled(e.accepted, states)
		w.onceEach(e.accepted)
		total, refused, repeated = total+len(e.accepted), refused+e.refused, repeated+e.repeated
	}
	t.Logf("%d kills, %d times set back; %d edits accepted (%v), %d refused, %d requests repeated; %d changes in Airtable; %d writes to it; %d orders",
		kills, w.setBacks, total, states, refused, repeated, changes, len(w.airtable.Writes(0)), w.airtable.Len())
	if total == 0 || states[event.Applied] == 0 || changes == 0 {
		t.Error("there was no load")
	}
}

// world is the product as separate processes, with a real Postgres and a sandbox of Airtable that
// are not killed.
type world struct {
	t        *testing.T
	mode     mode
	airtable *airtabletest.Server
	endpoint string
	client   *client
	nats     string // URLs
	servers  []*natsServer
	all      []*process
	earlier  string // a copy of the store of ORDERS, once there is one
	setBacks int
}

// natsServer is a process, and where it keeps its streams.
type natsServer struct {
	*process
	store string
}

func newWorld(t *testing.T, bin string, m mode, seed uint64) *world {
	t.Helper()
	dir := t.TempDir()
	sandbox, endpoint := airtabletest.Start(t, airtabletest.Config{Orders: 250, RatePerSecond: -1, Seed: seed})
	httpAddr := porttest.Addr(t)
	w := &world{t: t, mode: m, airtable: sandbox, endpoint: endpoint, client: &client{base: "http://" + httpAddr}}
	w.startNATS(bin, dir)
	common := []string{"NATS_URL=" + w.nats, fmt.Sprint("NATS_REPLICAS=", m.nodes), "DEBUG=true"}
	orders := append(slices.Clone(common), "DATABASE_URL="+pgtest.New(t))
	cfg := sandbox.Config()
	syncer := append(slices.Clone(common),
		"AIRTABLE_ENDPOINT_URL="+endpoint, "AIRTABLE_API_KEY="+cfg.APIKey, "AIRTABLE_BASE_ID="+cfg.BaseID, "AIRTABLE_TABLE_ID="+cfg.TableID,
		"AIRTABLE_RATE_LIMIT=0", "SYNC_INTERVAL_MINUTES="+m.interval)
	gateway := append(slices.Clone(common), "HTTP_ADDR="+httpAddr, "DATA_DIR="+filepath.Join(dir, "gateway"),
		"JWT_SECRET=0123456789abcdef0123456789abcdef", "ADMIN_PASSWORD="+password)
	for _, v := range []struct {
		name, binary string
		env          []string
	}{
		{"orders-1", "orders", orders},
		{"orders-2", "orders", orders},
		{"airtable-sync-1", "airtable-sync", syncer},
		{"airtable-sync-2", "airtable-sync", syncer},
		{"gateway", "gateway", gateway},
	} {
		p := newProcess(t, dir, v.name, filepath.Join(bin, v.binary), v.env)
		p.start()
		w.all = append(w.all, p)
	}
	return w
}

// startNATS starts one server, or a cluster.
func (w *world) startNATS(bin, dir string) {
	w.t.Helper()
	clients, routes := make([]string, w.mode.nodes), make([]string, w.mode.nodes)
	for i := range w.mode.nodes {
		clients[i], routes[i] = porttest.Addr(w.t), porttest.Addr(w.t)
	}
	w.nats = "nats://" + strings.Join(clients, ",nats://")
	for i := range w.mode.nodes {
		name, store := fmt.Sprint("nats-", i+1), filepath.Join(dir, fmt.Sprint("nats-", i+1))
		text := fmt.Sprintf("server_name: %s\nlisten: %q\nmax_payload: 8MB\njetstream { store_dir: %q, sync_interval: always }\n", name, clients[i], store)
		if w.mode.nodes > 1 {
			text += fmt.Sprintf("cluster { name: chaos, listen: %q, routes: [ nats://%s ] }\n", routes[i], strings.Join(routes, ", nats://"))
		}
		conf := store + ".conf"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
		p := newProcess(w.t, dir, name, filepath.Join(bin, "nats-server"), nil, "-c", conf)
		p.start()
		w.all = append(w.all, p)
		w.servers = append(w.servers, &natsServer{p, store})
	}
}

// misbehave makes the sandbox as bad as Airtable can be, for a share of the requests.
func (w *world) misbehave() {
	for _, f := range []airtabletest.Fault{
		{Do: airtabletest.RateLimited, Probability: 0.02, RetryAfter: time.Second},
		{Do: airtabletest.Unavailable, Probability: 0.04},
		{Do: airtabletest.Unavailable, Probability: 0.02, RetryAfter: time.Second},
		{Do: airtabletest.BadGateway, Probability: 0.02},
		{Do: airtabletest.Drop, Probability: 0.02},
		{Do: airtabletest.CutConnection, Probability: 0.03},
		{Do: airtabletest.TruncatedJSON, Probability: 0.02},
		{On: airtabletest.Write, Do: airtabletest.Drop, Applied: true, Probability: 0.08},
		{On: airtabletest.Write, Do: airtabletest.Unavailable, Applied: true, Probability: 0.04},
		{On: airtabletest.List, Do: airtabletest.ExpiredIterator, Probability: 0.05},
	} {
		f.Times = -1
		w.airtable.Fail(f)
	}
}

// killAtRandom kills one process after another until ctx ends, and starts each again.
func (w *world) killAtRandom(ctx context.Context, r *rand.Rand) (kills int) {
	for {
		pause := time.Duration(200+r.IntN(1300)) * time.Millisecond
		if w.mode.leaders {
			pause *= 4 // so that there is a leader again, now and then
		}
		if !pauseFor(ctx, pause) {
			return kills
		}
		p := w.victim(ctx, r)
		if p.kill() {
			kills++
		}
		if w.mode.setBack {
			w.setBack(r)
		}
		pauseFor(ctx, time.Duration(r.IntN(400))*time.Millisecond)
		p.start()
	}
}

// victim is who is killed next.
func (w *world) victim(ctx context.Context, r *rand.Rand) *process {
	w.t.Helper()
	if w.mode.leaders {
		name := w.leader(ctx, []string{bus.StreamOrders, bus.StreamEdits}[r.IntN(2)])
		for _, s := range w.servers {
			if s.name == name {
				return s.process
			}
		}
		return w.servers[r.IntN(len(w.servers))].process // there is no leader now
	}
	victims := slices.DeleteFunc(slices.Clone(w.all), func(p *process) bool { return !w.mode.victims(p) })
	return victims[r.IntN(len(victims))]
}

// leader is the name of the server that leads a stream, if one can be asked.
func (w *world) leader(ctx context.Context, stream string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		return ""
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return ""
	}
	s, err := js.Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return ""
	}
	return s.CachedInfo().Cluster.Leader
}

// setBack puts ORDERS back, every now and then, to what it was when its server was killed before: it loses
// a random tail. EDITS is synced before each PubAck, and loses nothing.
func (w *world) setBack(r *rand.Rand) {
	w.t.Helper()
	store := filepath.Join(w.servers[0].store, "jetstream", "$G", "streams", bus.StreamOrders)
	if w.earlier != "" && r.IntN(2) == 0 {
		if err := errors.Join(os.RemoveAll(store), os.CopyFS(store, os.DirFS(w.earlier))); err != nil {
			w.t.Fatal(err)
		}
		w.setBacks++
		return
	}
	w.earlier = filepath.Join(w.t.TempDir(), bus.StreamOrders)
	if err := os.CopyFS(w.earlier, os.DirFS(store)); err != nil {
		w.t.Fatal(err)
	}
}

// synced makes one full scan.
func (w *world) synced() error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	if err := w.client.login(ctx); err != nil {
		return err
	}
	status, body, err := w.client.do(ctx, http.MethodPost, "/api/orders/sync", "", "", nil)
	if err != nil || status != http.StatusOK || !bytes.Contains(body, []byte(`"state":"succeeded"`)) {
		return fmt.Errorf("sync: %d %s %w", status, body, err)
	}
	return nil
}

// equal says what differs between Airtable and the answers over HTTP.
func (w *world) equal() error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	want := map[string]airtabletest.Record{}
	for _, r := range w.airtable.Records() {
		want[r.ID] = r
	}
	got := map[string]order{}
	for page := 1; ; page++ {
		status, body, err := w.client.do(ctx, http.MethodGet, fmt.Sprintf("/api/orders?page=%d&page_size=100", page), "", "", nil)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("list: %d %s %w", status, body, err)
		}
		var list struct {
			Data  []order `json:"data"`
			Total int     `json:"total"`
			Pages int     `json:"pages"`
		}
		if err := json.Unmarshal(body, &list); err != nil {
			return err
		}
		for _, o := range list.Data {
			got[o.RecordID] = o
		}
		if page >= list.Pages {
			if list.Total != len(want) || len(got) != len(want) {
				return fmt.Errorf("%d orders of a total of %d, but %d in Airtable", len(got), list.Total, len(want))
			}
			break
		}
	}
	for id, r := range want {
		o, there := got[id]
		if !there {
			return fmt.Errorf("%s is not there", id)
		}
		if err := o.equals(r); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// noEdits says which edits are on their way.
func (w *world) noEdits() error {
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, bus.StreamEdits)
	if err != nil {
		return err
	}
	if n := stream.CachedInfo().State.Msgs; n > 0 {
		return fmt.Errorf("%d edits are on their way", n)
	}
	if dead, err := js.Stream(ctx, bus.StreamDeadLetters); err != nil || dead.CachedInfo().State.Msgs > 0 {
		return errors.Join(err, errors.New("there are dead letters"))
	}
	return nil
}

// order is what an order must have in common with its record.
type order struct {
	RecordID  string         `json:"record_id"`
	Name      any            `json:"name"`
	Customer  any            `json:"customer"`
	Status    any            `json:"status"`
	Priority  any            `json:"priority"`
	Amount    any            `json:"amount"`
	OrderDate any            `json:"order_date"`
	Fields    map[string]any `json:"fields"`
	Edit      struct {
		ID    string          `json:"id"`
		State event.EditState `json:"state"`
	} `json:"edit"`
}

func (o order) equals(r airtabletest.Record) error {
	if o.Edit.State == event.Pending {
		return fmt.Errorf("edit %s is pending", o.Edit.ID)
	}
	for field, column := range map[string]any{
		"Order": o.Name, "Customer": o.Customer, "Status": o.Status, "Priority": o.Priority, "Amount": o.Amount, "Order date": o.OrderDate,
		"Notes": o.Fields["Notes"],
	} {
		if want := r.Fields[field]; want != column {
			return fmt.Errorf("%s is %v, in Airtable %v", field, column, want)
		}
	}
	return nil
}

// settled counts how edits ended; each that was accepted must have.
func (w *world) settled(all []accepted, states map[event.EditState]int) {
	w.t.Helper()
	nc, err := nats.Connect(w.nats)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	for chunk := range slices.Chunk(all, 500) {
		q := ordersapi.EditsQuery{}
		for _, a := range chunk {
			q.IDs = append(q.IDs, a.id)
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		reply, err := bus.Ask(ctx, nc, ordersapi.SubjectEdits, q)
		cancel()
		if err != nil {
			w.t.Fatal(err)
		}
		var edits []ordersapi.Edit
		if err := json.Unmarshal(reply.Data, &edits); err != nil {
			w.t.Fatal(err)
		}
		known := map[string]ordersapi.Edit{}
		for _, e := range edits {
			known[e.ID] = e
			states[e.State]++
		}
		for _, a := range chunk {
			if e, ok := known[a.id]; !ok || e.State == event.Pending {
				w.t.Errorf("edit %s of %s was accepted and is now %q", a.id, a.recordID, e.State)
			}
		}
	}
}

// onceEach holds what was written to Airtable against what was accepted: of each column of each
// record, the values written are accepted ones, in their order, each at most once in effect.
func (w *world) onceEach(all []accepted) {
	w.t.Helper()
	type cell struct{ record, field string }
	wanted := map[cell][]string{}
	for _, a := range all {
		for column, value := range a.values {
			c := cell{a.recordID, map[string]string{"status": "Status", "priority": "Priority"}[column]}
			wanted[c] = append(wanted[c], value)
		}
	}
	written := map[cell][]string{}
	fieldNames := w.fieldNames()
	for _, request := range w.airtable.Writes(0) {
		for _, r := range request.Records {
			for field, value := range r.Fields {
				c := cell{r.ID, fieldNames[field]}
				if text := fmt.Sprint(value); len(wanted[c]) > 0 {
					if n := len(written[c]); n == 0 || written[c][n-1] != text { // the same again has no effect
						written[c] = append(written[c], text)
					}
				}
			}
		}
	}
	for c, values := range written {
		if _, there := w.airtable.Record(c.record); !there {
			continue // the answer to its last edit may have been that it is gone
		}
		rest := wanted[c]
		for _, v := range values {
			i := slices.Index(rest, v)
			if i < 0 {
				w.t.Errorf("%s of %s: accepted were %v, written were %v", c.field, c.record, wanted[c], values)
				break
			}
			rest = rest[i+1:]
		}
	}
}

// fieldNames gives the names of fields by their ids, as the metadata API has them, and by themselves.
func (w *world) fieldNames() map[string]string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.endpoint+"/v0/meta/bases/"+w.airtable.Config().BaseID+"/tables", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.airtable.Config().APIKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var meta struct {
		Tables []struct {
			Fields []struct{ ID, Name string }
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&meta); err != nil || len(meta.Tables) != 1 {
		w.t.Fatalf("%v: %+v", err, meta)
	}
	names := map[string]string{"Status": "Status", "Priority": "Priority"}
	for _, f := range meta.Tables[0].Fields {
		names[f.ID] = f.Name
	}
	return names
}
