package resource

import (
	"context"
	"testing"

	"github.com/resonance/resonance/pkg/erp"
	"github.com/resonance/resonance/services/odoo-bridge/internal/odoo"
)

// contended is an Odoo in which others create the same record at the same time.
type contended struct{ calls int }

func (c *contended) Call(_ context.Context, _ odoo.Call) (any, error) {
	if c.calls++; c.calls <= 3 { // as a real 19 answers
		return map[string]any{"ids": false, "messages": []any{map[string]any{
			"type": "error", "record": int64(0), "message": "could not serialize access due to concurrent update\n",
		}}, "nextrow": int64(0)}, nil
	}
	return map[string]any{"ids": []any{int64(7)}, "messages": []any{}, "nextrow": int64(0)}, nil
}

func TestCreateOnceAmongTwins(t *testing.T) {
	t.Parallel()
	twin := &contended{}
	s := New(Config{}, twin)
	id, err := s.createOnce(t.Context(), fitted(erp.Products, nil, 0), Scope{}, map[string]any{"name": "x"}, nil, "resonance.x")
	if id != 7 || err != nil || twin.calls != 4 {
		t.Errorf("%d %v after %d calls", id, err, twin.calls)
	}
}
