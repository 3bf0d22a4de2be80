package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// MinSecret is how many bytes a JWT secret must have (RFC 7518, section 3.2).
const MinSecret = 32

// Secret returns the secret kept at path, which it makes the first time, so that restarts keep
// sessions. Several processes may race for it.
func Secret(path string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		tmp, err := tempFile(path, []byte(rand.Text()+rand.Text()))
		if err != nil {
			return nil, fmt.Errorf("JWT secret: %w", err)
		}
		linked := os.Link(tmp, path) // unlike a rename, never replaces another's
		if errors.Is(linked, fs.ErrExist) {
			linked = nil
		}
		if err := errors.Join(linked, os.Remove(tmp)); err != nil {
			return nil, fmt.Errorf("JWT secret: %w", err)
		}
		secret, err = os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("JWT secret: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("JWT secret: %w", err)
	}
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("JWT secret: %s holds less than %d bytes; remove it for a new one", path, MinSecret)
	}
	return secret, nil
}

// derive makes a key for one purpose, so that no two uses of the secret share one.
func derive(secret []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}
