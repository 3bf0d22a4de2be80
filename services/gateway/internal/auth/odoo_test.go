package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

// newOdooAuth is newTestAuth beside an Odoo with the users eva (operator), whose password is "odoo",
// and admin (viewer), whose password is "odoo" too; portal is no internal user.
func newOdooAuth(t *testing.T) (a *Authenticator, c *clock, asked *[]string) {
	t.Helper()
	a, c = newTestAuth(t)
	asked = &[]string{}
	a.odoo = func(_ context.Context, who odooapi.Credentials) (odooapi.User, error) {
		*asked = append(*asked, who.Username)
		switch {
		case who.Username == "portal":
			return odooapi.User{}, fault.New(fault.Forbidden, fault.T("no es interno", "is not internal"))
		case who.Username == "away":
			return odooapi.User{}, fault.Away("Odoo", errors.New("refused"))
		case who.Username == "odd":
			return odooapi.User{UID: 9, Name: "Odd", Role: "owner"}, nil
		case who.Username == "eva" && who.Password == "odoo":
			return odooapi.User{UID: 7, Name: "Eva " + strings.Repeat("ñ", 200), Role: "operator"}, nil
		case who.Username == "admin" && who.Password == "odoo":
			return odooapi.User{UID: 2, Name: "Mitchell Admin", Role: "viewer"}, nil
		}
		return odooapi.User{}, fault.New(fault.Unauthenticated, fault.T("no", "no"))
	}
	return a, c, asked
}

func TestOdooLogin(t *testing.T) {
	t.Parallel()
	a, _, asked := newOdooAuth(t)
	g, err := a.Login(t.Context(), "eva", "odoo", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{Username: "eva", Role: Operator, Name: "Eva " + strings.Repeat("ñ", 96), Odoo: true}
	if id, err := a.Identify("Bearer " + g.AccessToken); err != nil || id != want {
		t.Fatalf("%+v, %v", id, err)
	}
	for i, c := range []struct {
		name, password string
		code           fault.Code
	}{
		{"eva", "wrong", fault.Unauthenticated},
		{"portal", "x", fault.Forbidden},
		{"away", "x", fault.Unavailable},
		{"odd", "x", fault.Internal},
		{"ana", "correct", fault.Unauthenticated}, // a local user who is no administrator
		{"a\nb", "x", fault.Unauthenticated},
		{"a\xffb", "x", fault.Unauthenticated},
		{strings.Repeat("x", 256), "x", fault.Unauthenticated},
		{"eva", strings.Repeat("x", MaxPassword+1), fault.Unauthenticated},
	} {
		before := len(*asked)
		_, err := a.Login(t.Context(), c.name, c.password, "192.0.2.2")
		if fault.CodeOf(err) != c.code {
			t.Errorf("%d: %v, want %d", i, err, c.code)
		}
		if i > 4 && len(*asked) != before {
			t.Errorf("%d: Odoo was asked", i)
		}
	}
}

// The administrator of ours gets in while Odoo is away, with a namesake in Odoo too.
func TestLocalAdministratorBesideOdoo(t *testing.T) {
	t.Parallel()
	a, _, asked := newOdooAuth(t)
	g, err := a.Login(t.Context(), "admin", "correct", "192.0.2.1")
	if err != nil || g.Identity != (Identity{Username: "admin", Role: Admin}) || len(*asked) > 0 {
		t.Fatalf("%+v, %v, asked %v", g.Identity, err, *asked)
	}
	theirs, err := a.Login(t.Context(), "admin", "odoo", "192.0.2.1")
	if err != nil || theirs.Role != Viewer || !theirs.Odoo {
		t.Fatalf("%+v, %v", theirs.Identity, err)
	}
	for range 2 { // the namesake does not become what ours is
		if theirs, err = a.Refresh(t.Context(), theirs.RefreshToken); err != nil || theirs.Role != Viewer || theirs.Name != "Mitchell Admin" {
			t.Fatalf("%+v, %v", theirs.Identity, err)
		}
	}
	if g, err = a.Refresh(t.Context(), g.RefreshToken); err != nil || g.Role != Admin || g.Odoo {
		t.Fatalf("%+v, %v", g.Identity, err)
	}
}

func TestOdooSessions(t *testing.T) {
	t.Parallel()
	a, c, asked := newOdooAuth(t)
	login := func() Grant {
		t.Helper()
		g, err := a.Login(t.Context(), "eva", "odoo", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := login()
	calls := len(*asked)
	for range 3 {
		c.Add(8 * time.Hour)
		next, err := a.Refresh(t.Context(), g.RefreshToken)
		if err != nil || next.Identity != g.Identity {
			t.Fatalf("%+v, %v", next, err)
		}
		g = next
	}
	if len(*asked) != calls {
		t.Error("a refresh asks Odoo")
	}
	c.Add(time.Minute)
	_, err := a.Refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)

	// Without Odoo its sessions are over, and local ones of people who are no administrators with it.
	g = login()
	odoo := a.odoo
	a.odoo = nil
	_, err = a.Refresh(t.Context(), g.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)
	local, err := a.Login(t.Context(), "ana", "correct", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	a.odoo = odoo
	_, err = a.Refresh(t.Context(), local.RefreshToken)
	wantCode(t, err, fault.Unauthenticated)
}

func TestOdooGuessesAreSlowedDown(t *testing.T) {
	t.Parallel()
	a, c, asked := newOdooAuth(t)
	for range 10 { // an Odoo that is away tells nobody anything
		_, err := a.Login(t.Context(), "away", "x", "192.0.2.3")
		wantCode(t, err, fault.Unavailable)
	}
	for range 5 {
		_, err := a.Login(t.Context(), "eva", "wrong", "192.0.2.3")
		wantCode(t, err, fault.Unauthenticated)
	}
	before := len(*asked)
	_, err := a.Login(t.Context(), "eva", "odoo", "192.0.2.3")
	wantCode(t, err, fault.TooMany)
	if len(*asked) != before {
		t.Error("Odoo is asked in spite of the brake")
	}
	c.Add(5 * time.Second)
	if _, err := a.Login(t.Context(), "eva", "odoo", "192.0.2.3"); err != nil {
		t.Error(err)
	}
}
