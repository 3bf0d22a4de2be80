package natsauth_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natsauth"
	"github.com/resonance/resonance/pkg/natstest"
)

const patience = 30 * time.Second

// world is a server with the accounts, and a connection of each user.
type world struct {
	*testing.T
	ns   *natstest.Server
	dir  string
	conn map[string]*nats.Conn

	mu      sync.Mutex
	refused map[string]map[string]bool // by user: "Publish to x"
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), conn: map[string]*nats.Conn{}, refused: map[string]map[string]bool{}}
	accounts, err := natsauth.MakeKeys(w.dir, "billing")
	if err != nil {
		t.Fatal(err)
	}
	w.ns = natstest.Start(t, func(o *server.Options) {
		o.CustomClientAuthentication = nil
		if err := o.ProcessConfigString(accounts); err != nil {
			t.Fatal(err)
		}
	})
	for _, user := range append(natsauth.Services(), natsauth.Operator, natsauth.Consumer, "billing") {
		w.conn[user] = w.connect(user)
	}
	return w
}

func (w *world) connect(user string) *nats.Conn {
	w.Helper()
	nkey, err := nats.NkeyOptionFromSeed(filepath.Join(w.dir, user, natsauth.SeedFile))
	if err != nil {
		w.Fatal(err)
	}
	w.refused[user] = map[string]bool{}
	prefix := bus.InboxPrefix(user)
	nc, err := nats.Connect(w.ns.URL(), nkey, nats.CustomInboxPrefix(prefix), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		// nats: Permissions Violation for Publish to "x"
		if _, what, ok := strings.Cut(err.Error(), "Permissions Violation for "); ok {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.refused[user][strings.ToLower(strings.ReplaceAll(what, `"`, ""))] = true
		}
	}))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(nc.Close)
	return nc
}

func (w *world) js(user string) jetstream.JetStream {
	w.Helper()
	js, err := bus.JetStream(w.conn[user])
	if err != nil {
		w.Fatal(err)
	}
	return js
}

func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	w.Cleanup(cancel)
	return ctx
}

// may tries all subjects at once, and returns those that the user may publish to, and subscribe to. Requests have no
// reply, and streams and consumers names that do not exist, so that those that are let through do nothing.
func (w *world) may(user string, subjects []string) (publish, subscribe []string) {
	w.Helper()
	nc := w.conn[user]
	for _, s := range subjects {
		if !strings.ContainsAny(s, "*>") {
			if err := nc.Publish(s, []byte("!")); err != nil {
				w.Fatal(err)
			}
		}
		sub, err := nc.Subscribe(s, func(*nats.Msg) {})
		if err != nil {
			w.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	if err := nc.FlushTimeout(patience); err != nil {
		w.Fatal(err)
	}
	// Errors are handled one after the other: the last one is that of a subject that nobody may use.
	over := "nobody." + user
	if user == natsauth.Operator {
		return nil, nil
	}
	if err := errors.Join(nc.Publish(over, nil), nc.FlushTimeout(patience)); err != nil {
		w.Fatal(err)
	}
	w.eventually("the refusals of "+user, func() bool { return w.isRefused(user, "publish to "+over) })
	for _, s := range subjects {
		if !strings.ContainsAny(s, "*>") && !w.isRefused(user, "publish to "+s) {
			publish = append(publish, s)
		}
		if !w.isRefused(user, "subscription to "+s) {
			subscribe = append(subscribe, s)
		}
	}
	return publish, subscribe
}

func (w *world) isRefused(user, what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused[user][strings.ToLower(what)]
}

func (w *world) eventually(what string, so func() bool) {
	w.Helper()
	for over := time.Now().Add(patience); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(over) {
			w.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// line is what a user may do, in the words of this test. Anything else is refused.
type line struct {
	serves    string   // services whose requests it receives
	asks      []string // services whose requests it makes
	publishes []string // events
	hears     []string // events and announcements
	streams   map[string]string
	buckets   []string
}

// Uses of streams, in the words of this test.
const (
	read    = "STREAM.INFO STREAM.MSG.GET DIRECT.GET CONSUMER.CREATE CONSUMER.INFO CONSUMER.MSG.NEXT CONSUMER.DELETE"
	place   = " CONSUMER.RESET ACK"
	create  = " STREAM.CREATE STREAM.UPDATE"
	letters = "STREAM.INFO STREAM.MSG.GET DIRECT.GET STREAM.CREATE STREAM.UPDATE"
)

var matrix = map[string]line{
	"airtable-sync": {
		serves: "airtable-sync", publishes: []string{"order.changed.recX", "order.edited.recX", "dead.x.y"},
		streams: map[string]string{"ORDERS": read + create + " STREAM.DELETE", "EDITS": read + place + create, "DEAD_LETTERS": letters},
		buckets: []string{"sync-state", "columns"},
	},
	"orders": {
		serves: "orders", asks: []string{"airtable-sync.status"}, publishes: []string{"order.edit.recX", "order.edited.recX", "dead.x.y", "orders.projected"},
		hears:   []string{"orders.projected"},
		streams: map[string]string{"ORDERS": read + place + create, "EDITS": read + create, "DEAD_LETTERS": letters},
	},
	"odoo-bridge": {
		serves: "odoo", publishes: []string{"odoo.changed.sales.1", "odoo-bridge.x.seen"}, hears: []string{"odoo-bridge.x.seen"},
		streams: map[string]string{"ODOO": read + create}, buckets: []string{"odoo-cache", "odoo-journal", "odoo-writes", "sync-state"},
	},
	"gateway": {
		asks: []string{"orders", "airtable-sync", "odoo"}, hears: []string{"orders.projected"},
		streams: map[string]string{"ORDERS": read, "ODOO": read}, buckets: []string{"sessions", "columns"},
	},
	natsauth.Consumer: {hears: []string{"order.changed.recX", "order.edited.recX", "odoo.changed.sales.1"}},
}

// endpoints reads the contracts: the value of each constant Subject… of the packages of rpc, by service.
func endpoints(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	files, err := filepath.Glob("../rpc/*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if !strings.HasPrefix(name.Name, "Subject") || len(spec.Values) <= i {
					continue
				}
				value, ok := spec.Values[i].(*ast.BasicLit)
				if !ok {
					t.Errorf("%s: %s is no literal", file, name.Name)
					continue
				}
				subject, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				service, _, _ := strings.Cut(subject, ".")
				all[service] = append(all[service], subject)
			}
			return true
		})
	}
	for _, verb := range []string{"list", "get", "create", "update", "archive", "fields", "image"} {
		all["odoo"] = append(all["odoo"], "odoo.products."+verb)
	}
	all["odoo"] = append(all["odoo"], "odoo.sales.list", "odoo.sales.confirm", "odoo.sales.cancel", "odoo.sales.summary",
		"odoo.suppliers.create", "odoo.users.list", "odoo.session.login.XKEY")
	all["orders"] = slices.DeleteFunc(all["orders"], func(s string) bool { return s == "orders.projected" }) // an announcement
	return all
}

// Every user against every subject: requests of every service, events, replies, every verb of JetStream's API on every
// stream and bucket. What is not in the matrix is refused, and what is in it is not.
func TestMatrix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	requests := endpoints(t)
	var events, verbs, names []string
	events = append(events, "order.changed.recX", "order.edited.recX", "order.edit.recX", "odoo.changed.sales.1", "dead.x.y", "orders.projected", "odoo-bridge.x.seen")
	for _, s := range bus.Streams {
		names = append(names, s.Name)
	}
	for _, b := range bus.Buckets {
		names = append(names, "KV_"+b.Bucket)
	}
	verbs = strings.Fields("STREAM.INFO STREAM.CREATE STREAM.UPDATE STREAM.DELETE STREAM.PURGE STREAM.SNAPSHOT STREAM.RESTORE STREAM.MSG.GET STREAM.MSG.DELETE " +
		"STREAM.PEER.REMOVE STREAM.LEADER.STEPDOWN DIRECT.GET CONSUMER.CREATE CONSUMER.DURABLE.CREATE CONSUMER.INFO CONSUMER.MSG.NEXT CONSUMER.DELETE " +
		"CONSUMER.RESET CONSUMER.PAUSE CONSUMER.UNPIN CONSUMER.LEADER.STEPDOWN CONSUMER.LIST CONSUMER.NAMES ACK")
	apiSubject := func(verb, stream string) string {
		switch {
		case verb == "ACK":
			return "$JS.ACK." + stream + ".c.1.1.1.1.0"
		case strings.HasPrefix(verb, "CONSUMER") && !strings.HasSuffix(verb, "LIST") && !strings.HasSuffix(verb, "NAMES"):
			return "$JS.API." + verb + "." + stream + ".none"
		}
		return "$JS.API." + verb + "." + stream
	}
	var subjects []string
	for _, all := range requests {
		subjects = append(subjects, all...)
	}
	subjects = append(subjects, events...)
	for _, stream := range names {
		for _, verb := range verbs {
			subjects = append(subjects, apiSubject(verb, stream))
		}
		if bucket, ok := strings.CutPrefix(stream, "KV_"); ok {
			subjects = append(subjects, "$KV."+bucket+".key")
		}
	}
	subjects = append(subjects, ">", "_INBOX.>", "order.>", "$JS.>", "$SYS.>", "$SYS.REQ.SERVER.PING", "$KV.>", "$JSC.>", "mirror.>", "mirror.ORDERS.M.x",
		"SERVICES.API.CONSUMER.CREATE.ORDERS", "CONSUMERS.API.STREAM.CREATE.ORDERS", "CONSUMERS.API.STREAM.CREATE.X", "$JS.API.STREAM.CREATE.X")
	for user := range matrix {
		subjects = append(subjects, bus.InboxPrefix(user)+".x")
	}
	for user, l := range matrix {
		var publish, subscribe []string
		for service, all := range requests {
			if l.serves == service {
				subscribe = append(subscribe, all...)
			}
			for _, s := range all {
				if slices.Contains(l.asks, service) || slices.Contains(l.asks, s) {
					publish = append(publish, s)
				}
			}
		}
		publish = append(publish, l.publishes...)
		subscribe = append(subscribe, l.hears...)
		subscribe = append(subscribe, bus.InboxPrefix(user)+".x")
		for stream, uses := range l.streams {
			for verb := range strings.FieldsSeq(uses) {
				publish = append(publish, apiSubject(verb, stream))
			}
		}
		for _, bucket := range l.buckets {
			for verb := range strings.FieldsSeq(read + create) {
				publish = append(publish, apiSubject(verb, "KV_"+bucket))
			}
			publish = append(publish, "$KV."+bucket+".key")
		}
		switch user {
		case "airtable-sync":
			publish = append(publish, "CONSUMERS.API.STREAM.CREATE.ORDERS")
		case natsauth.Consumer: // in an account of its own
			subscribe = append(subscribe, "_INBOX.>")
			for service := range matrix {
				subscribe = append(subscribe, bus.InboxPrefix(service)+".x")
			}
			for _, stream := range []string{"ORDERS", "ODOO"} {
				for _, verb := range verbs {
					if strings.HasPrefix(verb, "CONSUMER") && verb != "CONSUMER.LEADER.STEPDOWN" || slices.Contains([]string{"STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET", "ACK"}, verb) {
						publish = append(publish, apiSubject(verb, stream))
					}
				}
			}
		}
		gotPublish, gotSubscribe := w.may(user, subjects)
		compare(t, user+" publishes", gotPublish, publish)
		compare(t, user+" subscribes to", gotSubscribe, subscribe)
	}
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	has, wants := map[string]bool{}, map[string]bool{}
	for _, s := range got {
		has[s] = true
	}
	for _, s := range want {
		wants[s] = true
	}
	for _, s := range slices.Sorted(maps.Keys(has)) {
		if !wants[s] {
			t.Errorf("%s %s, which is not in the matrix", what, s)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(wants)) {
		if !has[s] {
			t.Errorf("%s not %s, which is in the matrix", what, s)
		}
	}
}

var quiet = slog.New(slog.DiscardHandler)

// mirrored creates the streams, with an event each, and waits for their mirrors.
func (w *world) mirrored() (orders, odoo *nats.Msg) {
	w.Helper()
	orders, odoo = nats.NewMsg(event.OrderChangedSubject("recA1b2C3d4E5f6G7")), nats.NewMsg(event.OdooChangedSubject("sales", 151))
	for user, of := range map[string]struct {
		stream string
		msg    *nats.Msg
	}{"airtable-sync": {bus.StreamOrders, orders}, "odoo-bridge": {bus.StreamOdoo, odoo}} {
		js := w.js(user)
		if err := bus.Ensure(w.context(), js, 1, of.stream); err != nil {
			w.Fatal(err)
		}
		of.msg.Header.Set(nats.MsgIdHdr, "1")
		of.msg.Data = []byte(`{"id":151}`)
		if _, err := bus.Publish(w.context(), js, of.msg); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(bus.KeepMirror(w.Context(), quiet, js, 1, of.stream))
		w.eventually("the mirror of "+of.stream, func() bool {
			stream, err := w.js(natsauth.Consumer).Stream(w.context(), of.stream)
			return err == nil && stream.CachedInfo().State.Msgs == 1
		})
	}
	return orders, odoo
}

// Consumers read the mirrors by any consumer of theirs, and hear what is published live.
func TestConsumersRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, _ := w.mirrored()
	live, err := w.conn[natsauth.Consumer].SubscribeSync(event.OrdersChanged)
	if err != nil {
		t.Fatal(err)
	}
	js := w.js(natsauth.Consumer)
	durable, err := js.CreateOrUpdateConsumer(w.context(), bus.StreamOrders, jetstream.ConsumerConfig{Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	got, err := durable.Next(jetstream.FetchMaxWait(patience))
	if err != nil || got.Subject() != first.Subject || got.Headers().Get(nats.MsgIdHdr) != "1" {
		t.Fatalf("%v %v", got, err)
	}
	if err := got.DoubleAck(w.context()); err != nil {
		t.Fatal(err)
	}
	second := nats.NewMsg(event.OrderChangedSubject("recB2c3D4e5F6g7H8"))
	second.Header.Set(nats.MsgIdHdr, "2")
	if _, err := bus.Publish(w.context(), w.js("airtable-sync"), second); err != nil {
		t.Fatal(err)
	}
	if msg, err := live.NextMsg(patience); err != nil || msg.Subject != second.Subject {
		t.Errorf("live: %v %v", msg, err)
	}
	ordered, err := js.OrderedConsumer(w.context(), bus.StreamOrders, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubjects: []string{event.OrdersChanged}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{first.Subject, second.Subject} {
		if got, err := ordered.Next(jetstream.FetchMaxWait(patience)); err != nil || got.Subject() != want {
			t.Errorf("ordered: %v %v", got, err)
		}
	}
	pushed, err := w.conn[natsauth.Consumer].SubscribeSync("deliver.billing")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreatePushConsumer(w.context(), bus.StreamOrders, jetstream.ConsumerConfig{DeliverSubject: "deliver.billing", FlowControl: true, IdleHeartbeat: time.Second}); err != nil {
		t.Fatal(err)
	}
	if msg, err := pushed.NextMsg(patience); err != nil || msg.Subject != first.Subject {
		t.Errorf("pushed: %v %v", msg, err)
	}
}

// The server delivers with its own rights, on any subject that a consumer's creator names: none of them is a service's.
func TestNothingConsumersDoReachesTheServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mirrored()
	heard, err := w.conn[natsauth.Operator].SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 64)
	for user, subjects := range map[string][]string{"odoo-bridge": {"odoo.sales.confirm", "odoo.products.archive"}, "airtable-sync": {"airtable-sync.run"}, "orders": {"orders.edit"}} {
		for _, s := range subjects {
			if _, err := w.conn[user].QueueSubscribe(s, strings.SplitN(s, ".", 2)[0], func(m *nats.Msg) { asked <- m.Subject }); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.conn[user].FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	js := w.js(natsauth.Consumer)
	request := "CONSUMER.CREATE." + bus.StreamOrders
	attacks := []string{
		"odoo.sales.confirm", "odoo.products.archive", "airtable-sync.run", "orders.edit", "order.edit.recX", "dead.x.y",
		"$KV.sessions.x", "$JS.API.STREAM.DELETE.EDITS", "$JS.API." + request, bus.ServicesAPI + "." + request, "CONSUMERS.API.STREAM.DELETE.ORDERS",
		"_INBOX.gateway.x", "order.changed.recX", "odoo.changed.sales.9",
	}
	for i, subject := range attacks {
		for _, stream := range []string{bus.StreamOrders, bus.StreamOdoo} {
			_, err := js.CreatePushConsumer(w.context(), stream, jetstream.ConsumerConfig{Name: fmt.Sprint("attack", i), DeliverSubject: subject, DeliverGroup: strings.SplitN(subject, ".", 2)[0]})
			if err != nil && !strings.Contains(err.Error(), "deliver subject") {
				t.Errorf("%s: %v", subject, err)
			}
		}
	}
	// A consumer that the services' own requests come after.
	last, err := w.conn[natsauth.Consumer].SubscribeSync("deliver.last")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreatePushConsumer(w.context(), bus.StreamOdoo, jetstream.ConsumerConfig{DeliverSubject: "deliver.last"}); err != nil {
		t.Fatal(err)
	}
	if _, err := last.NextMsg(patience); err != nil {
		t.Fatal(err)
	}
	if err := w.conn[natsauth.Consumer].PublishRequest("$JS.API.STREAM.CREATE.STOLEN", "_INBOX.consumer.stolen", []byte(
		`{"name":"STOLEN","mirror":{"name":"EDITS","external":{"api":"SERVICES.API","deliver":"mirror.EDITS"}}}`)); err != nil {
		t.Fatal(err)
	}
	w.eventually("the refusal of a stream", func() bool { return w.isRefused(natsauth.Consumer, "publish to $JS.API.STREAM.CREATE.STOLEN") })
	for _, user := range natsauth.Services() {
		if err := w.conn[user].FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("a service received %q", <-asked)
	}
	for {
		msg, err := heard.NextMsg(10 * time.Millisecond)
		if err != nil {
			break
		}
		if strings.HasPrefix(msg.Subject, "$JS.EVENT.") || strings.HasPrefix(msg.Subject, "$SYS.") || strings.HasPrefix(msg.Subject, "mirror.") ||
			strings.HasPrefix(msg.Subject, "$JS.API.STREAM.") || strings.HasPrefix(msg.Subject, "_INBOX.") || strings.HasPrefix(msg.Subject, "CONSUMERS.API.") ||
			strings.HasPrefix(msg.Subject, "$JS.FC.") || strings.HasPrefix(msg.Subject, "$JSC.R.") || strings.HasPrefix(msg.Subject, "_R_.") {
			continue // of the services and the server
		}
		if msg.Subject != "$JS.API."+request { // by which mirrors are filled: an event is no such request
			t.Errorf("the services' account received %s %s", msg.Subject, msg.Data)
		}
	}
	stream, err := w.js(natsauth.Operator).Stream(w.context(), bus.StreamOrders)
	if err != nil {
		t.Fatal(err)
	}
	consumers := stream.ListConsumers(w.context())
	for c := range consumers.Info() {
		t.Errorf("a consumer in the services' account: %+v", c.Config)
	}
}

// A service's durable cannot be paused, refiltered or deleted by other programs.
func TestConsumersCannotStarveTheServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mirrored()
	before, err := w.js("orders").CreateOrUpdateConsumer(w.context(), bus.StreamOrders, jetstream.ConsumerConfig{Durable: "orders-projection", AckPolicy: jetstream.AckAllPolicy})
	if err != nil {
		t.Fatal(err)
	}
	js := w.js(natsauth.Consumer)
	if _, err := js.PauseConsumer(w.context(), bus.StreamOrders, "orders-projection", time.Now().Add(time.Hour)); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("pause: %v", err)
	}
	if err := js.DeleteConsumer(w.context(), bus.StreamOrders, "orders-projection"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("delete: %v", err)
	}
	if _, err := js.CreateOrUpdateConsumer(w.context(), bus.StreamOrders, jetstream.ConsumerConfig{Durable: "orders-projection", FilterSubject: "order.changed.none", AckPolicy: jetstream.AckAllPolicy}); err != nil {
		t.Errorf("a consumer of the same name in their own account: %v", err)
	}
	info, err := before.Info(w.context())
	if err != nil || info.Paused || info.Config.FilterSubject != "" {
		t.Errorf("%+v %v", info, err)
	}
}

// A mirror follows a stream that was replaced, and one that lost its end.
func TestMirrorFollowsItsStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mirrored()
	js := w.js("airtable-sync")
	if err := js.DeleteStream(w.context(), bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	if err := bus.Ensure(w.context(), js, 1, bus.StreamOrders); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		msg := nats.NewMsg(event.OrderChangedSubject("recA1b2C3d4E5f6G7"))
		msg.Header.Set(nats.MsgIdHdr, fmt.Sprint("new", i))
		if _, err := bus.Publish(w.context(), js, msg); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("the new messages", func() bool {
		stream, err := w.js(natsauth.Consumer).Stream(w.context(), bus.StreamOrders)
		if err != nil || stream.CachedInfo().State.Msgs != 3 {
			return false
		}
		msg, err := stream.GetMsg(w.context(), 1)
		return err == nil && msg.Header.Get(nats.MsgIdHdr) == "new0"
	})
}

// The permissions have no other service's replies in them, nor all of a kind.
func TestInboxesArePrivate(t *testing.T) {
	t.Parallel()
	for _, name := range natsauth.Services() {
		p, _ := natsauth.Of(name)
		for _, s := range append(p.Subscribe, p.Publish...) {
			if strings.HasPrefix(s, "_INBOX.") && s != bus.InboxPrefix(name)+".>" || s == ">" || strings.HasPrefix(s, "*") {
				t.Errorf("%s may use %s", name, s)
			}
		}
	}
}
