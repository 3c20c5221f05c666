// Command bench prints figures: how fast sagas run beside the floor and beside what people do by hand, in one run on one machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/skaldhq/skald/bench/choreography"
	"github.com/skaldhq/skald/bench/figure"
)

func main() {
	c := choreography.Config{}
	flag.StringVar(&c.Dir, "dir", "", "`folder` for the files, on the disk to measure; the system's temporary folder")
	flag.IntVar(&c.Rounds, "rounds", 5, "rounds, interleaved; the figures are their medians")
	flag.DurationVar(&c.Slice, "slice", 3*time.Second, "how long each part of a round takes")
	flag.Parse()
	set := figure.New()
	if err := choreography.Measure(context.Background(), c, set); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if err := set.Print(os.Stdout); err != nil {
		os.Exit(1)
	}
}
