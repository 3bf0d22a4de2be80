package syncer

import (
	"encoding/json"
	"testing"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/airtable-sync/internal/airtable"
)

// What becomes of the table itself no record tells: only a scan can.
func TestTableItself(t *testing.T) {
	t.Parallel()
	for payload, scans := range map[string]bool{
		`{"destroyedTableIds":["tblOther","tblOurs"]}`:                                 true,
		`{"createdTablesById":{"tblOurs":{"metadata":{"name":"x"},"recordsById":{}}}}`: true,
		`{"destroyedTableIds":["tblOther"],"createdTablesById":{"tblNew":{}}}`:         false,
	} {
		var p airtable.Payload
		if err := json.Unmarshal([]byte(payload), &p); err != nil {
			t.Fatal(err)
		}
		n := &news{touched: map[string]touch{}}
		if err := n.hear(&p, "tblOurs"); err != nil || (n.scan != fault.Text{}) != scans || n.broken {
			t.Errorf("%s: %+v, %v", payload, n, err)
		}
	}
}
