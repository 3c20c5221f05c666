// Command orchestrator is OrchestratorService as a program of its own, with the shop's pages. It prints where it listens and where
// the services send their events.
package main

import (
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/commande/orchestrator"
	"github.com/skaldhq/skald/examples/commande/shop"
)

func main() {
	if err := orchestrator.Main(os.Args[1:], os.Getenv, shop.Handler(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
