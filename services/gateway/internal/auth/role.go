// Package auth says who a caller is and what they may do: users with argon2id passwords, short
// access tokens (JWT), rotating refresh tokens, and a brake on guessing.
package auth

import "slices"

// Role is what a user may do. Each role includes the ones before it.
type Role string

// The roles, weakest first.
const (
	Viewer   Role = "viewer"   // reads
	Operator Role = "operator" // edits and syncs
	Admin    Role = "admin"    // everything
)

// Roles lists the roles, weakest first.
var Roles = []Role{Viewer, Operator, Admin}

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// Includes reports whether r may do what needs role.
func (r Role) Includes(role Role) bool {
	return r.Valid() && slices.Index(Roles, r) >= slices.Index(Roles, role)
}

// Identity is who sent a request.
type Identity struct {
	Username string
	Role     Role
	Name     string // as people say it; "": only the username is known
	Odoo     bool   // one of Odoo's users, not of ours
}

// Provider is who knows the user: odoo or local.
func (i Identity) Provider() string {
	if i.Odoo {
		return "odoo"
	}
	return "local"
}
