// Command drone is the drone scheduler as a program of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/part"
)

func main() {
	var c drone.Config
	part.Flags(flag.CommandLine, &c.Config)
	flag.Float64Var(&c.Factor, "factor", flight.DefaultFactor, "how much faster than on the clock time runs in the air")
	drones := flag.Int("drones", len(area.Fleet()), "how `many` drones there are")
	flag.Parse()
	c.Fleet = area.Many(*drones)
	start := func(ctx context.Context) (p *part.Part, err error) {
		if c.Saga, err = deliver.Definition(0); err != nil {
			return nil, err
		}
		return drone.Start(ctx, c)
	}
	if err := part.Main(&c.Config, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
