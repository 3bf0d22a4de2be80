//go:build unix && (!linux || localpg_guard)

package localpg

import (
	"context"
	"os/exec"
	"strconv"
)

func dieWithParent(*exec.Cmd) {}

// guard starts a process that outlives this one just long enough to stop pid:
// it waits for the end of a pipe that only this process holds open.
// The tag localpg_guard tests it on Linux, where the kernel does the same.
func guard(c *cluster, pid int) (release func(), err error) {
	cmd := c.command(context.Background(), "/bin/sh", "-c", `read -r _; kill -INT "$0"`, strconv.Itoa(pid))
	cmd.SysProcAttr.Setpgid = true
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = cmd.Process.Kill() // before its pipe ends: pid may be another's by now
		_ = cmd.Wait()
		_ = pipe.Close()
	}, nil
}
