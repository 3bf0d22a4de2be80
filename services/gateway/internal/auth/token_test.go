package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	c := newClock()
	tokens := newTokens(testSecret, c.Now)
	sign := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		t.Helper()
		signed, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + signed
	}
	claims := func(change ...any) jwt.MapClaims {
		m := jwt.MapClaims{"sub": "ana", "role": "viewer", "exp": c.Now().Add(time.Minute).Unix()}
		for i := 0; i < len(change); i += 2 {
			if key := change[i].(string); change[i+1] == nil {
				delete(m, key)
			} else {
				m[key] = change[i+1]
			}
		}
		return m
	}
	hs256 := func(m jwt.MapClaims) string { return sign(jwt.SigningMethodHS256, testSecret, m) }
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	good := hs256(claims())
	for _, header := range []string{good, strings.Replace(good, "Bearer", "bearer", 1), strings.Replace(good, " ", "  ", 1)} {
		if id, err := tokens.read(header); err != nil || id.Identity != (Identity{Username: "ana", Role: Viewer}) {
			t.Errorf("good token: %+v, %v", id, err)
		}
	}
	parts := strings.Split(good, ".")
	for name, header := range map[string]string{
		"none at all":            "",
		"no token":               "Bearer ",
		"another scheme":         "Basic YWRtaW46YWRtaW4=",
		"no scheme":              strings.TrimPrefix(good, "Bearer "),
		"garbage":                "Bearer a.b.c",
		"alg none":               sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()),
		"alg none, signed":       sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()) + parts[2],
		"no signature":           parts[0] + "." + parts[1] + ".",
		"another secret":         sign(jwt.SigningMethodHS256, []byte("another secret, of 32 bytes or more"), claims()),
		"HS512":                  sign(jwt.SigningMethodHS512, testSecret, claims()),
		"ES256":                  sign(jwt.SigningMethodES256, ec, claims()),
		"expired":                hs256(claims("exp", c.Now().Unix())),
		"no expiry":              hs256(claims("exp", nil)),
		"not yet valid":          hs256(claims("nbf", c.Now().Add(time.Second).Unix())),
		"no subject":             hs256(claims("sub", nil)),
		"no role":                hs256(claims("role", nil)),
		"unknown role":           hs256(claims("role", "root")),
		"role of another type":   hs256(claims("role", []string{"admin"})),
		"far too long":           "Bearer " + strings.Repeat("a", maxToken+1),
		"other claims, same tag": parts[0] + "." + strings.Split(hs256(claims("role", "admin")), ".")[1] + "." + parts[2],
	} {
		if id, err := tokens.read(header); err == nil {
			t.Errorf("%s: let in as %+v", name, id)
		}
	}
}

// A token that was good once is not good for ever, and good ones do not pile up.
func TestGoodTokensAreForgotten(t *testing.T) {
	t.Parallel()
	c := newClock()
	tokens := newTokens(testSecret, c.Now)
	for i := range 2 * maxRead {
		signed, err := tokens.issue(Identity{Username: "ana", Role: Viewer})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := tokens.read("Bearer " + signed); err != nil {
				t.Fatal(err)
			}
		}
		if len(tokens.good) > maxRead {
			t.Fatalf("%d tokens are remembered", len(tokens.good))
		}
		c.Add(time.Second)
		if i == 0 {
			c.Add(AccessLife - time.Second)
			if _, err := tokens.read("Bearer " + signed); err == nil {
				t.Fatal("an expired token is remembered as good")
			}
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	c := newClock()
	tokens := newTokens(testSecret, c.Now)
	good, err := tokens.issue(Identity{Username: "ana", Role: Viewer})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Bearer " + good)
	f.Add("bearer\t" + good)
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.")
	f.Add("")
	f.Fuzz(func(t *testing.T, header string) {
		if id, err := tokens.read(header); err == nil && !strings.Contains(header, good) {
			t.Errorf("%q let in as %+v", header, id)
		}
	})
}
