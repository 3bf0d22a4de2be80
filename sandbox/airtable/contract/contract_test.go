// Package contract drives the sandbox with Airtable's official npm client.
package contract

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

func TestOfficialClient(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("the contract test needs Node.js 20 or newer:", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if _, err := os.Stat("node_modules/airtable"); err != nil {
		install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
	}
	// The throttled sandbox's clock is slow, so that six requests are within
	// its second on a busy machine too.
	const slowness, penalty = 3, 300 * time.Millisecond
	began := time.Now()
	slow := func() time.Time { return began.Add(time.Since(began) / slowness) }
	free, freeURL := airtabletest.Start(t, airtabletest.Config{Orders: 250, RatePerSecond: -1})
	throttled, throttledURL := airtabletest.Start(t, airtabletest.Config{Orders: 10, Penalty: penalty, Now: slow})
	free.AddCollaborator(airtabletest.User{ID: "usrAna00000000000", Email: "ana@example.com", Name: "Ana"})
	for name, kind := range map[string]string{"Files": airtabletest.MultipleAttachments, "Owner": airtabletest.SingleCollaborator} {
		if _, err := free.AddField(airtabletest.Field{Name: name, Type: kind}); err != nil {
			t.Fatal(err)
		}
	}
	cfg := free.Config()
	cmd := exec.CommandContext(ctx, node, "--test", "--test-reporter=spec", "contract.test.js")
	cmd.Env = append(os.Environ(),
		"AIRTABLE_ENDPOINT_URL="+freeURL,
		"AIRTABLE_API_KEY="+cfg.APIKey,
		"BASE_ID="+cfg.BaseID,
		"TABLE_ID="+cfg.TableID,
		"THROTTLED_URL="+throttledURL,
		"PENALTY_MS="+strconv.Itoa(int(slowness*penalty.Milliseconds())),
		"NODE_NO_WARNINGS=1",
	)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	if got := free.Len(); got != 250 {
		t.Errorf("the client's tests left %d records, not 250", got)
	}
	if throttled.Calls().Throttled < 2 {
		t.Errorf("only %d requests were throttled", throttled.Calls().Throttled)
	}
}
