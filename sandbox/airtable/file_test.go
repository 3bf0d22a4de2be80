package airtabletest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func fileConfig(t *testing.T) Config {
	t.Helper()
	return Config{
		Orders: 40, RatePerSecond: -1, File: filepath.Join(t.TempDir(), "airtable.json"),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// shown is all that the API shows of a sandbox.
func shown(t *testing.T, s *Server) string {
	t.Helper()
	var all strings.Builder
	get := func(path string) []byte {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+s.cfg.APIKey)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		all.WriteString(w.Body.String() + "\n")
		return w.Body.Bytes()
	}
	get("/v0/meta/whoami")
	get("/v0/meta/bases/" + s.cfg.BaseID + "/tables")
	for _, table := range s.base.tables {
		for offset, more := "", true; more; {
			m := offsetPattern.FindSubmatch(get("/v0/" + s.cfg.BaseID + "/" + table.id + "?pageSize=100&offset=" + offset))
			if more = m != nil; more {
				offset = string(m[1])
			}
		}
	}
	return all.String()
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileKeepsAll(t *testing.T) {
	t.Parallel()
	cfg := fileConfig(t)
	s := New(cfg)
	ids := s.RecordIDs()
	add := func(f Field) { must[string](t)(s.AddField(f)) }
	add(Field{Name: "Due", Type: DateTime})
	add(Field{Name: "Share", Type: Percent, Precision: 1})
	add(Field{Name: "Gone", Type: SingleSelect, Choices: []string{"a"}})
	add(Field{Name: "Sum", Type: Formula, Formula: "{Amount} & '{Amount}' & {Gone}"})
	add(Field{Name: "Seen", Type: LastModifiedTime, Watches: []string{"Notes", "Gone"}})
	ok(t,
		s.AddChoice("Status", "Lost, found"),
		s.AddChoice("Tags", "Lost, found"),
		s.UpdateRecord(ids[0], Fields{"Status": "Lost, found", "Tags": []string{"Web", "Lost, found"}, "Notes": "\"é\"\n\u2028", "Amount": -0.1}),
		s.UpdateRecord(ids[1], Fields{"Due": "2026-11-03T10:20:30.456Z", "Share": 1.0 / 3, "Paid": true, "Gone": "a"}),
		s.UpdateRecord(ids[2], Fields{"Customer": nil, "Status": nil, "Tags": nil, "Paid": false}),
		s.RenameField("Amount", "Total"),
		s.DeleteField("Gone"),
		s.RenameField("Share", "Gone"),
	)
	s.RenameTable("Old orders")
	last := must[string](t)(s.CreateRecord(Fields{"Order": "New", "Order date": "2026-11-03"}))
	unseen := must[string](t)(s.CreateRecord(nil))
	s.DeleteRecords(ids[3], unseen)
	ok(t, s.save())

	again := New(cfg)
	if a, b := shown(t, s), shown(t, again); a != b {
		t.Errorf("before\n%s\nafter\n%s", a, b)
	}
	ok(t, again.save()) // what was loaded can be saved and loaded, too
	if a, b := shown(t, s), shown(t, New(cfg)); a != b {
		t.Errorf("before\n%s\nafter the second time\n%s", a, b)
	}

	next := must[string](t)(again.CreateRecord(nil))
	if slices.Contains(append(ids, last, unseen), next) {
		t.Errorf("id %s was given before", next)
	}
	before, _ := s.Record(last)
	after, _ := again.Record(next)
	if a, b := before.Fields["Number"].(float64), after.Fields["Number"].(float64); b != a+2 {
		t.Errorf("autonumber %v after %v and one that is deleted", b, a)
	}
}

func TestFileIsWrittenAfterChanges(t *testing.T) {
	t.Parallel()
	cfg := fileConfig(t)
	cfg.File = filepath.Join(filepath.Dir(cfg.File), "data", "airtable.json") // a directory that is not there yet
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	synctest.Test(t, func(t *testing.T) {
		s := New(cfg)
		s.keepFile()
		if !strings.Contains(log.String(), "not saved yet") {
			t.Fatalf("log: %s", &log)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.persist(ctx) }()
		wait := func(d time.Duration) { // of the bubble's clock
			time.Sleep(d)
			synctest.Wait()
		}
		edit := func(notes string) { ok(t, s.UpdateRecord(s.RecordIDs()[0], Fields{"Notes": notes})) }
		read := func() string { text, _ := os.ReadFile(cfg.File); return string(text) }
		kept := func() any { return New(cfg).Records()[0].Fields["Notes"] }

		edit("first")
		ok(t, os.Mkdir(filepath.Dir(cfg.File), 0o700))
		wait(time.Minute)
		if text := read(); !strings.Contains(text, `"first"`) {
			t.Fatalf("not saved after the directory came back: %s", text)
		}
		edit("second")
		if kept() != "second" {
			t.Error("not kept at once")
		}
		wait(10 * saveEvery)
		if strings.Contains(read(), `"second"`) {
			t.Error("one small change rewrites the file")
		}
		for s.journal.size < compactAt {
			edit(strings.Repeat(strconv.Itoa(int(s.journal.size)), 9000))
		}
		edit("third")
		wait(2 * saveEvery)
		if numbers, _ := segments(cfg.File); !strings.Contains(read(), `"third"`) || len(numbers) != 1 || s.journal.size > 0 {
			t.Errorf("a long journal was not folded into the file: %v", numbers)
		}
		edit("fourth")
		cancel()
		if err := <-done; err != nil || !strings.Contains(read(), `"fourth"`) {
			t.Errorf("not saved at the end: %v", err)
		}
		if numbers, _ := segments(cfg.File); len(numbers) != 0 {
			t.Errorf("the journal stays: %v", numbers)
		}
	})
}

func TestServeSavesAtItsEnd(t *testing.T) {
	t.Parallel()
	cfg := fileConfig(t)
	run := func(use func(s *Server, url string)) error {
		var lc net.ListenConfig
		ln := must[net.Listener](t)(lc.Listen(t.Context(), "tcp", "127.0.0.1:0"))
		s := New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, ln) }()
		use(s, "http://"+ln.Addr().String())
		cancel()
		return <-done
	}
	ok(t, run(func(s *Server, url string) {
		body := strings.NewReader(`{"typecast":true,"fields":{"Status":"Overdue"}}`)
		r := must[*http.Request](t)(http.NewRequest(http.MethodPatch, url+"/v0/"+s.cfg.BaseID+"/"+s.cfg.TableID+"/"+s.RecordIDs()[7], body))
		r.Header.Set("Authorization", "Bearer "+s.cfg.APIKey)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		ok(t, err)
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}))
	err := run(func(s *Server, _ string) {
		if r := s.Records()[7]; r.Fields["Status"] != "Overdue" {
			t.Errorf("the edit is gone: %v", r)
		}
		err := os.RemoveAll(filepath.Dir(cfg.File))
		for range 100 { // a save under way may put a file there meanwhile
			if err == nil {
				break
			}
			err = os.RemoveAll(filepath.Dir(cfg.File))
		}
		ok(t, err)
		s.RenameTable("Lost")
	})
	if err == nil {
		t.Error("that the last changes could not be saved is kept a secret")
	}
}

func TestFileSetAside(t *testing.T) {
	t.Parallel()
	cfg := fileConfig(t)
	first := New(cfg)
	first.RenameTable("Mine")
	ok(t, first.save())
	good := string(must[[]byte](t)(os.ReadFile(cfg.File)))
	line := strings.Split(good, "\n")[1]
	for name, text := range map[string]string{
		"nothing":       "",
		"no JSON":       "hello",
		"other JSON":    `{"records":[]}`,
		"cut":           good[:len(good)/2],
		"no end":        strings.TrimSuffix(good, "]}\n"),
		"twice":         strings.Replace(good, line, line+line, 1),
		"bad id":        strings.Replace(good, `"id":"rec`, `"id":"row`, 1),
		"bad cell":      strings.Replace(good, `"fields":{"fld`, `"fields":{"flx`, 1),
		"bad value":     regexp.MustCompile(`"`+first.t.columns[2].ID+`":"[^"]+"`).ReplaceAllString(good, `"`+first.t.columns[2].ID+`":{}`),
		"bad type":      strings.Replace(good, `"type":"currency"`, `"type":"money"`, 1),
		"field twice":   strings.Replace(good, first.t.columns[1].ID, first.t.columns[0].ID, 1),
		"choices' ids":  strings.Replace(good, `"choice_ids":[`, `"choice_ids":["sel",`, 1),
		"other samples": strings.Replace(good, `"orders":40`, `"orders":41`, 1),
		"other base":    strings.Replace(good, `"base":"app`, `"base":"apx`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if text == good {
				t.Fatal("not spoiled")
			}
			cfg := fileConfig(t)
			var log bytes.Buffer
			cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			ok(t, os.WriteFile(cfg.File, []byte(text), 0o600))
			s := New(cfg)
			if s.TableName() != "Orders" || s.Len() != 40 {
				t.Errorf("%s with %d records", s.TableName(), s.Len())
			}
			aside := must[[]byte](t)(os.ReadFile(cfg.File + ".old"))
			if string(aside) != text || !strings.Contains(log.String(), "set aside") {
				t.Errorf("aside: %s\nlog: %s", aside, &log)
			}
			ok(t, s.save())
			if _, err := load(&s.cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSaveDuringChanges loads every file that is written while others create, change and delete.
func TestSaveDuringChanges(t *testing.T) {
	t.Parallel()
	cfg := fileConfig(t)
	cfg.Orders = 3 * saveChunk
	s := New(cfg)
	ids := s.RecordIDs()
	hookOf(t, s)
	edited := make(chan struct{})
	go func() {
		defer close(edited)
		for i := range 900 {
			switch i % 3 {
			case 0:
				s.DeleteRecords(ids[i])
			case 1:
				_ = s.UpdateRecord(ids[len(ids)-i], Fields{"Notes": "edited"}) // may be deleted
			case 2:
				_, _ = s.CreateRecord(Fields{"Order": "new"})
			}
			if i%100 == 0 {
				_ = s.AddChoice("Status", strconv.Itoa(i))
				_ = s.UpdateRecord(ids[len(ids)-1], Fields{"Status": strconv.Itoa(i)})
				_, _ = s.AddField(Field{Name: strconv.Itoa(i), Type: Number})
			}
		}
	}()
	for during := true; during; {
		select {
		case <-edited:
			during = false
		default:
		}
		ok(t, s.save())
		if _, err := load(&s.cfg); err != nil {
			t.Error(err)
		}
	}
	want := everything(t, s)
	for _, state := range []string{"the journal", "the last file"} {
		if everything(t, New(cfg)) != want {
			t.Errorf("%s is not the base", state)
		}
		ok(t, s.save())
	}
}
