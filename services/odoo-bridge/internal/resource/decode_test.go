package resource

import "testing"

// A decimal is what it was, whatever Odoo's rounding made of its last bits.
func TestDecimals(t *testing.T) {
	t.Parallel()
	for in, want := range map[float64]float64{
		19.990000000000002: 19.99, 1234567.8900000001: 1234567.89, 0.1 + 0.2: 0.3, -7.000000000000001: -7, 123456789012.34: 123456789012.34, 1e-7: 1e-7, 0: 0,
	} {
		for _, kind := range []string{"float", "monetary"} {
			if got := convert(in, kind); got != want {
				t.Errorf("%v became %v, want %v", in, got, want)
			}
		}
	}
}
