//go:build unix && !linux

package localpg

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// commandLine returns a process's program, its first argument and the path that
// follows it, none if it does not run. ps joins arguments by spaces; Server puts -c after the path.
func commandLine(pid int) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) && ctx.Err() == nil {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	program, rest, _ := strings.Cut(strings.TrimSpace(string(out)), " -D ")
	if rest == "" {
		program, _, _ = strings.Cut(program, " ")
		return []string{program}, nil
	}
	data, _, _ := strings.Cut(rest, " -c ")
	return []string{program, "-D", data}, nil
}
