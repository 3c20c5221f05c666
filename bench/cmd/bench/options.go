package main

import (
	"context"
	"flag"
	"os"
	"regexp"
	"time"

	"github.com/skaldhq/skald/bench/choreography"
	"github.com/skaldhq/skald/bench/figure"
	"github.com/skaldhq/skald/bench/orchestration"
)

// The parts of the command.
const (
	onlyChoreography  = "choreography"
	onlyOrchestration = "orchestration"
)

type options struct {
	only  string
	one   choreography.Config
	other orchestration.Config
}

// parse reads the command line. It ends the program when that cannot be understood.
func parse(args []string) *options {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.StringVar(&o.only, "only", "", "the `part` to measure: orchestration or choreography; all")
	flags.StringVar(&o.one.Dir, "dir", "", "`folder` for the files, on the disk to measure; the system's temporary folder")
	flags.IntVar(&o.one.Rounds, "rounds", 5, "rounds, interleaved; the figures are their medians")
	flags.DurationVar(&o.one.Slice, "slice", 3*time.Second, "how long each part of a round takes")
	flags.IntVar(&o.other.History, "history", 100_000, "ended sagas in the store whose throughput is compared with that of an empty one; 0: not")
	flags.IntVar(&o.other.Open, "open", 100_000, "open sagas in the store with which the coordinator is started; 0: not")
	flags.IntVar(&o.other.Sleeping, "sleeping", 20_000, "sagas that sleep in a retry when they are weighed; 0: not")
	flags.Func("parts", "`pattern` of the names of the parts to measure, as in skald.sqlite.lazy.library.happy.c64; all", func(pattern string) (err error) {
		o.other.Parts, err = regexp.Compile(pattern)
		return err
	})
	flags.StringVar(&o.other.Profiles, "profiles", "", "`folder` for profiles of the processor's time, one for each part; none")
	_ = flags.Parse(args) // it exits by itself
	if o.only != "" && o.only != onlyChoreography && o.only != onlyOrchestration {
		flags.Usage()
		os.Exit(2)
	}
	o.other.Dir, o.other.Rounds, o.other.Slice = o.one.Dir, o.one.Rounds, o.one.Slice
	o.one.Profiles, o.one.Parts = o.other.Profiles, o.other.Parts
	return o
}

func (o *options) measure(ctx context.Context, set *figure.Set) error {
	if o.only != onlyChoreography {
		if err := orchestration.Measure(ctx, o.other, set); err != nil || o.only == onlyOrchestration {
			return err
		}
	}
	return choreography.Measure(ctx, o.one, set)
}
