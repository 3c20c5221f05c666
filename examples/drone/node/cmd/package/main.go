// Command package is the Package service in JavaScript with its sidecar, as a program of its own: a stand-in for the command of the same name in Go, with the same flags.
package main

import (
	"os"

	"github.com/skaldhq/skald/examples/drone/node"
)

func main() {
	os.Exit(node.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
