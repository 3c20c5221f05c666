// Command all is both example systems in one process, with one broker inside and a front page: what `make run` starts.
package main

import (
	"os"

	"github.com/skaldhq/skald/examples/front"
)

func main() {
	os.Exit(front.Run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
