// Command orders is the orders service. `orders rebuild` makes its tables again from the stream.
package main

import (
	"fmt"
	"os"

	"github.com/resonance/resonance/pkg/service"
	"github.com/resonance/resonance/services/orders"
)

func main() {
	switch args := os.Args[1:]; {
	case len(args) == 0:
		service.Main("orders", orders.Run)
	case len(args) == 1 && args[0] == "rebuild":
		service.Main("orders rebuild", orders.Rebuild)
	default:
		fmt.Fprintln(os.Stderr, "usage: orders [rebuild]")
		os.Exit(2)
	}
}
