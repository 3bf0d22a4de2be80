package orders

import "testing"

func TestSomeOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names  []string
		es, en string
	}{
		{[]string{"a"}, "a", "a"},
		{[]string{"status", "priority"}, "status, priority o ambos", "status, priority or both"},
		{[]string{"a", "b", "c"}, "a, b, c o varios de ellos", "a, b, c or several of them"},
	} {
		if got := someOf(c.names); got.ES != c.es || got.EN != c.en {
			t.Errorf("%v: %+v", c.names, got)
		}
	}
}
