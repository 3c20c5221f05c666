package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/sidecar"
)

// world is what commands see of the process.
type world struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

// commands are the program's commands; each is a struct with its flags and a method Run that gets the world.
type commands struct {
	Sidecar sidecarCommand `cmd:"" help:"Take part in sagas on behalf of a service that speaks HTTP."`
	Check   checkCommand   `cmd:"" help:"Read definitions and say their versions, or everything that is wrong with them."`
	Version versionCommand `cmd:"" help:"Say which build this is."`
}

// run is the program. It returns the exit code.
func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	w := &world{getenv, stdout, stderr}
	return sidecar.Parse(&commands{}, "skald", "Sagas, orchestrated or choreographed from one definition.", args, stdout, stderr,
		func(parsed *kong.Context) error { return parsed.Run(w) })
}

// readDefinitions reads definitions from files. The error has the faults of all files.
func readDefinitions(files []string) ([]*skald.Declared, error) {
	var all []*skald.Declared
	var faults []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		var d *skald.Declared
		if err == nil {
			d, err = skald.ReadDefinition(text)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", file, err))
			continue
		}
		all = append(all, d)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("%w: %w", sidecar.ErrUsage, err)
	}
	return all, nil
}
