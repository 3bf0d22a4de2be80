package main

import "testing"

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	if err := run("../../../..", true); err != nil {
		t.Error(err)
	}
}
