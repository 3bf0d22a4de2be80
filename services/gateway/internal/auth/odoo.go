package auth

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
)

const (
	// OdooLife is how long a session of one of Odoo's users lasts, however often it is refreshed:
	// whom Odoo knows no more is out after that.
	OdooLife = 24 * time.Hour

	maxUsername = 255 // bytes
	maxName     = 100 // characters
)

// OdooLogin asks Odoo. Its errors are faults: Unauthenticated when Odoo does not know the
// credentials, Forbidden for users who are not internal, Unavailable.
type OdooLogin func(ctx context.Context, c rpc.OdooCredentials) (rpc.OdooUser, error)

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
		return Identity{}, errLogin
	}
	user, err := a.odoo(ctx, rpc.OdooCredentials{Username: name, Password: password})
	if fault.CodeOf(err) == fault.Unauthenticated {
		return Identity{}, errLogin
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
