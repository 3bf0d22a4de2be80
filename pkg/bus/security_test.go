package bus_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/natstest"
)

// A connection logs in with an NKey, and hears replies to its own requests only.
func TestConnectWithNKey(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	ns := natstest.Start(t, func(o *server.Options) {
		o.CustomClientAuthentication = nil
		o.Nkeys = []*server.NkeyUser{{Nkey: public, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"$JS.API.INFO"}},
			Subscribe: &server.SubjectPermission{Allow: []string{bus.InboxPrefix("orders") + ".>"}},
		}}}
	})
	if _, err := bus.Connect(deadline(t, patience), quiet, bus.Options{URL: ns.URL(), Name: "orders"}); err == nil {
		t.Error("a connection without a key is accepted")
	}
	nc, err := bus.Connect(deadline(t, patience), quiet, bus.Options{URL: ns.URL(), Name: "orders", Nkey: file})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := bus.JetStream(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AccountInfo(deadline(t, patience)); err != nil {
		t.Error(err)
	}
	if _, err := bus.Connect(deadline(t, patience), quiet, bus.Options{URL: ns.URL(), Nkey: file + ".none"}); err == nil {
		t.Error("a missing key is no error")
	}
}
