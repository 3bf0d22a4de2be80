package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// AccessLife is how long an access token is good for.
const AccessLife = 15 * time.Minute

// maxToken bounds what is parsed; ours have some 200 bytes.
const maxToken = 4096

var errToken = errors.New("not a usable token")

// maxRead bounds how many good tokens are remembered.
const maxRead = 4096

// tokens issues and reads access tokens: JWTs signed with HS256, and nothing else. A good token is
// remembered until it expires: checking it is the dearest part of answering a small request.
type tokens struct {
	secret []byte
	now    func() time.Time
	parser *jwt.Parser

	mu   sync.RWMutex
	good map[string]verified
}

type verified struct {
	Identity
	expires time.Time
}

type claims struct {
	Role Role   `json:"role"`
	Name string `json:"name,omitempty"`
	Odoo bool   `json:"odoo,omitempty"`
	jwt.RegisteredClaims
}

func newTokens(secret []byte, now func() time.Time) *tokens {
	return &tokens{secret: secret, now: now, good: map[string]verified{}, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(now),
	)}
}

func (t *tokens) issue(id Identity) (string, error) {
	now := t.now()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		Role: id.Role, Name: id.Name, Odoo: id.Odoo,
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: id.Username, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(AccessLife)),
		},
	}).SignedString(t.secret)
	if err != nil {
		return "", fmt.Errorf("sign an access token: %w", err)
	}
	return signed, nil
}

// read returns who the Authorization header says the caller is, and until when.
func (t *tokens) read(header string) (verified, error) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(token) > maxToken {
		return verified{}, errToken
	}
	token = strings.TrimSpace(token)
	t.mu.RLock()
	v, ok := t.good[token]
	t.mu.RUnlock()
	if ok && t.now().Before(v.expires) {
		return v, nil
	}
	v, err := t.verify(token)
	if err != nil {
		return verified{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.good) >= maxRead {
		clear(t.good)
	}
	t.good[token] = v
	return v, nil
}

func (t *tokens) verify(token string) (verified, error) {
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.secret, nil }); err != nil {
		return verified{}, err
	}
	if c.Subject == "" || !c.Role.Valid() {
		return verified{}, errToken
	}
	return verified{Identity{Username: c.Subject, Role: c.Role, Name: c.Name, Odoo: c.Odoo}, c.ExpiresAt.Time}, nil
}
