package main

import "fmt"

// checkCommand is "skald check".
type checkCommand struct {
	Definitions []string `arg:"" help:"Files with definitions." placeholder:"FILE" type:"path"`
	Canonical   bool     `help:"Print what the version is the hash of."`
	Flow        bool     `help:"Draw the definitions as Mermaid flow charts."`
}

// Run runs the command.
func (c *checkCommand) Run(w *world) error {
	read, err := readDefinitions(c.Definitions)
	if err != nil {
		return err
	}
	for _, d := range read {
		fmt.Fprintf(w.stdout, "%s %s (%d steps)\n", d.Name(), d.Version(), len(d.Steps()))
		if c.Canonical {
			fmt.Fprintf(w.stdout, "%s\n", d.Canonical())
		}
		if c.Flow {
			fmt.Fprintln(w.stdout, d.Flow())
		}
	}
	return nil
}
