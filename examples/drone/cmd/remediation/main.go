// Command remediation is the Remediation service as a program of its own.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/remediation"
	"github.com/skaldhq/skald/examples/drone/web"
)

func main() {
	listen := flag.String("listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"), "loopback `address` to listen on; LISTEN")
	url := flag.String("broker", os.Getenv("BROKER"), "`URL` of the NATS server; BROKER")
	flag.Parse()
	err := web.Main(remediation.Name, *url, os.Stdout, func(ctx context.Context, b broker.Broker) (*remediation.Remediation, error) {
		saga, err := deliver.Definition(0)
		if err != nil {
			return nil, err
		}
		return remediation.Start(ctx, remediation.Config{Listen: *listen, Broker: b, Saga: saga, Logger: slog.Default()})
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
