package schema_test

import (
	"regexp"
	"testing"

	"github.com/resonance/resonance/pkg/event/schema"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range schema.Columns {
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(c.Name) || seen[c.Name] {
			t.Errorf("%q is not in snake_case, or there twice", c.Name)
		}
		seen[c.Name] = true
		switch {
		case c.Title.ES == "" || c.Title.EN == "":
			t.Errorf("%s: no title", c.Name)
		case c.Kind == schema.Choices:
			t.Errorf("%s: no core column can be of kind %s yet", c.Name, c.Kind)
		case c.Since < 1:
			t.Errorf("%s: no version", c.Name)
		case !c.Cell && c.Since > 1:
			t.Errorf("%s: later columns are optional, so they are of cells", c.Name)
		case c.Cell && c.Kind == schema.Time:
			t.Errorf("%s: times of cells are not read yet", c.Name)
		case c.Edit && !c.Cell, c.Edit && !c.Kind.IsText():
			t.Errorf("%s: only texts of cells can be edited so far", c.Name)
		}
	}
}
