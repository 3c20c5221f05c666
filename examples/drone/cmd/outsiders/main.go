// Command outsiders runs the service that delivers status events to outsiders by itself, on a broker at a NATS server.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/outsider"
	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
	"github.com/skaldhq/skald/examples/drone/web"
)

func main() {
	var c outsider.Config
	flag.StringVar(&c.Listen, "listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"), "loopback `address` to listen on; LISTEN")
	flag.StringVar(&c.Data, "data", cmp.Or(os.Getenv("DATA"), "./data"), "`folder` of the database; DATA")
	flag.BoolVar(&c.AllowLoopback, "allow-loopback", false, "call outsiders on this machine, also without https: for demonstrations")
	url := flag.String("broker", os.Getenv("BROKER"), "`URL` of the NATS server; BROKER")
	flag.Parse()
	err := web.Main(outsider.Subscription, *url, os.Stdout, func(ctx context.Context, b broker.Broker) (*loopback.Server, error) {
		c.Broker = b
		return outsider.Start(ctx, c)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
