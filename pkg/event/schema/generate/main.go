// Command generate writes what follows from the table of columns and is code or text of its own. With -check it
// writes nothing, and fails where a file is not as it would write it.
package main

import (
	"bytes"
	"embed"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/resonance/resonance/pkg/event/schema"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail where a file is out of date")
	root := flag.String("root", "../../..", "the repository")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

//go:embed templates
var templates embed.FS

// whole are the files that a template makes.
var whole = map[string]string{
	"pkg/event/order_gen.go":                        "order.go.tmpl",
	"pkg/event/schema/order.changed.schema.json":    "order.changed.schema.json.tmpl",
	"pkg/event/schema/order.edited.schema.json":     "order.edited.schema.json.tmpl",
	"services/airtable-sync/fields_gen.go":          "fields.go.tmpl",
	"services/gateway/internal/orders/order_gen.go": "gateway.go.tmpl",
	"web/provider/src/columns.ts":                   "columns.ts.tmpl",
}

// blocks are runs of lines in files that are written by hand otherwise.
var blocks = []struct {
	file  string
	lines *regexp.Regexp
	text  func() string
}{
	{".env.example", regexp.MustCompile(`(?m)(^#AIRTABLE_FIELD_\w+=.*\n)+`), func() string { return variables("#", "=") }},
	{"docker-compose.yml", regexp.MustCompile(`(?m)(^      AIRTABLE_FIELD_\w+:.*\n)+`), func() string { return variables("      ", ":") }},
	{"README.md", regexp.MustCompile("(?m)^\\| `AIRTABLE_FIELD_\\w+`(, `_\\w+`)* "), func() string {
		names := variableNames()
		for i, n := range names[1:] {
			names[i+1] = strings.TrimPrefix(n, "AIRTABLE_FIELD")
		}
		return "| `" + strings.Join(names, "`, `") + "` "
	}},
}

func run(root string, check bool) error {
	var errs []error
	keep := func(path string, text []byte) {
		path = filepath.Join(root, path)
		now, err := os.ReadFile(path)
		switch {
		case err == nil && bytes.Equal(now, text):
		case check:
			errs = append(errs, fmt.Errorf("%s is not what pkg/event/schema/columns.go says: make generate", path))
		default:
			errs = append(errs, os.WriteFile(path, text, 0o644)) //nolint:gosec // G306: a source file
		}
	}
	for path, name := range whole {
		text, err := execute(name)
		if err == nil && strings.HasSuffix(path, ".go") {
			text, err = format.Source(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		keep(path, text)
	}
	for _, b := range blocks {
		text, err := os.ReadFile(filepath.Join(root, b.file))
		if err != nil {
			return err
		}
		if len(b.lines.FindAll(text, -1)) != 1 {
			return fmt.Errorf("%s: not one run of lines %s", b.file, b.lines)
		}
		keep(b.file, b.lines.ReplaceAllLiteral(text, []byte(b.text())))
	}
	return errors.Join(errs...)
}

func execute(name string) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{
		"goName": goName, "camel": camel, "cells": cells, "editable": editable, "named": named,
		"def": def, "describe": describe, "either": either, "optionalTexts": optionalTexts, "variable": variable, "join": strings.Join, "quote": func(s string) string { return fmt.Sprintf("%q", s) },
	}).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, schema.Columns)
	return b.Bytes(), err
}

// def is the definition in the schema of a cell of a kind.
func def(kind schema.Kind) string {
	if kind.IsText() {
		return string(schema.Text)
	}
	return string(kind)
}

// describe is the description of a column for the schema; "" for none.
func describe(c schema.Column) string {
	if len(c.Values) > 0 {
		return either(c.Names()) + " where the table's choice means that, in Spanish, English or Portuguese; any other choice as it is."
	}
	if c.Doc == "" {
		return ""
	}
	return strings.ToUpper(c.Doc[:1]) + c.Doc[1:] + "."
}

// goName is the name of a column's field in a struct.
func goName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if part == "id" {
			part = "ID"
		}
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func camel(name string) string {
	s := goName(name)
	return strings.ToLower(s[:1]) + s[1:]
}

func keep(which func(schema.Column) bool) (columns []schema.Column) {
	for _, c := range schema.Columns {
		if which(c) {
			columns = append(columns, c)
		}
	}
	return columns
}

func cells() []schema.Column    { return keep(func(c schema.Column) bool { return c.Cell }) }
func editable() []schema.Column { return keep(func(c schema.Column) bool { return c.Edit }) }

func optionalTexts() int {
	return len(keep(func(c schema.Column) bool { return c.Cell && c.Kind != schema.Number }))
}

// named are the columns whose field in Airtable the operator may name: those of cells, and the time of the last change.
func named() []schema.Column {
	return keep(func(c schema.Column) bool { return c.Cell || c.Name == "updated_at" })
}

func variable(c schema.Column) string { return "AIRTABLE_FIELD_" + strings.ToUpper(c.Name) }

func variableNames() (names []string) {
	for _, c := range named() {
		names = append(names, variable(c))
	}
	return names
}

func variables(before, after string) string {
	var b strings.Builder
	for _, name := range variableNames() {
		b.WriteString(before + name + after + "\n")
	}
	return b.String()
}

// either lists names as a sentence does: a, b or c.
func either(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
