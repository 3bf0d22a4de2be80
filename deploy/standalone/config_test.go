package main

import (
	"cmp"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/compose-spec/compose-go/v2/cli"

	airtablesync "github.com/resonance/resonance/services/airtable-sync"
	"github.com/resonance/resonance/services/gateway"
	odoobridge "github.com/resonance/resonance/services/odoo-bridge"
	"github.com/resonance/resonance/services/orders"
)

// variables gives the defaults of each variable that the structs read.
func variables(t *testing.T, structs ...any) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, s := range structs {
		fields, err := env.GetFieldParams(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			all[f.Key] = append(all[f.Key], f.DefaultValue)
		}
	}
	return all
}

func everyVariable(t *testing.T) map[string][]string {
	t.Helper()
	return variables(t, &Config{}, &gateway.Config{}, &orders.Config{}, &airtablesync.Config{}, &odoobridge.Config{})
}

// is reports whether said is a default of the variable; "" may be said as what it means.
func is(said string, defaults []string) bool {
	return slices.Contains(defaults, said) || slices.Contains(defaults, "") && (said == "0" || said == "false")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestREADMEHasEveryVariable(t *testing.T) {
	t.Parallel()
	unsaid := everyVariable(t)
	_, text, _ := strings.Cut(read(t, "../../README.md"), "\n| variable | default | what |\n")
	table, _, _ := strings.Cut(text, "\n\n")
	for _, row := range strings.Split(table, "\n")[1:] {
		cells := strings.Split(row, " | ")
		defaults := strings.Split(cells[1], ", ")
		var prefix string
		for i, name := range strings.Split(strings.TrimPrefix(cells[0], "| "), ", ") {
			name = strings.Trim(name, "`")
			if strings.HasPrefix(name, "_") { // `A_NAME`, `_OTHER`
				name = prefix + name
			} else {
				prefix = name[:max(0, strings.LastIndexByte(name, '_'))]
			}
			has, known := unsaid[name]
			if !known {
				t.Errorf("no Config has %s, or it is there twice", name)
			}
			delete(unsaid, name)
			if code := regexp.MustCompile("^`([^`]+)`$").FindStringSubmatch(defaults[min(i, len(defaults)-1)]); code != nil && !is(code[1], has) {
				t.Errorf("the default of %s is %q", name, has)
			}
		}
	}
	if len(unsaid) > 0 {
		t.Errorf("not in the table: %v", slices.Sorted(maps.Keys(unsaid)))
	}
}

func TestEnvExampleHasEveryVariable(t *testing.T) {
	t.Parallel()
	unsaid := everyVariable(t)
	ofCompose := regexp.MustCompile(`\$\{(\w+)(?::-(\w+))?`)
	for _, v := range ofCompose.FindAllStringSubmatch(read(t, "../../docker-compose.yml"), -1) {
		unsaid[v[1]] = append(unsaid[v[1]], v[2])
	}
	for _, line := range regexp.MustCompile(`(?m)^#?([A-Z_]+)=(.*)$`).FindAllStringSubmatch(read(t, "../../.env.example"), -1) {
		if has, known := unsaid[line[1]]; !known || !is(line[2], has) {
			t.Errorf("%s: the default is %q", line[0], has)
		}
		delete(unsaid, line[1])
	}
	if len(unsaid) > 0 {
		t.Errorf("not in .env.example: %v", slices.Sorted(maps.Keys(unsaid)))
	}
}

// What .env says reaches the service in its container, unless the place itself decides.
func TestComposePassesEveryVariable(t *testing.T) {
	t.Parallel()
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithEnv(composed(everyVariable(t))))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]any{
		"gateway": &gateway.Config{}, "orders": &orders.Config{}, "airtable-sync": &airtablesync.Config{}, "odoo-bridge": &odoobridge.Config{},
	} {
		want := variables(t, config)
		for _, ours := range []string{"DATA_DIR", "USERS_FILE"} {
			delete(want, ours)
		}
		has := project.Services[name].Environment
		if got, want := slices.Sorted(maps.Keys(has)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("%s has %v, wants %v", name, got, want)
		}
		for variable, value := range has {
			if value == nil || !strings.Contains(*value, "set") && variable != "HTTP_ADDR" && !strings.HasPrefix(*value, "/run/secrets/") {
				t.Errorf("%s: %s is %q", name, variable, *cmp.Or(value, new("")))
			}
		}
	}
}

func composed(names map[string][]string) (set []string) {
	for _, name := range append(slices.Collect(maps.Keys(names)), "POSTGRES_PASSWORD") {
		set = append(set, name+"=set")
	}
	return set
}
