package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// UserCommand is `user NAME ROLE`, of gateway and of resonance: it reads a password, the first line of in, and adds or
// replaces that user in USERS_FILE. A running gateway knows at once.
func UserCommand(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 3 || args[0] != "user" {
		return errors.New("usage: user NAME viewer|operator|admin, with the password on standard input; no arguments to serve")
	}
	var c Config
	if err := service.Load(&c); err != nil {
		return err
	}
	password, err := bufio.NewReader(io.LimitReader(in, auth.MaxPassword+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the password: %w", err)
	}
	name, role := args[1], auth.Role(args[2])
	password = strings.TrimRight(password, "\r\n")
	if err := auth.CheckPassword(name, password); err != nil {
		return fmt.Errorf("the password %w", err)
	}
	if err := auth.NewUsers(c.UsersFile, "", "").Set(name, role, password); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is %s in %s\n", name, role, c.UsersFile)
	return err
}
