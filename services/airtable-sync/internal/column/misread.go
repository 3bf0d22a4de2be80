package column

import (
	"encoding/json"
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
	if len(cell) == 0 || cell[0] == 'n' || string(cell) == `""` || string(cell) == "[]" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.examples[c]; known {
		return
	}
	example := text(cell)
	if strings.TrimSpace(example) == "" {
		if cell[0] == '"' {
			return // blank
		}
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

func (m *misread) example(c Column) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.examples[c]
	return s, ok
}
