// Command package is the Package service as a program of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/part"
)

func main() {
	var c parcel.Config
	part.Flags(flag.CommandLine, &c.Config)
	flag.Parse()
	start := func(ctx context.Context) (p *part.Part, err error) {
		if c.Saga, err = deliver.Definition(0); err != nil {
			return nil, err
		}
		return parcel.Start(ctx, c)
	}
	if err := part.Main(&c.Config, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
