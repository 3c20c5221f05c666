// Command produit is ProduitService as a program of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/commande/service/produit"
	"github.com/skaldhq/skald/examples/part"
)

func main() {
	var c produit.Config
	part.Flags(flag.CommandLine, &c.Config)
	flag.Parse()
	start := func(ctx context.Context) (*part.Part, error) { return produit.Start(ctx, c) }
	if err := part.Main(&c.Config, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
