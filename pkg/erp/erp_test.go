package erp_test

import (
	"slices"
	"testing"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/pkg/rpc"
)

// The descriptions hold together: what they name is there.
func TestResources(t *testing.T) {
	t.Parallel()
	links := map[string]string{} // by watched model
	for i, r := range erp.Resources {
		if r.Name == "" || r.One == "" || r.Type == "" || r.Model == "" || r.IsOption() {
			t.Errorf("%+v", r)
		}
		if slices.Index(erp.Names(), r.Name) != i || erp.Named(r.Name) != r {
			t.Errorf("%s is not the only one of its name", r.Name)
		}
		check(t, r.Name, r.Fields)
		if _, lines := r.Lines(); lines != nil {
			check(t, r.Name+"."+lines.Type, lines.Fields)
			links[lines.Model] = lines.Parent
		}
		for _, name := range []string{"id", "updated_at"} {
			if _, ok := r.Field(name); !ok {
				t.Errorf("%s has no %s", r.Name, name)
			}
		}
		if r.Archive != "" && r.Archive != erp.Archives && r.Action(r.Archive) == nil {
			t.Errorf("%s: no action %s", r.Name, r.Archive)
		}
		flags := 0
		for _, f := range r.Fields {
			if f.Was != nil {
				flags++
			}
		}
		if flags > 1 {
			t.Errorf("%s has %d flags that were values", r.Name, flags)
		}
		for _, a := range r.Actions {
			if f, ok := r.Field(a.Field); !ok || f.Values != nil && !slices.Contains(f.Values, a.To) {
				t.Errorf("%s.%s: no %s %s", r.Name, a.Name, a.Field, a.To)
			}
		}
		for _, touches := range r.Touches {
			if erp.Named(touches.Resource) == nil {
				t.Errorf("%s touches %s", r.Name, touches.Resource)
			}
		}
	}
	for _, r := range erp.Resources {
		for _, w := range r.Watches {
			if other, ok := links[w.Model]; ok && w.Link != "" && other != w.Link {
				t.Errorf("%s leads to records by %s and by %s", w.Model, other, w.Link)
			}
			if w.Link != "" {
				links[w.Model] = w.Link
			}
		}
	}
	for _, r := range erp.Options {
		check(t, r.Name, r.Fields)
	}
}

func check(t *testing.T, name string, fields []erp.Field) {
	t.Helper()
	kinds := []rpc.Kind{rpc.Text, rpc.Number, rpc.Date, rpc.Time, rpc.Bool, rpc.Link, rpc.Links, rpc.Lines}
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Name] || !slices.Contains(kinds, f.Kind) || (f.Kind == rpc.Lines) != (f.Lines != nil) || (f.Kind == rpc.Links) != (f.Model != "") {
			t.Errorf("%s.%s: %+v", name, f.Name, f)
		}
		seen[f.Name] = true
		if f.Has(rpc.Written) && (f.Kind == rpc.Link || f.Kind == rpc.Links) && erp.Named(optionOf(f.Options)) == nil {
			t.Errorf("%s.%s: what it can be set to is not listed at %q", name, f.Name, f.Options)
		}
	}
}

func optionOf(path string) string {
	if len(path) > len("options/") && path[:len("options/")] == "options/" {
		return path[len("options/"):]
	}
	return path
}
