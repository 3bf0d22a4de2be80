package column

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// base stands in for Airtable: each question for the metadata gets the next answer, the last one from then on.
type base struct {
	metadata []string
	asked    int
}

func (b *base) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
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
	for name, c := range map[string]struct {
		then   []string // how the metadata is answered after it was read once
		amount string   // the title of its field
		frozen bool
	}{
		"as before":                       {[]string{described}, "Total", false},
		"refused":                         {[]string{""}, "Total", true},
		"the table is missing":            {[]string{elsewhere}, "Total", true},
		"a field is missing once":         {[]string{without, described}, "Total", false},
		"a field is missing, then 403":    {[]string{without, ""}, "Total", true},
		"a field is missing for good":     {[]string{without}, "", false},
		"refused, and a field is missing": {[]string{"", without}, "Total", true},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b, store := &base{metadata: []string{described}}, &keptStore{}
				server := httptest.NewServer(b)
				defer server.Close()
				log := slog.New(slog.DiscardHandler)
				client := airtable.New(airtable.Config{Endpoint: server.URL, Key: "k", Base: "app1", Table: "tblOrders", Log: log})
				s := NewSchema(client, Config{}, store, log)
				if _, err := s.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				before := s.Mapper().Fingerprint()
				if restarted {
					s = NewSchema(client, Config{}, store, log)
				}
				b.metadata, b.asked = c.then, 0
				read, err := s.Load(t.Context())
				if !read {
					err = s.Refresh(t.Context())
				}
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for _, column := range store.published.Columns {
					want := full[column.Name]
					if column.Name == "amount" {
						want = c.amount
					}
					if column.Title != want {
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
