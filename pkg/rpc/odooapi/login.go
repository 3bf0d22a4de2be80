package odooapi

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
)

// SubjectLoginKey is the first of two requests that a login takes, so that no password is readable on NATS, not even by
// its operators (invariant 9). Each instance of odoo-bridge has a key pair of its own, which lives as long as its process:
// any instance answers this request with its public key, and only that one answers on LoginSubject of it.
const SubjectLoginKey = "odoo.session.key" // nothing → LoginKey

// LoginSubject is where an instance checks Odoo's own users: SealedLogin → User. Unauthenticated when
// Odoo does not know them, Forbidden for portal users. odoo-bridge logs and keeps nothing of it.
func LoginSubject(publicKey string) string { return "odoo.session.login." + publicKey }

// LoginKey is the public key (an NKey of type X) that credentials are sealed for.
type LoginKey struct {
	Key string `json:"key"`
}

// SealedLogin is Credentials that only one instance of odoo-bridge can read.
type SealedLogin struct {
	Sender string `json:"sender"` // the public key of a pair made for this login
	Sealed []byte `json:"sealed"` // with nkeys' xkv1, which is NaCl's box
}

// Seal encrypts credentials for the instance with that public key.
func Seal(publicKey string, c Credentials) (SealedLogin, error) {
	data, err := json.Marshal(c) //nolint:gosec // to be sealed
	if err != nil {
		return SealedLogin{}, fmt.Errorf("seal a login: %w", err)
	}
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		return SealedLogin{}, fmt.Errorf("seal a login: %w", err)
	}
	defer pair.Wipe()
	sender, err := pair.PublicKey()
	if err != nil {
		return SealedLogin{}, fmt.Errorf("seal a login: %w", err)
	}
	sealed, err := pair.Seal(data, publicKey)
	if err != nil {
		return SealedLogin{}, fmt.Errorf("seal a login: %w", err)
	}
	return SealedLogin{Sender: sender, Sealed: sealed}, nil
}

// Login makes both requests, each by ask, whose errors it returns as they are.
func Login(c Credentials, ask func(subject string, req any) ([]byte, error)) (User, error) {
	var key LoginKey
	var user User
	data, err := ask(SubjectLoginKey, struct{}{})
	if err != nil {
		return user, err
	}
	if err := json.Unmarshal(data, &key); err != nil {
		return user, fmt.Errorf("read the key for logins at Odoo: %w", err)
	}
	sealed, err := Seal(key.Key, c)
	if err != nil {
		return user, err
	}
	if data, err = ask(LoginSubject(key.Key), sealed); err != nil {
		return user, err
	}
	if err := json.Unmarshal(data, &user); err != nil {
		return user, fmt.Errorf("log in at Odoo: %w", err)
	}
	return user, nil
}

// KeyPair opens what was sealed for it.
type KeyPair struct {
	Public string
	pair   nkeys.KeyPair
}

// NewKeyPair makes a key pair.
func NewKeyPair() (*KeyPair, error) {
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	return &KeyPair{Public: public, pair: pair}, nil
}

// Open decrypts credentials. The error repeats nothing of them.
func (k *KeyPair) Open(l SealedLogin) (Credentials, error) {
	var c Credentials
	data, err := k.pair.Open(l.Sealed, l.Sender)
	if err != nil {
		return c, fmt.Errorf("open a login: %w", err)
	}
	if json.Unmarshal(data, &c) != nil {
		return c, errors.New("open a login: not credentials")
	}
	return c, nil
}
