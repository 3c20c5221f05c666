package ingestion

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/web"
)

// Main is the service as a program: it serves as the flags and the environment say until the process is told to stop, or it fails.
func Main(args []string, env func(string) string, pages http.Handler, out, problems io.Writer) error {
	c := Config{Pages: pages, Logger: slog.New(slog.NewTextHandler(problems, nil))}
	f := flag.NewFlagSet(Name, flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&c.Listen, "listen", cmp.Or(env("LISTEN"), "127.0.0.1:8090"), "loopback `address` of the front door; LISTEN")
	f.StringVar(&c.Data, "data", cmp.Or(env("DATA"), "./data"), "`folder` of the database; DATA")
	url := f.String("broker", env("BROKER"), "`URL` of the NATS server; BROKER")
	f.StringVar(&c.Services.Package, "package", env("PACKAGE"), "`URL` of the Package service, for the pages; PACKAGE")
	f.StringVar(&c.Services.Drone, "drone", env("DRONE"), "`URL` of the drone scheduler, for the pages; DRONE")
	f.StringVar(&c.Services.Delivery, "delivery", env("DELIVERY"), "`URL` of the Delivery service, for the pages; DELIVERY")
	f.StringVar(&c.Services.Remediation, "remediation", env("REMEDIATION"), "`URL` of the Remediation service, for the pages; REMEDIATION")
	f.StringVar(&c.Services.Outsider, "outsider", env("OUTSIDER"), "`URL` of the demo outsider, for the pages; OUTSIDER")
	f.Float64Var(&c.Factor, "factor", flight.DefaultFactor, "how much faster than on the clock time runs in the air, for the pages")
	f.Func("sidecar", "`name=language` of a service that takes part through a sidecar, such as package=JavaScript; may be given several times, or once in SIDECAR", c.sidecar)
	if said := env("SIDECAR"); said != "" {
		if err := c.sidecar(said); err != nil {
			return fmt.Errorf("SIDECAR: %w", err)
		}
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	return web.Main(Name, *url, out, func(ctx context.Context, b broker.Broker) (_ *Ingestion, err error) {
		c.Broker = b
		if c.Saga, err = deliver.Definition(0); err != nil {
			return nil, err
		}
		return Start(ctx, c)
	})
}

// sidecar notes a service that takes part through one.
func (c *Config) sidecar(said string) error {
	name, language, ok := strings.Cut(said, "=")
	if !ok || name == "" || language == "" {
		return fmt.Errorf("%q is no name=language, such as package=JavaScript", said)
	}
	if c.Sidecars == nil {
		c.Sidecars = make(map[string]string)
	}
	c.Sidecars[name] = language
	return nil
}
