package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/sidecar"
)

// definitionsCommand is "skald definitions".
type definitionsCommand struct {
	List definitionsListCommand `cmd:"" help:"List definitions with their versions."`
	Show definitionShowCommand  `cmd:"" help:"Show a definition: its steps, how each is asked for, and its reason codes."`
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
	if !c.JSON {
		draw.Definitions(w.out, all)
		return nil
	}
	for i := range all {
		if err := printJSON(w, all[i]); err != nil {
			return err
		}
	}
	return nil
}

// definitionShowCommand is "skald definitions show".
type definitionShowCommand struct {
	Name string `arg:"" help:"Its name, or NAME@VERSION, or a file."`
	Remote
}

// Run runs the command.
func (c *definitionShowCommand) Run(w *world) error {
	d, err := c.definition(w, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, d)
	}
	draw.Definition(w.out, &d)
	return nil
}

// definition finds a definition: in a file if there is one of this name, and otherwise at the server.
func (r *Remote) definition(w *world, name string) (httpapi.Definition, error) {
	if _, err := os.Stat(name); err == nil || strings.ContainsAny(name, `/\`) {
		read, err := readDefinitions([]string{name})
		if err != nil {
			return httpapi.Definition{}, err
		}
		return httpapi.Describe(read[0], nil)
	}
	client, err := r.client(w)
	if err != nil {
		return httpapi.Definition{}, err
	}
	name, version, _ := strings.Cut(name, "@")
	return client.Definition(w.ctx, name, version)
}

// readDefinitions reads definitions from files, and from those that end in .json in folders. The error has the faults of all files.
func readDefinitions(paths []string) ([]*skald.Declared, error) {
	var all []*skald.Declared
	var faults []error
	for _, path := range paths {
		files, err := definitionFiles(path)
		if err != nil {
			faults = append(faults, err)
		}
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
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("%w: %w", sidecar.ErrUsage, err)
	}
	return all, nil
}

// definitionFiles are the files of a path, which may be a folder.
func definitionFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if folder := err == nil && info.IsDir(); !folder {
		return []string{path}, nil // reading it says what is wrong, if something is
	}
	entries, err := fs.Glob(os.DirFS(path), "*.json")
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("%s: there is no file that ends in .json in this folder", path)
	}
	slices.Sort(entries)
	for i := range entries {
		entries[i] = filepath.Join(path, entries[i])
	}
	return entries, err
}
