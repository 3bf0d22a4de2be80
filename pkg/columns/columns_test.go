package columns_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/natstest"
	"github.com/resonance/resonance/pkg/servicetest"
)

var status = columns.Column{Name: "status", Field: "fld1", Kind: schema.Choice, Editable: true, Offers: []columns.Offer{
	{Value: "Pending", Title: "Pendiente"}, {Value: "pending", Title: "pending"}, {Value: "Enviado a México", Title: "Enviado a México "},
}}

func TestFind(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"Pending": "Pending", "PENDING ": "Pending", "pending": "pending", "pendiente": "Pending", " Pendiente": "Pending",
		"enviado a me\u0301xico": "Enviado a México", "ENVIADO A MÉXICO": "Enviado a México", "Enviado": "", "": "",
	} {
		if got, ok := status.Find(s); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t", s, got, ok)
		}
	}
	if got, ok := (&columns.Column{Name: "status"}).Find(" cafe\u0301 "); got != "café" || !ok {
		t.Errorf("a column of texts: %q, %t", got, ok)
	}
	if got := status.Quoted(); got.ES != "«Pending» («Pendiente»), «pending», «Enviado a México»" ||
		got.EN != "“Pending” (“Pendiente”), “pending”, “Enviado a México”" {
		t.Errorf("%+v", got)
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	_, js := natstest.Start(t).Connect()
	if err := bus.Ensure(t.Context(), js, 1, bus.BucketColumns); err != nil {
		t.Fatal(err)
	}
	main := columns.Source{Name: columns.Main, Columns: []columns.Column{status, {Name: "priority"}}}
	if err := columns.Publish(t.Context(), js, main); err != nil {
		t.Fatal(err)
	}
	var catalog columns.Catalog
	if _, known := catalog.Column("status"); known {
		t.Error("an empty catalog knows a column")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- catalog.Follow(ctx, js) }()
	seen := func(name string, want columns.Column) {
		t.Helper()
		servicetest.Eventually(t, "the columns", func() bool { c, ok := catalog.Column(name); return ok && cmp.Equal(c, want) })
	}
	seen("status", status)
	seen("priority", columns.Column{Name: "priority"})

	// A second source adds its own choices; one with texts lets any value through.
	more := columns.Column{Name: "status", Field: "fld2", Offers: []columns.Offer{{Value: "Pending", Title: "Pending"}, {Value: "New", Title: "New"}}}
	if err := columns.Publish(t.Context(), js, columns.Source{Name: "other", Columns: []columns.Column{more}}); err != nil {
		t.Fatal(err)
	}
	both := status
	both.Offers = append(append([]columns.Offer{}, status.Offers...), columns.Offer{Value: "New", Title: "New"})
	seen("status", both)
	more.Offers = nil
	if err := columns.Publish(t.Context(), js, columns.Source{Name: "other", Columns: []columns.Column{more}}); err != nil {
		t.Fatal(err)
	}
	both.Offers = nil
	seen("status", both)
	stop()
	if err := <-ended; err == nil {
		t.Error("it ended without an error")
	}
}
