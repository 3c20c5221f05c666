package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/vet"
)

// definitionsCommand is "skald definitions".
type definitionsCommand struct {
	List     definitionsListCommand    `cmd:"" default:"withargs" help:"List definitions with their versions."`
	Show     definitionShowCommand     `cmd:"" help:"Show a definition: its steps, how each is asked for, and its reason codes."`
	Register definitionRegisterCommand `cmd:"" help:"Give definitions to a server that runs, which keeps them."`
}

// definitionsListCommand is "skald definitions list".
type definitionsListCommand struct{ Remote }

// Run runs the command.
func (c *definitionsListCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	all, err := client.Definitions(w.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printLines(w, all)
	}
	draw.Definitions(w.out, all)
	return nil
}

// definitionShowCommand is "skald definitions show".
type definitionShowCommand struct {
	Name string `arg:"" help:"Its name, or NAME@VERSION, or a file."`
	Remote
}

// Run runs the command.
func (c *definitionShowCommand) Run(w *world) error {
	d, _, err := c.definition(w, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, d)
	}
	draw.Definition(w.out, &d)
	return nil
}

// definitionRegisterCommand is "skald definitions register".
type definitionRegisterCommand struct {
	Files  []string `arg:"" name:"file" help:"Files with definitions, or folders of them."`
	DryRun bool     `help:"Say what is wrong, and register nothing."`
	Remote
}

// Help implements kong.HelpProvider.
func (definitionRegisterCommand) Help() string {
	return `A new version beside the ones that are there becomes the one that starts get; running sagas keep theirs. "skald diff" says before what a new version changes. To register what is there already is harmless.`
}

// Run runs the command.
func (c *definitionRegisterCommand) Run(w *world) error {
	files, err := definitionFiles(c.Files)
	if err != nil {
		return usage(err)
	}
	client, err := c.client(w)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return usage(err)
		}
		var d httpapi.Definition
		existed := false
		if c.DryRun {
			d, err = client.Check(w.ctx, text)
		} else {
			d, existed, err = client.Define(w.ctx, text)
		}
		if err != nil {
			return &coded{codeOf(err), fmt.Errorf("%s: %s", file, message(inFile(file, err)))}
		}
		switch {
		case c.JSON:
			err = printJSON(w, d)
		case c.DryRun:
			w.out.Line("%s@%s can be registered", d.Name, d.Version)
		case existed:
			w.out.Line("%s@%s was there already", d.Name, d.Version)
		default:
			w.out.Line("%s@%s is registered", d.Name, d.Version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inFile says where the faults of a definition are in the file that was sent, where the server says it of the body.
func inFile(file string, err error) error {
	var p *httpapi.Problem
	if !errors.As(err, &p) {
		return err
	}
	placed := *p
	placed.Errors = slices.Clone(p.Errors)
	for i := range placed.Errors {
		var line, column int
		if n, _ := fmt.Sscanf(placed.Errors[i].Place, "body line %d, column %d", &line, &column); n == 2 {
			placed.Errors[i].Place = fmt.Sprintf("%s:%d:%d", file, line, column)
		}
	}
	return &placed
}

// definition finds a definition, as it is shown and as it is looked at: in a file if there is one of this name, and otherwise at the server.
func (r *Remote) definition(w *world, name string) (shown httpapi.Definition, looked vet.Definition, err error) {
	if isFile(name) {
		read, err := readDefinitions([]string{name})
		if err != nil {
			return shown, looked, err
		}
		if len(read) != 1 {
			return shown, looked, usage(fmt.Errorf("%s has %d definitions: name one file", name, len(read)))
		}
		shown, err = httpapi.Describe(read[0], nil)
		if err != nil {
			return shown, looked, err
		}
		looked, err = vet.Of(read[0])
		return shown, looked, err
	}
	client, err := r.client(w)
	if err != nil {
		return shown, looked, err
	}
	name, version, _ := strings.Cut(name, "@")
	shown, err = client.Definition(w.ctx, name, version)
	return shown, lookedAt(&shown), err
}

// isFile says whether a definition is named by its file.
func isFile(name string) bool {
	_, missing := os.Stat(name)
	return missing == nil || strings.ContainsAny(name, `/\`)
}

// readDefinitions reads definitions from files and folders. The error has the faults of all files.
func readDefinitions(paths []string) ([]*declarative.Definition, error) {
	all, faults, err := tryDefinitions(paths)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(faults...); err != nil {
		return nil, usage(err)
	}
	return all, nil
}

// tryDefinitions reads definitions from files and folders, and says of each file that has none what is in the way: *skald.Faults if it could be read.
func tryDefinitions(paths []string) (all []*declarative.Definition, faults []error, err error) {
	files, err := definitionFiles(paths)
	if err != nil {
		return nil, nil, usage(err)
	}
	reader, err := declarative.NewReader()
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		d, err := reader.Read(file, text)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all = append(all, d)
	}
	return all, faults, nil
}

// registered are definitions as an engine takes them.
func registered(read []*declarative.Definition) []skald.Registered {
	all := make([]skald.Registered, len(read))
	for i := range read {
		all[i] = read[i]
	}
	return all
}

// definitionFiles are the files of paths, of which some may be folders: those in it that end as definitions do, in the order of their names.
func definitionFiles(paths []string) (files []string, err error) {
	for _, path := range paths {
		entries, err := os.ReadDir(path)
		if err != nil {
			files = append(files, path) // no folder: reading it says what is wrong, if something is
			continue
		}
		found := len(files)
		for _, e := range entries {
			if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if len(files) == found {
			return nil, fmt.Errorf("%s: there is no file in this folder that ends in .yaml, .yml or .json", path)
		}
	}
	return files, nil
}
