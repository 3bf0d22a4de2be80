package auth

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestPasswordHashes(t *testing.T) {
	t.Parallel()
	s := HashPassword("contraseña")
	if !strings.HasPrefix(s, "$argon2id$v=19$m=19456,t=2,p=1$") || s == HashPassword("contraseña") {
		t.Fatalf("hash %q", s)
	}
	h, err := parseHash(s)
	if err != nil || h.String() != s {
		t.Fatalf("%v, %s", err, h)
	}
	if !h.matches("contraseña") || h.matches("contrasena") {
		t.Error("compares wrongly")
	}
	for _, bad := range []string{
		"", "x", strings.Replace(s, "argon2id", "argon2i", 1), strings.Replace(s, "v=19", "v=16", 1), strings.Replace(s, "m=19456", "m=99999999", 1),
		strings.Replace(s, "t=2", "t=0", 1), strings.Replace(s, "p=1", "p=0", 1), s + "$", s[:len(s)-30], strings.Replace(s, "$m", "$x", 1), s + "!",
	} {
		if _, err := parseHash(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestUsersFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "users")
	u := NewUsers(path, "admin", "")
	if found, err := u.find("ana"); found != nil || err != nil {
		t.Fatalf("no file: %v, %v", found, err)
	}
	for _, step := range []struct {
		name, password string
		role           Role
	}{{"ana", "one", Viewer}, {"ana.b@c-d", "two", Admin}, {"ana", "three", Operator}} {
		if err := u.Set(step.name, step.role, step.password); err != nil {
			t.Fatal(err)
		}
		found, err := u.find(step.name)
		if err != nil || found == nil || found.role != step.role || !found.hash.matches(step.password) {
			t.Fatalf("%+v: %+v, %v", step, found, err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Count(data, []byte("\n")) != 2 {
		t.Errorf("%s, %v", data, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for _, bad := range []struct {
		name, password string
		role           Role
	}{{"a:b", "x", Viewer}, {"", "x", Viewer}, {"a\nb", "x", Viewer}, {"a", "", Viewer}, {"a", "x", "root"}, {"a", strings.Repeat("x", MaxPassword+1), Viewer}} {
		if err := u.Set(bad.name, bad.role, bad.password); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	// One broken line is named and hides nobody.
	if err := os.WriteFile(path, append([]byte("# people\nbroken\nx:root:y\n"), data...), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := u.find("ana")
	if found == nil || err == nil || !strings.Contains(err.Error(), path+":2:") || !strings.Contains(err.Error(), path+":3:") {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestEnsureOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users")
	u := NewUsers(path, "admin", "")
	password, err := u.EnsureOne("admin")
	if err != nil || len(password) < 20 {
		t.Fatalf("%q, %v", password, err)
	}
	if found, err := u.find("admin"); err != nil || found == nil || found.role != Admin || !found.hash.matches(password) {
		t.Fatalf("%+v, %v", found, err)
	}
	if again, err := u.EnsureOne("admin"); again != "" || err != nil {
		t.Errorf("a second time: %q, %v", again, err)
	}
	withPassword := NewUsers(filepath.Join(t.TempDir(), "users"), "admin", "given")
	if made, err := withPassword.EnsureOne("admin"); made != "" || err != nil {
		t.Errorf("with a password: %q, %v", made, err)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "jwt-secret")
	secrets := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			s, err := Secret(path)
			if err != nil {
				t.Error(err)
			}
			secrets[i] = s
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if len(s) < MinSecret || !bytes.Equal(s, secrets[0]) {
			t.Fatal("the processes disagree")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("%d files left, %v", len(files), err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Secret(path); err == nil {
		t.Error("a short secret is accepted")
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for i, have := range Roles {
		for j, need := range Roles {
			if have.Includes(need) != (i >= j) {
				t.Errorf("%s includes %s: %t", have, need, have.Includes(need))
			}
		}
	}
	if Role("").Includes(Viewer) || Role("root").Includes(Viewer) {
		t.Error("an unknown role may read")
	}
}
