// Command bench prints figures: how fast sagas run beside the floor and beside what people do by hand, in one run on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/skaldhq/skald/bench/figure"
	"github.com/skaldhq/skald/bench/orchestration"
)

func main() {
	ctx := context.Background()
	mine, err := orchestration.Role(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if !mine {
		set := figure.New()
		err = parse(os.Args[1:]).measure(ctx, set)
		err = errors.Join(err, set.Print(os.Stdout)) // also what was measured before something failed: it may have taken an hour
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
