package auth

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Users knows the people who may log in: those of a file, and the administrator whom the
// environment names. The file is read at each login, which is rare, so a change counts at once.
type Users struct {
	path  string
	admin *user
}

type user struct {
	name string
	role Role
	hash hash
}

var username = regexp.MustCompile(`^[A-Za-z0-9._@+-]{1,64}$`)

// ValidUsername reports whether name is 1 to 64 letters, digits or any of ". _ @ + -".
func ValidUsername(name string) bool { return username.MatchString(name) }

// NewUsers reads users from the file at path, whose lines are name:role:hash; it need not exist.
// With a password, admin is a user of its own who takes precedence over the file.
func NewUsers(path, admin, password string) *Users {
	u := &Users{path: path}
	if password != "" {
		u.admin = &user{name: admin, role: Admin, hash: newHash(password)}
	}
	return u
}

// Check reads the file and returns every mistake in it.
func (u *Users) Check() error {
	_, err := u.read()
	return err
}

// EnsureOne makes an administrator with a random password when nobody could log in otherwise, and
// returns that password, "" if there was no need.
func (u *Users) EnsureOne(admin string) (password string, err error) {
	if u.admin != nil {
		return "", nil
	}
	if info, err := os.Stat(u.path); err == nil && info.Size() > 0 {
		return "", nil
	}
	password = rand.Text()
	return password, u.Set(admin, Admin, password)
}

// Set adds a user to the file, or replaces the one of that name. Other lines stay as they are.
func (u *Users) Set(name string, role Role, password string) error {
	if !ValidUsername(name) {
		return fmt.Errorf("user %q: a name is 1 to 64 letters, digits or . _ @ + -", name)
	}
	if !role.Valid() {
		return fmt.Errorf("role %q: the roles are viewer, operator and admin", role)
	}
	if password == "" || len(password) > MaxPassword {
		return fmt.Errorf("the password must have 1 to %d bytes", MaxPassword)
	}
	old, err := os.ReadFile(u.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("users: %w", err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(old)) {
		if !strings.HasPrefix(line, name+":") {
			b.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		}
	}
	fmt.Fprintf(&b, "%s:%s:%s\n", name, role, HashPassword(password))
	if err := writeFile(u.path, []byte(b.String())); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	return nil
}

// find returns nil for an unknown name. Malformed lines are the error; the others still count.
func (u *Users) find(name string) (*user, error) {
	if u.admin != nil && u.admin.name == name {
		return u.admin, nil
	}
	users, err := u.read()
	return users[name], err
}

func (u *Users) read() (map[string]*user, error) {
	data, err := os.ReadFile(u.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	users := map[string]*user{}
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, ":")
		if len(parts) != 3 || !ValidUsername(parts[0]) || !Role(parts[1]).Valid() {
			errs = append(errs, fmt.Errorf("%s:%d: want name:role:hash, the role being viewer, operator or admin", u.path, n))
			continue
		}
		h, err := parseHash(parts[2])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", u.path, n, err))
			continue
		}
		users[parts[0]] = &user{name: parts[0], role: Role(parts[1]), hash: h}
	}
	return users, errors.Join(append(errs, lines.Err())...)
}

// writeFile replaces the file at path in one step; only its owner may read it.
func writeFile(path string, data []byte) error {
	tmp, err := tempFile(path, data)
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(tmp, path), removeIfThere(tmp))
}

// tempFile writes data, synced and readable by its owner only, to a new file beside path.
func tempFile(path string, data []byte) (name string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, removeIfThere(f.Name()))
	}
	return f.Name(), nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
