package main

import "fmt"

// vetCommand is "skald vet".
type vetCommand struct {
	Definitions []string `arg:"" help:"Files with definitions, or folders of them." placeholder:"FILE" type:"path"`
	Canonical   bool     `help:"Print what the version is the hash of."`
	Output
}

// vetted is what --json prints of a definition.
type vetted struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Steps   int    `json:"steps"`
}

// Run runs the command.
func (c *vetCommand) Run(w *world) error {
	read, err := readDefinitions(c.Definitions)
	if err != nil {
		return &coded{exitFindings, err}
	}
	for _, d := range read {
		if c.JSON {
			if err := printJSON(w, vetted{d.Name(), d.Version(), len(d.Steps())}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w.stdout, "%s %s (%d steps)\n", d.Name(), d.Version(), len(d.Steps()))
		if c.Canonical {
			fmt.Fprintf(w.stdout, "%s\n", d.Canonical())
		}
	}
	return nil
}
