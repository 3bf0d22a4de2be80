package airtabletest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// everything is what a sandbox shows, webhooks with their payloads and the quota included.
func everything(t *testing.T, s *Server) string {
	t.Helper()
	var all strings.Builder
	all.WriteString(shown(t, s))
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, h := range s.base.hooks {
		fmt.Fprintf(&all, "%s\n%s\n", mustJSON(h), mustJSON(h.payloads))
	}
	fmt.Fprintln(&all, s.base.transactions)
	return all.String()
}

// allSpec watches everything and includes everything.
const allSpec = `{"specification":{"options":{"filters":{"dataTypes":["tableData","tableFields","tableMetadata"]},` +
	`"includes":{"includeCellValuesInFieldIds":"all","includePreviousCellValues":true}}}}`

// hookOf creates a webhook past HTTP and returns its id.
func hookOf(t *testing.T, s *Server) string {
	t.Helper()
	rep := s.createHook(&request{body: []byte(allSpec)})
	var made struct{ ID string }
	ok(t, json.Unmarshal(rep.body, &made))
	if rep.status != http.StatusOK {
		t.Fatalf("%s", rep.body)
	}
	return made.ID
}

func TestJournalKeepsAll(t *testing.T) {
	t.Parallel()
	cfg := fileConfig(t)
	clock := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	cfg.Now = func() time.Time { return clock }
	s := New(cfg)
	s.keepFile()
	same := func(step string) {
		t.Helper()
		if a, b := everything(t, s), everything(t, New(cfg)); a != b {
			t.Fatalf("%s: before\n%s\nafter\n%s", step, a, b)
		}
	}
	ids := s.RecordIDs()
	first, second := hookOf(t, s), hookOf(t, s)
	ok(t, s.UpdateRecord(ids[0], Fields{"Notes": "\"é\"\n\u2028", "Amount": -0.1, "Customer": nil}))
	same("update")
	last := must[string](t)(s.CreateRecord(Fields{"Order": "New", "Tags": []string{"Web"}}))
	s.DeleteRecords(ids[1], ids[2])
	same("create, delete")
	must[string](t)(s.AddField(Field{Name: "Due", Type: DateTime}))
	must[string](t)(s.AddField(Field{Name: "Sum", Type: Formula, Formula: "{Amount} & '!'"}))
	ok(t,
		s.UpdateRecord(last, Fields{"Due": "2026-11-03T10:20:30.456Z"}),
		s.AddChoice("Status", "Lost"),
		s.UpdateRecord(last, Fields{"Status": "Lost"}),
		s.RemoveChoice("Status", "Sent"),
		s.RemoveChoice("Tags", "Export"),
		s.RenameField("Amount", "Total"),
		s.DeleteField("Email"),
		s.RenameField("Notes", "Email"),
		s.LockField("Order", true),
	)
	same("schema")
	ok(t, s.ConvertToFormula("Priority", "{Status}&'?'"))
	s.RenameTable("Old orders")
	same("formula")
	customers := must[*Table](t)(s.AddTable("Customers", Field{Name: "Name", Type: SingleLineText}, Field{Name: "Orders", Type: MultipleRecordLinks, LinkedTable: "Old orders"}))
	one := must[string](t)(customers.CreateRecord(Fields{"Name": "One", "Orders": []string{last, ids[5]}}))
	must[string](t)(s.AddField(Field{Name: "Who", Type: Lookup, Link: "Customers", Target: "Name"}))
	must[string](t)(s.AddField(Field{Name: "Whos", Type: Rollup, Link: "Customers", Target: "Name", Formula: "COUNTA(values)"}))
	same("table")
	must[string](t)(customers.CreateRecord(Fields{"Name": "Two", "Orders": []string{last}}))
	s.DeleteRecords(ids[5])
	ok(t, customers.UpdateRecord(one, Fields{"Name": "Uno"}))
	customers.RenameTable("Clients")
	same("linked")
	ok(t, s.save())
	same("linked, saved")
	ok(t, customers.ConvertToText("Orders"), s.ConvertToText("Status"))
	same("texts")
	ok(t, s.SkipPayloads(first, 3), s.ForgetPayloads(first), s.RemoveWebhook(second), s.UpdateRecord(last, Fields{"Paid": true}),
		s.AddErrorPayload(first, CodeInvalidFilters))
	s.SetQuota(0, 77)
	clock = clock.Add(time.Hour)
	same("webhooks")
	if a, b := s.Quota(), New(cfg).Quota(); a != b || a.Used < 77 {
		t.Errorf("%+v, %+v", a, b)
	}
	ok(t, s.save())
	same("saved")
	ok(t, s.UpdateRecord(last, Fields{"Paid": false}))
	same("saved and changed")

	again := New(cfg)
	again.keepFile()
	ok(t, again.UpdateRecord(last, Fields{"Customer": "x"}))
	if a, b := everything(t, again), everything(t, New(cfg)); a != b {
		t.Errorf("before\n%s\nafter the second run\n%s", a, b)
	}
}

func TestJournalSpoiled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tail  string
		aside bool
	}{
		"torn":           {`{"records":[{"id":"rec`, false},
		"whole, no end":  {`{"destroyed":[]}`, false},
		"no JSON":        {"hello\n", true},
		"bad record":     {`{"records":[{"table":"tblResonanceOrder","id":"row"}]}` + "\n", true},
		"bad field":      {`{"records":[{"table":"tblResonanceOrder","id":"recAAAAAAAAAAAAAA","fields":{"fldNone":1}}]}` + "\n", true},
		"bad table":      {`{"tables":[{"id":"tblX","fields":[{"id":"fldX","name":"x","type":"magic"}]}]}` + "\n", true},
		"bad webhook":    {`{"hooks":[{"id":"ach","specification":3}]}` + "\n", true},
		"unknown things": {`{"destroyed":["recNone"],"dropped":"ach","payloads":{"ach":[{"cursor":1}]}}` + "\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fileConfig(t)
			cfg.Log = slog.New(slog.DiscardHandler)
			s := New(cfg)
			s.keepFile()
			ok(t, s.UpdateRecord(s.RecordIDs()[0], Fields{"Notes": "kept"}))
			s.journal.close()
			name := segment(cfg.File, s.journal.last)
			text := append(must[[]byte](t)(os.ReadFile(name)), c.tail...)
			ok(t, os.WriteFile(name, text, 0o600))
			again := New(cfg)
			if got := again.Records()[0].Fields["Notes"] == "kept"; got == c.aside {
				t.Errorf("kept: %v", got)
			}
			if _, err := os.Stat(segment(cfg.File+".old", s.journal.last)); (err == nil) != c.aside {
				t.Errorf("set aside: %v", err)
			}
			again.keepFile()
			ok(t, again.UpdateRecord(again.RecordIDs()[1], Fields{"Notes": "later"}))
			if third := New(cfg); third.Records()[1].Fields["Notes"] != "later" {
				t.Error("what came after is lost")
			}
		})
	}
}

// TestMain serves a sandbox for TestKill when asked to.
func TestMain(m *testing.M) {
	if file := os.Getenv("AIRTABLETEST_SERVE"); file != "" {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println("http://" + ln.Addr().String())
		s := New(Config{Orders: 200, RatePerSecond: -1, MonthlyLimit: 1_000_000, File: file})
		panic(s.Serve(context.Background(), ln))
	}
	os.Exit(m.Run())
}

// TestKill kills the sandbox with SIGKILL right after its answers: all that it
// answered is there in the next one, and no request it did not carry out.
func TestKill(t *testing.T) {
	t.Parallel()
	cfg := fileConfig(t)
	config := New(Config{}).Config()
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}   // notes by id
	linked := map[string]string{} // the order of a parcel, by id
	hook, payloads, calls := "", 0, 0
	for round := range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "AIRTABLETEST_SERVE="+cfg.File)
		cmd.Stderr = t.Output()
		out := must[io.ReadCloser](t)(cmd.StdoutPipe())
		ok(t, cmd.Start())
		line := make([]byte, 64)
		n := must[int](t)(out.Read(line))
		endpoint := strings.TrimSpace(string(line[:n]))
		call := func(method, path string, body any) map[string]any {
			t.Helper()
			r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, endpoint+path, bytes.NewReader(mustJSON(body))))
			r.Header.Set("Authorization", "Bearer "+config.APIKey)
			r.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(r)
			ok(t, err)
			defer res.Body.Close()
			raw := must[[]byte](t)(io.ReadAll(res.Body))
			if res.StatusCode != http.StatusOK {
				t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, raw)
			}
			var answer map[string]any
			ok(t, json.Unmarshal(raw, &answer))
			if !strings.HasPrefix(path, controlPath) {
				calls++
			}
			return answer
		}
		table, parcels, hooks := "/v0/"+config.BaseID+"/"+config.TableID, "/v0/"+config.BaseID+"/Parcels", "/v0/bases/"+config.BaseID+"/webhooks"
		if round == 0 {
			call(http.MethodPost, "/v0/meta/bases/"+config.BaseID+"/tables", object{"name": "Parcels", "fields": []object{
				{"name": "Code", "type": SingleLineText}, {"name": "Order", "type": MultipleRecordLinks, "options": object{"linkedTableId": config.TableID}},
			}})
			hook, _ = call(http.MethodPost, hooks, json.RawMessage(allSpec))["id"].(string)
		}
		for parcel, order := range linked {
			there := call(http.MethodGet, parcels+"/"+parcel, nil)["fields"].(map[string]any)["Order"]
			back := call(http.MethodGet, table+"/"+order, nil)["fields"].(map[string]any)["Parcels"].([]any)
			if fmt.Sprint(there) != fmt.Sprint([]string{order}) || !slices.Contains(back, any(parcel)) {
				t.Fatalf("round %d: %s links to %v, and %s to %v", round, parcel, there, order, back)
			}
		}
		for id, notes := range want {
			if got, _ := call(http.MethodGet, table+"/"+id, nil)["fields"].(map[string]any)["Notes"].(string); got != notes {
				t.Fatalf("round %d: %s has %q, not %q", round, id, got, notes)
			}
		}
		if q := call(http.MethodGet, controlPath+"quota", nil); q["used"] != float64(calls) {
			t.Fatalf("round %d: quota %v, not %d", round, q, calls)
		}
		if got := call(http.MethodGet, hooks, nil)["webhooks"].([]any)[0].(map[string]any); got["id"] != hook || got["cursorForNextPayload"] != float64(payloads+1) {
			t.Fatalf("round %d: %v, not %d payloads", round, got, payloads)
		}
		if payloads > 0 {
			got := call(http.MethodGet, fmt.Sprintf("%s/%s/payloads?cursor=%d", hooks, hook, payloads), nil)["payloads"].([]any)
			if len(got) != 1 {
				t.Fatalf("round %d: %d payloads", round, len(got))
			}
		}
		ids := slices.Collect(func(yield func(string) bool) {
			for _, r := range call(http.MethodGet, table, nil)["records"].([]any) {
				if !yield(r.(map[string]any)["id"].(string)) {
					return
				}
			}
		})
		for i := range 20 {
			id, notes := ids[rng.IntN(len(ids))], fmt.Sprint(round, "-", i)
			if i%7 == 3 {
				made := call(http.MethodPost, table, object{"fields": object{"Notes": notes}})
				id = made["id"].(string)
			} else {
				call(http.MethodPatch, table, object{"records": []object{{"id": id, "fields": object{"Notes": notes}}}})
			}
			want[id] = notes
			payloads++
			if i%7 == 5 {
				parcel := call(http.MethodPost, parcels, object{"fields": object{"Code": notes, "Order": []string{id}}})
				linked[parcel["id"].(string)] = id
				payloads++
			}
		}
		ok(t, cmd.Process.Kill())
		_ = cmd.Wait() // was killed
	}
}

// FuzzJournal: no line of a journal breaks the loader, and what it takes can be shown.
func FuzzJournal(f *testing.F) {
	seed := New(Config{Orders: 2, Now: func() time.Time { return time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC) }})
	id, field := seed.RecordIDs()[0], seed.t.columns[2].ID
	for _, line := range []string{
		`{"transactions":3,"records":[{"table":"` + seed.t.id + `","id":"` + id + `","number":1,"fields":{"` + field + `":"Sent"}}],"destroyed":["` + id + `"]}`,
		`{"tables":[{"id":"` + seed.t.id + `","name":"x","fields":[{"id":"` + field + `","name":"y","type":"formula","formula":"1+1"}]}]}`,
		`{"tables":[{"id":"tblNew","fields":[{"id":"` + field + `","name":"y","type":"singleSelect","choices":["a"],"choice_ids":["selA"]}]}]}`,
		`{"tables":[{"id":"tblNew","fields":[{"id":"fldP","name":"p","type":"url"},{"id":"fldL","name":"l","type":"multipleRecordLinks","linked_table":"` + seed.t.id +
			`","inverse":"fldNone"},{"id":"fldC","name":"c","type":"rollup","link":"fldL","target":"` + field + `","formula":"SUM(values)"}]}],` +
			`"records":[{"table":"tblNew","id":"recAAAAAAAAAAAAAA","fields":{"fldL":["` + id + `","recNNNNNNNNNNNNNN"]}}]}`,
		`{"hooks":[{"id":"ach","specification":{"options":{"filters":{"dataTypes":["tableData"]}}},"next":4,"first":9}],"payloads":{"ach":[{"cursor":3,"body":{}}]}}`,
		`{"dropped":"ach","quota":{"used":1}}`, `{"records":[null]}`, `{"hooks":[null]}`, `[]`,
	} {
		f.Add([]byte(line))
	}
	head := savedBase{Tables: []savedTable{seed.t.saved()}}
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := newLoader(&head)
		ok(t, err)
		var e entry
		if json.Unmarshal(line, &e) != nil || l.apply(&e) != nil || l.base.checkLinks() != nil {
			return
		}
		s := New(Config{Orders: 0})
		l.base.links, l.base.now = s.links, s.now
		s.base, s.t = l.base, l.base.tables[0]
		s.t.sweep()
		for _, rep := range []reply{s.listHooks(nil), s.tables(&request{base: s.cfg.BaseID, http: &http.Request{URL: &url.URL{}}})} {
			if !json.Valid(rep.body) {
				t.Fatalf("%s", rep.body)
			}
		}
		for _, table := range s.base.tables {
			(&Table{s, table}).Records()
		}
	})
}

// FuzzWebhooks: no specification and no query breaks webhooks, and every answer is JSON.
func FuzzWebhooks(f *testing.F) {
	for _, seed := range []string{
		allSpec, `{"specification":{"options":{"filters":{"dataTypes":["tableData"],"watchDataInFieldIds":[null]}}}}`,
		`{"specification":null,"notificationUrl":null}`, `{"specification":{"options":{"includes":{"includeCellValuesInFieldIds":["all"]}}}}`,
		`{"notificationUrl":"http://[::1]:namedport","specification":{}}`, "cursor=1&limit=50", "cursor=9223372036854775807", "limit=1e1", "cursor=-1;limit=%zz",
	} {
		f.Add(seed)
	}
	s := New(Config{Orders: 2})
	hook := ""
	f.Fuzz(func(t *testing.T, in string) {
		if hook == "" {
			hook = hookOf(t, s)
		}
		before := len(s.base.hooks)
		made := s.createHook(&request{body: []byte(in)})
		ok(t, s.UpdateRecord(s.RecordIDs()[0], Fields{"Notes": in[:min(len(in), 50)]}))
		listed := s.listPayloads(&request{webhook: hook, http: &http.Request{URL: &url.URL{RawQuery: in}}})
		for _, rep := range []reply{made, listed, s.listHooks(nil)} {
			if !json.Valid(rep.body) || rep.status != http.StatusOK && rep.status/100 != 4 {
				t.Fatalf("%d %s", rep.status, rep.body)
			}
		}
		s.mu.Lock()
		s.base.hooks = s.base.hooks[:before]
		s.mu.Unlock()
	})
}
