// Command outsider runs the demo outsider by itself: it subscribes to the drone system's status events and shows them at /events.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/examples/drone/outsider/demo"
	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
)

func main() {
	var c demo.Config
	flag.StringVar(&c.Listen, "listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"), "loopback `address` to listen on; LISTEN")
	flag.StringVar(&c.Data, "data", cmp.Or(os.Getenv("DATA"), "./data"), "`folder` of the database; DATA")
	flag.StringVar(&c.Service, "service", os.Getenv("OUTSIDERS"), "`URL` where one subscribes; OUTSIDERS")
	flag.Parse()
	if err := loopback.Main(func(ctx context.Context) (*loopback.Server, error) { return demo.Start(ctx, c) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
