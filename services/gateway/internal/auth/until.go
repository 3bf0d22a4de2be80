package auth

import (
	"strings"
	"time"
)

// IdentifyUntil is Identify, and says when the token expires: for connections that outlive requests.
func (a *Authenticator) IdentifyUntil(header string) (Identity, time.Time, error) {
	id, err := a.Identify(header)
	if err != nil {
		return Identity{}, time.Time{}, err
	}
	_, token, _ := strings.Cut(header, " ")
	v, err := a.tokens.verify(strings.TrimSpace(token))
	if err != nil {
		return Identity{}, time.Time{}, ErrToken
	}
	return id, v.expires, nil
}
