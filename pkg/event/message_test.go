package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"github.com/resonance/resonance/pkg/event"
)

// The hand-written encoder and encoding/json say the same, also of members added later.
func TestEncodingEqualsTheStructTags(t *testing.T) {
	t.Parallel()
	full := messages()["4-edited"]
	msg, err := event.NewOrderChanged(full.env, full.change)
	if err != nil {
		t.Fatal(err)
	}
	byTags, err := json.Marshal(full.change)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal(byTags, &want), json.Unmarshal(msg.Data, &got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-struct tags +NewOrderChanged):\n%s", diff)
	}
}

func TestWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*event.Envelope, *event.OrderChanged){
		"no id":                    func(e *event.Envelope, _ *event.OrderChanged) { e.ID = "" },
		"wildcard record":          func(_ *event.Envelope, c *event.OrderChanged) { c.RecordID, c.Order.RecordID = "*", "*" },
		"two records":              func(_ *event.Envelope, c *event.OrderChanged) { c.Order.RecordID = "recOther" },
		"unknown change":           func(_ *event.Envelope, c *event.OrderChanged) { c.Change = "moved" },
		"no creation time":         func(_ *event.Envelope, c *event.OrderChanged) { c.Order.CreatedAt = time.Time{} },
		"no such day":              func(_ *event.Envelope, c *event.OrderChanged) { c.Order.OrderDate = new("2026-02-30") },
		"amount not JSON":          func(_ *event.Envelope, c *event.OrderChanged) { c.Order.Amount = new(json.Number("0x10")) },
		"amount with a +":          func(_ *event.Envelope, c *event.OrderChanged) { c.Order.Amount = new(json.Number("+1")) },
		"amount empty":             func(_ *event.Envelope, c *event.OrderChanged) { c.Order.Amount = new(json.Number("")) },
		"amount infinite":          func(_ *event.Envelope, c *event.OrderChanged) { c.Order.Amount = new(json.Number("1e999")) },
		"fields not JSON":          func(_ *event.Envelope, c *event.OrderChanged) { c.Order.Fields = json.RawMessage(`{"X":}`) },
		"fields a list":            func(_ *event.Envelope, c *event.OrderChanged) { c.Order.Fields = json.RawMessage(`[]`) },
		"two fields":               func(_ *event.Envelope, c *event.OrderChanged) { c.Order.Fields = json.RawMessage(`{}{}`) },
		"previous of another type": func(_ *event.Envelope, c *event.OrderChanged) { c.Previous["amount"] = json.RawMessage(`"1"`) },
		"previous not JSON":        func(_ *event.Envelope, c *event.OrderChanged) { c.Previous["status"] = json.RawMessage(`Draft`) },
		"year 10000": func(_ *event.Envelope, c *event.OrderChanged) {
			c.Order.UpdatedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		},
		"event in year 10000": func(e *event.Envelope, _ *event.OrderChanged) {
			e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := messages()["4-edited"]
			spoil(&m.env, m.change)
			if msg, err := event.NewOrderChanged(m.env, m.change); err == nil {
				t.Errorf("encoded:\n%s", text(msg))
			} else if !errors.Is(err, event.ErrMalformed) {
				t.Errorf("%v does not wrap ErrMalformed", err)
			}
		})
	}
}

// What Airtable may hold and JSON or UTF-8 make awkward passes unharmed, or as U+FFFD.
func TestAwkwardTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, out string }{
		{"", ""},
		{`"quoted" \back\slash`, `"quoted" \back\slash`},
		{"tab\tline\nnul\x00del\x7f", "tab\tline\nnul\x00del\x7f"},
		{"<script>&'\u2028", "<script>&'\u2028"},
		{"Ζεύς 😀", "Ζεύς 😀"},
		{"broken \xff\xfe utf-8", "broken \uFFFD utf-8"},
	} {
		m := messages()["1-created"]
		m.change.Order.Name = &c.in
		name, err := json.Marshal(c.out)
		if err != nil {
			t.Fatal(err)
		}
		m.change.Order.Fields = json.RawMessage("{ " + string(name) + ": [ 1 , \"\xc3\xb1\" ] } ")
		msg, err := event.NewOrderChanged(m.env, m.change)
		if err != nil {
			t.Fatalf("%q: %v", c.in, err)
		}
		got, _, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data)
		if err != nil {
			t.Fatalf("%q: %v", c.in, err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(got.Order.Fields, &fields); err != nil {
			t.Fatalf("%q: %v", c.in, err)
		}
		if *got.Order.Name != c.out || string(fields[c.out]) != `[1,"ñ"]` {
			t.Errorf("%q became %q with %q", c.in, *got.Order.Name, fields)
		}
	}
}

func TestNilFieldsAreAnEmptyObject(t *testing.T) {
	t.Parallel()
	m := messages()["5-empty"]
	m.change.Order.Fields = nil
	msg, err := event.NewOrderChanged(m.env, m.change)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(msg.Data), `"fields":{}`) {
		t.Errorf("%s", msg.Data)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	m := messages()["1-created"]
	m.env.Source = "Euro € 😀 \"100%\""
	m.env.Time = m.env.Time.In(time.FixedZone("", -5*60*60))
	msg, err := event.NewOrderChanged(m.env, m.change)
	if err != nil {
		t.Fatal(err)
	}
	want := nats.Header{
		"Nats-Msg-Id":        {"evt-1-created"},
		"ce-id":              {"evt-1-created"},
		"ce-source":          {"Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22"},
		"ce-specversion":     {"1.0"},
		"ce-type":            {"order.changed"},
		"ce-subject":         {orderID},
		"ce-time":            {"2026-11-03T10:30:00.25Z"},
		"ce-datacontenttype": {"application/json"},
		"ce-digest":          {"8f14e45fceea167a5a36dedd4bea2543"},
		"ce-change":          {"created"},
	}
	if diff := cmp.Diff(want, msg.Header); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The cases of the CloudEvents NATS binding, 3.1.3.2.
func TestSourcesAreDecoded(t *testing.T) {
	t.Parallel()
	msg := goldenMessages(t)[0]
	for header, want := range map[string]string{
		"/a/b":                 "/a/b",
		"Euro%20%E2%82%AC":     "Euro €",
		"lower%20%e2%82%ac":    "lower €",
		"%41 needless":         "A needless",
		"one%2520round":        "one%20round",
		"stray % and %zz and%": "stray % and %zz and%",
		"%+5":                  "%+5",
		`"quoted \"text\" \\"`: `quoted "text" \`,
		`"%20in quotes"`:       " in quotes",
		`"`:                    `"`,
		"":                     "",
	} {
		h := maps.Clone(msg.Header)
		h.Set(event.HeaderSource, header)
		_, env, err := event.ParseOrderChanged(msg.Subject, h, msg.Data)
		if err != nil || env.Source != want {
			t.Errorf("%q: %q, %v; want %q", header, env.Source, err, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	valid := goldenMessages(t)[3]
	body := func(old, changed string) func(*nats.Msg) {
		return func(m *nats.Msg) {
			if !strings.Contains(string(m.Data), old) {
				t.Errorf("nothing to replace: %s", old)
			}
			m.Data = []byte(strings.Replace(string(m.Data), old, changed, 1))
		}
	}
	header := func(name, value string) func(*nats.Msg) {
		return func(m *nats.Msg) { m.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		spoil func(*nats.Msg)
		says  string
	}{
		"no headers":               {func(m *nats.Msg) { m.Header = nil }, "ce-id"},
		"no id":                    {func(m *nats.Msg) { m.Header.Del("ce-id") }, "ce-id"},
		"id not UTF-8":             {header("ce-id", "%ff"), "ce-id"},
		"other type":               {header("ce-type", "order.edited"), "ce-type"},
		"source overlong":          {header("ce-source", "%C0%A0"), "ce-source"},
		"no time":                  {func(m *nats.Msg) { m.Header.Del("ce-time") }, "ce-time"},
		"time without a zone":      {header("ce-time", "2026-11-03T10:30:00"), "ce-time"},
		"time not strict":          {header("ce-time", "2026-11-03T1:30:00Z"), "ce-time"},
		"other subject":            {func(m *nats.Msg) { m.Subject = "order.edited.recEdited00000001" }, "subject"},
		"another record's subject": {func(m *nats.Msg) { m.Subject = "order.changed.recOther" }, "subject"},
		"no body":                  {func(m *nats.Msg) { m.Data = nil }, "JSON"},
		"cut off":                  {func(m *nats.Msg) { m.Data = m.Data[:len(m.Data)-1] }, "JSON"},
		"two values":               {func(m *nats.Msg) { m.Data = append(slices.Clone(m.Data), "{}"...) }, "JSON"},
		"not UTF-8":                {body("High", "Hi\xff"), "UTF-8"},
		"digest not UTF-8":         {header("ce-digest", "%ff"), "ce-digest"},
		"time with a comma":        {header("ce-time", "2026-11-03T10:30:00,5Z"), "ce-time"},
		"created_at elsewhere":     {body(`"created_at":"2026-11-03T09:30:00.25Z"`, `"created_at":"2026-11-03T09:30:00+01:00"`), "created_at"},
		"a list":                   {func(m *nats.Msg) { m.Data = []byte(`[]`) }, "object"},
		"null":                     {func(m *nats.Msg) { m.Data = []byte(`null`) }, "object"},
		"too deep":                 {body(`"fields":{`, `"fields":{"X":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`,`), "JSON"},
		"a list for a text":        {body(`"High"`, strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), "priority"},
		"no record id":             {body(`"record_id":"recEdited00000001",`, ``), "record_id"},
		"other case":               {body(`"record_id"`, `"Record_ID"`), "record_id"},
		"record id a wildcard":     {body(`"recEdited00000001"`, `">"`), "record_id"},
		"record id too long":       {body(`"recEdited00000001"`, `"`+strings.Repeat("x", 65)+`"`), "record_id"},
		"unknown change":           {body(`"updated"`, `"moved"`), "change"},
		"order a string":           {body(`"order":{`, `"order":"","x":{`), "order"},
		"order of another":         {body(`"order":{"record_id":"recEdited00000001"`, `"order":{"record_id":"recOther"`), "order.record_id"},
		"a column missing":         {body(`"priority":"High",`, ``), "priority"},
		"name a number":            {body(`"name":"ORD-00042"`, `"name":42`), "name"},
		"amount a string":          {body(`"amount":1250.50`, `"amount":"1250.50"`), "amount"},
		"amount beyond a float":    {body(`"amount":1250.50`, `"amount":1e400`), "amount"},
		"no such day":              {body(`"order_date":"2026-11-03"`, `"order_date":"2026-11-31"`), "order_date"},
		"a date with a time":       {body(`"order_date":"2026-11-03"`, `"order_date":"2026-11-03T00:00:00Z"`), "order_date"},
		"created_at null":          {body(`"created_at":"2026-11-03T09:30:00.25Z"`, `"created_at":null`), "created_at"},
		"created_at a day":         {body(`"created_at":"2026-11-03T09:30:00.25Z"`, `"created_at":"2026-11-03"`), "created_at"},
		"created_at zero":          {body(`"created_at":"2026-11-03T09:30:00.25Z"`, `"created_at":"0001-01-01T00:00:00Z"`), "created_at"},
		"fields null":              {body(`"fields":{`, `"fields":null,"x":{`), "fields"},
		"previous a list":          {body(`"previous":{`, `"previous":[],"x":{`), "previous"},
		"previous amount a text":   {body(`"previous":{`, `"previous":{"amount":"1",`), "previous.amount"},
		"previous name a number":   {body(`"previous":{`, `"previous":{"name":1,`), "previous.name"},
		"previous date impossible": {body(`"previous":{`, `"previous":{"order_date":"2026-11-31",`), "previous.order_date"},
		"actor null":               {body(`"actor":{`, `"actor":null,"x":{`), "actor"},
		"actor without id":         {body(`"id":"usrL2k3J4h5G6f7D8",`, ``), "id"},
		"actor's email a number":   {body(`"ana@example.com"`, `1`), "email"},
		"edit_ids null":            {body(`"edit_ids":[`, `"edit_ids":null,"x":[`), "edit_ids"},
		"edit id a number":         {body(`"edit_ids":[`, `"edit_ids":[1,`), "edit_ids"},
		"edit id null":             {body(`"edit_ids":[`, `"edit_ids":[null,`), "edit_ids"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &nats.Msg{Subject: valid.Subject, Header: maps.Clone(valid.Header), Data: slices.Clone(valid.Data)}
			c.spoil(m)
			got, _, err := event.ParseOrderChanged(m.Subject, m.Header, m.Data)
			if !errors.Is(err, event.ErrMalformed) {
				t.Fatalf("%v does not wrap ErrMalformed; parsed %+v", err, got)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not name %s", err, c.says)
			}
		})
	}
}

// What the contract leaves to the writer, and what a later version may add, is read.
func TestTolerated(t *testing.T) {
	t.Parallel()
	valid := goldenMessages(t)[3]
	want, _, err := event.ParseOrderChanged(valid.Subject, valid.Header, valid.Data)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"space":           " \r\n\t" + strings.NewReplacer(`":"`, `" : "`, `,"`, " ,\n\t\"", `}`, " }").Replace(string(valid.Data)) + "\n",
		"added members":   strings.NewReplacer(`{"record_id"`, `{"later":{"a":[1,"}",{}]},"Order":null,"record_id"`).Replace(string(valid.Data)),
		"escaped names":   strings.Replace(string(valid.Data), `"record_id"`, `"record\u005fid"`, 2),
		"the last counts": strings.Replace(string(valid.Data), `"name":`, `"name":"first","name":`, 1),
	} {
		got, _, err := event.ParseOrderChanged(valid.Subject, valid.Header, []byte(body))
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, body)
			continue
		}
		got.Order.Fields = compact(t, got.Order.Fields)
		if diff := cmp.Diff(want, got, unread); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		"order.changed.recA1":              "recA1",
		"order.changed.a-b_C9":             "a-b_C9",
		"order.changed.":                   "",
		"order.changed":                    "",
		"order.changed.a.b":                "",
		"order.changed.*":                  "",
		"order.changed.>":                  "",
		"order.changed.ñ":                  "",
		"order.changed.a b":                "",
		"order.edited.recA1":               "",
		"Order.changed.recA1":              "",
		"order.changed.r\n":                "",
		event.OrderChangedSubject("recA1"): "recA1",
	} {
		got, ok := event.RecordIDOf(subject)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %t", subject, got, ok)
		}
	}
	if got := event.DeadSubject("orders", "order.changed.recA1"); got != "dead.orders.order.changed.recA1" {
		t.Error(got)
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"2026-11-03": true, "2024-02-29": true, "0001-01-01": true, "9999-12-31": true,
		"2025-02-29": false, "0000-01-01": false, "2026-1-3": false, "26-01-03": false, "12026-01-03": false,
		"2026-11-03\n": false, "2026/11/03": false, "": false, "+026-01-01": false, "٢٠٢٦-11-03": false,
	} {
		if event.ValidDate(s) != want {
			t.Errorf("ValidDate(%q) is not %t", s, want)
		}
	}
}

// Whatever arrives, nothing panics, every error is ErrMalformed, and what parses is what the schema
// describes and survives a round trip.
func FuzzParseOrderChanged(f *testing.F) {
	schema := schemaOf(f, event.OrderChangedSchema, "")
	for _, m := range goldenMessages(f) {
		f.Add(m.Subject, m.Header.Get(event.HeaderID), m.Header.Get(event.HeaderSource), m.Header.Get(event.HeaderTime), m.Data)
	}
	f.Fuzz(func(t *testing.T, subject, id, source, at string, body []byte) {
		h := nats.Header{
			event.HeaderID: {id}, event.HeaderSource: {source}, event.HeaderTime: {at}, event.HeaderType: {event.TypeOrderChanged},
		}
		c, env, err := event.ParseOrderChanged(subject, h, body)
		if err != nil {
			if !errors.Is(err, event.ErrMalformed) {
				t.Errorf("%v does not wrap ErrMalformed", err)
			}
			return
		}
		validates(t, schema, body)
		msg, err := event.NewOrderChanged(env, c)
		if err != nil {
			t.Fatalf("parsed, but not encoded: %v", err)
		}
		validates(t, schema, msg.Data)
		again, envAgain, err := event.ParseOrderChanged(msg.Subject, msg.Header, msg.Data)
		if err != nil {
			t.Fatalf("encoded, but not parsed: %v", err)
		}
		c.Order.Fields = compact(t, c.Order.Fields) // as they travel
		for name, cell := range c.Previous {
			c.Previous[name] = compact(t, cell)
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty(), unread) + cmp.Diff(env, envAgain); diff != "" {
			t.Errorf("a round trip changed (-parsed +parsed again):\n%s", diff)
		}
	})
}

func compact(t *testing.T, value json.RawMessage) json.RawMessage {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
