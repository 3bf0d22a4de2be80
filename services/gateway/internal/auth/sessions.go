package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
)

const (
	// RefreshLife is how long a session lasts without being refreshed.
	RefreshLife = 30 * 24 * time.Hour
	// RefreshGrace is how long a refresh token that was just used still answers calls that ran in
	// parallel with its use.
	RefreshGrace = time.Minute
)

// Bucket returns the key-value bucket of the sessions, or a fault while it is out of reach.
type Bucket func() (jetstream.KeyValue, error)

// sessions keeps one entry a login. A refresh token is the session's id, 256 random bits that
// change at each use, and a MAC over both: so a token that was once good is told from one that
// never was without keeping every token ever issued.
type sessions struct {
	bucket Bucket
	now    func() time.Time
	macKey []byte
}

const (
	idSize     = 16
	randomSize = 32
	macSize    = 16
)

// session is the stored state. The tokens themselves are not in it.
type session struct {
	Username string    `json:"username"`
	Odoo     *odooUser `json:"odoo,omitempty"`
	Current  []byte    `json:"current"`            // SHA-256 of the token's random part
	Previous []byte    `json:"previous,omitempty"` // the same of the token before it
	Sealed   []byte    `json:"sealed,omitempty"`   // the current random part, readable with the previous one only
	Rotated  time.Time `json:"rotated"`
}

// errSession covers every refresh token that is not good, whatever the reason.
var errSession = fault.New(fault.Unauthenticated,
	fault.T("La sesión ha caducado; inicie sesión de nuevo", "The session has expired; log in again"))

// start opens a session and returns its first refresh token.
func (s *sessions) start(ctx context.Context, who Identity) (string, error) {
	kv, err := s.bucket()
	if err != nil {
		return "", err
	}
	id, random := randomBytes(idSize), randomBytes(randomSize)
	entry := session{Username: who.Username, Current: digest(random), Rotated: s.now()}
	if who.Odoo {
		entry.Odoo = &odooUser{Name: who.Name, Role: who.Role, Since: entry.Rotated}
	}
	if _, err := kv.Create(ctx, hex.EncodeToString(id), encode(entry)); err != nil {
		return "", fault.Away("NATS", fmt.Errorf("store a session: %w", err))
	}
	return s.token(id, random), nil
}

// rotate exchanges a refresh token for the next one of its session. Calls in parallel, or again
// within RefreshGrace, get the same next token. A token used again later has been stolen, or its
// successor has: the session ends, unless it has changed since it was read.
func (s *sessions) rotate(ctx context.Context, token string) (of session, next string, err error) {
	kv, err := s.bucket()
	if err != nil {
		return session{}, "", err
	}
	id, random, ok := s.parse(token)
	if !ok {
		return session{}, "", errSession
	}
	key := hex.EncodeToString(id)
	for {
		entry, revision, err := load(ctx, kv, key)
		if err != nil {
			return session{}, "", err
		}
		now, presented := s.now(), digest(random)
		switch {
		case now.Sub(entry.Rotated) > RefreshLife, entry.Odoo != nil && now.Sub(entry.Odoo.Since) > OdooLife:
			return session{}, "", errSession
		case equal(presented, entry.Current):
			fresh := randomBytes(randomSize)
			_, err := kv.Update(ctx, key, encode(session{
				Username: entry.Username, Odoo: entry.Odoo, Current: digest(fresh), Previous: presented, Sealed: seal(random, fresh), Rotated: now,
			}), revision)
			if isConflict(err) {
				continue // a parallel call was first: it left our next token sealed
			}
			if err != nil {
				return session{}, "", fault.Away("NATS", fmt.Errorf("store a session: %w", err))
			}
			return entry, s.token(id, fresh), nil
		case equal(presented, entry.Previous) && now.Sub(entry.Rotated) <= RefreshGrace:
			return entry, s.token(id, seal(random, entry.Sealed)), nil
		default:
			if err := end(ctx, kv, key, jetstream.LastRevision(revision)); isConflict(err) {
				continue // what was read is not the newest: that the token is old proves nothing
			} else if err != nil {
				return session{}, "", err
			}
			return session{}, "", errSession
		}
	}
}

func isConflict(err error) bool {
	return errors.Is(err, jetstream.ErrKeyRevisionMismatch) || bus.IsConflict(err)
}

// revoke ends the session of token. A token that is not good has none: no error.
func (s *sessions) revoke(ctx context.Context, token string) error {
	kv, err := s.bucket()
	if err != nil {
		return err
	}
	id, _, ok := s.parse(token)
	if !ok {
		return nil
	}
	return end(ctx, kv, hex.EncodeToString(id))
}

func end(ctx context.Context, kv jetstream.KeyValue, key string, opts ...jetstream.KVDeleteOpt) error {
	if err := kv.Purge(ctx, key, opts...); err != nil {
		return fault.Away("NATS", fmt.Errorf("end a session: %w", err))
	}
	return nil
}

func load(ctx context.Context, kv jetstream.KeyValue, key string) (session, uint64, error) {
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return session{}, 0, errSession
	}
	if err != nil {
		return session{}, 0, fault.Away("NATS", fmt.Errorf("load a session: %w", err))
	}
	var entry session
	if err := json.Unmarshal(e.Value(), &entry); err != nil {
		return session{}, 0, fmt.Errorf("load a session: %w", err)
	}
	return entry, e.Revision(), nil
}

func (s *sessions) token(id, random []byte) string {
	body := append(append(make([]byte, 0, idSize+randomSize+macSize), id...), random...)
	return base64.RawURLEncoding.EncodeToString(append(body, s.mac(body)...))
}

func (s *sessions) parse(token string) (id, random []byte, ok bool) {
	if len(token) != base64.RawURLEncoding.EncodedLen(idSize+randomSize+macSize) {
		return nil, nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != idSize+randomSize+macSize {
		return nil, nil, false
	}
	body, mac := raw[:idSize+randomSize], raw[idSize+randomSize:]
	return body[:idSize], body[idSize:], equal(mac, s.mac(body))
}

func (s *sessions) mac(body []byte) []byte {
	mac := hmac.New(sha256.New, s.macKey)
	mac.Write(body)
	return mac.Sum(nil)[:macSize]
}

// seal hides the random part of a token behind its predecessor, which is stored nowhere. Applied
// twice it gives back what it was given.
func seal(previous, random []byte) []byte {
	sealed := make([]byte, randomSize)
	subtle.XORBytes(sealed, random, derive(previous, "the next refresh token"))
	return sealed
}

func encode(s session) []byte {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // unreachable: strings, bytes and a time
	}
	return data
}

func digest(b []byte) []byte { sum := sha256.Sum256(b); return sum[:] }

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it would end the process
	return b
}
