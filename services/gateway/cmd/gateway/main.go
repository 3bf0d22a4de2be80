// Command gateway answers HTTP for Resonance; `gateway user NAME ROLE` sets a user's password.
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
			fmt.Fprintln(os.Stderr, "gateway:", err)
			os.Exit(1)
		}
		return
	}
	service.Main("gateway", gateway.Run)
}
