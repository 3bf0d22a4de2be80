package orders

import (
	"slices"
	"testing"
)

func TestSafeCells(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"": "", "Núñez": "Núñez", "=1+1": "'=1+1", "+34 600": "'+34 600", "-cmd|' /C calc'!A0": "'-cmd|' /C calc'!A0", "@SUM(A1)": "'@SUM(A1)", "\tx": "'\tx", "\rx": "'\rx",
		"a\x00b": "ab", "a\x01\x1f\x7f\u009fb": "ab", "\x00=1+1": "'=1+1", "\x1b-cmd": "'-cmd", "two\nlines\tand a tab": "two\nlines\tand a tab", "\n=1+1": "'\n=1+1",
		"-12.5": "-12.5", "+3": "+3", "-1,5": "-1,5", "a=b": "a=b", "-": "'-",
	} {
		if got := safe(cell); got != want {
			t.Errorf("%q became %q, want %q", cell, got, want)
		}
	}
}

func TestExportHasAllColumns(t *testing.T) {
	t.Parallel()
	if got := plainCSV.heads; !slices.Equal(got, columnNames) {
		t.Errorf("exported %v, columns %v", got, columnNames)
	}
}
