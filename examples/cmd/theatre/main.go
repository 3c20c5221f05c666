// Command theatre is a place to practise mending with the console: a theatre where every kind of trouble can be had.
package main

import (
	"os"

	"github.com/skaldhq/skald/examples/theatre"
)

func main() { os.Exit(theatre.Run(os.Args[1:], os.Stdout, os.Stderr)) }
