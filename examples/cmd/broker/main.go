// Command broker is JetStream in a process of its own, synced to disk before it acknowledges, for the services of both example systems when each has its own process.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/skaldhq/skald/broker/natsbroker"
)

func main() {
	c := natsbroker.ServerConfig{}
	flag.StringVar(&c.Listen, "listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:4222"), "loopback `address` to listen on; LISTEN")
	flag.StringVar(&c.Dir, "data", cmp.Or(os.Getenv("DATA"), "./data/broker"), "`folder` of the messages; DATA")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s, err := natsbroker.Start(c)
	if err == nil {
		fmt.Printf("broker listens on %s\n", s.URL())
		<-ctx.Done()
		stop()
		err = s.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
