//go:build linux && !localpg_guard

package localpg

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel send a fast shutdown when the forking thread ends.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGINT }

func guard(*cluster, int) (release func(), err error) { return func() {}, nil }
