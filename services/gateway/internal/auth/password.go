package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// hash is a parsed argon2id hash in PHC string form.
type hash struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
	salt    []byte
	key     []byte
}

// OWASP's smallest recommendation: 19 MiB bounds what a burst of logins can take.
var defaults = hash{memory: 19 * 1024, time: 2, threads: 1}

var errHash = errors.New("not an argon2id hash in PHC form, or one that costs too much")

// MinPassword is the shortest password that somebody may choose, in characters. As NIST SP 800-63B has it, what counts is
// the length, and that it is none of those which are tried first; no digits or symbols are demanded.
const MinPassword = 12

// badPasswords are those long enough that lists of leaked passwords begin with, in lower case.
var badPasswords = []string{
	"123456789012", "1234567890123", "12345678901234", "123456789012345", "1234567890123456", "12345678910", "123456789101112",
	"1q2w3e4r5t6y", "1q2w3e4r5t6y7u", "1qaz2wsx3edc", "1qaz2wsx3edc4rfv", "abcdefghijkl", "abcdefghijklmnop", "abcd1234abcd", "abc123abc123",
	"administrador", "administrator", "administrator1", "adminadminadmin", "admin1234567", "admin12345678", "changeme1234", "changemechangeme",
	"contraseña12", "contraseña123", "contraseña1234", "contrasena12", "contrasena123", "contrasena1234", "iloveyou1234", "letmeinletmein",
	"password1234", "password12345", "password123456", "passwordpassword", "passw0rd1234", "qwerty123456", "qwertyqwerty",
	"qwertyuiop12", "qwertyuiop123", "qwertyuiop1234", "qwertyuiopas", "qwertyuiopasdf", "qwertyuiopasdfgh", "resonance123", "resonance1234",
	"teamomucho123", "welcome12345", "welcome123456", "bienvenido12", "bienvenido123", "bienvenido1234",
}

// CheckPassword says what is wrong with a password that somebody chooses, in words that follow "the password".
func CheckPassword(username, password string) error {
	different := map[rune]bool{}
	for _, r := range password {
		different[r] = true
	}
	name, lower := strings.ToLower(username), strings.ToLower(password)
	switch {
	case !utf8.ValidString(password):
		return errors.New("is not valid UTF-8")
	case len(password) > MaxPassword:
		return fmt.Errorf("has more than %d bytes", MaxPassword)
	case utf8.RuneCountInString(password) < MinPassword:
		return fmt.Errorf("has fewer than %d characters", MinPassword)
	case slices.Contains(badPasswords, lower), len(different) < 5, name != "" && strings.Trim(strings.ReplaceAll(lower, name, ""), "0123456789") == "":
		return errors.New("is one of those that are tried first")
	}
	return nil
}

// HashPassword returns the argon2id hash of password in PHC string form.
func HashPassword(password string) string { return newHash(password).String() }

func newHash(password string) hash {
	h := defaults
	h.salt = make([]byte, 16)
	_, _ = rand.Read(h.salt) // never fails: it would end the process
	h.key = h.derive(password, 32)
	return h
}

func (h hash) derive(password string, length int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(length))
}

// matches takes tens of milliseconds and h.memory.
func (h hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password, len(h.key)), h.key) == 1
}

// String gives the PHC form.
func (h hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, h.memory, h.time, h.threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

// parseHash reads a PHC string. Hashes that would take over 256 MiB or 16 passes are refused.
func parseHash(s string) (hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return hash{}, errHash
	}
	var h hash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return hash{}, errHash
	}
	if h.memory < 8 || h.memory > 256*1024 || h.time < 1 || h.time > 16 || h.threads < 1 || h.threads > 16 {
		return hash{}, errHash
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 {
		return hash{}, errHash
	}
	return h, nil
}
