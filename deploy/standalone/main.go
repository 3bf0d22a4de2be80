// Command standalone is the whole product in one process: `make run`. `resonance user NAME ROLE` sets a user's password.
package main

import (
	"fmt"
	"os"

	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/gateway"
)

func main() {
	if len(os.Args) > 1 {
		if err := gateway.UserCommand(os.Args[1:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "resonance:", err)
			os.Exit(1)
		}
		return
	}
	service.Main("resonance", Run)
}
