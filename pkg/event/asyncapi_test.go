package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/resonance/resonance/pkg/event"
)

// document is docs/asyncapi.yaml, as far as these tests look into it.
type document struct {
	Streams []struct {
		Name     string   `yaml:"name"`
		Subjects []string `yaml:"subjects"`
	} `yaml:"x-streams"`
	Channels map[string]struct {
		Address string `yaml:"address"`
		Stream  string `yaml:"x-stream"`
	} `yaml:"channels"`
	Components struct {
		Messages map[string]struct {
			Examples []example `yaml:"examples"`
		} `yaml:"messages"`
		Schemas map[string]struct {
			Properties map[string]any `yaml:"properties"`
			AllOf      []struct {
				Properties map[string]any `yaml:"properties"`
			} `yaml:"allOf"`
		} `yaml:"schemas"`
	} `yaml:"components"`

	location string // as a URL
	tree     any    // as JSON
}

type example struct {
	Name    string            `yaml:"name"`
	Headers map[string]string `yaml:"headers"`
	Payload any               `yaml:"payload"`
}

// message is the example as it would be read from NATS.
func (e example) message(t *testing.T) *nats.Msg {
	t.Helper()
	body, err := json.Marshal(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	m := &nats.Msg{Subject: e.Headers[event.HeaderType] + "." + e.Headers[event.HeaderSubject], Header: nats.Header{}, Data: body}
	for key, value := range e.Headers {
		m.Header.Set(key, value)
	}
	return m
}

// describes reports whether the headers of order.changed have one of that name.
func (d document) describes(header string) bool {
	_, common := d.Components.Schemas["cloudEventHeaders"].Properties[header]
	for _, s := range d.Components.Schemas["orderChangedHeaders"].AllOf {
		_, own := s.Properties[header]
		common = common || own
	}
	return common
}

func asyncAPI(t *testing.T) document {
	t.Helper()
	path, err := filepath.Abs("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := document{location: (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()}
	var tree any
	if err := errors.Join(yaml.Unmarshal(text, &doc), yaml.Unmarshal(text, &tree)); err != nil {
		t.Fatal(err)
	}
	doc.tree = asJSON(t, tree)
	return doc
}

func asJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// schema compiles what is at a JSON pointer of the document; references to files are followed.
func (d document) schema(t *testing.T, pointer string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(d.location, d.tree); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(d.location + "#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The official schema comes from npm when the tests run: it is too large to keep a copy of, and the
// official parser would bring 160 packages, one of which reports home when it is installed.
func TestAsyncAPIIsValid(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("testdata", "asyncapi")
	path := filepath.Join(dir, "node_modules", "@asyncapi", "specs", "schemas", "3.0.0.json")
	if _, err := os.Stat(path); err != nil {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		install := exec.CommandContext(ctx, "npm", "ci")
		install.Dir = dir
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
	}
	schema, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := asyncAPI(t)
	if err := schema.Validate(doc.tree); err != nil {
		t.Error(err)
	}
	references(t, doc.tree, doc.tree)
}

// references checks that what the document refers to is there; the schema does not.
func references(t *testing.T, root, node any) {
	t.Helper()
	switch n := node.(type) {
	case []any:
		for _, child := range n {
			references(t, root, child)
		}
	case map[string]any:
		for _, child := range n {
			references(t, root, child)
		}
		ref, ok := n["$ref"].(string)
		pointer, local := strings.CutPrefix(ref, "#/")
		if !ok {
			return
		}
		if !local {
			file, _, _ := strings.Cut(ref, "#") // what is in it, the compiler of schemas looks up
			if _, err := os.Stat(filepath.Join("../../docs", file)); err != nil {
				t.Error(err)
			}
			return
		}
		at := root
		for name := range strings.SplitSeq(pointer, "/") {
			object, _ := at.(map[string]any)
			if at = object[name]; at == nil {
				t.Errorf("nothing is at %s", ref)
				return
			}
		}
	}
}

func TestAsyncAPIDescribesTheSubjects(t *testing.T) {
	t.Parallel()
	doc := asyncAPI(t)
	subjects := map[string][]string{}
	for _, s := range doc.Streams { // pkg/bus compares them with the streams there are
		subjects[s.Name] = s.Subjects
	}
	for name, address := range map[string]string{
		"orderChanged": event.OrderChangedSubject("{record_id}"),
		"orderEdited":  event.TypeOrderEdited + ".{record_id}",
		"orderEdit":    event.TypeOrderEdit + ".{record_id}",
		"odooChanged":  event.TypeOdooChanged + ".{resource}.{id}",
		"deadLetters":  event.DeadSubject("{consumer}", "{subject}"),
	} {
		channel := doc.Channels[name]
		if channel.Address != address {
			t.Errorf("%s is at %q, want %q", name, channel.Address, address)
		}
		taken := false
		for _, subject := range subjects[channel.Stream] {
			taken = taken || pattern(subject).MatchString(channel.Address)
		}
		if !taken {
			t.Errorf("stream %q does not take %s", channel.Stream, channel.Address)
		}
	}
}

// pattern matches what a NATS subject with wildcards or an address with parameters does.
func pattern(subject string) *regexp.Regexp {
	p := regexp.QuoteMeta(subject)
	p = strings.NewReplacer(`\*`, `[^.]+`, `>`, `.+`).Replace(p)
	return regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z_]+\\\}`).ReplaceAllString(p, `[^.]+`) + "$")
}

func TestAsyncAPIDescribesTheMessages(t *testing.T) {
	t.Parallel()
	doc := asyncAPI(t)
	headers := doc.schema(t, "/components/messages/orderChanged/headers")
	payload := doc.schema(t, "/components/messages/orderChanged/payload/schema")
	check := func(name string, m *nats.Msg) {
		t.Helper()
		if !pattern(doc.Channels["orderChanged"].Address).MatchString(m.Subject) {
			t.Errorf("%s: subject %s", name, m.Subject)
		}
		for key := range m.Header {
			if !doc.describes(key) {
				t.Errorf("%s: header %s is not described", name, key)
			}
		}
		if err := headers.Validate(flat(m.Header)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		validates(t, payload, m.Data)
	}
	for _, m := range goldenMessages(t) {
		check(m.Header.Get(event.HeaderID), m)
	}
	for _, example := range doc.Components.Messages["orderChanged"].Examples {
		m := example.message(t)
		check("example "+example.Name, m)
		if _, _, err := event.ParseOrderChanged(m.Subject, m.Header, m.Data); err != nil {
			t.Errorf("example %s: %v", example.Name, err)
		}
	}
}
