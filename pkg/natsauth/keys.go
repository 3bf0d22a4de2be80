package natsauth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/nats-io/nkeys"
)

// Files of a user's folder.
const (
	SeedFile = "user.nk" // the seed of its NKey
	CAFile   = "ca.crt"
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
)

// AccountsFile is what MakeKeys writes beside the users' folders, for the server to include.
const AccountsFile = "accounts.conf"

// folders that are no user's
const (
	authorityFolder = "ca"
	serverFolder    = "server"
)

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// MakeKeys makes sure that dir has a folder with the seed of an NKey for each service, Operator, System, Consumer, and
// each of the further programs named; keys that are there already are kept. It writes AccountsFile for all of them, and
// returns its text.
func MakeKeys(dir string, consumers ...string) (accounts string, err error) {
	names := append(Services(), Operator, System, Consumer)
	for _, name := range consumers {
		if !validName.MatchString(name) || name == authorityFolder || name == serverFolder {
			return "", fmt.Errorf("%q is no name of a program: lower-case letters, digits and hyphens, at most 32", name)
		}
		names = append(names, name)
	}
	// Only its owner enters dir. What is in it can be read by all: a container's user, whose folder is mounted alone.
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o700)); err != nil {
		return "", fmt.Errorf("make the folder of keys: %w", err)
	}
	for _, name := range names {
		if err := makeSeed(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("make the key of %s: %w", name, err)
		}
	}
	keys, err := publicKeys(dir)
	if err != nil {
		return "", err
	}
	if accounts, err = Accounts(keys); err != nil {
		return "", err
	}
	text := "# Made by natskeys: who may do what. Made anew after each upgrade, since permissions follow what the services do.\n" + accounts
	return accounts, os.WriteFile(filepath.Join(dir, AccountsFile), []byte(text), 0o644) //nolint:gosec // no secret
}

func makeSeed(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, SeedFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	seed, err := pair.Seed()
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(seed, '\n'), 0o644) //nolint:gosec // see MakeKeys
}

// publicKeys reads the public key of each user that has a folder.
func publicKeys(dir string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", SeedFile))
	if err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for _, path := range files {
		seed, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a key: %w", err)
		}
		pair, err := nkeys.ParseDecoratedUserNKey(seed)
		if err != nil {
			return nil, fmt.Errorf("read the key %s: %w", path, err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("read the key %s: %w", path, err)
		}
		keys[filepath.Base(filepath.Dir(path))] = public
	}
	return keys, nil
}
