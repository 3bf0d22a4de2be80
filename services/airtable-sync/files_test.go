package airtablesync_test

import (
	"context"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// Addresses of attachments end; the file is served all the same, and never from elsewhere.
func TestFiles(t *testing.T) {
	w := newWorld(t, airtabletest.Config{Orders: 3, AttachmentTTL: -time.Second})
	if _, err := w.sandbox.AddField(airtabletest.Field{Name: "Files", Type: airtabletest.MultipleAttachments}); err != nil {
		t.Fatal(err)
	}
	id := w.sandbox.RecordIDs()[0]
	content := make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(i / 1000)
	}
	att, err := w.sandbox.Attach(id, "Files", "plan.bin", "application/x-plan", content)
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.ok(w.synced())
	ask := func(ref syncapi.FileRef) (bus.Reply, error) {
		ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
		defer cancel()
		return bus.Ask(ctx, w.nc, syncapi.SubjectFile, ref)
	}
	// One whose address has ended when it is used.
	if _, err := ask(syncapi.FileRef{RecordID: id, Attachment: att}); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("by an expired address: %v", err)
	}
	w.sandbox.SetAttachmentTTL(time.Hour)
	var got []byte
	for len(got) < len(content) {
		reply, err := ask(syncapi.FileRef{RecordID: id, Attachment: att, Offset: int64(len(got))})
		if err != nil || len(reply.Data) == 0 || reply.Header.Get(rpc.HeaderContentType) != "application/x-plan" || reply.Header.Get(syncapi.HeaderSize) != "1048576" {
			t.Fatalf("at %d: %d bytes, %v, %v", len(got), len(reply.Data), reply.Header, err)
		}
		got = append(got, reply.Data...)
	}
	if string(got) != string(content) {
		t.Error("not the same bytes")
	}
	if calls := w.sandbox.Calls(); calls.Downloads != 1 {
		t.Errorf("calls %+v", calls)
	}
	w.update(id, airtabletest.Fields{"Files": []any{map[string]any{"url": "http://127.0.0.1:1/secrets", "filename": "x"}}})
	record, _ := w.sandbox.Record(id)
	linked, _ := record.Fields["Files"].([]any)[0].(map[string]any)["id"].(string)
	if _, err := ask(syncapi.FileRef{RecordID: id, Attachment: linked}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an address elsewhere: %v", err)
	}
}
