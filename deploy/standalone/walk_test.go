package main_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/event"
	"github.com/resonance/resonance/pkg/natsauth"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// walk does what a page of docs/how-to says, in a copy of the repository. A block of code goes where the sentence
// before it says: into a new file, or before a line of one that is there. Commands are run.
func walk(t *testing.T, page string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	duplicate(t, "../..", dir)
	blocks := regexp.MustCompile("(?m)^(.*):?\n\n```(\\w+)\n((?s:.*?))```\n")
	place := regexp.MustCompile("[iI]n `([^`]+)`(?:, before `([^`]+)`)?:$")
	for _, block := range blocks.FindAllStringSubmatch(contents(t, filepath.Join("../../docs/how-to", page)), -1) {
		sentence, language, text := block[1], block[2], block[3]
		if language == "console" { // what people see
			continue
		}
		if language == "sh" {
			for command := range strings.Lines(text) {
				run(t, dir, strings.TrimSpace(command))
			}
			continue
		}
		where := place.FindStringSubmatch(sentence)
		if where == nil {
			t.Fatalf("%s does not say where this goes: %s", page, text)
		}
		path := numbered(t, filepath.Join(dir, where[1]))
		if where[2] != "" {
			text = insert(t, contents(t, path), where[2], text)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// numbered puts the number after the last one in the folder in the place of NNNN; a file's way back has its number.
func numbered(t *testing.T, path string) string {
	t.Helper()
	dir, name := filepath.Split(path)
	rest, numbered := strings.CutPrefix(name, "NNNN_")
	if !numbered {
		return path
	}
	files, err := os.ReadDir(dir) // in their order
	if err != nil {
		t.Fatal(err)
	}
	last := files[len(files)-1].Name()
	number, err := strconv.Atoi(last[:len("NNNN")])
	if err != nil {
		t.Fatal(err)
	}
	if stem, _, _ := strings.Cut(rest, "."); !strings.Contains(last, "_"+stem+".") {
		number++
	}
	return filepath.Join(dir, fmt.Sprintf("%04d_%s", number, rest))
}

// insert puts a text before the line with mark, or before the element of a list that begins on the line above it.
func insert(t *testing.T, source, mark, text string) string {
	t.Helper()
	at := strings.Index(source, mark)
	if at < 0 || strings.Count(source, mark) != 1 {
		t.Fatalf("%q is there %d times", mark, strings.Count(source, mark))
	}
	at = strings.LastIndex(source[:at], "\n") + 1
	if element := "\t{\n"; strings.HasSuffix(source[:at], element) {
		at -= len(element)
	}
	return source[:at] + text + source[at:]
}

// duplicate copies the sources; the packages of Node are shared.
func duplicate(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		into := filepath.Join(to, name)
		switch {
		case entry.IsDir() && slices.Contains([]string{".git", ".bin", ".data"}, entry.Name()):
			return fs.SkipDir
		case entry.Name() == "node_modules":
			original, err := filepath.Abs(path)
			if err == nil {
				err = os.Symlink(original, into)
			}
			if err == nil && entry.IsDir() {
				err = fs.SkipDir
			}
			return err
		case entry.IsDir():
			return os.MkdirAll(into, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(into, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// The walk that adds a column leads to a product that has it, everywhere.
func TestAddAColumn(t *testing.T) {
	env := world(t)
	dir := walk(t, "add-a-column.md")
	product := filepath.Join(dir, "resonance")
	run(t, dir, "go build -o "+product+" ./deploy/standalone")

	sandbox, endpoint := airtabletest.Start(t, airtabletest.Config{Orders: 12, RatePerSecond: -1})
	_, err := sandbox.AddField(airtabletest.Field{Name: "Region", Type: airtabletest.SingleLineText})
	if err != nil {
		t.Fatal(err)
	}
	ids := sandbox.RecordIDs()
	for i, region := range []string{"North", "South"} {
		if err := sandbox.UpdateRecord(ids[i], airtabletest.Fields{"Region": region}); err != nil {
			t.Fatal(err)
		}
	}
	env["AIRTABLE_ENDPOINT_URL"], env["AIRTABLE_API_KEY"] = endpoint, sandbox.Config().APIKey
	env["AIRTABLE_BASE_ID"], env["AIRTABLE_TABLE_ID"] = sandbox.Config().BaseID, sandbox.Config().TableID
	env["ADMIN_PASSWORD"] = "correct horse battery"

	// The product of before has stored the orders already.
	p := launch(t, env)
	p.ready()
	c := client{p, p.login(env["ADMIN_PASSWORD"])}
	p.until("all orders", func() bool { return p.total(c.token) == 12 })
	if code, _ := p.signal(os.Interrupt); code != 0 {
		t.Fatalf("exit %d", code)
	}
	p = launchAt(t, product, env)
	p.ready()
	c = client{p, p.login(env["ADMIN_PASSWORD"])}
	p.until("the orders with a region", func() bool { return len(c.orders("region_nnull=true")) == 2 })
	if n := c.events(); n != 12+2 {
		t.Errorf("%d events: those of orders without a region say nothing new", n)
	}

	// It is served, and can be filtered and sorted by.
	for query, want := range map[string]string{
		"region=North": ids[0], "region_like=sOUt": ids[1], "region_nnull=true&region_ne=South": ids[0],
		"sort=region&page_size=1": ids[0], "sort=-region&page_size=1": ids[1],
	} {
		if got := c.orders(query); len(got) != 1 || got[0].RecordID != want {
			t.Errorf("%s: %+v", query, got)
		}
	}
	c.refused("region_like=" + strings.Repeat("x", 201))

	// An edit of it reaches Airtable, and counts as a change for who has read the order before.
	before := c.order(ids[0])
	if before.Region == nil || *before.Region != "North" {
		t.Fatalf("%+v", before)
	}
	c.patch(ids[0], `{"region":"West"}`, http.StatusOK, "Prefer", "wait=20")
	if got := c.order(ids[0]); *got.Region != "West" || got.Edit.State != event.Applied || got.tag == before.tag {
		t.Errorf("%+v", got)
	}
	if rec, _ := sandbox.Record(ids[0]); rec.Fields["Region"] != "West" {
		t.Errorf("Airtable has %+v", rec.Fields)
	}
	c.patch(ids[0], `{"region":"East"}`, http.StatusPreconditionFailed, "If-Match", before.tag)
	c.patch(ids[0], `{"colour":"red"}`, http.StatusBadRequest)

	c.patch(ids[1], `{"status":"Sent","priority":"Low","region":"Centre"}`, http.StatusOK, "Prefer", "wait=20")
	if rec, _ := sandbox.Record(ids[1]); rec.Fields["Region"] != "Centre" || rec.Fields["Status"] != "Sent" || rec.Fields["Priority"] != "Low" {
		t.Errorf("Airtable has %+v", rec.Fields)
	}

	// The event says what it was and is.
	msg := c.newest(ids[0])
	var changed struct {
		Order    struct{ Region *string }
		Previous map[string]string
		EditIDs  []string `json:"edit_ids"`
	}
	if err := json.Unmarshal(msg.Data, &changed); err != nil || changed.Order.Region == nil || *changed.Order.Region != "West" ||
		changed.Previous["region"] != "North" || len(changed.EditIDs) != 1 {
		t.Errorf("%v: %s", err, msg.Data)
	}

	// So does the file, and so do the descriptions.
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(c.get("/api/orders/export.csv?region=West")), "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][slices.Index(rows[0], "region")] != "West" {
		t.Errorf("%v: %q", err, rows)
	}
	spanish := string(c.get("/api/orders/export.csv?lang=es"))
	if head, _, _ := strings.Cut(spanish, "\r\n"); !strings.Contains(head, ";Región;") {
		t.Errorf("%s", head)
	}
	var described struct{ Data []json.RawMessage }
	c.decode("/api/orders/columns", &described)
	if want := `{"name":"region","title":"Region","kind":"text","filterable":true,"sortable":true,"editable":true}`; !slices.ContainsFunc(described.Data,
		func(c json.RawMessage) bool { return string(c) == want }) {
		t.Errorf("columns: %s", described.Data)
	}
	var document struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
		Paths map[string]map[string]struct{ Parameters []struct{ Name string } }
	}
	c.decode("/openapi.json", &document)
	for _, name := range []string{"Order", "OrderValues", "OrderEdit"} {
		if document.Components.Schemas[name].Properties["region"] == nil {
			t.Errorf("the document's %s has no region", name)
		}
	}
	if !slices.ContainsFunc(document.Paths["/api/orders"]["get"].Parameters, func(p struct{ Name string }) bool { return p.Name == "region_like" }) {
		t.Error("the document has no filter by region")
	}
	for path, says := range map[string]string{
		"web/provider/src/columns.ts": `name: "region"`, "web/provider/src/api.d.ts": "region_like?: string;", "pkg/event/schema/order.changed.schema.json": `"region"`, ".env.example": "AIRTABLE_FIELD_REGION=",
		"README.md": "`_REGION`", "docker-compose.yml": "AIRTABLE_FIELD_REGION:", "pkg/event/testdata/golden/1-created.txt": `"region":null`,
	} {
		if _, err := os.Stat("../../web/node_modules"); err != nil && strings.HasSuffix(path, ".d.ts") { // needs Node
			continue
		}
		if !strings.Contains(contents(t, filepath.Join(dir, path)), says) {
			t.Errorf("%s does not say %s", path, says)
		}
	}
}

// client asks the product.
type client struct {
	*process
	token string
}

type walked struct {
	RecordID string `json:"record_id"`
	Region   *string
	Edit     struct{ State event.EditState }
	tag      string
}

type answer struct {
	status int
	tag    string
	body   []byte
}

func (c client) do(method, path, body string, header ...string) answer {
	c.Helper()
	req, err := http.NewRequestWithContext(c.Context(), method, "http://"+c.env["HTTP_ADDR"]+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.Fatal(err)
	}
	return answer{res.StatusCode, res.Header.Get("ETag"), text}
}

func (c client) get(path string) []byte {
	c.Helper()
	a := c.do(http.MethodGet, path, "")
	if a.status != http.StatusOK {
		c.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return a.body
}

func (c client) decode(path string, into any) {
	c.Helper()
	if err := json.Unmarshal(c.get(path), into); err != nil {
		c.Fatalf("%s: %v", path, err)
	}
}

func (c client) orders(query string) []walked {
	c.Helper()
	var page struct{ Data []walked }
	body := c.get("/api/orders?page=1&" + query)
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&page); err != nil {
		c.Fatalf("%s: %v", query, err)
	}
	return page.Data
}

func (c client) refused(query string) {
	c.Helper()
	if a := c.do(http.MethodGet, "/api/orders?"+query, ""); a.status != http.StatusBadRequest || !strings.Contains(string(a.body), "region") {
		c.Errorf("%s: %d %s", query, a.status, a.body)
	}
}

func (c client) order(id string) (o walked) {
	c.Helper()
	a := c.do(http.MethodGet, "/api/orders/id/"+id, "")
	if err := json.Unmarshal(a.body, &o); err != nil || a.status != http.StatusOK {
		c.Fatalf("%s: %d %s", id, a.status, a.body)
	}
	o.tag = a.tag
	return o
}

func (c client) patch(id, body string, status int, header ...string) {
	c.Helper()
	if a := c.do(http.MethodPatch, "/api/orders/id/"+id, body, header...); a.status != status {
		c.Errorf("%s: %d %s", body, a.status, a.body)
	}
}

// newest is the newest event of an order.
func (c client) newest(id string) *jetstream.RawStreamMsg {
	c.Helper()
	msg, err := c.stream().GetLastMsgForSubject(c.Context(), event.OrderChangedSubject(id))
	if err != nil {
		c.Fatalf("newest event of %s: %v", id, err)
	}
	return msg
}

// events is how many events there are.
func (c client) events() int { return int(c.stream().CachedInfo().State.Msgs) }

func (c client) stream() jetstream.Stream {
	c.Helper()
	nkey, err := nats.NkeyOptionFromSeed(filepath.Join(c.env["DATA_DIR"], "nats-keys", natsauth.Operator, natsauth.SeedFile))
	if err != nil {
		c.Fatal(err)
	}
	nc, err := nats.Connect(c.env["NATS_ADDR"], nkey)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		c.Fatal(err)
	}
	stream, err := js.Stream(c.Context(), bus.StreamOrders)
	if err != nil {
		c.Fatal(err)
	}
	return stream
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
