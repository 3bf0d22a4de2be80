package event_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event"
)

// odooChanges are the events the golden files of Odoo's records hold, by the file's name.
func odooChanges() map[string]event.OdooChanged {
	at := time.Date(2026, 11, 3, 11, 30, 0, 250e6, time.UTC)
	record := json.RawMessage(`{"id":42,"name":"Silla «Ñandú» \u003cnº 1\u003e","list_price":59.9,"category":{"id":3,"name":"All / Saleable"},"active":true}`)
	return map[string]event.OdooChanged{
		"1-created":  {Resource: "products", ID: 42, Change: event.Created, At: at, Record: record},
		"2-updated":  {Resource: "products", ID: 42, Change: event.Updated, At: at.Add(time.Hour), Record: record},
		"3-deleted":  {Resource: "sales", ID: 7, Change: event.Deleted, At: at},
		"4-toolarge": {Resource: "sales", ID: 8, Change: event.Updated, At: at},
	}
}

func TestGoldenOdoo(t *testing.T) {
	t.Parallel()
	doc := asyncAPI(t)
	for name, change := range odooChanges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := event.Envelope{ID: "evt-" + name, Source: "/odoo/company", Time: change.At}
			if change.Record != nil {
				env.Digest = "9b74c9897bac770ffc029102a200c5de"
			}
			msg, err := event.NewOdooChanged(env, &change)
			if err != nil {
				t.Fatal(err)
			}
			got, gotEnv := describedOdoo(t, doc, asGolden(t, "odoo/"+name, msg))
			if change.Record == nil {
				change.Record = json.RawMessage("null")
			}
			if diff := cmp.Diff(change, *got); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(env, gotEnv); diff != "" {
				t.Errorf("envelope (-want +got):\n%s", diff)
			}
		})
	}
	for _, example := range doc.Components.Messages["odooChanged"].Examples {
		m := example.message(t)
		m.Subject = event.TypeOdooChanged + "." + example.Payload.(map[string]any)["resource"].(string) + "." + example.Headers[event.HeaderSubject]
		describedOdoo(t, doc, m)
	}
}

// describedOdoo checks a message against the schemas, docs/asyncapi.yaml and the parser.
func describedOdoo(t *testing.T, doc document, m *nats.Msg) (*event.OdooChanged, event.Envelope) {
	t.Helper()
	if err := doc.schema(t, "/components/messages/odooChanged/headers").Validate(flat(m.Header)); err != nil {
		t.Error(err)
	}
	validates(t, doc.schema(t, "/components/messages/odooChanged/payload/schema"), m.Data)
	validates(t, schemaOf(t, event.OdooChangedSchema, ""), m.Data)
	if !pattern(doc.Channels["odooChanged"].Address).MatchString(m.Subject) || !pattern(event.OdooChanges).MatchString(m.Subject) {
		t.Errorf("subject %s", m.Subject)
	}
	c, env, err := event.ParseOdooChanged(m.Subject, m.Header, m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return c, env
}

func TestMalformedOdooChanges(t *testing.T) {
	t.Parallel()
	good := odooChanges()["1-created"]
	for field, spoil := range map[string]func(*event.OdooChanged){
		"resource": func(c *event.OdooChanged) { c.Resource = "a.b" },
		"id":       func(c *event.OdooChanged) { c.ID = 0 },
		"change":   func(c *event.OdooChanged) { c.Change = "moved" },
		"at":       func(c *event.OdooChanged) { c.At = time.Time{} },
		"record":   func(c *event.OdooChanged) { c.Change = event.Deleted },
	} {
		c := good
		spoil(&c)
		if _, err := event.NewOdooChanged(event.Envelope{ID: "x", Time: good.At}, &c); !errors.Is(err, event.ErrMalformed) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	msg, err := event.NewOdooChanged(event.Envelope{ID: "x", Time: good.At}, &good)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := event.ParseOdooChanged("odoo.changed.products.43", msg.Header, msg.Data); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("on another record's subject: %v", err)
	}
	if _, _, err := event.ParseOdooChanged(msg.Subject, msg.Header, append(msg.Data, '1')); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("with more behind it: %v", err)
	}
}
