// Command commande is CommandeService as a program of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/commande/service/commande"
	"github.com/skaldhq/skald/examples/part"
)

func main() {
	var c commande.Config
	part.Flags(flag.CommandLine, &c.Config)
	flag.Parse()
	start := func(ctx context.Context) (*part.Part, error) { return commande.Start(ctx, c) }
	if err := part.Main(&c.Config, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
