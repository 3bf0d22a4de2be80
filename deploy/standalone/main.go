// Command standalone is the whole product in one process: `make run`.
package main

import "github.com/resonance/resonance/pkg/service"

func main() { service.Main("resonance", Run) }
