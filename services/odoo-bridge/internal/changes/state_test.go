package changes

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIDsAreWrittenAsRanges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]ids{
		"": {}, "7": setOf([]int64{7}), "1-3,5,8-9": setOf([]int64{9, 8, 5, 3, 2, 1}),
	} {
		got, err := want.MarshalText()
		if err != nil || string(got) != text {
			t.Errorf("%q, want %q, %v", got, text, err)
		}
		var read ids
		if err := read.UnmarshalText([]byte(text)); err != nil || !maps.Equal(read, want) {
			t.Errorf("%q is read as %v, %v", text, read, err)
		}
	}
	for _, text := range []string{"x", "1-", "3-1", "0", "-1", "1-99999999999"} {
		var read ids
		if err := read.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read as %d ids", text, len(read))
		}
	}
}

func TestStateIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	want := state{
		Cursors: map[string]time.Time{"sale.order": at}, Seen: map[string]map[int64]time.Time{"sale.order": {7: at}},
		Known: map[string]ids{"sales": setOf([]int64{1, 2, 3, 9}), "products": {}},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got state
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
