// Command all is the whole drone system in one process, with its own broker.
package main

import (
	"os"

	"github.com/skaldhq/skald/examples/drone/system"
)

func main() {
	os.Exit(system.Run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
