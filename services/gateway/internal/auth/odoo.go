package auth

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/odooapi"
)

const (
	// OdooLife is how long a session of one of Odoo's users lasts, however often it is refreshed:
	// whom Odoo knows no more is out after that.
	OdooLife = 24 * time.Hour

	maxUsername = 255 // bytes
	maxName     = 100 // characters
)

// OdooLogin asks Odoo. Its errors are faults: Unauthenticated when Odoo does not know the
// credentials, TooMany while it takes none from us, Forbidden for users who are not internal, Unavailable.
type OdooLogin func(ctx context.Context, c odooapi.Credentials) (odooapi.User, error)

// errOdooLogin is errLogin where Odoo's users log in. Over its API Odoo refuses the password of a user with two-factor
// authentication as it does a wrong one, so the hint is for everybody.
var errOdooLogin = fault.Wrap(fault.Unauthenticated, fault.T(
	"Usuario o contraseña incorrectos. Si su usuario de Odoo tiene verificación en dos pasos, escriba una clave API en lugar de la contraseña",
	"Wrong username or password. If your Odoo user has two-factor authentication, enter an API key in place of the password"), errLogin)

// odooUser is what a session keeps of what Odoo said at login: it is not asked again.
type odooUser struct {
	Name  string    `json:"name"`
	Role  Role      `json:"role"`
	Since time.Time `json:"since"`
}

// AsksOdoo reports whether Odoo's users may log in; a login takes as long as Odoo does then.
func (a *Authenticator) AsksOdoo() bool { return a.odoo != nil }

func (a *Authenticator) checkOdoo(ctx context.Context, name, password string) (Identity, error) {
	if !plausible(name) || len(password) > MaxPassword {
		return Identity{}, errOdooLogin
	}
	user, err := a.odoo(ctx, odooapi.Credentials{Username: name, Password: password})
	if fault.CodeOf(err) == fault.Unauthenticated {
		return Identity{}, errOdooLogin
	}
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Username: name, Role: Role(user.Role), Name: user.Name, Odoo: true}
	if runes := []rune(id.Name); len(runes) > maxName {
		id.Name = string(runes[:maxName])
	}
	if !id.Role.Valid() {
		return Identity{}, fmt.Errorf("the login at Odoo gave the role %q", user.Role)
	}
	return id, nil
}

// plausible reports whether name can be that of a user in Odoo, and be written in logs and tokens.
func plausible(name string) bool {
	return name != "" && len(name) <= maxUsername && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}
