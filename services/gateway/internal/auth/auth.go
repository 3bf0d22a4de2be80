package auth

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/resonance/resonance/pkg/fault"
)

const (
	// MaxPassword is how long a password may be, in bytes.
	MaxPassword = 1024
	// hashers bounds the memory of concurrent logins: each takes 19 MiB for some 20 ms.
	hashers = 2
)

// Config is what an Authenticator needs.
type Config struct {
	Secret   []byte
	Users    *Users
	Sessions Bucket
	Log      *slog.Logger
	Now      func() time.Time
	Odoo     OdooLogin // nil: there are local users only
}

// Authenticator issues tokens and reads them.
type Authenticator struct {
	log      *slog.Logger
	users    *Users
	tokens   *tokens
	sessions *sessions
	odoo     OdooLogin
	hashers  chan struct{}
	nobody   hash // what unknown users are compared with: they must cost the same time

	perUser, perNetwork *Brake
}

// Grant is what a login or a refresh gives.
type Grant struct {
	Identity
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
}

// New makes an Authenticator.
func New(c Config) *Authenticator {
	return &Authenticator{
		log:        c.Log,
		users:      c.Users,
		tokens:     newTokens(c.Secret, c.Now),
		sessions:   &sessions{bucket: c.Sessions, now: c.Now, macKey: derive(c.Secret, "refresh tokens")},
		odoo:       c.Odoo,
		hashers:    make(chan struct{}, hashers),
		nobody:     newHash(string(randomBytes(randomSize))),
		perUser:    NewBrake(c.Now, 5, 5*time.Second),
		perNetwork: NewBrake(c.Now, 30, 2*time.Second),
	}
}

// ErrToken is the answer to a missing, bad, expired or wrongly signed access token.
var ErrToken = fault.New(fault.Unauthenticated, fault.T("No se pudo validar el token", "Could not validate the token"))

var errLogin = fault.New(fault.Unauthenticated, fault.T("Usuario o contraseña incorrectos", "Wrong username or password"))

// Identify returns who the Authorization header says the caller is, or ErrToken.
func (a *Authenticator) Identify(header string) (Identity, error) {
	id, _, err := a.IdentifyUntil(header)
	return id, err
}

// IdentifyUntil is Identify, and says when the token expires: for connections that outlive requests.
func (a *Authenticator) IdentifyUntil(header string) (Identity, time.Time, error) {
	v, err := a.tokens.read(header)
	if err != nil {
		return Identity{}, time.Time{}, ErrToken
	}
	return v.Identity, v.expires, nil
}

// Login checks a password and opens a session. Errors: Unauthenticated; TooMany with RetryAfter
// after several wrong guesses from addr, an IP address; Unavailable; Forbidden when Odoo says so.
func (a *Authenticator) Login(ctx context.Context, name, password, addr string) (Grant, error) {
	where := Network(addr)
	who := where + " " + name[:min(len(name), maxUsername)]
	if wait := a.perNetwork.Take(where); wait > 0 {
		return Grant{}, tooMany(wait)
	}
	if wait := a.perUser.Take(who); wait > 0 {
		a.perNetwork.GiveBack(where) // one blocked user must not block the whole office
		return Grant{}, tooMany(wait)
	}
	id, err := a.check(ctx, name, password)
	if !errors.Is(err, errLogin) {
		a.perNetwork.GiveBack(where)
		a.perUser.GiveBack(who)
	}
	if err != nil {
		return Grant{}, err
	}
	refresh, err := a.sessions.start(ctx, id)
	if err != nil {
		return Grant{}, err
	}
	return a.grant(id, refresh)
}

// Refresh exchanges a refresh token for new tokens; the role is the user's present one, for one of
// Odoo's users that of the login. Errors: Unauthenticated, Unavailable.
func (a *Authenticator) Refresh(ctx context.Context, token string) (Grant, error) {
	of, refresh, err := a.sessions.rotate(ctx, token)
	if err != nil {
		return Grant{}, err
	}
	if of.Odoo != nil && a.odoo != nil {
		return a.grant(Identity{Username: of.Username, Role: of.Odoo.Role, Name: of.Odoo.Name, Odoo: true}, refresh)
	}
	user := a.find(of.Username)
	if user == nil || of.Odoo != nil {
		return Grant{}, errors.Join(errSession, a.sessions.revoke(ctx, refresh))
	}
	return a.grant(Identity{Username: user.name, Role: user.role}, refresh)
}

// Revoke ends the session of a refresh token. Errors: Unavailable.
func (a *Authenticator) Revoke(ctx context.Context, token string) error {
	return a.sessions.revoke(ctx, token)
}

func (a *Authenticator) grant(id Identity, refresh string) (Grant, error) {
	access, err := a.tokens.issue(id)
	return Grant{Identity: id, AccessToken: access, ExpiresIn: AccessLife, RefreshToken: refresh}, err
}

// check asks whoever may know the user. Ours come first, so that an administrator gets in while
// Odoo is away; one of Odoo's users may have the same name.
func (a *Authenticator) check(ctx context.Context, name, password string) (Identity, error) {
	id, err := a.checkLocal(ctx, name, password)
	if a.odoo != nil && errors.Is(err, errLogin) {
		return a.checkOdoo(ctx, name, password)
	}
	return id, err
}

// checkLocal compares the password, one of a few at a time.
func (a *Authenticator) checkLocal(ctx context.Context, name, password string) (Identity, error) {
	select {
	case a.hashers <- struct{}{}:
		defer func() { <-a.hashers }()
	case <-ctx.Done():
		return Identity{}, tooMany(time.Second)
	}
	user, want := a.find(name), a.nobody
	if user != nil {
		want = user.hash
	}
	if ok := len(password) <= MaxPassword && want.matches(password); !ok || user == nil {
		return Identity{}, errLogin
	}
	return Identity{Username: user.name, Role: user.role}, nil
}

// find returns nil for an unknown user. A broken line in the users file must not lock out the
// users of the others. Beside Odoo's users only administrators count: who leaves is to be removed
// in one place.
func (a *Authenticator) find(name string) *user {
	user, err := a.users.find(name)
	if err != nil {
		a.log.Warn("the users file has mistakes", "error", err)
	}
	if a.odoo != nil && user != nil && user.role != Admin {
		return nil
	}
	return user
}

func tooMany(wait time.Duration) *fault.Error {
	return &fault.Error{
		Code:       fault.TooMany,
		Detail:     fault.T("Demasiados intentos; espere un momento", "Too many attempts; wait a moment"),
		RetryAfter: wait,
	}
}
