// Command airtable-sync runs the service of that name until it is told to stop.
package main

import (
	"github.com/resonance/resonance/pkg/service"
	airtablesync "github.com/resonance/resonance/services/airtable-sync"
)

func main() { service.Main("airtable-sync", airtablesync.Run) }
