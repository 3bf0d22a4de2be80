package event_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/event/i18n"
)

var requested = time.Date(2026, 11, 3, 9, 30, 0, 250e6, time.UTC)

func edit() event.OrderEdit {
	return event.OrderEdit{
		ID: "01JEDIT0000000000000000001", RecordID: orderID, Values: event.EditValues{"status": "Sent", "priority": "Low"},
		Actor: event.Actor{ID: "ana", Email: "ana@example.com", Name: "Ana Núñez"}, RequestedAt: requested,
	}
}

// editMessages are the messages the golden files of edits hold, by the file's name.
func editMessages(t testing.TB) map[string]*nats.Msg {
	t.Helper()
	e := edit()
	all := map[string]*nats.Msg{}
	var err error
	if all["1-edit"], err = event.NewOrderEdit(event.Envelope{ID: e.ID, Source: "/orders", Time: requested}, &e); err != nil {
		t.Fatal(err)
	}
	pending := event.OrderEdited{OrderEdit: e, State: event.Pending}
	applied, rejected := e.Settled(nil), e.Settled(new(i18n.T("No está “Sent”", "No choice “Sent”")))
	for name, edited := range map[string]*event.OrderEdited{"2-pending": &pending, "3-applied": &applied, "4-rejected": &rejected} {
		if all[name], err = event.NewOrderEdited(event.Envelope{ID: event.EditedID(edited.ID, edited.State), Source: "/airtable/app/tbl", Time: requested.Add(time.Second)}, edited); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestGoldenEdits(t *testing.T) {
	t.Parallel()
	doc := asyncAPI(t)
	for name, msg := range editMessages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			described(t, doc, asGolden(t, "edits/"+name, msg))
		})
	}
	for _, name := range []string{"orderEdit", "orderEdited"} {
		for _, example := range doc.Components.Messages[name].Examples {
			described(t, doc, example.message(t))
		}
	}
}

// described checks a message against the schemas, docs/asyncapi.yaml and the parser.
func described(t *testing.T, doc document, m *nats.Msg) {
	t.Helper()
	name, pointer, schema := "orderEdited", "", event.OrderEditedSchema
	if m.Header.Get(event.HeaderType) == event.TypeOrderEdit {
		name, pointer = "orderEdit", "#/$defs/edit"
	}
	if !pattern(doc.Channels[name].Address).MatchString(m.Subject) {
		t.Errorf("subject %s", m.Subject)
	}
	if err := doc.schema(t, "/components/messages/"+name+"/headers").Validate(flat(m.Header)); err != nil {
		t.Error(err)
	}
	validates(t, schemaOf(t, schema, pointer), m.Data)
	validates(t, doc.schema(t, "/components/messages/"+name+"/payload/schema"), m.Data)
	var err error
	if name == "orderEdit" {
		_, _, err = event.ParseOrderEdit(m.Subject, m.Header, m.Data)
	} else {
		_, _, err = event.ParseOrderEdited(m.Subject, m.Header, m.Data)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestEditsThatAreNone(t *testing.T) {
	t.Parallel()
	valid := editMessages(t)["4-rejected"]
	for name, replace := range map[string][2]string{
		"no edit_id":        {`"edit_id":"01JEDIT0000000000000000001"`, `"edit_id":""`},
		"another record":    {`"record_id":"` + orderID, `"record_id":"recOther`},
		"no values":         {`"priority":"Low","status":"Sent"`, ``},
		"no editable":       {`"status":`, `"customer":`},
		"no such column":    {`"status":`, `"colour":`},
		"a blank status":    {`"Sent"`, `" "`},
		"an empty priority": {`"Low"`, `""`},
		"a NUL":             {`"Sent"`, `"Se\u0000nt"`},
		"a long priority":   {`"Low"`, `"` + strings.Repeat("ñ", event.MaxEditValue+1) + `"`},
		"no actor":          {`"id":"ana"`, `"id":""`},
		"no time":           {`"requested_at":`, `"requested":`},
		"unknown state":     {`"state":"rejected"`, `"state":"lost"`},
		"rejected, but why": {`"reason":`, `"because":`},
		"applied, but why":  {`"state":"rejected"`, `"state":"applied"`},
		"two values":        {`{"edit_id"`, `{}{"edit_id"`},
		"a number for text": {`"Sent"`, `1`},
	} {
		body := strings.Replace(string(valid.Data), replace[0], replace[1], 1)
		if body == string(valid.Data) {
			t.Fatalf("%s: spoils nothing", name)
		}
		if _, _, err := event.ParseOrderEdited(valid.Subject, valid.Header, []byte(body)); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		var e event.OrderEdited
		if json.Unmarshal([]byte(body), &e) == nil && e.RecordID == orderID {
			if _, err := event.NewOrderEdited(event.Envelope{ID: "x", Source: "/x", Time: requested}, &e); !errors.Is(err, event.ErrMalformed) {
				t.Errorf("%s, encoded: %v", name, err)
			}
		}
	}
	for _, status := range []string{"En camino", "🟢 Enviado ", strings.Repeat("ñ", event.MaxEditValue)} {
		body := strings.Replace(string(valid.Data), `"Sent"`, `"`+status+`"`, 1)
		if _, _, err := event.ParseOrderEdited(valid.Subject, valid.Header, []byte(body)); err != nil {
			t.Errorf("a choice of the table's own: %v", err)
		}
	}
	if _, _, err := event.ParseOrderEdit(valid.Subject, valid.Header, valid.Data); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("an event of another type: %v", err)
	}
}

// Whatever arrives, nothing panics, every error is ErrMalformed, and what parses can be published.
func FuzzParseOrderEdited(f *testing.F) {
	for _, m := range editMessages(f) {
		f.Add(m.Subject, m.Data)
	}
	f.Fuzz(func(t *testing.T, subject string, body []byte) {
		h := nats.Header{event.HeaderID: {"x"}, event.HeaderTime: {"2026-11-03T09:30:00Z"}, event.HeaderType: {event.TypeOrderEdited}}
		e, env, err := event.ParseOrderEdited(subject, h, body)
		if err != nil {
			if !errors.Is(err, event.ErrMalformed) {
				t.Errorf("%v does not wrap ErrMalformed", err)
			}
			return
		}
		if _, err := event.NewOrderEdited(env, e); err != nil {
			t.Errorf("parsed, but not encoded: %v", err)
		}
	})
}
