package column

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// base stands in for Airtable: each question for the metadata gets the next answer, the last one from then on.
type base struct {
	metadata []string
	asked    int
	empty    bool // no record has a cell
}

func (b *base) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if b.empty && !strings.HasPrefix(r.URL.Path, "/v0/meta/") {
		_, _ = w.Write([]byte(`{"records":[]}`))
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/v0/meta/") {
		_, _ = w.Write([]byte(`{"records":[{"id":"recA1b2C3d4E5f6G7","createdTime":"2026-01-01T00:00:00.000Z","fields":{"fldCliente":["recCLI00000000001"],"fldQuien":["Ferretería Sol"],"fldTotal":5}}]}`))
		return
	}
	answer := b.metadata[min(b.asked, len(b.metadata)-1)]
	b.asked++
	if answer == "" {
		w.WriteHeader(http.StatusForbidden)
		answer = `{"error":{"type":"INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"}}`
	}
	_, _ = w.Write([]byte(answer))
}

// keptStore is a Store in memory.
type keptStore struct {
	data      []byte
	published columns.Source
}

func (s *keptStore) Load(context.Context) ([]byte, error)      { return s.data, nil }
func (s *keptStore) Save(_ context.Context, data []byte) error { s.data = data; return nil }
func (s *keptStore) Publish(_ context.Context, source columns.Source) error {
	s.published = source
	return nil
}

// As Airtable describes a base whose customers are in a table of their own.
const (
	described = `{"tables":[
		{"id":"tblCustomers","name":"Clientes","primaryFieldId":"fldNombre","fields":[{"id":"fldNombre","name":"Nombre","type":"singleLineText"}],"views":[]},
		{"id":"tblOrders","name":"Pedidos","primaryFieldId":"fldRef","views":[],"fields":[
			{"id":"fldRef","name":"Ref","type":"autoNumber"},
			{"id":"fldCliente","name":"Cliente","type":"multipleRecordLinks","options":{"linkedTableId":"tblCustomers","isReversed":false,"prefersSingleRecordLink":true,"inverseLinkFieldId":"fldX"}},
			{"id":"fldNIF","name":"NIF (from Cliente)","type":"multipleLookupValues","options":{"isValid":true,"recordLinkFieldId":"fldCliente","fieldIdInLinkedTable":"fldNIF0","result":{"type":"singleLineText"}}},
			{"id":"fldQuien","name":"Quién","type":"multipleLookupValues","options":{"isValid":true,"recordLinkFieldId":"fldCliente","fieldIdInLinkedTable":"fldNombre","result":{"type":"singleLineText"}}},
			` + total + `
			{"id":"fldWhen","name":"Cuándo","type":"dateTime","options":{"timeZone":"Europe/Madrid","dateFormat":{"name":"european","format":"D/M/YYYY"},"timeFormat":{"name":"24hour","format":"HH:mm"}}},
			{"id":"fldLuz","name":"Luz","type":"singleSelect","options":{"choices":[{"id":"sel1","name":"Pendiente","color":"redLight2"},{"id":"sel2","name":"Enviado","color":"greenLight2"}]}}
		]}]}`
	total = `{"id":"fldTotal","name":"Total","type":"currency","options":{"precision":2,"symbol":"€"}},`
)

func TestSchema(t *testing.T) {
	t.Parallel()
	without := strings.Replace(described, total, "", 1)
	elsewhere := `{"tables":[{"id":"tblCustomers","name":"Clientes","primaryFieldId":"fldNombre","fields":[]}]}`
	full := map[string]string{"customer": "Quién", "amount": "Total", "order_date": "Cuándo", "status": "Luz", "name": "Ref", "priority": ""}
	const later = confirmAfter
	for name, c := range map[string]struct {
		then   []string        // how the metadata is answered after it was read once
		after  []time.Duration // when it is read, each since the time before
		empty  bool            // no record has a cell by then
		amount string          // the title of its field
		frozen bool
	}{
		"as before":                       {[]string{described}, []time.Duration{later}, false, "Total", false},
		"refused":                         {[]string{""}, []time.Duration{later}, false, "Total", true},
		"the table is missing":            {[]string{elsewhere}, []time.Duration{later}, false, "Total", true},
		"a field is missing once":         {[]string{without, described, without}, []time.Duration{0, later, 0}, true, "Total", false},
		"a field is missing for a moment": {[]string{without}, []time.Duration{0, time.Second, 0, later - 2*time.Second}, true, "Total", false},
		"a field is missing, then 403":    {[]string{without, ""}, []time.Duration{0, later}, true, "Total", true},
		"a field is missing for good":     {[]string{without}, []time.Duration{0, later}, true, "", false},
		"records have the field's cells":  {[]string{without}, []time.Duration{0, later, later}, false, "Total", false},
		"refused, and a field is missing": {[]string{"", without}, []time.Duration{later, 0}, true, "Total", false},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b, store := &base{metadata: []string{described}}, &keptStore{}
				server := httptest.NewServer(b)
				defer server.Close()
				log := slog.New(slog.DiscardHandler)
				client := airtable.New(airtable.Config{Endpoint: server.URL, Key: "k", Base: "app1", Table: "tblOrders", Log: log})
				now := time.Now()
				cfg := Config{Now: func() time.Time { return now }}
				s := NewSchema(client, cfg, store, log)
				if _, err := s.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				before := s.Mapper().Fingerprint()
				b.metadata, b.asked, b.empty = c.then, 0, c.empty
				for _, after := range c.after {
					now = now.Add(after)
					if restarted {
						s = NewSchema(client, cfg, store, log)
					}
					read, err := s.Load(t.Context())
					if !read {
						err = s.Refresh(t.Context())
					}
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
				for _, column := range store.published.Columns {
					want, known := full[column.Name]
					if column.Name == "amount" {
						want = c.amount
					}
					if known && column.Title != want {
						t.Errorf("%s, restarted %t: %s is read from %q", name, restarted, column.Name, column.Title)
					}
				}
				if (s.Trouble().EN != "") != c.frozen || (s.Mapper().Fingerprint() == before) != (c.amount != "") {
					t.Errorf("%s, restarted %t: trouble %q, fingerprint %s after %s", name, restarted, s.Trouble().EN, s.Mapper().Fingerprint(), before)
				}
			})
		}
	}
}

// Metadata that lists only some fields changes no digest, whatever fields it lacks.
func TestFieldsMissingForAMomentAreNoNews(t *testing.T) {
	t.Parallel()
	b := &base{metadata: []string{described}}
	server := httptest.NewServer(b)
	defer server.Close()
	log := slog.New(slog.DiscardHandler)
	client := airtable.New(airtable.Config{Endpoint: server.URL, Key: "k", Base: "app1", Table: "tblOrders", Log: log})
	s := NewSchema(client, Config{}, &keptStore{}, log)
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := record(t, `{"fldCliente":["recCLI00000000001"],"fldTotal":5,"fldLuz":"Enviado","fldWhen":"2026-06-30T22:30:00.000Z"}`)
	was, digest := s.Mapper().Order(r, day)
	b.metadata = []string{`{"tables":[{"id":"tblOrders","name":"Pedidos","primaryFieldId":"fldRef","fields":[` + strings.TrimSuffix(total, ",") + `]}]}`}
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if is, d := s.Mapper().Order(r, day); d != digest || string(is.Fields) != string(was.Fields) {
		t.Errorf("%s with digest %s, was %s with %s", is.Fields, d, was.Fields, digest)
	}
}

// A customer is shown by the name that the lookup gives, and the day is that of the field's zone.
func TestSchemaReadsRecords(t *testing.T) {
	t.Parallel()
	var answer struct{ Tables []airtable.Table }
	if err := json.Unmarshal([]byte(described), &answer); err != nil {
		t.Fatal(err)
	}
	of := answer.Tables[1]
	of.Primaries = map[string]string{"tblCustomers": "fldNombre"}
	m := WithSchema(of, Config{}, nil, nil)
	o, _ := m.Order(record(t, `{"fldCliente":["recCLI00000000001"],"fldQuien":["Ferretería Sol"],"fldWhen":"2026-06-30T22:30:00.000Z","fldLuz":"Enviado"}`), day)
	if *o.Customer != "Ferretería Sol" || *o.OrderDate != "2026-07-01" || *o.Status != "Sent" {
		t.Errorf("%+v", o)
	}
}

// One answer of the metadata without the choices of a select changes no order; choices that stay away are gone.
func TestChoicesMissing(t *testing.T) {
	t.Parallel()
	const both = `{"id":"sel1","name":"Pendiente","color":"redLight2"},{"id":"sel2","name":"Enviado","color":"greenLight2"}`
	options := `,"options":{"choices":[` + both + `]}`
	for name, answer := range map[string]string{
		"no options":       strings.Replace(described, options, "", 1),
		"no choices":       strings.Replace(described, both, "", 1),
		"the first choice": strings.Replace(described, strings.Split(both, ",{")[0]+",", "", 1),
	} {
		if answer == described {
			t.Fatal(name)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &base{metadata: []string{described, answer, described, answer}}
			server := httptest.NewServer(b)
			defer server.Close()
			now := time.Now()
			s := NewSchema(airtable.New(airtable.Config{Endpoint: server.URL, Key: "k", Base: "app1", Table: "tblOrders", Log: slog.New(slog.DiscardHandler)}),
				Config{Now: func() time.Time { return now }}, &keptStore{}, slog.New(slog.DiscardHandler))
			if _, err := s.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := s.Mapper().Fingerprint()
			for range 3 {
				if err := s.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if s.Mapper().Fingerprint() != before {
					t.Fatal("records would be read differently")
				}
			}
			now = now.Add(confirmAfter)
			if !s.Due() {
				t.Error("nobody asks whether the choices are gone for good")
			}
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s.Mapper().Fingerprint() == before || s.Due() {
				t.Error("choices that stay away are still offered")
			}
		})
	}
}

// Metadata that is refused at the first start, repeatedly, is asked for again, ever more rarely.
func TestRefusedMetadataIsAskedForAgain(t *testing.T) {
	t.Parallel()
	b := &base{metadata: []string{""}}
	server := httptest.NewServer(b)
	defer server.Close()
	now := time.Now()
	s := NewSchema(airtable.New(airtable.Config{Endpoint: server.URL, Key: "k", Base: "app1", Table: "tblOrders", Log: slog.New(slog.DiscardHandler)}),
		Config{Now: func() time.Time { return now }}, &keptStore{}, slog.New(slog.DiscardHandler))
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	var asked []time.Duration // since the start
	for start := now; now.Sub(start) < 3*24*time.Hour; now = now.Add(time.Minute) {
		if s.Due() {
			asked = append(asked, now.Sub(start))
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(asked) == 0 || asked[0] > firstRetry || len(asked) > 15 {
		t.Errorf("asked again after %v", asked)
	}
	b.metadata = []string{described}
	if now = now.Add(lastRetry); !s.Due() {
		t.Fatal("nobody asks again")
	}
	if err := s.Refresh(t.Context()); err != nil || s.Due() {
		t.Errorf("due %t: %v", s.Due(), err)
	}
	if f, ok := s.Mapper().Field(Status); !ok || f.Name != "Luz" {
		t.Errorf("status is read from %q", f.Name)
	}
}
