// Command openapi prints the document that /openapi.json answers, without starting anything.
package main

import (
	"fmt"
	"os"

	"github.com/resonance/resonance/services/gateway"
)

func main() {
	document, err := gateway.OpenAPI()
	if err == nil {
		_, err = os.Stdout.Write(document)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}
