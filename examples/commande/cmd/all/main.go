// Command all is the whole order system in one process: the shop, the orchestrator, the five services, a card gateway and a mail server.
package main

import (
	"os"

	"github.com/skaldhq/skald/examples/commande/system"
)

func main() {
	os.Exit(system.Run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
