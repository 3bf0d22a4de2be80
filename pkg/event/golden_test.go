package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/resonance/resonance/pkg/event"
	columns "github.com/resonance/resonance/pkg/event/schema"
)

var update = flag.Bool("update", false, "write the golden messages anew; a change that is not additive needs a new type")

type message struct {
	env    event.Envelope
	change *event.OrderChanged
}

const orderID = "recA1b2C3d4E5f6G7"

// messages are the events the golden files hold, by the file's name.
func messages() map[string]message {
	at := func(hour int) time.Time { return time.Date(2026, 11, 3, hour, 30, 0, 250e6, time.UTC) }
	env := func(id string, hour int) event.Envelope {
		return event.Envelope{ID: id, Source: "/airtable/appQ1w2E3r4T5y6U/tblZ9x8C7v6B5n4M", Time: at(hour), Digest: "8f14e45fceea167a5a36dedd4bea2543"}
	}
	order := func(id, status string, hour int) event.Order {
		return event.Order{
			RecordID: id, Name: new("ORD-00042"), Customer: new("Café Ñandú & Hijos"), Status: &status,
			Priority: new("High"), Amount: new(json.Number("1250.50")), OrderDate: new("2026-11-03"),
			CreatedAt: at(9), UpdatedAt: at(hour),
			Fields: json.RawMessage(`{"Cliente":"Café Ñandú & Hijos","Estado":"` + status + `","Etiquetas":["web",{"nested":[1,true,null]}],` +
				`"Fecha":"2026-11-03","Importe":1250.50,"Notas":"Say \"hi\" <first>\nthen ring","Order":"ORD-00042","Prioridad":"High"}`),
		}
	}
	cells := func(pairs ...string) map[string]json.RawMessage {
		m := map[string]json.RawMessage{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = json.RawMessage(pairs[i+1])
		}
		return m
	}
	deleted := env("evt-3-deleted", 12)
	deleted.Digest = ""
	elsewhere := env("evt-5-empty", 14)
	elsewhere.Source = `/airtable/Base "Ñ" 100%/tbl`
	return map[string]message{
		"1-created": {env("evt-1-created", 10), &event.OrderChanged{
			RecordID: orderID, Change: event.Created, Order: order(orderID, "Pending", 10),
		}},
		"2-updated": {env("evt-2-updated", 11), &event.OrderChanged{
			RecordID: orderID, Change: event.Updated, Order: order(orderID, "Processing", 11),
			Previous: cells("status", `"Pending"`, "amount", `1000`, "order_date", `null`),
		}},
		"3-deleted": {deleted, &event.OrderChanged{
			RecordID: "recDeleted0000001", Change: event.Deleted, Order: order("recDeleted0000001", "Cancelled", 12),
		}},
		"4-edited": {env("evt-4-edited", 13), &event.OrderChanged{
			RecordID: "recEdited00000001", Change: event.Updated, Order: order("recEdited00000001", "Sent", 13),
			Previous: cells("status", `"Processing"`),
			Actor:    &event.Actor{ID: "usrL2k3J4h5G6f7D8", Email: "ana@example.com", Name: "Ana Núñez"},
			EditIDs:  []string{"01JEDIT0000000000000000001", "01JEDIT0000000000000000002"},
		}},
		"5-empty": {elsewhere, &event.OrderChanged{
			RecordID: "recEmpty000000001", Change: event.Created,
			Order: event.Order{RecordID: "recEmpty000000001", CreatedAt: at(14), UpdatedAt: at(14), Fields: json.RawMessage(`{}`)},
		}},
		"6-truncated": {env("evt-6-truncated", 15), &event.OrderChanged{
			RecordID: "recLarge000000001", Change: event.Created,
			Order: event.Order{
				RecordID: "recLarge000000001", CreatedAt: at(15), UpdatedAt: at(15),
				Fields: json.RawMessage(`{"Notas":"En un lugar de la Mancha, de cuyo…","Order":"ORD-00043"}`), Truncated: []string{"Notas"},
			},
		}},
	}
}

// text is the form of the golden files: the subject, the headers by name, a blank line, the body.
func text(m *nats.Msg) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, m.Subject)
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", name, m.Header.Get(name))
	}
	fmt.Fprintf(&b, "\n%s\n", m.Data)
	return b.Bytes()
}

// parse is the inverse of text.
func parse(t testing.TB, file []byte) *nats.Msg {
	t.Helper()
	head, body, ok := strings.Cut(string(file), "\n\n")
	if !ok {
		t.Fatal("no blank line between headers and body")
	}
	lines := strings.Split(head, "\n")
	m := &nats.Msg{Subject: lines[0], Header: nats.Header{}, Data: []byte(strings.TrimSuffix(body, "\n"))}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		m.Header.Set(name, value)
	}
	return m
}

func golden(name string) string { return filepath.Join("testdata", "golden", name+".txt") }

// goldenMessages are the stored messages, in the order of their names.
func goldenMessages(t testing.TB) []*nats.Msg {
	t.Helper()
	files, err := filepath.Glob(golden("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden messages: %v", err)
	}
	all := make([]*nats.Msg, len(files))
	for i, f := range files {
		file, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = parse(t, file)
	}
	return all
}

// asGolden checks that msg is encoded as the golden message is, and returns that.
func asGolden(t *testing.T, name string, msg *nats.Msg) *nats.Msg {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden(name), text(msg), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(golden(name))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(file), string(text(msg))); diff != "" {
		t.Errorf("encoding differs from the golden message (-golden +now):\n%s", diff)
	}
	return parse(t, file)
}

// flat is the headers as the schemas have them.
func flat(h nats.Header) map[string]any {
	all := map[string]any{}
	for key, values := range h {
		all[key] = values[0]
	}
	return all
}

func TestGolden(t *testing.T) {
	t.Parallel()
	schema := schemaOf(t, event.OrderChangedSchema, "")
	all := messages()
	files, err := filepath.Glob(golden("*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(all) && !*update {
		t.Errorf("%d golden files for %d messages", len(files), len(all))
	}
	for name, want := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg, err := event.NewOrderChanged(want.env, want.change)
			if err != nil {
				t.Fatal(err)
			}
			stored := asGolden(t, name, msg)
			validates(t, schema, stored.Data)
			got, env, err := event.ParseOrderChanged(stored.Subject, stored.Header, stored.Data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.change, got, unread); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.env, env); diff != "" {
				t.Errorf("envelope (-want +got):\n%s", diff)
			}
		})
	}
}

// schemaOf compiles what is at a JSON pointer of a schema, with its formats asserted.
func schemaOf(t testing.TB, text []byte, pointer string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	id, _ := doc.(map[string]any)["$id"].(string)
	if err := c.AddResource(id, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(id + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validates(t testing.TB, schema *jsonschema.Schema, body []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	if err := schema.Validate(doc); err != nil {
		t.Errorf("%v\n%s", err, body)
	}
}

// unread leaves out the bytes an order was read from.
var unread = cmpopts.IgnoreFields(event.Order{}, "Raw")

// Messages of version 1 stay readable, and valid by the schema, whatever later versions add: streams hold
// them for as long as an order does not change. These files are never written anew.
func TestVersion1IsRead(t *testing.T) {
	t.Parallel()
	schema := schemaOf(t, event.OrderChangedSchema, "")
	files, err := filepath.Glob(filepath.Join("testdata", "v1", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, file)
		validates(t, schema, m.Data)
		if _, _, err := event.ParseOrderChanged(m.Subject, m.Header, m.Data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var body struct{ Order map[string]json.RawMessage }
		if err := json.Unmarshal(m.Data, &body); err != nil {
			t.Fatal(err)
		}
		for _, c := range columns.Columns {
			if _, has := body.Order[c.Name]; has != (c.Since == 1) {
				t.Errorf("%s: column %s is said to be of version %d", name, c.Name, c.Since)
			}
		}
	}
}
