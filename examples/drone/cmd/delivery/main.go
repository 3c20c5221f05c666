// Command delivery is the Delivery service as a program of its own.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/part"
)

func main() {
	var c delivery.Config
	part.Flags(flag.CommandLine, &c.Config)
	flag.Float64Var(&c.Factor, "factor", flight.DefaultFactor, "how much faster than on the clock time runs in the air")
	listeners := flag.String("listeners", cmp.Or(os.Getenv("LISTENERS"), strings.Join(bus.Listeners(), ",")),
		"`names` of the subscriptions of the status events, with commas between: of all who listen, since each holds events until they are taken; LISTENERS")
	flag.Parse()
	c.Listeners = strings.Split(*listeners, ",")
	start := func(ctx context.Context) (p *part.Part, err error) {
		if c.Saga, err = deliver.Definition(0); err != nil {
			return nil, err
		}
		return delivery.Start(ctx, c)
	}
	if err := part.Main(&c.Config, start); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
