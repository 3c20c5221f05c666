// Command paiement is PaiementService as a program of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/commande/service/paiement"
	"github.com/skaldhq/skald/examples/part"
)

func main() {
	var c paiement.Config
	part.Flags(flag.CommandLine, &c.Config)
	flag.StringVar(&c.Gateway, "gateway", os.Getenv("GATEWAY"), "`URL` of the card company's gateway; GATEWAY")
	flag.Parse()
	start := func(ctx context.Context) (*part.Part, error) { return paiement.Start(ctx, c) }
	if err := part.Main(&c.Config, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
