// Command outsiders runs the service that delivers status events to outsiders by itself, on a broker at a NATS server.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/outsider"
	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
)

func main() {
	var c outsider.Config
	flag.StringVar(&c.Listen, "listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"), "loopback `address` to listen on; LISTEN")
	flag.StringVar(&c.Data, "data", cmp.Or(os.Getenv("DATA"), "./data"), "`folder` of the database; DATA")
	flag.BoolVar(&c.AllowLoopback, "allow-loopback", false, "call outsiders on this machine, also without https: for demonstrations")
	url := flag.String("broker", os.Getenv("BROKER"), "`URL` of the NATS server; BROKER")
	flag.Parse()
	if err := run(c, *url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(c outsider.Config, url string) error {
	b, err := natsbroker.Open(context.Background(), natsbroker.Config{URL: url})
	if err != nil {
		return err
	}
	c.Broker = b
	err = loopback.Main(func(ctx context.Context) (*loopback.Server, error) { return outsider.Start(ctx, c) })
	return errors.Join(err, b.Close())
}
