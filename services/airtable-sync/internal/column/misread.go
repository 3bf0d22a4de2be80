package column

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// misread notes which columns have cells that cannot be read as what they should be, with one of them.
type misread struct {
	mu       sync.Mutex
	examples map[Column]string
}

// see notes a cell that was read as empty, if it is not.
func (m *misread) see(c Column, cell json.RawMessage) {
	if isEmpty(cell) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.examples[c]; known {
		return
	}
	example := text(cell)
	if strings.TrimSpace(example) == "" {
		example = string(cell)
	}
	if r := []rune(example); len(r) > 40 {
		example = string(r[:40]) + "…"
	}
	if m.examples == nil {
		m.examples = map[Column]string{}
	}
	m.examples[c] = example
}

// isEmpty reports whether people see nothing in a cell: it is blank, a list of such values, or a text of AI that has
// not been generated.
func isEmpty(cell json.RawMessage) bool {
	if len(cell) == 0 {
		return true
	}
	switch cell[0] {
	case 'n': // null
		return true
	case '"':
		return strings.TrimSpace(text(cell)) == ""
	case '[':
		var list []json.RawMessage
		return json.Unmarshal(cell, &list) == nil && !slices.ContainsFunc(list, func(e json.RawMessage) bool { return !isEmpty(e) })
	case '{':
		var ai struct {
			State string          `json:"state"`
			Value json.RawMessage `json:"value"`
		}
		return json.Unmarshal(cell, &ai) == nil && ai.State != "" && ai.State != "error" && isEmpty(ai.Value)
	}
	return false
}

func (m *misread) example(c Column) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.examples[c]
	return s, ok
}
